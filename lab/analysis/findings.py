"""The rows, measures and sentences that an analysis collects."""

from dataclasses import dataclass, field
from typing import Any

Row = dict[str, Any]
"""One measurement: column -> number or text."""
Interval = tuple[float, float, float]
"""An estimate and the two ends of its interval."""


@dataclass
class Findings:
    """Rows, measures and sentences collected so far; `Analysis.result` turns them into a result."""

    rows: list[Row] = field(default_factory=list)
    measures: dict[str, float] = field(default_factory=dict)
    lines: list[str] = field(default_factory=list)

    def add(self, part: str, quantity: str, estimate: Interval | float, **columns: float | str) -> None:
        """Appends a row: an estimate, with its interval if it has one, and further columns."""
        value, *ends = estimate if isinstance(estimate, tuple) else (estimate,)
        interval = dict(zip(("low", "high"), ends, strict=False))
        self.rows.append({"part": part, "quantity": quantity, **columns, "value": value, **interval})


def interval_text(estimate: Interval) -> str:
    """Formats an estimate with its interval."""
    return f"{estimate[0]:z.3f} [{estimate[1]:z.3f}, {estimate[2]:z.3f}]"
