"""Reads the stored samples of one run of a study, which the analysis `samples` wrote to the run's folder."""

import json
from dataclasses import dataclass
from itertools import groupby

from generators.foundation.errors import UserError
from generators.foundation.settings import Tree
from lab.analysis.analysis import Row
from lab.analysis.measure_store import result_path
from lab.analysis.table import SAMPLES
from studies.reading.results import Results, rows_of


@dataclass(frozen=True)
class StoredSamples:
    """Samples of one run.

    Attributes:
        run: its row of the frame `runs`.
        tokens_per_forward: mean number of tokens per forward pass while decoding.
        drafts: tokens of decoded samples, in order.
        losses: tokens with the loss of some heads at each, in order.
    """

    run: Tree
    tokens_per_forward: float
    drafts: list[Row]
    losses: list[Row]

    @property
    def heads(self) -> int:
        """The highest head that proposed a token; 0 if nothing was decoded."""
        return max((row["head"] for row in self.drafts), default=0)


def read_samples(results: Results) -> StoredSamples | None:
    """Reads the samples of the run with the most drafting heads (of several, the last); None if no run has samples.

    Raises:
        UserError: a stored file has another form.
    """
    stored = [samples for run in rows_of(results.phase("confirm")) if (samples := _samples_of(results, run))]
    most = max((samples.heads for samples in stored), default=0)
    return next((samples for samples in reversed(stored) if samples.heads == most), None)


def by_sample(rows: list[Row]) -> list[list[Row]]:
    """Splits rows into those of each sample."""
    return [list(group) for _, group in groupby(rows, key=lambda row: row["sample"])]


def _samples_of(results: Results, run: Tree) -> StoredSamples | None:
    path = result_path(results.home, run["run"], results.study.declaration.checkpoint, SAMPLES)
    if not path.exists():
        return None
    try:
        stored: Tree = json.loads(path.read_bytes())
        parts = {part: [row for row in stored["rows"] if row["part"] == part] for part in ("draft", "loss")}
        samples = StoredSamples(run, float(stored["measures"]["tokens_per_forward"]), parts["draft"], parts["loss"])
        assert samples.heads >= 0
        return samples
    except (ValueError, KeyError, TypeError):
        raise UserError(
            f"{path}: not samples of a run; delete it, and run the study again, which rewrites it"
        ) from None
