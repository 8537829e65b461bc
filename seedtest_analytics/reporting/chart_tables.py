"""The numbers of a chart as a table, for readers who do not see it and for those who want to read exact values."""

from __future__ import annotations

import datetime as dt
import math
from collections import Counter
from collections.abc import Callable, Sequence

from seedtest_analytics.reporting import wording
from seedtest_analytics.reporting.charts import TrendPoint
from seedtest_analytics.reporting.html import details, table, text
from seedtest_analytics.reporting.language import say
from seedtest_analytics.reporting.summary import Tally


def trend_table(
    points: Sequence[TrendPoint],
    headings: tuple[str, str],
    *,
    shown: Callable[[float], str] = wording.decimal,
    level: float = 0.95,
) -> str:
    """Day, value and interval of each point; ``headings`` are of the first two, ``shown`` gives a value as text.

    ``level`` is the share of cases that the interval is to cover.
    """
    rows = [
        [
            text(wording.day(p.date, year=True)),
            text(shown(p.value)),
            text(say("{low} to {high}", low=shown(p.lower), high=shown(p.upper)))
            if p.lower is not None and p.upper is not None
            else "–",
        ]
        for p in sorted(points, key=lambda p: p.date)
    ]
    return _opened([*headings, interval_heading(level)], rows)


def interval_heading(level: float) -> str:
    """The heading of a column of intervals."""
    return say("{level} interval", level=wording.percent(level))


def tally_table(tallies: Sequence[tuple[dt.date, Tally]], heading: str, *, shown: Callable[[dt.date], str]) -> str:
    """Answers and right ones of each day or week; ``shown`` gives its name."""
    rows = [
        [text(shown(day)), wording.whole(t.attempts), wording.whole(t.correct), text(_share(t))] for day, t in tallies
    ]
    return _opened([heading, say("Answers"), say("Right"), say("Share right")], rows)


def _share(total: Tally) -> str:
    return "–" if total.share is None else wording.percent(total.share)


def histogram_table(values: Sequence[float]) -> str:
    """Counts of values in half-unit bins."""
    bins = Counter(math.floor(2 * value) / 2 for value in values)
    rows = [[text(wording.interval(low, low + 0.5, digits=1)), wording.whole(bins[low])] for low in sorted(bins)]
    return _opened([say("Difficulty"), say("Questions")], rows)


def _opened(headings: Sequence[str], rows: list[list[str]]) -> str:
    named = [text(heading) for heading in headings]
    return details(say("The numbers of this chart"), table(named, rows, caption="", css_class="numbers"))
