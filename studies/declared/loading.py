"""From a study file to a study: read, at a scale, and refused as a whole where any of it is wrong."""

from itertools import combinations
from math import prod
from pathlib import Path

from generators.foundation.errors import UserError
from generators.foundation.settings import read_toml, split_assignment, suggestion, validate
from generators.table import build_task
from lab.run.finetuning import planned
from lab.run.spec import RunSpec, parse_spec
from studies.declared.collection import collections
from studies.declared.levels import Level, assign, copied, flat
from studies.declared.measures import examine_measure, main_measure, measure_of
from studies.declared.study import Cell, Declaration, Study
from studies.statistics.exact import SEEDS_MINIMUM
from studies.statistics.interim import level_at

CATALOG = Path(__file__).parents[1] / "catalog"
CELLS_MAXIMUM = 10_000
NETWORKS_MAXIMUM = 200
SMOKE = "smoke"
"""The scale that only shows that a study runs; its seeds need not be able to decide anything."""


def declared(path: Path) -> Declaration:
    """A study file, read and validated by itself."""
    return validate(Declaration, read_toml(path), str(path))


def load(name: str, scale: str, assignments: list[str]) -> Study:
    """A study by catalog name or path, at a scale, with `--set` assignments on its base spec.

    Raises:
        UserError: a sentence that names file, key, value and what would be right.
    """
    path = locate(name)
    declaration = declared(path)
    if scale not in declaration.scales:
        raise UserError(f"{path}: --scale {scale}: no such scale; {suggestion(scale, list(declaration.scales))}")
    studies = {each: at_scale(path, declaration, each, assignments) for each in declaration.scales}
    for study in studies.values():
        examine_settings(study)
        if study.scale != scale:
            specs_of(study, covering(study.cells, 1))
    examine_rules(list(studies.values()))
    examine(studies[scale])
    return studies[scale]


def at_scale(path: Path, declaration: Declaration, scale: str, assignments: list[str]) -> Study:
    """A declaration with a scale's changes and `--set` assignments, not yet examined."""
    chosen = declaration.scales[scale]
    search = declaration.tuning.search
    if unknown := [key for key in chosen.search if key not in search]:
        raise UserError(
            f"{path}: scales.{scale}.search.{unknown[0]}: is not tuned at other scales; "
            f"{suggestion(unknown[0], list(search))}"
        )
    tuning = declaration.tuning.model_copy(update={"search": search | chosen.search})
    declaration = declaration.model_copy(update={"tuning": tuning})
    base = copied(declaration.base)
    changes = [(f"{path}: scales.{scale}.set", *change) for change in chosen.set.items()]
    changes += [("--set", *split_assignment(assignment)) for assignment in assignments]
    for where, key, value in changes:
        if key in declaration.factors:
            raise UserError(f"{where}: {key} is a factor of {path.stem}; its levels stand in the study file")
        if whole := [factor for factor in declaration.levels if key.startswith(f"{factor}.")]:
            raise UserError(
                f"{where}: {key} is part of {whole[0]}, a factor of {path.stem} whose levels are tables; "
                f"they stand in the study file, under levels.{whole[0]}"
            )
        assign(base, key, value, where)
    return Study(
        name=path.stem,
        scale=scale,
        source=str(path),
        declaration=declaration,
        assignments=tuple(assignments),
        base=base,
        factors=declaration.factors | chosen.factors,
        seeds=chosen.seeds or declaration.seeds,
        trials=chosen.trials or declaration.tuning.trials,
    )


def locate(name: str) -> Path:
    """The file of a study: a path as it is, or a name in the catalog."""
    if name.endswith(".toml") or "/" in name:
        return Path(name)
    if not (CATALOG / f"{name}.toml").exists():
        near = suggestion(name, [*catalog(), *collections()])
        raise UserError(f"study {name!r}: not in the catalog; {near}, or give the path of a .toml file")
    return CATALOG / f"{name}.toml"


def catalog() -> list[str]:
    """Names of the studies that are shipped."""
    return sorted(path.stem for path in CATALOG.glob("*.toml"))


def examine_tables(study: Study) -> None:
    """Refuse a level without its table, a table without its level, and what a table would silently replace."""
    declaration, source = study.declaration, study.source
    grids = [declaration.factors, *(scale.factors for scale in declaration.scales.values())]
    for key, tables in declaration.levels.items():
        if key not in declaration.factors:
            near = suggestion(key, list(declaration.factors))
            raise UserError(f"{source}: levels.{key}: no such factor; {near}")
        if nameless := [level for level in study.factors[key] if level not in tables]:
            near = suggestion(str(nameless[0]), list(tables))
            raise UserError(f"{source}: factors.{key} = {nameless[0]!r}: no table levels.{key}.{nameless[0]}; {near}")
        if unused := [name for name in tables if all(name not in grid.get(key, ()) for grid in grids)]:
            raise UserError(
                f"{source}: levels.{key}.{unused[0]}: no factor uses this table; "
                f'add "{unused[0]}" to factors.{key}, or leave it out'
            )
        if any(inside == key or inside.startswith(f"{key}.") for inside in flat(study.base)):
            raise UserError(
                f"{source}: base.{key}: the tables under levels.{key} take its place whole; "
                "put what all of them share into each, and leave it out"
            )


def examine_settings(study: Study) -> None:
    """Refuse settings that are none, at any scale, before anything is built."""
    declaration, source = study.declaration, study.source
    for key in declaration.factors:
        if key == "seed":
            raise UserError(f"{source}: factors.seed: seeds are the study's own; give their number as seeds")
        if key in declaration.tuning.search:
            raise UserError(f"{source}: factors.{key}: is tuned too, under tuning.search; it should be one of the two")
    for key, levels in study.factors.items():
        if key not in declaration.factors:
            near = suggestion(key, list(declaration.factors))
            raise UserError(f"{source}: scales.{study.scale}.factors.{key}: no such factor; {near}")
        if not levels:
            raise UserError(f"{source}: factors.{key} = []: should have at least one level")
        if len(set(levels)) < len(levels):
            raise UserError(f"{source}: factors.{key} = {levels}: a level stands there twice")
    examine_tables(study)
    if (cells := sum(prod(map(len, part.values())) for part in study.parts)) > CELLS_MAXIMUM:
        raise UserError(f"{source}: factors: {cells:,} cells; should be at most {CELLS_MAXIMUM:,}")
    examine_parts(study)
    for key, span in declaration.tuning.search.items():
        if not span.low < span.high or (span.log and span.low <= 0):
            raise UserError(
                f"{source}: tuning.search.{key}: low = {span.low} should be below high = {span.high}, above 0 if log"
            )
    if "seed" in study.base:
        raise UserError(f"{source}: base.seed: seeds are the study's own; leave it out")
    # What a factor or tuning will replace has to be right too: it is read by people.
    base = copied(study.base)
    for key, value in study.changes(study.cells[0], study.middle):
        if key not in flat(base):
            assign(base, key, value, source)
    parse_spec({**base, "seed": 0}, f"{source}, base at scale {study.scale}")


def examine_parts(study: Study) -> None:
    """Refuse parts of the grid that name no factor or level, and a grid of which nothing is left."""
    declaration, source = study.declaration, study.source
    grids = [declaration.factors, *(scale.factors for scale in declaration.scales.values())]
    parts = [(f"exclude.{number}.where", rule.where) for number, rule in enumerate(declaration.exclude)]
    parts += [(f"cells.{number}", part) for number, part in enumerate(declaration.cells)]
    own = declaration.scales[study.scale].cells
    parts += [(f"scales.{study.scale}.cells.{number}", part) for number, part in enumerate(own)]
    for where, part in parts:
        for key, asked in part.items():
            if key not in study.factors:
                raise UserError(f"{source}: {where}.{key}: no such factor; {suggestion(key, list(study.factors))}")
            known = [level for grid in grids for level in grid.get(key, [])]
            for level in asked if isinstance(asked, list) else [asked]:
                if level not in (*known, "first", "last"):
                    near = suggestion(str(level), list(dict.fromkeys(map(str, known))))
                    raise UserError(f"{source}: {where}.{key} = {level!r}: not a level of that factor; {near}")
    if not study.cells:
        what = "every cell is excluded" if study.grid else "none of the cells that are listed is in the grid"
        raise UserError(f"{source}: scale {study.scale}: {what}; leave at least two to compare")


def examine_rules(scales: list[Study]) -> None:
    """Refuse a rule that leaves out nothing at any scale."""
    for number, rule in enumerate(scales[0].declaration.exclude):
        parts = [(study, study.part(rule.where)) for study in scales]
        if not any(cell.within(part) for study, part in parts for cell in study.grid):
            raise UserError(
                f"{scales[0].source}: exclude.{number} ({rule.reason}): fits no cell at any scale; leave it out"
            )


def covering(cells: list[Cell], together: int) -> list[Cell]:
    """Cells enough that whatever levels so many factors have together in one of them all, they have in one of these."""
    seen: set[tuple[tuple[str, Level], ...]] = set()
    chosen = []
    for cell in cells:
        shown = set(combinations(cell.levels, min(together, len(cell.levels))))
        if not shown <= seen:
            seen |= shown
            chosen.append(cell)
    return chosen


def specs_of(study: Study, cells: list[Cell]) -> dict[Cell, RunSpec]:
    """The specs of cells, tuned settings in the middle.

    Raises:
        UserError: a cell is no spec, or two are the same.
    """
    specs = {cell: study.spec(cell, study.middle, 0) for cell in cells}
    seen: dict[str, Cell] = {}
    for cell, spec in specs.items():
        same = seen.setdefault(repr(spec), cell)
        if same is not cell:
            raise UserError(
                f"{study.source}: cells {same.label} and {cell.label} are the same run: levels of equal content; "
                "leave one out"
            )
    return specs


def examine(study: Study) -> None:
    """Refuse what could not run, or could not decide its claims, before anything does.

    Networks beyond NETWORKS_MAXIMUM are built only so far that any two levels are met together.
    """
    declaration, source = study.declaration, study.source
    main = main_measure(declaration)
    specs = specs_of(study, study.cells)
    different = {shape_of(spec): cell for cell, spec in reversed(specs.items())}
    cells = list(reversed(different.values()))
    for cell in cells if len(cells) <= NETWORKS_MAXIMUM else covering(cells, 2):
        network, task = planned(specs[cell], f"{source}, cell {cell.label}"), build_task(specs[cell].task)
        if declaration.shortcut is not None and declaration.shortcut not in task.shortcuts:
            near = suggestion(declaration.shortcut, list(task.shortcuts))
            raise UserError(f"{source}: shortcut = {declaration.shortcut!r}: the task has no such shortcut; {near}")
        examine_measure(main, task, network, f"{source}: ")
        if main.analysis:
            raise UserError(
                f"{source}: metric = {main.metric!r}: is for claims, as tuning reads validation; give a score or a loss"
            )
    if declaration.shortcut is not None and declaration.metric != "accuracy":
        raise UserError(
            f"{source}: shortcut = {declaration.shortcut!r}: has an accuracy, token by token, which "
            f"metric = {declaration.metric!r} is not to be read beside; leave it out"
        )
    examine_claims(study)
    labelled = {cell.label: specs[cell] for cell in study.cells}
    for claim in declaration.claims:
        if (wanted := measure_of(declaration, claim)) != main:
            for label in claim.comparison(study).cells:
                task, network = build_task(labelled[label].task), planned(labelled[label])
                examine_measure(wanted, task, network, f"{source}: claims.{claim.name}.")


def shape_of(spec: RunSpec) -> str:
    """What decides a run's network: two specs that share it differ in training alone."""
    start = spec.start and (spec.start.freeze, shape_of(spec.start.run))
    return repr((spec.task, spec.model, spec.objective, start))


def examine_claims(study: Study) -> None:
    """Refuse claims that say nothing, or that the study's seeds could not decide."""
    declaration, source = study.declaration, study.source
    names = [claim.name for claim in declaration.claims]
    if len(set(names)) < len(names):
        raise UserError(f"{source}: claims: a name stands there twice: {', '.join(names)}")
    compared = [claim.comparison(study) for claim in declaration.claims]
    if study.scale == SMOKE:
        return
    looks = examine_looks(study)
    level = declaration.level / len(looks)
    reached = max(one.effect.smallest_p(looks[0], declaration.form) for one in compared) * len(compared)
    if reached <= level and looks[0] >= SEEDS_MINIMUM:
        return
    each = [one.effect.seeds_enough(level / len(compared), declaration.form) for one in compared]
    enough = "make fewer claims" if None in each else f"{max(filter(None, each))} seeds would do"
    if looks[0] < SEEDS_MINIMUM:
        raise UserError(f"{source}: seeds = {looks[0]}: a verdict needs at least {SEEDS_MINIMUM}; {enough}")
    counted = f"{len(compared)} claims" + (f" and {len(looks)} looks" if len(looks) > 1 else "")
    raise UserError(
        f"{source}: seeds = {looks[0]}: with {counted} the smallest p the {declaration.test} test can give "
        f"is {reached:.3f}, above the level of {level:g}; {enough}"
    )


def examine_looks(study: Study) -> list[int]:
    """The numbers of seeds at which a study is judged, refused where they are none."""
    looks, source = study.declaration.looks, study.source
    if looks is None:
        return [study.seeds]
    if looks != sorted(set(looks)) or looks[0] < 1:
        raise UserError(f"{source}: looks = {looks}: should be numbers of seeds, each larger than the one before")
    level_at(study.declaration.level, study.seeds, looks, {}, source)
    return looks
