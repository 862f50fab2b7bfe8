"""The page docs/settings.md, which `make docs` writes: all settings and metrics, from the classes that define them."""

from collections.abc import Iterable

from studies.declared.reference.metric_rows import MetricRow, analysis_rows, metric_rows
from studies.declared.reference.topics import SUMMARIES, sections_of

HEAD = """# Settings and metrics

`make docs` generates this page from the classes that define the settings. `lab settings TOPIC` prints the same, and
also the settings of other installed packages. A dotted key stands inside a table; NAME is a name that you choose."""
METRICS_HEAD = """## metrics

The `metric` of a study, a claim or a search is one of these. Scores and losses are read on a split: on another split,
such as `test/m=5`, they are the same metrics of other samples. NAME is the name of a shortcut or of a loss term."""
ANALYSES_HEAD = """## measures of analyses

The `metric` of a claim may also be a measure of an analysis; [analyses](analyses.md) explains how each is estimated.
`*` stands for an ending, such as the number of a head."""


def markdown() -> str:
    """Returns the page, without the parts of other packages."""
    parts = [HEAD]
    for topic, summary in SUMMARIES.items():
        parts.append(f"## {topic}\n\nThis is {summary}.")
        for section in sections_of(topic, installed=False):
            table = markdown_table(
                ("setting", "type", "range", "default", "meaning"),
                [(f"`{row.key}`", row.type, row.range, row.default_text, row.description) for row in section.rows],
            )
            heading = f"### {section.title}\n\n" if section.kind else ""
            parts.append(heading + (table if section.rows else "It has no settings of its own."))
    parts += [METRICS_HEAD, metrics_table(metric_rows()), ANALYSES_HEAD, metrics_table(analysis_rows(installed=False))]
    return "\n\n".join(parts) + "\n"


def metrics_table(rows: Iterable[MetricRow]) -> str:
    """Returns a table of metrics."""
    return markdown_table(
        ("metric", "unit, values and direction", "definition"),
        [(f"`{row.name}`", row.facts, row.definition) for row in rows],
    )


def markdown_table(heads: tuple[str, ...], rows: Iterable[tuple[str, ...]]) -> str:
    """Returns a Markdown table."""
    lines = [heads, ("---",) * len(heads), *rows]
    return "\n".join(f"| {' | '.join(cell.replace('|', chr(92) + '|') for cell in line)} |" for line in lines)


if __name__ == "__main__":
    print(markdown(), end="")
