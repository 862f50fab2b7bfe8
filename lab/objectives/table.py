"""The table of objectives."""

from typing import cast

from generators.kinds import Kinds
from lab.model.config import ModelConfig
from lab.objectives.objective import Objective, ObjectiveConfig

OBJECTIVES = Kinds("objective", {"multi_token": "lab.objectives.multi_token:MultiToken"})


def build_objective(config: ObjectiveConfig, model: ModelConfig, vocabulary_size: int, length: int) -> Objective:
    """The objective of a configuration, weights not yet drawn. UserError where the model cannot hold it."""
    return cast(Objective, OBJECTIVES.find(config.kind, "settings")(config, model, vocabulary_size, length))
