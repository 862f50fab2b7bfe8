"""Compares a network with what its modules compute in order, and with the Llama that they would form.

Export, decoding with a cache and analyses of layers compute the next-token path anew from its modules, but a trunk or
an objective may compute something else in its forward pass. Each of them first compares its logits with those of the
plain forward pass on a few samples. What reads the attention of a Llama also needs the trunk of one.
"""

import numpy as np
import torch
from torch import Tensor

from generators.foundation.errors import UserError
from generators.foundation.randomness import Integers
from lab.model.batches import TensorBatch
from lab.model.layers import Block
from lab.model.trunks.llama import Llama
from lab.objectives.objective import Objective

SAMPLES_COMPARED = 4
TOLERANCES = {torch.float64: 1e-8, torch.float32: 1e-3}
"""Largest distance between two logits, relative to the largest logit, by the precision of the weights."""
HALF_PRECISION_TOLERANCE = 5e-2


@torch.no_grad()
def next_token_logits(network: Objective, tokens_BxP: Tensor) -> Tensor:
    """Computes the logits [B, P, V] after each of P tokens by the plain forward pass, as evaluation does."""
    samples, positions = tokens_BxP.shape
    tokens_BxT = torch.cat((tokens_BxP, tokens_BxP[:, -1:]), dim=1)  # the last token of a batch is never read
    batch = TensorBatch(tokens_BxT, np.ones((samples, positions + 1), dtype=np.bool_), np.arange(samples))
    return network.unembed(network.hidden(network.latent(batch), 1, batch.inputs_BxP), 1)


def distance_text(logits: Tensor, expected: Tensor, dtype: torch.dtype) -> str:
    """Returns how far two computations of the same logits are apart, in words; "" if they agree.

    Args:
        dtype: the precision of the weights, which sets the tolerance.
    """
    logits, expected = logits.double().cpu(), expected.double().cpu()
    differs = ~torch.isclose(logits, expected, rtol=0, atol=0, equal_nan=True)  # infinite logits are equal too
    distance = (logits - expected).abs()[differs]
    largest = expected[expected.isfinite()].abs().max() if expected.isfinite().any() else torch.ones(())
    if bool((distance <= TOLERANCES.get(dtype, HALF_PRECISION_TOLERANCE) * largest).all()):
        return ""
    return f"logits differ by up to {float(distance.max()):z.2g}, where the largest is {float(largest):z.2g}"


def llama_trunk(network: Objective) -> Llama:
    """Returns the trunk of a network that has passed `require_llama`."""
    assert isinstance(network.trunk, Llama)
    return network.trunk


def llama_problem(network: Objective) -> str:
    """Describes the part of a network's trunk that a Llama does not have; "" if there is none."""
    if not isinstance(network.trunk, Llama):
        return f'its model.kind is "{network.trunk.config.kind}"'
    other = next((layer for layer in network.trunk.layers if not isinstance(layer, Block)), None)
    return f"its trunk contains a {type(other).__name__}" if other is not None else ""


@torch.no_grad()
def require_layer_by_layer(network: Objective, tokens: Integers, subject: str) -> None:
    """Refuses a network that is not its embedding and its layers, applied in order.

    Args:
        tokens: int64 [B, P], of which the first few samples are compared.
        subject: what reads the layers, for the error message.

    Raises:
        UserError: the plain forward pass gives other logits.
    """
    trunk, path = network.trunk, network.next_token_path()
    device = trunk.embed_tokens.weight.device
    tokens_BxP = torch.from_numpy(np.ascontiguousarray(tokens[:SAMPLES_COMPARED])).to(device)
    x_BxPxD = trunk.embed(tokens_BxP)
    for layer in (*trunk.layers, *path.layers):
        x_BxPxD = trunk.apply_layer(layer, x_BxPxD) if trunk.has_kind_of(layer) else layer(x_BxPxD)
    logits_BxPxV = path.unembedding(path.norm(x_BxPxD))
    if problem := distance_text(logits_BxPxV, next_token_logits(network, tokens_BxP), logits_BxPxV.dtype):
        raise UserError(
            f"{subject}: reads a network layer by layer, but objective {network.config.kind} with a model of kind "
            f"{trunk.config.kind} computes something else than its layers in order ({problem})"
        )


def require_llama(network: Objective, tokens: Integers, subject: str) -> None:
    """Refuses a network that is not the Llama that its modules form.

    Args:
        tokens: int64 [B, P], of which the first few samples are compared.
        subject: what reads the layers, for the error message.

    Raises:
        UserError: the trunk is not a Llama, or the plain forward pass gives other logits.
    """
    if problem := llama_problem(network):
        raise UserError(f'{subject}: reads the attention of a network with model.kind = "llama", but {problem}')
    require_layer_by_layer(network, tokens, subject)
