"""Figure of `lookahead`: how well a probe reads later tokens from each layer, by distance."""

from generators.foundation.settings import Tree
from reports.drawing.palette import DASHES, MARKERS, MUTED, PAPER, SERIES
from reports.drawing.sheet import open_sheet
from reports.exhibits.exhibit import AnalysisExhibit

TITLE = "How well a linear probe reads later tokens"


class LookaheadFigure(AnalysisExhibit):
    """Draws the gain in nats over the places of the network, one line for each distance."""

    section = "lookahead"

    def figures(self) -> list[str]:
        rows = [row for row in self.source if row["quantity"] == "gain"]
        places = list(dict.fromkeys(row["place"] for row in rows))
        lags = sorted({row["lag"] for row in rows})
        with open_sheet("lookahead", 360) as sheet:
            for index, lag in enumerate(lags):
                style: Tree = {"color": SERIES[index % len(SERIES)], "marker": MARKERS[index % len(MARKERS)]}
                offset, line = 0.06 * (index - (len(lags) - 1) / 2), [row for row in rows if row["lag"] == lag]
                for row in line:
                    x = places.index(row["place"]) + offset
                    bar: Tree = {"color": style["color"], "lw": 1.8, "solid_capstyle": "butt"}
                    sheet.axes.plot([x, x], [row["low"], row["high"]], **bar)
                style |= {"ls": DASHES[index % len(DASHES)], "lw": 1.8, "ms": 7, "mec": PAPER, "mew": 0.8}
                xs = [places.index(row["place"]) + offset for row in line]
                (curve,) = sheet.axes.plot(xs, [row["value"] for row in line], **style, zorder=4)
                sheet.add_tooltip(curve, f"{lag} ahead")
                sheet.add_legend(f"{lag} ahead", **style)
            sheet.axes.axhline(0, color=MUTED, lw=1, zorder=1)
            sheet.axes.set_xticks(range(len(places)), places)
            sheet.axes.set_ylabel("gain over the current token, nats")
            sheet.heading = TITLE
            gains = "; ".join(f"{row['place']}, {row['lag']} ahead: {row['value']:z.3f}" for row in rows)
            text = f"Gain in nats over the current token, with 95% intervals over test samples. {gains}."
            return [sheet.svg(TITLE, text)]

    def caption(self) -> str:
        return "Bars are 95% intervals over test samples. A probe of the current token alone has a gain of zero."
