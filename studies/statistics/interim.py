"""Adding seeds without inflating errors: the level at which a study may be judged at a number of seeds.

A study that is judged again and again while seeds are added finds a difference sooner or later. So it is judged once,
at its whole level; or at the numbers of seeds that its file declares beforehand, `looks = [5, 10]`, each with an equal
share of the level. The shares add up to the level, so that the probability of any wrong finding at any look is at most
the level, however the looks depend on each other (Bonferroni).

A study goes from look to look by itself: it adds seeds to the cells of claims that are still undecided, and stops where
every claim is decided. A claim that was decided at an earlier look stays decided, and Holm's correction at later looks
is over those that are neither supported nor contradicted (Maurer & Bretz 2013, doi 10.1080/19466315.2013.807748). With
`futility = 0.1` it also stops adding seeds for a claim that the last look would decide with an estimated probability
below 0.1; stopping there can only lose findings, never make false ones.

Spending little of the level at first and most of it at the end (O'Brien and Fleming 1979; Lan and DeMets 1983) gives
the last look more power, but at half the seeds it leaves 0.0056 of a level of 0.05: five seeds per arm cannot give a p
value below 0.0079, so the first look could never decide anything.
"""

from collections.abc import Mapping

from generators.foundation.errors import UserError


def level_per_look(level: float, looks: list[int] | None) -> float:
    """Returns the significance level of each look: an equal share of the study's level."""
    return level / len(looks) if looks else level


def looks_until(seeds: int, looks: list[int] | None) -> list[int]:
    """Returns the numbers of seeds at which a study with this many seeds per arm is judged.

    A study with fewer seeds than its first look, as at scale smoke, is judged once, when all of them have run.
    """
    return [look for look in looks or [] if look <= seeds] or [seeds]


def level_at(
    level: float, seeds: int, looks: list[int] | None, judged: Mapping[int, list[int] | None], where: str
) -> float:
    """Returns the level at which a study may be judged with this many seeds.

    Args:
        level: the level of the study.
        seeds: the current number of seeds per arm.
        looks: numbers of seeds at which the study file declares a judgement; None if the study is judged once.
        judged: earlier looks: number of seeds -> the `looks` that the study file declared at that time.
        where: the file, named in the error.

    Raises:
        UserError: this look was not declared before the first one.
    """
    if looks is not None and seeds not in looks:
        raise UserError(f"{where}: seeds = {seeds}: not one of looks = {looks}; give one of them")
    for judged_seeds, declared_looks in judged.items():
        if declared_looks != looks:
            then = f"looks = {declared_looks}" if declared_looks else "no looks declared"
            raise UserError(
                f"{where}: looks: this study was judged at {judged_seeds} seeds with {then}; looks must be declared "
                "before the study is first judged, so restore them, or copy the file to a new name and give it "
                "another first_seed"
            )
        if looks is None and judged_seeds != seeds:
            raise UserError(
                f"{where}: seeds = {seeds}: this study was judged at {judged_seeds} seeds, which spent its level; "
                f"go back to seeds = {judged_seeds}, or declare looks = {sorted({judged_seeds, seeds})} in a copy "
                "of the file with a new name and another first_seed"
            )
    return level_per_look(level, looks)
