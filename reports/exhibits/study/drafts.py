"""Decoded samples of one run: which head proposed each token, and which proposals were rejected."""

from collections.abc import Sequence
from itertools import groupby

from markupsafe import Markup

from lab.analysis.analysis import Row
from reports.drawing.tables import Table, columns_of, number, word
from reports.drawing.tokens import TokenMark, frame_html
from reports.exhibits.exhibit import StudyExhibit
from reports.frames.numbers import plural
from reports.frames.samples import StoredSamples, by_sample, read_samples
from reports.frames.wording import run_name
from studies.reading.judged import JudgedStudy

HEAD_STYLES = 5
"""Number of heads with their own line style; higher heads share the last."""


class Drafts(StudyExhibit):
    """Shows decoded samples, with the tokens of each forward pass in one frame."""

    section = "samples"

    def __init__(self, source: JudgedStudy, samples: StoredSamples) -> None:
        super().__init__(source)
        self.samples = samples

    @classmethod
    def instances(cls, source: JudgedStudy) -> Sequence["Drafts"]:
        """Returns the drafts of one run; nothing if no run drafted."""
        samples = read_samples(source.results)
        return [cls(source, samples)] if samples and samples.drafts else []

    def title(self) -> str:
        return "Accepted drafts"

    def introduction(self) -> str:
        samples = self.samples
        return (
            f"{run_name(samples.run)} (run {samples.run['run']}) continues prompts with its own heads as drafters. "
            f"Each frame holds the tokens of one forward pass, {samples.tokens_per_forward:z.2f} on average over all "
            "decoded prompts. The samples are an illustration, not evidence."
        )

    def figures(self) -> list[str]:
        return [self._legend(), *(_sample(rows) for rows in by_sample(self.samples.drafts))]

    def caption(self) -> str:
        return "The number behind a token is the head that proposed it, unless it is head 1."

    def table(self) -> Table:
        """Returns every decoded token."""
        form = [*columns_of("number", ("sample", "position")), *columns_of("word", ("token",))]
        form += columns_of("number", ("proposed by head", "forward pass", "rejected head"))
        table = Table("All tokens of the decoded samples", form)
        for row in self.samples.drafts:
            if row["head"]:
                numbers = [number(row[key], "d") for key in ("head", "forward", "refused")]
                text = word(row["text"].strip(" ").replace("\n", "↵") or "blank")
                table.rows.append([number(row["sample"], "d"), number(row["place"], "d"), text, *numbers])
        return table

    def _legend(self) -> Markup:
        heads = sorted({row["head"] for row in self.samples.drafts} - {0})
        parts = [
            Markup('<span class="t h{}">{}</span> ').format(
                min(head, HEAD_STYLES),
                "head 1" if head == 1 else Markup("proposed by head {}<sup>{}</sup>").format(head, head),
            )
            for head in heads
        ]
        if any(row["refused"] for row in self.samples.drafts):
            parts.append(Markup('<span class="t"><i>×</i> after a rejected proposal</span>'))
        return Markup('<p class="legend">{}</p>').format(Markup("").join(parts))


def _sample(rows: list[Row]) -> Markup:
    prompt = "".join(row["text"] for row in rows if not row["head"])
    decoded = [row for row in rows if row["head"]]
    passes = [list(group) for _, group in groupby(decoded, key=lambda row: row["forward"])]
    frames = Markup("").join(frame_html([_token(row) for row in tokens]) for tokens in passes)
    rejected = sum(row["refused"] is not None for row in decoded)
    counts = f"{plural(len(decoded), 'token')} in {plural(len(passes), 'pass')}, "
    counts += f"{len(decoded) / len(passes):z.2f} per pass; {plural(rejected, 'proposal')} rejected."
    html = '<div class="tokens"><span class="prompt">{}</span>{}</div><p class="behind">{}</p>'
    return Markup(html).format(prompt, frames, counts)


def _token(row: Row) -> TokenMark:
    head, rejected = row["head"], row["refused"]
    tooltip = f"proposed by head {head}, accepted" if head > 1 else "from head 1"
    tooltip += f"; head {rejected} had proposed another" if rejected else ""
    text = row["text"] if row["text"].strip(" ") else row["text"].replace(" ", "␣")  # a frame needs visible content
    before, after = "×" if rejected else "", str(head) if head > 1 else ""
    return TokenMark(text, f"h{min(head, HEAD_STYLES)}", tooltip, before, after)
