"""The spec of a run: every setting that its numbers depend on, and the identity computed from them."""

import json
from collections.abc import Mapping, Sequence
from hashlib import sha256
from pathlib import Path
from typing import Literal, Self

from pydantic import Field, SerializerFunctionWrapHandler, model_serializer, model_validator

from generators.foundation.errors import UserError
from generators.foundation.settings import (
    Settings,
    Tree,
    assign_value,
    read_toml,
    split_assignment,
    suggestion,
    validate,
)
from generators.table import TASKS
from generators.task import TaskConfig
from lab.html import html_rows
from lab.model.config import ModelConfig
from lab.model.table import parse_model
from lab.objectives.objective import ObjectiveConfig
from lab.objectives.table import OBJECTIVES
from lab.run.solving import Solved

LATER_SETTINGS = ("stop_when_solved", "optimiser", "schedule", "stack")
"""Settings of training that earlier versions did not have."""


class TrainingConfig(Settings):
    """Settings of training. Defaults other than sizes are those of the paper (appendix, training hyperparameters)."""

    steps: int = Field(ge=1, le=10**9, description="optimiser steps")
    batch_size: int = Field(ge=1, le=10**6, description="samples per step")
    learning_rate: float = Field(gt=0, description="peak rate, reached after the warm-up")
    warmup_steps: int = Field(default=0, ge=0, description="steps of the linear warm-up")
    schedule: Literal["cosine", "linear", "constant", "wsd"] = Field(
        default="cosine",
        description="the learning rate after the warm-up; wsd holds the peak, then falls linearly over the last fifth "
        "of the steps",
    )
    final_learning_rate_fraction: float = Field(
        default=0.03, ge=0, le=1, description="last rate of a schedule that falls, as a fraction of the peak"
    )
    optimiser: Literal["adamw", "muon", "sgd"] = Field(
        default="adamw",
        description="muon: Muon for hidden matrices, and AdamW for embeddings, unembeddings and vectors, at one "
        "learning rate; sgd: with plain momentum",
    )
    beta1: float = Field(default=0.9, ge=0, lt=1, description="AdamW's decay of the gradient mean; SGD's momentum")
    beta2: float = Field(default=0.95, ge=0, lt=1, description="AdamW's decay of the squared-gradient mean")
    weight_decay: float = Field(
        default=0.1,
        ge=0,
        description="weight decay of matrices, not of norms; decoupled, but with sgd added to the gradient",
    )
    clip_norm: float = Field(default=1.0, gt=0, description="maximum of the global gradient norm")
    evaluate_every_steps: int = Field(
        ge=1, description="steps between validations, each with a checkpoint; the last step always has one"
    )
    stop_after_evaluations: int | None = Field(
        default=None, ge=1, description="early stopping: validations in a row without a better score"
    )
    stop_when_solved: Solved | None = Field(
        default=None, description="end the run where it has solved its task: a table of metric, at and evaluations"
    )
    keep_every_steps: int | None = Field(
        default=None, ge=1, description="steps between kept weights; a multiple of evaluate_every_steps"
    )
    loss: Literal["joint", "sequential", "chunked"] = Field(
        default="joint",
        description="one gradient, three ways: all heads at once, head by head (as in the paper), or chunked logits",
    )
    micro_batches: int = Field(default=1, ge=1, description="pieces of a batch whose gradients are summed")
    stack: int = Field(
        default=1, ge=1, le=1024, description="rows of one network, of which a study trains each with another seed"
    )
    device: str = Field(default="cpu", description="torch device")
    compile: bool = Field(
        default=False, description="torch.compile for the loss: takes about half a minute, then steps are faster"
    )
    cuda_graphs: bool = Field(
        default=False,
        description="with compile on a CUDA device: record the kernels of compiled code once and replay them",
    )
    precision: Literal["fp32", "bf16"] = Field(
        default="fp32",
        description="bf16: matrix products in bfloat16 over fp32 weights; attention too, but on a GPU only",
    )

    @model_serializer(mode="wrap")
    def _leave_out_unset(self, serialise: SerializerFunctionWrapHandler) -> Tree:
        """Leaves out later settings that have their default, so that runs keep the identities of earlier versions."""
        tree: Tree = serialise(self)
        for name in LATER_SETTINGS:
            if getattr(self, name) == type(self).model_fields[name].default:
                tree.pop(name, None)
        return tree

    @model_validator(mode="after")
    def _check_effects(self) -> Self:
        for name, chosen, idle in (
            ("beta2", "optimiser", "sgd"),
            ("final_learning_rate_fraction", "schedule", "constant"),
        ):
            value = getattr(self, name)
            if getattr(self, chosen) == idle and value != type(self).model_fields[name].default:
                raise ValueError(f'{name} = {value:zg} has no effect with {chosen} = "{idle}"; leave it out')
        return self

    @model_validator(mode="after")
    def _check_stack(self) -> Self:
        for name, value in (("loss", "joint"), ("micro_batches", 1)):
            if self.stack > 1 and getattr(self, name) != value:
                raise ValueError(f"stack = {self.stack} needs {name} = {json.dumps(value)}")
        return self

    @model_validator(mode="after")
    def _check(self) -> Self:
        if self.warmup_steps > self.steps:
            raise ValueError(f"warmup_steps = {self.warmup_steps} should be at most steps = {self.steps}")
        if self.micro_batches > self.batch_size:
            raise ValueError(
                f"micro_batches = {self.micro_batches} should be at most batch_size = {self.batch_size}: "
                "each piece needs at least one sample"
            )
        if self.keep_every_steps is not None and self.keep_every_steps % self.evaluate_every_steps:
            raise ValueError(
                f"keep_every_steps = {self.keep_every_steps} should be a multiple of "
                f"evaluate_every_steps = {self.evaluate_every_steps}"
            )
        if self.cuda_graphs and not (self.compile and self.device.startswith("cuda")):
            raise ValueError(
                f"cuda_graphs = true needs compile = true and a CUDA device, not compile = {str(self.compile).lower()} "
                f'and device = "{self.device}"'
            )
        return self


class StartSettings(Settings):
    """The settings of finetuning that decide which weights are loaded and trained (see `lab.run.finetuning`)."""

    checkpoint: Literal["best", "last"] = Field(default="best", description="checkpoint of the start to load")
    heads: Literal["keep", "drop"] = Field(
        default="keep",
        description="keep: load all weights of equal name and shape; drop: the embedding and next-token path alone",
    )
    freeze: Literal["none", "trunk"] = Field(default="none", description="trunk: do not train trunk and embedding")


START_TABLES = ("task", "objective", "training")


class Start(StartSettings):
    """The run that a finetuning run starts from, which has the same model and seed, and how its weights are used."""

    run: "RunSpec"

    def table(self, form: Tree) -> Tree:
        """Returns the table [start]; `form` is the spec of the start, canonical or as a tree."""
        return {**self.model_dump(mode="json", exclude={"run"}), **{name: form[name] for name in START_TABLES}}


class RunSpec(Settings):
    """Task, model, objective, training, seed and, for finetuning, the start of a run. Equal specs are the same run."""

    task: TaskConfig
    model: ModelConfig
    objective: ObjectiveConfig
    training: TrainingConfig
    seed: int = Field(ge=0, lt=2**31)
    start: Start | None = None

    def __repr__(self) -> str:
        return f"<spec of run {self.identity}: {self.title}>"

    def __str__(self) -> str:
        return repr(self)

    def _repr_html_(self) -> str:
        return html_rows(f"spec of run {self.identity}", self.summary)

    @property
    def title(self) -> str:
        """The kinds of objective and task, the steps and the seed, in a few words."""
        kinds = f"{self.objective.kind} on {self.task.kind}"
        return f"{kinds}, {self.training.steps} steps, seed {self.seed}{', finetuned' if self.start else ''}"

    @property
    def summary(self) -> dict[str, str]:
        """Table -> its settings in a line, without those that have their default."""
        tables: dict[str, Settings] = {name: getattr(self, name) for name in ("task", "model", "objective", "training")}
        rows = {name: settings_text(settings) for name, settings in tables.items()} | {"seed": str(self.seed)}
        return rows | ({"start": f"run {self.start.run.identity}"} if self.start else {})

    def canonical(self) -> Tree:
        """Returns the spec as JSON types: every default written out, data given by digest instead of path."""
        form = {
            "task": self.task.canonical(),
            "model": self.model.model_dump(mode="json"),
            "objective": self.objective.model_dump(mode="json"),
            "training": self.training.model_dump(mode="json"),
            "seed": self.seed,
        }
        return form | {"start": self.start.table(self.start.run.canonical())} if self.start else form

    @property
    def identity(self) -> str:
        """The name of the run's folder: the first 16 hexadecimal digits of the SHA-256 of the canonical form."""
        return sha256(json.dumps(self.canonical(), sort_keys=True).encode()).hexdigest()[:16]

    def tree(self) -> Tree:
        """Returns the spec in the form that `parse_spec` reads, paths included."""
        form = {**self.canonical(), "task": self.task.model_dump(mode="json")}
        return form | {"start": self.start.table(self.start.run.tree())} if self.start else form


def settings_text(settings: Settings) -> str:
    """Returns the settings that differ from their defaults as `kind, key = value, ...`."""
    changed = settings.model_dump(mode="json", exclude_defaults=True)
    values = [f"{key} = {json.dumps(value)}" for key, value in changed.items() if key != "kind"]
    return ", ".join([getattr(settings, "kind", ""), *values]).removeprefix(", ")


def parse_spec(data: Tree, source: str = "spec") -> RunSpec:
    """Validates a spec.

    Args:
        data: the spec as TOML or JSON gives it.
        source: the file or command that the data comes from, named in errors.

    Raises:
        UserError: a setting is unknown, missing or wrong; the message names source, key, value and what would be right.
    """
    data = dict(data)
    data.setdefault("seed", 0)
    for key in data:
        if key not in RunSpec.model_fields:
            raise UserError(f"{source}: {key}: no such table; {suggestion(key, list(RunSpec.model_fields))}")
    for key in RunSpec.model_fields:
        if key not in data and key != "start":
            raise UserError(f"{source}: the table [{key}] is missing")
    if isinstance(data["seed"], bool) or not isinstance(data["seed"], int) or not 0 <= data["seed"] < 2**31:
        raise UserError(f"{source}: seed = {data['seed']!r}: should be a whole number from 0 to 2147483647")
    spec = RunSpec(
        task=TASKS.config(data["task"], source),
        model=parse_model(data["model"], source),
        objective=OBJECTIVES.config(data["objective"], source),
        training=validate(TrainingConfig, data["training"], source, "training"),
        seed=data["seed"],
        start=parse_start(data, source),
    )
    if unused := spec.objective.unused(spec.training.steps):
        raise UserError(f"{source}: {unused}")
    return spec


def parse_start(data: Tree, source: str) -> Start | None:
    """Validates the table [start] of a spec; tables missing in it are those of the run itself.

    Returns:
        The start; None if there is no table [start] or if it is empty, as in the levels of a study that train from
        scratch.

    Raises:
        UserError: as `parse_spec`.
    """
    table = data.get("start", {})
    if not isinstance(table, Mapping):
        raise UserError(f"{source}: start = {table!r}: should be a table")
    if not table:
        return None
    names = [*StartSettings.model_fields, *START_TABLES]
    for key in table:
        if key not in names:
            raise UserError(f"{source}: start.{key}: no such key; {suggestion(key, names, 'start.')}")
    own_settings = {key: table[key] for key in StartSettings.model_fields if key in table}
    settings = validate(StartSettings, own_settings, source, "start")
    tables = {key: table[key] for key in START_TABLES if key in table}
    if not tables:
        raise UserError(
            f"{source}: start does not describe the run to start from; give at least one of the tables "
            f"{', '.join(f'start.{name}' for name in START_TABLES)}"
        )
    run_tables = {key: value for key, value in data.items() if key != "start"}
    run = parse_spec({**run_tables, **tables}, f"{source}, table start")
    return Start(**settings.model_dump(), run=run)


def read_spec(path: Path | str, assignments: Sequence[str] = ()) -> RunSpec:
    """Reads the spec of a TOML file and applies `--set` assignments ("key=value") to it; raises as `parse_spec`."""
    data = read_toml(Path(path))
    for assignment in assignments:
        assign_value(data, *split_assignment(assignment))
    return parse_spec(data, str(path))
