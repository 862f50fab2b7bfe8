"""`lab objective check` passes every shipped objective and finds each violation of the interface by its own check."""

import json
from collections.abc import Iterator

import pytest
import torch
from torch import Tensor, nn

from generators.foundation.errors import UserError
from lab.loss.graph import Graph
from lab.model.batches import TensorBatch
from lab.model.config import DataShape, ModelConfig
from lab.objectives.check import check_objective
from lab.objectives.multi_token import MultiToken, MultiTokenConfig
from lab.objectives.objective import NextTokenPath, Objective, Term
from lab.objectives.table import OBJECTIVES
from tests.conftest import Lab


class Correct(MultiToken):
    config: MultiTokenConfig


class Gated(Correct):
    """Leaks through a gate that is initially closed."""

    def __init__(self, config: MultiTokenConfig, model: ModelConfig, data: DataShape) -> None:
        super().__init__(config, model, data)
        self.gate = nn.Parameter(torch.zeros(model.shape.width))

    def hidden(self, latent_BxPxD: Tensor, lag: int, tokens_BxQ: Tensor) -> Tensor:
        ahead = self.trunk.embed_tokens(torch.roll(tokens_BxQ, -1, dims=1))[:, : latent_BxPxD.shape[1]]
        leak = self.gate * ahead[:, : tokens_BxQ.shape[1] - lag + 1]
        return super().hidden(latent_BxPxD, lag, tokens_BxQ) + leak


class AroundTheEmbedding(Correct):
    """Leaks tokens that do not pass through the embedding."""

    def hidden(self, latent_BxPxD: Tensor, lag: int, tokens_BxQ: Tensor) -> Tensor:
        ahead = torch.roll(tokens_BxQ, -1, dims=1)[:, : tokens_BxQ.shape[1] - lag + 1, None]
        return super().hidden(latent_BxPxD, lag, tokens_BxQ) + 0.1 * ahead


class DrawnElsewhere(Correct):
    def __init__(self, config: MultiTokenConfig, model: ModelConfig, data: DataShape) -> None:
        super().__init__(config, model, data)
        self.head.mlp.drawn = nn.Parameter(torch.randn(model.shape.width))


class RepeatedName(Correct):
    def terms(self, latent_BxSxD: Tensor, batch: TensorBatch, graph: Graph) -> Iterator[Term]:
        for term in super().terms(latent_BxSxD, batch, graph):
            yield Term("loss_1", term.value, term.count, term.weight)


class Unshared(Correct):
    """Two terms read one state that is not shared, which the first backward pass frees."""

    def terms(self, latent_BxSxD: Tensor, batch: TensorBatch, graph: Graph) -> Iterator[Term]:
        hidden_BxPxD = self.norm(self.apply_layer(1, latent_BxSxD))
        for name in ("loss_1", "again"):
            value = graph.cross_entropy(hidden_BxPxD, self.lm_head.weight, batch.targets(1))
            yield Term(name, value, batch.targets(1).count)


class OwnCount(Correct):
    """Averages over the targets of the micro-batch instead of those of the whole batch."""

    def terms(self, latent_BxSxD: Tensor, batch: TensorBatch, graph: Graph) -> Iterator[Term]:
        for term in super().terms(latent_BxSxD, batch, graph):
            here = int(batch.loss[:, int(term.name[-1]) :].sum())
            yield Term(term.name, term.value * term.count / max(1, here), here)


class ReadsBetweenTargets(Correct):
    """Says that it reads the latent at targets alone, and reads the mean over each sample too."""

    reads_targets_only = True

    def terms(self, latent_BxSxD: Tensor, batch: TensorBatch, graph: Graph) -> Iterator[Term]:
        yield from super().terms(latent_BxSxD, batch, graph)
        yield Term("mean", latent_BxSxD.mean(dim=1).square().sum() / len(batch.whole.loss), len(batch.whole.loss))


class Peeking(Correct):
    """Mixes every latent with the next one, in training and in prediction."""

    def apply_layer(self, head: int, state_BxPxD: Tensor) -> Tensor:
        ahead_BxPxD = torch.cat((state_BxPxD[:, 1:], state_BxPxD[:, -1:]), dim=1)
        return super().apply_layer(head, state_BxPxD + ahead_BxPxD)


class PeekingAtLossTwo(Correct):
    def terms(self, latent_BxSxD: Tensor, batch: TensorBatch, graph: Graph) -> Iterator[Term]:
        for term in super().terms(latent_BxSxD, batch, graph):
            peek = self.trunk.embed_tokens(batch.tokens_BxT[:, 1:]).flatten(0, 1)[batch.targets(1).positions_N]
            extra = peek.square().sum() / max(1, batch.targets(1).count) if term.name == "loss_2" else 0.0
            yield Term(term.name, term.value + extra, term.count)


class PredictsOtherwise(Correct):
    """Predicts without the norm that it is trained with."""

    def hidden(self, latent_BxPxD: Tensor, lag: int, tokens_BxQ: Tensor) -> Tensor:
        return self.apply_layer(lag, latent_BxPxD[:, : tokens_BxQ.shape[1] - lag + 1])

    def next_token_path(self) -> NextTokenPath:
        path = super().next_token_path()
        return NextTokenPath(path.layers, nn.Identity(), path.unembedding)  # type: ignore[arg-type]


class PathWithoutHead(Correct):
    def next_token_path(self) -> NextTokenPath:
        return NextTokenPath([], self.norm, self.lm_head)


class Uncounted(Correct):
    def head_parts(self) -> dict[str, nn.Module]:
        return {"norm": self.norm}


class Raises(Correct):
    def next_token_path(self) -> NextTokenPath:
        raise NotImplementedError("later\nperhaps")


PROBLEMS = {
    Correct: {},
    DrawnElsewhere: {
        "weights depend only on the seed": "`initialise` does not draw head.mlp.drawn: ",
        "every parameter is trained": "no term depends on head.mlp.drawn; perhaps",
    },
    RepeatedName: {
        "terms have distinct names": "several terms have the same name: loss_1",
        "no loss_i depends on its target or later tokens": "loss_1 changes when tokens after its targets change",
        "loss_i is computed on the targets i ahead": "loss_1 counts 24 targets instead of 28, the tokens in the loss mask at position 1",
        "loss_i equals the loss of the predictions": "loss_1 is",
    },
    Unshared: {
        "the sequential loss gives the joint gradient": "RuntimeError: Trying to backward through the graph a second time",
        "the chunked loss gives the joint gradient": "RuntimeError: Trying to backward through the graph a second time",
        "every parameter is trained": "no term depends on extra_heads.0.",
    },
    OwnCount: {"micro-batches give the joint gradient": "the gradient of"},
    ReadsBetweenTargets: {
        "micro-batches give the joint gradient": "the gradient of",
        "positions that are left out give no gradient": "from the gradient of all positions",
    },
    Peeking: {
        "no prediction depends on its target or later tokens": "the prediction at lag 1 for the token at position 1 depends on the token at position 1",
        "no loss_i depends on its target or later tokens": "loss_1 for the token at position 1 depends on the token at position 1",
        "loss_i equals the loss of the predictions": "loss_2 is",
        "next_token_path gives the logits of head 1": "the logits of next_token_path differ from those of `hidden` and `unembed`",
    },
    PeekingAtLossTwo: {
        "no loss_i depends on its target or later tokens": "loss_2 for the token at position 1 depends on the token at",
        "loss_i equals the loss of the predictions": "loss_2 is",
    },
    PredictsOtherwise: {
        "loss_i equals the loss of the predictions": "but the predictions of `hidden` and `unembed` from the latent have"
    },
    PathWithoutHead: {
        "next_token_path gives the logits of head 1": "the logits of next_token_path differ from those of `hidden` and `unembed`"
    },
    Uncounted: {"every parameter is counted in one part": "embedding, trunk and head_parts have"},
    Raises: {"next_token_path gives the logits of head 1": "NotImplementedError: later (test_objective_check.py, line"},
}


@pytest.mark.usefixtures("small")
@pytest.mark.parametrize("broken", PROBLEMS, ids=lambda broken: broken.__name__)
def test_each_violation_is_found_by_its_own_check(broken: type[MultiToken], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(OBJECTIVES.rows, "multi_token", f"{__name__}:{broken.__name__}")  # type: ignore[arg-type]
    problems = {result.name: result.problem for result in check_objective(MultiTokenConfig(n=2)) if result.problem}
    expected = PROBLEMS[broken]
    assert problems.keys() == expected.keys()
    for name, sentence in expected.items():
        assert sentence in problems[name]


@pytest.mark.usefixtures("small")
@pytest.mark.parametrize("kind", OBJECTIVES.rows)
def test_every_shipped_objective_passes(kind: str) -> None:
    results = check_objective(OBJECTIVES.config({"kind": kind}, "the test"))
    assert [result for result in results if result.problem] == []


@pytest.mark.usefixtures("small")
def test_the_command_exits_with_1_if_a_check_fails(lab: Lab, monkeypatch: pytest.MonkeyPatch) -> None:
    done = lab("objective", "check", "multi_token", "--set", "n=2", "--json")
    assert done.returncode == 0
    assert set(json.loads(done.stdout).values()) == {"ok"}
    monkeypatch.setitem(OBJECTIVES.rows, "multi_token", f"{__name__}:Uncounted")  # type: ignore[arg-type]
    done = lab("objective", "check", "multi_token")
    assert done.returncode == 1
    assert "WRONG  every parameter is counted in one part: embedding, trunk and head_parts have" in done.stdout
    assert "1 of 15 checks failed" in done.stderr


@pytest.mark.usefixtures("small")
def test_settings_that_do_not_fit_are_refused_with_a_sentence(lab: Lab) -> None:
    for setting, sentence in {
        "n=9": "objective.n = 9:",
        "m=2": "objective.m = 2: no such key",
        "kind=x": "change that instead",
    }.items():
        done = lab("objective", "check", "multi_token", "--set", setting)
        assert done.returncode == 2
        assert sentence in done.stderr
    with pytest.raises(UserError):
        check_objective(MultiTokenConfig(n=9))


def test_list_and_show_name_every_objective_and_setting(lab: Lab) -> None:
    assert json.loads(lab("objective", "list", "--json").stdout).keys() >= OBJECTIVES.rows.keys()
    settings = json.loads(lab("objective", "show", "multi_token", "--json").stdout)
    description = "heads; 1 is next-token prediction"
    bounds = {"type": "integer", "range": "1 to 32"}
    assert settings["n"] == {**bounds, "required": False, "default": 1, "description": description}
    assert {name.partition(".")[0] for name in settings} == MultiTokenConfig.model_fields.keys() - {"kind"}
    assert "stage_steps" in lab("objective", "show", "multi_token").stdout
    assert lab("objective", "show", "multi_tokne").returncode == 2


@pytest.mark.parametrize("kind", [Gated, AroundTheEmbedding])
def test_leaks_behind_a_closed_gate_or_around_the_embedding_are_found(
    kind: type[Objective], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(
        "lab.objectives.checks.network.build_objective", lambda config, model, data: kind(config, model, data)
    )  # type: ignore[arg-type]
    problems = {result.name: result.problem for result in check_objective(MultiTokenConfig(n=1))}
    assert problems["no prediction depends on its target or later tokens"]


@pytest.mark.usefixtures("small")
def test_the_command_checks_an_objective_on_another_trunk(lab: Lab) -> None:
    refused = lab("objective", "check", "registers", "--model", "gru")
    assert refused.returncode == 2
    assert 'which model.kind = "gru" does not have' in refused.stderr
    assert lab("objective", "check", "token_order", "--model", "gru", "--json").returncode == 0
    assert "the nearest is gru" in lab("objective", "check", "token_order", "--model", "grru").stderr
