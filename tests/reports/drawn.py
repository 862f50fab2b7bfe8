"""Reads a figure back: what its marks and lines stand for, by the figure's own axes."""

import re
from dataclasses import dataclass
from xml.etree import ElementTree

SPACE = "{http://www.w3.org/2000/svg}"
LINK = "{http://www.w3.org/1999/xlink}href"


@dataclass(frozen=True)
class Mark:
    """tip: what is read on it; points: its places in data units; shape: the path that is stamped there."""

    tip: str
    points: list[tuple[float, float]]
    shape: str


class Drawn:
    def __init__(self, svg: str) -> None:
        self.root = ElementTree.fromstring(svg)
        self.shapes = {path.get("id"): path.get("d") or "" for path in self.root.iter(f"{SPACE}path") if path.get("id")}
        self.to_x, self.to_y = self.scale("x"), self.scale("y")

    def ticks(self, axis: str) -> list[tuple[float, str]]:
        """Pixel position and text of each tick of an axis."""
        found = []
        for group in self.root.iter(f"{SPACE}g"):
            if re.search(rf"-{axis}tick_\d+$", group.get("id") or ""):
                text = "".join(element.text or "" for element in group.iter(f"{SPACE}text"))
                places = [float(use.get(axis) or 0) for use in group.iter(f"{SPACE}use")]
                grid = [path for path in group.iter(f"{SPACE}path") if not path.get("id")]
                places += [points(path.get("d") or "")[0]["xy".index(axis)] for path in grid]
                if places:
                    found.append((places[0], text.replace("\N{MINUS SIGN}", "-")))
        return found

    def tick(self, axis: str, text: str) -> float:
        """Pixel position of the tick with a text."""
        return next(place for place, name in self.ticks(axis) if name == text)

    def scale(self, axis: str) -> tuple[float, float]:
        """Pixel position of 0 and pixels a unit along an axis; (0, 1) where its ticks are not numbers."""
        ticks = [(place, float(text)) for place, text in self.ticks(axis) if re.fullmatch(r"-?[\d.]+", text)]
        if len(ticks) < 2:
            return 0.0, 1.0
        (first, low), (last, high) = ticks[0], ticks[-1]
        unit = (last - first) / (high - low)
        return first - low * unit, unit

    def data(self, x: float, y: float) -> tuple[float, float]:
        return (x - self.to_x[0]) / self.to_x[1], (y - self.to_y[0]) / self.to_y[1]

    @property
    def marks(self) -> list[Mark]:
        found = []
        for group in self.root.iter(f"{SPACE}g"):
            if re.search(r"-mark-\d+$", group.get("id") or ""):
                tip = group.findtext(f"{SPACE}title") or ""
                uses = list(group.iter(f"{SPACE}use"))
                shape = self.shapes[(uses[0].get(LINK) or "#").removeprefix("#")] if uses else ""
                places = [(float(use.get("x") or 0), float(use.get("y") or 0)) for use in uses]
                if not places:
                    places = points(next(group.iter(f"{SPACE}path")).get("d") or "")
                found.append(Mark(tip, [self.data(*place) for place in places], shape))
        return found

    @property
    def segments(self) -> list[tuple[tuple[float, float], tuple[float, float]]]:
        """Straight lines between two points, in data units."""
        paths = [points(path.get("d") or "") for path in self.root.iter(f"{SPACE}path") if not path.get("id")]
        return [(self.data(*path[0]), self.data(*path[1])) for path in paths if len(path) == 2]

    @property
    def text(self) -> str:
        return " ".join("".join(element.itertext()) for element in self.root.iter(f"{SPACE}text"))


def points(path: str) -> list[tuple[float, float]]:
    return [(float(x), float(y)) for x, y in re.findall(r"[ML] (\S+) (\S+)", path)]
