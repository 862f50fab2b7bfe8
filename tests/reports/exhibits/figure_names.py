"""Reads the names in a figure: what its legend, its ticks and its heading call each mark."""

import re
from dataclasses import dataclass
from xml.etree import ElementTree

from tests.reports.figure_reader import LINK, SPACE, FigureReader, Mark, path_points

Point = tuple[float, float]
BASELINE = 4.2
"""Pixels from the middle of a text to the line it stands on."""
BAR_WIDTHS = r"stroke-width: (1\.8|2\.2|2\.4)\b"


@dataclass(frozen=True)
class Look:
    """The appearance of a mark, a line or an entry of a legend; an empty text where it has no marker or no line."""

    colour: str
    marker: str
    dash: str

    def fits(self, other: "Look") -> bool:
        """Returns whether the colours agree, and the markers and dashes as far as both have them."""
        pairs = ((self.marker, other.marker), (self.dash, other.dash))
        return self.colour == other.colour and all(not (own and theirs) or own == theirs for own, theirs in pairs)


@dataclass(frozen=True)
class Text:
    """A visible text and its position in pixels."""

    text: str
    x: float
    y: float


class NamedFigure(FigureReader):
    """A figure whose marks can be compared with the names beside them."""

    def ticks(self, axis: str) -> list[tuple[float, str]]:
        """Returns pixel position and text of each tick of an axis; ticks of rows have neither mark nor grid."""
        ticks = super().ticks(axis)
        if ticks or axis == "x":
            return ticks
        groups = [group for group in self.root.iter(f"{SPACE}g") if re.search(r"-ytick_\d+$", group.get("id") or "")]
        texts = [element for group in groups for element in group.iter(f"{SPACE}text")]
        return [(float(text.get("y") or 0) - BASELINE, "".join(text.itertext())) for text in texts]

    def look(self, group: ElementTree.Element) -> Look:
        """Returns the look of the marks and lines in a group."""
        colours, marker, dash = [], "", ""
        for use in group.iter(f"{SPACE}use"):
            colours.append(_colour(use.get("style") or ""))
            marker = _normalised(self.shapes[(use.get(LINK) or "#").removeprefix("#")])
        for line in group.iter(f"{SPACE}path"):
            if not line.get("id"):
                colours.append(_colour(line.get("style") or ""))
                pattern = re.search(r"stroke-dasharray: ([^;]*)", line.get("style") or "")
                dash = _ratios(pattern[1]) if pattern else "solid"
        return Look(colours[0], marker, dash)

    @property
    def looks(self) -> dict[str, Look]:
        """Tooltip -> look of its mark."""
        groups = [group for group in self.root.iter(f"{SPACE}g") if re.search(r"-mark-\d+$", group.get("id") or "")]
        return {group.findtext(f"{SPACE}title") or "": self.look(group) for group in groups}

    @property
    def legend(self) -> dict[str, Look]:
        """Label -> look of its entry."""
        entries: dict[str, Look] = {}
        looks: list[Look] = []
        for frame in self.root.iter(f"{SPACE}g"):
            if re.search(r"-legend_\d+$", frame.get("id") or ""):
                for group in frame:
                    label = "".join(element.text or "" for element in group.iter(f"{SPACE}text"))
                    if label:
                        entries[label] = looks.pop()
                    elif re.search(r"-line2d_\d+$", group.get("id") or ""):
                        looks.append(self.look(group))
        return entries

    @property
    def texts(self) -> list[Text]:
        """All visible texts that stand upright."""
        elements = [element for element in self.root.iter(f"{SPACE}text") if element.get("x")]
        return [Text("".join(e.itertext()), float(e.get("x") or 0), float(e.get("y") or 0)) for e in elements]

    def place(self, text: str) -> Text:
        """Returns the only visible text that reads so."""
        (place,) = [place for place in self.texts if place.text == text]
        return place

    def pixels(self, mark: Mark) -> list[Point]:
        """Returns the positions of a mark in pixels."""
        (x_zero, x_unit), (y_zero, y_unit) = self.x_scale, self.y_scale
        return [(x_zero + x * x_unit, y_zero + y * y_unit) for x, y in mark.points]

    def nearest_tick(self, axis: str, pixel: float) -> str:
        """Returns the text of the tick that is nearest to a position."""
        return min(self.ticks(axis), key=lambda tick: abs(tick[0] - pixel))[1]

    def bar(self, mark: Mark, axis: str) -> list[float]:
        """Returns the ends of the bar through a mark along an axis, in data units."""
        along = "xy".index(axis)
        return sorted(self.data(*end)[along] for end in self.bar_in_pixels(mark, axis))

    def bar_in_pixels(self, mark: Mark, axis: str) -> list[Point]:
        """Returns the ends of the only straight line of a bar's width through a mark along an axis."""
        across = 1 - "xy".index(axis)
        place = self.pixels(mark)[0][across]
        paths = [path for path in self.root.iter(f"{SPACE}path") if re.search(BAR_WIDTHS, path.get("style") or "")]
        lines = [line for path in paths if len(line := path_points(path.get("d") or "")) == 2]
        (bar,) = [line for line in lines if all(abs(end[across] - place) < 1e-3 for end in line)]
        return sorted(bar)

    @property
    def description(self) -> str:
        """The text that describes the figure to those who cannot see it."""
        return self.root.findtext(f"{SPACE}desc") or ""

    @property
    def title(self) -> str:
        """The accessible name."""
        return self.root.findtext(f"{SPACE}title") or ""


def _colour(style: str) -> str:
    """Returns the colour that fills a shape, or that draws it where nothing fills it."""
    fill, stroke = (re.search(rf"(?:^|; ){part}: ([^;]*)", style) for part in ("fill", "stroke"))
    return fill[1] if fill and fill[1] != "none" else stroke[1] if stroke else ""


def _normalised(shape: str) -> str:
    """Returns a marker's outline at unit size."""
    numbers = [float(number) for number in re.findall(r"-?\d+\.?\d*", shape)]
    size = max(map(abs, numbers), default=1.0)
    return " ".join(f"{number / size:.2f}" for number in numbers)


def _ratios(pattern: str) -> str:
    """Returns a dash pattern relative to its first stroke."""
    lengths = [float(length) for length in re.findall(r"[\d.]+", pattern)]
    return " ".join(f"{length / lengths[0]:.2f}" for length in lengths)
