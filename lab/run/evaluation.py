"""Scores of a network on a split of its task, beside the scores of the task's shortcuts.

Scored tokens are predicted from the true tokens before them, by the next-token path alone (paper, section 4). All
scored tokens of a sample are right in this way if and only if greedy decoding would produce the whole answer.
"""

from collections.abc import Iterable, Mapping
from functools import cached_property, lru_cache

import numpy as np
import torch
from torch import Tensor

from generators.table import build_task
from generators.task import Mask, Task, TaskConfig
from lab.loss.graph import Graph
from lab.model.batches import TensorBatch
from lab.objectives.objective import Objective

SAMPLES_AT_ONCE = 64
"""Samples per forward pass; with more, the activations no longer fit the cache of a CPU core."""
SCORES = ("accuracy", "exact", "accuracy_unexplained", "above_shortcuts")
"""The metrics in which more is better, apart from those of shortcuts."""
SHORTCUT_SCORES = {"accuracy": "shortcut", "exact": "shortcut_exact"}
"""Score of a network -> the first part of the name of the same score of a shortcut, as in `shortcut_exact/<name>`."""


class Evaluator:
    """A held-out split, drawn once and kept on the device.

    Args:
        split: the name of a held-out split of the task.

    Metrics:
        loss_i: mean cross-entropy of the term, in nats.
        accuracy: share of scored tokens that the network predicts as most likely.
        exact: share of samples with every scored token right.
        accuracy_unexplained: accuracy on the scored tokens that every shortcut gets wrong.
        above_shortcuts: accuracy minus the accuracy of the best shortcut.
        shortcut/<name>: accuracy of each shortcut.
        shortcut_exact/<name>: share of samples in which each shortcut gets every scored token right.
    """

    def __init__(self, task: Task, split: str, device: torch.device) -> None:
        size = task.splits[split]
        assert size is not None, "only held-out splits are evaluated"
        self.batches: list[TensorBatch] = []
        self.positions: list[Tensor] = []
        whole = task.batch(split, np.arange(size))
        for start in range(0, size, SAMPLES_AT_ONCE):
            batch = whole.take(np.arange(start, min(start + SAMPLES_AT_ONCE, size))).trimmed()
            self.batches.append(TensorBatch.from_batch(batch, device, np.arange(start, start + len(batch))))
            self.positions.append(torch.from_numpy(np.flatnonzero(batch.scored[:, 1:])).to(device))
        self.samples = np.nonzero(whole.scored)[0]
        """The sample of each scored token [S]."""
        self.answered = len(np.unique(self.samples))
        """The number of samples with a scored token."""
        self.shortcuts = task.shortcut_scores(whole)
        """Shortcut -> whether it gets each scored token right [S]."""

    @torch.no_grad()
    def __call__(self, network: Objective) -> dict[str, float]:
        """Computes all metrics of a network on this split."""
        counts: dict[str, int] = {}
        sums, hits = zip(*[self.sums_and_hits(network, *part, counts) for part in self.parts], strict=True)
        totals = add_by_name(sums)
        return self.metrics({name: float(total) for name, total in totals.items()}, counts, torch.cat(hits))

    @property
    def parts(self) -> Iterable[tuple[TensorBatch, Tensor]]:
        """The batches, each with the positions of its scored tokens."""
        return zip(self.batches, self.positions, strict=True)

    def sums_and_hits(
        self, network: Objective, batch: TensorBatch, positions: Tensor, counts: dict[str, int]
    ) -> tuple[dict[str, Tensor], Tensor]:
        """Computes the sum of each loss over a batch, and which of its scored tokens are predicted right.

        Args:
            counts: receives the targets of each loss, in addition to those of other batches.
        """
        latent, sums = network.latent(batch), {}
        for term in network.terms(latent, batch, Graph()):
            sums[term.name] = term.value * term.count
            counts[term.name] = counts.get(term.name, 0) + term.count
        hidden = network.hidden(latent, 1, batch.inputs_BxP).flatten(0, 1)[positions]
        answers = batch.tokens_BxT[:, 1:].reshape(-1)[positions]
        return sums, network.unembed(hidden, 1).argmax(dim=-1) == answers

    def metrics(self, totals: Mapping[str, float], counts: Mapping[str, int], hits: Tensor) -> dict[str, float]:
        """Computes all metrics from the sum of each loss, its targets, and which scored tokens are predicted right."""
        losses = {name: total / max(1, counts[name]) for name, total in totals.items()}
        return losses | self.scores(hits.cpu().numpy())

    def scores(self, hits: Mask) -> dict[str, float]:
        """Computes the metrics that depend only on whether each of the S scored tokens was predicted right [S]."""
        if not len(hits):
            return {}
        scores = {"accuracy": float(hits.mean()), "exact": self.exact(hits)}
        if self.shortcuts:
            unexplained = ~np.any(list(self.shortcuts.values()), axis=0)
            if unexplained.any():
                scores["accuracy_unexplained"] = float(hits[unexplained].mean())
            of_shortcuts = {
                f"{SHORTCUT_SCORES['accuracy']}/{name}": float(right.mean()) for name, right in self.shortcuts.items()
            }
            scores["above_shortcuts"] = scores["accuracy"] - max(of_shortcuts.values())
            scores |= of_shortcuts | self.exact_of_shortcuts
        return scores

    def exact(self, hits: Mask) -> float:
        """Returns the share of samples with every scored token right, of those with a scored token.

        Args:
            hits: whether each scored token is predicted right [S].
        """
        return 1 - len(np.unique(self.samples[~hits])) / self.answered

    @cached_property
    def exact_of_shortcuts(self) -> dict[str, float]:
        """The metrics `shortcut_exact/<name>`."""
        return {f"{SHORTCUT_SCORES['exact']}/{name}": self.exact(right) for name, right in self.shortcuts.items()}


def add_by_name(sums: Iterable[Mapping[str, Tensor]]) -> dict[str, Tensor]:
    """Adds the tensors of each name, in their order."""
    totals: dict[str, Tensor] = {}
    for part in sums:
        for name, value in part.items():
            totals[name] = totals[name] + value if name in totals else value
    return totals


@lru_cache(maxsize=8)
def shared_evaluator(task: TaskConfig, split: str, device: torch.device) -> Evaluator:
    """Returns the evaluator of a split of a task, which all runs of one process on that task share."""
    return Evaluator(build_task(task), split, device)


def selection_score(metrics: dict[str, float]) -> float:
    """Returns the validation score that selects the best checkpoint: accuracy, or -loss_1 if no token is scored."""
    return metrics.get("accuracy", -metrics["loss_1"])
