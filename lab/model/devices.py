"""Copies numpy arrays to a device, and selects rows of a tensor by index."""

from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor


def to_device(device: torch.device, array: NDArray[Any]) -> Tensor:
    """Copies a numpy array to a device without waiting for the copy."""
    tensor = torch.from_numpy(np.require(array, requirements="W"))
    return (tensor.pin_memory() if device.type == "cuda" else tensor).to(device, non_blocking=True)


def select_rows(x_AxB: Tensor, index_CxD: Tensor) -> Tensor:
    """Returns the entries [C, D, ...] of a tensor [A, B, ...] at indices [C, D] into its flattened first two
    dimensions.
    """
    rows = x_AxB.flatten(0, 1).index_select(0, index_CxD.flatten())
    return rows.view(*index_CxD.shape, *x_AxB.shape[2:])
