"""Small HTML tables that stand for an object in a notebook. Every text is escaped, because users write titles."""

from collections.abc import Iterable, Mapping, Sequence
from html import escape


def html_rows(title: str, rows: Mapping[str, object]) -> str:
    """Returns a table with a name and a value in each row, under a title."""
    return html_table(title, (), rows.items())


def html_table(title: str, columns: Sequence[str], rows: Iterable[Sequence[object]], note: str = "") -> str:
    """Returns a table under a title.

    Args:
        columns: the head of each column; () for a table whose first column has the names of its rows.
        rows: the values of each row.
        note: a line below the title.
    """
    lines = [[_cell("th", column) for column in columns]] if columns else []
    for name, *values in rows:
        lines.append([_cell("td" if columns else "th", name), *(_cell("td", value) for value in values)])
    body = "".join(f"<tr>{''.join(cells)}</tr>" for cells in lines)
    below = f"<div>{escape(note)}</div>" if note else ""
    return f"<div><strong>{escape(title)}</strong>{below}<table>{body}</table></div>"


def _cell(tag: str, value: object) -> str:
    return f'<{tag} style="text-align: left">{escape(str(value))}</{tag}>'
