"""Compilation of a loss as one piece, which lets torch fuse the operations between the matrix products.

One process compiles a function once per structure and shape of a network, and all networks of that shape share the
code; inductor's cache on disk shares it between processes. Compiled code is for batches of one size, even if the
process compiles for several sizes: torch takes several times as long to compile for any size, so a run whose batches
differ (`TensorBatch.uneven`) compiles layer by layer.
"""

import os
import shutil
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from typing import Any, TypeVar

from generators.foundation.errors import UserError
from lab.loss.term import TermSource
from lab.model.batches import TensorBatch

SHAPES_AT_ONCE = 256
"""Shapes of networks that one process may compile; torch's own limit of 8 would run the ninth without compiling it."""

Result = TypeVar("Result")


class NotTraceable(Exception):
    """Raised when torch cannot compile the terms of an objective as one piece."""


@dataclass(frozen=True)
class Compiler:
    """How much of a loss is compiled.

    Attributes:
        whole: compiles the joint loss as one function, or the trunk if the loss is sequential or chunked; otherwise
            each layer and each read-out is compiled by itself.
        cuda_graphs: records the kernels of a compiled function and replays them together. The next step then
            overwrites the outputs, so copy any that are kept.
    """

    whole: bool = True
    cuda_graphs: bool = False

    def __call__(
        self, function: Callable[[Any, TensorBatch], Result], objective: TermSource, batch: TensorBatch
    ) -> Result:
        """Calls the compiled form of a function of an objective and a batch.

        Raises:
            NotTraceable: torch cannot compile it as one piece.
        """
        from torch._dynamo.exc import Unsupported

        objective.prepare(batch)
        try:
            result: Result = compiled_function(function, self.cuda_graphs)(objective, batch)
        except Unsupported as error:
            raise NotTraceable(str(error)) from error
        return result


@cache
def compiled_function(function: Callable[..., Result], cuda_graphs: bool) -> Callable[..., Result]:
    """Returns a function that is compiled as one piece when it is called."""
    import torch._dynamo.config

    torch._dynamo.config.cache_size_limit = SHAPES_AT_ONCE  # the names of torch 2.6, which later versions keep
    torch._dynamo.config.accumulated_cache_size_limit = SHAPES_AT_ONCE
    mode = "reduce-overhead" if cuda_graphs else None
    return torch.compile(function, fullgraph=True, dynamic=False, mode=mode)


def require_compiler() -> None:
    """Checks that this machine can compile.

    Raises:
        UserError: there is no C++ compiler.
    """
    if not any(shutil.which(name) for name in (os.environ.get("CXX", "g++"), "clang++")):
        raise UserError("training.compile = true: needs a C++ compiler (g++, clang++ or CXX); false always works")
