"""Every objective learns induction: each of its losses falls below that of the best constant prediction."""

from typing import Any

import numpy as np
import pytest
import torch

from lab.model.batches import TensorBatch
from lab.objectives.future_summary import FutureSummary
from lab.objectives.next_latent import NextLatent
from lab.objectives.table import OBJECTIVES
from lab.objectives.teacherless import ReplacedInputs
from lab.objectives.token_order import TokenOrder, ranked_positions, upcoming_tokens
from lab.run.assembly import assemble
from lab.run.evaluation import Evaluator
from lab.run.spec import parse_spec
from lab.run.step import OptimiserStep
from lab.run.training_data import training_batches
from tests.lab.objectives.variants import VARIANTS, name_of


def entropy(counts: np.ndarray[Any, Any]) -> float:
    """Returns the entropy in nats of the distribution that is proportional to the counts."""
    share = counts[counts > 0] / counts.sum()
    return float(-(share * np.log(share)).sum())


def unigram_entropies(batch: TensorBatch, classes: int, network: Any) -> dict[str, float]:
    """Returns the smallest loss of each term that a prediction independent of the input can reach."""
    entropies = {}
    for lag in network.lags[:1] if isinstance(network, NextLatent) else network.lags:
        entropies[f"loss_{lag}"] = entropy(np.bincount(batch.targets(lag).tokens_N.numpy(), minlength=classes))
    if isinstance(network, TokenOrder):  # the best constant is the mean target, whose cross-entropy is its entropy
        window = min(network.config.window, batch.tokens_BxT.shape[1] - 1)
        tokens, first = upcoming_tokens(
            batch.tokens_BxT, batch.loss, np.flatnonzero(ranked_positions(batch.loss, window)), window
        )
        shares = (-torch.arange(window).double()).where(first, -torch.inf).softmax(dim=1)
        entropies["loss_order"] = entropy(np.bincount(tokens.flatten().numpy(), shares.flatten().numpy(), classes))
    elif isinstance(network, FutureSummary):  # the best constant predicts the share of the bags that a token is in
        bags = network.bags(batch)
        tokens_NxW, inside_NxW = bags.tokens_NxW.numpy(), bags.inside_NxW.numpy()
        share_V = np.array([(inside_NxW & (tokens_NxW == token)).any(axis=1).mean() for token in range(classes)])
        entropies["loss_summary"] = np.mean([entropy(np.array([share, 1 - share])) for share in share_V])
    elif isinstance(network, ReplacedInputs):
        entropies[network.term] = entropies["loss_1"]
    elif hasattr(network, "distances"):
        targets = batch.targets_ahead(network.distances).tokens_N.numpy()
        entropies["loss_registers"] = entropy(np.bincount(targets, minlength=classes))
    return entropies


def test_every_shipped_objective_is_among_the_variants() -> None:
    assert {variant["kind"] for variant in VARIANTS} == set(OBJECTIVES.rows)


@pytest.mark.slow
@pytest.mark.parametrize("objective", VARIANTS, ids=name_of)
def test_each_loss_falls_below_the_entropy_of_its_targets(objective: dict[str, Any]) -> None:
    spec = parse_spec(
        {
            "task": {"kind": "induction", "characters": 4, "name_parts": 12, "validation_samples": 200},
            "model": {"width": 48, "layers": 6, "attention_heads": 2, "rotary_base": 100.0},
            "objective": objective,
            "training": {
                "steps": 400,
                "batch_size": 16,
                "learning_rate": 0.005,
                "warmup_steps": 40,
                "evaluate_every_steps": 400,
            },
        },
        "a spec",
    )
    parts = assemble(spec)
    optimiser_step = OptimiserStep(parts.network, spec.training)
    for step, batch in enumerate(training_batches(parts.task, spec, parts.device, 0)):
        optimiser_step.take(batch, step)
    losses = Evaluator(parts.task, "validation", parts.device)(parts.network)
    drawn = parts.task.batch("validation", np.arange(200))
    held_out = TensorBatch.from_batch(drawn, parts.device, np.arange(200))
    bounds = unigram_entropies(held_out, len(parts.task.vocabulary), parts.network)
    assert bounds.keys() == {name for name in losses if name.startswith("loss_")}
    for name, bound in bounds.items():
        assert 0.5 < bound < 4 or name == "loss_summary"
        assert losses[name] < 0.97 * bound, (name, losses[name], bound)
