"""A study at one scale: its cells, and the run of each cell, setting and seed."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from itertools import product
from typing import Any

from generators.foundation.errors import UserError
from generators.foundation.settings import Tree, suggestion
from lab.html import html_table
from lab.run.solving import Solved
from lab.run.spec import RunSpec, parse_spec
from studies.declared.levels import Level, changed, copied, flat, known_level, short
from studies.declared.study_file import CellSettings, Part, StudyDeclaration

RATE = "training.learning_rate"
TUNING_SEED = 2**30
"""The first seed of runs that choose settings; the seeds of confirming runs begin at the study's `first_seed`."""


@dataclass(frozen=True)
class Cell:
    """One point of the grid: factor -> level."""

    levels: tuple[tuple[str, Level], ...]

    @property
    def label(self) -> str:
        """A label such as `size=30k n=2`, with the short names of the factors in the order of the study file."""
        return " ".join(f"{short(key)}={level}" for key, level in self.levels)

    def within(self, part: dict[str, list[Level]]) -> bool:
        """Tells whether the cell is in a part of the grid."""
        return all(level in part[key] for key, level in self.levels)


@dataclass(frozen=True, repr=False)
class Study:
    """A study file at one scale: the cells that will run, with their settings.

    Attributes:
        compiled: whether the lab decided to compile the steps, because the file leaves `training.compile` open; decided
            when the study runs (`studies.running.plan.compiling`).
    """

    name: str
    scale: str
    source: str
    declaration: StudyDeclaration
    assignments: tuple[str, ...]
    base: Tree
    factors: dict[str, list[Level]]
    seeds: int
    trials: int
    compiled: bool = False

    def __repr__(self) -> str:
        return f"<study {self.name} at scale {self.scale}: {self._counts}>"

    def _repr_html_(self) -> str:
        claims = [(claim.name, claim.text) for claim in self.declaration.claims]
        note = f"{self.name} at scale {self.scale}: {self._counts}"
        return html_table(self.declaration.title, ("claim", "text"), claims, note)

    @property
    def _counts(self) -> str:
        counts = {"cell": len(self.cells), "seed": self.seeds, "claim": len(self.declaration.claims)}
        listed = ", ".join(f"{count} {noun}{'s'[: count != 1]}" for noun, count in counts.items())
        return f"{listed}, at most {self.runs} runs"

    @property
    def parts(self) -> list[dict[str, list[Level]]]:
        """The grids that the cells come from: those listed under `cells`, or the full one."""
        listed = self.declaration.scales[self.scale].cells or self.declaration.cells
        return [self.part(part) for part in listed] or [self.factors]

    def part(self, where: Part) -> dict[str, list[Level]]:
        """Returns the levels that each factor has in a part of the grid.

        A factor has no level in a part that names only levels of another scale.
        """
        part = {}
        for key, known in self.factors.items():
            levels = where.get(key, known)
            chosen = [known_level(level, known) for level in (levels if isinstance(levels, list) else [levels])]
            part[key] = [level for level in known if level in chosen]
        return part

    @cached_property
    def grid(self) -> dict[Cell, str]:
        """Every cell of the parts (the last factor varies fastest) -> why it is excluded; empty for a cell
        that runs.
        """
        rules = [(self.part(rule.where), rule.reason) for rule in self.declaration.exclude]
        cells = (
            Cell(tuple(zip(part, levels, strict=True))) for part in self.parts for levels in product(*part.values())
        )
        return {cell: next((reason for part, reason in rules if cell.within(part)), "") for cell in cells}

    @property
    def cells(self) -> list[Cell]:
        """The cells that run."""
        return [cell for cell, reason in self.grid.items() if not reason]

    @property
    def excluded(self) -> dict[Cell, str]:
        """Excluded cell -> why it is excluded."""
        return {cell: reason for cell, reason in self.grid.items() if reason}

    @property
    def middle(self) -> dict[str, float]:
        """The tuned settings that are tried first; without tuning, runs have them unless the study file sets others."""
        return {key: span.middle for key, span in self.declaration.tuning.search.items()}

    def settings_of(self, cell: Cell) -> dict[str, float]:
        """Returns the settings of `middle` as untuned runs of a cell have them, which the study file may replace."""
        values = dict(self.changes(cell, self.middle))
        return {key: values[key] for key in self.middle}

    @property
    def untuned(self) -> str:
        """A sentence that no arm is tuned, with the settings that they have instead; empty if the study tunes."""
        if self.trials:
            return ""
        fixed: dict[str, Any] = {RATE: None} | self.middle
        trees = [flat(changed(self.base, self.changes(cell, self.middle), self.source)) for cell in self.cells]
        values = {key: list(dict.fromkeys(tree[key] for tree in trees)) for key in fixed}
        listed = " and ".join(f"{key} = {', '.join(f'{value:zg}' for value in values[key])}" for key in fixed)
        different = any(len(levels) > 1 for levels in values.values())
        return f"No arm is tuned: {'the study file gives the arms' if different else 'every arm has'} {listed}."

    @property
    def tuning_runs(self) -> int:
        """The largest number of runs that tuning one cell takes."""
        return self.trials * self.declaration.tuning.seeds

    @property
    def runs(self) -> int:
        """The largest number of runs of the whole study."""
        return len(self.cells) * (self.tuning_runs + self.seeds)

    def fresh_seeds(self, start: int, stop: int) -> range:
        """Returns the seeds of the confirming runs from number `start` to before number `stop`, counted from 0."""
        first = self.declaration.first_seed
        return range(first + start, first + stop)

    @property
    def cell_settings(self) -> list[CellSettings]:
        """The settings of some cells at this scale; later ones prevail."""
        return [*self.declaration.settings, *self.declaration.scales[self.scale].settings]

    def changes(self, cell: Cell, settings: dict[str, float]) -> list[tuple[str, Any]]:
        """Returns dotted keys with the values that a cell and tuned settings assign to them."""
        tables = self.declaration.levels
        own = [change for table in self._settings_of(cell) for change in copied(table.set).items()]
        if not self.trials:
            settings = {key: value for key, value in settings.items() if key not in dict(own)}
        levels = [(key, copied(tables[key][str(level)]) if key in tables else level) for key, level in cell.levels]
        return [*own, *levels, *settings.items()]

    def threshold_of(self, cell: Cell) -> Solved | None:
        """Returns what counts as solved in a cell; None if the study does not say."""
        threshold = self.declaration.threshold
        own = [table.solved_at for table in self._settings_of(cell) if table.solved_at is not None]
        return threshold.model_copy(update={"at": own[-1]}) if threshold and own else threshold

    def _settings_of(self, cell: Cell) -> list[CellSettings]:
        return [table for table in self.cell_settings if cell.within(self.part(table.where))]

    def described(self, key: str, level: Level) -> str:
        """Returns a level as reports show it, followed by the settings of its table if it names one."""
        table = self.declaration.levels.get(key, {}).get(str(level))
        content = table and ", ".join(f"{name} = {json.dumps(value)}" for name, value in table.items())
        return f"{level} ({content})" if content else str(level)

    def spec(self, cell: Cell, settings: dict[str, float], seed: int) -> RunSpec:
        """Returns the run of a cell with tuned settings and a seed.

        Raises:
            UserError: these settings are not a valid run.
        """
        tree = changed(self.base, self.changes(cell, settings), self.source)
        if self.compiled:
            tree["training"]["compile"] = True
        threshold = self.threshold_of(cell)
        if threshold is not None and "stop_when_solved" in tree["training"]:
            raise UserError(
                f"{self.source}, cell {cell.label}: training.stop_when_solved: solved_at says what counts as solved in "
                "this study; leave the table out, and write stop_when_solved = true next to solved_at"
            )
        if threshold is not None and self.declaration.stop_when_solved:
            tree["training"]["stop_when_solved"] = threshold.model_dump(mode="json")
        return parse_spec({**tree, "seed": seed}, f"{self.source}, cell {cell.label}")

    @property
    def leaves_compile_open(self) -> bool:
        """True if the file does not say whether runs compile their steps, so that `training.compile` is "auto".

        Runs that are trained as a stack compile them only if the file says so.
        """
        trees = (changed(self.base, self.changes(cell, self.middle), self.source) for cell in self.cells)
        return all("compile" not in tree["training"] and tree["training"].get("stack", 1) == 1 for tree in trees)

    def cell_at(self, levels: Mapping[str, Level], key: str) -> Cell:
        """Returns the cell at one level of every factor.

        Args:
            key: the key of the study file that these levels belong to, named in errors.

        Raises:
            UserError: a factor has no such level here, or is missing; or the cell is excluded or not listed.
        """
        chosen = []
        for factor, known in self.factors.items():
            if factor not in levels:
                raise UserError(f"{self.source}: {key}.where has no level of {factor}; give one of {known}")
            value = known_level(levels[factor], known)
            if not any(value == level and isinstance(value, bool) == isinstance(level, bool) for level in known):
                near = suggestion(str(value), [str(level) for level in known])
                raise UserError(f"{self.source}: {key}: {factor} = {value!r} is not a level of that factor; {near}")
            chosen.append((factor, value))
        cell = Cell(tuple(chosen))
        if self.grid.get(cell) != "":
            state = f"is excluded ({self.grid[cell]})" if cell in self.grid else "is not among the cells listed"
            raise UserError(f"{self.source}: {key}: its arm {cell.label} {state}; compare other cells")
        return cell
