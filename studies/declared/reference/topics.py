"""The reference of all settings, by topic: a table of a run's spec or of a study file, or the kinds of a registry."""

from collections.abc import Mapping
from dataclasses import dataclass

from pydantic import BaseModel

from generators.foundation.errors import UserError
from generators.foundation.kinds import Registry, SettingsRegistry
from generators.foundation.settings import suggestion
from generators.setting_rows import SettingRow, setting_rows
from generators.table import TASKS
from lab.model.table import MODELS
from lab.objectives.table import OBJECTIVES
from lab.run.spec import StartSettings, TrainingConfig
from studies.declared.claims.claim import Claim
from studies.declared.claims.table import CLAIMS
from studies.declared.search_file import SearchDeclaration
from studies.declared.study_file import StudyDeclaration

TABLES: Mapping[str, type[BaseModel]] = {
    "training": TrainingConfig,
    "start": StartSettings,
    "study": StudyDeclaration,
    "search": SearchDeclaration,
}
KINDS: Mapping[str, Registry] = {"model": MODELS, "task": TASKS, "objective": OBJECTIVES, "claim": CLAIMS}
SUMMARIES: Mapping[str, str] = {
    "training": "[training] of a run: steps, optimiser, schedule, checkpoints, device",
    "model": "[model] of a run, for each kind of model: its size; a run without a kind has a llama",
    "task": "[task] of a run, for each kind of task: the data",
    "objective": "[objective] of a run, for each kind of objective: heads and losses",
    "start": "[start] of a finetuning run: the weights that it begins with",
    "study": "a study file: factors, tuning, seeds, claims, scales",
    "claim": "[[claims]] of a study file, for each kind of claim: the keys of its own",
    "search": "a search file: the space, the budget, scales",
}
"""Topic -> the settings that it holds, in the order of the reference page."""
METRICS_TOPIC = "metrics"
METRICS_SUMMARY = "every metric and every measure of an analysis: definition, unit, direction"


@dataclass(frozen=True)
class Section:
    """The settings of a table, or of one kind.

    Attributes:
        kind: the name of the kind; empty for a table without kinds.
    """

    topic: str
    kind: str
    rows: list[SettingRow]

    @property
    def title(self) -> str:
        """The topic, followed by the kind if there is one."""
        return f"{self.topic} {self.kind}".rstrip()


def sections_of(topic: str, kind: str | None = None, *, installed: bool = True) -> list[Section]:
    """Returns the settings of a topic.

    Args:
        kind: one kind of a topic that has kinds; None for all.
        installed: includes the kinds of other installed packages.

    Raises:
        UserError: there is no such topic or kind.
    """
    if topic in TABLES:
        if kind is not None:
            raise UserError(f"lab settings {topic} {kind}: {topic} has one table and no kinds; leave {kind} out")
        return [Section(topic, "", setting_rows(TABLES[topic]))]
    if topic not in KINDS:
        near = suggestion(topic, [*SUMMARIES, METRICS_TOPIC])
        raise UserError(f"lab settings {topic}: there is no such topic; {near}")
    registry = KINDS[topic]
    names = [kind] if kind is not None else registry.names if installed else list(registry.rows)
    return [Section(topic, name, rows_of_kind(registry, name)) for name in names]


def rows_of_kind(registry: Registry, name: str) -> list[SettingRow]:
    """Returns the settings of a kind; of a claim, those that not every claim has.

    Raises:
        UserError: there is no such kind.
    """
    if isinstance(registry, SettingsRegistry):
        return setting_rows(registry.config_of(name, "lab settings"))
    general = setting_rows(Claim)
    return [row for row in setting_rows(registry.find(name, "lab settings")) if row not in general]
