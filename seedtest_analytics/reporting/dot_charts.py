"""Dot plots of equally likely outcomes: lay readers decide better by counting dots than by bars (Fernandes et al. 2018)."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Callable, Sequence

from seedtest_analytics.reporting.charts import Axis, ChartStyle, label, line, n, svg, ticks
from seedtest_analytics.reporting.language import say

_GRID = ChartStyle(250, 130, css_class="dots")
_QUANTILES = ChartStyle(340, 170, css_class="dots")
_COLUMNS, _RADIUS = 10, 9.0
_STACK = 22
"""Columns of the widest plot."""


def _circle(x: float, y: float, *, radius: float, is_filled: bool) -> str:
    state = "reached" if is_filled else "missed"
    return f'<circle class="{state}" cx="{n(x)}" cy="{n(y)}" r="{n(radius)}"/>'


def dot_grid(filled: int, total: int, *, title: str, description: str) -> str:
    """``total`` dots in rows of ten, the first ``filled`` of them filled."""
    step = _GRID.width / _COLUMNS
    body = [
        _circle(step * (i % _COLUMNS + 0.5), step * (i // _COLUMNS + 0.5), radius=_RADIUS, is_filled=i < filled)
        for i in range(total)
    ]
    return svg(_GRID, body, title=title, description=description)


def stacks(values: Sequence[float]) -> list[tuple[float, float, int]]:
    """Bins of equal width over ``values``: lower end, width and count, of those that are not empty."""
    low, high = min(values), max(values)
    width = (high - low) / _STACK or 1.0
    counts = Counter(min(_STACK - 1, int((v - low) / width)) for v in values)
    return [(low + i * width, width, counts[i]) for i in sorted(counts)]


def quantile_dots(
    values: Sequence[float], goal: float, *, title: str, description: str, shown: Callable[[float], str]
) -> str:
    """Equally likely outcomes as stacked dots over their scale, with the goal as a line; ``shown`` names a value."""
    bins = stacks(values)
    x = Axis(min(*values, goal), max(*values, goal), start=18, end=_QUANTILES.width - 18)
    base = _QUANTILES.height - 26
    highest = max(count for _, _, count in bins)
    radius = min((x(bins[0][1]) - x(0.0)) / 2, (base - 30) / (2 * highest), 7.0)
    body = [line(10, base, x2=_QUANTILES.width - 10, y2=base, css_class="grid zero")]
    for low, width, count in bins:
        centre = x(low + width / 2)
        body += [
            _circle(centre, base - radius * (2 * k + 1), radius=radius - 0.4, is_filled=low + width / 2 >= goal)
            for k in range(count)
        ]
    levels = [v for v in ticks(x.low, x.high, wanted=4) if x.low <= v <= x.high]
    body += [label(x(v), _QUANTILES.height - 8, shown=shown(v)) for v in levels]
    side, shift = ("start", 5) if x(goal) < _QUANTILES.width / 2 else ("end", -5)
    body.append(line(x(goal), 14, x2=x(goal), y2=base, css_class="reference"))
    body.append(label(x(goal) + shift, 12, shown=say("goal"), css_class="reference-label", anchor=side))
    return svg(_QUANTILES, body, title=title, description=description)


def is_finite_plot(values: Sequence[float], goal: float) -> bool:
    """Whether the plot can be drawn."""
    return bool(values) and all(map(math.isfinite, (*values, goal)))
