"""Verdict, effect and interval of each claim in two studies."""

from reports.drawing.tables import MISSING_VALUE, Column, Table, Value, word
from reports.exhibits.cells import verdict_value
from reports.exhibits.claim_effects import effect_values
from reports.exhibits.exhibit import ComparisonExhibit
from reports.frames.text import in_words


class ComparedClaims(ComparisonExhibit):
    """A table with one row for each claim that either study makes."""

    section = "claims"
    folds_long_tables = False

    def table(self) -> Table:
        """Returns the claims of both studies, matched by name."""
        form = [Column("claim", "text")]
        for label in self.source.labels:
            form += [Column(f"{label}: verdict", "word"), Column("measured"), Column("interval"), Column("seeds")]
        table = Table("Claims of both studies", form)
        for name, judgements in self.source.claims.items():
            texts = list(dict.fromkeys(judgement.claim.text for judgement in judgements if judgement))
            row = [word(f"{in_words(name)}: {' / '.join(texts)}")]
            for judgement in judgements:
                if judgement is None:
                    row += [Value("not claimed"), *[MISSING_VALUE] * 3]
                else:
                    seeds = len(judgement.by_seed)
                    row += [verdict_value(judgement), *effect_values(judgement.contrast), Value(str(seeds), seeds)]
            table.rows.append(row)
        return table
