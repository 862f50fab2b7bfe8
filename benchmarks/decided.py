"""Estimates how many published claims that were inconclusive the shipped looks, up to 24 seeds, would decide.

    python -m benchmarks.decided [ARCHIVE]...      by default every archive in reports/published

For each inconclusive claim, studies of 24 seeds are drawn on the basis of the published scores (`Form.further_scores`).
They are judged at 6, 12 and 24 seeds (those of the paired form at 12 and 24), at the level of each look divided by the
number of claims of the study. A claim that is negligible by then is decided too. The estimate takes the published
scores for the truth.
"""

import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from benchmarks.verdicts import percent, print_table
from studies.judging.judgement import ClaimTest
from studies.ledger.archive import unpack
from studies.ledger.declared_study import find_study
from studies.reading.judged import read_judged
from studies.statistics.forms.form import Scores
from studies.statistics.forms.paired import PAIRED
from studies.statistics.interim import level_per_look
from studies.statistics.power import PValue, approximate_p

PUBLISHED = Path(__file__).parents[1] / "reports" / "published"
LOOKS = [6, 12, 24]
STUDIES = 400


@dataclass(frozen=True)
class OpenClaim:
    """An inconclusive claim, and the share of simulated studies that decide it by each number of seeds."""

    study: str
    claim: str
    seeds: int
    decided: list[float]


def shares_decided(test: ClaimTest, claims: int, level: float) -> list[float]:
    """Returns the share of simulated studies that decide a claim by the first, the second and the third look."""
    looks = [look for look in LOOKS if test.form is not PAIRED or look > LOOKS[0]]
    scores_RxAxK = test.form.further_scores(np.random.default_rng(0), test.scores_AxK, STUDIES, LOOKS[-1])
    threshold, effect = level_per_look(level, looks) / claims, test.comparison.effect

    def p_decided(above: PValue, below: PValue) -> Scores:
        return np.minimum(np.minimum(*test.claim.p_values(above, below)), test.claim.p_negligible(above, below))

    decided_R, shares = np.zeros(STUDIES, dtype=bool), []
    for look in LOOKS:
        if look in looks:
            decided_R |= approximate_p(scores_RxAxK[:, :, :look], effect, test.form, p_decided) <= threshold
        shares.append(float(decided_R.mean()))
    return shares


def open_claims(archive: Path, home: Path) -> list[OpenClaim]:
    """Returns the inconclusive claims of a published study."""
    name, scale, _ = unpack(archive, home)
    judged = read_judged(home, find_study(home, name, scale))
    declaration = judged.study.declaration
    return [
        OpenClaim(
            judged.study.name,
            judgement.claim.name,
            judged.study.seeds,
            shares_decided(judgement.test, len(declaration.claims), declaration.level),
        )
        for judgement in judged.judgements
        if judgement.verdict == "inconclusive" and judgement.test is not None
    ]


def main(archives: list[Path]) -> None:
    """Prints the claims, and how many of them are likely to be decided."""
    with tempfile.TemporaryDirectory() as home:
        claims = [claim for archive in archives for claim in open_claims(archive, Path(home))]
    rows = [[claim.study, claim.claim, str(claim.seeds), *map(percent, claim.decided)] for claim in claims]
    heads = ["study", "claim", "seeds so far", *(f"decided by {look} seeds" for look in LOOKS)]
    print_table("Share of simulated studies that decide a claim that was inconclusive", heads, rows)
    shares = np.array([claim.decided for claim in claims])
    expected, likely = shares.sum(axis=0), (shares >= 0.8).sum(axis=0)
    rows = [[str(look), f"{expected[i]:.1f}", str(likely[i])] for i, look in enumerate(LOOKS)]
    heads = ["seeds", f"expected number decided, of {len(claims)}", "decided with 80% probability"]
    print_table("Claims that were inconclusive", heads, rows)


if __name__ == "__main__":
    main([Path(name) for name in sys.argv[1:]] or sorted(PUBLISHED.glob("*.tar.xz")))
