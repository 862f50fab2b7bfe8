"""The bytes of a checkpoint: a safetensors file whose header says which run it is of, how far, and what it must hold.

The header has one metadata key (safetensors does not keep the order of several), JSON with the run's identity, the
progress and a SHA-256 over both and every tensor. Equal tensors and progress are equal bytes. safetensors by itself
notices a file cut short; a byte changed on the way, or a file of another run, only the digest and the identity do.
"""

import json
from collections.abc import Mapping
from hashlib import sha256
from pathlib import Path

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save
from torch import Tensor

from generators.foundation.settings import Tree

KEY = "progress"


class InvalidCheckpoint(ValueError):
    """Why a file is not what its name says, to go into a sentence."""


def pack(tensors: Mapping[str, Tensor], run: str, progress: Tree) -> bytes:
    """A checkpoint file of run `run`; `progress` is JSON types without the keys `run` and `sha256`."""
    plain = {name: value.detach().cpu().contiguous() for name, value in tensors.items()}
    header = {"run": run, **progress}
    return save(plain, metadata={KEY: json.dumps({**header, "sha256": _digest(plain, header)})})


def unpack(path: Path, run: str) -> tuple[dict[str, Tensor], Tree]:
    """Tensors and progress of a checkpoint of run `run`.

    Raises:
        InvalidCheckpoint: the file is something else, is damaged, or is of another run.
        OSError: it cannot be read.
    """
    try:
        with safe_open(path, framework="pt") as file:
            header = json.loads((file.metadata() or {})[KEY])
            tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
        digest, written_by = header.pop("sha256"), header["run"]
    except SafetensorError as error:
        raise InvalidCheckpoint(f"not a whole safetensors file: {error}") from None
    except (KeyError, TypeError, AttributeError, ValueError):
        raise InvalidCheckpoint("a safetensors file, but not a checkpoint of this lab") from None
    if written_by != run:
        raise InvalidCheckpoint(f"a checkpoint of run {written_by}")
    if digest != _digest(tensors, header):
        raise InvalidCheckpoint("damaged: its content does not have the SHA-256 that its header gives")
    del header["run"]
    return tensors, header


def part(tensors: Mapping[str, Tensor], prefix: str) -> dict[str, Tensor]:
    """The tensors under a prefix, without it."""
    return {name.removeprefix(prefix): value for name, value in tensors.items() if name.startswith(prefix)}


def _digest(tensors: Mapping[str, Tensor], header: Tree) -> str:
    digest = sha256(json.dumps(header).encode())
    for name in sorted(tensors):
        value = tensors[name]
        digest.update(json.dumps([name, str(value.dtype), list(value.shape)]).encode())
        digest.update(value.reshape(-1).view(torch.uint8).numpy().data)
    return digest.hexdigest()
