"""Finetuning: the network of a run that starts from another run, and the weights that it loads from it.

Finetuning (paper: CodeContests, and the appendix on Llama 2) keeps the pretrained next-token network layer by layer:
embedding, trunk, the layers between trunk and unembedding (for `multi_token`, head 1), norm, unembedding. The network
of a run with a start may therefore have more or fewer layers than its model's size says: its next-token path has as
many layers as that of the start, and its objective adds its other layers to these. With a model of L layers, parallel
transformer heads and match = "layers":

    start -> run     network of the start        network of the run
    n=4 -> n=4       L-4 trunk + heads 1 to 4    the same
    n=4 -> n=1       L-4 trunk + heads 1 to 4    L-4 trunk + head 1
    n=1 -> n=4       L-1 trunk + head 1          L-1 trunk + heads 1 to 4; the same with match = "none"

The next-token path is matched by position, so that one objective, or one chain of heads, can follow another: the last
layer on the path of a `multi_token` start becomes the last trunk layer of a `token_order` run. Additional heads are
matched by name and shape; without a match they keep the weights drawn from the seed. A start is refused if its path
ends in another kind of layer or if it has another vocabulary.
"""

from collections.abc import Mapping
from functools import lru_cache

import torch
from torch import Tensor, nn

from generators.foundation.errors import UserError
from generators.table import build_task
from generators.task import Task
from lab.model.config import DataShape
from lab.model.table import MODELS
from lab.model.weights import shared_memory_problem
from lab.objectives.objective import Objective
from lab.objectives.table import OBJECTIVES, build_objective
from lab.run.spec import RunSpec

SPARE_LAYERS = 64
"""More layers than any objective adds to the next-token path; used to count how many it adds."""


def build_network(spec: RunSpec) -> Objective:
    """Builds the network of a spec; its weights are not drawn yet.

    Raises:
        UserError: the task cannot be built, the objective does not fit the model, two of its parameters share memory,
            or the start does not fit the run.
    """
    network = build_run_objective(spec)
    if problem := shared_memory_problem(network):
        raise UserError(f'objective.kind = "{spec.objective.kind}": {problem}')
    return network


def build_run_objective(spec: RunSpec) -> Objective:
    """Builds the network of a spec as its objective declares it."""
    task = build_task(spec.task)
    data = DataShape(len(task.vocabulary), task.length)
    if spec.start is None:
        return build_objective(spec.objective, spec.model, data)
    check_vocabularies(build_task(spec.start.run.task), task)
    start = meta_network(spec.start.run)
    layers = count_next_token_layers(start)
    with torch.device("meta"):
        oversized = build_objective(spec.objective, spec.model.with_layers(layers + SPARE_LAYERS), data)
    further_layers = layers + SPARE_LAYERS - count_next_token_layers(oversized)
    try:
        network = build_objective(spec.objective, spec.model.with_layers(layers + further_layers), data)
    except UserError as error:
        raise UserError(f"start: the {layers} layers of its next-token path are kept: {error}") from None
    weight_sources(spec, network, start)
    if spec.start.freeze == "trunk":
        network.trunk.requires_grad_(False)
    return network


def meta_network(spec: RunSpec, source: str = "") -> Objective:
    """Builds the network of a spec on torch's meta device: shapes and counts without any weight in memory.

    Args:
        source: the file that the spec comes from, named first in errors.

    Returns:
        a network that later calls may return too: read it, and change nothing in it.

    Raises:
        UserError: as `build_network`.
    """
    runs = [spec, *([spec.start.run] if spec.start else [])]
    try:
        classes = tuple(
            registry.find(kind, "settings")
            for run in runs
            for registry, kind in ((OBJECTIVES, run.objective.kind), (MODELS, run.model.kind))
        )
        tasks = [build_task(run.task) for run in runs]
        return _built_on_meta(spec, classes, tuple((task.length, *task.vocabulary) for task in tasks))
    except UserError as error:
        raise UserError(f"{source}: {error}" if source else str(error)) from None


@lru_cache(maxsize=64)
def _built_on_meta(spec: RunSpec, classes: tuple[type, ...], data: tuple[tuple[object, ...], ...]) -> Objective:
    """Builds a network; a study asks for the same ones where it is checked, planned and started.

    Args:
        spec: the spec of the run.
        classes: the classes of objective and trunk of the run and its start, since a name may come to mean another.
        data: length and vocabulary of the tasks of both, since the file that a task reads may change.
    """
    with torch.device("meta"):
        return build_network(spec)


def next_token_modules(network: Objective) -> list[nn.Module]:
    """Returns the modules from a token to the logits of the next one, in order."""
    path = network.next_token_path()
    return [network.trunk.embed_tokens, *network.trunk.layers, *path.layers, path.norm, path.unembedding]


def count_next_token_layers(network: Objective) -> int:
    """Counts the layers of the trunk's kind on the next-token path, the trunk included."""
    return sum(network.trunk.has_kind_of(module) for module in next_token_modules(network))


def further_trunk_weights(network: Objective) -> dict[str, tuple[int, ...]]:
    """Returns the shapes of the trunk's weights outside of its embedding and layers; a Llama has none."""
    path = ("trunk.embed_tokens.", "trunk.layers.")
    return {
        name: tuple(weight.shape)
        for name, weight in network.state_dict().items()
        if name.startswith("trunk.") and not name.startswith(path)
    }


def trunk_text(network: Objective) -> str:
    """Returns the class of a network's trunk, and its weights outside of its embedding and layers, in words."""
    listed = ", ".join(f"{name} {list(shape)}" for name, shape in further_trunk_weights(network).items())
    return f"a {type(network.trunk).__name__}" + (f" with {listed}" if listed else "")


def weight_sources(spec: RunSpec, network: Objective, start: Objective) -> dict[str, str]:
    """Maps the name of each weight that is loaded to the name of the start's weight that it is loaded from.

    Raises:
        UserError: the run and its start have different trunks, or their next-token paths different layers.
    """
    assert spec.start is not None
    further_weights = [further_trunk_weights(owner) for owner in (network, start)]
    if further_weights[0] != further_weights[1] or type(network.trunk) is not type(start.trunk):
        run_trunk, start_trunk = (trunk_text(owner) for owner in (network, start))
        raise UserError(
            f"start.objective {spec.start.run.objective.kind}: its trunk is {start_trunk}, and that of objective "
            f"{spec.objective.kind} is {run_trunk}; finetuning keeps the trunk: give both the same"
        )
    paths = next_token_modules(network), next_token_modules(start)
    kinds = [[type(module).__name__ for module in path] for path in paths]
    shapes = [[[tuple(value.shape) for value in module.state_dict().values()] for module in path] for path in paths]
    if kinds[0] != kinds[1] or shapes[0] != shapes[1]:
        run_path, start_path = (" ".join(names) for names in kinds)
        raise UserError(
            f"start.objective {spec.start.run.objective.kind}: its next-token path is {start_path}, and that of "
            f"objective {spec.objective.kind} is {run_path}; finetuning keeps the path: give both the same head layer"
        )
    names = [{module: name for name, module in owner.named_modules()} for owner in (network, start)]
    sources = {
        f"{names[0][module]}.{parameter}": f"{names[1][start_module]}.{parameter}"
        for module, start_module in zip(*paths, strict=True)
        for parameter in module.state_dict()
    }
    sources |= {name: name for name in further_weights[0]}
    if spec.start.heads == "keep":
        weights, start_weights = network.state_dict(), start.state_dict()
        further = start_weights.keys() - set(sources.values())
        sources |= {
            name: name
            for name in weights
            if name not in sources and name in further and weights[name].shape == start_weights[name].shape
        }
    return sources


def load_start_weights(spec: RunSpec, network: Objective, weights: Mapping[str, Tensor]) -> None:
    """Loads the weights of a start into the network of a run; weights without a source stay as they were drawn."""
    assert spec.start is not None
    sources = weight_sources(spec, network, meta_network(spec.start.run))
    network.load_state_dict({name: weights[source] for name, source in sources.items()}, strict=False)


def check_vocabularies(start: Task, task: Task) -> None:
    """Refuses a start that was trained on another vocabulary.

    Raises:
        UserError: the vocabularies differ.
    """
    if start.vocabulary == task.vocabulary:
        return
    sizes = f"{len(start.vocabulary)} tokens of {start.config.kind}", f"{len(task.vocabulary)} of {task.config.kind}"
    pairs = zip(start.vocabulary, task.vocabulary, strict=False)
    first = next((f"; the first that differs is {a!r} there and {b!r} here" for a, b in pairs if a != b), "")
    raise UserError(
        f"start.task: its vocabulary, {sizes[0]}, is not that of the task, {sizes[1]}{first}; finetuning keeps the "
        "embedding: give tasks and settings with the same vocabulary"
    )
