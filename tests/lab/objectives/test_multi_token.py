"""Head i at position t predicts token t + i; the trunk is shared; parameters are matched as the paper does."""

import json
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor

from generators.foundation.errors import UserError
from generators.task import Batch
from lab.loss.losses import joint
from lab.model.batches import TensorBatch
from lab.model.config import SIZES, ModelConfig, ModelShape
from lab.model.network import count_parameters, new_block
from lab.objectives.multi_token import MultiToken
from lab.objectives.objective import Objective
from lab.run.assembly import assemble
from tests.conftest import Lab, Spec


def batch_of(tokens: Tensor, loss: Tensor | None = None) -> TensorBatch:
    array = tokens.numpy()
    mask = np.ones(array.shape, dtype=bool) if loss is None else loss.numpy()
    return TensorBatch.from_batch(
        Batch(tokens=array, loss=mask, scored=mask), torch.device("cpu"), np.arange(len(array))
    )


def network_of(spec: Spec, **changes: object) -> Objective:
    return assemble(spec(**changes)).network


def random_tokens(network: Objective, samples: int = 3, length: int = 20) -> Tensor:
    vocabulary = network.trunk.embed_tokens.num_embeddings
    return torch.randint(vocabulary, (samples, length), generator=torch.Generator().manual_seed(1))


def test_targets_of_each_lag_by_hand() -> None:
    tokens = torch.tensor([[5, 6, 7, 8], [1, 2, 3, 4]])
    loss = torch.tensor([[False, True, False, True], [False, True, True, True]])
    batch = batch_of(tokens, loss)
    targets = batch.targets(1)
    assert targets.positions_N is not None
    assert targets.positions_N.tolist() == [0, 2, 3, 4, 5]
    assert targets.tokens_N.tolist() == [6, 8, 2, 3, 4]
    targets = batch.targets(2)
    assert targets.positions_N is not None
    assert targets.positions_N.tolist() == [1, 2, 3]
    assert targets.tokens_N.tolist() == [8, 3, 4]
    targets = batch_of(tokens).targets(3)
    assert targets.positions_N is None
    assert targets.tokens_N.tolist() == [8, 4]


@pytest.mark.parametrize("masked", [False, True])
@pytest.mark.parametrize("match", ["layers", "none"])
def test_loss_and_gradient_equal_those_of_a_naive_loop(tiny: Spec, match: str, masked: bool) -> None:
    network = network_of(tiny, objective__n=3, objective__match=match).double()
    tokens = random_tokens(network)
    loss = torch.rand(tokens.shape, generator=torch.Generator().manual_seed(2)) < 0.4 if masked else tokens >= 0
    values = joint(network, batch_of(tokens, loss))
    gradients = {
        name: parameter.grad.clone() for name, parameter in network.named_parameters() if parameter.grad is not None
    }
    network.zero_grad()

    assert isinstance(network, MultiToken)
    total = torch.zeros((), dtype=torch.float64)
    for lag in (1, 2, 3):
        naive = []
        for sample in range(tokens.shape[0]):
            for t in range(tokens.shape[1] - lag):
                if loss[sample, t + lag]:
                    latent = network.trunk(tokens[sample : sample + 1, : t + 1])
                    hidden = network.norm(network.layer_of(lag)(latent, network.trunk.rotary(t + 1)))[0, -1]
                    logits = network.lm_head(hidden)
                    naive.append(torch.logsumexp(logits, 0) - logits[tokens[sample, t + lag]])
        mean = torch.stack(naive).mean()
        assert values[f"loss_{lag}"].item() == pytest.approx(mean.item(), rel=1e-9)
        total = total + mean
    total.backward()
    assert len(gradients) == len(list(network.named_parameters()))
    for name, parameter in network.named_parameters():
        assert parameter.grad is not None
        torch.testing.assert_close(gradients[name], parameter.grad, rtol=1e-9, atol=1e-12)


def only_lag_is_predictable(lag: int, generator: torch.Generator) -> TensorBatch:
    """Random tokens; each one that carries loss repeats the token `lag` before it."""
    tokens = torch.randint(8, (16, 24), generator=generator)
    loss = torch.zeros_like(tokens, dtype=torch.bool)
    for t in range(lag, 24, lag + 1):
        tokens[:, t] = tokens[:, t - lag]
        loss[:, t] = True
    return batch_of(tokens, loss)


@pytest.mark.parametrize(
    ("head", "settings"),
    [
        (1, {}),
        (2, {}),
        (3, {}),
        (2, {"topology": "causal"}),
        (2, {"topology": "anticausal"}),
        (2, {"head": "linear"}),
        (2, {"head": "none", "unembedding": "replicated"}),
        (2, {"stride": 2}),
    ],
)
def test_head_i_alone_learns_a_source_in_which_only_its_lag_is_predictable(
    tiny: Spec, head: int, settings: dict[str, object]
) -> None:
    weights = [float(other == head) for other in (1, 2, 3)]
    changes = {f"objective__{key}": value for key, value in {"n": 3, "weights": weights, **settings}.items()}
    network = network_of(tiny, **changes)
    generator = torch.Generator().manual_seed(0)
    lag = network.lags[head - 1]
    adam = torch.optim.AdamW(network.parameters(), lr=0.01)
    for _ in range(150):
        joint(network, only_lag_is_predictable(lag, generator))
        adam.step()
        adam.zero_grad()
    found = {source: joint(network, only_lag_is_predictable(source, generator)) for source in range(1, 6)}
    assert float(found[lag][f"loss_{lag}"]) < 0.2
    for source in found.keys() - {lag}:
        assert float(found[source][f"loss_{lag}"]) > 0.8 * np.log(8)
    for other in set(network.lags) - {lag}:
        assert float(found[lag][f"loss_{other}"]) > 0.8 * np.log(8), "a head whose weight is 0 learns nothing"


def test_the_loss_ignores_tokens_that_carry_none(tiny: Spec) -> None:
    network = network_of(tiny, objective__n=2)
    tokens = random_tokens(network)
    loss = torch.zeros_like(tokens, dtype=torch.bool)
    loss[:, 5] = True
    before = joint(network, batch_of(tokens, loss))
    changed = tokens.clone()
    changed[:, 6:] = (changed[:, 6:] + 1) % 10
    after = joint(network, batch_of(changed, loss))
    assert before == after


@pytest.mark.parametrize("n", [2, 3])
def test_match_layers_keeps_the_parameters_of_next_token_prediction_to_the_last(tiny: Spec, n: int) -> None:
    one, matched = network_of(tiny, objective__n=1), network_of(tiny, objective__n=n)
    assert count_parameters(one) == count_parameters(matched)
    assert len(matched.trunk.layers) == len(one.trunk.layers) - (n - 1)
    kept = network_of(tiny, objective__n=n, objective__match="none")
    assert len(kept.trunk.layers) == len(one.trunk.layers)
    layer = count_parameters(one.trunk.layers[0])
    assert count_parameters(kept) == count_parameters(one) + (n - 1) * layer


def test_parameters_by_part_add_up(tiny: Spec) -> None:
    network = network_of(tiny, objective__n=3)
    assert sum(network.parameters_by_part().values()) == count_parameters(network)


def test_heads_that_leave_no_trunk_are_refused(tiny: Spec) -> None:
    with pytest.raises(UserError, match=r"objective\.n = 4: .* leave no trunk"):
        assemble(tiny(objective__n=4))


@pytest.mark.parametrize(("name", "millions"), [("1M", 1), ("3M", 3), ("10M", 10), ("30M", 30), ("100M", 100), ("300M", 300), ("1B", 1000)])  # fmt: skip
def test_the_dry_run_of_a_paper_size_counts_12_d2_l_and_matches_n_1_and_n_4(
    lab: Lab, tmp_path: Path, name: str, millions: int
) -> None:
    """The paper counts non-embedding parameters as 12 D^2 L; its own names are up to 6% off that (3M: 3.15, 10M: 10.6)."""
    shape = SIZES[name]
    assert ModelConfig(size=name).shape == shape
    path = tmp_path / "spec.toml"
    path.write_text(
        f'task.kind = "induction"\nmodel.size = "{name}"\nobjective.kind = "multi_token"\n[training]\n'
        "steps = 1\nbatch_size = 1\nlearning_rate = 1e-3\nevaluate_every_steps = 1\n"
    )
    found = {}
    for n in (1, 4) if shape.layers > 4 else (1, 3):
        shown = json.loads(lab("train", path, "--dry-run", "--json", "--set", f"objective.n={n}").stdout)
        found[n] = shown["non_embedding"]
        assert sum(shown["parameters"].values()) > found[n]
        assert shown["parameters"]["trunk"] == pytest.approx(12 * shape.width**2 * (shape.layers - n), rel=0.03)
    assert len(set(found.values())) == 1
    assert found[1] == pytest.approx(12 * shape.width**2 * shape.layers, rel=0.03)
    assert found[1] == pytest.approx(millions * 1e6, rel=0.07)


def test_small_sizes_are_near_their_names() -> None:
    for name, thousands in (("30k", 30), ("100k", 100), ("300k", 300)):
        assert SIZES[name].layers * count_parameters(new_block(SIZES[name])) == pytest.approx(thousands * 1e3, rel=0.05)


def test_the_next_token_path_is_a_llama() -> None:
    """The layer by hand, in the form transformers writes it: separate projections, half-split rotation, explicit mask."""
    shape = ModelShape(16, 1, 2)
    block = new_block(shape)
    x = torch.randn(2, 7, 16, generator=torch.Generator().manual_seed(0))
    positions = torch.arange(7.0)
    angles = torch.outer(positions, 100.0 ** (-torch.arange(0, 8, 2) / 8))
    cos, sin = torch.cat((angles, angles), 1).cos(), torch.cat((angles, angles), 1).sin()

    def norm(y: Tensor) -> Tensor:
        return y / (y.square().mean(-1, keepdim=True) + 1e-5).sqrt()

    def heads(y: Tensor) -> Tensor:
        return y.view(2, 7, 2, 8).transpose(1, 2)

    def turned(y: Tensor) -> Tensor:
        return y * cos + torch.cat((-y[..., 4:], y[..., :4]), -1) * sin

    attention, mlp = block.self_attn, block.mlp
    h = norm(x)
    q, k, v = (
        heads(h @ weight.T) for weight in (attention.q_proj.weight, attention.k_proj.weight, attention.v_proj.weight)
    )
    scores = turned(q) @ turned(k).transpose(-1, -2) / 8**0.5
    scores = scores.masked_fill(torch.ones(7, 7).triu(1).bool(), -torch.inf)
    x2 = x + (scores.softmax(-1) @ v).transpose(1, 2).reshape(2, 7, 16) @ attention.o_proj.weight.T
    h = norm(x2)
    gate = h @ mlp.gate_proj.weight.T
    expected = x2 + (gate * gate.sigmoid() * (h @ mlp.up_proj.weight.T)) @ mlp.down_proj.weight.T

    from lab.model.layers import rotary_table

    torch.testing.assert_close(block(x, rotary_table(7, 8, 100.0)), expected, rtol=1e-5, atol=1e-5)
