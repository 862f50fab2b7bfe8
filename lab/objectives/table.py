"""The registry of objectives; other packages add rows through the entry point group `mtp_lab.objectives`."""

from typing import cast

from generators.foundation.kinds import SettingsRegistry
from lab.model.config import DataShape, ModelConfig
from lab.objectives.objective import Objective, ObjectiveConfig

OBJECTIVES = SettingsRegistry(
    "objective",
    {
        "multi_token": "lab.objectives.multi_token:MultiToken",
        "sequential_modules": "lab.objectives.sequential_modules:SequentialModules",
        "token_order": "lab.objectives.token_order:TokenOrder",
        "registers": "lab.objectives.registers:Registers",
        "next_latent": "lab.objectives.next_latent:NextLatent",
        "future_summary": "lab.objectives.future_summary:FutureSummary",
        "joint": "lab.objectives.joint:Joint",
        "teacherless": "lab.objectives.teacherless:Teacherless",
        "masked_teacher": "lab.objectives.teacherless:MaskedTeacher",
        "belief_state": "lab.objectives.belief_state:BeliefState",
    },
    Objective,
    plural="objectives",
)
"""The registry of objectives."""


def build_objective(config: ObjectiveConfig, model: ModelConfig, data: DataShape) -> Objective:
    """Builds the network of a configuration; its weights are not drawn yet.

    Raises:
        UserError: the objective does not fit the model or the data.
    """
    return cast(Objective, OBJECTIVES.find(config.kind, "settings")(config, model, data))
