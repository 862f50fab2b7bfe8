"""Attention heads on the way to the next token: what they attend to, what they write, and a network without one.

The model's own attention never holds its pattern; here it is computed again from a layer's input, with the layer's own
projections and rotary positions. B samples, T positions, D width, A attention heads, K width of one, V tokens.
"""

from collections.abc import Iterator
from contextlib import contextmanager

import numpy as np
import torch
from torch import Tensor, nn

from generators.material.entropy import Floats
from lab.model.layers import Block, rotate
from lab.objectives.objective import Objective
from lab.run.evaluation import SAMPLES_AT_ONCE

NUMBERS_AT_ONCE = 1 << 24
"""Of attention patterns held."""


def next_token_layers(network: Objective) -> list[nn.Module]:
    """The layers between the embedding and the final norm, in order."""
    return [*network.trunk.layers, *network.next_token_path().layers]


def blocks_of(network: Objective) -> list[Block]:
    """Those of them that have attention heads."""
    return [layer for layer in next_token_layers(network) if isinstance(layer, Block)]


def samples_at_once(network: Objective, length: int) -> int:
    """Samples whose attention patterns are held together."""
    return max(1, NUMBERS_AT_ONCE // (length**2 * max(block.self_attn.attention_heads for block in blocks_of(network))))


def attend(block: Block, x_BxTxD: Tensor, rotary_2xTxK: Tensor) -> tuple[Tensor, Tensor]:
    """How a block's heads attend, given its input: patterns [B, A, T, T], whose rows sum to one, and values
    [B, A, T, K]; patterns @ values, heads side by side, is what `o_proj` reads."""
    attention, normed_BxTxD = block.self_attn, block.input_layernorm(x_BxTxD)
    projections = (attention.q_proj, attention.k_proj, attention.v_proj)
    split = (*x_BxTxD.shape[:2], attention.attention_heads, -1)
    q, k, v = (projection(normed_BxTxD).view(split).transpose(1, 2) for projection in projections)
    scores_BxAxTxT = rotate(q, rotary_2xTxK) @ rotate(k, rotary_2xTxK).transpose(2, 3) / q.shape[3] ** 0.5
    unseen_TxT = torch.ones_like(scores_BxAxTxT[0, 0], dtype=torch.bool).triu(1)
    return scores_BxAxTxT.masked_fill(unseen_TxT, -torch.inf).softmax(dim=3), v


def attended(network: Objective, tokens_BxT: Tensor) -> Iterator[tuple[Tensor, Tensor]]:
    """What `attend` gives of each block on the way to the next token, in order."""
    rotary_2xTxK = network.trunk.rotary(tokens_BxT.shape[1])
    x_BxTxD = network.trunk.embed_tokens(tokens_BxT)
    for layer in next_token_layers(network):
        if isinstance(layer, Block):
            yield attend(layer, x_BxTxD, rotary_2xTxK)
            x_BxTxD = layer(x_BxTxD, rotary_2xTxK)
        else:
            x_BxTxD = layer(x_BxTxD)


def copying(network: Objective, tokens_N: Tensor) -> list[Tensor]:
    """Of each block, the share [A] of these tokens whose own logit a head raises above the mean of all logits when it
    attends to them: the diagonal of embedding -> values -> output -> unembedding against the means of its rows.

    It is the direct way alone, layers between passed over on the residual stream, and a token is its embedding. Norms
    count by their gains: what they divide by is positive and turns no comparison round.
    """
    path, layers = network.next_token_path(), next_token_layers(network)
    unembedding_VxD = path.unembedding.weight * path.norm.weight
    shares = []
    for place, block in enumerate(layers):
        if not isinstance(block, Block):
            continue
        attention = block.self_attn
        values_NxD = attention.v_proj(block.input_layernorm(network.trunk.embed_tokens(tokens_N)))
        heads = attention.attention_heads
        written = zip(values_NxD.chunk(heads, dim=1), attention.o_proj.weight.chunk(heads, dim=1), strict=True)
        raised = []
        for values_NxK, output_DxK in written:
            out_NxD = values_NxK @ output_DxK.T
            for layer in layers[place + 1 :]:
                out_NxD = out_NxD if isinstance(layer, Block) else layer(out_NxD)
            own_N = (out_NxD * unembedding_VxD[tokens_N]).sum(dim=1)
            raised.append((own_N > out_NxD @ unembedding_VxD.mean(dim=0)).double().mean())
        shares.append(torch.stack(raised))
    return shares


@contextmanager
def ablated(block: Block, head: int, output_K: Tensor) -> Iterator[None]:
    """The block with what one head gives to `o_proj` replaced by a constant, everywhere."""
    columns = slice(head * len(output_K), (head + 1) * len(output_K))

    def replace(_: nn.Module, inputs: tuple[Tensor]) -> tuple[Tensor]:
        heads_BxTxD = inputs[0].clone()
        heads_BxTxD[..., columns] = output_K
        return (heads_BxTxD,)

    hook = block.self_attn.o_proj.register_forward_pre_hook(replace)
    try:
        yield
    finally:
        hook.remove()


def hits(network: Objective, tokens_BxT: Tensor, scored_BxT: Tensor) -> Floats:
    """Scored tokens of each sample [B] whose most likely prediction is right."""
    right_BxT = torch.zeros_like(scored_BxT)
    pieces = (torch.split(tensor, SAMPLES_AT_ONCE) for tensor in (tokens_BxT, scored_BxT, right_BxT))
    for tokens, scored, right in zip(*pieces, strict=True):
        hidden = network.hidden(network.trunk(tokens[:, :-1]), 1, tokens[:, :-1])
        chosen = network.unembed(hidden[scored[:, 1:]], 1).argmax(dim=1)
        right[:, 1:][scored[:, 1:]] = chosen == tokens[:, 1:][scored[:, 1:]]
    found: Floats = right_BxT.sum(dim=1).double().cpu().numpy()
    return found


def hits_without_each(network: Objective, tokens_BxT: Tensor, scored_BxT: Tensor) -> Floats:
    """The same without each attention head on the way to the next token [heads, B]."""
    blocks = blocks_of(network)
    total: list[Tensor] = []
    for tokens in torch.split(tokens_BxT[:, :-1], samples_at_once(network, tokens_BxT.shape[1])):
        each = [(pattern @ values).sum(dim=0).mean(dim=1) for pattern, values in attended(network, tokens)]
        total = [before + more for before, more in zip(total, each, strict=True)] if total else each
    without = []
    for block, total_AxK in zip(blocks, total, strict=True):
        for head, mean_K in enumerate(total_AxK / len(tokens_BxT)):
            with ablated(block, head, mean_K):
                without.append(hits(network, tokens_BxT, scored_BxT))
    return np.stack(without)
