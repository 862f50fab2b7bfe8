"""How n heads hang together: which stands on which, through which unembedding each is read, and what makes no sense.

Appendix B of the paper. Head 0 is the trunk. In the causal chain each head stands on the one before it; in the
anticausal chain the head that looks furthest stands on the trunk, and head 1 on top of all.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import product
from typing import Literal, get_args

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


def diagram(layer: HeadLayer, topology: Topology, unembedding: Unembedding, lags: Sequence[int]) -> list[str]:
    """One line a head: the way from the latent z to the logits of the token it looks ahead to."""
    wiring = Wiring(len(lags), topology)
    lines = []
    for head, lag in enumerate(lags, start=1):
        layers = [f"{LAYERS[layer]} {step}" for step in wiring.path(head) if LAYERS[layer]]
        read = "U" if unembedding == "shared" else f"U{head}"
        lines.append(" → ".join(["z", *layers, read, f"t+{lag}"]))
    return lines


PAGE = """\
# How the heads of `multi_token` hang together

Made from the code's own table of kinds by `make docs`. Every combination is built, or refused with the reason.
Here with n = {n}: `z` is the trunk's latent, `U` an unembedding (the final norm is part of it), `block` a
transformer layer, `linear` a linear layer without nonlinearity; a block that stands in two rows is one block.
Source: Gloeckle et al. 2024, section 2 and appendix B.

| `head` | `topology` | `unembedding` | from the latent to token t+i |
|---|---|---|---|
{rows}

With `match = "layers"` (the default) the trunk gives up a layer for each transformer head after the first, so
that n = 1 and n = 4 have the same parameters; linear heads and further unembeddings come on top of them.
Head i looks `1 + (i - 1) stride` tokens ahead.

What the paper measured of them (table S4: 7B parameters, 200B tokens of code, n = 4, shared unembedding):

| `head` | `topology` | layers added | MBPP pass@1, @10, @100 | HumanEval pass@1, @10, @100 |
|---|---|---|---|---|
| next-token prediction | | 0 | 30.0, 53.8, 73.7 | 22.8, 36.4, 62.0 |
| linear | parallel | 0 | 33.6, 55.0, 76.2 | 21.9, 38.5, 63.7 |
| transformer | anticausal | 0 | 30.8, 54.8, 75.3 | 20.9, 38.4, 64.5 |
| transformer | causal | 0 | 31.9, 54.9, 74.9 | 20.9, 38.1, 67.3 |
| transformer | parallel | 0 | 33.8, 55.9, 76.9 | 24.0, 40.1, 66.1 |
| transformer | parallel | 3 | 33.3, 55.7, 77.3 | 22.4, 39.4, 66.7 |
"""


def page(n: int = 3) -> str:
    """The table of all combinations in Markdown: `python -m lab.objectives.wiring` prints it for the docs."""
    rows = []
    for layer, topology, unembedding in product(*map(get_args, (HeadLayer, Topology, Unembedding))):
        reason = refusal(layer, topology, unembedding, n)
        drawn = "<br>".join(f"`{line}`" for line in diagram(layer, topology, unembedding, range(1, n + 1)))
        rows.append(f"| {layer} | {topology} | {unembedding} | {f'refused: {reason}' if reason else drawn} |")
    return PAGE.format(n=n, rows="\n".join(rows))


if __name__ == "__main__":
    print(page(), end="")
