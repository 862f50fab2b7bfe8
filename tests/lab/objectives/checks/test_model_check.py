"""`lab model check` passes every shipped trunk and finds each violation of the contract by its own check."""

import json

import pytest
import torch
from torch import Tensor, nn

from generators.foundation.errors import UserError
from lab.model.caches.by_position import PositionCache
from lab.model.config import DataShape
from lab.model.table import MODELS
from lab.model.trunks.gru import Gru, GruConfig, GruLayer
from lab.objectives.check import check_model, check_objective, small_model
from lab.objectives.teacherless import TeacherlessConfig
from tests.conftest import Lab


class Correct(Gru):
    config: GruConfig


class Narrow(Correct):
    def forward(self, tokens_BxT: Tensor) -> Tensor:
        return super().forward(tokens_BxT)[..., :-1]


class Leaking(Correct):
    def embed(self, tokens_BxT: Tensor) -> Tensor:
        x_BxTxD = super().embed(tokens_BxT)
        return x_BxTxD + 0.1 * x_BxTxD.roll(-1, 1)


class LeakingInLongSamples(Correct):
    """Its layers read one token ahead, but only in samples longer than those of most checks."""

    def apply_layer(self, layer: nn.Module, x_BxTxD: Tensor) -> Tensor:
        ahead_BxTxD = torch.cat((x_BxTxD[:, 1:], x_BxTxD[:, -1:]), dim=1) if x_BxTxD.shape[1] > 32 else x_BxTxD
        return super().apply_layer(layer, ahead_BxTxD)


class LeakingAroundTheEmbedding(Correct):
    def embed(self, tokens_BxT: Tensor) -> Tensor:
        return super().embed(tokens_BxT) + 0.1 * (tokens_BxT.double().mean(dim=1, keepdim=True) % 1)[..., None]


class Dropping(Correct):
    def embed(self, tokens_BxT: Tensor) -> Tensor:
        return nn.functional.dropout(super().embed(tokens_BxT), 0.1)


class Normalising(Correct):
    """Uses the length of the sample."""

    def forward(self, tokens_BxT: Tensor) -> Tensor:
        return super().forward(tokens_BxT) * tokens_BxT.shape[1]


class OneLayerForAll(Correct):
    def build_layer(self) -> GruLayer:
        if not self.built:
            self.first = super().build_layer()
        return self.first


class LeakingLayer(Correct):
    def apply_layer(self, layer: nn.Module, x_BxTxD: Tensor) -> Tensor:
        return super().apply_layer(layer, x_BxTxD.flip(1)).flip(1)


class Uncounted(Correct):
    def __init__(self, config: GruConfig, layers: int, data: DataShape) -> None:
        super().__init__(config, layers, data)
        self.gain = nn.Parameter(torch.ones(()))

    def forward(self, tokens_BxT: Tensor) -> Tensor:
        return super().forward(tokens_BxT) * self.gain

    def parameters_by_part(self) -> dict[str, int]:
        return {**super().parameters_by_part(), "trunk": 0}


class ForgetfulCache(PositionCache):
    def applied(self, layer: nn.Module, x_BxTxD: Tensor) -> Tensor:
        self.kept.pop(layer, None)
        return super().applied(layer, x_BxTxD)


class Forgetful(Correct):
    def new_cache(self, samples: int, capacity: int) -> ForgetfulCache:
        return ForgetfulCache(self, samples, capacity)


class WrongMasks(Correct):
    takes_masks = True

    def run_at(self, x_BxSxD: Tensor, *others: object) -> Tensor:
        return x_BxSxD


class WrongEmbeddings(Correct):
    def forward_embedded(self, x_RxCxD: Tensor, *others: object) -> Tensor:
        return x_RxCxD


PROBLEMS: dict[type[Gru], dict[str, str]] = {
    Correct: {},
    Narrow: {"a latent [B, T, D] for every token": "give a latent [3, 8, 7] instead of [3, 8, 8]"},
    Leaking: {"no latent depends on a later token": "the latent at position 0 depends on the token at position 1"},
    LeakingInLongSamples: {
        "no latent depends on a later token": "in samples of 200 tokens, the latent at position 45 changes when the tokens "
        "from position 47 on change",
        "two heads: no prediction depends on its target or later tokens": "in samples of 200 tokens, the prediction at lag 1",
    },
    LeakingAroundTheEmbedding: {"no latent depends on a later token": "a latent changes when later tokens change"},
    Dropping: {"equal tokens give equal latents": "two forward passes over the same tokens differ"},
    Normalising: {"samples may have any length up to that of the data": "the first 1 tokens alone give other latents"},
    OneLayerForAll: {"a new layer is one more layer of the trunk's kind": "shares parameters with another"},
    LeakingLayer: {"a new layer is one more layer of the trunk's kind": "depends on later positions of its input"},
    Uncounted: {"every parameter of the trunk is counted once": "but the trunk has"},
    Forgetful: {"the cache, if any, gives the latents of the plain forward pass": "(block 3 of 4)"},
    WrongMasks: {"run_at, if any, gives the latents of the plain forward pass": "`run_at` gives other latents"},
    WrongEmbeddings: {"forward_embedded, if it fits, gives the latents of the plain forward pass": "other latents"},
}  # fmt: skip


@pytest.mark.usefixtures("small")
@pytest.mark.parametrize("broken", PROBLEMS, ids=lambda broken: broken.__name__)
def test_each_violation_of_the_contract_is_found_by_its_own_check(
    broken: type[Gru], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(MODELS.rows, "gru", f"{__name__}:{broken.__name__}")  # type: ignore[arg-type]
    results = check_model(GruConfig(width=8, layers=3))
    problems = {result.name: result.problem for result in results if result.problem}
    for name, sentence in PROBLEMS[broken].items():
        assert sentence in problems[name]
    assert bool(problems) == bool(PROBLEMS[broken])


@pytest.mark.parametrize("kind", [Leaking, Normalising], ids=lambda kind: kind.__name__)
def test_a_trunk_that_reads_more_than_embeddings_of_tokens_is_given_no_dummies(
    kind: type[Gru], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(MODELS.rows, "gru", f"{__name__}:{kind.__name__}")  # type: ignore[arg-type]
    with pytest.raises(UserError, match=r'"teacherless" reads inputs that are no tokens, which .*"gru" does not take'):
        check_objective(TeacherlessConfig(), GruConfig(width=8, layers=3))


@pytest.mark.usefixtures("small")
@pytest.mark.parametrize("kind", MODELS.rows)
def test_every_shipped_trunk_passes(kind: str) -> None:
    assert [result for result in check_model(small_model(kind, ["width=8"], "the test")) if result.problem] == []


@pytest.mark.usefixtures("small")
def test_the_commands_list_show_and_check_kinds_of_models(lab: Lab, monkeypatch: pytest.MonkeyPatch) -> None:
    assert json.loads(lab("model", "list", "--json").stdout).keys() >= MODELS.rows.keys()
    settings = json.loads(lab("model", "show", "gru", "--json").stdout)
    assert settings.keys() == {"size", "width", "layers"}
    done = lab("model", "check", "gru", "--set", "layers=3", "--json")
    assert done.returncode == 0
    assert set(json.loads(done.stdout).values()) == {"ok"}
    assert lab("model", "check", "gru", "--set", "layers=1").returncode == 2
    monkeypatch.setitem(MODELS.rows, "gru", f"{__name__}:Dropping")  # type: ignore[arg-type]
    failed = lab("model", "check", "gru")
    assert failed.returncode == 1
    assert "WRONG  equal tokens give equal latents: two forward passes" in failed.stdout
