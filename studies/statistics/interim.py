"""Adding seeds without fooling oneself: at which level a study may be judged now.

A study judged again and again while seeds are added finds a difference sooner or later. So it is judged once, at
its whole level; or at the numbers of seeds its file declares beforehand, `looks = [5, 10]`, each of which is
given an equal share of the level. The shares add up to the level, so whatever is found at any look is wrong with
probability at most the level, in whatever way the looks depend on each other (Bonferroni).

Spending little at first and most at the end (O'Brien and Fleming 1979; Lan and DeMets 1983) gives the last look
more power, but at half the seeds it leaves 0.0056 of a level of 0.05: five seeds an arm cannot give a p value below
0.0079, so the first look could never decide anything.
"""

from collections.abc import Mapping

from generators.foundation.errors import UserError


def share(level: float, looks: list[int] | None) -> float:
    """The part of a study's level that each of its looks is given."""
    return level / len(looks) if looks else level


def level_at(
    level: float, seeds: int, looks: list[int] | None, judged: Mapping[int, list[int] | None], where: str
) -> float:
    """The level at which a study may be judged with this many seeds.

    Args:
        level: the study's own.
        seeds: an arm has now.
        looks: numbers of seeds at which the study file says it is judged; None: once.
        judged: the looks taken before: number of seeds -> `looks` as the study file had them then.
        where: the file, named in the error.

    Raises:
        UserError: this look was not declared before the first one.
    """
    if looks is not None and seeds not in looks:
        raise UserError(f"{where}: seeds = {seeds}: not one of looks = {looks}; give one of them")
    for before, declared in judged.items():
        if declared != looks:
            then = f"looks = {declared}" if declared else "no looks declared"
            raise UserError(
                f"{where}: looks: this study was judged at {before} seeds with {then}; a look declared after another "
                "is none, so put it back as it was, or start a new study with other seeds"
            )
        if looks is None and before != seeds:
            raise UserError(
                f"{where}: seeds = {seeds}: this study was judged at {before} seeds, which spent its level; go back to "
                f"seeds = {before}, or declare looks = {sorted({before, seeds})} in a new study with other seeds"
            )
    return share(level, looks)
