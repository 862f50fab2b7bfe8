"""Head i at position t predicts token t + i, the trunk is shared, and parameters are matched as in the paper."""

import numpy as np
import pytest
import torch
from torch import Tensor

from generators.foundation.errors import UserError
from generators.task import Batch
from lab.loss.losses import joint
from lab.model.batches import TensorBatch
from lab.model.weights import count_parameters
from lab.objectives.multi_token import MultiToken
from lab.objectives.objective import Objective
from lab.run.assembly import assemble
from lab.run.step import update_parameters
from tests.conftest import Spec


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


def repeating_tokens(lag: int, generator: torch.Generator) -> TensorBatch:
    """Returns random tokens in which each token in the loss mask repeats the token `lag` positions earlier."""
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
def test_head_i_alone_learns_tokens_that_only_its_lag_predicts(
    tiny: Spec, head: int, settings: dict[str, object]
) -> None:
    weights = [float(other == head) for other in (1, 2, 3)]
    changes = {f"objective__{key}": value for key, value in {"n": 3, "weights": weights, **settings}.items()}
    network = network_of(tiny, **changes)
    generator = torch.Generator().manual_seed(0)
    lag = network.lags[head - 1]
    adam = torch.optim.AdamW(network.parameters(), lr=0.03)
    for _ in range(50):
        joint(network, repeating_tokens(lag, generator))
        update_parameters(adam)
    losses = {source: joint(network, repeating_tokens(source, generator)) for source in range(1, 6)}
    assert float(losses[lag][f"loss_{lag}"]) < 0.2
    for source in losses.keys() - {lag}:
        assert float(losses[source][f"loss_{lag}"]) > 0.8 * np.log(8)
    for other in set(network.lags) - {lag}:
        assert float(losses[lag][f"loss_{other}"]) > 0.8 * np.log(8), "a head whose weight is 0 learns nothing"


def test_tokens_without_loss_do_not_change_the_loss(tiny: Spec) -> None:
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
def test_match_layers_keeps_the_number_of_parameters_of_next_token_prediction(tiny: Spec, n: int) -> None:
    next_token, matched = network_of(tiny, objective__n=1), network_of(tiny, objective__n=n)
    assert count_parameters(next_token) == count_parameters(matched)
    assert len(matched.trunk.layers) == len(next_token.trunk.layers) - (n - 1)
    larger = network_of(tiny, objective__n=n, objective__match="none")
    assert len(larger.trunk.layers) == len(next_token.trunk.layers)
    layer = count_parameters(next_token.trunk.layers[0])
    assert count_parameters(larger) == count_parameters(next_token) + (n - 1) * layer


def test_parameters_by_part_add_up(tiny: Spec) -> None:
    network = network_of(tiny, objective__n=3)
    assert sum(network.parameters_by_part().values()) == count_parameters(network)


def test_heads_that_leave_no_trunk_are_refused(tiny: Spec) -> None:
    with pytest.raises(UserError, match=r"objective\.n = 4: .* leave no trunk"):
        assemble(tiny(objective__n=4))
