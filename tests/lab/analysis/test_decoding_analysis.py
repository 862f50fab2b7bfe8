"""The decoding analysis, on drafters whose drafts are known to be right or wrong."""

from collections.abc import Callable

import numpy as np
import pytest
import torch
from torch import Tensor

from generators.foundation.errors import UserError
from lab.analysis import decoding
from lab.analysis.analysis import AnalysisResult
from lab.analysis.decoding import DecodingAnalysis, equal_pairs
from tests.conftest import Spec
from tests.lab.analysis.unstored_run import unstored_run

AnalyseHeads = Callable[[dict[int, int]], AnalysisResult]


@pytest.fixture
def analyse_heads(tiny: Spec, monkeypatch: pytest.MonkeyPatch) -> AnalyseHeads:
    """analyse_heads({2: 1}): analyses four heads that always predict token 0, except head 2, which predicts token 1."""
    monkeypatch.setattr(decoding, "TIMED_SAMPLES", 1)

    def analyse(exceptions: dict[int, int]) -> AnalysisResult:
        run = unstored_run(tiny(objective__n=4, model__layers=6))

        def unembed(hidden_NxD: Tensor, lag: int) -> Tensor:
            token = torch.full(hidden_NxD.shape[:-1], exceptions.get(lag, 0))
            return torch.nn.functional.one_hot(token, len(run.parts.task.vocabulary)).float()

        monkeypatch.setattr(run.parts.network, "unembed", unembed)
        return DecodingAnalysis().analyse(run)

    return analyse


@pytest.mark.parametrize(
    ("exceptions", "tokens", "acceptance"),
    [
        ({}, [2, 3, 4], [1, 1, 1]),
        ({2: 1}, [1, 1, 1], [0]),
        ({3: 1}, [2, 2, 2], [1, 0]),
        ({4: 1}, [2, 3, 3], [1, 1, 0]),
    ],
    ids=["all right", "second wrong", "third wrong", "fourth wrong"],
)
def test_a_forward_pass_gives_the_certain_token_and_the_drafts_before_the_first_wrong_head(
    analyse_heads: AnalyseHeads, exceptions: dict[int, int], tokens: list[float], acceptance: list[float]
) -> None:
    result = analyse_heads(exceptions)
    measures = result.measures
    assert [measures[f"tokens_per_forward_{k}"] for k in (2, 3, 4)] == tokens
    assert measures["tokens_per_forward"] == tokens[-1]
    assert [measures[name] for name in measures if name[-1].isdigit() and "acceptance" in name] == acceptance
    assert measures["acceptance_by_chance"] == 1.0, "every decoded token is token 0"
    assert measures["times_faster"] == measures["times_faster_4"] > 0
    (row,) = [row for row in result.rows if row["quantity"] == "tokens a forward" and row.get("draft") == 4]
    assert row["paper"] == 3.50


def test_a_single_head_gives_one_token_per_forward_pass(tiny: Spec) -> None:
    result = DecodingAnalysis().analyse(unstored_run(tiny(objective__n=1)))
    assert result.measures == {"tokens_per_forward": 1.0, "times_faster": 1.0}


def test_an_interval_over_one_prompt_is_refused(tiny: Spec) -> None:
    with pytest.raises(UserError, match=r"task.test_samples = 1; intervals need at least 2 prompts"):
        DecodingAnalysis().analyse(unstored_run(tiny(task__test_samples=1)))


def test_equal_pairs_are_those_counted_one_by_one() -> None:
    tokens = np.random.default_rng(0).integers(3, size=(4, 5))
    pairs = [
        tokens[row, i] == tokens[other, j]
        for row in range(4)
        for other in range(4)
        for i in range(5)
        for j in range(5)
        if row != other
    ]
    assert equal_pairs(tokens) == pytest.approx(np.mean(pairs))
