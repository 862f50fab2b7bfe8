"""Export of a run as a Hugging Face folder: the next-token path as a Llama, everything else in its own file.

    DIR/
        config.json, model.safetensors    trunk, head 1, norm and unembedding, as a LlamaForCausalLM
        extra_heads.safetensors           all other parameters under their own names; absent if there are none
        vocabulary.json                   the tokens of the task, by id
        tokenizer.json, tokenizer_config.json
                                          the same as a tokenizer; absent if tokens are a learnt byte-pair encoding
        README.md                         which run this is, and how to load each file

The files are written to a folder inside of DIR first. They are moved to their places once the Llama that they describe
has given the logits of the run on a few samples. `config.json` is moved last, so nothing loads an incomplete folder.

The layers of the trunk and of head 1 are numbered consecutively as layers of the Llama; the other heads are
`extra_heads`, as in the paper's released checkpoints. Inner names and the half-split form of rotary positions are
Hugging Face's.
"""

import json
import shutil
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path

import numpy as np
import torch
from safetensors.torch import save
from tokenizers import Tokenizer, decoders
from tokenizers.models import BPE, WordLevel
from tokenizers.pre_tokenizers import ByteLevel, WhitespaceSplit
from torch import Tensor, nn

from generators.foundation.errors import UserError
from generators.foundation.settings import Tree
from generators.material.bpe import PADDING, byte_letters
from generators.task import Task
from lab.export.llama import exported_logits
from lab.export.readme import readme
from lab.model.layers import NORM_EPSILON, Block
from lab.objectives.checks.llama_path import (
    SAMPLES_COMPARED,
    distance_text,
    llama_problem,
    llama_trunk,
    next_token_logits,
)
from lab.objectives.objective import Objective
from lab.run.files import json_bytes, write_atomically
from lab.run.stored_run import StoredRun

UNKNOWN = "<unknown>"
STAGING = "incomplete-export"
"""The folder inside of DIR that a killed export leaves behind."""


def export(stored: StoredRun, folder: Path) -> list[str]:
    """Writes a checkpoint of a run as a folder and returns the names of the files.

    Raises:
        UserError: the next-token path is not a Llama, the folder cannot be made, or it is not empty. Nothing is left
            in the folder.
        WorkFailed: the files could not be written.
    """
    network, task = stored.parts.network, stored.parts.task
    modules = llama_modules(network, f"run {stored.folder.identity}")
    llama, extra = split_parameters(network, modules)
    tokenizer = tokenizer_files(task)
    files = {
        "model.safetensors": save(llama, metadata={"format": "pt"}),
        "vocabulary.json": (json.dumps(task.vocabulary, ensure_ascii=False) + "\n").encode(),
        **tokenizer,
        "README.md": readme(stored, modules, sorted(extra), bool(tokenizer)).encode(),
    }
    if extra:
        files["extra_heads.safetensors"] = save(extra, metadata={"format": "pt"})
    files["config.json"] = json_bytes(llama_config(network, len(task.vocabulary), task.length))
    try:
        is_new = not folder.exists()
        folder.mkdir(parents=True, exist_ok=True)
        has_content = any(folder.iterdir())
        if not has_content:
            (folder / STAGING).mkdir()
    except OSError as error:
        raise UserError(f"{folder}: cannot be made a folder ({error.strerror}); give another DIR") from None
    if has_content:
        raise UserError(f"{folder}: is not empty; give a folder that is empty or does not exist yet")
    try:
        write_checked(stored, folder, files)
    except BaseException:
        if is_new:
            with suppress(OSError):
                folder.rmdir()
        raise
    return list(files)


def write_checked(stored: StoredRun, folder: Path, files: Mapping[str, bytes]) -> None:
    """Moves exported files into a folder, or none of them if they do not describe the run's network.

    The files are first written to a temporary folder inside it.

    Raises:
        UserError: the exported Llama gives other logits than the run.
        WorkFailed: a file could not be written.
    """
    staging = folder / STAGING
    try:
        for name, content in files.items():
            write_atomically(staging / name, content)
        require_same_logits(stored, staging)
        for name in files:
            (staging / name).replace(folder / name)
    finally:
        shutil.rmtree(staging, ignore_errors=True)


def require_same_logits(stored: StoredRun, folder: Path) -> None:
    """Compares the Llama of an exported folder with the run on a few test samples.

    Raises:
        UserError: their logits differ.
    """
    task, network = stored.parts.task, stored.parts.network
    size = min(SAMPLES_COMPARED, task.splits[task.test_split] or SAMPLES_COMPARED)
    tokens_BxP = torch.from_numpy(task.batch(task.test_split, np.arange(size)).trimmed().tokens[:, :-1])
    expected_BxPxV = next_token_logits(network, tokens_BxP.to(stored.parts.device))
    distance = distance_text(exported_logits(folder, tokens_BxP), expected_BxPxV, torch.float32)
    if distance:
        raise UserError(
            f"run {stored.folder.identity}: the exported Llama is not the network of the run: on test samples their "
            f"{distance}; objective {stored.spec.objective.kind} computes something that no Llama does; nothing was "
            "written"
        )


def llama_modules(network: Objective, subject: str) -> dict[str, nn.Module]:
    """Returns the modules of the next-token path by their names in a Llama, in the order of the forward pass.

    Args:
        subject: the run or objective that an error message names.

    Raises:
        UserError: the path has a module that a Llama does not have.
    """
    path = network.next_token_path()
    if problem := llama_problem(network):
        raise UserError(
            f'{subject}: {problem}, which no Llama has; only runs with model.kind = "llama" can be exported'
        )
    for layer in path.layers:
        if type(layer) is not Block:  # a subclass may compute something else
            raise UserError(
                f"{subject}: its next-token path contains a {type(layer).__name__}, which no Llama has; only runs with "
                'transformer layers can be exported (multi_token: objective.head = "transformer" or "none")'
            )
    if path.unembedding.bias is not None:
        raise UserError(
            f"{subject}: its unembedding has a bias, which no Llama has; only runs without a bias can be exported"
        )
    layers = [*network.trunk.layers, *path.layers]
    return {
        "model.embed_tokens": network.trunk.embed_tokens,
        **{f"model.layers.{number}": layer for number, layer in enumerate(layers)},
        "model.norm": path.norm,
        "lm_head": path.unembedding,
    }


def split_parameters(network: Objective, modules: dict[str, nn.Module]) -> tuple[dict[str, Tensor], dict[str, Tensor]]:
    """Returns the parameters of the Llama's modules under its names, and all others under their own."""
    named = {
        f"{name}.{inner}": parameter
        for name, module in modules.items()
        for inner, parameter in module.named_parameters()
    }
    on_path = {id(parameter) for parameter in named.values()}
    others = {name: parameter for name, parameter in network.named_parameters() if id(parameter) not in on_path}
    return copy_tensors(named), copy_tensors(others)


def copy_tensors(parameters: dict[str, nn.Parameter]) -> dict[str, Tensor]:
    """Returns copies that share no memory, as safetensors requires, even if the network ties weights."""
    return {name: parameter.detach().cpu().contiguous().clone() for name, parameter in parameters.items()}


def llama_config(network: Objective, vocabulary_size: int, length: int) -> Tree:
    """Returns config.json of a LlamaForCausalLM, with the rotary base in the places of transformers 4 and of 5."""
    model = llama_trunk(network).config
    shape = model.shape
    return {
        "architectures": ["LlamaForCausalLM"],
        "model_type": "llama",
        "vocab_size": vocabulary_size,
        "hidden_size": shape.width,
        "intermediate_size": shape.hidden,
        "num_hidden_layers": len(network.trunk.layers) + len(network.next_token_path().layers),
        "num_attention_heads": shape.attention_heads,
        "num_key_value_heads": shape.attention_heads,
        "head_dim": shape.width // shape.attention_heads,
        "hidden_act": "silu",
        "max_position_embeddings": length,
        "rms_norm_eps": NORM_EPSILON,
        "rope_theta": model.rotary_base,
        "rope_parameters": {"rope_type": "default", "rope_theta": model.rotary_base},
        "attention_bias": False,
        "mlp_bias": False,
        "attention_dropout": 0.0,
        "tie_word_embeddings": False,
        "bos_token_id": None,
        "eos_token_id": None,
        "pad_token_id": None,
        "dtype": "float32",
        "torch_dtype": "float32",
    }


def tokenizer_files(task: Task) -> dict[str, bytes]:
    """Returns the files of a tokenizer of bytes, or of a tokenizer that splits at spaces if it can encode a sample.

    A tokenizer that splits at spaces is written only if it encodes a sample, as the task prints it, to the sample's
    tokens. It gives unknown words an id after the vocabulary, for which the model has no embedding.
    """
    config: Tree = {"tokenizer_class": "PreTrainedTokenizerFast", "clean_up_tokenization_spaces": False}
    if task.vocabulary == (*byte_letters(), PADDING):
        tokenizer = Tokenizer(BPE({letter: byte for byte, letter in enumerate(task.vocabulary)}, merges=[]))
        tokenizer.pre_tokenizer = ByteLevel(add_prefix_space=False, use_regex=False)
        tokenizer.decoder = decoders.ByteLevel()
        config["pad_token"] = PADDING
    else:
        ids = {word: number for number, word in enumerate((*task.vocabulary, UNKNOWN))}
        tokenizer = Tokenizer(WordLevel(ids, unk_token=UNKNOWN))
        tokenizer.pre_tokenizer = WhitespaceSplit()
        config["unk_token"] = UNKNOWN
        tokens = task.batch("validation", [0]).tokens[0]
        encoded = tokenizer.encode(task.text(tokens)).ids
        duplicates = len(ids) <= len(task.vocabulary)
        if duplicates or encoded != tokens[: max(1, len(encoded))].tolist():  # padding is not printed
            return {}
    return {"tokenizer.json": tokenizer.to_str().encode(), "tokenizer_config.json": json_bytes(config)}
