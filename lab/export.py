"""Export of a run as a Hugging Face folder: the next-token path as a Llama, everything else in its own file.

    DIR/
        config.json, model.safetensors    trunk, head 1, norm and unembedding, as a LlamaForCausalLM
        extra_heads.safetensors           all other parameters under their own names; absent if there are none
        vocabulary.json                   the tokens of the task, by id
        tokenizer.json, tokenizer_config.json
                                          the same as a tokenizer; absent if tokens are a learnt byte-pair encoding
        README.md                         which run this is, and how to load each file

`config.json` is written last, so a folder without it is incomplete and nothing loads it. The layers of the trunk and of
head 1 are numbered through as layers of the Llama; the other heads are `extra_heads`, as in the paper's released
checkpoints. Inner names and the half-split form of rotary positions are Hugging Face's.
"""

import json
from pathlib import Path

from safetensors.torch import save
from tokenizers import Tokenizer, decoders
from tokenizers.models import BPE, WordLevel
from tokenizers.pre_tokenizers import ByteLevel, WhitespaceSplit
from torch import Tensor, nn

from generators.foundation.errors import UserError
from generators.foundation.settings import Tree
from generators.material.bpe import PADDING, byte_letters
from generators.task import Task
from lab.export_readme import readme
from lab.model.config import ModelConfig
from lab.model.layers import NORM_EPSILON, Block
from lab.objectives.objective import Objective
from lab.run.files import json_bytes, write_atomically
from lab.run.stored_run import StoredRun

UNKNOWN = "<unknown>"


def export(stored: StoredRun, folder: Path) -> list[str]:
    """Writes a checkpoint of a run as a folder and returns the names of the files.

    Raises:
        UserError: the next-token path is not a Llama, the folder cannot be made, or it is not empty.
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
    files["config.json"] = json_bytes(llama_config(network, stored.spec.model, len(task.vocabulary), task.length))
    try:
        folder.mkdir(parents=True, exist_ok=True)
        has_content = any(folder.iterdir())
    except OSError as error:
        raise UserError(f"{folder}: cannot be made a folder ({error.strerror}); give another DIR") from None
    if has_content:
        raise UserError(f"{folder}: is not empty; give a folder that is empty or does not exist yet")
    for name, content in files.items():
        write_atomically(folder / name, content)
    return list(files)


def llama_modules(network: Objective, subject: str) -> dict[str, nn.Module]:
    """Returns the modules of the next-token path by their names in a Llama, in the order of the forward pass.

    Args:
        subject: what the network belongs to, for the error message.

    Raises:
        UserError: the path has a module that no Llama has.
    """
    path = network.next_token_path()
    for layer in path.layers:
        if type(layer) is not Block:  # a subclass may compute something else
            raise UserError(
                f"{subject}: its next-token path contains a {type(layer).__name__}, which no Llama has; only runs with "
                'transformer layers can be exported (multi_token: objective.head = "transformer" or "none")'
            )
    if path.unembedding.bias is not None:
        raise UserError(f"{subject}: its unembedding has a bias, which no Llama has; only runs without can be exported")
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


def llama_config(network: Objective, model: ModelConfig, vocabulary_size: int, length: int) -> Tree:
    """Returns config.json of a LlamaForCausalLM, with the rotary base in the places of transformers 4 and of 5."""
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
    """Returns the files of a tokenizer of bytes, or of one that splits at spaces; none if it could not read a sample.

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
