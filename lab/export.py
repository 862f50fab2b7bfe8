"""A run as a Hugging Face folder: the next-token path as a Llama, what else was trained beside it.

    DIR/
        config.json, model.safetensors    trunk, head 1, norm, unembedding: a LlamaForCausalLM
        extra_heads.safetensors           every other parameter under its own name; absent where there is none
        vocabulary.json                   the task's tokens, by id
        tokenizer.json, tokenizer_config.json
                                          the same as a tokenizer; absent where tokens are learnt pairs of bytes
        README.md                         which run this is, and how to load each file

`config.json` is written last: a folder that has it is whole, one without it is loaded by nothing.
Layers of the trunk and of head 1 are numbered on as the Llama's, the other heads are `extra_heads`, as in the paper's
released checkpoints. The inner names and the half-split rotary form are Hugging Face's.
"""

import json
import sys
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
from lab.model.config import ModelConfig
from lab.model.layers import NORM_EPSILON, Block
from lab.objectives.multi_token import MultiToken
from lab.objectives.objective import Objective
from lab.objectives.wiring import diagram
from lab.run.files import json_bytes, write_atomically
from lab.run.stored_run import StoredRun

UNKNOWN = "<unknown>"


def export(stored: StoredRun, folder: Path) -> list[str]:
    """Write a run's checkpoint as a folder; the names of the files.

    Raises:
        UserError: the next-token path is no Llama, or something is in the folder already.
        WorkFailed: the disk gave out.
    """
    network, task = stored.parts.network, stored.parts.task
    modules = llama_modules(network, f"run {stored.folder.identity}")
    llama, extra = divided(network, modules)
    words = tokenizer(task)
    files = {
        "model.safetensors": save(llama, metadata={"format": "pt"}),
        "vocabulary.json": (json.dumps(task.vocabulary, ensure_ascii=False) + "\n").encode(),
        **words,
        "README.md": readme(stored, modules, sorted(extra), WORDS if words else PAIRS).encode(),
    }
    if extra:
        files["extra_heads.safetensors"] = save(extra, metadata={"format": "pt"})
    files["config.json"] = json_bytes(llama_config(network, stored.spec.model, len(task.vocabulary), task.length))
    try:
        folder.mkdir(parents=True, exist_ok=True)
        taken = any(folder.iterdir())
    except OSError as error:
        raise UserError(f"{folder}: no folder can be made there ({error.strerror}); give another DIR") from None
    if taken:
        raise UserError(f"{folder}: there is something there already; give a folder that is empty or not there yet")
    for name, content in files.items():
        write_atomically(folder / name, content)
    return list(files)


def llama_modules(network: Objective, what: str) -> dict[str, nn.Module]:
    """The modules of the next-token path by a Llama's names, in the order of the forward pass.

    Raises:
        UserError: there is something on the path that no Llama has; `what` is named.
    """
    path = network.next_token_path()
    for layer in path.layers:
        if type(layer) is not Block:  # a subclass may compute something else
            raise UserError(
                f"{what}: a {type(layer).__name__} stands on its next-token path, and no Llama has one; a run with "
                'transformer layers alone can be exported (multi_token: objective.head = "transformer" or "none")'
            )
    if path.unembedding.bias is not None:
        raise UserError(f"{what}: the unembedding has a bias, which no Llama has; a run without one can be exported")
    layers = [*network.trunk.layers, *path.layers]
    return {
        "model.embed_tokens": network.trunk.embed_tokens,
        **{f"model.layers.{number}": layer for number, layer in enumerate(layers)},
        "model.norm": path.norm,
        "lm_head": path.unembedding,
    }


def divided(network: Objective, modules: dict[str, nn.Module]) -> tuple[dict[str, Tensor], dict[str, Tensor]]:
    """The parameters of the Llama's modules under its names, and the others under their own."""
    named = {
        f"{name}.{inner}": parameter for name, part in modules.items() for inner, parameter in part.named_parameters()
    }
    on_path = {id(parameter) for parameter in named.values()}
    others = {name: value for name, value in network.named_parameters() if id(value) not in on_path}
    return tensors(named), tensors(others)


def tensors(named: dict[str, nn.Parameter]) -> dict[str, Tensor]:
    """Parameters as safetensors takes them: none shares memory with another, also where a network ties them."""
    return {name: value.detach().cpu().contiguous().clone() for name, value in named.items()}


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


def tokenizer(task: Task) -> dict[str, bytes]:
    """Files of a tokenizer: of bytes, or one that splits at spaces where that reads a sample as the task prints it.

    Words that are no tokens get an id behind the vocabulary, which the model has no embedding for.
    """
    config: Tree = {"tokenizer_class": "PreTrainedTokenizerFast", "clean_up_tokenization_spaces": False}
    if task.vocabulary == (*byte_letters(), PADDING):
        words = Tokenizer(BPE({letter: byte for byte, letter in enumerate(task.vocabulary)}, merges=[]))
        words.pre_tokenizer = ByteLevel(add_prefix_space=False, use_regex=False)
        words.decoder = decoders.ByteLevel()
        config["pad_token"] = PADDING
    else:
        ids = {word: number for number, word in enumerate((*task.vocabulary, UNKNOWN))}
        words = Tokenizer(WordLevel(ids, unk_token=UNKNOWN))
        words.pre_tokenizer = WhitespaceSplit()
        config["unk_token"] = UNKNOWN
        tokens = task.batch("validation", [0]).tokens[0]
        read = words.encode(task.text(tokens)).ids
        if len(ids) <= len(task.vocabulary) or read != tokens[: max(1, len(read))].tolist():  # padding is not printed
            return {}
    return {"tokenizer.json": words.to_str().encode(), "tokenizer_config.json": json_bytes(config)}


README = """\
# Run {identity}

Checkpoint {checkpoint} (step {step}) of a run of mtp-lab: objective `{objective}` on task `{task}`.

`config.json` and `model.safetensors` are the next-token path as a Llama:

```python
from transformers import AutoModelForCausalLM
model = AutoModelForCausalLM.from_pretrained(".")
```

| in `model.safetensors` | in the lab's network |
|---|---|
| `model.layers.i` for i < {layers} | `trunk.layers.i` |
{names}

Inner names (`self_attn.q_proj`, `mlp.gate_proj`, ...) and the half-split form of rotary positions are Hugging Face's.
`vocabulary.json` lists the task's tokens by id.{tokenizer}
{extra}
## Scores

{scores}

## The run, every setting written out

```json
{spec}
```
"""
WORDS = ' `AutoTokenizer.from_pretrained(".")` reads and writes samples as `lab data show` prints them.'
PAIRS = " There is no tokenizer in this folder: a tool that wants one is to be given the ids."
EXTRA = """
## What else was trained

`extra_heads.safetensors` holds it ({count} tensors) under the names of the lab's network:

```python
from safetensors.torch import load_file
extra = load_file("extra_heads.safetensors")  # {names}
```
"""
WIRED = """
From the latent z of the trunk to token t+i ({parts}):

```
{lines}
```
"""
TOLD = """
What it is, in the words of `{module}`:

```
{words}
```
"""
BLOCKS = "block 1 is `head`, block k `extra_heads.(k-2)`"
UNEMBEDDINGS = {
    "shared": "U is `norm` and `lm_head`",
    "replicated": "U1 is `norm` and `lm_head`, Uk `norm` and `extra_lm_heads.(k-2)`",
}


def readme(stored: StoredRun, modules: dict[str, nn.Module], extra: list[str], tokenized: str) -> str:
    """What a person needs who finds the folder.

    Args:
        modules: those of the next-token path by a Llama's names.
        extra: the names of the other parameters; tokenized: a sentence on the tokenizer.
    """
    network = stored.parts.network
    own = {id(module): name for name, module in network.named_modules()}
    names = {name: own[id(module)] for name, module in modules.items()}
    rows = [f"| `{name}` | `{there}` |" for name, there in names.items() if not there.startswith("trunk.layers.")]
    about = ""
    if extra:
        parts = list(dict.fromkeys(".".join(name.split(".")[:2]) for name in extra))
        about += EXTRA.format(count=len(extra), names=", ".join(parts[:6]) + (", ..." if len(parts) > 6 else ""))
    return README.format(
        identity=stored.folder.identity,
        checkpoint=stored.checkpoint,
        step=stored.step,
        objective=stored.spec.objective.kind,
        task=stored.spec.task.kind,
        layers=len(network.trunk.layers),
        names="\n".join(rows),
        tokenizer=tokenized,
        extra=about + (wired(network) if len(network.lags) > 1 or extra else ""),
        scores=scores(stored),
        spec=json.dumps(stored.spec.canonical(), indent=2),
    )


def wired(network: Objective) -> str:
    """How what else was trained hangs together: drawn, or what the objective's module says of itself."""
    if isinstance(network, MultiToken):
        config = network.config
        parts = [*([BLOCKS] if config.head == "transformer" else []), UNEMBEDDINGS[config.unembedding]]
        lines = diagram(config.head, config.topology, config.unembedding, network.lags)
        return WIRED.format(parts="; ".join(parts), lines="\n".join(lines))
    module = type(network).__module__
    words = (sys.modules[module].__doc__ or type(network).__doc__ or "").strip()
    return TOLD.format(module=module, words=words)


def scores(stored: StoredRun) -> str:
    """The checkpoint's scores on the held-out splits, or why there are none."""
    result = stored.folder.result()
    if result is None:
        return "The run was not complete when this was written: it has no scores yet."
    if result["status"] != "complete":
        return f"The run {result['status']}: {result['reason']}."
    if stored.checkpoint not in result["scores"]:
        return f"`lab score {stored.folder.identity} --checkpoint {stored.checkpoint}` gives them."
    splits: dict[str, dict[str, float]] = result["scores"][stored.checkpoint]
    names = dict.fromkeys(name for metrics in splits.values() for name in metrics)
    rows = [
        " | ".join([f"| `{name}`", *(f"{metrics[name]:.4f}" if name in metrics else "" for metrics in splits.values())])
        + " |"
        for name in names
    ]
    return "\n".join([f"| metric | {' | '.join(splits)} |", "|---" * (len(splits) + 1) + "|", *rows])
