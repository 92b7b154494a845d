"""A chart of grouped bars as SVG text; no library is needed to draw it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from xml.sax.saxutils import escape

COLOURS = ("#4477aa", "#66ccee", "#228833", "#ccbb44", "#ee6677", "#aa3377")
BAR, GAP, LEFT, TOP, HEIGHT, BOTTOM = 14, 18, 48, 56, 220, 40


def grouped_bars(title: str, labels: Sequence[str], series: Mapping[str, Sequence[float]]) -> str:
    """An SVG picture with one group of bars for each label, and one bar in it for each series.

    :param labels: What stands below each group.
    :param series: Name to values in [0, 1], one for each label.
    :returns: The text of an SVG file.
    """
    group = BAR * len(series) + GAP
    width, height = LEFT + group * len(labels) + GAP, TOP + HEIGHT + BOTTOM
    shapes = [_text(LEFT, 20, title, size=14)]
    for index, name in enumerate(series):
        left = LEFT + index * 86
        shapes += [_bar(left, 32, 10, 10, COLOURS[index % len(COLOURS)]), _text(left + 14, 41, name)]
    for share in (0, 0.25, 0.5, 0.75, 1):
        level = TOP + HEIGHT * (1 - share)
        shapes.append(f'<line x1="{LEFT}" y1="{level:.1f}" x2="{width}" y2="{level:.1f}" stroke="#ddd"/>')
        shapes.append(_text(LEFT - 6, level + 4, f"{share:.0%}", anchor="end"))
    for place, label in enumerate(labels):
        left = LEFT + GAP / 2 + place * group
        for index, values in enumerate(series.values()):
            tall = HEIGHT * values[place]
            shapes.append(_bar(left + index * BAR, TOP + HEIGHT - tall, BAR - 2, tall, COLOURS[index % len(COLOURS)]))
        shapes.append(_text(left + BAR * len(series) / 2, TOP + HEIGHT + 18, label, anchor="middle"))
    size = f'width="{width}" height="{height}" viewBox="0 0 {width} {height}"'
    background = f'<rect width="{width}" height="{height}" fill="white"/>'
    return "\n".join([f'<svg xmlns="http://www.w3.org/2000/svg" {size}>', background, *shapes, "</svg>", ""])


def _bar(left: float, top: float, width: float, height: float, colour: str) -> str:
    return f'<rect x="{left:.1f}" y="{top:.1f}" width="{width:.1f}" height="{height:.1f}" fill="{colour}"/>'


def _text(left: float, base: float, text: str, *, size: int = 11, anchor: str = "start") -> str:
    place = f'x="{left:.1f}" y="{base:.1f}" font-size="{size}" font-family="sans-serif" text-anchor="{anchor}"'
    return f"<text {place}>{escape(text)}</text>"
