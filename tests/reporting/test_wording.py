"""Numbers and dates as text."""

from __future__ import annotations

import datetime as dt

import pytest

from seedtest_analytics.reporting import wording
from tests.reporting.documents import WEEK


def test_wording() -> None:
    assert wording.week(WEEK) == "Mon 3 Nov – Sun 9 Nov 2025"
    assert wording.week(dt.date(2025, 12, 29)) == "Mon 29 Dec 2025 – Sun 4 Jan 2026"
    assert [wording.percent(v) for v in (0, 0.004, 0.5, 0.996, 1)] == ["0%", "under 1%", "50%", "over 99%", "100%"]
    assert [wording.signed(v) for v in (-0.004, 0.004, 0.21, -0.21)] == ["0.00", "0.00", "+0.21", "−0.21"]
    assert wording.answers(1) == "1 answer"
    assert wording.seconds(125_000) == "2\u00a0min 05\u00a0s"


def test_dates() -> None:
    assert [wording.day(WEEK), wording.day(WEEK, year=True), wording.day(WEEK, weekday=True)] == [
        "3 Nov",
        "3 Nov 2025",
        "Mon 3 Nov",
    ]
    assert wording.weekday(WEEK) == "Mon"


@pytest.mark.parametrize(
    ("shown", "expected"),
    [
        (wording.points_of_hundred(0.567), "57 of 100"),
        (wording.decimal(-0.001), "0.00"),
        (wording.decimal(-0.206), "−0.21"),
        (wording.interval(-0.1, 0.52), "−0.10 to 0.52"),
        (wording.percent_interval(0.136, 0.61), "14 to 61%"),
        (wording.answers(1234), "1,234 answers"),
        (wording.percent_interval(0.001, 0.004), "under 1%"),
        (wording.percent_interval(0.0, 0.995), "0% to over 99%"),
        (wording.percent_interval(0.5, 0.5), "50%"),
        (wording.seconds(3400), "3.4\u00a0s"),
        (wording.seconds(99_400), "99\u00a0s"),
    ],
)
def test_numbers(shown: str, expected: str) -> None:
    assert shown == expected
