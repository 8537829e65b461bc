"""Charts as inline SVG: small, without scripts, with a title and a description, coloured by classes of the style sheet.

Charts draw numbers and dates only. An untrusted name never goes into a chart.
"""

from __future__ import annotations

import datetime as dt
import math
from collections.abc import Sequence
from dataclasses import dataclass

from seedtest_analytics.reporting import wording
from seedtest_analytics.reporting.html import text
from seedtest_analytics.reporting.language import say
from seedtest_analytics.reporting.summary import Tally

DATE_LABEL_PX = 58


@dataclass(frozen=True)
class TrendPoint:
    """A value on a day with its interval, which may be unknown."""

    date: dt.date
    value: float
    lower: float | None = None
    upper: float | None = None


def described(points: Sequence[TrendPoint], *, digits: int = 2) -> str:
    """The dates and values of a trend as text, for readers who do not see the chart."""
    return "; ".join(f"{wording.day(p.date)}: {wording.decimal(p.value, digits)}" for p in points)


@dataclass(frozen=True)
class ChartStyle:
    """Size in pixels and class of a chart; for trends also the unit of the labels and the limits of the y axis."""

    width: int
    height: int
    css_class: str = ""
    is_percent: bool = False
    digits: int = 2
    y_limits: tuple[float, float] | None = None


_DAILY = ChartStyle(340, 210)
_GAUGE = ChartStyle(240, 20, css_class="gauge")
_SPARK = ChartStyle(96, 26, css_class="spark")
_SHARE = ChartStyle(132, 16, css_class="share")


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


def svg(style: ChartStyle, body: Sequence[str], *, title: str, description: str) -> str:
    """The frame of a chart. ``title`` and ``description`` are plain text."""
    width, height = style.width, style.height
    size = f'viewBox="0 0 {width} {height}" width="{width}" height="{height}"'
    return (
        f'<svg class="chart {style.css_class}" {size} role="img">'
        f"<title>{text(title, 400)}</title><desc>{text(description, 800)}</desc>{''.join(body)}</svg>"
    )


def n(value: float) -> str:
    return f"{value:.1f}".removesuffix(".0")


def label(x: float, y: float, *, shown: str, css_class: str = "tick", anchor: str = "middle") -> str:
    return f'<text class="{css_class}" x="{n(x)}" y="{n(y)}" text-anchor="{anchor}">{text(shown)}</text>'


def line(x1: float, y1: float, *, x2: float, y2: float, css_class: str) -> str:
    return f'<line class="{css_class}" x1="{n(x1)}" y1="{n(y1)}" x2="{n(x2)}" y2="{n(y2)}"/>'


def dot(x: float, y: float, *, radius: float) -> str:
    return f'<circle class="dot" cx="{n(x)}" cy="{n(y)}" r="{n(radius)}"/>'


def _places(points: Sequence[tuple[float, float]]) -> str:
    return " ".join(f"{n(x)},{n(y)}" for x, y in points)


def trend(
    points: Sequence[TrendPoint],
    title: str,
    *,
    description: str,
    styles: Sequence[ChartStyle],
    reference: tuple[float, str] | None = None,
    marks: Sequence[tuple[dt.date, float]] = (),
    beside: Sequence[tuple[dt.date, float]] = (),
) -> str:
    """A line over calendar time with its interval as a band, once in each style; at least one point.

    ``reference`` is a dashed level with its name (plain text). ``marks`` are further points, drawn as hollow
    diamonds. ``beside`` is a second, dashed line.
    """
    points = sorted(points, key=lambda p: p.date)
    return "".join(
        svg(
            style,
            _trend_body(points, style, reference=reference, marks=marks, beside=sorted(beside)),
            title=title,
            description=description,
        )
        for style in styles
    )


def _trend_body(
    points: Sequence[TrendPoint],
    style: ChartStyle,
    *,
    reference: tuple[float, str] | None,
    marks: Sequence[tuple[dt.date, float]],
    beside: Sequence[tuple[dt.date, float]],
) -> list[str]:
    values = [v for p in points for v in (p.value, p.lower, p.upper) if v is not None]
    values += [v for _, v in (*marks, *beside)]
    values += [reference[0]] if reference else []
    low, high = style.y_limits or (min(values), max(values))
    levels = ticks(low, high, wanted=6)
    y = Axis(levels[0], levels[-1], start=style.height - 30, end=14)
    days = [p.date for p in points] + [day for day, _ in (*marks, *beside)]
    x = Axis(min(days).toordinal(), max(days).toordinal(), start=48, end=style.width - 44)
    place = [(x(p.date.toordinal()), y(p.value)) for p in points]
    body = [_grid(levels, y, style=style), _date_labels(days, x, style=style), _band(points, x, y=y)]
    if reference:
        level, name = y(reference[0]), reference[1]
        body.append(line(48, level, x2=style.width - 44, y2=level, css_class="reference"))
        body.append(_reference_label(level, name, place=place, style=style))
    body.append(f'<polyline class="line" points="{_places(place)}"/>')
    if beside:
        second = [(x(day.toordinal()), y(value)) for day, value in beside]
        body.append(f'<polyline class="beside" points="{_places(second)}"/>')
    body += [dot(px, py, radius=3.2) for px, py in place]
    body += [_diamond(x(day.toordinal()), y(value)) for day, value in marks]
    newest, (px, py) = points[-1].value, place[-1]
    shown = wording.percent(newest) if style.is_percent else wording.decimal(newest, style.digits)
    return [*body, label(px + 7, py + 4, shown=shown, css_class="value-label", anchor="start")]


def _reference_label(level: float, name: str, *, place: Sequence[tuple[float, float]], style: ChartStyle) -> str:
    """The name of a level at the end where the curve is farther from it, on the side without the curve."""
    (_, first), (_, last) = place[0], place[-1]
    is_left = abs(first - level) >= abs(last - level)
    has_room_below = level + 13 < style.height - 30
    shift = 13 if has_room_below and (first if is_left else last) < level else -5
    x, anchor = (50, "start") if is_left else (style.width - 46, "end")
    return label(x, level + shift, shown=name, css_class="reference-label", anchor=anchor)


def _grid(levels: Sequence[float], y: Axis, *, style: ChartStyle) -> str:
    digits = next((d for d in range(6) if all(math.isclose(round(v, d), v, abs_tol=1e-9) for v in levels)), 6)
    out = []
    for level in levels:
        zero = " zero" if level == 0 and not style.is_percent else ""
        out.append(line(48, y(level), x2=style.width - 44, y2=y(level), css_class=f"grid{zero}"))
        shown = f"{round(100 * level)}%" if style.is_percent else wording.decimal(level, digits)
        out.append(label(42, y(level) + 4, shown=shown, anchor="end"))
    return "".join(out)


def _date_labels(days: Sequence[dt.date], x: Axis, *, style: ChartStyle) -> str:
    """As many dates as fit, the newest always among them."""
    out, free_until = [], math.inf
    for day in sorted(set(days), reverse=True):
        place = x(day.toordinal())
        if place <= free_until:
            out.append(label(place, style.height - 10, shown=wording.day(day)))
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
            out.append(line(run[0][0], run[0][1], x2=run[0][0], y2=run[0][2], css_class="whisker"))
        elif run:
            ring = [(px, up) for px, _, up in run] + [(px, low) for px, low, _ in reversed(run)]
            out.append(f'<polygon class="band" points="{_places(ring)}"/>')
        run = []
    return "".join(out)


def _diamond(cx: float, cy: float) -> str:
    return f'<path class="mark" d="M{n(cx)} {n(cy - 6)}l6 6l-6 6l-6 -6z"/>'


def daily_bars(days: Sequence[tuple[dt.date, Tally]], title: str, *, description: str) -> str:
    """Answers of each day as a bar, the right ones filled, with the share right below it."""
    width, height = _DAILY.width, _DAILY.height
    y = Axis(0, max(1, *(t.attempts for _, t in days)), start=height - 46, end=24)
    step = (width - 16) / len(days)
    bar = min(32.0, step * 0.66)
    out = [line(8, y(0), x2=width - 8, y2=y(0), css_class="grid zero")]
    for i, (day, total) in enumerate(days):
        centre = 8 + step * (i + 0.5)
        out.append(_bar(centre - bar / 2, bar, y=y, low=0, high=total.correct, css_class="right"))
        out.append(_bar(centre - bar / 2, bar, y=y, low=total.correct, high=total.attempts, css_class="wrong"))
        out.append(label(centre, height - 28, shown=wording.weekday(day)))
        if total.share is not None:
            out.append(label(centre, y(total.attempts) - 6, shown=f"{total.attempts}", css_class="value-label"))
            out.append(label(centre, height - 10, shown=f"{round(100 * total.share)}%", css_class="share-label"))
    return svg(_DAILY, out, title=title, description=description)


def _bar(x: float, width: float, *, y: Axis, low: float, high: float, css_class: str) -> str:
    if high <= low:
        return ""
    top = y(high)
    place = f'x="{n(x)}" y="{n(top)}" width="{n(width)}" height="{n(y(low) - top)}"'
    return f'<rect class="{css_class}" {place}/>'


def gauge(
    value: float, title: str, *, low: float = 0.0, high: float = 1.0, limits: tuple[float, float] | None = None
) -> str:
    """A value on its scale, with its interval where known. A scale with zero inside has a mark there."""
    width = _GAUGE.width
    x = Axis(low, high, start=6, end=width - 6)
    at = x(min(high, max(low, value)))
    start, end = sorted((x(0.0 if low <= 0 <= high else low), at))
    out = [
        f'<rect class="track" x="6" y="8" width="{width - 12}" height="4" rx="2"/>',
        f'<rect class="fill" x="{n(start)}" y="8" width="{n(end - start)}" height="4" rx="2"/>',
    ]
    if low < 0 < high:
        out.append(line(x(0), 4, x2=x(0), y2=16, css_class="zero-mark"))
    if limits is not None:
        out.append(line(x(limits[0]), 10, x2=x(limits[1]), y2=10, css_class="interval"))
    return svg(_GAUGE, [*out, dot(at, 10, radius=5)], title=title, description=say("A point on a scale."))


def sparkline(values: Sequence[float], title: str, *, low: float, high: float) -> str:
    """The course of a number over weeks, newest last; at least two values."""
    y = Axis(low, high, start=_SPARK.height - 4, end=4)
    x = Axis(0, len(values) - 1, start=4, end=_SPARK.width - 4)
    place = [(x(i), y(v)) for i, v in enumerate(values)]
    body = [f'<polyline class="line" points="{_places(place)}"/>', dot(*place[-1], radius=2.6)]
    return svg(_SPARK, body, title=title, description=say("Small trend line."))


def share_bar(total: Tally, title: str) -> str:
    """Share right from 0 to 100% with its 95% interval; half is marked."""
    x = Axis(0, 1, start=4, end=_SHARE.width - 4)
    low, high = map(x, total.interval)
    body = [
        f'<rect class="track" x="4" y="6" width="{_SHARE.width - 8}" height="4" rx="2"/>',
        line(x(0.5), 3, x2=x(0.5), y2=13, css_class="zero-mark"),
        f'<rect class="band" x="{n(low)}" y="4" width="{n(high - low)}" height="8" rx="3"/>',
        dot(x(total.share or 0.0), 8, radius=3.6),
    ]
    return svg(_SHARE, body, title=title, description=say("Share of right answers with its interval."))


def histogram(
    values: Sequence[float], mark: float | None, *, title: str, description: str, styles: Sequence[ChartStyle]
) -> str:
    """Counts of values in half-unit bins with a vertical mark, once in each style; at least one value."""
    known = [*values] if mark is None else [*values, mark]
    low, high = math.floor(min(known) * 2) / 2, math.floor(max(known) * 2) / 2 + 0.5
    counts = [0] * round((high - low) * 2)
    for value in values:
        counts[min(len(counts) - 1, int((value - low) * 2))] += 1
    return "".join(
        svg(style, _histogram_body(counts, mark, low=low, high=high, style=style), title=title, description=description)
        for style in styles
    )


def _histogram_body(
    counts: Sequence[int], mark: float | None, *, low: float, high: float, style: ChartStyle
) -> list[str]:
    width, height = style.width, style.height
    x, y = Axis(low, high, start=14, end=width - 14), Axis(0, max(counts), start=height - 28, end=22)
    body = [line(14, y(0), x2=width - 14, y2=y(0), css_class="grid zero")]
    for i, n in enumerate(counts):
        left, right = x(low + i / 2), x(low + (i + 1) / 2)
        body.append(_bar(left + 1, right - left - 2, y=y, low=0, high=n, css_class="bin"))
    whole = range(math.ceil(low), math.floor(high) + 1)
    every = max(1, math.ceil(len(whole) * 28 / width))
    body += [label(x(v), height - 10, shown=wording.decimal(v, 0)) for v in whole[::every]]
    if mark is not None:
        body.append(line(x(mark), 18, x2=x(mark), y2=y(0), css_class="reference"))
        side, shift = ("start", 5) if x(mark) < width / 2 else ("end", -5)
        body.append(label(x(mark) + shift, 14, shown=say("ability"), css_class="reference-label", anchor=side))
    return body
