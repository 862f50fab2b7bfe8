"""The registry of trunks; other packages add rows through the entry point group `mtp_lab.models`."""

from collections.abc import Mapping
from typing import cast

from generators.foundation.kinds import SettingsRegistry
from lab.model.config import DataShape, ModelConfig
from lab.model.trunk import Trunk

DEFAULT_KIND = "llama"
MODELS = SettingsRegistry(
    "model",
    {
        "llama": "lab.model.trunks.llama:Llama",
        "gpt": "lab.model.trunks.gpt:Gpt",
        "gru": "lab.model.trunks.gru:Gru",
    },
    Trunk,
    plural="models",
)
"""The registry of trunks."""


def parse_model(data: object, source: str) -> ModelConfig:
    """Validates the table [model] of a spec, whose kind is "llama" if it is absent.

    Raises:
        UserError: the kind is unknown, or a setting is unknown, missing or wrong.
    """
    table = {"kind": DEFAULT_KIND, **data} if isinstance(data, Mapping) else data
    return cast(ModelConfig, MODELS.config(table, source))


def build_trunk(config: ModelConfig, layers: int, data: DataShape) -> Trunk:
    """Builds the trunk of a configuration; its weights are not drawn yet.

    Args:
        layers: layers of the trunk, of the `config.shape.layers` that the model has.

    Raises:
        UserError: the trunk cannot be built from these settings.
    """
    return cast(Trunk, MODELS.find(config.kind, "settings")(config, layers, data))
