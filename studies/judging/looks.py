"""The claims for which a study goes on to its next look."""

from collections.abc import Sequence
from functools import partial

from studies.declared.claims.guarded import attempted
from studies.declared.study import Study
from studies.judging.judgement import Judgement
from studies.statistics.interim import level_per_look
from studies.statistics.power import chance_of_decision


def claims_to_pursue(study: Study, judgements: Sequence[Judgement], look: int) -> list[Judgement]:
    """Returns the judgements of claims that more seeds could decide.

    Such a claim is undecided and was tested at this look. If the study declares `futility`, the last look would also
    decide the claim with at least that probability. A claim that was last tested at an earlier look was given up there,
    or has lost a seed to a failed run since; it would lack seeds at every later look too.

    Args:
        look: the number of seeds at which the study was just judged.
    """
    undecided = [judgement for judgement in judgements if judgement.verdict == "inconclusive"]
    corrected_over = sum(judgement.verdict in ("inconclusive", "negligible") for judgement in judgements)
    level = level_per_look(study.declaration.level, study.declaration.looks) / max(1, corrected_over)
    return [judgement for judgement in undecided if _worth_pursuing(study, judgement, level, look)]


def _worth_pursuing(study: Study, judgement: Judgement, level: float, look: int) -> bool:
    test, claim, futility = judgement.test, judgement.claim, study.declaration.futility
    if test is None or test.scores_AxK.shape[1] < look or look >= study.seeds:
        return False
    if futility is None:
        return True
    further = study.seeds - look
    p_value = test.p_decided(level, ("supported", "contradicted"))
    estimate = partial(chance_of_decision, test.scores_AxK, further, test.comparison.effect, test.form, level, p_value)
    chance = attempted(claim, estimate)
    return isinstance(chance, str) or chance >= futility
