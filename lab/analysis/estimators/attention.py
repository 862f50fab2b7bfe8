"""Attention heads on the path to the next token: their patterns, what they write, and the network without one of them.

The model's own attention never materialises its pattern. Here the pattern is recomputed from the input of a layer with
the layer's own projections and rotary positions. B samples, T positions, D width, A attention heads, K width of a head,
V tokens.
"""

from collections.abc import Iterator
from contextlib import contextmanager

import numpy as np
import torch
from torch import Tensor, nn

from generators.foundation.randomness import Floats
from lab.model.layers import Block, rotate
from lab.objectives.checks.llama_path import llama_trunk
from lab.objectives.objective import Objective
from lab.run.evaluation import SAMPLES_AT_ONCE

PATTERN_NUMBERS_AT_ONCE = 1 << 24
"""Numbers of attention patterns held in memory."""


def next_token_layers(network: Objective) -> list[nn.Module]:
    """Returns the layers between the embedding and the final norm, in order."""
    return [*network.trunk.layers, *network.next_token_path().layers]


def attention_blocks(network: Objective) -> list[Block]:
    """Returns those of `next_token_layers` that have attention heads."""
    return [layer for layer in next_token_layers(network) if isinstance(layer, Block)]


def samples_at_once(network: Objective, length: int) -> int:
    """Returns how many samples' attention patterns fit in memory."""
    heads = max(block.self_attn.attention_heads for block in attention_blocks(network))
    return max(1, PATTERN_NUMBERS_AT_ONCE // (length**2 * heads))


def attend(block: Block, x_BxTxD: Tensor, rotary_2xTxK: Tensor) -> tuple[Tensor, Tensor]:
    """Computes the attention of a block's heads from its input.

    Returns:
        Patterns [B, A, T, T], whose rows sum to one, and values [B, A, T, K]. `o_proj` reads patterns @ values, heads
        side by side.
    """
    attention, normed_BxTxD = block.self_attn, block.input_layernorm(x_BxTxD)
    projections = (attention.q_proj, attention.k_proj, attention.v_proj)
    split = (*x_BxTxD.shape[:2], attention.attention_heads, -1)
    q, k, v = (projection(normed_BxTxD).view(split).transpose(1, 2) for projection in projections)
    scores_BxAxTxT = rotate(q, rotary_2xTxK) @ rotate(k, rotary_2xTxK).transpose(2, 3) / q.shape[3] ** 0.5
    unseen_TxT = torch.ones_like(scores_BxAxTxT[0, 0], dtype=torch.bool).triu(1)
    return scores_BxAxTxT.masked_fill(unseen_TxT, -torch.inf).softmax(dim=3), v


def attention_by_block(network: Objective, tokens_BxT: Tensor) -> Iterator[tuple[Tensor, Tensor]]:
    """Yields the patterns and values of each block on the path to the next token, in order."""
    rotary_2xTxK = llama_trunk(network).rotary(tokens_BxT.shape[1])
    x_BxTxD = network.trunk.embed_tokens(tokens_BxT)
    for layer in next_token_layers(network):
        if isinstance(layer, Block):
            yield attend(layer, x_BxTxD, rotary_2xTxK)
            x_BxTxD = layer(x_BxTxD, rotary_2xTxK)
        else:
            x_BxTxD = layer(x_BxTxD)


def copying_shares(network: Objective, tokens_N: Tensor) -> list[Tensor]:
    """Computes the copying score of each head [A], block by block.

    The score is the share of the given tokens whose own logit a head raises above the mean of all logits when it
    attends to them: the diagonal of embedding -> values -> output -> unembedding, compared with the means of its rows.
    The computation follows the residual stream, without the attention layers in between, and represents a token by its
    embedding. Norms are reduced to their gains; their divisors are positive and change no comparison.
    """
    path, layers = network.next_token_path(), next_token_layers(network)
    assert isinstance(path.norm, nn.RMSNorm), "the norm of a Llama"
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
    """Replaces the output of one head, as `o_proj` reads it, by a constant at all positions."""
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


def count_hits(network: Objective, tokens_BxT: Tensor, scored_BxT: Tensor) -> Floats:
    """Counts the scored tokens of each sample [B] whose most likely prediction is right."""
    right_BxT = torch.zeros_like(scored_BxT)
    pieces = (torch.split(tensor, SAMPLES_AT_ONCE) for tensor in (tokens_BxT, scored_BxT, right_BxT))
    for tokens, scored, right in zip(*pieces, strict=True):
        hidden = network.hidden(network.trunk(tokens[:, :-1]), 1, tokens[:, :-1])
        predicted = network.unembed(hidden[scored[:, 1:]], 1).argmax(dim=1)
        right[:, 1:][scored[:, 1:]] = predicted == tokens[:, 1:][scored[:, 1:]]
    counts_B: Floats = right_BxT.sum(dim=1).double().cpu().numpy()
    return counts_B


def count_hits_without_each_head(network: Objective, tokens_BxT: Tensor, scored_BxT: Tensor) -> Floats:
    """Counts the tokens of `count_hits` with each attention head on the path to the next token ablated in turn [heads,
    B].
    """
    totals: list[Tensor] = []
    for tokens in torch.split(tokens_BxT[:, :-1], samples_at_once(network, tokens_BxT.shape[1])):
        outputs = [(pattern @ values).sum(dim=0).mean(dim=1) for pattern, values in attention_by_block(network, tokens)]
        totals = [total + output for total, output in zip(totals, outputs, strict=True)] if totals else outputs
    hits = []
    for block, total_AxK in zip(attention_blocks(network), totals, strict=True):
        for head, mean_K in enumerate(total_AxK / len(tokens_BxT)):
            with ablated(block, head, mean_K):
                hits.append(count_hits(network, tokens_BxT, scored_BxT))
    return np.stack(hits)
