"""Reads a figure back: the data values of its marks and lines, by the ticks of its own axes."""

import re
from dataclasses import dataclass
from xml.etree import ElementTree

SPACE = "{http://www.w3.org/2000/svg}"
LINK = "{http://www.w3.org/1999/xlink}href"


@dataclass(frozen=True)
class Mark:
    """A mark: its tooltip, its positions in data units, and the path that is stamped at each."""

    tooltip: str
    points: list[tuple[float, float]]
    shape: str


class FigureReader:
    """Reads a figure from its SVG element."""

    def __init__(self, svg: str) -> None:
        self.root = ElementTree.fromstring(svg)
        paths = [path for path in self.root.iter(f"{SPACE}path") if path.get("id")]
        self.shapes = {path.get("id"): path.get("d") or "" for path in paths}
        self.x_scale, self.y_scale = self.scale("x"), self.scale("y")

    def ticks(self, axis: str) -> list[tuple[float, str]]:
        """Returns pixel position and text of each tick of an axis."""
        ticks = []
        for group in self.root.iter(f"{SPACE}g"):
            if re.search(rf"-{axis}tick_\d+$", group.get("id") or ""):
                text = "".join(element.text or "" for element in group.iter(f"{SPACE}text"))
                places = [float(use.get(axis) or 0) for use in group.iter(f"{SPACE}use")]
                grid = [path for path in group.iter(f"{SPACE}path") if not path.get("id")]
                places += [path_points(path.get("d") or "")[0]["xy".index(axis)] for path in grid]
                if places:
                    ticks.append((places[0], text.replace("\N{MINUS SIGN}", "-")))
        return ticks

    def tick(self, axis: str, text: str) -> float:
        """Returns the pixel position of the tick with a text."""
        return next(place for place, name in self.ticks(axis) if name == text)

    def scale(self, axis: str) -> tuple[float, float]:
        """Returns the pixel position of 0 and pixels per unit of an axis; (0, 1) if its ticks are not numbers."""
        ticks = [(place, float(text)) for place, text in self.ticks(axis) if re.fullmatch(r"-?[\d.]+", text)]
        if len(ticks) < 2:
            return 0.0, 1.0
        (first, low), (last, high) = ticks[0], ticks[-1]
        unit = (last - first) / (high - low)
        return first - low * unit, unit

    def data(self, x: float, y: float) -> tuple[float, float]:
        """Converts pixels into data units."""
        return (x - self.x_scale[0]) / self.x_scale[1], (y - self.y_scale[0]) / self.y_scale[1]

    @property
    def marks(self) -> list[Mark]:
        """The elements with a tooltip."""
        marks = []
        for group in self.root.iter(f"{SPACE}g"):
            if re.search(r"-mark-\d+$", group.get("id") or ""):
                uses = list(group.iter(f"{SPACE}use"))
                shape = self.shapes[(uses[0].get(LINK) or "#").removeprefix("#")] if uses else ""
                places = [(float(use.get("x") or 0), float(use.get("y") or 0)) for use in uses]
                places = places or path_points(next(group.iter(f"{SPACE}path")).get("d") or "")
                points = [self.data(*place) for place in places]
                marks.append(Mark(group.findtext(f"{SPACE}title") or "", points, shape))
        return marks

    @property
    def tooltips(self) -> list[str]:
        """The tooltips of all marks."""
        return [mark.tooltip for mark in self.marks]

    def mark(self, start: str) -> Mark:
        """Returns the only mark whose tooltip starts with the given text."""
        (mark,) = [mark for mark in self.marks if mark.tooltip.startswith(start)]
        return mark

    @property
    def segments(self) -> list[tuple[tuple[float, float], tuple[float, float]]]:
        """The straight lines between two points, in data units."""
        paths = [path_points(path.get("d") or "") for path in self.root.iter(f"{SPACE}path") if not path.get("id")]
        return [(self.data(*path[0]), self.data(*path[1])) for path in paths if len(path) == 2]

    @property
    def box_sides(self) -> list[tuple[float, float]]:
        """The left and the right side of every rectangle, in data units."""
        paths = [path_points(path.get("d") or "") for path in self.root.iter(f"{SPACE}path") if not path.get("id")]
        corners = [[self.data(*point)[0] for point in path] for path in paths if len(path) in (4, 5)]
        return [(min(sides), max(sides)) for sides in corners if len(set(sides)) == 2]

    @property
    def text(self) -> str:
        """All visible text."""
        return " ".join("".join(element.itertext()) for element in self.root.iter(f"{SPACE}text"))


def path_points(path: str) -> list[tuple[float, float]]:
    """Returns the corners of an SVG path in pixels."""
    return [(float(x), float(y)) for x, y in re.findall(r"[ML] (\S+) (\S+)", path)]
