"""The table of objectives."""

from typing import cast

from generators.foundation.kinds import SettingsRegistry
from lab.model.config import ModelConfig
from lab.objectives.objective import DataShape, Objective, ObjectiveConfig

OBJECTIVES = SettingsRegistry(
    "objective",
    {
        "multi_token": "lab.objectives.multi_token:MultiToken",
        "sequential_modules": "lab.objectives.sequential_modules:SequentialModules",
        "token_order": "lab.objectives.token_order:TokenOrder",
        "registers": "lab.objectives.registers:Registers",
    },
    Objective,
    plural="objectives",
)


def build_objective(config: ObjectiveConfig, model: ModelConfig, data: DataShape) -> Objective:
    """The network of a configuration, weights not yet drawn. UserError where the model or the data cannot hold it."""
    return cast(Objective, OBJECTIVES.find(config.kind, "settings")(config, model, data))
