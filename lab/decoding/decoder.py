"""Decoding with a key-value cache: greedy, or self-speculative with the run's own heads as drafters.

Self-speculation is blockwise parallel decoding (Stern et al. 2018; paper, section 3.2). Heads 2..k draft the tokens
after the next one, one forward pass reads the block of k tokens, and head 1 accepts the drafts that it would have
chosen itself, up to the first it rejects; the next block starts there. The tokens are those of greedy decoding. With a
temperature, a draft is accepted with probability min(1, p/q) and otherwise replaced by a sample of the normalised
max(0, p - q) (Leviathan et al. 2023), so samples have exactly the distribution of head 1.
"""

from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from generators.foundation.errors import UserError
from generators.foundation.randomness import Integers
from generators.task import Mask
from lab.decoding.cache_check import require_cacheable
from lab.decoding.cached_network import CachedNetwork
from lab.decoding.token_chooser import TokenChooser
from lab.objectives.objective import Objective

COMPACT_BELOW = 0.75
"""Finished samples leave the batch once the share of unfinished ones is below this."""


@dataclass(frozen=True)
class Decoded:
    """Continuations of B prompts by N tokens, and the fate of every draft.

    Attributes:
        tokens: int64 [B, N]; the end-of-sequence token is repeated after the first one.
        lengths: int64 [B], tokens up to N or the first end.
        forwards: int64 [B], forward passes over blocks; the pass over the prompt is not counted.
        drafts: int8 [B, N + k, k - 1], the draft of each head 2..k for the token at each place: 1 accepted, 0 rejected,
            -1 if there was none or an earlier one was rejected. Places after N are the surplus of a last block.
    """

    tokens: Integers
    lengths: Integers
    forwards: Integers
    drafts: NDArray[np.int8]

    @property
    def proposed(self) -> Integers:
        """The number of drafts of heads 2..k before which every draft was accepted [k - 1]."""
        counts: Integers = (self.drafts >= 0).sum(axis=(0, 1))
        return counts

    @property
    def accepted(self) -> Integers:
        """The number of accepted drafts of heads 2..k [k - 1]."""
        counts: Integers = (self.drafts == 1).sum(axis=(0, 1))
        return counts

    @property
    def acceptance(self) -> NDArray[np.float64]:
        """The acceptance rate of heads 2..k, given that the drafts before were accepted [k - 1]."""
        return self.accepted / np.maximum(1, self.proposed)

    def acceptance_at(self, places: Mask) -> NDArray[np.float64]:
        """Returns the acceptance rates of heads 2..k [k - 1] at the places of a mask [B, N]; NaN without drafts."""
        inside = self.drafts[:, : self.tokens.shape[1]][places]
        proposed = (inside >= 0).sum(axis=0)
        return np.where(proposed > 0, (inside == 1).sum(axis=0) / np.maximum(1, proposed), np.nan)

    @property
    def tokens_per_forward(self) -> float:
        """Mean tokens per forward pass over a block: 1 for plain decoding, at best k."""
        return 1 + float(self.accepted.sum()) / max(1, int(self.forwards.sum()))


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
    *,
    checked: bool = False,
) -> Decoded:
    """Continues each prompt by `count` tokens, or up to the first `end`.

    Args:
        prompts: int64 [B, P], left-aligned.
        lengths: int64 [B], tokens of each prompt, at least 1.
        draft: k, the most tokens per forward pass; 1 is plain decoding.
        end: the end-of-sequence token, if there is one.
        temperature: 0 is greedy; otherwise samples are drawn from `generator`.
        checked: skips `require_cacheable`, which a caller that measures time calls before the clock runs.

    Raises:
        UserError: decoding does not give the predictions of the network, a prompt and its continuation exceed the
            length that the network was built for, or its heads cannot draft k tokens.
    """
    if not checked:
        require_cacheable(network, prompts[:, : int(lengths.max())], draft)
    longest = int(lengths.max()) + count
    positions = network.trunk.length
    if longest > positions:
        raise UserError(
            f"{int(lengths.max())} tokens of prompt and {count} more exceed the {positions} tokens of a sample"
        )
    size = len(prompts)
    cached = CachedNetwork(network, size, longest + draft)
    chooser = TokenChooser(temperature, generator)

    def draft_block(hidden: Tensor, places: Integers, certain: Integers | None) -> tuple[Integers, Tensor]:
        """Returns the next token and the drafts after it [B, K], and the distributions of the drafts [K - 1, B, V]."""
        rows = torch.arange(hidden.shape[1], device=hidden.device)
        at_HxBxD = hidden[:, rows, torch.from_numpy(places).to(hidden.device)]
        if certain is None:
            tokens, distributions = chooser.choose(logits_from(at_HxBxD, 1))
            return tokens.T, distributions[1:]
        if draft == 1:
            return certain[:, None], at_HxBxD[:0]
        tokens, distributions = chooser.choose(logits_from(at_HxBxD, 2))
        return np.concatenate((certain[None], tokens)).T, distributions

    def logits_from(hidden_HxBxD: Tensor, first: int) -> Tensor:
        """Returns the logits of heads `first`..k [H, B, V]."""
        heads = range(first, draft + 1)
        return torch.stack([network.unembed(hidden_HxBxD[head - 1], head) for head in heads])

    hidden = cached.read(prompts[:, : int(lengths.max())], np.zeros_like(lengths), draft)
    block, distributions = draft_block(hidden, lengths - 1, None)
    output = np.zeros((size, count + draft), dtype=np.int64)
    drafts = np.full((size, count + draft, max(0, draft - 1)), -1, dtype=np.int8)
    decoded, forwards = np.zeros_like(lengths), np.zeros_like(lengths)
    live, unfinished = np.arange(size), np.ones(size, dtype=bool)  # samples in the batch, and which of them go on
    steps = np.arange(draft)
    while True:
        hidden = cached.read(block, lengths[live] + decoded[live], draft)
        kept_counts, following = chooser.verify(network.unembed(hidden[0], 1), block, distributions)
        row, place = live[unfinished, None], decoded[live[unfinished], None] + steps
        output[row, place] = block[unfinished]
        is_kept = steps < kept_counts[unfinished, None]
        verified = steps[1:] <= kept_counts[unfinished, None]
        drafts[row, place[:, 1:], steps[:-1]] = np.where(verified, is_kept[:, 1:], -1)
        forwards[live[unfinished]] += 1
        decoded[live[unfinished]] = np.minimum(decoded[live[unfinished]] + kept_counts[unfinished], count)
        if end is not None:
            unfinished[unfinished] = ~((block[unfinished] == end) & is_kept).any(axis=1)
        unfinished &= decoded[live] < count
        if not unfinished.any():
            break
        block, distributions = draft_block(hidden, kept_counts - 1, following)
        if unfinished.sum() < COMPACT_BELOW * len(live):
            rows = np.flatnonzero(unfinished)
            cached.keep_samples(rows)
            live, unfinished, block = live[rows], unfinished[rows], block[rows]
            distributions = distributions[:, torch.from_numpy(rows).to(distributions.device)]
    tokens, sizes = output[:, :count], decoded
    if end is not None:
        ended = np.cumsum(tokens == end, axis=1) > 0
        tokens = np.where(ended, end, tokens)
        sizes = np.where(ended.any(axis=1), np.minimum(sizes, ended.argmax(axis=1) + 1), sizes)
    return Decoded(tokens, sizes, forwards, drafts)
