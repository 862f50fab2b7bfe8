"""A smaller network and shorter samples for the checks of objectives."""

import pytest

from lab.model.config import DataShape
from lab.model.trunks.llama import LlamaConfig
from lab.objectives.checks import network


@pytest.fixture
def small(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(network, "MODEL", LlamaConfig(width=8, layers=5, attention_heads=2))
    monkeypatch.setattr(network, "DATA", DataShape(vocabulary=network.SAMPLES * 7 * 8 + 3, length=8))
