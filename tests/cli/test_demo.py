"""Which weeks of a log `seedtest demo` shows."""

import datetime as dt

import pytest

from seedtest_analytics.cli.demo import shown_weeks

MONDAY = dt.date(2026, 1, 5)


def weeks(*students: int) -> dict[dt.date, int]:
    return {MONDAY + dt.timedelta(weeks=n): count for n, count in enumerate(students) if count}


@pytest.mark.parametrize(
    ("students", "n_weeks", "first", "last"),
    [
        ((40, 42, 38, 41), 26, 0, 3),
        ((40, 42, 38, 41), 2, 2, 3),
        ((40, 42, 38, 41, 2, 1), 2, 2, 3),
        ((40, 3, 38, 10, 41, 0, 5), 26, 0, 4),
        ((1,), 4, 0, 0),
    ],
)
def test_the_weeks_before_the_thin_tail(
    students: tuple[int, ...], n_weeks: int, first: int, last: int
) -> None:
    shown = shown_weeks(weeks(*students), n_weeks)
    assert shown == (MONDAY + dt.timedelta(weeks=first), MONDAY + dt.timedelta(weeks=last))
