"""A run as a Hugging Face folder: the next-token path as a Llama, what else was trained beside it.

    DIR/
        config.json, model.safetensors    trunk, head 1, norm, unembedding: a LlamaForCausalLM
        extra_heads.safetensors           every other parameter under its own name; absent where there is none
        vocabulary.json                   the task's tokens, by id
    tokenizer.json, tokenizer_config.json
                                      the same for tools that want a tokenizer; absent where tokens hold spaces
        README.md                         which run this is, and how to load each file

Layers of the trunk and of head 1 are numbered on as the Llama's, the other heads are `extra_heads`, as in the paper's
released checkpoints. The inner names and the half-split rotary form are Hugging Face's.
"""

import json
from pathlib import Path

import torch
from safetensors.torch import save
from tokenizers import Tokenizer
from tokenizers.models import WordLevel
from tokenizers.pre_tokenizers import WhitespaceSplit
from torch import Tensor

from generators.errors import UserError
from generators.settings import Tree
from lab.model.config import ModelConfig
from lab.model.layers import NORM_EPSILON, Block
from lab.objectives.multi_token import MultiToken
from lab.objectives.objective import Objective
from lab.objectives.wiring import diagram
from lab.store import dump, make_folder, write_whole
from lab.stored import StoredRun

UNKNOWN = "<unknown>"


def export(stored: StoredRun, folder: Path) -> list[str]:
    """Write a run's checkpoint as a folder; the names of the files.

    Raises:
        UserError: the next-token path is no Llama, or something is in the folder already.
        WorkFailed: the disk gave out.
    """
    network, task = stored.parts.network, stored.parts.task
    llama, extra = divided(network, f"run {stored.folder.identity}")
    config = llama_config(network, stored.spec.model, len(task.vocabulary), task.length)
    files = {
        "config.json": dump(config),
        "model.safetensors": save(llama, metadata={"format": "pt"}),
        "vocabulary.json": (json.dumps(task.vocabulary, ensure_ascii=False) + "\n").encode(),
        "README.md": readme(stored, sorted(extra)).encode(),
    }
    files |= tokenizer(task.vocabulary)
    if extra:
        files["extra_heads.safetensors"] = save(extra, metadata={"format": "pt"})
    if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
        raise UserError(f"{folder}: there is something there already; give a folder that is empty or not there yet")
    make_folder(folder)
    for name, content in files.items():
        write_whole(folder / name, content)
    return list(files)


def divided(network: Objective, what: str) -> tuple[dict[str, Tensor], dict[str, Tensor]]:
    """The parameters of the next-token path under a Llama's names, and the others under their own.

    Raises:
        UserError: there is something on the path that no Llama has; `what` is named.
    """
    path = network.next_token_path()
    for layer in path.layers:
        if not isinstance(layer, Block):
            raise UserError(
                f"{what}: head 1 is a {type(layer).__name__} and no transformer layer, which no Llama has; "
                'a run with objective.head = "transformer" or "none" can be exported'
            )
    layers = [*network.trunk.layers, *path.layers]
    modules = {
        "model.embed_tokens": network.trunk.embed_tokens,
        **{f"model.layers.{number}": layer for number, layer in enumerate(layers)},
        "model.norm": path.norm,
        "lm_head": path.unembedding,
    }
    named = {
        f"{name}.{inner}": parameter for name, part in modules.items() for inner, parameter in part.named_parameters()
    }
    on_path = {id(parameter) for parameter in named.values()}
    others = {name: value for name, value in network.named_parameters() if id(value) not in on_path}
    return tensors(named), tensors(others)


def tensors(named: "dict[str, torch.nn.Parameter]") -> dict[str, Tensor]:
    """Parameters as safetensors takes them."""
    return {name: value.detach().cpu().contiguous() for name, value in named.items()}


def llama_config(network: Objective, model: ModelConfig, vocabulary_size: int, length: int) -> Tree:
    """config.json of a LlamaForCausalLM; the rotary base stands where transformers 4 and where 5 looks for it."""
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


def tokenizer(vocabulary: tuple[str, ...]) -> dict[str, bytes]:
    """Files of a tokenizer that splits at spaces, as samples are printed; none where a token holds one or is double.

    Words that are no tokens get an id behind the vocabulary, which the model has no embedding for.
    """
    if len(set(vocabulary)) < len(vocabulary) or any(token.split() != [token] for token in vocabulary):
        return {}
    ids = {token: number for number, token in enumerate((*vocabulary, UNKNOWN))}
    words = Tokenizer(WordLevel(ids, unk_token=UNKNOWN))
    words.pre_tokenizer = WhitespaceSplit()
    config = {"tokenizer_class": "PreTrainedTokenizerFast", "unk_token": UNKNOWN}
    return {"tokenizer.json": words.to_str().encode(), "tokenizer_config.json": dump(config)}


README = """\
# Run {identity}

The {checkpoint} checkpoint (step {step}) of a run of mtp-lab: objective `{objective}` on task `{task}`.

`config.json` and `model.safetensors` are the next-token path as a Llama:

```python
from transformers import AutoModelForCausalLM
model = AutoModelForCausalLM.from_pretrained(".")
```

`vocabulary.json` lists the task's tokens by id.{tokenizer}
{extra}
The run, every setting written out:

```json
{spec}
```
"""
WORDS = " The tokenizer splits at spaces, as `lab data show` prints samples."
EXTRA = """
`extra_heads.safetensors` holds what else was trained ({count} tensors), under the names of the lab's network. Inner
names (`self_attn.q_proj`, `mlp.gate_proj`, ...) and the half-split form of rotary positions are those of the Llama.

```python
from safetensors.torch import load_file
extra = load_file("extra_heads.safetensors")  # {names}
```
"""
WIRED = """
How the heads hang together, from the latent z of the trunk to token t+i; `extra_heads.k` is that of head k + 2:

```
{lines}
```
"""


def readme(stored: StoredRun, extra: list[str]) -> str:
    """What a person needs who finds the folder."""
    network, vocabulary = stored.parts.network, stored.parts.task.vocabulary
    about = ""
    if extra:
        names = list(dict.fromkeys(".".join(name.split(".")[:2]) for name in extra))
        about = EXTRA.format(count=len(extra), names=", ".join(names[:6]) + (", ..." if len(names) > 6 else ""))
    if isinstance(network, MultiToken) and network.config.n > 1:
        config = network.config
        about += WIRED.format(lines="\n".join(diagram(config.head, config.topology, config.unembedding, network.lags)))
    return README.format(
        identity=stored.folder.identity,
        checkpoint=stored.checkpoint,
        step=stored.step,
        objective=stored.spec.objective.kind,
        task=stored.spec.task.kind,
        tokenizer=WORDS if tokenizer(vocabulary) else "",
        extra=about,
        spec=json.dumps(stored.spec.canonical(), indent=2),
    )
