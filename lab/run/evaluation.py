"""Scores of a network on a split of its task, read beside those of the task's shortcuts.

Scored tokens are predicted with the truth before them, from the next-token path alone (paper, section 4). Every
scored token of a sample being right this way is the same as greedy decoding producing the whole answer.
"""

import numpy as np
import torch
from torch import Tensor

from generators.task import Task
from lab.loss.graph import Graph
from lab.model.batches import TensorBatch
from lab.objectives.objective import Objective

SAMPLES_AT_ONCE = 64
"""Of a forward pass: more of them leave a core's cache."""
SCORES = ("accuracy", "exact", "accuracy_unexplained", "above_shortcuts")
"""The metrics of which more is better; shortcut/<name> beside them."""


class Evaluator:
    """A held-out split, drawn once and kept on the device.

    Metrics:
        loss_i: mean cross-entropy of the term, in nats.
        accuracy: share of scored tokens whose most likely prediction is right.
        exact: share of samples with every scored token right.
        accuracy_unexplained: accuracy on the scored tokens that every shortcut gets wrong.
        above_shortcuts: accuracy less that of the best shortcut.
        shortcut/<name>: the accuracy of each shortcut.
    """

    def __init__(self, task: Task, split: str, device: torch.device) -> None:
        size = task.splits[split]
        assert size is not None, "only held-out splits are evaluated"
        self.batches: list[TensorBatch] = []
        self.scored: list[Tensor] = []
        drawn = task.batch(split, np.arange(size))
        for start in range(0, size, SAMPLES_AT_ONCE):
            batch = drawn.take(np.arange(start, min(start + SAMPLES_AT_ONCE, size))).trimmed()
            self.batches.append(TensorBatch.from_batch(batch, device, np.arange(start, start + len(batch))))
            self.scored.append(torch.from_numpy(np.flatnonzero(batch.scored[:, 1:])).to(device))
        self.rows = np.nonzero(drawn.scored)[0]
        self.shortcuts = task.shortcut_scores(drawn)

    @torch.no_grad()
    def __call__(self, network: Objective) -> dict[str, float]:
        """All metrics of a network on this split."""
        totals: dict[str, Tensor] = {}
        counts: dict[str, int] = {}
        hits = []
        for batch, positions in zip(self.batches, self.scored, strict=True):
            latent = network.latent(batch)
            for term in network.terms(latent, batch, Graph()):
                totals[term.name] = totals.get(term.name, torch.zeros_like(term.value)) + term.value * term.count
                counts[term.name] = counts.get(term.name, 0) + term.count
            hidden = network.hidden(latent, 1, batch.inputs_BxP).flatten(0, 1)[positions]
            answers = batch.tokens_BxT[:, 1:].reshape(-1)[positions]
            hits.append(network.unembed(hidden, 1).argmax(dim=-1) == answers)
        losses = {name: float(total) / max(1, counts[name]) for name, total in totals.items()}
        return losses | self.scores(torch.cat(hits).cpu().numpy())

    def scores(self, hits: "np.ndarray[tuple[int], np.dtype[np.bool_]]") -> dict[str, float]:
        """The metrics that come from which of the S scored tokens were right [S]."""
        if not len(hits):
            return {}
        samples = np.unique(self.rows)
        wrong = np.unique(self.rows[~hits])
        result = {"accuracy": float(hits.mean()), "exact": 1 - len(wrong) / len(samples)}
        if self.shortcuts:
            unexplained = ~np.any(list(self.shortcuts.values()), axis=0)
            if unexplained.any():
                result["accuracy_unexplained"] = float(hits[unexplained].mean())
            each = {f"shortcut/{name}": float(right.mean()) for name, right in self.shortcuts.items()}
            result["above_shortcuts"] = result["accuracy"] - max(each.values())
            result |= each
        return result


def selection_score(metrics: dict[str, float]) -> float:
    """What the best checkpoint is chosen by, on validation: accuracy, or a small loss_1 where nothing is scored."""
    return metrics.get("accuracy", -metrics["loss_1"])
