"""Every claim of an index: what the paper reports, the measured effect, and the verdict."""

from reports.drawing.tables import Column, Table, Value, number, word
from reports.exhibits.cells import verdict_value
from reports.exhibits.claim_effects import effect_values
from reports.exhibits.exhibit import IndexExhibit
from reports.frames.wording import measure_name
from studies.declared.measures import measure_of

COLUMNS = (
    Column("#"),
    Column("verdict", "word"),
    Column("study", "word"),
    Column("claim", "text"),
    Column("the paper reports", "name"),
    Column("effect"),
    Column("measure", "name"),
    Column("interval"),
    Column("seeds"),
    Column("core-minutes"),
)


class AllClaims(IndexExhibit):
    """A table with one row for each claim."""

    section = "scoreboard"
    folds_long_tables = False

    def table(self) -> Table:
        """Returns the claims in the order of the chapters."""
        table = Table("Every claim, with what the paper reports and the effect measured here", list(COLUMNS))
        for line in self.source:
            judgement, planned = line.judgement, line.study.seeds
            seeds = len(judgement.by_seed)
            effect, interval = effect_values(judgement.contrast)
            table.rows.append(
                [
                    number(line.number, "d"),
                    verdict_value(judgement),
                    Value(line.study.name, link=line.link),
                    word(judgement.claim.text),
                    word(judgement.claim.paper),
                    effect,
                    word(measure_name(measure_of(line.study.declaration, judgement.claim))),
                    interval,
                    Value(str(seeds) if seeds == planned else f"{seeds} of {planned}", seeds),
                    number(line.minutes, ",.0f" if line.minutes >= 10 else ".1f"),
                ]
            )
        return table
