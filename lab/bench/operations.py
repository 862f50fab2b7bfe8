"""The floating-point operations of one sample, counted on a network that has shapes and no weights.

Operations are those of matrix products and attention, counted by torch (`FlopCounterMode` on the meta device). The
batches are real samples of the task, so only positions that have a target are counted. For a plain transformer the
operations are the usual 6 N + 12 L D T per token: N parameters in matrices, where an unembedding counts once for each
head that reads it, and L layers of width D over T tokens. Elementwise operations are left out, as usual.
"""

import numpy as np
import torch
from torch.utils.flop_counter import FlopCounterMode

from generators.table import build_task
from lab.loss.graph import Graph
from lab.model.batches import TensorBatch
from lab.run.finetuning import meta_network
from lab.run.spec import RunSpec

COUNTED_SAMPLES = 4


def flops_of_sample(spec: RunSpec) -> tuple[float, float]:
    """Counts the operations of one sample: forward and backward with every head training, and forward alone.

    Backward is twice forward, once for the weights and once for their inputs; below a frozen trunk it is nothing. An
    objective that stops gradients, such as `next_latent`, takes somewhat less.
    """
    network, task = meta_network(spec), build_task(spec.task)
    indices = np.arange(COUNTED_SAMPLES)
    drawn = task.batch("train", indices, spec.seed).trimmed()
    batch = TensorBatch.from_batch(drawn, torch.device("meta"), indices)
    with FlopCounterMode(display=False) as counter, torch.no_grad():
        latent = network.latent(batch)
        below = counter.get_total_flops()
        for _ in network.terms(latent, batch, Graph()):
            pass
    forward = counter.get_total_flops()
    frozen = below if spec.start is not None and spec.start.freeze == "trunk" else 0
    return (3 * forward - 2 * frozen) / COUNTED_SAMPLES, forward / COUNTED_SAMPLES
