"""The effect that each claim of a study could find, before anything runs."""

from functools import partial

from studies.declared.claims.claim import Claim
from studies.declared.claims.guarded import attempted, comparison_of
from studies.declared.measures import form_of
from studies.declared.study import Study
from studies.statistics.detectable import detectable_margin, detectable_text
from studies.statistics.exact import SEEDS_MINIMUM
from studies.statistics.forms.shares import SHARES
from studies.statistics.interim import level_per_look
from studies.statistics.power import POWER


def detectable_effects(study: Study) -> dict[str, str]:
    """Returns claim -> the smallest effect that it would find with 80% power, in words.

    Each claim is taken to be judged at the last look, and as strictly as Holm's correction may require.
    """
    return {claim.name: _effect_text(study, claim) for claim in study.declaration.claims}


def negligible_effects(study: Study) -> dict[str, str]:
    """Returns claim -> its range of negligible effects, and the scatter at which an effect of zero is recognised as
    negligible with 80% power at the last look, in words; claims without such a range are left out.
    """
    claims = [claim for claim in study.declaration.claims if claim.negligible is not None]
    return {claim.name: attempted(claim, partial(_negligible_text, study, claim)) for claim in claims}


def _negligible_text(study: Study, claim: Claim) -> str:
    assert claim.negligible is not None
    comparison, text = comparison_of(claim, study), f"an effect within ±{claim.negligible:zg}"
    form = form_of(study.declaration, claim, comparison)
    if study.seeds < SEEDS_MINIMUM or form is SHARES:
        return text
    margin = detectable_margin(comparison.effect, form, study.seeds, _strictest_level(study))
    if margin is None:
        return text
    return (
        f"{text}; zero is recognised as such with {POWER:z.0%} power if the standard deviation over seeds is at most "
        f"{claim.negligible / margin:z.2g}"
    )


def _strictest_level(study: Study) -> float:
    declaration = study.declaration
    return level_per_look(declaration.level, declaration.looks) / len(declaration.claims)


def _effect_text(study: Study, claim: Claim) -> str:
    if study.seeds < SEEDS_MINIMUM:
        return f"nothing, because a verdict needs at least {SEEDS_MINIMUM} seeds"
    declaration, level = study.declaration, _strictest_level(study)

    def text() -> str:
        comparison = comparison_of(claim, study)
        form, equivalence = form_of(declaration, claim, comparison), claim.margin_on_both_sides
        margin = 0.0 if equivalence else claim.margin or 0.0
        return detectable_text(comparison.effect, form, study.seeds, level, margin=margin, equivalence=equivalence)

    return attempted(claim, text)
