"""The wiring of n heads: the input of each head, its unembedding, and the combinations that are refused.

The wirings are those of appendix B of the paper. Head 0 is the trunk. In the causal chain each head reads the one
before it. In the anticausal chain the head that looks furthest ahead reads the trunk, and head 1 is the last.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import product
from typing import Literal, get_args

HeadLayer = Literal["transformer", "linear", "none"]
Topology = Literal["parallel", "causal", "anticausal"]
Unembedding = Literal["shared", "replicated"]

# topology -> the head whose output head i of n reads
PARENTS: dict[str, Callable[[int, int], int]] = {
    "parallel": lambda head, n: 0,
    "causal": lambda head, n: head - 1,
    "anticausal": lambda head, n: (head + 1) % (n + 1),
}
LAYER_NAMES: dict[str, str] = {"transformer": "block", "linear": "linear", "none": ""}


def combination_error(layer: HeadLayer, topology: Topology, unembedding: Unembedding, n: int) -> str | None:
    """Returns the reason why a combination is refused; None if it is built."""
    if layer == "none" and topology != "parallel":
        return f'topology = "{topology}" with head = "none": there are no layers to chain; set topology = "parallel"'
    if layer == "none" and unembedding == "shared" and n > 1:
        return (
            f'n = {n} with head = "none" and unembedding = "shared": all heads would predict the same token; '
            'set unembedding = "replicated"'
        )
    return None


@dataclass(frozen=True)
class Wiring:
    """The heads 1 to n in one topology; 0 stands for the trunk."""

    n: int
    topology: Topology

    @property
    def heads(self) -> range:
        """All heads, each after the head that it reads."""
        return range(self.n, 0, -1) if self.topology == "anticausal" else range(1, self.n + 1)

    def parent(self, head: int) -> int:
        """Returns the head that a head reads, 0 for the trunk."""
        return PARENTS[self.topology](head, self.n)

    def path(self, head: int) -> list[int]:
        """Returns the heads on the path from the trunk to a head, that head last."""
        parent = self.parent(head)
        return [*(self.path(parent) if parent else []), head]

    def has_children(self, head: int) -> bool:
        """Returns whether another head reads a head."""
        return any(self.parent(other) == head for other in self.heads)

    def descendants(self, head: int) -> list[int]:
        """Returns the heads whose path leads through a head, including that head."""
        return [other for other in self.heads if head in self.path(other)]


def diagram(layer: HeadLayer, topology: Topology, unembedding: Unembedding, lags: Sequence[int]) -> list[str]:
    """Returns one line per head: the path from the latent z to the logits of the token that the head predicts."""
    wiring = Wiring(len(lags), topology)
    lines = []
    for head, lag in enumerate(lags, start=1):
        layers = [f"{LAYER_NAMES[layer]} {step}" for step in wiring.path(head) if LAYER_NAMES[layer]]
        readout = "U" if unembedding == "shared" else f"U{head}"
        lines.append(" → ".join(["z", *layers, readout, f"t+{lag}"]))
    return lines


PAGE = """\
# The wirings of the heads of `multi_token`

`make docs` generates this page from the code. Every combination is either built or refused for the reason given.
All rows show n = {n}. `z` is the latent of the trunk, `U` an unembedding (with the final norm), `block` a transformer
layer, `linear` a linear layer without nonlinearity. A block that occurs in several lines of a row is one and the same
block. Source: Gloeckle et al. 2024, section 2 and appendix B.

| `head` | `topology` | `unembedding` | path from the latent to token t+i |
|---|---|---|---|
{rows}

With `match = "layers"` (the default) the trunk gives up one layer per transformer head after the first, so that
n = 1 and n = 4 have the same number of parameters. Linear heads and replicated unembeddings add parameters.
With the setting `stride` (by default 1), head i looks `1 + (i - 1) x stride` tokens ahead.

Results of the paper (table S4: 7B parameters, 200B tokens of code, n = 4, shared unembedding; *layers
added* counts transformer layers beyond those of the next-token model):

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
    """Returns the page on all combinations in Markdown; `python -m lab.objectives.wiring` prints it for the docs."""
    rows = []
    for layer, topology, unembedding in product(*map(get_args, (HeadLayer, Topology, Unembedding))):
        reason = combination_error(layer, topology, unembedding, n)
        paths = "<br>".join(f"`{line}`" for line in diagram(layer, topology, unembedding, range(1, n + 1)))
        rows.append(f"| {layer} | {topology} | {unembedding} | {f'refused: {reason}' if reason else paths} |")
    return PAGE.format(n=n, rows="\n".join(rows))


if __name__ == "__main__":
    print(page(), end="")
