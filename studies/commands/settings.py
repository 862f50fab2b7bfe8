"""Implements `lab settings`."""

from typing import Annotated

import typer

from generators.foundation.options import Json, answer, two_columns

Topic = Annotated[
    str | None,
    typer.Argument(metavar="[TOPIC]", help="training, model, task, study, metrics, ...; by default the list"),
]
Kind = Annotated[
    str | None, typer.Argument(metavar="[NAME]", help="a kind of task, objective or claim, or a metric; by default all")
]


def settings_command(topic: Topic = None, name: Kind = None, as_json: Json = False) -> None:
    """Show every setting with type, range, default and meaning, or every metric with its definition."""
    from generators.setting_rows import setting_lines
    from studies.declared.reference.metric_rows import rows_named
    from studies.declared.reference.topics import METRICS_SUMMARY, METRICS_TOPIC, SUMMARIES, sections_of

    if topic is None:
        topics = {**SUMMARIES, METRICS_TOPIC: METRICS_SUMMARY}
        answer(topics, as_json, "\n".join([*two_columns(topics), "", "next: lab settings training"]))
    elif topic == METRICS_TOPIC:
        rows = rows_named(name)
        lines = two_columns({row.name: f"{row.facts}. {row.definition}" for row in rows})
        answer({row.name: row.tree() for row in rows}, as_json, "\n".join(lines))
    else:
        sections = sections_of(topic, name)
        value = {section.title: {row.key: row.tree() for row in section.rows} for section in sections}
        blocks = []
        for section in sections:
            head = [f'kind = "{section.kind}"'] if section.kind else []
            blocks.append("\n".join([*head, *setting_lines(section.rows)]))
        answer(value, as_json, "\n\n".join(blocks))
