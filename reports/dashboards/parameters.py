"""The parameters of trials: settings that vary. The importance of a setting that never varied would be meaningless."""

from collections.abc import Iterable, Mapping
from typing import Any

from optuna.distributions import BaseDistribution

from generators.foundation.settings import Tree


def varied(
    distributions: Mapping[str, BaseDistribution], scored: Iterable[Mapping[str, Any]]
) -> dict[str, BaseDistribution]:
    """Returns the distributions of the settings that have more than one value.

    Args:
        distributions: the distributions of all settings.
        scored: settings of each trial that has a score.
    """
    values: dict[str, set[str]] = {key: set() for key in distributions}
    for settings in scored:
        for key in values:
            values[key].add(repr(settings[key]))
    return {key: distribution for key, distribution in distributions.items() if len(values[key]) > 1}


def within(space: Mapping[str, BaseDistribution], settings: Mapping[str, Any]) -> Tree:
    """Returns the settings that are parameters."""
    return {key: value for key, value in settings.items() if key in space}


def outside(space: Mapping[str, BaseDistribution], settings: Mapping[str, Any]) -> Tree:
    """Returns the other settings."""
    return {key: value for key, value in settings.items() if key not in space}
