"""Reports: stored runs as frames, exhibits, pages and dashboards. Reads what runs and studies stored.

The names below are the public ones: what a notebook or another package's exhibit imports.

    import reports, studies

    study = studies.load("star-quick")
    reports.figure(study, "share_solved")  # shown inline
    reports.render_study(study)  # the page of a study, as HTML
"""

from typing import TYPE_CHECKING

from generators.foundation.lazy import lazy_exports

if TYPE_CHECKING:
    from reports.drawing.marks import EstimateRow, draw_estimates, fit_score_axis
    from reports.drawing.palette import DASHES, MARKERS, MUTED, PAPER, SERIES, TEXT
    from reports.drawing.sheet import Sheet, open_sheet
    from reports.drawing.svg import standalone
    from reports.drawing.tables import Column, Table, Value, columns_of, number, word
    from reports.exhibits.exhibit import AnalysisExhibit, ComparisonExhibit, Exhibit, IndexExhibit, StudyExhibit
    from reports.exhibits.inline import StudyFigure, figure
    from reports.exhibits.table import EXHIBITS, exhibits_on
    from reports.frames.export import every_run, write_frame
    from reports.frames.summaries import CellScore, scores
    from reports.pages.study import render_study, write_page
    from studies.reading.results import rows_of
else:
    __getattr__ = lazy_exports(
        __name__,
        {
            "reports.drawing.marks": ("EstimateRow", "draw_estimates", "fit_score_axis"),
            "reports.drawing.palette": ("DASHES", "MARKERS", "MUTED", "PAPER", "SERIES", "TEXT"),
            "reports.drawing.sheet": ("Sheet", "open_sheet"),
            "reports.drawing.svg": ("standalone",),
            "reports.drawing.tables": ("Column", "Table", "Value", "columns_of", "number", "word"),
            "reports.exhibits.exhibit": (
                "AnalysisExhibit",
                "ComparisonExhibit",
                "Exhibit",
                "IndexExhibit",
                "StudyExhibit",
                "StudyFigure",
            ),
            "reports.exhibits.inline": ("StudyFigure", "figure"),
            "reports.exhibits.table": ("EXHIBITS", "exhibits_on"),
            "reports.frames.export": ("every_run", "write_frame"),
            "studies.reading.results": ("rows_of",),
            "reports.frames.summaries": ("CellScore", "scores"),
            "reports.pages.study": ("render_study", "write_page"),
        },
    )

__all__ = [
    "DASHES",
    "EXHIBITS",
    "MARKERS",
    "MUTED",
    "PAPER",
    "SERIES",
    "TEXT",
    "AnalysisExhibit",
    "CellScore",
    "Column",
    "ComparisonExhibit",
    "EstimateRow",
    "Exhibit",
    "IndexExhibit",
    "Sheet",
    "StudyExhibit",
    "StudyFigure",
    "Table",
    "Value",
    "columns_of",
    "draw_estimates",
    "every_run",
    "exhibits_on",
    "figure",
    "fit_score_axis",
    "number",
    "open_sheet",
    "render_study",
    "rows_of",
    "scores",
    "standalone",
    "word",
    "write_frame",
    "write_page",
]
