"""Charts as inline SVG: small, without scripts, with a title and a description, coloured by the style
sheet's classes.

Every text in them is made here from numbers and dates; untrusted names stay outside of charts.
"""

from __future__ import annotations

import datetime as dt
import math
from collections.abc import Sequence
from dataclasses import dataclass

from seedtest_analytics.reporting import wording
from seedtest_analytics.reporting.html import text
from seedtest_analytics.reporting.summary import Tally

DATE_LABEL_PX = 58


@dataclass(frozen=True)
class TrendPoint:
    """A value on a day with its interval, which may be unknown."""

    date: dt.date
    value: float
    lower: float | None = None
    upper: float | None = None


@dataclass(frozen=True)
class Axis:
    """A linear scale from data (``low``..``high``) to pixels (``start``..``end``)."""

    low: float
    high: float
    start: float
    end: float

    def __call__(self, value: float) -> float:
        span = self.high - self.low
        share = 0.5 if span == 0 else (value - self.low) / span
        return self.start + share * (self.end - self.start)


def ticks(low: float, high: float, *, wanted: int = 5) -> list[float]:
    """Round numbers from at or below ``low`` to at or above ``high``, about ``wanted`` of them."""
    if high - low <= 1e-9 * max(1.0, abs(low), abs(high)):
        low, high = low - 0.5, high + 0.5
    raw = (high - low) / max(1, wanted - 1)
    magnitude = 10.0 ** math.floor(math.log10(raw))
    step = next(m * magnitude for m in (1, 2, 2.5, 5, 10) if m * magnitude >= raw * 0.999)
    first, last = math.floor(low / step + 1e-9), math.ceil(high / step - 1e-9)
    return [round(i * step, 10) for i in range(first, last + 1)]


def svg(width: int, height: int, *, title: str, description: str, body: str, css_class: str = "") -> str:
    """The frame of a chart. ``title`` and ``description`` are plain text."""
    size = f'viewBox="0 0 {width} {height}" width="{width}" height="{height}"'
    return (
        f'<svg class="chart {css_class}" {size} role="img">'
        f"<title>{text(title, 400)}</title><desc>{text(description, 800)}</desc>{body}</svg>"
    )


def _n(value: float) -> str:
    return f"{value:.1f}".removesuffix(".0")


def _label(x: float, y: float, *, shown: str, css_class: str = "tick", anchor: str = "middle") -> str:
    return f'<text class="{css_class}" x="{_n(x)}" y="{_n(y)}" text-anchor="{anchor}">{text(shown)}</text>'


def _line(x1: float, y1: float, *, x2: float, y2: float, css_class: str) -> str:
    return f'<line class="{css_class}" x1="{_n(x1)}" y1="{_n(y1)}" x2="{_n(x2)}" y2="{_n(y2)}"/>'


def _polyline(points: Sequence[tuple[float, float]], css_class: str) -> str:
    shown = " ".join(f"{_n(x)},{_n(y)}" for x, y in points)
    return f'<polyline class="{css_class}" points="{shown}"/>'


@dataclass(frozen=True)
class TrendStyle:
    """How a trend is drawn: size in pixels, unit of the labels, limits that the axis must keep."""

    width: int = 640
    height: int = 240
    is_percent: bool = False
    y_limits: tuple[float, float] | None = None
    css_class: str = ""


def trend(
    points: Sequence[TrendPoint],
    title: str,
    *,
    description: str,
    style: TrendStyle,
    reference: tuple[float, str] | None = None,
    marks: Sequence[tuple[dt.date, float]] = (),
) -> str:
    """A line with its interval as a band over calendar time; at least one point.

    ``reference`` is a dashed level with its name (plain text); ``marks`` are further points, drawn as hollow
    diamonds.
    """
    points = sorted(points, key=lambda p: p.date)
    values = [v for p in points for v in (p.value, p.lower, p.upper) if v is not None] + [m[1] for m in marks]
    values += [reference[0]] if reference else []
    low, high = style.y_limits or (min(values), max(values))
    levels = ticks(low, high, wanted=6)
    y = Axis(levels[0], levels[-1], start=style.height - 30, end=14)
    days = [p.date.toordinal() for p in points] + [m[0].toordinal() for m in marks]
    x = Axis(min(days), max(days), start=48, end=style.width - 44)
    place = [(x(p.date.toordinal()), y(p.value)) for p in points]
    body = [_grid(levels, y, style=style)]
    body.append(_date_labels([p.date for p in points] + [day for day, _ in marks], x, style=style))
    body.append(_band(points, x, y=y))
    if reference:
        body.append(_line(48, y(reference[0]), x2=style.width - 44, y2=y(reference[0]), css_class="reference"))
        body.append(_label(50, y(reference[0]) - 5, shown=reference[1], css_class="reference-label", anchor="start"))
    body.append(_polyline(place, "line"))
    body += [f'<circle class="dot" cx="{_n(px)}" cy="{_n(py)}" r="3.2"/>' for px, py in place]
    body += [_diamond(x(d.toordinal()), y(v)) for d, v in marks]
    body.append(
        _label(
            place[-1][0] + 7,
            place[-1][1] + 4,
            shown=_value(points[-1].value, style),
            css_class="value-label",
            anchor="start",
        )
    )
    return svg(
        style.width,
        style.height,
        title=title,
        description=description,
        body="".join(body),
        css_class=style.css_class,
    )


def _value(value: float, style: TrendStyle) -> str:
    return wording.percent(value) if style.is_percent else wording.decimal(value)


def _grid(levels: Sequence[float], y: Axis, *, style: TrendStyle) -> str:
    digits = next((d for d in range(6) if all(math.isclose(round(v, d), v, abs_tol=1e-9) for v in levels)), 6)
    out = []
    for level in levels:
        zero = " zero" if level == 0 and not style.is_percent else ""
        out.append(_line(48, y(level), x2=style.width - 44, y2=y(level), css_class=f"grid{zero}"))
        shown = f"{round(100 * level)}%" if style.is_percent else wording.decimal(level, digits)
        out.append(_label(42, y(level) + 4, shown=shown, anchor="end"))
    return "".join(out)


def _date_labels(days: Sequence[dt.date], x: Axis, *, style: TrendStyle) -> str:
    """As many dates as fit, the newest always among them."""
    out, free_until = [], math.inf
    for day in sorted(set(days), reverse=True):
        place = x(day.toordinal())
        if place <= free_until:
            out.append(_label(place, style.height - 10, shown=wording.day(day)))
            free_until = place - DATE_LABEL_PX
    return "".join(out)


def _band(points: Sequence[TrendPoint], x: Axis, *, y: Axis) -> str:
    """Bands over runs of points with an interval; a run of one is a whisker."""
    out, run = [], list[tuple[float, float, float]]()
    for point in [*points, None]:
        if point is not None and point.lower is not None and point.upper is not None:
            run.append((x(point.date.toordinal()), y(point.lower), y(point.upper)))
            continue
        if len(run) == 1:
            out.append(_line(run[0][0], run[0][1], x2=run[0][0], y2=run[0][2], css_class="whisker"))
        elif run:
            ring = [(px, up) for px, _, up in run] + [(px, low) for px, low, _ in reversed(run)]
            shown = " ".join(f"{_n(px)},{_n(py)}" for px, py in ring)
            out.append(f'<polygon class="band" points="{shown}"/>')
        run = []
    return "".join(out)


def _diamond(cx: float, cy: float) -> str:
    return f'<path class="mark" d="M{_n(cx)} {_n(cy - 6)}l6 6l-6 6l-6 -6z"/>'


def daily_bars(
    days: Sequence[tuple[dt.date, Tally]],
    title: str,
    *,
    description: str,
    width: int = 340,
    height: int = 210,
) -> str:
    """Answers a day as bars, the right ones filled; the share right stands under each day."""
    top = max(1, *(t.attempts for _, t in days))
    y = Axis(0, top, start=height - 46, end=24)
    step = (width - 16) / len(days)
    bar = min(32.0, step * 0.66)
    out = [_line(8, y(0), x2=width - 8, y2=y(0), css_class="grid zero")]
    for i, (day, total) in enumerate(days):
        centre = 8 + step * (i + 0.5)
        out.append(_bar(centre - bar / 2, bar, y=y, low=0, high=total.correct, css_class="right"))
        out.append(_bar(centre - bar / 2, bar, y=y, low=total.correct, high=total.attempts, css_class="wrong"))
        out.append(_label(centre, height - 28, shown=wording.weekday(day), css_class="tick"))
        share = total.share
        if share is not None:
            out.append(_label(centre, y(total.attempts) - 6, shown=f"{total.attempts}", css_class="value-label"))
            out.append(_label(centre, height - 10, shown=f"{round(100 * share)}%", css_class="share-label"))
    return svg(width, height, title=title, description=description, body="".join(out))


def _bar(x: float, width: float, *, y: Axis, low: float, high: float, css_class: str) -> str:
    if high <= low:
        return ""
    top = y(high)
    place = f'x="{_n(x)}" y="{_n(top)}" width="{_n(width)}" height="{_n(y(low) - top)}"'
    return f'<rect class="{css_class}" {place}/>'


def gauge(
    value: float,
    low: float,
    *,
    high: float,
    title: str,
    lower: float | None = None,
    upper: float | None = None,
) -> str:
    """A value on its scale, with its interval where known; the zero of a scale that has one inside is marked."""
    width, height = 240, 20
    x = Axis(low, high, start=6, end=width - 6)
    origin = 0.0 if low <= 0 <= high else low
    out = [f'<rect class="track" x="6" y="8" width="{width - 12}" height="4" rx="2"/>']
    start, end = sorted((x(origin), x(min(high, max(low, value)))))
    out.append(f'<rect class="fill" x="{_n(start)}" y="8" width="{_n(end - start)}" height="4" rx="2"/>')
    if low < 0 < high:
        out.append(_line(x(0), 4, x2=x(0), y2=16, css_class="zero-mark"))
    if lower is not None and upper is not None:
        out.append(_line(x(lower), 10, x2=x(upper), y2=10, css_class="interval"))
    out.append(f'<circle class="dot" cx="{_n(x(min(high, max(low, value))))}" cy="10" r="5"/>')
    return svg(width, height, title=title, description="A point on a scale.", body="".join(out), css_class="gauge")


def sparkline(values: Sequence[float], title: str, *, low: float | None = None, high: float | None = None) -> str:
    """The course of a number over weeks, newest last; at least two values."""
    width, height = 96, 26
    y = Axis(min(values) if low is None else low, max(values) if high is None else high, start=height - 4, end=4)
    x = Axis(0, len(values) - 1, start=4, end=width - 4)
    place = [(x(i), y(v)) for i, v in enumerate(values)]
    dot = f'<circle class="dot" cx="{_n(place[-1][0])}" cy="{_n(place[-1][1])}" r="2.6"/>'
    return svg(
        width,
        height,
        title=title,
        description="Small trend line.",
        body=_polyline(place, "line") + dot,
        css_class="spark",
    )


def share_bar(total: Tally, title: str) -> str:
    """Share right on 0..100 % with its 95% interval; half is marked."""
    width, height = 132, 16
    x = Axis(0, 1, start=4, end=width - 4)
    low, high = total.interval
    out = [
        f'<rect class="track" x="4" y="6" width="{width - 8}" height="4" rx="2"/>',
        _line(x(0.5), 3, x2=x(0.5), y2=13, css_class="zero-mark"),
    ]
    out.append(f'<rect class="band" x="{_n(x(low))}" y="4" width="{_n(x(high) - x(low))}" height="8" rx="3"/>')
    out.append(f'<circle class="dot" cx="{_n(x(total.share or 0.0))}" cy="8" r="3.6"/>')
    return svg(
        width,
        height,
        title=title,
        description="Share of right answers with its interval.",
        body="".join(out),
        css_class="share",
    )


def histogram(
    values: Sequence[float],
    mark: float | None,
    *,
    title: str,
    description: str,
    width: int = 340,
    height: int = 170,
    css_class: str = "",
) -> str:
    """Counts of values in half-unit bins, and a vertical mark; at least one value."""
    low = math.floor(min([*values, mark if mark is not None else math.inf]) * 2) / 2
    high = math.floor(max([*values, mark if mark is not None else -math.inf]) * 2) / 2 + 0.5
    n_bins = round((high - low) * 2)
    counts = [0] * n_bins
    for value in values:
        counts[min(n_bins - 1, int((value - low) * 2))] += 1
    x, y = Axis(low, high, start=14, end=width - 14), Axis(0, max(counts), start=height - 28, end=22)
    out = [_line(14, y(0), x2=width - 14, y2=y(0), css_class="grid zero")]
    whole = [v for v in range(math.ceil(low), math.floor(high) + 1)]
    for i, n in enumerate(counts):
        left, right = x(low + i / 2), x(low + (i + 1) / 2)
        out.append(_bar(left + 1, right - left - 2, y=y, low=0, high=n, css_class="bin"))
    every = max(1, math.ceil(len(whole) * 28 / width))
    out += [_label(x(v), height - 10, shown=wording.decimal(v, 0)) for v in whole[::every]]
    if mark is not None:
        out.append(_line(x(mark), 18, x2=x(mark), y2=y(0), css_class="reference"))
        side = "start" if x(mark) < width / 2 else "end"
        out.append(
            _label(
                x(mark) + (5 if side == "start" else -5),
                14,
                shown="ability",
                css_class="reference-label",
                anchor=side,
            )
        )
    return svg(width, height, title=title, description=description, body="".join(out), css_class=css_class)
