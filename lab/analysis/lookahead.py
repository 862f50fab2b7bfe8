"""Look-ahead: what the residual stream at position t reveals about x_{t+lag} to a linear probe, layer by layer.

Probes read the embedding, the output of each layer of the trunk and that of head 1, without a norm, at lags 1 to 4:

    gain          nats by which a probe of the latent and x_t beats one of x_t alone: usable information for linear
                  probes (V-information, Xu et al. 2020, arXiv 2002.10689) beyond a baseline (conditional probing,
                  Hewitt et al. 2021, arXiv 2109.09234). For the embedding it is 0 by construction.
    nats          cross-entropy of the probe of both; accuracy is its accuracy
    plain         accuracy of a probe of the latent alone, at lag 2
    control       accuracy of that probe on random classes, a fixed random function of x_t with the frequencies of the
                  tokens (control task, Hewitt and Liang 2019, arXiv 1909.03368)
    selectivity   plain minus control. If the vocabulary is smaller than the width, every function of x_t is linear in a
                  latent from which x_t can be read: control is then near 1, and selectivity measures the current token
                  more than later ones. The gain does not have that flaw.

Probes are fitted to fresh samples of the validation split (other than those that chose the best checkpoint, if the
split has enough) and scored on test samples, all test splits in equal parts. Positions are drawn at random among those
with a target; targets are the tokens in the loss mask. Intervals are 95% over test samples, by the normal
approximation, given the fitted probe: they cover neither other fitting samples nor other seeds of the run.
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
from lab.analysis.estimators.intervals import mean_over_samples
from lab.analysis.estimators.linear_probes import ProbeData, fit_probe
from lab.analysis.findings import interval_text
from lab.objectives.checks.llama_path import require_layer_by_layer
from lab.objectives.objective import Objective
from lab.run.stored_run import StoredRun

LAGS = (1, 2, 3, 4)
SAMPLES = 512
"""Samples to fit to, and samples to score on; fewer if the task has fewer."""
POSITIONS = 8192
"""Positions of these samples to fit to, and to score on."""
POSITIONS_MINIMUM = 64
SCORED_SAMPLES_MINIMUM = 2
"""An interval needs more than one sample."""
VOCABULARY_MAXIMUM = 260
"""Bytes, and a few more tokens."""
SAMPLES_AT_ONCE = 64
CONTROL_LAG = 2
SEED = 0
CURRENT_TOKEN, HEAD_1 = "current token", "head 1"


class LookaheadAnalysis(Analysis):
    """Fits linear probes of later tokens to the residual stream."""

    name = "lookahead"
    summary = "what the latent of each layer reveals about later tokens"
    measures: ClassVar[Mapping[str, MeasureInfo]] = {
        "lookahead_2": MeasureInfo(
            "more",
            "nats",
            "fall of a linear probe's loss on the token 2 ahead when it reads the latent as well as the token",
        ),
        "lookahead_3": MeasureInfo(
            "more",
            "nats",
            "fall of a linear probe's loss on the token 3 ahead when it reads the latent as well as the token",
        ),
        "lookahead_4": MeasureInfo(
            "more",
            "nats",
            "fall of a linear probe's loss on the token 4 ahead when it reads the latent as well as the token",
        ),
        "selectivity_2": MeasureInfo(
            "more", "share", "accuracy of a probe of the latent two tokens ahead minus that on a control task"
        ),
    }
    column_units: ClassVar[Mapping[str, str]] = {"value": "nats, or a share for accuracy, control and selectivity"}

    def analyse(self, run: StoredRun) -> AnalysisResult:
        """Probes every layer. The measures belong to the last layer of the trunk.

        Raises:
            UserError: the vocabulary is too large, there are too few targets, or the network computes something
                else than its layers in order.
        """
        task = run.parts.task
        classes = len(task.vocabulary)
        if classes > VOCABULARY_MAXIMUM:
            raise UserError(
                f"run {run.folder.identity}: analysis lookahead probes each token and needs a vocabulary of at most "
                f"{VOCABULARY_MAXIMUM}; task {task.config.kind} has {classes}"
            )
        batches = probe_batches(task)
        require_layer_by_layer(run.network, batches[0].trimmed().tokens[:, :-1], "analysis lookahead")
        fitting, scoring = (read_latents(run.network, batch, run.device) for batch in batches)
        rows = probe_places(fitting, scoring, classes)
        last = [place for place in fitting.latents if place != HEAD_1][-1]
        values = {(row["place"], row["lag"], row["quantity"]): row["value"] for row in rows}
        measures = {f"lookahead_{lag}": values[last, lag, "gain"] for lag in LAGS[1:] if (last, lag, "gain") in values}
        if (last, 2, "selectivity") in values:
            measures["selectivity_2"] = values[last, 2, "selectivity"]
        if not measures:
            raise UserError(
                f"run {run.folder.identity}: analysis lookahead needs {POSITIONS_MINIMUM} targets two tokens ahead in "
                f"{SAMPLES} samples, and {SCORED_SAMPLES_MINIMUM} test samples that have any; task {task.config.kind} "
                "has fewer; raise task.validation_samples and task.test_samples"
            )
        return self.result(Findings(rows, measures, sentences(rows, list(fitting.latents), last)))


@dataclass(frozen=True)
class LatentPositions:
    """N positions of some samples.

    Attributes:
        sample_N: the sample of each position.
        latents: place in the network -> latents [N, D], in the order of the forward pass; all places but "head 1" are
            in the trunk.
        token_N: the current token.
        ahead_NxL: the tokens at `LAGS`, or -1 where the token is outside the loss mask.
    """

    sample_N: Tensor
    latents: dict[str, Tensor]
    token_N: Tensor
    ahead_NxL: Tensor


def probe_batches(task: Task) -> tuple[Batch, Batch]:
    """Returns samples to fit to and other samples to score on, without duplicates."""
    indices = np.arange(SAMPLES)
    tests = [split for split in task.splits if split.partition("/")[0] == "test"]
    scoring = [task.batch(split, indices[: -(-SAMPLES // len(tests))]) for split in tests]
    fitting = task.batch("validation", indices + (task.splits["validation"] or 0))
    return distinct_samples([fitting]), distinct_samples(scoring)


def distinct_samples(batches: list[Batch]) -> Batch:
    """Returns the samples of some batches without duplicates."""
    tokens = np.concatenate([batch.tokens for batch in batches])
    loss, scored = (np.concatenate([getattr(batch, name) for batch in batches]) for name in ("loss", "scored"))
    firsts = np.sort(np.unique(tokens, axis=0, return_index=True)[1])
    return Batch(tokens=tokens, loss=loss, scored=scored).take(firsts)


def read_latents(network: Objective, batch: Batch, device: torch.device) -> LatentPositions:
    """Reads the latents of positions drawn at random among those with a target."""
    batch = batch.trimmed()
    ahead = tokens_ahead(batch)
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
    return LatentPositions(sample_N, latents, token_N, ahead_NxL)


def tokens_ahead(batch: Batch) -> Integers:
    """Returns the tokens at `LAGS` from each of the first T - 1 positions [B, T - 1, L]; -1 if they carry no loss."""
    size, length = batch.tokens.shape
    ahead = np.full((size, length - 1, len(LAGS)), -1)
    for column, lag in enumerate(LAGS):
        ahead[:, : max(0, length - lag), column] = np.where(batch.loss, batch.tokens, -1)[:, lag:]
    return ahead


@torch.no_grad()
def residual_streams(network: Objective, tokens_BxP: Tensor) -> list[tuple[str, Tensor]]:
    """Returns the residual stream [B, P, D] after the embedding, each layer of the trunk, and head 1 if it has
    layers."""
    trunk = network.trunk
    x_BxPxD = trunk.embed(tokens_BxP)
    streams = [("embedding", x_BxPxD)]
    for number, layer in enumerate(trunk.layers, start=1):
        x_BxPxD = trunk.apply_layer(layer, x_BxPxD)
        streams.append((f"layer {number}", x_BxPxD))
    layers = network.next_token_path().layers
    for layer in layers:
        x_BxPxD = trunk.apply_layer(layer, x_BxPxD) if trunk.has_kind_of(layer) else layer(x_BxPxD)
    return [*streams, (HEAD_1, x_BxPxD)] if layers else streams


def probe_data(
    positions: LatentPositions, lag: int, place: str | None, token: bool, control_V: Tensor | None = None
) -> ProbeData:
    """Returns the data of one probe.

    Args:
        lag: the target is the token this far ahead; positions where it is outside the loss mask are left out.
        place: the place in the network that is read; None for no latent.
        token: whether the probe also reads the current token.
        control_V: a class for each token, predicted instead of the target.
    """
    later_N = positions.ahead_NxL[:, LAGS.index(lag)]
    no_latent_Nx1 = torch.zeros(len(later_N), 1, device=later_N.device)
    return ProbeData(
        positions.sample_N,
        no_latent_Nx1 if place is None else positions.latents[place],
        positions.token_N if token else torch.zeros_like(positions.token_N),
        later_N if control_V is None else control_V[positions.token_N],
    ).where(later_N >= 0)


def probe_places(fitting: LatentPositions, scoring: LatentPositions, classes: int) -> list[Row]:
    """Fits a probe for every place and lag to some samples, and scores it on others.

    Returns:
        A row for each place in the network, lag and quantity, such as the gain.
    """
    rows: list[Row] = []
    control_V = control_classes(fitting, classes)

    def scores(lag: int, place: str | None, token: bool, control_V: Tensor | None = None) -> tuple[Tensor, Tensor]:
        probe = fit_probe(probe_data(fitting, lag, place, token, control_V), classes if token else 1, classes)
        return probe.scores(probe_data(scoring, lag, place, token, control_V))

    for lag in LAGS:
        sample_N = probe_data(scoring, lag, None, token=False).sample_N
        samples, sample = np.unique(sample_N.cpu().numpy(), return_inverse=True)
        targets = min(len(sample), len(probe_data(fitting, lag, None, token=False).sample_N))
        if targets < POSITIONS_MINIMUM or len(samples) < SCORED_SAMPLES_MINIMUM:
            continue
        token_nats_N, token_hits_N = scores(lag, None, token=True)
        values = {CURRENT_TOKEN: {"nats": token_nats_N, "accuracy": token_hits_N}}
        for place in fitting.latents:
            nats_N, hits_N = scores(lag, place, token=True)
            values[place] = {"gain": token_nats_N - nats_N, "nats": nats_N, "accuracy": hits_N}
            if lag == CONTROL_LAG:
                _, plain_N = scores(lag, place, token=False)
                _, control_N = scores(lag, place, token=False, control_V=control_V)
                values[place] |= {"plain": plain_N, "control": control_N, "selectivity": plain_N - control_N}
        for place, quantities in values.items():
            for quantity, values_N in quantities.items():
                scores_N = values_N.double().cpu().numpy()
                value, low, high = mean_over_samples(scores_N, np.ones(len(sample), bool), sample)
                rows.append(
                    {"place": place, "lag": lag, "quantity": quantity, "value": value, "low": low, "high": high}
                )
    return rows


def control_classes(positions: LatentPositions, classes: int) -> Tensor:
    """Draws a class for each token [V] from the frequencies of the tokens."""
    share = np.bincount(positions.token_N.cpu().numpy(), minlength=classes) / len(positions.token_N)
    drawn = np.random.default_rng(SEED).choice(classes, classes, p=share)
    return torch.from_numpy(drawn).to(positions.token_N.device)


def sentences(rows: list[Row], places: list[str], last: str) -> list[str]:
    """Returns a table of the gains and a sentence on the last layer's accuracy."""
    estimates = {(row["place"], row["lag"], row["quantity"]): (row["value"], row["low"], row["high"]) for row in rows}
    lags = sorted({row["lag"] for row in rows})
    lines = [
        "Nats by which a linear probe of the latent and the current token beats one of the token alone, 95% intervals",
        "over test samples:",
        f"{'':10}" + "".join(f"{f'lag {lag}':>27}" for lag in lags),
    ]
    for place in places:
        lines.append(f"{place:10}" + "".join(f"{interval_text(estimates[place, lag, 'gain']):>27}" for lag in lags))
    if CONTROL_LAG in lags:
        token = estimates[CURRENT_TOKEN, CONTROL_LAG, "accuracy"][0]
        both, plain, control = (estimates[last, CONTROL_LAG, name][0] for name in ("accuracy", "plain", "control"))
        lines.append(
            f"Accuracy at lag {CONTROL_LAG}: {token:z.1%} from the current token alone, {both:z.1%} from it and "
            f"{last}, {plain:z.1%} from {last} alone; a random function of the current token is read from it at "
            f"{control:z.1%}."
        )
    return lines
