"""How n heads hang together: which stands on which, through which unembedding each is read, and what makes no sense.

Appendix B of the paper. Head 0 is the trunk. In the causal chain each head stands on the one before it; in the
anticausal chain the head that looks furthest stands on the trunk, and head 1 on top of all.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

HeadLayer = Literal["transformer", "linear", "none"]
Topology = Literal["parallel", "causal", "anticausal"]
Unembedding = Literal["shared", "replicated"]

# topology -> what head i of n stands on
PARENTS: dict[str, Callable[[int, int], int]] = {
    "parallel": lambda head, n: 0,
    "causal": lambda head, n: head - 1,
    "anticausal": lambda head, n: (head + 1) % (n + 1),
}
LAYERS: dict[str, str] = {"transformer": "block", "linear": "linear", "none": ""}


def refusal(layer: HeadLayer, topology: Topology, unembedding: Unembedding, n: int) -> str | None:
    """Why a combination is not built, or None where it is."""
    if layer == "none" and topology != "parallel":
        return (
            f'topology = "{topology}" with head = "none": there are no layers to chain; topology = "parallel" would do'
        )
    if layer == "none" and unembedding == "shared" and n > 1:
        return (
            f'n = {n} with head = "none" and unembedding = "shared": every head would say the same; '
            'unembedding = "replicated" would do'
        )
    return None


@dataclass(frozen=True)
class Wiring:
    """n heads in one topology, numbered from 1; 0 is the trunk."""

    n: int
    topology: Topology

    @property
    def heads(self) -> range:
        """All heads, each after the one it stands on."""
        return range(self.n, 0, -1) if self.topology == "anticausal" else range(1, self.n + 1)

    def parent(self, head: int) -> int:
        """What a head stands on."""
        return PARENTS[self.topology](head, self.n)

    def path(self, head: int) -> list[int]:
        """The heads on the way from the trunk to this one, itself last."""
        below = self.parent(head)
        return [*(self.path(below) if below else []), head]

    def carries(self, head: int) -> bool:
        """Whether another head stands on this one."""
        return any(self.parent(other) == head for other in self.heads)

    def above(self, head: int) -> list[int]:
        """The heads whose path leads through this one, itself included."""
        return [other for other in self.heads if head in self.path(other)]


def diagram(layer: HeadLayer, topology: Topology, unembedding: Unembedding, n: int) -> list[str]:
    """One line a head: the way from the latent z to the logits of token t+i."""
    wiring = Wiring(n, topology)
    lines = []
    for head in range(1, n + 1):
        layers = [f"{LAYERS[layer]} {step}" for step in wiring.path(head) if LAYERS[layer]]
        read = "U" if unembedding == "shared" else f"U{head}"
        lines.append(" → ".join(["z", *layers, read, f"t+{head}"]))
    return lines
