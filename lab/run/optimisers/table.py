"""The optimisers by name: a function of the network and its training settings that gives every parameter its rule."""

from collections.abc import Callable, Mapping

from torch import nn

from lab.run.optimisers.adamw import AdamWRule
from lab.run.optimisers.flat import FlatOptimiser, UpdateRule
from lab.run.optimisers.muon import MuonRule, hidden_matrices, require_muon
from lab.run.optimisers.sgd import SGDRule
from lab.run.spec import TrainingConfig

Rules = dict[str, UpdateRule]
"""Name of a parameter -> its rule."""


def adamw_rules(network: nn.Module, training: TrainingConfig) -> Rules:
    """Returns AdamW for every parameter."""
    return dict.fromkeys(dict(network.named_parameters()), AdamWRule(training))


def muon_rules(network: nn.Module, training: TrainingConfig) -> Rules:
    """Returns Muon for hidden matrices and AdamW for all other parameters.

    Raises:
        UserError: this version of torch has no Muon.
    """
    require_muon()
    return adamw_rules(network, training) | dict.fromkeys(hidden_matrices(network), MuonRule(training))


def sgd_rules(network: nn.Module, training: TrainingConfig) -> Rules:
    """Returns SGD for every parameter."""
    return dict.fromkeys(dict(network.named_parameters()), SGDRule(training))


OPTIMISERS: Mapping[str, Callable[[nn.Module, TrainingConfig], Rules]] = {
    "adamw": adamw_rules,
    "muon": muon_rules,
    "sgd": sgd_rules,
}


def build_optimiser(network: nn.Module, training: TrainingConfig) -> FlatOptimiser:
    """Returns the optimiser that `training.optimiser` names, for the parameters of a network.

    Raises:
        UserError: this version of torch does not have it.
    """
    return FlatOptimiser(dict(network.named_parameters()), training, OPTIMISERS[training.optimiser](network, training))
