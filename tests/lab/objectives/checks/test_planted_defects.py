"""`lab objective check` names aliased parameters, a head or a register that sees too much, and a head trained on a wrong
lag.
"""

from collections.abc import Iterator
from typing import Any

import pytest
from torch import Tensor, nn

from lab.loss.graph import Graph
from lab.model.batches import TensorBatch
from lab.model.config import DataShape, ModelConfig
from lab.objectives import registers
from lab.objectives.check import check_objective
from lab.objectives.multi_token import MultiToken, MultiTokenConfig
from lab.objectives.objective import Term
from lab.objectives.registers import Registers
from lab.objectives.sequential_modules import SequentialModules
from lab.objectives.table import OBJECTIVES
from tests.conftest import Lab

pytestmark = pytest.mark.usefixtures("small")

REPLICATED = {"kind": "multi_token", "n": 2, "unembedding": "replicated"}
SHARE_MEMORY = "share memory, but a checkpoint stores each under its own name; make them separate parameters"
EQUAL_HEADS = "the predictions at lags 1 and 2 are equal, so they share one head and one unembedding"


class OneModuleForTwoHeads(MultiToken):
    def __init__(self, config: MultiTokenConfig, model: ModelConfig, data: DataShape) -> None:
        super().__init__(config, model, data)
        self.extra_heads[0] = self.head


class FirstHeadForAll(MultiToken):
    """Builds the further heads and uses the first in their place."""

    def layer_of(self, head: int) -> nn.Module:
        return self.head


class OneWeightForTwoUnembeddings(MultiToken):
    def __init__(self, config: MultiTokenConfig, model: ModelConfig, data: DataShape) -> None:
        super().__init__(config, model, data)
        self.extra_lm_heads[0].weight = self.lm_head.weight


class FirstUnembeddingForAll(MultiToken):
    """Builds the further unembeddings and uses the first in their place."""

    def unembedding_of(self, head: int) -> nn.Linear:
        return self.lm_head


class TiedEmbedding(MultiToken):
    def __init__(self, config: MultiTokenConfig, model: ModelConfig, data: DataShape) -> None:
        super().__init__(config, model, data)
        self.lm_head.weight = self.trunk.embed_tokens.weight


class FirstModuleForAll(SequentialModules):
    def __init__(self, config: Any, model: ModelConfig, data: DataShape) -> None:
        super().__init__(config, model, data)
        self.modules_ahead[1] = self.modules_ahead[0]


class RegisterSeesTheNextToken(Registers):
    """Lets a register attend to the token after its own, which is its target only at distance 1."""

    def latent(self, batch: TensorBatch) -> Tensor:
        def mask_with_leak(place_P: Tensor, register_places: Tensor) -> Tensor:
            mask = attention_mask(place_P, register_places)
            leak = place_P == register_places[..., None] + 1
            mask[..., len(place_P) :, : len(place_P)] |= leak[:, None] if leak.dim() == 3 else leak
            return mask

        attention_mask = registers.attention_mask
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(registers, "attention_mask", mask_with_leak)
            return super().latent(batch)


class SecondHeadPeeksInLongSamples(MultiToken):
    """Lets the second head read one token too far ahead, but only in samples longer than those of most checks."""

    def apply_layer(self, head: int, state_BxPxD: Tensor) -> Tensor:
        if head == 2 and state_BxPxD.shape[1] > 32:
            state_BxPxD = state_BxPxD.roll(-2, dims=1)
        return super().apply_layer(head, state_BxPxD)


class LagTooFar(MultiToken):
    """Trains the last head on the token after its own target."""

    def terms(self, latent_BxSxD: Tensor, batch: TensorBatch, graph: Graph) -> Iterator[Term]:
        *first, last = super().terms(graph.share(latent_BxSxD), batch, graph)
        yield from first
        lag = self.lags[-1]
        state = self.apply_layer(self.config.n, graph.share(latent_BxSxD))[:, :-lag]
        targets = batch.targets(lag + 1)
        value = graph.cross_entropy(state, self.lm_head.weight, targets, self.norm)
        yield Term(last.name, value, targets.count)


class LagTooNear(MultiToken):
    """Trains both heads on the next token."""

    def terms(self, latent_BxSxD: Tensor, batch: TensorBatch, graph: Graph) -> Iterator[Term]:
        targets = batch.targets(1)
        latent_BxSxD = graph.share(latent_BxSxD)
        for head in (1, 2):
            state = self.apply_layer(head, latent_BxSxD)
            yield Term(
                f"loss_{head}", graph.cross_entropy(state, self.lm_head.weight, targets, self.norm), targets.count
            )


class SwappedNames(MultiToken):
    """Reports the loss of the second head as that of the third, and the other way round."""

    def terms(self, latent_BxSxD: Tensor, batch: TensorBatch, graph: Graph) -> Iterator[Term]:
        swapped = {"loss_2": "loss_3", "loss_3": "loss_2"}
        for term in super().terms(latent_BxSxD, batch, graph):
            yield Term(swapped.get(term.name, term.name), term.value, term.count)


DEFECTS: list[tuple[type, dict[str, Any], dict[str, str]]] = [
    (
        OneModuleForTwoHeads,
        {"kind": "multi_token", "n": 2},
        {
            "parameters share no memory": f"head.input_layernorm.weight and extra_heads.0.input_layernorm.weight {SHARE_MEMORY}",
            "no two heads make the same predictions": EQUAL_HEADS,
        },
    ),
    (
        FirstHeadForAll,
        {"kind": "multi_token", "n": 2},
        {
            "every parameter is trained": "no term depends on extra_heads.0.input_layernorm.weight, ",
            "no two heads make the same predictions": EQUAL_HEADS,
        },
    ),
    (
        OneModuleForTwoHeads,
        {"kind": "multi_token", "n": 2, "topology": "causal"},
        {
            "parameters share no memory": f"head.input_layernorm.weight and extra_heads.0.input_layernorm.weight {SHARE_MEMORY}"
        },
    ),
    (
        OneWeightForTwoUnembeddings,
        REPLICATED,
        {"parameters share no memory": f"lm_head.weight and extra_lm_heads.0.weight {SHARE_MEMORY}"},
    ),
    (
        FirstUnembeddingForAll,
        REPLICATED,
        {
            "every parameter is trained": "no term depends on extra_lm_heads.0.weight; "
            "perhaps another head or unembedding is used instead"
        },
    ),
    (
        TiedEmbedding,
        {"kind": "multi_token"},
        {"parameters share no memory": f"trunk.embed_tokens.weight and lm_head.weight {SHARE_MEMORY}"},
    ),
    (
        FirstModuleForAll,
        {"kind": "sequential_modules", "n": 3},
        {"parameters share no memory": "modules_ahead.0.hnorm.weight and modules_ahead.1.hnorm.weight share memory"},
    ),
    *(
        (
            RegisterSeesTheNextToken,
            {"kind": "registers", "horizon": horizon},
            {"no loss_i depends on its target or later tokens": "loss_registers for the token at position "},
        )
        for horizon in (1, 4, 7)
    ),
    (
        SecondHeadPeeksInLongSamples,
        {"kind": "multi_token", "n": 2},
        {
            "no prediction depends on its target or later tokens": "in samples of 200 tokens, the prediction at lag 2 "
            "for the token at position 47 changes when the tokens from position 47 on change"
        },
    ),
    (
        LagTooFar,
        {"kind": "multi_token", "n": 2},
        {
            "loss_i is computed on the targets i ahead": "loss_2 counts 20 targets instead of 24, the tokens in the loss mask at position 2 or later",
            "loss_i equals the loss of the predictions": "loss_2 is ",
        },
    ),
    (
        LagTooNear,
        {"kind": "multi_token", "n": 2},
        {
            "loss_i is computed on the targets i ahead": "loss_2 counts 28 targets instead of 24, the tokens in the loss mask at position 2 or later",
            "loss_i equals the loss of the predictions": "loss_2 is ",
        },
    ),
    (
        SwappedNames,
        {"kind": "multi_token", "n": 3},
        {
            "loss_i is computed on the targets i ahead": "loss_3 counts 24 targets instead of 20, the tokens in the loss mask at position 3 or later",
            "loss_i equals the loss of the predictions": "loss_2 is ",
        },
    ),
]


def plant(monkeypatch: pytest.MonkeyPatch, defect: type, kind: str) -> None:
    monkeypatch.setitem(OBJECTIVES.rows, kind, f"{__name__}:{defect.__name__}")  # type: ignore[arg-type]


@pytest.mark.parametrize(("defect", "tree", "expected"), DEFECTS, ids=lambda value: getattr(value, "__name__", ""))
def test_a_planted_defect_is_named_by_its_check_alone(
    defect: type, tree: dict[str, Any], expected: dict[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    plant(monkeypatch, defect, tree["kind"])
    results = check_objective(OBJECTIVES.config(tree, "the test"))
    problems = {result.name: result.problem for result in results if result.problem}
    assert problems.keys() == expected.keys(), problems
    for name, sentence in expected.items():
        assert sentence in problems[name]
        assert "\n" not in problems[name]


@pytest.mark.parametrize(
    "tree",
    [
        {"kind": "multi_token", "n": 3, "stride": 2},
        {"kind": "multi_token", "n": 3, "head": "linear", "topology": "causal"},
        {"kind": "multi_token", "n": 3, "topology": "anticausal", "unembedding": "replicated"},
        {"kind": "multi_token", "n": 2, "head": "none", "unembedding": "replicated"},
        {"kind": "multi_token", "n": 3, "weights": [1.0, 0.0, 0.5]},
        {"kind": "multi_token", "n": 3, "curriculum": "forward", "stage_steps": 5},
        {"kind": "multi_token", "n": 4, "match": "none"},
        {"kind": "sequential_modules", "n": 1},
        {"kind": "sequential_modules", "n": 4, "match": "layers"},
        {"kind": "sequential_modules", "n": 3, "weight": 0.0},
        {"kind": "token_order", "window": 3},
        {"kind": "token_order", "weight": 0.0},
        {"kind": "registers", "horizon": 7, "weight": 1.0},
        {"kind": "registers", "horizon": 1},
    ],
    ids=str,
)
def test_shipped_objectives_pass_in_other_settings(tree: dict[str, Any]) -> None:
    results = check_objective(OBJECTIVES.config(tree, "the test"))
    assert [result for result in results if result.problem] == []


def test_the_command_prints_the_sentence(lab: Lab, monkeypatch: pytest.MonkeyPatch) -> None:
    plant(monkeypatch, TiedEmbedding, "multi_token")
    done = lab("objective", "check", "multi_token")
    assert (
        f"WRONG  parameters share no memory: trunk.embed_tokens.weight and lm_head.weight {SHARE_MEMORY}" in done.stdout
    )
    assert done.stdout.count("WRONG") == 1
    assert "1 of 15 checks failed" in done.stderr
