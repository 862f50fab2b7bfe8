"""Look-ahead: linear probes find later tokens in latents whose content is known, and nothing else."""

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
from lab.analysis.lookahead import (
    LookaheadAnalysis,
    control_classes,
    probe_batches,
    probe_places,
    read_latents,
    residual_streams,
)
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


def one_layer_network(vocabulary: int, layer: Layer) -> Any:
    """Returns a network of one layer on one-hot embeddings."""
    trunk = SimpleNamespace(
        embed=lambda tokens_BxP: torch.nn.functional.one_hot(tokens_BxP, vocabulary).float(),
        layers=[layer],
        apply_layer=lambda layer, x_BxPxD: layer(x_BxPxD, None),
    )
    return SimpleNamespace(trunk=trunk, next_token_path=lambda: SimpleNamespace(layers=[]))


def random_sequences(samples: int, length: int, vocabulary: int, seed: int) -> Batch:
    """Returns samples of independent, equally likely tokens."""
    tokens = np.random.default_rng(seed).integers(vocabulary, size=(samples, length))
    loss = np.arange(length)[None].repeat(samples, axis=0) > 0
    return Batch(tokens=tokens, loss=loss, scored=loss)


def row_of(rows: list[Row], quantity: str, lag: int, place: str = "layer 1") -> Row:
    (row,) = (row for row in rows if (row["place"], row["lag"], row["quantity"]) == (place, lag, quantity))
    return row


def probe_layer(vocabulary: int, layer: Layer, samples: int = 200, seed: int = 0) -> list[Row]:
    network = one_layer_network(vocabulary, layer)
    fitting, scoring = (
        read_latents(network, random_sequences(samples, 24, vocabulary, first), CPU) for first in (seed, seed + 1000)
    )
    return probe_places(fitting, scoring, vocabulary)


def read_two_ahead(x_BxPxD: Tensor, _: object) -> Tensor:
    """Does what no causal layer can: it reads x_{t+2} (at the end, the first inputs) through a random matrix."""
    matrix_DxD = torch.randn(x_BxPxD.shape[2], 12, generator=torch.Generator().manual_seed(1))
    return x_BxPxD.roll(-2, dims=1) @ matrix_DxD


def test_a_latent_that_holds_a_later_token_is_read_and_the_control_is_not() -> None:
    # The last of 22 positions has a target two ahead that is no input, so its latent cannot hold it.
    rows = probe_layer(8, read_two_ahead, 60)
    assert row_of(rows, "plain", 2)["value"] > 0.99 * 21 / 22
    assert row_of(rows, "accuracy", 2)["value"] > 0.99 * 21 / 22
    fitting = read_latents(one_layer_network(8, read_two_ahead), random_sequences(60, 24, 8, 0), CPU)
    most_frequent = float(torch.bincount(control_classes(fitting, 8)).max()) / 8
    assert row_of(rows, "control", 2)["value"] < most_frequent + 0.05
    assert row_of(rows, "selectivity", 2)["value"] > 0.4
    for lag in (1, 3, 4):  # tokens are independent, so the latent holds none of these; overfitting costs little
        gain = row_of(rows, "gain", lag)
        assert gain["low"] <= 0.0
        assert gain["high"] >= -0.01


@pytest.mark.parametrize("seed", range(4))
def test_noise_gains_nothing(seed: int) -> None:
    generator = torch.Generator().manual_seed(seed)
    rows = probe_layer(6, lambda x_BxPxD, _: torch.randn(*x_BxPxD.shape[:2], 32, generator=generator), 100, seed)
    gains = [row for row in rows if row["quantity"] == "gain" and row["place"] == "layer 1"]
    assert len(gains) == 4
    for gain in gains:
        assert gain["low"] <= 0.0 <= gain["high"] + 1e-3


def test_the_current_token_gains_nothing_over_itself() -> None:
    rows = probe_layer(6, read_two_ahead, 40)
    for lag in (1, 2, 3, 4):
        gain = row_of(rows, "gain", lag, "embedding")
        assert gain["value"] == pytest.approx(0, abs=1e-6)


def test_the_gain_is_what_the_source_has_and_no_more() -> None:
    """Two chains alternate. The last token of the other chain, x_{t-1}, gives H(X) - H(X | one or two steps before) nats
    on x_{t+1} and x_{t+3}, and x_t gives none; on x_{t+2} and x_{t+4} x_t gives everything."""
    task = Markov(MarkovConfig(vocabulary_tokens=8, lag_tokens=2, memory=0.7, length_tokens=32))

    def read_previous_token(x_BxPxD: Tensor, _: object) -> Tensor:
        return torch.cat((x_BxPxD, x_BxPxD.roll(1, dims=1)), dim=2)

    network = one_layer_network(8, read_previous_token)
    fitting, scoring = (
        read_latents(network, task.batch(split, np.arange(150)), CPU) for split in ("validation", "test")
    )
    rows = probe_places(fitting, scoring, 8)
    information = task.unigram_entropy - task.entropies([1, 2, 3, 4]).nats
    for lag in (1, 3):
        gain = row_of(rows, "gain", lag)
        assert gain["low"] <= information[lag - 1]
        assert gain["high"] > 0.9 * information[lag - 1] > 0.05  # the first of 31 positions has no token before it
    for lag in (2, 4):
        gain = row_of(rows, "gain", lag)
        assert gain["low"] <= 0.0
        assert gain["high"] > -0.005
        assert row_of(rows, "nats", lag, "current token")["value"] == pytest.approx(
            task.entropies([lag]).nats[0], abs=0.05
        )


OBJECTIVES = [
    {"kind": "multi_token", "n": 2},
    {"kind": "multi_token", "n": 3, "topology": "anticausal", "match": "none"},
    {"kind": "multi_token", "n": 2, "head": "linear"},
    {"kind": "multi_token", "n": 2, "head": "none", "unembedding": "replicated"},
    {"kind": "sequential_modules"},
    {"kind": "token_order"},
    {"kind": "registers"},
    {"kind": "next_latent"},
    {"kind": "future_summary"},
    {"kind": "joint"},
    {"kind": "teacherless"},
    {"kind": "belief_state"},
]


@pytest.mark.parametrize("objective", OBJECTIVES, ids=lambda objective: "-".join(map(str, objective.values())))
@torch.no_grad()
def test_probes_read_the_stream_from_which_the_next_token_is_predicted(tiny: Spec, objective: dict[str, Any]) -> None:
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
def test_no_sample_is_used_for_both_fitting_and_scoring(tiny: Spec, task: dict[str, Any]) -> None:
    fitting, scoring = probe_batches(assemble(tiny(task=task)).task)
    rows = [row.tobytes() for batch in (fitting, scoring) for row in batch.tokens]
    assert len(fitting) > 50
    assert len(scoring) > 50
    assert len(rows) == len(set(rows))


def test_lab_analyse_probes_every_place_of_a_stored_run(
    lab: Lab, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(lookahead, "SAMPLES", 60)
    monkeypatch.setattr(lookahead, "POSITIONS", 250)
    (tmp_path / "spec.toml").write_text(SPEC)
    run = json.loads(lab("train", tmp_path / "spec.toml", "--home", tmp_path, "--json").stdout)["run"]
    answer = json.loads(lab("analyse", run, "lookahead", "--home", tmp_path, "--json").stdout)
    assert set(answer["measures"]) == {"lookahead_2", "lookahead_3", "lookahead_4", "selectivity_2"}
    places = ["current token", "embedding", "layer 1", "layer 2", "head 1"]
    assert list(dict.fromkeys(row["place"] for row in answer["rows"])) == places
    assert row_of(answer["rows"], "gain", 2, "layer 2")["value"] == answer["measures"]["lookahead_2"]
    assert all(row["low"] <= row["value"] <= row["high"] for row in answer["rows"])
    again = lab("analyse", run, "lookahead", "--home", tmp_path).stdout
    assert again.splitlines() == answer["lines"]
    assert all(place in again for place in places[1:])


def test_a_vocabulary_that_is_too_large_is_refused(tiny: Spec) -> None:
    task = {"kind": "choice", "spacing_tokens": 256, "length_tokens": 512}
    run = cast(StoredRun, SimpleNamespace(folder=SimpleNamespace(identity="x"), parts=assemble(tiny(task=task))))
    with pytest.raises(UserError, match=r"at most 260; task choice has 510$"):
        LookaheadAnalysis().analyse(run)


def test_a_single_test_sample_is_refused_because_it_gives_no_interval(tiny: Spec) -> None:
    parts = assemble(tiny(task={"kind": "text", "length_tokens": 256, "test_samples": 1}))
    run = cast(StoredRun, SimpleNamespace(folder=SimpleNamespace(identity="x"), parts=parts, network=parts.network,
                                          device=parts.device))  # fmt: skip
    with pytest.raises(UserError, match="and 2 test samples that have any; task text has fewer"):
        LookaheadAnalysis().analyse(run)
