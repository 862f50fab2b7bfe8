"""The README of an exported run: which run it is, how to load each file, where each weight went, and the scores."""

import json
import sys

from torch import nn

from lab.objectives.multi_token import MultiToken
from lab.objectives.objective import Objective
from lab.objectives.wiring import diagram
from lab.run.stored_run import StoredRun

README = """\
# Run {identity}

This folder holds the {checkpoint} checkpoint (step {step}) of an mtp-lab run: objective `{objective}` on task `{task}`.

`config.json` and `model.safetensors` are the next-token path as a Llama:

```python
from transformers import AutoModelForCausalLM
model = AutoModelForCausalLM.from_pretrained(".")
```

| name in `model.safetensors` | name in the lab's network |
|---|---|
| `model.layers.i` for i < {layers} | `trunk.layers.i` |
{names}

Inner names (`self_attn.q_proj`, `mlp.gate_proj`, ...) and the half-split form of rotary positions are Hugging Face's.
`vocabulary.json` lists the tokens of the task by id. {tokenizer}
{extra}
## Scores

{scores}

## All settings of the run

```json
{spec}
```
"""
WITH_TOKENIZER = '`AutoTokenizer.from_pretrained(".")` encodes and decodes samples as `lab data show` prints them.'
WITHOUT_TOKENIZER = "There is no tokenizer in this folder, so tools have to work with token ids."
EXTRA = """
## Parameters outside of the next-token path

`extra_heads.safetensors` holds the other {count} tensors under their names in the lab's network:

```python
from safetensors.torch import load_file
extra = load_file("extra_heads.safetensors")  # {names}
```
"""
WIRING = """
The paths from the latent z of the trunk to token t+i ({parts}):

```
{lines}
```
"""
OBJECTIVE = """
The documentation of the objective, `{module}`:

```
{text}
```
"""
BLOCKS = "block 1 is `head`, block k is `extra_heads.(k-2)`"
UNEMBEDDINGS = {
    "shared": "U is `norm` and `lm_head`",
    "replicated": "U1 is `norm` and `lm_head`, Uk is `norm` and `extra_lm_heads.(k-2)`",
}


def readme(stored: StoredRun, modules: dict[str, nn.Module], extra: list[str], has_tokenizer: bool) -> str:
    """Returns the README of an exported folder.

    Args:
        modules: the modules of the next-token path by their names in a Llama.
        extra: the names of the other parameters.
        has_tokenizer: whether the folder has a tokenizer.
    """
    network = stored.parts.network
    own_names = {id(module): name for name, module in network.named_modules()}
    names = {name: own_names[id(module)] for name, module in modules.items()}
    rows = [f"| `{name}` | `{own}` |" for name, own in names.items() if not own.startswith("trunk.layers.")]
    extra_text = ""
    if extra:
        parts = list(dict.fromkeys(".".join(name.split(".")[:2]) for name in extra))
        listed = ", ".join(parts[:6]) + (", ..." if len(parts) > 6 else "")
        extra_text += EXTRA.format(count=len(extra), names=listed)
    if len(network.lags) > 1 or extra:
        extra_text += wiring_text(network)
    return README.format(
        identity=stored.folder.identity,
        checkpoint=stored.checkpoint,
        step=stored.step,
        objective=stored.spec.objective.kind,
        task=stored.spec.task.kind,
        layers=len(network.trunk.layers),
        names="\n".join(rows),
        tokenizer=WITH_TOKENIZER if has_tokenizer else WITHOUT_TOKENIZER,
        extra=extra_text,
        scores=scores_text(stored),
        spec=json.dumps(stored.spec.canonical(), indent=2),
    )


def wiring_text(network: Objective) -> str:
    """Describes how the parameters outside the exported Llama are connected.

    Returns a diagram, or the docstring of the objective's module.
    """
    if isinstance(network, MultiToken):
        config = network.config
        parts = [*([BLOCKS] if config.head == "transformer" else []), UNEMBEDDINGS[config.unembedding]]
        lines = diagram(config.head, config.topology, config.unembedding, network.lags)
        return WIRING.format(parts="; ".join(parts), lines="\n".join(lines))
    module = type(network).__module__
    text = (sys.modules[module].__doc__ or type(network).__doc__ or "").strip()
    return OBJECTIVE.format(module=module, text=text)


def scores_text(stored: StoredRun) -> str:
    """Returns a table of the checkpoint's scores on the held-out splits, or the reason why there are none."""
    result = stored.folder.result()
    if result is None:
        return "The run was not complete when it was exported, so it has no scores yet."
    if result["status"] != "complete":
        return f"The run {result['status']}: {result['reason']}."
    if stored.checkpoint not in result["scores"]:
        return f"`lab score {stored.folder.identity} --checkpoint {stored.checkpoint}` computes them."
    splits: dict[str, dict[str, float]] = result["scores"][stored.checkpoint]
    names = dict.fromkeys(name for scores in splits.values() for name in scores)
    rows = [
        " | ".join([f"| `{name}`", *(f"{scores[name]:z.4f}" if name in scores else "" for scores in splits.values())])
        + " |"
        for name in names
    ]
    return "\n".join([f"| metric | {' | '.join(splits)} |", "|---" * (len(splits) + 1) + "|", *rows])
