"""Features that the lab uses and that some versions of torch, or some machines, lack."""

from collections.abc import Callable
from importlib.util import find_spec

import torch
from torch import nn

from generators.foundation.errors import UserError
from lab.doctor.outcome import MachineCheck
from lab.loss.compiler import require_compiler
from lab.run.optimisers.muon import require_muon

AMPERE = (8, 0)
"""The first compute capability with bf16."""
WITHOUT_AVX512 = ("DEFAULT", "AVX2")


def check_torch_features() -> list[MachineCheck]:
    """Says for each feature what a run that asks for it gets; the lab works without any of them."""
    features = {
        "chunked loss": require_chunked_loss,
        "muon": require_muon,
        "compiled steps": require_compiled_steps,
        "bf16": require_fast_bf16,
    }
    return [check_feature(name, require) for name, require in features.items()]


def check_feature(name: str, require: Callable[[], None]) -> MachineCheck:
    """Checks one feature.

    Args:
        require: raises a UserError where the feature is missing.
    """
    try:
        require()
    except UserError as error:
        return MachineCheck(name, False, str(error), bad_mark="absent")
    return MachineCheck(name, True, "present")


def require_chunked_loss() -> None:
    """Raises a UserError if torch has no chunked cross-entropy of its own."""
    if not hasattr(nn, "LinearCrossEntropyOptions"):
        raise UserError(
            'torch before 2.13 has no chunked cross-entropy: training.loss = "chunked" recomputes logits and is slower'
        )


def require_compiled_steps() -> None:
    """Raises a UserError if this machine cannot compile steps."""
    require_compiler()
    if torch.cuda.is_available() and find_spec("triton") is None:
        raise UserError("training.compile = true: needs the package triton on a CUDA device; false always works")


def require_fast_bf16() -> None:
    """Raises a UserError if bf16 is slower than fp32 on the device of this machine."""
    if torch.cuda.is_available():
        if torch.cuda.get_device_capability() < AMPERE:
            raise UserError('this GPU has no bf16: training.precision = "bf16" is emulated and slower than fp32')
    elif torch.backends.cpu.get_cpu_capability() in WITHOUT_AVX512:
        raise UserError('this CPU has no AVX-512: training.precision = "bf16" takes several times as long as fp32')
