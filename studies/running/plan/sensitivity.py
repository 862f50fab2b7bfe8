"""The effect that each claim of a study could find, before anything runs."""

from studies.declared.claims.claim import Claim
from studies.declared.claims.guarded import attempted, comparison_of
from studies.declared.measures import form_of
from studies.declared.study import Study
from studies.statistics.detectable import detectable_text
from studies.statistics.exact import SEEDS_MINIMUM
from studies.statistics.interim import level_per_look


def detectable_effects(study: Study) -> dict[str, str]:
    """Returns claim -> the smallest effect that it would find with 80% power, in words.

    Each claim is taken to be judged at the last look, and as strictly as Holm's correction may require.
    """
    return {claim.name: _effect_text(study, claim) for claim in study.declaration.claims}


def _effect_text(study: Study, claim: Claim) -> str:
    if study.seeds < SEEDS_MINIMUM:
        return f"nothing, because a verdict needs at least {SEEDS_MINIMUM} seeds"
    declaration = study.declaration
    level = level_per_look(declaration.level, declaration.looks) / len(declaration.claims)

    def text() -> str:
        comparison = comparison_of(claim, study)
        form, equivalence = form_of(declaration, claim, comparison), claim.margin_on_both_sides
        margin = 0.0 if equivalence else claim.margin or 0.0
        return detectable_text(comparison.effect, form, study.seeds, level, margin=margin, equivalence=equivalence)

    return attempted(claim, text)
