"""Checks that every claim of a study compares cells of the study, and that its seeds can decide all claims."""

from generators.foundation.errors import UserError
from generators.foundation.outside import PartFailed, note_once
from studies.declared.claims.claim import Claim
from studies.declared.claims.guarded import check_storable, comparison_of, guarded_claim, rehearse
from studies.declared.claims.table import CLAIMS
from studies.declared.measures import form_of
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
    tests = []
    for claim in usable_claims(study):
        comparison = comparison_of(claim, study)
        tests.append((claim, comparison.effect, form_of(declaration, claim, comparison)))
    if study.scale == SMOKE:
        return
    looks = check_looks(study)
    claims = len(declaration.claims)
    level = declaration.level / len(looks)
    reached = 0.0
    for claim, effect, form in tests:
        with guarded_claim(claim):
            reached = max(reached, claims * float(effect.smallest_p(looks[0], form)))
    if reached <= level and looks[0] >= SEEDS_MINIMUM:
        return
    fewest: list[int | None] = [SEEDS_MINIMUM]
    for claim, effect, form in tests:
        with guarded_claim(claim):
            fewest.append(effect.seeds_enough(level / claims, form))
    advice = "make fewer claims" if None in fewest else f"{max(filter(None, fewest))} seeds would do"
    if looks[0] < SEEDS_MINIMUM:
        raise UserError(f"{source}: seeds = {looks[0]}: a verdict needs at least {SEEDS_MINIMUM}; {advice}")
    counts = f"{claims} claims" + (f" and {len(looks)} looks" if len(looks) > 1 else "")
    raise UserError(
        f"{source}: seeds = {looks[0]}: with {counts} the smallest p the {declaration.test} test can give "
        f"is {reached:z.3f}, above the level of {level:zg}; {advice}"
    )


def usable_claims(study: Study) -> list[Claim]:
    """Returns the claims that can be judged.

    If a kind of claim from another package fails, a line on standard error names the claim. That claim will not be
    tested; the other claims still get their verdicts.

    Raises:
        UserError: a key of a claim is wrong.
        PartFailed: a claim cannot be stored with the study.
    """
    usable = []
    for claim in study.declaration.claims:
        if claim.kind in CLAIMS.rows:
            usable.append(claim)
            continue
        check_storable(claim, study.source)
        try:
            rehearse(claim, study, study.declaration.form)
        except PartFailed as failure:
            note_once(f"{study.source}: claims.{claim.name} will not be tested: {failure}")
        else:
            usable.append(claim)
    return usable


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
