"""Line charts as SVG, by hand: the figures of the docs need no other package."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from html import escape
from itertools import cycle
from math import ceil, floor, log10
from pathlib import Path

__all__ = ["Line", "line_chart"]

Line = Sequence[tuple[float, float]]
COLOURS = ["#d55e00", "#0072b2", "#009e73", "#cc79a7", "#e69f00", "#56b4e9", "#000000", "#999999"]  # told apart by all eyes (Okabe and Ito)
WIDTH, HEIGHT, LEFT, RIGHT, TOP, BOTTOM = 640, 380, 66, 176, 34, 46


class Axis:
    """Numbers to pixels. A logarithmic axis ends at its numbers and has ticks at 1 and 3 times powers of 10; a linear one goes from 0 to
    a tick."""

    def __init__(self, values: Sequence[float], begin: int, end: int, is_log: bool) -> None:
        self._is_log, self._begin, self._end = is_log, begin, end
        self._low, self._high = (min(values), max(values)) if is_log else (0.0, max(values))
        if is_log:
            powers = range(floor(log10(self._low)), ceil(log10(self._high)) + 1)
            self.ticks = [tick for k in powers for tick in (10.0**k, 3 * 10.0**k) if self._low <= tick <= self._high]
        else:
            step = 10.0 ** floor(log10(self._high / 2))
            step *= next(k for k in (1, 2, 5, 10) if self._high / (k * step) <= 6)
            self.ticks = [k * step for k in range(ceil(self._high / step) + 1)]
            self._high = self.ticks[-1]

    def __call__(self, value: float) -> float:
        low, here, high = (log10(x) if self._is_log else x for x in (self._low, value, self._high))
        return round(self._begin + (self._end - self._begin) * (here - low) / (high - low), 1)


def line_chart(
    path: Path, title: str, x_label: str, y_label: str, lines: Mapping[str, Line], *, log_x: bool = False, log_y: bool = False
) -> None:
    """Write a chart of named lines of (x, y). On logarithmic axes all numbers must be positive; others begin at 0."""
    x = Axis([x for line in lines.values() for x, _ in line], LEFT, WIDTH - RIGHT, log_x)
    y = Axis([y for line in lines.values() for _, y in line], HEIGHT - BOTTOM, TOP, log_y)
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {HEIGHT}" font-family="sans-serif" font-size="12">',
        f'<rect width="{WIDTH}" height="{HEIGHT}" fill="white"/>',
        _text(LEFT, 20, title, "start", "bold"),
        _text((LEFT + WIDTH - RIGHT) / 2, HEIGHT - 8, x_label),
        f'<g transform="translate(16 {(TOP + HEIGHT - BOTTOM) / 2}) rotate(-90)">{_text(0, 0, y_label)}</g>',
    ]
    for tick in x.ticks:
        parts.append(_rule(x(tick), TOP, x(tick), HEIGHT - BOTTOM))
        parts.append(_text(x(tick), HEIGHT - BOTTOM + 16, f"{tick:,g}"))
    for tick in y.ticks:
        parts.append(_rule(LEFT, y(tick), WIDTH - RIGHT, y(tick)))
        parts.append(_text(LEFT - 6, y(tick) + 4, f"{tick:,g}", "end"))
    for i, ((name, line), colour) in enumerate(zip(lines.items(), cycle(COLOURS), strict=False)):
        dashes = ' stroke-dasharray="6 3"' if i >= len(COLOURS) else ""
        points = " ".join(f"{x(a)},{y(b)}" for a, b in line)
        parts.append(f'<polyline points="{points}" fill="none" stroke="{colour}" stroke-width="2"{dashes}/>')
        row = TOP + 8 + 18 * i
        parts.append(f'<path d="M{WIDTH - RIGHT + 12} {row}h22" stroke="{colour}" stroke-width="2"{dashes}/>')
        parts.append(_text(WIDTH - RIGHT + 40, row + 4, name, "start"))
    path.write_text("\n".join([*parts, "</svg>"]) + "\n", encoding="utf-8")


def _text(x: float, y: float, text: str, anchor: str = "middle", weight: str = "normal") -> str:
    return f'<text x="{x}" y="{y}" text-anchor="{anchor}" font-weight="{weight}">{escape(text)}</text>'


def _rule(x1: float, y1: float, x2: float, y2: float) -> str:
    return f'<path d="M{x1} {y1}L{x2} {y2}" stroke="#dddddd"/>'
