"""Decoding with keys and values kept: greedy, or self-speculative with the run's own heads as drafters.

Self-speculation is blockwise parallel decoding (Stern et al. 2018; paper, section 3.2): the heads 2..k propose what
follows the token that is certain, one forward pass reads the block of k and head 1 says which of the proposals it
would have made itself; they stand, and the next block starts behind them. The tokens are those of greedy decoding.
With a temperature, proposals are accepted with probability min(1, p/q) and replaced from what is left of p otherwise
(Leviathan et al. 2023), so that samples have head 1's distribution exactly.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from generators.foundation.errors import UserError
from generators.foundation.randomness import Integers
from generators.task import Mask
from lab.decoding.cached_layers import ReadingLayers, Where
from lab.model.layers import Block
from lab.objectives.objective import Objective

COMPACTED_BELOW = 0.75
"""Share of samples still going below which the finished ones are taken out of the batch."""


@dataclass(frozen=True)
class Decoded:
    """What was decoded, and how the drafts fared.

    tokens: int64 [B, N], the end-of-sequence token repeated behind the first one; lengths: int64 [B], tokens up to N or
    the first end; forwards: int64 [B], passes over blocks that were needed (reading the prompt is not counted);
    drafts: int8 [B, N + k, k - 1], of the proposal of each head 2..k for the token at each place: 1 it stood, 0 it did
    not, -1 there was none, or one before it did not stand. Places behind N are what a last block had too many of.
    """

    tokens: Integers
    lengths: Integers
    forwards: Integers
    drafts: NDArray[np.int8]

    @property
    def proposed(self) -> Integers:
        """Proposals of heads 2..k, counted where the ones before them stood [k - 1]."""
        counts: Integers = (self.drafts >= 0).sum(axis=(0, 1))
        return counts

    @property
    def accepted(self) -> Integers:
        """Proposals of heads 2..k that stood [k - 1]."""
        counts: Integers = (self.drafts == 1).sum(axis=(0, 1))
        return counts

    @property
    def acceptance(self) -> NDArray[np.float64]:
        """Of each head's proposals, where those before it stood, the share that stood [k - 1]."""
        return self.accepted / np.maximum(1, self.proposed)

    def acceptance_among(self, places: Mask) -> NDArray[np.float64]:
        """The same of the proposals for some places alone [B, N]; NaN of a head that proposed nothing there [k - 1]."""
        inside = self.drafts[:, : self.tokens.shape[1]][places]
        proposed = (inside >= 0).sum(axis=0)
        return np.where(proposed > 0, (inside == 1).sum(axis=0) / np.maximum(1, proposed), np.nan)

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
        self.layers: dict[Block, ReadingLayers] = {}
        weight, rotary = network.trunk.embed_tokens.weight, network.trunk.rotary_2xTxK
        half = rotary.shape[2] // 2
        self.turns_CxK = torch.complex(*rotary[:, :, half:].to(weight.dtype))  # where sines have their own sign
        self.seen: dict[int, Tensor] = {}

    def read(self, tokens: Integers, start: Integers, heads: int) -> Tensor:
        """Hidden states [heads, B, T, D] at further tokens [B, T], the first of which stands at `start` [B]."""
        where = self.where(start, tokens.shape[1])

        def run(blocks: Sequence[Block], x_NxD: Tensor) -> Tensor:
            if blocks[0] not in self.layers:
                self.layers[blocks[0]] = ReadingLayers(blocks, self.samples, self.capacity)
            made = self.layers[blocks[0]](x_NxD, where)
            return made if len(blocks) > 1 else made[None]

        tokens_N = torch.from_numpy(np.ascontiguousarray(tokens).reshape(-1)).to(self.turns_CxK.device)
        x_NxD = self.network.trunk.embed_tokens(tokens_N)
        for layer in self.network.trunk.layers:
            assert isinstance(layer, Block)
            x_NxD = run([layer], x_NxD)[0]
        return self.network.proposals(x_NxD, heads, run).view(heads, *tokens.shape, -1)

    def where(self, start: Integers, count: int) -> Where:
        """The geometry of `count` tokens behind `start`; where all samples stand alike it is a slice."""
        low, high = int(start.min()), int(start.max())
        end, last = high + count, len(self.turns_CxK) - 1
        if low == high and end <= last + 1:
            mask = None if count == 1 else self.visible(count)[:, self.capacity - low :][:, :end]
            return Where(self.samples, count, end, None, self.turns_CxK[low:end, None, None], mask)
        positions = start[:, None] + np.arange(count)
        places_BxT = torch.from_numpy(positions).to(self.turns_CxK.device)
        # What lies behind the longest sample is proposed, and thrown away.
        turns = self.turns_CxK[places_BxT.clamp(max=last)][:, :, None, None]
        unseen = torch.arange(end, device=places_BxT.device) > places_BxT[:, None, :, None]
        mask = self.turns_CxK.real.new_zeros(unseen.shape).masked_fill_(unseen, -torch.inf)
        return Where(self.samples, count, end, places_BxT, turns, mask)

    def visible(self, count: int) -> Tensor:
        """The mask [count, capacity + count] of tokens behind `capacity` others: a slice of it is that behind fewer."""
        if count not in self.seen:
            behind = torch.full((count, count), -torch.inf, dtype=self.turns_CxK.real.dtype).triu(1)
            before = behind.new_zeros(count, self.capacity)
            self.seen[count] = torch.cat((before, behind), dim=1).to(self.turns_CxK.device)
        return self.seen[count]

    def keep(self, rows: Integers) -> None:
        """Go on with these samples [B'] alone."""
        self.samples = len(rows)
        kept = torch.from_numpy(rows).to(self.turns_CxK.device)
        for layers in self.layers.values():
            layers.keep(kept)


class Chooser:
    """How a token is chosen from logits, and how proposals are judged: greedily, or by sampling at a temperature."""

    def __init__(self, temperature: float, generator: torch.Generator | None) -> None:
        self.temperature, self.generator = temperature, generator

    def choose(self, logits_HxBxV: Tensor) -> tuple[Integers, Tensor]:
        """Tokens [H, B], and the distributions they are drawn from [H, B, V] (the logits themselves where greedy)."""
        if not self.temperature:
            return logits_HxBxV.argmax(dim=-1).cpu().numpy(), logits_HxBxV
        p_HxBxV = (logits_HxBxV / self.temperature).softmax(dim=-1)
        tokens_HB = torch.multinomial(p_HxBxV.flatten(0, 1), 1, generator=self.generator)
        return tokens_HB.view(p_HxBxV.shape[:2]).cpu().numpy(), p_HxBxV

    def judge(self, logits_BxKxV: Tensor, block: Integers, proposed_by: Tensor) -> tuple[Integers, Integers]:
        """How many tokens of each block [B, K] stand [B], 1..K, and the token that follows them [B].

        Args:
            logits_BxKxV: head 1's, at each token of the block.
            proposed_by: of each proposal, block[:, 1:], the distribution it was drawn from [K - 1, B, V].
        """
        if not self.temperature:
            verdict = logits_BxKxV.argmax(dim=-1).cpu().numpy()
            stand = (block[:, 1:] == verdict[:, :-1]).cumprod(axis=1)
            count: Integers = 1 + stand.sum(axis=1)
            return count, verdict[np.arange(len(block)), count - 1]
        p_BxKxV = (logits_BxKxV / self.temperature).softmax(dim=-1)
        rows = torch.arange(len(block), device=p_BxKxV.device)
        block_BxK = torch.from_numpy(block).to(p_BxKxV.device)
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
        follows_B = torch.multinomial(left_BxV, 1, generator=self.generator)[:, 0]
        return count_B.cpu().numpy(), follows_B.cpu().numpy()


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
    size = len(prompts)
    reader = Reader(network, size, longest + draft)
    chooser = Chooser(temperature, generator)

    def propose(hidden: Tensor, places: Integers, certain: Integers | None) -> tuple[Integers, Tensor]:
        """A block [B, K] of the certain token and proposals, and what each proposal was drawn from [K - 1, B, V]."""
        rows = torch.arange(hidden.shape[1], device=hidden.device)
        at_HxBxD = hidden[:, rows, torch.from_numpy(places).to(hidden.device)]
        if certain is None:
            first, by_HxBxV = chooser.choose(logits(at_HxBxD, 1))
            return first.T, by_HxBxV[1:]
        if draft == 1:
            return certain[:, None], at_HxBxD[:0]
        tokens, by_HxBxV = chooser.choose(logits(at_HxBxD, 2))
        return np.concatenate((certain[None], tokens)).T, by_HxBxV

    def logits(hidden_HxBxD: Tensor, first: int) -> Tensor:
        """Of the heads from the `first` on [H, B, V]."""
        heads = range(first, draft + 1)
        return torch.stack([network.unembed(hidden_HxBxD[head - 1], head) for head in heads])

    hidden = reader.read(prompts[:, : int(lengths.max())], np.zeros_like(lengths), draft)
    block, by = propose(hidden, lengths - 1, None)
    out = np.zeros((size, count + draft), dtype=np.int64)
    drafts = np.full((size, count + draft, max(0, draft - 1)), -1, dtype=np.int8)
    given, forwards = np.zeros_like(lengths), np.zeros_like(lengths)
    live, going = np.arange(size), np.ones(size, dtype=bool)
    steps = np.arange(draft)
    while True:
        hidden = reader.read(block, lengths[live] + given[live], draft)
        stand, follow = chooser.judge(network.unembed(hidden[0], 1), block, by)
        row, place = live[going, None], given[live[going], None] + steps
        out[row, place] = block[going]
        stood = steps < stand[going, None]
        judged = steps[1:] <= stand[going, None]
        drafts[row, place[:, 1:], steps[:-1]] = np.where(judged, stood[:, 1:], -1)
        forwards[live[going]] += 1
        given[live[going]] = np.minimum(given[live[going]] + stand[going], count)
        if end is not None:
            going[going] = ~((block[going] == end) & stood).any(axis=1)
        going &= given[live] < count
        if not going.any():
            break
        block, by = propose(hidden, stand - 1, follow)
        if going.sum() < COMPACTED_BELOW * len(live):
            rows = np.flatnonzero(going)
            reader.keep(rows)
            live, going, block = live[rows], going[rows], block[rows]
            by = by[:, torch.from_numpy(rows).to(by.device)]
    tokens, sizes = out[:, :count], given
    if end is not None:
        ended = np.cumsum(tokens == end, axis=1) > 0
        tokens = np.where(ended, end, tokens)
        sizes = np.where(ended.any(axis=1), np.minimum(sizes, ended.argmax(axis=1) + 1), sizes)
    return Decoded(tokens, sizes, forwards, drafts)
