"""Held-out samples as one run reads them: the loss of some heads at every token."""

import re
from collections.abc import Sequence
from itertools import pairwise

import numpy as np
from markupsafe import Markup

from lab.analysis.analysis import Row
from reports.drawing.tables import Column, Table, columns_of, number, word
from reports.drawing.tokens import SHADES, TokenMark, tokens_html
from reports.exhibits.exhibit import StudyExhibit
from reports.frames.numbers import plural
from reports.frames.samples import StoredSamples, by_sample, read_samples
from reports.frames.wording import run_name
from studies.reading.judged import JudgedStudy

CHOICE_SIGNS = {"consequential choice": "◆", "inconsequential choice": "◇"}
"""Class of a choice point -> its sign."""


class TokenLosses(StudyExhibit):
    """Shows tokens shaded by loss, one line of tokens for each head."""

    section = "samples"

    def __init__(self, source: JudgedStudy, samples: StoredSamples) -> None:
        super().__init__(source)
        self.samples, self.rows = samples, samples.losses
        self.lags = [int(name[5:]) for name in self.rows[0] if re.fullmatch(r"loss_\d+", name)]
        self.top = max((row[f"loss_{lag}"] or 0.0 for row in self.rows for lag in self.lags), default=0.0) or 1.0

    @classmethod
    def instances(cls, source: JudgedStudy) -> Sequence["TokenLosses"]:
        """Returns the losses of one run; nothing if no run has stored any."""
        samples = read_samples(source.results)
        return [cls(source, samples)] if samples and samples.losses else []

    def title(self) -> str:
        return "Loss by token"

    def introduction(self) -> str:
        run = self.samples.run
        text = (
            f"{run_name(run)} (run {run['run']}) reads held-out samples. Darker shades and thicker lines mark tokens "
            "on which a head has a greater loss; heads that look further ahead predict a token from earlier positions."
        )
        if any(row["class"] in CHOICE_SIGNS for row in self.rows):
            text += (
                " ◆ is a consequential choice, ◇ an inconsequential one. The number behind it is the number of "
                "predictions, by all heads and from positions before the choice, of the choice or of a token it "
                "decides."
            )
        return text

    def figures(self) -> list[str]:
        samples = enumerate(by_sample(self.rows), start=1)
        return [self._legend(), *(self._sample(number, rows) for number, rows in samples)]

    def caption(self) -> str:
        return "Each line of a sample shows the losses of one head."

    def summary(self) -> Table:
        """Returns the mean loss of each head by class of token."""
        keys = [*(f"loss_{lag}" for lag in self.lags), *self._weight_key()]
        titles = ["tokens", *(f"mean {key.replace('loss_', 'loss of head ')}" for key in keys)]
        form = [Column("class", "word"), *columns_of("number", titles)]
        table = Table("Loss in these samples by class of token, in nats", form)
        for name in dict.fromkeys(row["class"] for row in self.rows):
            rows = [row for row in self.rows if row["class"] == name]
            known = [[row[key] for row in rows if row[key] is not None] for key in keys]
            means = [number(float(np.mean(values)) if values else None) for values in known]
            table.rows.append([word(name), number(len(rows), "d"), *means])
        return table

    def table(self) -> Table:
        """Returns the losses at every token."""
        titles = [*(f"loss of head {lag}" for lag in self.lags), *self._weight_key()]
        form = [*columns_of("number", ("sample", "position")), *columns_of("word", ("token", "class"))]
        table = Table("Loss at every token shown, in nats", form + columns_of("number", titles))
        for row in self.rows:
            names = [word(row["text"].strip(" ").replace("\n", "↵") or "blank"), word(row["class"])]
            values = [number(row[f"loss_{lag}"]) for lag in self.lags]
            values += [number(row[key], "d") for key in self._weight_key()]
            table.rows.append([number(row["sample"], "d"), number(row["place"], "d"), *names, *values])
        return table

    def _weight_key(self) -> list[str]:
        """Returns the column of weights, which exists if choices have labels."""
        return ["weight"] if any(row["weight"] is not None for row in self.rows) else []

    def _legend(self) -> Markup:
        steps = list(pairwise(self.top * level / SHADES for level in range(SHADES + 1)))
        shades = [f"{low:z.1f} to {high:z.1f}" for low, high in steps]
        shades[-1] += " nats"
        spans = Markup("").join(
            Markup('<span class="t l{}">{}</span> ').format(level, text) for level, text in enumerate(shades)
        )
        html = '<p class="legend">{}<span class="t none">no target</span> <span class="t scored">scored</span></p>'
        return Markup(html).format(spans)

    def _sample(self, count: int, rows: list[Row]) -> Markup:
        html = '<div class="tokens" role="group" aria-label="Sample {}, head {}"><b>head {}</b>{}</div>'
        return Markup("").join(
            Markup(html).format(count, lag, lag, tokens_html([self._token(row, lag) for row in rows]))
            for lag in self.lags
        )

    def _token(self, row: Row, lag: int) -> TokenMark:
        loss, weight = row[f"loss_{lag}"], row["weight"]
        tooltip = row["class"] if loss is None else f"{loss:z.3f} nats; {row['class']}"
        tooltip += "" if weight is None else f", {plural(weight, 'prediction')}"
        look = "none" if loss is None else f"l{min(SHADES - 1, int(SHADES * loss / self.top))}"
        look = f"{look} scored" if row["scored"] else look
        after = "" if weight is None else str(weight)
        return TokenMark(row["text"], look, tooltip, CHOICE_SIGNS.get(row["class"], ""), after)
