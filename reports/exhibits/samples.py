"""Stored samples as the page shows them: who proposed each token, and what each head lost at it. Reads, never decodes.

They are the analysis `samples` of one run, in its folder (`lab.analysis.samples`); a page without one says nothing.
"""

import json
import re
from dataclasses import dataclass
from itertools import groupby, pairwise
from pathlib import Path

import numpy as np

from generators.foundation.errors import UserError
from generators.foundation.settings import Tree
from lab.analysis.measure_store import place_of
from lab.analysis.table import SAMPLES
from reports.exhibits.tables import Column, Table, columns
from reports.frames.formatting import number, plural, run_name, word
from reports.frames.results import Results, rows_of

LEVELS = 6
"""Of shading."""
CHOICES = {"consequential choice": "◆", "inconsequential choice": "◇"}
"""Classes that are choice points, and the mark of each."""


@dataclass(frozen=True)
class Token:
    """written: as it stands in the sample; look: its CSS classes; tip: what is read on it; before, after: marks in
    front of it and behind it."""

    written: str
    look: str
    tip: str
    before: str = ""
    after: str = ""

    @property
    def blank(self) -> str:
        """What stands in front of a word, and is not marked with it; nothing of a token that is blank itself."""
        bare = self.written.lstrip(" ")
        return self.written[: len(self.written) - len(bare)] if bare else ""

    @property
    def text(self) -> str:
        """The word, a line's end shown."""
        return self.written.removeprefix(self.blank).replace("\n", "↵")

    @property
    def end(self) -> str:
        """Where a line ends, it ends."""
        return "\n" if "\n" in self.written else ""


@dataclass(frozen=True)
class Draft:
    """A sample that was decoded. passes: the tokens of each pass over a block."""

    prompt: str
    passes: list[list[Token]]
    told: str


@dataclass(frozen=True)
class Shade:
    """A sample read by one head."""

    title: str
    tokens: list[Token]


@dataclass(frozen=True)
class Samples:
    """What is shown of one run. heads: the numbers of those that proposed a token; shades: the nats that each level of
    shading stands for."""

    run: str
    identity: str
    tokens_per_forward: str
    heads: list[int]
    refused: bool
    drafts: list[Draft]
    losses: list[list[Shade]]
    shades: list[str]
    choices: bool
    by_class: Table
    table: Table


def read_samples(results: Results, home: Path) -> Samples | None:
    """Of the run with the most drafting heads, the last of those; None where no run has samples.

    Raises:
        UserError: a file of samples is none.
    """
    confirmed = rows_of(results.phase("confirm"))
    found = [(run, stored) for run in confirmed if (stored := _read(results, home, run["run"]))]
    if not found:
        return None
    most = max(_heads(stored) for _, stored in found)
    run, stored = [(run, stored) for run, stored in found if _heads(stored) == most][-1]
    return shown(run, stored)


def _read(results: Results, home: Path, run: str) -> Tree | None:
    path = place_of(home, run, results.study.declaration.checkpoint, SAMPLES)
    if not path.exists():
        return None
    try:
        stored: Tree = json.loads(path.read_bytes())
        _heads(stored)
        return stored
    except (ValueError, KeyError, TypeError):
        raise UserError(
            f"{path}: no samples of a run; delete it, and running the study again takes them anew"
        ) from None


def _heads(stored: Tree) -> int:
    return max((row["head"] for row in stored["rows"] if row["part"] == "draft"), default=0)


def shown(run: Tree, stored: Tree) -> Samples:
    """The samples of one run."""
    drafted = [row for row in stored["rows"] if row["part"] == "draft"]
    read = [row for row in stored["rows"] if row["part"] == "loss"]
    lags = [int(name[5:]) for name in (read[0] if read else {}) if re.fullmatch(r"loss_\d+", name)]
    top = max((row[f"loss_{lag}"] or 0.0 for row in read for lag in lags), default=0.0) or 1.0
    steps = [top * level / LEVELS for level in range(LEVELS + 1)]
    return Samples(
        run=run_name(run),
        identity=run["run"],
        tokens_per_forward=f"{stored['measures']['tokens_per_forward']:.2f}",
        heads=sorted({row["head"] for row in drafted} - {0}),
        refused=any(row["refused"] for row in drafted),
        drafts=[_draft(rows) for rows in _by_sample(drafted)],
        losses=[
            [Shade(f"head {lag}", [_shaded(row, lag, top) for row in rows]) for lag in lags]
            for rows in _by_sample(read)
        ],
        shades=[f"{low:.1f} to {high:.1f}" for low, high in pairwise(steps)],
        choices=any(row["class"] in CHOICES for row in read),
        by_class=_by_class(read, lags),
        table=_table(read, lags),
    )


def _by_sample(rows: list[Tree]) -> list[list[Tree]]:
    return [list(some) for _, some in groupby(rows, key=lambda row: row["sample"])]


def _draft(rows: list[Tree]) -> Draft:
    decoded = [row for row in rows if row["head"]]
    passes = [[_proposed(row) for row in some] for _, some in groupby(decoded, key=lambda row: row["forward"])]
    refused = sum(row["refused"] is not None for row in decoded)
    told = f"{plural(len(decoded), 'token')} in {len(passes)} passes"
    told += f", {len(decoded) / len(passes):.2f} a pass; {refused} of the proposals did not stand"
    return Draft("".join(row["text"] for row in rows if not row["head"]), passes, told)


def _proposed(row: Tree) -> Token:
    head, refused = row["head"], row["refused"]
    tip = f"proposed by head {head}, and stood" if head > 1 else "given by head 1"
    tip += f"; head {refused} had proposed another" if refused else ""
    marks = {"before": "×" if refused else "", "after": str(head) if head > 1 else ""}
    shown = row["text"] if row["text"].strip(" ") else row["text"].replace(" ", "␣")  # else a frame around nothing
    return Token(shown, f"h{min(head, 5)}", tip, **marks)


def _shaded(row: Tree, lag: int, top: float) -> Token:
    loss, weight = row[f"loss_{lag}"], row["weight"]
    tip = row["class"] if loss is None else f"{loss:.3f} nats; {row['class']}"
    tip += "" if weight is None else f", counted {weight} times"
    look = "none" if loss is None else f"l{min(LEVELS - 1, int(LEVELS * loss / top))}"
    marks = {"before": CHOICES.get(row["class"], ""), "after": "" if weight is None else str(weight)}
    return Token(row["text"], f"{look} scored" if row["scored"] else look, tip, **marks)


def _weight(rows: list[Tree]) -> list[str]:
    """The column of weights, where choices are labelled."""
    return ["weight"] if any(row["weight"] is not None for row in rows) else []


def _by_class(rows: list[Tree], lags: list[int]) -> Table:
    """What each head lost in these samples, by class of token: the shades in numbers."""
    keys = [*(f"loss_{lag}" for lag in lags), *_weight(rows)]
    titles = ["tokens", *(f"mean {key.replace('loss_', 'loss of head ')}" for key in keys)]
    table = Table(
        "Loss in these samples by class of token, in nats", [Column("class", "word"), *columns("number", *titles)]
    )
    for name in dict.fromkeys(row["class"] for row in rows):
        mine = [row for row in rows if row["class"] == name]
        known = [[row[key] for row in mine if row[key] is not None] for key in keys]
        means = [number(float(np.mean(some)) if some else None) for some in known]
        table.rows.append([word(name), number(len(mine), "d"), *means])
    return table


def _table(rows: list[Tree], lags: list[int]) -> Table:
    """Every token of the losses: the text alternative of the shades."""
    titles = [*(f"loss of head {lag}" for lag in lags), *_weight(rows)]
    form = [*columns("number", "sample", "place"), *columns("word", "token", "class"), *columns("number", *titles)]
    table = Table("Loss at every token shown, in nats", form)
    for row in rows:
        said = [word(row["text"].strip(" ").replace("\n", "↵") or "blank"), word(row["class"])]
        values = [*(number(row[f"loss_{lag}"]) for lag in lags), *(number(row[key], "d") for key in _weight(rows))]
        table.rows.append([number(row["sample"], "d"), number(row["place"], "d"), *said, *values])
    return table
