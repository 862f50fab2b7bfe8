"""Turns matplotlib's SVG into an element that a page can embed, or into a standalone file."""

import re
from collections.abc import Sequence
from html import escape

from generators.foundation.streams import with_pictures
from reports.drawing.palette import CSS_COLOURS

GAP = 18
"""Space between two panels of a standalone file, in CSS pixels."""


def embeddable(svg: str, name: str, title: str, description: str, tooltips: Sequence[str]) -> str:
    """Returns an `<svg>` element without prologue or page-wide style.

    Every id starts with `name`, so that ids stay unique within a page, and every colour follows the page's theme.

    Args:
        svg: a file as matplotlib writes it.
        name: a name that no other figure of the page has.
        title: the accessible name.
        description: the figure's numbers in words.
        tooltips: text of each mark, in the order of the ids `mark-0`, `mark-1`, ...
    """
    body = svg[svg.index("<svg") :]
    body = body[body.index(">") + 1 :]
    body = re.sub(r"<defs>\s*<style.*?</style>\s*</defs>", "", body, count=1, flags=re.DOTALL)
    body = re.sub(r"<[^>]*>", lambda tag: _rename_ids_and_colours(tag[0], name), body)
    for index, tooltip in enumerate(tooltips):
        opening = f'<g id="{name}-mark-{index}">'
        body = body.replace(opening, f"{opening}<title>{escape(tooltip)}</title>", 1)
    view_box = re.search(r'viewBox="([^"]*)"', svg)
    assert view_box is not None
    return with_pictures(
        f'<svg xmlns="http://www.w3.org/2000/svg" xmlns:xlink="http://www.w3.org/1999/xlink" viewBox="{view_box[1]}" '
        f'role="img" aria-labelledby="{name}-title {name}-description" '
        f'style="font-family: inherit; fill: currentColor; stroke-linejoin: round; stroke-linecap: butt">'
        f'<title id="{name}-title">{escape(title)}</title><desc id="{name}-description">{escape(description)}</desc>'
        + re.sub(r"\s*\n\s*", "\n", body).strip()
        + "\n"
    )


def _rename_ids_and_colours(tag: str, name: str) -> str:
    tag = re.sub(r' id="', f' id="{name}-', tag)
    tag = tag.replace('href="#', f'href="#{name}-').replace("url(#", f"url(#{name}-")
    tag = re.sub(r" font-family: [^;\"]*;", "", tag)
    tag = re.sub(r' transform="rotate\(-0 [^)]*\)"', "", tag)
    return re.sub(r"#0a0a[0-9a-f]{2}", lambda stand_in: CSS_COLOURS[stand_in[0]], tag)


def standalone(panels: Sequence[str]) -> str:
    """Returns a whole SVG file with embeddable panels one below the other, in the page's light colours."""
    sizes = [_size(panel) for panel in panels]
    width = max(width for width, _ in sizes)
    height = sum(height for _, height in sizes) + GAP * (len(panels) - 1)
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" width="{width:zg}" height="{height:zg}" '
        f'viewBox="0 0 {width:zg} {height:zg}" style="font-family: system-ui, sans-serif; color: #1b1f24">\n'
        f'<rect width="{width:zg}" height="{height:zg}" fill="#ffffff"/>\n'
    ]
    top = 0.0
    for panel, (panel_width, panel_height) in zip(panels, sizes, strict=True):
        place = f'<svg y="{top:zg}" width="{panel_width:zg}" height="{panel_height:zg}"'
        parts.append(panel.replace("<svg", place, 1))
        top += panel_height + GAP
    return "".join([*parts, "</svg>\n"])


def _size(panel: str) -> tuple[float, float]:
    """Returns width and height of a panel in CSS pixels."""
    view_box = re.search(r'viewBox="0 0 ([\d.]+) ([\d.]+)"', panel)
    assert view_box is not None
    return float(view_box[1]), float(view_box[2])
