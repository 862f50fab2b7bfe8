"""What the latent knows of later tokens: linear probes of x_{t+lag} from the residual stream at t, layer by layer.

Probed are the embedding, the output of each layer of the trunk and that of head 1, as they stand (no norm), at lags 1
to 4. What is asked of each:

    gain          nats by which a probe that sees the latent and x_t beats one that sees x_t alone: usable information
                  for linear probes (V-information, Xu et al. 2020, arXiv 2002.10689) beyond a baseline (conditional
                  probing, Hewitt et al. 2021, arXiv 2109.09234). Of the embedding it is 0 by construction.
    nats          cross-entropy of the probe that sees both; accuracy is its accuracy
    plain         accuracy of a probe that sees the latent alone, at lag 2
    control       accuracy of that probe on random classes, a fixed random function of x_t with the frequencies of the
                  tokens (control task, Hewitt and Liang 2019, arXiv 1909.03368)
    selectivity   plain less control. A vocabulary smaller than the width makes every function of x_t linear wherever
                  x_t can be read: control is then near 1, and selectivity tells of the current token more than of later
                  ones. The gain does not have that flaw.

Probes are fitted on fresh samples of the validation split (beyond those that chose the best checkpoint, where the split
has others) and scored on test samples, all test splits in equal parts; positions are drawn at random among those with a
target. Targets are the tokens that carry loss. Intervals are 95% over test samples, by the normal approximation, given
the fitted probe: what other fitting samples would have changed is not in them, nor other seeds of the run.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar

import numpy as np
import torch
from torch import Tensor

from generators.foundation.errors import UserError
from generators.foundation.randomness import Integers
from generators.task import Batch, Task
from lab.analysis.analysis import Analysis, AnalysisResult, Findings, MeasureInfo, Row
from lab.analysis.estimators.probes import Given, clustered, fit
from lab.model.layers import Block
from lab.objectives.objective import Objective
from lab.run.stored_run import StoredRun

LAGS = (1, 2, 3, 4)
SAMPLES = 512
"""To fit on, and to score on; fewer where the task has fewer."""
POSITIONS = 8192
"""Of these samples, to fit on, and to score on."""
POSITIONS_MINIMUM = 64
VOCABULARY_MAXIMUM = 260
"""Bytes, and a few more."""
SAMPLES_AT_ONCE = 64
CONTROL_LAG = 2
SEED = 0
TOKEN = "current token"


@dataclass(frozen=True)
class Seen:
    """N positions of some samples: what the latents were there, and what came."""

    sample_N: Tensor
    latents: dict[str, Tensor]
    """Place in the network -> [N, D], in the order of the forward pass; the trunk's places are all but "head 1"."""
    token_N: Tensor
    ahead_NxL: Tensor
    """The tokens at `LAGS`, or -1 where none carries loss there."""


class LookaheadAnalysis(Analysis):
    """Fits linear probes of later tokens to the residual stream, layer by layer."""

    name = "lookahead"
    summary = "what the latent of each layer knows of later tokens"
    measures: ClassVar[Mapping[str, MeasureInfo]] = {
        "lookahead_*": MeasureInfo("more", "nats"),
        "selectivity_2": MeasureInfo("more", "share"),
    }
    column_units: ClassVar[Mapping[str, str]] = {"value": "nats, or a share for accuracy, control and selectivity"}

    def analyse(self, run: StoredRun) -> AnalysisResult:
        """Look-ahead of a stored run, layer by layer.

        Raises:
            UserError: too many classes, or too few targets.
        """
        task = run.parts.task
        classes = len(task.vocabulary)
        if classes > VOCABULARY_MAXIMUM:
            raise UserError(
                f"analysis lookahead: a probe of each token takes a vocabulary of at most {VOCABULARY_MAXIMUM}, where "
                f"task {task.config.kind} of this run has {classes}; bytes for tokens would do"
            )
        fitting, scoring = (seen(run.parts.network, batch, run.parts.device) for batch in drawn(task))
        rows = probed(fitting, scoring, classes)
        last = [place for place in fitting.latents if place != "head 1"][-1]
        found = {(row["place"], row["lag"], row["quantity"]): row for row in rows}
        measures = {
            f"lookahead_{lag}": found[last, lag, "gain"]["value"] for lag in LAGS[1:] if (last, lag, "gain") in found
        }
        if (last, 2, "selectivity") in found:
            measures["selectivity_2"] = found[last, 2, "selectivity"]["value"]
        if not measures:
            raise UserError(
                f"run {run.folder.identity}: analysis lookahead needs {POSITIONS_MINIMUM} targets two tokens ahead in "
                f"{SAMPLES} samples, and task {task.config.kind} has fewer; raise task.validation_samples and "
                "task.test_samples"
            )
        return self.result(Findings(rows, measures, sentences(rows, list(fitting.latents), last)))


def drawn(task: Task) -> tuple[Batch, Batch]:
    """Samples to fit on, and others to score on; none twice."""
    indices = np.arange(SAMPLES)
    tests = [split for split in task.splits if split.partition("/")[0] == "test"]
    scoring = [task.batch(split, indices[: -(-SAMPLES // len(tests))]) for split in tests]
    fitting = task.batch("validation", indices + (task.splits["validation"] or 0))
    return distinct([fitting]), distinct(scoring)


def distinct(batches: list[Batch]) -> Batch:
    """The samples of some batches, each once."""
    tokens = np.concatenate([batch.tokens for batch in batches])
    loss, scored = (np.concatenate([getattr(batch, name) for batch in batches]) for name in ("loss", "scored"))
    firsts = np.sort(np.unique(tokens, axis=0, return_index=True)[1])
    return Batch(tokens=tokens, loss=loss, scored=scored).take(firsts)


def seen(network: Objective, batch: Batch, device: torch.device) -> Seen:
    """What a network makes of positions drawn at random among those with a target."""
    batch = batch.trimmed()
    ahead = targets(batch)
    places = np.flatnonzero((ahead >= 0).any(axis=2))
    random = np.random.default_rng(SEED)
    places = np.sort(random.choice(places, min(POSITIONS, len(places)), replace=False))
    sample, position = np.divmod(places, ahead.shape[1])
    parts: list[dict[str, Tensor]] = []
    for start in range(0, len(batch), SAMPLES_AT_ONCE):
        tokens_BxP = torch.from_numpy(batch.tokens[start : start + SAMPLES_AT_ONCE, :-1]).to(device)
        here = (sample >= start) & (sample < start + SAMPLES_AT_ONCE)
        where = torch.from_numpy(sample[here] - start).to(device), torch.from_numpy(position[here]).to(device)
        parts.append({place: x_BxPxD[where].float() for place, x_BxPxD in residual_streams(network, tokens_BxP)})
    latents = {place: torch.cat([part[place] for part in parts]) for place in parts[0]}
    arrays = sample, batch.tokens[sample, position], ahead[sample, position]
    sample_N, token_N, ahead_NxL = (torch.from_numpy(array).to(device) for array in arrays)
    return Seen(sample_N, latents, token_N, ahead_NxL)


def targets(batch: Batch) -> Integers:
    """The token at each of `LAGS` from each of the first T - 1 positions [B, T - 1, L]; -1 where it carries no loss."""
    size, length = batch.tokens.shape
    ahead = np.full((size, length - 1, len(LAGS)), -1)
    for column, lag in enumerate(LAGS):
        ahead[:, : max(0, length - lag), column] = np.where(batch.loss, batch.tokens, -1)[:, lag:]
    return ahead


@torch.no_grad()
def residual_streams(network: Objective, tokens_BxP: Tensor) -> list[tuple[str, Tensor]]:
    """The residual stream [B, P, D] behind the embedding, each layer of the trunk, and head 1 if it has layers."""
    rotary_2xPxK = network.trunk.rotary(tokens_BxP.shape[1])
    x_BxPxD = network.trunk.embed_tokens(tokens_BxP)
    streams = [("embedding", x_BxPxD)]
    for number, layer in enumerate(network.trunk.layers, start=1):
        x_BxPxD = layer(x_BxPxD, rotary_2xPxK)
        streams.append((f"layer {number}", x_BxPxD))
    layers = network.next_token_path().layers
    for layer in layers:
        x_BxPxD = layer(x_BxPxD, rotary_2xPxK) if isinstance(layer, Block) else layer(x_BxPxD)
    return [*streams, ("head 1", x_BxPxD)] if layers else streams


def given(seen: Seen, lag: int, place: str | None, token: bool, control_V: Tensor | None = None) -> Given:
    """What a probe is asked: the token `lag` ahead, or the control's class, from a place of the network, from none, and
    with the current token or without."""
    later_N = seen.ahead_NxL[:, LAGS.index(lag)]
    nothing_Nx1 = torch.zeros(len(later_N), 1, device=later_N.device)
    return Given(
        seen.sample_N,
        nothing_Nx1 if place is None else seen.latents[place],
        seen.token_N if token else torch.zeros_like(seen.token_N),
        later_N if control_V is None else control_V[seen.token_N],
    ).where(later_N >= 0)


def probed(fitting: Seen, scoring: Seen, classes: int) -> list[Row]:
    """All that is asked of every place and lag, of probes fitted on some samples and scored on others."""
    rows: list[Row] = []
    control_V = control_classes(fitting, classes)

    def scores(lag: int, place: str | None, token: bool, control_V: Tensor | None = None) -> tuple[Tensor, Tensor]:
        probe = fit(given(fitting, lag, place, token, control_V), classes if token else 1, classes)
        return probe.scores(given(scoring, lag, place, token, control_V))

    for lag in LAGS:
        asked = given(scoring, lag, None, token=False)
        if min(len(asked.class_N), len(given(fitting, lag, None, token=False).class_N)) < POSITIONS_MINIMUM:
            continue
        token_nats_N, token_hits_N = scores(lag, None, token=True)
        found = {TOKEN: {"nats": token_nats_N, "accuracy": token_hits_N}}
        for place in fitting.latents:
            nats_N, hits_N = scores(lag, place, token=True)
            found[place] = {"gain": token_nats_N - nats_N, "nats": nats_N, "accuracy": hits_N}
            if lag == CONTROL_LAG:
                _, plain_N = scores(lag, place, token=False)
                _, control_N = scores(lag, place, token=False, control_V=control_V)
                found[place] |= {"plain": plain_N, "control": control_N, "selectivity": plain_N - control_N}
        rows += [
            {"place": place, "lag": lag, "quantity": quantity, **vars(clustered(values_N, asked.sample_N))}
            for place, values in found.items()
            for quantity, values_N in values.items()
        ]
    return rows


def control_classes(seen: Seen, classes: int) -> Tensor:
    """A class for each token [V], drawn from the tokens' own frequencies."""
    share = np.bincount(seen.token_N.cpu().numpy(), minlength=classes) / len(seen.token_N)
    drawn = np.random.default_rng(SEED).choice(classes, classes, p=share)
    return torch.from_numpy(drawn).to(seen.token_N.device)


def sentences(rows: list[Row], places: list[str], last: str) -> list[str]:
    """The gain of each place at each lag in a table, and the last layer's selectivity."""
    found = {(row["place"], row["lag"], row["quantity"]): row for row in rows}
    lags = sorted({row["lag"] for row in rows})
    lines = [
        "Nats by which a linear probe of the latent and the current token beats one of the token alone, 95% intervals",
        "over test samples:",
        f"{'':10}" + "".join(f"{f'lag {lag}':>27}" for lag in lags),
    ]
    for place in places:
        gains = [found[place, lag, "gain"] for lag in lags]
        lines.append(f"{place:10}" + "".join(f"{interval(gain):>27}" for gain in gains))
    if CONTROL_LAG in lags:
        token = found[TOKEN, CONTROL_LAG, "accuracy"]["value"]
        both, plain, control = (found[last, CONTROL_LAG, which]["value"] for which in ("accuracy", "plain", "control"))
        lines.append(
            f"Right at lag {CONTROL_LAG}: {token:.1%} from the current token alone, {both:.1%} from it and {last}, "
            f"{plain:.1%} from {last} alone, where a random function of the current token is read at {control:.1%}."
        )
    return lines


def interval(row: Row) -> str:
    """An estimate as it is read."""
    return f"{row['value']:.3f} [{row['low']:.3f}, {row['high']:.3f}]"
