"""Checks of a trunk: shapes, causality, lengths, the layers of heads, and what it offers beyond the contract."""

import numpy as np
import torch
from torch import Tensor

from lab.model.weights import count_parameters
from lab.objectives.checks.network import (
    LONG,
    TOLERANCE,
    build_network,
    data_shape,
    distinct_tokens,
    long_batch,
    with_changed_tokens,
)
from lab.objectives.checks.reading import recorded_embeddings
from lab.objectives.objective import Objective

SAMPLES = 3


def tokens_of(samples: int = SAMPLES) -> Tensor:
    """Returns tokens [samples, T], of which no two are equal."""
    return torch.from_numpy(distinct_tokens(samples))


def width_of(network: Objective) -> int:
    """Returns the width D of the model's residual stream."""
    return network.trunk.config.shape.width


def check_shapes(network: Objective) -> str:
    """Checks the shape of the latent, and that `layers` holds the layers that were asked for."""
    tokens_BxT = tokens_of()
    expected, actual = (*tokens_BxT.shape, width_of(network)), tuple(network.trunk(tokens_BxT).shape)
    if actual != expected:
        return f"tokens {list(tokens_BxT.shape)} give a latent {list(actual)} instead of {list(expected)}"
    layers, asked = len(network.trunk.layers), network.trunk.config.shape.layers - 1
    return "" if layers == asked else f"`layers` has {layers} layers, but the trunk was asked for {asked}"


def check_causality(network: Objective) -> str:
    """Checks by gradient and by changed tokens that the latent at t depends on the token at t and on no later one."""
    length = data_shape().length
    tokens_TxT, place_T = tokens_of(1).expand(length, -1), torch.arange(length)
    with recorded_embeddings(network) as embedded:
        at_place_TxD = network.trunk(tokens_TxT)[place_T, place_T]
    if not embedded.calls:
        return "`embed_tokens` is not called by the forward pass"
    (slope_TxTxD,) = torch.autograd.grad(at_place_TxD.square().sum(), embedded.calls[0][1])
    reads_TxT = slope_TxTxD.abs().sum(dim=-1) > 0
    if late := (reads_TxT & (place_T > place_T[:, None])).nonzero().tolist():
        return f"the latent at position {late[0][0]} depends on the token at position {late[0][1]}"
    if not reads_TxT.diagonal().all():
        return "a latent does not depend on the token at its own position"
    if not reads_TxT[-1, :-1].any():
        return "the last latent depends on no token before its own"
    middle = length // 2
    changed_TxT = torch.where(place_T > middle, (tokens_TxT + 1) % data_shape().vocabulary, tokens_TxT)
    before, after = (network.trunk(tokens)[:, : middle + 1] for tokens in (tokens_TxT, changed_TxT))
    if not torch.allclose(before, after, TOLERANCE):
        return "a latent changes when later tokens change"
    return long_latent_problem(build_network(network.config, 0, network.trunk.config, LONG))


@torch.no_grad()
def long_latent_problem(network: Objective) -> str:
    """Checks by changed tokens that latents in long samples depend on no later token."""
    batch, target_B = long_batch()
    late_BxT = torch.arange(LONG) >= target_B[:, None]
    before, after = (network.trunk(samples.tokens_BxT) for samples in (batch, with_changed_tokens(batch, late_BxT)))
    differs_BxT = ~torch.isclose(before, after, TOLERANCE).all(dim=2) & ~late_BxT
    if not differs_BxT.any():
        return ""
    sample, place = differs_BxT.nonzero()[0].tolist()
    return (
        f"in samples of {LONG} tokens, the latent at position {place} changes when the tokens from position "
        f"{target_B[sample]} on change"
    )


@torch.no_grad()
def check_repetition(network: Objective) -> str:
    """Checks that the trunk draws nothing in its forward pass, and that samples do not depend on each other."""
    tokens_BxT = tokens_of()
    first, second = (network.trunk(tokens_BxT) for _ in range(2))
    if not torch.equal(first, second):
        return "two forward passes over the same tokens differ, perhaps by dropout; the lab trains without it"
    alone = network.trunk(tokens_BxT[1:2])
    return "" if torch.allclose(alone, first[1:2], TOLERANCE) else "the latents of a sample depend on other samples"


@torch.no_grad()
def check_length(network: Objective) -> str:
    """Checks that the trunk reads any number of tokens up to `length`, and gives a prefix the same latents."""
    trunk, tokens_BxT = network.trunk, tokens_of()
    if trunk.length != data_shape().length:
        return f"`length` is {trunk.length}, but the samples of the data have {data_shape().length} tokens"
    every_BxTxD = trunk(tokens_BxT)
    for count in (1, 2, data_shape().length - 1):
        if not torch.allclose(trunk(tokens_BxT[:, :count]), every_BxTxD[:, :count], TOLERANCE):
            return f"the first {count} tokens alone give other latents than in a longer sample"
    return ""


def check_embedding(network: Objective) -> str:
    """Checks that `embed_tokens` has a row for every token."""
    rows, width = network.trunk.embed_tokens.weight.shape
    if (rows, width) == (data_shape().vocabulary, width_of(network)):
        return ""
    return f"`embed_tokens` is [{rows}, {width}] instead of [{data_shape().vocabulary}, {width_of(network)}]"


def check_head_layer(network: Objective) -> str:
    """Checks that a new layer shares nothing with others, keeps the shape and reads no later position."""
    trunk = network.trunk
    layer, other = trunk.new_layer(), trunk.new_layer()
    layer.to(torch.float64)
    elsewhere = {id(value) for part in (trunk, other) for value in part.parameters()}
    if any(id(value) in elsewhere for value in layer.parameters()):
        return "`new_layer` returns a layer that shares parameters with another"
    shapes, own = ([value.shape for value in part.parameters()] for part in (layer, trunk.layers[0]))
    if shapes != own:
        return "the parameters of a new layer have other shapes than those of the trunk's layers"
    noise = torch.Generator().manual_seed(0)
    x_BxTxD = torch.randn(SAMPLES, data_shape().length, width_of(network), dtype=torch.float64, generator=noise)
    y_BxTxD = trunk.apply_layer(layer, x_BxTxD.requires_grad_())
    if y_BxTxD.shape != x_BxTxD.shape:
        return f"`apply_layer` turns {list(x_BxTxD.shape)} into {list(y_BxTxD.shape)}"
    middle = data_shape().length // 2
    (slope_BxTxD,) = torch.autograd.grad(y_BxTxD[:, middle].square().sum(), x_BxTxD)
    if slope_BxTxD[:, middle + 1 :].any():
        return "the output of `apply_layer` depends on later positions of its input"
    return "" if slope_BxTxD.any() else "the output of `apply_layer` does not depend on its input"


def check_parts(network: Objective) -> str:
    """Checks that `parameters_by_part` of the trunk counts every parameter once, the embedding among them."""
    counts, total = network.trunk.parameters_by_part(), count_parameters(network.trunk)
    if sum(counts.values()) != total:
        return f"`parameters_by_part` counts {sum(counts.values()):,} parameters, but the trunk has {total:,}"
    least = count_parameters(network.trunk.embed_tokens)
    if counts.get("embedding", 0) >= least:
        return ""
    return f'`parameters_by_part` should count at least the {least:,} parameters of `embed_tokens` as "embedding"'


@torch.inference_mode()
def check_cache(network: Objective) -> str:
    """Compares the cache with the forward pass: blocks from different positions, rejected tokens, fewer samples."""
    trunk, tokens_BxT = network.trunk, tokens_of()
    cache = trunk.new_cache(SAMPLES, data_shape().length + 2)
    if cache is None:
        return ""
    head = network.next_token_path().layers[0]
    z_BxTxD = trunk(tokens_BxT)
    expected = z_BxTxD, trunk.apply_layer(head, z_BxTxD)
    tokens, kept = tokens_BxT.numpy(), np.arange(SAMPLES)
    wrong = (tokens + 1) % data_shape().vocabulary
    # rows of (tokens, first position of each sample, tokens read); the second block is then read again, rightly
    steps = [(tokens, np.zeros(SAMPLES, np.int64), 4), (wrong, np.arange(2, 2 + SAMPLES), 2)]
    steps += [(tokens, np.arange(2, 2 + SAMPLES), 3), (tokens, np.arange(5, 5 + SAMPLES), 1)]
    for number, (source, start, count) in enumerate(steps):
        if number == len(steps) - 1:
            kept = kept[1:]
            cache.keep_samples(kept)
        places = start[kept, None] + np.arange(count)
        z_NxD = cache.read(source[kept[:, None], places], start[kept])
        outputs = z_NxD, cache.run([head], z_NxD)[0]
        if source is wrong:
            continue
        for name, output_NxD, all_BxTxD in zip(("latents", "outputs of a head layer"), outputs, expected, strict=True):
            if not torch.allclose(output_NxD, all_BxTxD[kept[:, None], places].flatten(0, 1), rtol=1e-6, atol=1e-9):
                return f"the cache gives other {name} than the forward pass (block {number + 1} of {len(steps)})"
    return ""


@torch.no_grad()
def check_masks(network: Objective) -> str:
    """Compares `run_at` with the forward pass, for the positions and the mask that `forward` has by itself."""
    trunk, tokens_BxT = network.trunk, tokens_of()
    if not trunk.takes_masks:
        return ""
    place_BxT = torch.arange(tokens_BxT.shape[1]).expand_as(tokens_BxT)
    mask_TxT = torch.ones(data_shape().length, data_shape().length, dtype=torch.bool).tril()
    z_BxTxD = trunk.run_at(trunk.embed_tokens(tokens_BxT), place_BxT, mask_TxT)
    return "" if torch.allclose(z_BxTxD, trunk(tokens_BxT), TOLERANCE) else "`run_at` gives other latents"


@torch.no_grad()
def check_embedded(network: Objective) -> str:
    """Compares `forward_embedded` with the forward pass, for the embeddings of tokens."""
    trunk, tokens_BxT = network.trunk, tokens_of()
    if not trunk.takes_embeddings:
        return ""
    z_BxTxD = trunk.forward_embedded(trunk.embed_tokens(tokens_BxT))
    return "" if torch.allclose(z_BxTxD, trunk(tokens_BxT), TOLERANCE) else "`forward_embedded` gives other latents"
