"""Linear probes of later tokens, on latents whose content is known."""

import json
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import numpy as np
import pytest
import torch
from torch import Tensor

from generators.foundation.errors import UserError
from generators.task import Batch
from generators.tasks.markov import Markov, MarkovConfig
from lab.analysis import lookahead
from lab.analysis.analysis import Row
from lab.analysis.estimators import probes
from lab.analysis.estimators.probes import Given, Probe, clustered, fit
from lab.analysis.lookahead import LookaheadAnalysis, control_classes, drawn, probed, residual_streams, seen
from lab.model.batches import TensorBatch
from lab.run.assembly import assemble
from lab.run.stored_run import StoredRun
from tests.conftest import Lab, Spec, logits_of

CPU = torch.device("cpu")
Layer = Callable[[Tensor, object], Tensor]


SPEC = """
task = { kind = "choice", length_tokens = 32 }
model = { width = 16, layers = 3, attention_heads = 2 }
objective = { kind = "multi_token", n = 1 }
training = { steps = 4, batch_size = 4, learning_rate = 1e-3, evaluate_every_steps = 2 }
"""


def hand_made(vocabulary: int, layer: Layer) -> Any:
    """A network of one layer, on one-hot embeddings."""
    trunk = SimpleNamespace(
        embed_tokens=lambda tokens_BxP: torch.nn.functional.one_hot(tokens_BxP, vocabulary).float(),
        layers=[layer],
        rotary=lambda positions: None,
    )
    return SimpleNamespace(trunk=trunk, next_token_path=lambda: SimpleNamespace(layers=[]))


def sequences(samples: int, length: int, vocabulary: int, seed: int) -> Batch:
    """Independent tokens, equally likely."""
    tokens = np.random.default_rng(seed).integers(vocabulary, size=(samples, length))
    loss = np.arange(length)[None].repeat(samples, axis=0) > 0
    return Batch(tokens=tokens, loss=loss, scored=loss)


def found(rows: list[Row], quantity: str, lag: int, place: str = "layer 1") -> Row:
    (row,) = (row for row in rows if (row["place"], row["lag"], row["quantity"]) == (place, lag, quantity))
    return row


def looked(vocabulary: int, layer: Layer, samples: int = 200, seed: int = 0) -> list[Row]:
    network = hand_made(vocabulary, layer)
    fitting, scoring = (seen(network, sequences(samples, 24, vocabulary, seed + which), CPU) for which in (0, 1000))
    return probed(fitting, scoring, vocabulary)


def mixed_from_two_ahead(x_BxPxD: Tensor, _: object) -> Tensor:
    """What no causal layer can do: x_{t+2} (of the inputs, round the corner at the end), through a random matrix."""
    matrix_DxD = torch.randn(x_BxPxD.shape[2], 12, generator=torch.Generator().manual_seed(1))
    return x_BxPxD.roll(-2, dims=1) @ matrix_DxD


def test_a_latent_that_holds_a_later_token_is_read_and_the_control_is_not() -> None:
    # The latent of the last of 22 positions with a target two ahead does not hold it: that is no input.
    rows = looked(8, mixed_from_two_ahead, 60)
    assert found(rows, "plain", 2)["value"] > 0.99 * 21 / 22
    assert found(rows, "accuracy", 2)["value"] > 0.99 * 21 / 22
    fitting = seen(hand_made(8, mixed_from_two_ahead), sequences(60, 24, 8, 0), CPU)
    commonest = float(torch.bincount(control_classes(fitting, 8)).max()) / 8
    assert found(rows, "control", 2)["value"] < commonest + 0.05
    assert found(rows, "selectivity", 2)["value"] > 0.4
    for lag in (1, 3, 4):  # independent tokens: nothing of these is there, and 60 samples cost a probe of it little
        gain = found(rows, "gain", lag)
        assert gain["low"] <= 0.0
        assert gain["high"] >= -0.01


@pytest.mark.parametrize("seed", range(4))
def test_noise_gains_nothing(seed: int) -> None:
    generator = torch.Generator().manual_seed(seed)
    rows = looked(6, lambda x_BxPxD, _: torch.randn(*x_BxPxD.shape[:2], 32, generator=generator), 100, seed)
    gains = [row for row in rows if row["quantity"] == "gain" and row["place"] == "layer 1"]
    assert len(gains) == 4
    for gain in gains:
        assert gain["low"] <= 0.0 <= gain["high"] + 1e-3


def test_the_current_token_gains_nothing_over_itself() -> None:
    rows = looked(6, mixed_from_two_ahead, 40)
    for lag in (1, 2, 3, 4):
        gain = found(rows, "gain", lag, "embedding")
        assert gain["value"] == pytest.approx(0, abs=1e-6)


def test_the_gain_is_what_the_source_has_and_no_more() -> None:
    """Two chains that take turns: of x_{t+1} and x_{t+3} the other chain's last token, x_{t-1}, tells H(X) - H(X | one
    or two steps before) nats, and x_t tells nothing; of x_{t+2} and x_{t+4} x_t tells all."""
    task = Markov(MarkovConfig(vocabulary_tokens=8, lag_tokens=2, memory=0.7, length_tokens=32))

    def with_the_one_before(x_BxPxD: Tensor, _: object) -> Tensor:
        return torch.cat((x_BxPxD, x_BxPxD.roll(1, dims=1)), dim=2)

    network = hand_made(8, with_the_one_before)
    fitting, scoring = (seen(network, task.batch(split, np.arange(150)), CPU) for split in ("validation", "test"))
    rows = probed(fitting, scoring, 8)
    information = task.unigram_entropy - task.entropies([1, 2, 3, 4]).nats
    for lag in (1, 3):
        gain = found(rows, "gain", lag)
        assert gain["low"] <= information[lag - 1]
        assert gain["high"] > 0.9 * information[lag - 1] > 0.05  # of 31 positions the first has nothing before it
    for lag in (2, 4):
        gain = found(rows, "gain", lag)
        assert gain["low"] <= 0.0
        assert gain["high"] > -0.005
        assert found(rows, "nats", lag, "current token")["value"] == pytest.approx(
            task.entropies([lag]).nats[0], abs=0.05
        )


def test_intervals_shrink_with_samples_and_hold_the_truth_though_positions_depend_on_each_other() -> None:
    random = np.random.default_rng(0)

    def interval(samples: int) -> probes.Estimate:
        """Positions of a sample share most of what they are; samples have 1 to 12 of them. The mean is 0."""
        counts = random.integers(1, 13, samples)
        sample = np.arange(samples).repeat(counts)
        values = random.normal(size=samples)[sample] + 0.3 * random.normal(size=len(sample))
        return clustered(torch.from_numpy(values), torch.from_numpy(sample))

    widths = {samples: np.mean([(e := interval(samples)).high - e.low for _ in range(20)]) for samples in (50, 800)}
    assert widths[50] / widths[800] == pytest.approx(4, rel=0.15)
    covered = np.mean([(e := interval(100)).low <= 0 <= e.high for _ in range(600)])
    assert covered == pytest.approx(0.95, abs=0.03)


def test_a_probe_is_fitted_to_convergence() -> None:
    generator = torch.Generator().manual_seed(0)
    z_NxD = torch.randn(1000, 6, generator=generator) @ torch.randn(6, 6, generator=generator)  # not white
    context_N = torch.randint(3, (1000,), generator=generator)
    logits_NxV = 2 * z_NxD @ torch.randn(6, 4, generator=generator) + torch.randn(3, 4, generator=generator)[context_N]
    class_N = torch.distributions.Categorical(logits=logits_NxV).sample()
    given = Given(torch.arange(1000) // 10, z_NxD, context_N, class_N)
    probe = fit(given, 3, 4)
    short, long = (probes.minimised(probe, table(given), given, 1e-3, most) for most in (probes.ITERATIONS, 5000))
    assert penalised(short, given, 1e-3) - penalised(long, given, 1e-3) < 1e-4
    optimum = torch.nn.functional.cross_entropy(logits_NxV, class_N)
    assert probe.nats(given) == pytest.approx(float(optimum), abs=0.02)


def table(given: Given) -> Tensor:
    return probes.frequencies(given, 3, 4, 1.0)


def penalised(probe: Probe, given: Given, ridge: float) -> float:
    change = probe.table_CxV - table(given)
    return probe.nats(given) + ridge / 2 * float(change.square().sum() + probe.weight_KxV.square().sum())


def test_a_probe_depends_neither_on_the_basis_nor_on_the_scale_of_a_latent() -> None:
    batch = sequences(40, 24, 6, 3)
    matrix = torch.randn(12, 12, generator=torch.Generator().manual_seed(2))
    gains = []
    for change in (torch.eye(12), 100 * matrix):
        network = hand_made(6, lambda x, _, change=change: mixed_from_two_ahead(x, _) @ change + 5.0)
        ours = seen(network, batch, CPU)
        gains.append(found(probed(ours, ours, 6), "gain", 2)["value"])
    assert gains[0] == pytest.approx(gains[1], abs=0.01)


OBJECTIVES = [
    {"kind": "multi_token", "n": 2},
    {"kind": "multi_token", "n": 3, "topology": "anticausal", "match": "none"},
    {"kind": "multi_token", "n": 2, "head": "linear"},
    {"kind": "multi_token", "n": 2, "head": "none", "unembedding": "replicated"},
    {"kind": "sequential_modules"},
    {"kind": "token_order"},
    {"kind": "registers"},
]


@pytest.mark.parametrize("objective", OBJECTIVES, ids=lambda objective: "-".join(map(str, objective.values())))
@torch.no_grad()
def test_what_is_probed_is_what_the_next_token_is_read_from(tiny: Spec, objective: dict[str, Any]) -> None:
    parts = assemble(tiny(objective=objective))
    batch = TensorBatch.from_batch(parts.task.batch("test", np.arange(3)), CPU, np.arange(3))
    streams = dict(residual_streams(parts.network, batch.inputs_BxP))
    last = f"layer {len(parts.network.trunk.layers)}"
    torch.testing.assert_close(streams[last], parts.network.trunk(batch.inputs_BxP))
    path = parts.network.next_token_path()
    hidden = path.norm(streams["head 1" if path.layers else last])
    torch.testing.assert_close(parts.network.unembed(hidden, 1), logits_of(parts.network, batch.inputs_BxP))


TASKS = [
    {"kind": "choice"},
    {"kind": "polynomial", "test_operations": [1, 2, 3]},
    {"kind": "text", "length_tokens": 64},
]


@pytest.mark.parametrize("task", TASKS, ids=lambda task: task["kind"])
def test_no_sample_is_fitted_and_scored(tiny: Spec, task: dict[str, Any]) -> None:
    fitting, scoring = drawn(assemble(tiny(task=task)).task)
    rows = [row.tobytes() for batch in (fitting, scoring) for row in batch.tokens]
    assert len(fitting) > 50
    assert len(scoring) > 50
    assert len(rows) == len(set(rows))


def test_a_stored_run_is_analysed(lab: Lab, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(lookahead, "SAMPLES", 60)
    monkeypatch.setattr(lookahead, "POSITIONS", 250)
    (tmp_path / "spec.toml").write_text(SPEC)
    run = json.loads(lab("train", tmp_path / "spec.toml", "--home", tmp_path, "--json").stdout)["run"]
    answer = json.loads(lab("analyse", run, "lookahead", "--home", tmp_path, "--json").stdout)
    assert set(answer["measures"]) == {"lookahead_2", "lookahead_3", "lookahead_4", "selectivity_2"}
    places = ["current token", "embedding", "layer 1", "layer 2", "head 1"]
    assert list(dict.fromkeys(row["place"] for row in answer["rows"])) == places
    assert found(answer["rows"], "gain", 2, "layer 2")["value"] == answer["measures"]["lookahead_2"]
    assert all(row["low"] <= row["value"] <= row["high"] for row in answer["rows"])
    again = lab("analyse", run, "lookahead", "--home", tmp_path).stdout
    assert again.splitlines() == answer["lines"]
    assert all(place in again for place in places[1:])


def test_a_vocabulary_too_large_is_refused(tiny: Spec) -> None:
    task = {"kind": "choice", "spacing_tokens": 256, "length_tokens": 512}
    run = cast(StoredRun, SimpleNamespace(folder=SimpleNamespace(identity="x"), parts=assemble(tiny(task=task))))
    with pytest.raises(UserError, match="at most 260, where task choice of this run has 510"):
        LookaheadAnalysis().analyse(run)
