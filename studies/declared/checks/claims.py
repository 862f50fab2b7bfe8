"""Checks of a study's claims: each compares cells of the study, and its seeds can decide all of them."""

from generators.foundation.errors import UserError
from studies.declared.scales import SMOKE
from studies.declared.study import Study
from studies.statistics.exact import SEEDS_MINIMUM
from studies.statistics.interim import level_at


def check_claims(study: Study) -> None:
    """Refuses claims that compare nothing, and claims that the study's seeds could not decide.

    Raises:
        UserError: gives the number of seeds that would be enough.
    """
    declaration, source = study.declaration, study.source
    names = [claim.name for claim in declaration.claims]
    if len(set(names)) < len(names):
        raise UserError(f"{source}: claims: two have the same name: {', '.join(names)}")
    effects = [claim.comparison(study).effect for claim in declaration.claims]
    if study.scale == SMOKE:
        return
    looks = check_looks(study)
    level = declaration.level / len(looks)
    reached = max(effect.smallest_p(looks[0], declaration.form) for effect in effects) * len(effects)
    if reached <= level and looks[0] >= SEEDS_MINIMUM:
        return
    fewest = [effect.seeds_enough(level / len(effects), declaration.form) for effect in effects]
    advice = "make fewer claims" if None in fewest else f"{max(filter(None, fewest))} seeds would do"
    if looks[0] < SEEDS_MINIMUM:
        raise UserError(f"{source}: seeds = {looks[0]}: a verdict needs at least {SEEDS_MINIMUM}; {advice}")
    counts = f"{len(effects)} claims" + (f" and {len(looks)} looks" if len(looks) > 1 else "")
    raise UserError(
        f"{source}: seeds = {looks[0]}: with {counts} the smallest p the {declaration.test} test can give "
        f"is {reached:z.3f}, above the level of {level:zg}; {advice}"
    )


def check_looks(study: Study) -> list[int]:
    """Returns the numbers of seeds at which a study is judged.

    Raises:
        UserError: they do not increase, or the study's seeds are not among them.
    """
    looks, source = study.declaration.looks, study.source
    if looks is None:
        return [study.seeds]
    if looks != sorted(set(looks)) or looks[0] < 1:
        raise UserError(f"{source}: looks = {looks}: should be numbers of seeds, each larger than the one before")
    level_at(study.declaration.level, study.seeds, looks, {}, source)
    return looks
