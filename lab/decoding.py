"""Decoding with keys and values kept: greedy, or self-speculative with the run's own heads as drafters.

Self-speculation is blockwise parallel decoding (Stern et al. 2018; paper, section 3.2): the heads 2..k propose what
follows the token that is certain, one forward pass reads the block of k and head 1 says which of the proposals it
would have made itself; they stand, and the next block starts behind them. The tokens are those of greedy decoding.
With a temperature, proposals are accepted with probability min(1, p/q) and replaced from what is left of p otherwise
(Leviathan et al. 2023), so that samples have head 1's distribution exactly.
"""

from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from generators.errors import UserError
from generators.randomness import Integers
from lab.model.layers import Block
from lab.model.reading import ReadingBlock, Where
from lab.objectives.objective import Objective


@dataclass(frozen=True)
class Decoded:
    """What was decoded, and how the drafts fared.

    tokens: int64 [B, N], the end-of-sequence token repeated behind the first one; forwards: int64 [B], passes over
    blocks that were needed (reading the prompt is not counted); lengths: int64 [B], tokens up to N or the first end;
    proposed, accepted: int64 [k - 1], of heads 2..k, each counted where the one before it was accepted.
    """

    tokens: Integers
    lengths: Integers
    forwards: Integers
    proposed: Integers
    accepted: Integers

    @property
    def acceptance(self) -> NDArray[np.float64]:
        """Of each head's proposals, where those before it stood, the share that stood [k - 1]."""
        return self.accepted / np.maximum(1, self.proposed)

    @property
    def tokens_per_forward(self) -> float:
        """Tokens that a forward pass over a block gave, on average: 1 for plain decoding, k at best."""
        return 1 + float(self.accepted.sum()) / max(1, int(self.forwards.sum()))


class Reader:
    """A network that reads on: every token once, samples as far as each has come.

    Args:
        samples: B.
        capacity: the most positions that will be held.
    """

    def __init__(self, network: Objective, samples: int, capacity: int) -> None:
        self.network, self.samples, self.capacity = network, samples, capacity
        self.layers: dict[Block, ReadingBlock] = {}
        cosines, sines = network.trunk.rotary_2xTxK.to(network.trunk.embed_tokens.weight.dtype)
        half = sines.shape[1] // 2
        self.tables = cosines, torch.cat((-sines[:, :half], sines[:, half:]), dim=1)

    def read(self, tokens_BxT: Tensor, start_B: Tensor, heads: int) -> list[Tensor]:
        """Hidden states [B, T, D] of heads 1.. `heads` at T tokens, the first of which stands at `start_B`."""
        where = self.where(start_B, tokens_BxT.shape[1])

        def run(block: Block, x_BxTxD: Tensor) -> Tensor:
            if block not in self.layers:
                self.layers[block] = ReadingBlock(block, self.samples, self.capacity)
            return self.layers[block](x_BxTxD, where)

        x_BxTxD = self.network.trunk.embed_tokens(tokens_BxT)
        for layer in self.network.trunk.layers:
            assert isinstance(layer, Block)
            x_BxTxD = run(layer, x_BxTxD)
        return self.network.proposals(x_BxTxD, heads, run)

    def where(self, start_B: Tensor, count: int) -> Where:
        """The geometry of `count` tokens behind `start_B`; where all samples stand alike it is a slice."""
        low, high = int(start_B.min()), int(start_B.max())
        end = high + count
        last = len(self.tables[0]) - 1  # what lies behind the longest sample is proposed, and thrown away
        columns = torch.arange(end, device=start_B.device)
        steps_T = torch.arange(count, device=start_B.device)
        alike = low == high
        positions = low + steps_T if alike else start_B[:, None] + steps_T
        cosines, sines = (table[positions.clamp(max=last)][..., None, None, :] for table in self.tables)
        if alike:
            return Where(end, None, cosines, sines, None if count == 1 else columns <= positions[:, None])
        return Where(end, positions, cosines, sines, (columns <= positions[:, :, None]).unsqueeze(1))


class Chooser:
    """How a token is chosen from logits, and how proposals are judged: greedily, or by sampling at a temperature."""

    def __init__(self, temperature: float, generator: torch.Generator | None) -> None:
        self.temperature, self.generator = temperature, generator

    def choose(self, logits_BxV: Tensor) -> tuple[Tensor, Tensor]:
        """Tokens [B], and the distribution they are drawn from [B, V] (the logits themselves where greedy)."""
        if not self.temperature:
            return logits_BxV.argmax(dim=-1), logits_BxV
        p_BxV = (logits_BxV / self.temperature).softmax(dim=-1)
        return torch.multinomial(p_BxV, 1, generator=self.generator)[:, 0], p_BxV

    def judge(self, logits_BxKxV: Tensor, block_BxK: Tensor, proposed_by: list[Tensor]) -> tuple[Tensor, Tensor]:
        """How many tokens of each block stand [B], 1..K, and the token that follows them [B].

        Args:
            logits_BxKxV: head 1's, at each token of the block.
            proposed_by: of each proposal, block_BxK[:, 1:], the distribution it was drawn from [B, V].
        """
        rows = torch.arange(len(block_BxK), device=block_BxK.device)
        if not self.temperature:
            verdict_BxK = logits_BxKxV.argmax(dim=-1)
            stands = (block_BxK[:, 1:] == verdict_BxK[:, :-1]).int().cumprod(dim=1)
            count_B = 1 + stands.sum(dim=1)
            return count_B, verdict_BxK[rows, count_B - 1]
        p_BxKxV = (logits_BxKxV / self.temperature).softmax(dim=-1)
        count_B = torch.ones_like(rows)
        alive = torch.ones_like(rows, dtype=torch.bool)
        left_BxV = p_BxKxV[:, 0]
        for step, q_BxV in enumerate(proposed_by):
            token_B = block_BxK[:, step + 1]
            p_B, q_B = left_BxV[rows, token_B], q_BxV[rows, token_B]
            drawn_B = torch.rand(len(rows), generator=self.generator, dtype=p_B.dtype, device=p_B.device)
            taken = alive & (drawn_B * q_B < p_B)
            rest_BxV = (left_BxV - q_BxV).clamp(min=0)
            refused = (alive & ~taken)[:, None]
            count_B += taken.int()
            left_BxV = torch.where(refused, rest_BxV, torch.where(taken[:, None], p_BxKxV[:, step + 1], left_BxV))
            alive = taken
        return count_B, torch.multinomial(left_BxV, 1, generator=self.generator)[:, 0]


@torch.inference_mode()
def decode(
    network: Objective,
    prompts: Integers,
    lengths: Integers,
    count: int,
    draft: int = 1,
    end: int | None = None,
    temperature: float = 0.0,
    generator: torch.Generator | None = None,
) -> Decoded:
    """Continue each prompt by `count` tokens, or up to the first `end`.

    Args:
        prompts: int64 [B, P], from the left; lengths: int64 [B], tokens of each, at least 1.
        draft: k, tokens a forward pass may give; 1 is plain decoding.
        temperature: 0 is greedy; otherwise samples come from `generator`.

    Raises:
        UserError: prompts and continuation are longer than the samples the network was built for, or it cannot draft.
    """
    longest = int(lengths.max()) + count
    table = network.trunk.rotary_2xTxK.shape[1]
    if longest > table:
        raise UserError(f"{int(lengths.max())} tokens of prompt and {count} more are over the {table} of a sample")
    device = network.trunk.embed_tokens.weight.device
    start_B = torch.from_numpy(lengths).to(device)
    size = len(prompts)
    rows = torch.arange(size, device=device)
    reader = Reader(network, size, max(longest, prompts.shape[1]) + draft)
    chooser = Chooser(temperature, generator)

    def propose(hidden: list[Tensor], place_B: Tensor, certain_B: Tensor | None) -> tuple[Tensor, list[Tensor]]:
        chosen, by = [] if certain_B is None else [certain_B], []
        for lag in range(len(chosen) + 1, draft + 1):
            token_B, distribution = chooser.choose(network.unembed(hidden[lag - 1][rows, place_B], lag))
            chosen.append(token_B)
            by.append(distribution)
        return torch.stack(chosen, dim=1), by[len(by) - (draft - 1) :]

    prompt_tokens = torch.from_numpy(prompts[:, : int(lengths.max())]).to(device)
    hidden = reader.read(prompt_tokens, torch.zeros_like(start_B), draft)
    block_BxK, by = propose(hidden, start_B - 1, None)
    out = torch.zeros(size, count + draft, dtype=torch.int64, device=device)
    given_B = torch.zeros_like(start_B)
    forwards_B = torch.zeros_like(start_B)
    proposed, accepted = np.zeros(draft - 1, dtype=np.int64), np.zeros(draft - 1, dtype=np.int64)
    done_B = torch.zeros_like(start_B, dtype=torch.bool)
    while not done_B.all():
        hidden = reader.read(block_BxK, start_B + given_B, draft)
        stands_B, next_B = chooser.judge(network.unembed(hidden[0], 1), block_BxK, by)
        places = (given_B[:, None] + torch.arange(draft, device=device)).clamp(max=count + draft - 1)
        out[rows[:, None], places] = block_BxK
        active = ~done_B
        forwards_B += active
        for head in range(draft - 1):
            proposed[head] += int((active & (stands_B > head)).sum())
            accepted[head] += int((active & (stands_B > head + 1)).sum())
        if end is not None:
            inside = torch.arange(draft, device=device) < stands_B[:, None]
            done_B |= ((block_BxK == end) & inside).any(dim=1)
        given_B = (given_B + torch.where(active, stands_B, 0)).clamp(max=count)
        done_B |= given_B >= count
        block_BxK, by = propose(hidden, stands_B - 1, next_B)
    tokens: NDArray[np.int64] = out[:, :count].cpu().numpy()
    sizes = given_B.cpu().numpy()
    if end is not None:
        ended = np.cumsum(tokens == end, axis=1) > 0
        tokens = np.where(ended, end, tokens)
        sizes = np.where(ended.any(axis=1), np.minimum(sizes, ended.argmax(axis=1) + 1), sizes)
    return Decoded(tokens, sizes, forwards_B.cpu().numpy(), proposed, accepted)
