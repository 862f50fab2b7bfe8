"""Checkpoint files: safetensors with a header that names the run, its progress and a digest of the whole content.

The header has one metadata key, because safetensors does not keep the order of several. Its value is JSON with the
identity of the run, the progress, and the SHA-256 of both and of every tensor. Equal tensors and progress give equal
bytes. safetensors itself detects a file that was cut short. Only the digest reveals a changed byte, and only the
identity reveals that a file belongs to another run.
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

METADATA_KEY = "progress"


class InvalidCheckpoint(ValueError):
    """A file is not the checkpoint that its name promises; the message completes a sentence about the file."""


def pack_checkpoint(tensors: Mapping[str, Tensor], run: str, progress: Tree) -> bytes:
    """Returns the content of a checkpoint file.

    Args:
        run: the identity of the run.
        progress: JSON types, without the keys `run` and `sha256`.
    """
    copies = {
        name: value.detach().cpu().clone(memory_format=torch.contiguous_format) for name, value in tensors.items()
    }  # no two share memory
    header = {"run": run, **progress}
    metadata = {METADATA_KEY: json.dumps({**header, "sha256": content_digest(copies, header)})}
    return save(copies, metadata=metadata)


def read_checkpoint(path: Path, run: str) -> tuple[dict[str, Tensor], Tree]:
    """Reads the tensors and the progress of a checkpoint of the run with identity `run`.

    Raises:
        InvalidCheckpoint: the file is something else, is damaged, or belongs to another run.
        OSError: the file cannot be read.
    """
    try:
        with safe_open(path, framework="pt") as file:
            header = json.loads((file.metadata() or {})[METADATA_KEY])
            tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
        digest, owner = header.pop("sha256"), header["run"]
    except SafetensorError as error:
        raise InvalidCheckpoint(f"not a whole safetensors file: {error}") from None
    except (KeyError, TypeError, AttributeError, ValueError):
        raise InvalidCheckpoint("a safetensors file, but not a checkpoint of this lab") from None
    if owner != run:
        raise InvalidCheckpoint(f"a checkpoint of run {owner}")
    if digest != content_digest(tensors, header):
        raise InvalidCheckpoint("damaged: its content does not match the SHA-256 in its header")
    del header["run"]
    return tensors, header


def select_prefix(tensors: Mapping[str, Tensor], prefix: str) -> dict[str, Tensor]:
    """Returns the tensors whose names begin with a prefix, under their names without it."""
    return {name.removeprefix(prefix): value for name, value in tensors.items() if name.startswith(prefix)}


def content_digest(tensors: Mapping[str, Tensor], header: Tree) -> str:
    """Returns the SHA-256 of a header and of the names, types, shapes and bytes of tensors, whatever their order."""
    digest = sha256(json.dumps(header).encode())
    for name in sorted(tensors):
        value = tensors[name].detach().cpu().contiguous()
        digest.update(json.dumps([name, str(value.dtype), list(value.shape)]).encode())
        digest.update(value.reshape(-1).view(torch.uint8).numpy().data)
    return digest.hexdigest()
