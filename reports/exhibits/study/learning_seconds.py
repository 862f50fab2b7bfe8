"""Validation score against seconds of training, and the arms of each claim after equal seconds."""

from reports.drawing.tables import Column, Table, columns_of, number, word
from reports.exhibits.curve_exhibit import CurveExhibit
from reports.frames.summaries import at_equal_seconds


class LearningSeconds(CurveExhibit):
    """Learning curves by training time, without evaluation."""

    against = "seconds"
    unit = "seconds of training"
    folds_long_tables = False

    def title(self) -> str:
        return "Per second"

    def caption(self) -> str:
        return (
            "The figure shows the same runs against seconds of training, without evaluation. The mean score at a step "
            "is drawn at the mean time of that step. Seconds depend on the machine and on what else it did."
        )

    def table(self) -> Table:
        """Returns the training seconds at every evaluation."""
        return self.curve_table("Seconds of training at every evaluation", "seconds", "seconds", ".2f")

    def summary(self) -> Table:
        """Returns the arms of each claim after equal seconds of training, rather than after equal steps."""
        form = [Column("claim", "name"), *columns_of("number", ("seconds", "treatment", "control", "difference"))]
        table = Table("Validation score after equal seconds of training, mean over seeds", form)
        for judgement in self.judgements:
            scores = at_equal_seconds(self.results, judgement)
            if scores:
                gain = number(scores.treatment - scores.control, "+.3f")
                values = [number(scores.seconds, ".1f"), number(scores.treatment), number(scores.control), gain]
                table.rows.append([word(self.labels.claim(judgement.claim.name)), *values])
        return table
