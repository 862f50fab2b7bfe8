"""Task samples as tensors, and which positions of the latent answer for which targets."""

from dataclasses import dataclass, field

import numpy as np
import torch
from torch import Tensor

from generators.task import Batch, Mask


@dataclass(frozen=True)
class TensorBatch:
    """B samples of T tokens on a device. The trunk reads tokens 0..T-2; head i at position t predicts token t+i."""

    tokens_BxT: Tensor
    loss: Mask
    _targets: dict[int, tuple[Tensor | None, Tensor]] = field(default_factory=dict)

    @classmethod
    def of(cls, batch: Batch, device: torch.device) -> "TensorBatch":
        """The tokens and the loss mask of a numpy batch, on `device`."""
        return cls(torch.from_numpy(batch.tokens).to(device), batch.loss)

    @property
    def inputs_BxP(self) -> Tensor:
        """Tokens the trunk reads [B, T-1]: the last one has nothing left to predict."""
        return self.tokens_BxT[:, :-1]

    def targets(self, lag: int) -> tuple[Tensor | None, Tensor]:
        """Where head `lag` answers, and what.

        Returns:
            positions [N] into the flattened latent of B x (T - lag) positions, or None where all of them count;
            tokens [N], the targets that carry loss. Found on the CPU: the device is never waited for.
        """
        if lag not in self._targets:
            mask = self.loss[:, lag:]
            tokens = self.tokens_BxT[:, lag:].reshape(-1)
            if mask.all():
                self._targets[lag] = None, tokens
            else:
                positions = torch.from_numpy(np.flatnonzero(mask)).to(tokens.device)
                self._targets[lag] = positions, tokens[positions]
        return self._targets[lag]
