"""RunSpec: everything that decides a run's numbers, and the identity made of it."""

import json
from collections.abc import Mapping
from hashlib import sha256
from pathlib import Path
from typing import Literal, Self

from pydantic import Field, model_validator

from generators.foundation.errors import UserError
from generators.foundation.settings import (
    Settings,
    Tree,
    assign_value,
    read_toml,
    split_assignment,
    suggestion,
    validate,
)
from generators.table import TASKS
from generators.task import TaskConfig
from lab.model.config import ModelConfig
from lab.objectives.objective import ObjectiveConfig
from lab.objectives.table import OBJECTIVES


class TrainingConfig(Settings):
    """How a run is trained. The defaults that are not sizes are the paper's (appendix, training hyperparameters)."""

    steps: int = Field(ge=1, le=10**9, description="optimiser steps")
    batch_size: int = Field(ge=1, le=10**6, description="samples a step")
    learning_rate: float = Field(gt=0, description="peak, reached after the warm-up")
    warmup_steps: int = Field(default=0, ge=0, description="linear warm-up")
    final_learning_rate_fraction: float = Field(
        default=0.03, ge=0, le=1, description="of the peak, where the cosine ends"
    )
    beta1: float = Field(default=0.9, ge=0, lt=1)
    beta2: float = Field(default=0.95, ge=0, lt=1)
    weight_decay: float = Field(default=0.1, ge=0, description="decoupled, on matrices; norms are not decayed")
    clip_norm: float = Field(default=1.0, gt=0, description="global gradient norm is cut to this")
    evaluate_every_steps: int = Field(ge=1, description="validation and checkpoint; also after the last step")
    stop_after_evaluations: int | None = Field(
        default=None, ge=1, description="early stopping: so many validations in a row without a better score"
    )
    keep_every_steps: int | None = Field(
        default=None, ge=1, description="weights kept for later analysis; a multiple of evaluate_every_steps"
    )
    loss: Literal["joint", "sequential", "chunked"] = Field(
        default="joint",
        description="one gradient, three ways: all heads at once; head by head as in the paper; and without all logits",
    )
    micro_batches: int = Field(default=1, ge=1, description="pieces a batch's gradient is added up from")
    device: str = Field(default="cpu", description="a torch device")
    compile: bool = Field(
        default=False, description="torch.compile of layers and read-out: half a minute, then faster steps"
    )
    cuda_graphs: bool = Field(
        default=False, description="with compile, on a CUDA device: a layer's kernels are recorded once and replayed"
    )
    precision: Literal["fp32", "bf16"] = Field(default="fp32", description="bf16 is autocast over fp32 weights")

    @model_validator(mode="after")
    def _warm(self) -> Self:
        if self.warmup_steps > self.steps:
            raise ValueError(f"warmup_steps = {self.warmup_steps} should be at most steps = {self.steps}")
        if self.micro_batches > self.batch_size:
            raise ValueError(
                f"micro_batches = {self.micro_batches} should be at most batch_size = {self.batch_size}: "
                "a piece holds a sample at least"
            )
        if self.keep_every_steps is not None and self.keep_every_steps % self.evaluate_every_steps:
            raise ValueError(
                f"keep_every_steps = {self.keep_every_steps} should be a multiple of "
                f"evaluate_every_steps = {self.evaluate_every_steps}"
            )
        if self.cuda_graphs and not (self.compile and self.device.startswith("cuda")):
            raise ValueError(
                f"cuda_graphs = true needs compile = true and a CUDA device, not compile = {str(self.compile).lower()} "
                f'and device = "{self.device}"'
            )
        return self


class Taking(Settings):
    """What is taken from the run that a run starts from; `starting.py` says how."""

    checkpoint: Literal["best", "last"] = "best"
    heads: Literal["keep", "drop"] = Field(
        default="keep",
        description="keep: all that has the same name and shape; drop: the embedding and the next-token path alone",
    )
    freeze: Literal["none", "trunk"] = Field(default="none", description="trunk: it and the embedding stay as they are")


START_TABLES = ("task", "objective", "training")


class Start(Taking):
    """What a run starts from: another run of the same model and seed, and what is taken from it."""

    run: "RunSpec"

    def inside(self, form: Tree) -> Tree:
        """The table [start], with the run's own tables in one of their forms."""
        return {**self.model_dump(mode="json", exclude={"run"}), **{name: form[name] for name in START_TABLES}}


class RunSpec(Settings):
    """One run: task, model, objective, training, seed, and for finetuning a start. Two equal specs are one run."""

    task: TaskConfig
    model: ModelConfig
    objective: ObjectiveConfig
    training: TrainingConfig
    seed: int = Field(ge=0, lt=2**31)
    start: Start | None = None

    def canonical(self) -> Tree:
        """The spec as JSON types, every default written out, data by digest instead of path."""
        form = {
            "task": self.task.canonical(),
            "model": self.model.model_dump(mode="json"),
            "objective": self.objective.model_dump(mode="json"),
            "training": self.training.model_dump(mode="json"),
            "seed": self.seed,
        }
        return form | {"start": self.start.inside(self.start.run.canonical())} if self.start else form

    @property
    def identity(self) -> str:
        """16 hexadecimal digits of the SHA-256 of the canonical form: the name of the run's folder."""
        return sha256(json.dumps(self.canonical(), sort_keys=True).encode()).hexdigest()[:16]

    def tree(self) -> Tree:
        """The spec as it can be read again, paths included."""
        form = {**self.canonical(), "task": self.task.model_dump(mode="json")}
        return form | {"start": self.start.inside(self.start.run.tree())} if self.start else form


def parse_spec(data: Tree, source: str) -> RunSpec:
    """A spec from a tree as TOML or JSON gives it.

    Raises:
        UserError: a sentence that names source, key, value and what would be right.
    """
    data = dict(data)
    data.setdefault("seed", 0)
    for key in data:
        if key not in RunSpec.model_fields:
            raise UserError(f"{source}: {key}: no such table; {suggestion(key, list(RunSpec.model_fields))}")
    for key in RunSpec.model_fields:
        if key not in data and key != "start":
            raise UserError(f"{source}: the table [{key}] is missing")
    if isinstance(data["seed"], bool) or not isinstance(data["seed"], int) or not 0 <= data["seed"] < 2**31:
        raise UserError(f"{source}: seed = {data['seed']!r}: should be a whole number from 0 to 2147483647")
    spec = RunSpec(
        task=TASKS.config(data["task"], source),
        model=validate(ModelConfig, data["model"], source, "model"),
        objective=OBJECTIVES.config(data["objective"], source),
        training=validate(TrainingConfig, data["training"], source, "training"),
        seed=data["seed"],
        start=parse_start(data, source),
    )
    if unused := spec.objective.unused(spec.training.steps):
        raise UserError(f"{source}: {unused}")
    return spec


def parse_start(data: Tree, source: str) -> Start | None:
    """The start of a spec: none without [start] or where it is empty, which is how a study has a level without one.

    Tables left out are those of the run itself.

    Raises:
        UserError: as `parse_spec` does.
    """
    table = data.get("start", {})
    if not isinstance(table, Mapping):
        raise UserError(f"{source}: start = {table!r}: should be a table")
    if not table:
        return None
    names = [*Taking.model_fields, *START_TABLES]
    for key in table:
        if key not in names:
            raise UserError(f"{source}: start.{key}: no such key; {suggestion(key, names, 'start.')}")
    taking = validate(Taking, {key: table[key] for key in Taking.model_fields if key in table}, source, "start")
    tables = {key: table[key] for key in START_TABLES if key in table}
    if not tables:
        raise UserError(
            f"{source}: start says nothing of the run to start from; give at least one of the tables "
            f"{', '.join(f'start.{name}' for name in START_TABLES)}"
        )
    own = {key: value for key, value in data.items() if key != "start"}
    run = parse_spec({**own, **tables}, f"{source}, table start")
    return Start(**taking.model_dump(), run=run)


def read_spec(path: Path, assignments: list[str]) -> RunSpec:
    """The spec of a TOML file with `--set` assignments on top."""
    data = read_toml(path)
    for assignment in assignments:
        assign_value(data, *split_assignment(assignment))
    return parse_spec(data, str(path))
