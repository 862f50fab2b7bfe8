"""Checks of a study's factors, levels, tables and parts of the grid, before any run is built."""

from math import prod

from generators.foundation.errors import UserError
from generators.foundation.settings import suggestion
from lab.run.spec import parse_spec
from studies.declared.levels import changed, flat
from studies.declared.study import Study

CELLS_MAXIMUM = 10_000


def check_settings(study: Study) -> None:
    """Checks everything about a study at one scale that can be checked without building a network.

    Raises:
        UserError: names the first mistake.
    """
    if study.trials and not study.declaration.tuning.search:
        raise UserError(
            f"{study.source}: scales.{study.scale}.trials = {study.trials}: the study has no [tuning] with search, the "
            "range of each setting that is tuned; add it, or leave trials out"
        )
    check_factors(study)
    check_tables(study)
    if (cells := sum(prod(map(len, part.values())) for part in study.parts)) > CELLS_MAXIMUM:
        raise UserError(f"{study.source}: factors: {cells:,} cells; should be at most {CELLS_MAXIMUM:,}")
    check_parts(study)
    check_base(study)


def check_factors(study: Study) -> None:
    """Refuses factors that are also tuned or that other scales do not have, and empty or repeated levels."""
    declaration, source = study.declaration, study.source
    for key in declaration.factors:
        if key == "seed":
            raise UserError(f"{source}: factors.seed: every run is given its seed; give the number of seeds as seeds")
        if key in declaration.tuning.search:
            raise UserError(f"{source}: factors.{key}: is tuned too, under tuning.search; it should be one of the two")
    for key, levels in study.factors.items():
        if key not in declaration.factors:
            near = suggestion(key, list(declaration.factors))
            raise UserError(f"{source}: scales.{study.scale}.factors.{key}: no such factor; {near}")
        if not levels:
            raise UserError(f"{source}: factors.{key} = []: should have at least one level")
        if len(set(levels)) < len(levels):
            raise UserError(f"{source}: factors.{key} = {levels}: lists a level twice")


def check_tables(study: Study) -> None:
    """Refuses a level without its table, a table without its level, and base settings that a table would replace."""
    declaration, source = study.declaration, study.source
    for key, tables in declaration.levels.items():
        if key not in declaration.factors:
            near = suggestion(key, list(declaration.factors))
            raise UserError(f"{source}: levels.{key}: no such factor; {near}")
        if nameless := [level for level in study.factors[key] if level not in tables]:
            near = suggestion(str(nameless[0]), list(tables))
            raise UserError(f"{source}: factors.{key} = {nameless[0]!r}: no table levels.{key}.{nameless[0]}; {near}")
        if unused := [name for name in tables if all(name not in grid.get(key, ()) for grid in declaration.grids())]:
            raise UserError(
                f"{source}: levels.{key}.{unused[0]}: no factor uses this table; "
                f'add "{unused[0]}" to factors.{key}, or leave it out'
            )
        if any(inside == key or inside.startswith(f"{key}.") for inside in flat(study.base)):
            raise UserError(
                f"{source}: base.{key}: the tables under levels.{key} replace it whole; "
                "repeat in every table what they share, and leave it out"
            )


def check_parts(study: Study) -> None:
    """Refuses parts of the grid that name an unknown factor or level, and a grid from which every cell is excluded."""
    declaration, source = study.declaration, study.source
    parts = [(f"exclude.{number}.where", rule.where) for number, rule in enumerate(declaration.exclude)]
    parts += [(f"cells.{number}", part) for number, part in enumerate(declaration.cells)]
    parts += [(f"settings.{number}.where", table.where) for number, table in enumerate(study.cell_settings)]
    own = declaration.scales[study.scale].cells
    parts += [(f"scales.{study.scale}.cells.{number}", part) for number, part in enumerate(own)]
    for where, part in parts:
        for key, levels in part.items():
            if key not in study.factors:
                raise UserError(f"{source}: {where}.{key}: no such factor; {suggestion(key, list(study.factors))}")
            known = [level for grid in declaration.grids() for level in grid.get(key, [])]
            for level in levels if isinstance(levels, list) else [levels]:
                if level not in (*known, "first", "last"):
                    near = suggestion(str(level), list(dict.fromkeys(map(str, known))))
                    raise UserError(f"{source}: {where}.{key} = {level!r}: not a level of that factor; {near}")
    if not study.cells:
        reason = "every cell is excluded" if study.grid else "no cell listed is in the grid"
        raise UserError(f"{source}: scale {study.scale}: {reason}; leave at least two to compare")


def check_base(study: Study) -> None:
    """Refuses wrong base settings, even those that a factor or tuning replaces, because people read them."""
    known = flat(study.base)
    missing = [change for change in study.changes(study.cells[0], study.middle) if change[0] not in known]
    tree = changed(study.base, missing, study.source)
    place = " ".join([f"base at scale {study.scale}", *(f"--set {assignment}" for assignment in study.assignments)])
    parse_spec({**tree, "seed": 0}, f"{study.source}, {place}")


def check_exclusions(scales: list[Study]) -> None:
    """Refuses a rule that excludes no cell at any scale."""
    for number, rule in enumerate(scales[0].declaration.exclude):
        parts = [(study, study.part(rule.where)) for study in scales]
        if not any(cell.within(part) for study, part in parts for cell in study.grid):
            raise UserError(
                f"{scales[0].source}: exclude.{number} ({rule.reason}): fits no cell at any scale; leave it out"
            )
