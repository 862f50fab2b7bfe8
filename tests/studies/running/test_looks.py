"""A study with looks adds seeds by itself, only to cells that need them, and stops where nothing is left to decide."""

import signal
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from generators.foundation.errors import UserError
from generators.foundation.settings import Tree
from lab.run.spec import RunSpec
from studies.declared.loading import declare
from studies.declared.study import Study
from studies.judging.judge import judge
from studies.judging.judgement import Judgement
from studies.ledger.folder import StudyFolder
from studies.ledger.records import CellRecord
from studies.running.coordinator import Interrupted
from studies.running.executors.executor import Analyses
from studies.running.sweep import Sweep
from studies.statistics.power import chance_of_decision
from tests.studies.conftest import Edit
from tests.studies.running.scored_runs import ScoredRuns, Scores

LOOKS = ("seeds = 5\n", "seeds = 12\nlooks = [5, 8, 12]\n")
FUTILITY = ("seeds = 5\n", "seeds = 12\nlooks = [5, 8, 12]\nfutility = 0.1\n")
SAME_DIFFERENCE = ('kind = "equivalence"\nmargin = 0.1\n', 'kind = "difference"\n')

Score = Callable[[int, int, int], float]
"""Width, n and seed -> the score of a run."""


def scores(score: Score) -> Callable[[Tree], Scores]:
    """Returns the scores of runs by their specs, equal on the two splits."""

    def scored(tree: Tree) -> Scores:
        value = score(tree["model"]["width"], tree["objective"]["n"], tree["seed"] % 2**30)
        return {split: {"accuracy": value} for split in ("validation", "test")}

    return scored


class Outcome:
    """A study after it ran: its verdicts, its cells, and what it said."""

    def __init__(self, study: Study, home: Path, score: Score) -> None:
        self.sentences: list[str] = []
        sweep = Sweep(study, home, lambda event: None, announce=self.sentences.append)
        self.judgements: list[Judgement] = sweep.run(ScoredRuns(home, scores(score)))
        self.cells: list[CellRecord] = StudyFolder(home, study.name, study.scale).read_ledger().cells
        self.runs, self.done = sweep.runs, sweep.done

    @property
    def seeds(self) -> dict[str, int]:
        """The number of confirming runs of each cell."""
        return {cell.label: len(cell.confirmed()) for cell in self.cells}

    @property
    def verdicts(self) -> list[tuple[str, int]]:
        """The verdict of each claim, and the number of seeds it rests on."""
        return [(judgement.verdict, len(judgement.by_seed)) for judgement in self.judgements]


def noise(width: int, n: int, seed: int) -> float:
    return float(np.random.default_rng([width, n, seed]).uniform(-1e-3, 1e-3))


def one_large_effect(width: int, n: int, seed: int) -> float:
    """Two heads are far better at width 8; at width 16 they are not, and seeds differ by more than 0.1."""
    return 0.2 + 0.5 * (n == 2) + noise(width, n, seed) if width == 8 else 0.5 + 300 * noise(width, n, seed)


def test_seeds_are_added_for_undecided_claims_alone(study_file: Edit, tmp_path: Path) -> None:
    outcome = Outcome(declare(str(study_file(LOOKS)), "cpu", []), tmp_path, one_large_effect)
    assert outcome.seeds == {"width=8 n=1": 5, "width=8 n=2": 5, "width=16 n=1": 12, "width=16 n=2": 12}
    assert outcome.verdicts == [("supported", 5), ("inconclusive", 12)]
    assert "at the look at 5 seeds" in outcome.judgements[0].reason
    assert [cell.saved for cell in outcome.cells] == [7, 7, 0, 0]
    assert outcome.done == outcome.runs == 4 * (2 + 12) - 14
    assert outcome.sentences == [
        "look at 5 seeds: same not decided yet; going on to 8 seeds",
        "look at 8 seeds: same not decided yet; going on to 12 seeds",
    ]


def test_a_study_stops_where_every_claim_is_decided(study_file: Edit, tmp_path: Path) -> None:
    study = declare(str(study_file(LOOKS)), "cpu", [])
    outcome = Outcome(
        study, tmp_path, lambda width, n, seed: 0.2 + 0.5 * (n == 2 and width == 8) + noise(width, n, seed)
    )
    assert set(outcome.seeds.values()) == {5}
    assert outcome.verdicts == [("supported", 5), ("supported", 5)]
    assert outcome.sentences == []


def test_it_stops_where_the_last_look_would_hardly_decide_anything(study_file: Edit, tmp_path: Path) -> None:
    """At width 16 both arms scatter by 0.1 around one mean: the claim of a difference is given up."""

    def score(width: int, n: int, seed: int) -> float:
        return one_large_effect(width, n, seed) if width == 8 else 0.5 + 0.1 * (-1) ** seed + noise(width, n, seed)

    for edit, seeds in ((LOOKS, 12), (FUTILITY, 5)):
        study = declare(str(study_file(edit, SAME_DIFFERENCE)), "cpu", [])
        outcome = Outcome(study, tmp_path / str(seeds), score)
        assert outcome.seeds["width=16 n=1"] == outcome.seeds["width=16 n=2"] == seeds
        assert outcome.verdicts[1] == ("inconclusive", seeds)
    assert outcome.sentences == ["look at 5 seeds: no more seeds are added for the claims that are not decided"]


def test_futility_gives_up_no_claim_that_more_seeds_will_decide(study_file: Edit, tmp_path: Path) -> None:
    """The difference is too small for five seeds and large enough for twelve."""

    def score(width: int, n: int, seed: int) -> float:
        if width == 8:
            return one_large_effect(width, n, seed)
        return 0.5 + 0.05 * (n == 2) + 0.04 * float(np.random.default_rng([7, n, seed]).standard_normal())

    outcome = Outcome(declare(str(study_file(FUTILITY, SAME_DIFFERENCE)), "cpu", []), tmp_path, score)
    (_, first), (verdict, seeds) = outcome.verdicts
    assert first == 5
    assert verdict == "supported"
    assert seeds > 5


def test_the_same_command_again_comes_to_the_same_verdicts(study_file: Edit, tmp_path: Path) -> None:
    study = declare(str(study_file(LOOKS)), "cpu", [])
    first, again = (Outcome(study, tmp_path, one_large_effect) for _ in range(2))
    assert [judgement.record() for judgement in first.judgements] == [
        judgement.record() for judgement in again.judgements
    ]
    assert first.cells == again.cells


def test_at_later_looks_the_correction_is_over_the_claims_still_open(study_file: Edit) -> None:
    study = declare(str(study_file(LOOKS, SAME_DIFFERENCE)), "cpu", [])
    by_cell = {
        cell.label: {seed: one_large_effect(*dict(cell.levels).values(), seed) for seed in range(12)}  # type: ignore[call-arg]
        for cell in study.cells
    }
    decided, still_open = judge(study, by_cell)
    assert "over 2 claims" in decided.reason
    assert "over 1 claim," in still_open.reason
    assert decided.level == pytest.approx(0.05 / 3 / 2)
    assert still_open.level == pytest.approx(0.05 / 3)
    assert still_open.p is not None
    assert still_open.p < 1.0
    assert still_open.p_corrected == pytest.approx(still_open.p)


def test_two_claims_that_are_open_at_the_last_look_are_corrected_for_each_other(study_file: Edit) -> None:
    study = declare(str(study_file(LOOKS, SAME_DIFFERENCE)), "cpu", [])

    def score(width: int, n: int, seed: int) -> float:
        return (0.3 if width == 8 else 0.2) * (n == 2) + 0.5 * (-1) ** seed + noise(width, n, seed)

    by_cell = {
        cell.label: {seed: score(*dict(cell.levels).values(), seed) for seed in range(12)}  # type: ignore[call-arg]
        for cell in study.cells
    }
    smaller, larger = judge(study, by_cell)
    assert (smaller.verdict, larger.verdict) == ("inconclusive", "inconclusive")
    assert smaller.p is not None
    assert larger.p is not None
    assert smaller.p < larger.p < 0.5
    assert smaller.p_corrected == pytest.approx(2 * smaller.p)
    assert larger.p_corrected == pytest.approx(max(2 * smaller.p, larger.p))


def test_a_decided_claim_stays_decided_whatever_later_seeds_say(study_file: Edit) -> None:
    study = declare(str(study_file(LOOKS, SAME_DIFFERENCE)), "cpu", [])
    by_cell = {
        cell.label: {
            seed: (0.5 if seed < 5 and dict(cell.levels)["objective.n"] == 2 else 0.0) + noise(0, seed, seed)
            for seed in range(12)
        }
        for cell in study.cells
    }
    assert [(judgement.verdict, len(judgement.by_seed)) for judgement in judge(study, by_cell)] == [
        ("supported", 5)
    ] * 2


def test_a_seed_that_failed_leaves_its_claim_untested_and_adds_none(study_file: Edit, tmp_path: Path) -> None:
    study = declare(str(study_file(LOOKS)), "cpu", [])

    def fails(tree: Tree) -> Scores | None:
        failed = tree["model"]["width"] == 16 and tree["objective"]["n"] == 2 and tree["seed"] == 3
        return None if failed else scores(one_large_effect)(tree)

    sweep = Sweep(study, tmp_path, lambda event: None)
    judgements = sweep.run(ScoredRuns(tmp_path, fails))
    assert [judgement.contrast is None for judgement in judgements] == [False, True]
    assert "4 of 5 in width=16 n=2" in judgements[1].reason
    assert {len(record.confirmed()) for record in sweep.records} == {4, 5}


def test_a_claim_that_was_given_up_is_not_taken_up_again_when_another_is_decided(
    study_file: Edit, tmp_path: Path
) -> None:
    """The claim about width 16 is given up at 5 seeds at half the level, and would not be at the whole of it."""
    floor = 0.15

    def score(width: int, n: int, seed: int) -> float:
        deviation = float(np.random.default_rng([15, width, n, seed]).standard_normal())
        return 0.5 + 0.1 * deviation + (0.2 if width == 8 else 0.09) * (n == 2)

    futility = (FUTILITY[0], FUTILITY[1].replace("0.1", str(floor)))
    outcome = Outcome(declare(str(study_file(futility, SAME_DIFFERENCE)), "cpu", []), tmp_path, score)
    assert outcome.verdicts == [("supported", 8), ("inconclusive", 5)]
    assert outcome.seeds == {"width=8 n=1": 8, "width=8 n=2": 8, "width=16 n=1": 5, "width=16 n=2": 5}
    assert outcome.done == outcome.runs
    test = outcome.judgements[1].test
    assert test is not None
    at_half, at_whole = (
        chance_of_decision(
            test.scores_AxK,
            7,
            test.comparison.effect,
            test.form,
            level,
            test.p_decided(level, ("supported", "contradicted")),
        )
        for level in (0.05 / 3 / 2, 0.05 / 3)
    )
    assert at_half < floor < at_whole


@pytest.mark.parametrize(("looks", "lost", "confirmed"), [([5, 8, 12], 6, [5, 5, 8, 7]), ([5, 6, 7], 5, [5, 5, 6, 5])])
def test_a_claim_that_loses_a_seed_at_a_later_look_gets_no_more(
    looks: list[int], lost: int, confirmed: list[int], study_file: Edit, tmp_path: Path
) -> None:
    study = declare(str(study_file((LOOKS[0], f"seeds = {looks[-1]}\nlooks = {looks}\n"))), "cpu", [])

    def fails(tree: Tree) -> Scores | None:
        failed = tree["model"]["width"] == 16 and tree["objective"]["n"] == 2 and tree["seed"] == lost
        return None if failed else scores(one_large_effect)(tree)

    sweep = Sweep(study, tmp_path, lambda event: None)
    same = sweep.run(ScoredRuns(tmp_path, fails))[1]
    assert (same.verdict, len(same.by_seed)) == ("inconclusive", 5)
    assert [len(record.confirmed()) for record in sweep.records] == confirmed


class InterruptedAtALook(ScoredRuns):
    """Presses Ctrl-C when the runs of the second look are due."""

    def submit(self, key: Any, spec: RunSpec, analyses: Analyses = ()) -> None:
        if spec.seed == 5:
            signal.raise_signal(signal.SIGINT)
        super().submit(key, spec, analyses)


@pytest.fixture
def heeded_interrupts() -> Iterator[None]:
    """Heeds Ctrl-C, which a test process in the background ignores."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, before)


@pytest.mark.usefixtures("heeded_interrupts")
def test_looks_cannot_be_changed_once_the_first_was_taken(study_file: Edit, tmp_path: Path) -> None:
    study = declare(str(study_file(LOOKS)), "cpu", [])
    with pytest.raises(Interrupted):
        Sweep(study, tmp_path, lambda event: None).run(InterruptedAtALook(tmp_path, scores(one_large_effect)))
    assert StudyFolder(tmp_path, study.name, study.scale).read_looks() == {5: [5, 8, 12]}
    other = declare(str(study_file(("seeds = 5\n", "seeds = 12\nlooks = [5, 12]\n"))), "cpu", [])
    with pytest.raises(UserError, match="judged at 5 seeds with looks = "):
        Outcome(other, tmp_path, one_large_effect)
    assert Outcome(study, tmp_path, one_large_effect).verdicts == [("supported", 5), ("inconclusive", 12)]


def test_futility_without_looks_is_a_sentence(study_file: Edit) -> None:
    with pytest.raises(UserError, match=r"futility = 0\.1 needs looks"):
        declare(str(study_file(("seeds = 5\n", "seeds = 5\nfutility = 0.1\n"))), "cpu", [])
