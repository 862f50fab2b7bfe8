"""Tables as text: LaTeX with booktabs and tabularx, or Markdown."""

import re
from collections.abc import Callable

from reports.drawing.tables import Table, Value

LATEX_COLUMNS = {
    "number": "r",
    "word": "l",
    "name": r">{\raggedright\arraybackslash\hspace{0pt}}X",  # after a space of any width, a first word is hyphenated
    "interval": r">{\raggedleft\arraybackslash}X",
}
LATEX_SIGNS = {
    **{sign: f"\\{sign}" for sign in "&%$#_{}"},
    **{sign: f"{{{sign}}}" for sign in "[]*"},  # after a line of a table, a bare one would be an argument
    **{"\\": r"\textbackslash{}", "~": r"\textasciitilde{}", "^": r"\textasciicircum{}"},
    **{"<": "$<$", ">": "$>$", "|": r"\textbar{}", '"': "''"},
    **{"−": "$-$", "±": r"$\pm$", "∞": r"$\infty$", "×": r"$\times$", "–": "--", "…": r"\dots{}"},
}
MARKDOWN_SIGNS = r"\|*_`<"


def latex_text(text: str) -> str:
    """Returns a text as LaTeX prints it: no character of it is a command."""
    return "".join(LATEX_SIGNS.get(letter, letter) for letter in " ".join(text.split()))


def markdown_text(text: str) -> str:
    """Returns a text as Markdown prints it in a table."""
    return re.sub(f"([{re.escape(MARKDOWN_SIGNS)}])", r"\\\1", " ".join(text.split()))


def latex_table(table: Table) -> str:
    r"""Returns a table as a `tabularx` as wide as the line, with the rules of booktabs; its caption is a comment."""
    columns = "".join(LATEX_COLUMNS[column.kind] for column in table.columns)
    titles, *rows = _padded(table, _latex_value)
    titles = [r"$p$".rjust(len(title)) if title.strip() == "p" else title for title in titles]
    return "\n".join(
        [
            f"% {' '.join(table.caption.split())}",
            r"% \usepackage{booktabs,tabularx}",
            rf"\begin{{tabularx}}{{\linewidth}}{{@{{}}{columns}@{{}}}}",
            r"\toprule",
            rf"{' & '.join(titles)} \\",
            r"\midrule",
            *(_latex_row(row, len(titles), is_first=row is rows[0]) for row in rows),
            r"\bottomrule",
            r"\end{tabularx}",
        ]
    )


def _latex_value(text: str, kind: str) -> str:
    """Returns a value of a column, in which a line may end only between a number and its interval."""
    first, space, rest = latex_text(text).partition(" ")
    return first + space + (rest.replace(" ", "~") if kind == "interval" and "{[}" in rest else rest)


def _latex_row(row: list[str], columns: int, *, is_first: bool) -> str:
    r"""Returns a line of the table; a row of one value spans it, with space above unless it is the first."""
    if len(row) > 1:
        return rf"{' & '.join(row)} \\"
    space = "" if is_first else "\\addlinespace "
    return rf"{space}\multicolumn{{{columns}}}{{@{{}}l@{{}}}}{{\emph{{{row[0]}}}}} \\"


def markdown_table(table: Table) -> str:
    """Returns a table in Markdown, with aligned columns, and its caption below."""
    titles, *rows = _padded(table, lambda text, kind: markdown_text(text))
    rules = [
        "-" * (len(title) - 1) + (":" if _is_right(column.kind) else "-")
        for title, column in zip(titles, table.columns, strict=True)
    ]
    filled = [row if len(row) > 1 else [f"*{row[0]}*", *[""] * (len(titles) - 1)] for row in rows]
    lines = [f"| {' | '.join(row)} |" for row in (titles, rules, *filled)]
    return "\n".join([*lines, "", markdown_text(table.caption)])


def _is_right(kind: str) -> bool:
    return kind in ("number", "interval")


def _padded(table: Table, escaped: Callable[[str, str], str]) -> list[list[str]]:
    """Returns the titles and the rows as escaped texts, of equal width within each column; a row of one value is not
    padded.

    Args:
        table: the table.
        escaped: a function of a text and the kind of its column.
    """
    kinds = [column.kind for column in table.columns]
    rows = [[Value(column.title) for column in table.columns], *table.rows]
    texts = [[escaped(value.text, kind) for value, kind in zip(row, kinds, strict=False)] for row in rows]
    widths = [max(3, *(len(row[index]) for row in texts if len(row) > 1)) for index in range(len(kinds))]
    return [
        [
            text.rjust(width) if _is_right(kind) else text.ljust(width)
            for text, width, kind in zip(row, widths, kinds, strict=True)
        ]
        if len(row) > 1
        else row
        for row in texts
    ]
