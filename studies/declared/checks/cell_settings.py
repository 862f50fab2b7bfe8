"""Checks of the settings that only some cells of a study have."""

from collections.abc import Sequence

from generators.foundation.errors import UserError
from studies.declared.study import Study


def check_cell_settings(scales: Sequence[Study]) -> None:
    """Refuses settings that fit no cell at any scale, and keys that a factor, tuning or the seed of a run decides.

    Settings of a scale without tuning may decide what is tuned at other scales.

    Args:
        scales: the study at each of its scales.

    Raises:
        UserError: names the table and the key.
    """
    declaration, source = scales[0].declaration, scales[0].source
    tuned = list(declaration.tuning.search)
    listed = [("settings", declaration.settings, scales, tuned)]
    for study in scales:
        own = declaration.scales[study.scale].settings
        listed.append((f"scales.{study.scale}.settings", own, [study], tuned if study.trials else []))
    for stem, tables, studies, searched in listed:
        decided = [*declaration.factors, *searched, "seed"]
        for number, table in enumerate(tables):
            if not any(cell.within(study.part(table.where)) for study in studies for cell in study.cells):
                raise UserError(f"{source}: {stem}.{number}: fits no cell; leave it out")
            for key in table.set:
                if key in decided or any(other.startswith(f"{key}.") for other in decided):
                    raise UserError(
                        f"{source}: {stem}.{number}.set: {key} is decided by a factor, by tuning or by the seed of a "
                        "run; leave it out"
                    )
