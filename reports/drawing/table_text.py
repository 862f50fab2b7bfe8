"""Tables as text: LaTeX with booktabs and tabularx, or Markdown."""

import re
from collections.abc import Callable

from reports.drawing.tables import Table, Value

LATEX_COLUMNS = {
    "number": "r",
    "word": "l",
    "name": r">{\raggedright\arraybackslash}X",
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
    titles, *rows = _padded(table, latex_text)
    return "\n".join(
        [
            f"% {' '.join(table.caption.split())}",
            r"% \usepackage{booktabs,tabularx}",
            rf"\begin{{tabularx}}{{\linewidth}}{{@{{}}{columns}@{{}}}}",
            r"\toprule",
            rf"{' & '.join(titles)} \\",
            r"\midrule",
            *(rf"{' & '.join(row)} \\" for row in rows),
            r"\bottomrule",
            r"\end{tabularx}",
        ]
    )


def markdown_table(table: Table) -> str:
    """Returns a table in Markdown, with aligned columns, and its caption below."""
    titles, *rows = _padded(table, markdown_text)
    rules = [
        "-" * (len(title) - 1) + (":" if _is_right(column.kind) else "-")
        for title, column in zip(titles, table.columns, strict=True)
    ]
    lines = [f"| {' | '.join(row)} |" for row in (titles, rules, *rows)]
    return "\n".join([*lines, "", markdown_text(table.caption)])


def _is_right(kind: str) -> bool:
    return kind in ("number", "interval")


def _padded(table: Table, escaped: Callable[[str], str]) -> list[list[str]]:
    """Returns the titles and the rows as escaped texts of equal width within each column."""
    titles = [Value(column.title) for column in table.columns]
    texts = [[escaped(value.text) for value in row] for row in (titles, *table.rows)]
    widths = [max(3, *(len(row[index]) for row in texts)) for index in range(len(titles))]
    return [
        [
            text.rjust(width) if _is_right(column.kind) else text.ljust(width)
            for text, width, column in zip(row, widths, table.columns, strict=True)
        ]
        for row in texts
    ]
