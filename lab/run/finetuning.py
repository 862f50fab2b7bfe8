"""What a run starts from: finetuning (paper: CodeContests, and the appendix on Llama 2), and which weights are taken.

Finetuning keeps the next-token network that was pretrained, layer by layer: embedding, trunk, what stands between it
and the unembedding (of `multi_token`, head 1), norm, unembedding. So the network of a run with a start is not that of
its model's size. It has as many layers on the way to the next token as the start has, and what its objective has beside
them comes on top. Of a model of L layers, transformer heads in parallel, match = "layers":

    start -> run     the start's network         the run's network
    n=4 -> n=4       L-4 trunk + heads 1 to 4    the same
    n=4 -> n=1       L-4 trunk + heads 1 to 4    L-4 trunk + head 1
    n=1 -> n=4       L-1 trunk + head 1          L-1 trunk + heads 1 to 4; with match = "none" it is the same

The next-token path is taken by place, so that objectives of another kind, or chains, may follow each other: the last
layer of a `multi_token` start's path becomes the last of a `token_order` run's trunk. Further heads are taken by name
and shape, or start fresh. A start whose path ends in another kind of layer, or that has another vocabulary, is refused.
"""

from collections.abc import Mapping

import torch
from torch import Tensor, nn

from generators.foundation.errors import UserError
from generators.table import build_task
from generators.task import Task
from lab.model.config import ModelConfig
from lab.model.layers import Block
from lab.objectives.objective import DataShape, Objective
from lab.objectives.table import build_objective
from lab.run.spec import RunSpec

ROOM_LAYERS = 64
"""More than any objective has beside the next-token path; where it is measured how many those are."""


def network_of(spec: RunSpec) -> Objective:
    """The network of a spec, weights not yet drawn.

    Raises:
        UserError: the task's file, the objective in this model, or what the start has, is not to be had.
    """
    task = build_task(spec.task)
    data = DataShape(len(task.vocabulary), task.length)
    if spec.start is None:
        return build_objective(spec.objective, spec.model, data)
    same_vocabulary(build_task(spec.start.run.task), task)
    start = meta_network(spec.start.run)
    layers = blocks_to_next_token(start)
    with torch.device("meta"):
        roomy = build_objective(spec.objective, deepened(spec.model, layers + ROOM_LAYERS), data)
    beside = layers + ROOM_LAYERS - blocks_to_next_token(roomy)
    try:
        network = build_objective(spec.objective, deepened(spec.model, layers + beside), data)
    except UserError as error:
        raise UserError(f"start: its {layers} layers on the way to the next token are kept: {error}") from None
    names_taken(spec, network, start)
    if spec.start.freeze == "trunk":
        network.trunk.requires_grad_(False)
    return network


def meta_network(spec: RunSpec, source: str = "") -> Objective:
    """The network of a spec without a weight in memory: shapes and counts only.

    Raises:
        UserError: as `network_of` does, with the source of the spec before it where one is named.
    """
    try:
        with torch.device("meta"):
            return network_of(spec)
    except UserError as error:
        raise UserError(f"{source}: {error}" if source else str(error)) from None


def deepened(model: ModelConfig, layers: int) -> ModelConfig:
    """A model of the same width with so many layers, which may be more than a file can ask for."""
    shape = model.shape
    wanted = {"size": None, "width": shape.width, "layers": layers, "attention_heads": shape.attention_heads}
    return model.model_copy(update=wanted)


def next_token_network(network: Objective) -> list[nn.Module]:
    """What a token goes through to the logits of the next one, in order."""
    path = network.next_token_path()
    return [network.trunk.embed_tokens, *network.trunk.layers, *path.layers, path.norm, path.unembedding]


def blocks_to_next_token(network: Objective) -> int:
    """Transformer layers on the way to the next token."""
    return sum(isinstance(part, Block) for part in next_token_network(network))


def names_taken(spec: RunSpec, network: Objective, start: Objective) -> dict[str, str]:
    """Name of a weight -> the start's weight it begins as.

    Raises:
        UserError: the start's next-token network is not one that the run's can begin as.
    """
    assert spec.start is not None
    ways = next_token_network(network), next_token_network(start)
    kinds = [[type(part).__name__ for part in way] for way in ways]
    shapes = [[[tuple(value.shape) for value in part.state_dict().values()] for part in way] for way in ways]
    if kinds[0] != kinds[1] or shapes[0] != shapes[1]:
        mine, theirs = (" ".join(names) for names in kinds)
        raise UserError(
            f"start.objective {spec.start.run.objective.kind}: a token goes to the next one through {theirs}, and in "
            f"objective {spec.objective.kind} through {mine}; finetuning keeps that path: give both the same head layer"
        )
    names = [{module: name for name, module in each.named_modules()} for each in (network, start)]
    taken = {
        f"{names[0][mine]}.{inside}": f"{names[1][theirs]}.{inside}"
        for mine, theirs in zip(*ways, strict=True)
        for inside in mine.state_dict()
    }
    if spec.start.heads == "keep":
        own, stored = network.state_dict(), start.state_dict()
        further = stored.keys() - set(taken.values())
        taken |= {
            name: name
            for name in own
            if name not in taken and name in further and own[name].shape == stored[name].shape
        }
    return taken


def take_over(spec: RunSpec, network: Objective, weights: Mapping[str, Tensor]) -> None:
    """Give a run's network the weights of its start; what the start does not have stays as it was drawn."""
    assert spec.start is not None
    taken = names_taken(spec, network, meta_network(spec.start.run))
    network.load_state_dict({name: weights[source] for name, source in taken.items()}, strict=False)


def same_vocabulary(start: Task, task: Task) -> None:
    """Refuse a start that was trained on other tokens."""
    if start.vocabulary == task.vocabulary:
        return
    sizes = f"{len(start.vocabulary)} tokens of {start.config.kind}", f"{len(task.vocabulary)} of {task.config.kind}"
    pairs = zip(start.vocabulary, task.vocabulary, strict=False)
    first = next((f"; the first that differs is {a!r} there and {b!r} here" for a, b in pairs if a != b), "")
    raise UserError(
        f"start.task: its vocabulary, {sizes[0]}, is not that of the task, {sizes[1]}{first}; finetuning keeps the "
        "embedding: give tasks and settings with the same vocabulary"
    )
