"""A smaller network and shorter samples for the checks of objectives."""

import pytest

from lab.model.config import ModelConfig
from lab.objectives.checks import network
from lab.objectives.objective import DataShape


@pytest.fixture
def small(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(network, "MODEL", ModelConfig(width=8, layers=5, attention_heads=2))
    monkeypatch.setattr(network, "DATA", DataShape(vocabulary=network.SAMPLES * 7 * 8 + 3, length=8))
