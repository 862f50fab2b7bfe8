"""The step analysis: peaks are exact, and only the joint loss holds the logits of all heads."""

import pytest
import torch

from lab.analysis import step
from lab.analysis.analysis import AnalysisResult
from lab.analysis.step import StepAnalysis, peak_megabytes
from tests.conftest import Spec
from tests.lab.analysis.unstored_run import unstored_run

CPU = torch.device("cpu")
TEXT = {"kind": "text", "length_tokens": 32, "test_samples": 16, "validation_samples": 16}


@pytest.fixture(autouse=True)
def one_turn(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(step, "TURNS", 1)


def test_the_peak_counts_what_is_held_at_once_and_not_what_is_allocated_in_all() -> None:
    def together() -> None:
        first, second = torch.empty(250_000), torch.empty(500_000)
        del first, second

    def in_turns() -> None:
        for size in (250_000, 500_000):
            tensor = torch.empty(size)
            del tensor

    assert peak_megabytes(together, CPU) == pytest.approx(3.0, abs=1e-3)
    assert peak_megabytes(in_turns, CPU) == pytest.approx(2.0, abs=1e-3)


def test_only_the_joint_loss_holds_the_logits_of_all_heads(tiny: Spec) -> None:
    def analyse(n: int) -> AnalysisResult:
        objective = {"kind": "multi_token", "head": "linear", "match": "none", "n": n}
        return StepAnalysis().analyse(unstored_run(tiny(task=TEXT, objective=objective)))

    next_token, four_heads = analyse(1).measures, analyse(4).measures
    logits_megabytes = 4 * 31 * len(unstored_run(tiny(task=TEXT)).parts.task.vocabulary) * 4 / 1e6

    def growth(loss: str) -> float:
        return four_heads[f"peak_megabytes_{loss}"] - next_token[f"peak_megabytes_{loss}"]

    assert growth("joint") > 0.9 * 3 * logits_megabytes, "heads that look further have fewer targets"
    assert growth("sequential") < 0.5 * logits_megabytes
    assert growth("chunked") < 0.5 * logits_megabytes
    assert four_heads["peak_megabytes"] == four_heads["peak_megabytes_joint"], "joint is the run's own loss"


def test_next_token_prediction_has_memory_ratios_of_one_and_repeatable_peaks(tiny: Spec) -> None:
    measures = StepAnalysis().analyse(unstored_run(tiny(objective__n=1))).measures
    assert {value for name, value in measures.items() if name.startswith("memory_ratio")} == {1.0}
    again = StepAnalysis().analyse(unstored_run(tiny(objective__n=1, seed=1))).measures
    peaks = [name for name in measures if name.startswith("peak")]
    assert [measures[name] for name in peaks] == [again[name] for name in peaks]
