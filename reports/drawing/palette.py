"""Colours, markers, dashes and text sizes that all figures share.

Figures are drawn in stand-in colours. `reports.drawing.svg` replaces each by a CSS variable with a fallback, so that
the same figure follows a page's light or dark theme and still reads correctly as a separate file.
"""

TEXT = "#0a0a01"
"""The stand-in colour of text."""
MUTED = "#0a0a02"
"""The stand-in colour of secondary text and lines."""
GRID, SHADE = "#0a0a03", "#0a0a04"
PAPER = "#0a0a05"
"""The stand-in colour of the background."""
SERIES = ("#0a0a11", "#0a0a12", "#0a0a13", "#0a0a14", "#0a0a15", "#0a0a16")
"""The stand-in colours of series."""
MARKERS = ("o", "s", "^", "D", "v", "P")
"""The markers of series, as matplotlib names them."""
DASHES = ("-", (0, (5, 1.6)), (0, (1.4, 1.4)), (0, (6, 1.5, 1.4, 1.5)), (0, (3, 1.2)), (0, (8, 2)))
"""The dashes of series, as matplotlib writes them."""
VERDICT_COLOURS = {
    "supported": "#0a0a21",
    "contradicted": "#0a0a22",
    "inconclusive": "#0a0a23",
    "negligible": "#0a0a24",
}
VERDICT_MARKERS = {"supported": "^", "contradicted": "v", "negligible": "s", "inconclusive": "o"}
# Colour-blind readers can distinguish the series, and each has a contrast of at least 3 on white.
CSS_COLOURS = {
    TEXT: "currentColor",
    MUTED: "var(--muted, #5a626d)",
    GRID: "var(--grid, #e3e6ea)",
    SHADE: "var(--shade, #dfe7ee)",
    PAPER: "var(--paper, #ffffff)",
    VERDICT_COLOURS["supported"]: "var(--supported, #00684a)",
    VERDICT_COLOURS["contradicted"]: "var(--contradicted, #a8321c)",
    VERDICT_COLOURS["negligible"]: "var(--negligible, #5b3fa0)",
    VERDICT_COLOURS["inconclusive"]: "var(--inconclusive, #54606e)",
    **{
        stand_in: f"var(--series-{index}, {colour})"
        for index, (stand_in, colour) in enumerate(
            zip(SERIES, ("#0069b4", "#c8500a", "#008060", "#a8408c", "#7a6a00", "#565c66"), strict=True), start=1
        )
    },
}
FONT_SIZE = 12
"""Height of the text in CSS pixels."""
MATPLOTLIB_STYLE = {
    "svg.fonttype": "none",
    "text.parse_math": False,
    "font.size": FONT_SIZE,
    "axes.labelsize": 12,
    "axes.titlesize": 13,
    "axes.titleweight": "bold",
    "axes.titlelocation": "left",
    "axes.linewidth": 1,
    "legend.fontsize": 12,
    "legend.frameon": False,
    "legend.borderaxespad": 0,
    "legend.borderpad": 0,
    "legend.handlelength": 1.8,
    "legend.handletextpad": 0.4,
    "legend.columnspacing": 1.2,
    "xtick.labelsize": 12,
    "ytick.labelsize": 12,
    "xtick.major.size": 3,
    "ytick.major.size": 0,
    "axes.grid": True,
    "axes.grid.axis": "y",
    "axes.axisbelow": True,
    "figure.facecolor": "none",
    "axes.facecolor": "none",
    "grid.color": GRID,
    "axes.edgecolor": MUTED,
    "xtick.color": MUTED,
    "ytick.color": MUTED,
    "xtick.labelcolor": TEXT,
    "ytick.labelcolor": TEXT,
    "text.color": TEXT,
    "axes.labelcolor": TEXT,
    "axes.titlecolor": TEXT,
}
