"""RunSpec: everything that decides a run's numbers, and the identity made of it."""

import json
from hashlib import sha256
from pathlib import Path
from typing import Literal, Self

from pydantic import Field, model_validator

from generators.errors import UserError
from generators.settings import Settings, Tree, assign_value, read_toml, split_assignment, suggestion, validate
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
    loss: Literal["joint", "sequential", "chunked"] = Field(
        default="joint",
        description="one gradient, three ways: all heads at once; head by head as in the paper; and without all logits",
    )
    micro_batches: int = Field(default=1, ge=1, description="pieces a batch's gradient is added up from")
    device: str = Field(default="cpu", description="a torch device")
    compile: bool = Field(default=False, description="torch.compile of the layers: half a minute, then faster steps")
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
        return self


class RunSpec(Settings):
    """One run: task, model, objective, training, seed. Two equal specs are one run."""

    task: TaskConfig
    model: ModelConfig
    objective: ObjectiveConfig
    training: TrainingConfig
    seed: int = Field(ge=0, lt=2**31)

    def canonical(self) -> Tree:
        """The spec as JSON types, every default written out, data by digest instead of path."""
        return {
            "task": self.task.canonical(),
            "model": self.model.model_dump(mode="json"),
            "objective": self.objective.model_dump(mode="json"),
            "training": self.training.model_dump(mode="json"),
            "seed": self.seed,
        }

    @property
    def identity(self) -> str:
        """16 hexadecimal digits of the SHA-256 of the canonical form: the name of the run's folder."""
        return sha256(json.dumps(self.canonical(), sort_keys=True).encode()).hexdigest()[:16]

    def tree(self) -> Tree:
        """The spec as it can be read again, paths included."""
        return {**self.canonical(), "task": self.task.model_dump(mode="json")}


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
        if key not in data:
            raise UserError(f"{source}: the table [{key}] is missing")
    if isinstance(data["seed"], bool) or not isinstance(data["seed"], int) or not 0 <= data["seed"] < 2**31:
        raise UserError(f"{source}: seed = {data['seed']!r}: should be a whole number from 0 to 2147483647")
    return RunSpec(
        task=TASKS.config(data["task"], source),
        model=validate(ModelConfig, data["model"], source, "model"),
        objective=OBJECTIVES.config(data["objective"], source),
        training=validate(TrainingConfig, data["training"], source, "training"),
        seed=data["seed"],
    )


def read_spec(path: Path, assignments: list[str]) -> RunSpec:
    """The spec of a TOML file with `--set` assignments on top."""
    data = read_toml(path)
    for assignment in assignments:
        assign_value(data, *split_assignment(assignment))
    return parse_spec(data, str(path))
