"""The choice of a token from logits and the verification of drafts, greedily or by sampling."""

import numpy as np
import torch
from torch import Tensor

from generators.foundation.randomness import Integers


class TokenChooser:
    """Chooses tokens and verifies drafts.

    Args:
        temperature: 0 is greedy; above 0, tokens are sampled.
        generator: the source of samples; unused if greedy.
    """

    def __init__(self, temperature: float, generator: torch.Generator | None) -> None:
        self.temperature, self.generator = temperature, generator

    def choose(self, logits_HxBxV: Tensor) -> tuple[Integers, Tensor]:
        """Returns tokens [H, B] and the distributions they come from [H, B, V] (the logits themselves if greedy)."""
        if not self.temperature:
            return logits_HxBxV.argmax(dim=-1).cpu().numpy(), logits_HxBxV
        p_HxBxV = (logits_HxBxV / self.temperature).softmax(dim=-1)
        tokens_HB = torch.multinomial(p_HxBxV.flatten(0, 1), 1, generator=self.generator)
        return tokens_HB.view(p_HxBxV.shape[:2]).cpu().numpy(), p_HxBxV

    def verify(self, logits_BxKxV: Tensor, block: Integers, draft_distributions: Tensor) -> tuple[Integers, Integers]:
        """Accepts the drafts of each block up to the first that head 1 rejects.

        Args:
            logits_BxKxV: the logits of head 1 at each token of the block.
            block: the next token and K - 1 drafts [B, K].
            draft_distributions: the distribution that each draft was drawn from [K - 1, B, V].

        Returns:
            The number of accepted tokens of each block [B], 1..K including its first token, and the token after them
            [B].
        """
        if not self.temperature:
            chosen = logits_BxKxV.argmax(dim=-1).cpu().numpy()
            accepted = (block[:, 1:] == chosen[:, :-1]).cumprod(axis=1)
            count: Integers = 1 + accepted.sum(axis=1)
            return count, chosen[np.arange(len(block)), count - 1]
        p_BxKxV = (logits_BxKxV / self.temperature).softmax(dim=-1)
        rows = torch.arange(len(block), device=p_BxKxV.device)
        block_BxK = torch.from_numpy(block).to(p_BxKxV.device)
        count_B = torch.ones_like(rows)
        alive = torch.ones_like(rows, dtype=torch.bool)
        target_BxV = p_BxKxV[:, 0]
        for step, q_BxV in enumerate(draft_distributions):
            token_B = block_BxK[:, step + 1]
            p_B, q_B = target_BxV[rows, token_B], q_BxV[rows, token_B]
            uniform_B = torch.rand(len(rows), generator=self.generator, dtype=p_B.dtype, device=p_B.device)
            accepted_B = alive & (uniform_B * q_B < p_B)
            residual_BxV = (target_BxV - q_BxV).clamp(min=0)
            rejected_Bx1 = (alive & ~accepted_B)[:, None]
            count_B += accepted_B.int()
            next_BxV = torch.where(accepted_B[:, None], p_BxKxV[:, step + 1], target_BxV)
            target_BxV = torch.where(rejected_Bx1, residual_BxV, next_BxV)
            alive = accepted_B
        follows_B = torch.multinomial(target_BxV, 1, generator=self.generator)[:, 0]
        return count_B.cpu().numpy(), follows_B.cpu().numpy()
