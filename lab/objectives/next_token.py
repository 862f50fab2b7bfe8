"""The base of objectives that add something to a complete next-token model."""

from torch import Tensor, nn

from lab.objectives.objective import NextTokenPath, Objective


class NextTokenModel(Objective):
    """An objective whose trunk, norm and unembedding are the next-token model.

    A subclass builds `norm` and `lm_head` itself; weights are initialised in the order in which it builds modules.
    """

    norm: nn.Module
    lm_head: nn.Linear

    def hidden(self, latent_BxPxD: Tensor, lag: int, tokens_BxQ: Tensor) -> Tensor:
        hidden_BxPxD: Tensor = self.norm(latent_BxPxD[:, : tokens_BxQ.shape[1]])
        return hidden_BxPxD

    def unembed(self, hidden_NxD: Tensor, lag: int) -> Tensor:
        logits_NxV: Tensor = self.lm_head(hidden_NxD)
        return logits_NxV

    def next_token_path(self) -> NextTokenPath:
        return NextTokenPath([], self.norm, self.lm_head)
