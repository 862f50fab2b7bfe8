"""The time of training steps on a GPU that this machine lacks, from steps that were measured on a named card.

The steps are those of docs/gpu.md. A line through them gives the time of any other step: launching kernels takes a time
for each step and for each layer, and the arithmetic a time for each operation. The line has the least relative error,
and none of its three terms is negative. Steps larger than the measured ones are extrapolated.
"""

from functools import cache
from typing import NamedTuple

import numpy as np
from scipy.optimize import nnls

from lab.model.config import SIZES, ModelShape
from lab.model.layers import Block
from lab.run.finetuning import meta_network
from lab.run.spec import RunSpec, TrainingConfig

CARD = "an NVIDIA H100 80GB HBM3 with torch 2.11 (docs/gpu.md)"
COMPILING_SECONDS = 4.0
"""Seconds per layer to compile a network; 2.2 to 5.0 where eight compiled at the same time."""
RUN_SECONDS = 3.0
"""Seconds of a run besides its steps: 22 runs of 60 steps took 69 s."""
EAGER, COMPILED, GRAPHS = "eager", "compiled", "CUDA graphs"


class DenseBatch(NamedTuple):
    """Vocabulary, samples and tokens per sample; all tokens are targets."""

    vocabulary: int
    samples: int
    length: int


class Measured(NamedTuple):
    """A step of the multi-token objective whose heads take their layers from the model's."""

    precision: str
    kind: str
    shape: ModelShape
    batch: DenseBatch
    milliseconds: dict[int, float]
    """n -> milliseconds."""


LARGE = {"1M": DenseBatch(256, 64, 256), "10M": DenseBatch(8192, 8, 1024)}
SMALL = DenseBatch(64, 16, 128)
STEPS = [
    Measured("bf16", EAGER, SIZES["1M"], LARGE["1M"], {1: 22.0, 2: 21.8, 4: 25.3}),
    Measured("bf16", COMPILED, SIZES["1M"], LARGE["1M"], {1: 16.6, 2: 16.5, 4: 18.2}),
    Measured("bf16", GRAPHS, SIZES["1M"], LARGE["1M"], {1: 3.43, 2: 3.63, 4: 3.84}),
    Measured("bf16", EAGER, SIZES["10M"], LARGE["10M"], {1: 23.9, 2: 18.9, 4: 31.0}),
    Measured("bf16", COMPILED, SIZES["10M"], LARGE["10M"], {1: 16.3, 2: 16.4, 4: 21.9}),
    Measured("bf16", GRAPHS, SIZES["10M"], LARGE["10M"], {1: 5.31, 2: 5.81, 4: 6.75}),
    Measured("fp32", EAGER, SIZES["10M"], LARGE["10M"], {1: 37.7, 2: 40.2, 4: 48.7}),
    Measured("fp32", COMPILED, SIZES["10M"], LARGE["10M"], {1: 33.8, 2: 37.1, 4: 44.2}),
    Measured("fp32", GRAPHS, SIZES["10M"], LARGE["10M"], {1: 33.1, 2: 36.3, 4: 43.6}),
    *(
        Measured("fp32", kind, shape, SMALL, {2: milliseconds})
        for shape, *times in (
            (ModelShape(28, 3, 1), 12.7, 10.9, 2.78),
            (ModelShape(64, 6, 2), 20.9, 15.7, 2.96),
            (ModelShape(128, 6, 4), 22.6, 17.5, 3.62),
        )
        for kind, milliseconds in zip((EAGER, COMPILED, GRAPHS), times, strict=True)
    ),
]


def measured_seconds(spec: RunSpec, flops: float) -> float:
    """Returns the estimated seconds of a step on the card.

    Args:
        flops: floating-point operations of a step, as `RunCost` counts them.
    """
    terms = _terms_of_line(spec.training.precision, kind_of(spec.training))
    return float(np.dot(terms, [1.0, layers_of(spec), flops]))


def compiling_seconds(spec: RunSpec) -> float:
    """Returns the estimated seconds that it takes on the card's machine to compile the steps of a run, if it does."""
    return COMPILING_SECONDS * layers_of(spec) if spec.training.compile else 0.0


def kind_of(training: TrainingConfig) -> str:
    """Returns how the steps of a run are executed."""
    return GRAPHS if training.cuda_graphs else COMPILED if training.compile else EAGER


def layers_of(spec: RunSpec) -> int:
    """Returns the number of layers of a network, those of its heads included."""
    blocks = sum(isinstance(module, Block) for module in meta_network(spec).modules())
    return blocks or spec.model.shape.layers


@cache
def _terms_of_line(precision: str, kind: str) -> tuple[float, float, float]:
    """Returns the seconds per step, per layer and per operation.

    Small steps were measured in fp32 only; they count in bf16 too, because the launches bound them.
    """
    rows, seconds = [], []
    for step in STEPS:
        if step.kind == kind and (step.precision == precision or step.batch == SMALL):
            for n, milliseconds in step.milliseconds.items():
                rows.append([1.0, step.shape.layers, operations_of(step.shape, step.batch, n)])
                seconds.append(milliseconds / 1e3)
    weights = 1 / np.array(seconds)
    scales = np.max(rows, axis=0)
    terms, _ = nnls(np.array(rows) / scales * weights[:, None], np.ones(len(seconds)))
    per_step, per_layer, per_operation = terms / scales
    return float(per_step), float(per_layer), float(per_operation)


def operations_of(shape: ModelShape, batch: DenseBatch, n: int) -> float:
    """Returns the operations of a dense step, counted as `lab.bench.operations` counts them."""
    weights = shape.layers * (4 * shape.width**2 + 3 * shape.width * shape.hidden) + n * shape.width * batch.vocabulary
    attention = 2 * shape.layers * batch.length * shape.width
    return 6.0 * batch.samples * batch.length * (weights + attention)
