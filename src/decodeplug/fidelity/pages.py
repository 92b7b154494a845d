"""A report for people: a table in Markdown, and a picture."""

from __future__ import annotations

import math
from collections.abc import Sequence
from xml.sax.saxutils import escape

from decodeplug.fidelity.measuring import Fidelity, Row

__all__ = ["COLUMNS", "cells", "markdown", "summary", "svg"]

COLUMNS = (
    "cache",
    "bytes an id",
    "of float16",
    "of own dtype",
    "peak MB",
    "KL, nats",
    "same top 1",
    "perplexity",
    "x exact",
    "step ms",
    "x dense",
)
_WIDTH, _HEIGHT, _LEFT, _TOP, _RIGHT, _BOTTOM = 720, 400, 70, 50, 190, 50
_LEAST = 1e-6  # nats; what is nearer is drawn here


def cells(row: Row) -> list[str]:
    """One line of the table."""
    return [
        row.cache if row.is_exact else f"{row.cache} (approximate)",
        f"{row.bytes_per_id:,.0f}",
        _share(row.of_float16),
        _share(row.of_own),
        f"{row.peak_bytes / 1e6:.1f}",
        f"{row.kl:.1e}" if row.kl < 1e-4 else f"{row.kl:.4f}",
        f"{row.top1:.2%}",
        f"{row.perplexity:.3f}",
        f"{row.perplexity_ratio:.4f}",
        f"{row.step_ms:.1f}",
        f"{row.step_ratio:.2f}",
    ]


def summary(report: Fidelity) -> tuple[list[str], list[list[str]]]:
    """The columns and lines that fit into a terminal."""
    names = {
        "cache": "cache",
        "bytes an id": "bytes/id",
        "of float16": "/ fp16",
        "KL, nats": "KL",
        "x exact": "ppl, x",
        "x dense": "step, x",
    }
    places = [COLUMNS.index(name) for name in names]
    lines = [[cells(row)[place].replace(" (approximate)", " ~") for place in places] for row in report.rows]
    return list(names.values()), lines


def markdown(report: Fidelity) -> str:
    """The report as a page."""
    lines = [
        "# What caches keep of a model",
        "",
        f"{report.model} in {report.dtype}; {report.documents} documents of at most {report.longest:,} ids, {report.ids:,} ids "
        f"judged (those behind the {report.behind:,}th of each). KL: divergence of the next id's distribution from that of the "
        "exact cache. Bytes: held at the end of a document. Steps: of one id behind the longest document, taken in turns.",
        "",
        f"| {' | '.join(COLUMNS)} |",
        f"|{'---|' * len(COLUMNS)}",
        *(f"| {' | '.join(cells(row))} |" for row in report.rows),
        "",
    ]
    return "\n".join(lines)


def svg(report: Fidelity) -> str:
    """KL divergence over bytes of an id, both logarithmic: what is further down and further left is better."""
    rows = [row for row in report.rows if row.bytes_per_id > 0]
    across = _Axis([row.bytes_per_id for row in rows], _LEFT, _WIDTH - _RIGHT)
    up = _Axis([max(row.kl, _LEAST) for row in rows], _HEIGHT - _BOTTOM, _TOP)
    shapes = [_text(_LEFT, 24, f"{report.model}: what is lost, and what it takes", size=14)]
    for mark in across.marks:
        place = across(mark)
        shapes.append(_line(place, _TOP, place, _HEIGHT - _BOTTOM))
        shapes.append(_text(place, _HEIGHT - _BOTTOM + 16, f"{mark:,.0f}", anchor="middle"))
    for mark in up.marks:
        place = up(mark)
        shapes.append(_line(_LEFT, place, _WIDTH - _RIGHT, place))
        shapes.append(_text(_LEFT - 6, place + 4, f"{mark:g}", anchor="end"))
    shapes.append(_text((_LEFT + _WIDTH - _RIGHT) / 2, _HEIGHT - 12, "bytes an id", anchor="middle"))
    shapes.append(_text(8, _TOP - 10, f"KL, nats (at most {_LEAST:g}: exact)"))
    taken: list[float] = []
    for row in sorted(rows, key=lambda row: row.kl):
        x, y = across(row.bytes_per_id), up(max(row.kl, _LEAST))
        colour = "#228833" if row.is_exact else "#4477aa"
        shapes.append(f'<circle cx="{x:.1f}" cy="{y:.1f}" r="4" fill="{colour}"/>')
        label = y + 4
        while any(abs(label - other) < 12 for other in taken):  # names stand below each other, not in each other
            label -= 12
        taken.append(label)
        shapes.append(_text(x + 8, label, row.cache))
    size = f'width="{_WIDTH}" height="{_HEIGHT}" viewBox="0 0 {_WIDTH} {_HEIGHT}"'
    background = f'<rect width="{_WIDTH}" height="{_HEIGHT}" fill="white"/>'
    return "\n".join([f'<svg xmlns="http://www.w3.org/2000/svg" {size}>', background, *shapes, "</svg>", ""])


class _Axis:
    """A logarithmic one."""

    def __init__(self, values: Sequence[float], begin: float, end: float) -> None:
        low, high = (min(values), max(values)) if values else (1.0, 1.0)
        self.low, self.high = math.log10(low) - 0.1, math.log10(high) + 0.1
        self.begin, self.end = begin, end

    def __call__(self, value: float) -> float:
        share = (math.log10(value) - self.low) / (self.high - self.low)
        return self.begin + share * (self.end - self.begin)

    @property
    def marks(self) -> list[float]:
        """Round numbers, at least one."""
        powers = range(math.floor(self.low), math.ceil(self.high) + 1)
        marks = [factor * 10.0**power for power in powers for factor in (1, 2, 5)]
        inside = [mark for mark in marks if self.low <= math.log10(mark) <= self.high]
        tens = [mark for mark in inside if f"{mark:e}".startswith("1.0")]
        return tens if len(tens) >= 3 else inside or [10.0**self.low]


def _share(value: float | None) -> str:
    return "-" if value is None else f"{value:.3f}"


def _line(x1: float, y1: float, x2: float, y2: float) -> str:
    return f'<line x1="{x1:.1f}" y1="{y1:.1f}" x2="{x2:.1f}" y2="{y2:.1f}" stroke="#ddd"/>'


def _text(left: float, base: float, text: str, *, size: int = 11, anchor: str = "start") -> str:
    place = f'x="{left:.1f}" y="{base:.1f}" font-size="{size}" font-family="sans-serif" text-anchor="{anchor}"'
    return f"<text {place}>{escape(text)}</text>"
