"""The charts: axes, ticks, bands, labels and escaping."""

from __future__ import annotations

import datetime as dt
import html

import pytest
from hypothesis import given
from hypothesis import strategies as st

from seedtest_analytics.reporting import charts
from seedtest_analytics.reporting.summary import Tally
from tests.reporting.documents import WEEK

STYLES = (charts.ChartStyle(640, 240),)


def test_charts_draw_single_points_and_gaps() -> None:
    one = [charts.TrendPoint(WEEK, 0.4, lower=0.1, upper=0.7)]
    assert "whisker" in charts.trend(one, "t", description="d", styles=STYLES)
    gap = [
        charts.TrendPoint(WEEK + dt.timedelta(i), 0.1 * i, *((0.0, 1.0) if i != 2 else (None, None))) for i in range(5)
    ]
    assert charts.trend(gap, "t", description="d", styles=STYLES).count("<polygon") == 2


@given(st.floats(-1e3, 1e3), st.floats(0, 1e3), st.integers(2, 8))
def test_ticks_cover_and_are_few(low: float, span: float, wanted: int) -> None:
    found = charts.ticks(low, low + span, wanted=wanted)
    assert found[0] <= low + 1e-6 * max(1, abs(low), span)
    assert found[-1] >= low + span - 1e-6 * max(1, abs(low), span)
    assert 2 <= len(found) <= wanted + 2


def test_labels_of_a_fine_scale_differ() -> None:
    points = [charts.TrendPoint(WEEK, 0.005), charts.TrendPoint(WEEK + dt.timedelta(7), 0.03)]
    drawn = charts.trend(points, "t", description="d", styles=STYLES)
    assert all(html.escape(level) in drawn for level in ("0.010", "0.015", "0.020"))


def test_ticks_of_one_value_surround_it() -> None:
    assert charts.ticks(2.0, 2.0) == [1.5, 1.75, 2.0, 2.25, 2.5]


def test_an_axis_maps_ends_to_ends() -> None:
    axis = charts.Axis(0, 4, start=100, end=20)
    assert [axis(v) for v in (0, 1, 4)] == [100, 80, 20]
    assert charts.Axis(1, 1, start=0, end=10)(1) == 5


def test_a_trend_is_drawn_in_every_style_with_its_reference_and_marks() -> None:
    points = [charts.TrendPoint(WEEK, 0.4), charts.TrendPoint(WEEK - dt.timedelta(7), -0.2)]
    styles = (charts.ChartStyle(700, 250, css_class="wide"), charts.ChartStyle(340, 220, css_class="narrow"))
    drawn = charts.trend(points, "t", description="d", styles=styles, reference=(1.0, "goal"), marks=[(WEEK, 0.1)])
    assert drawn.count("<svg") == drawn.count(">goal<") == drawn.count('class="mark"') == 2
    assert drawn.count(">0.40<") == 2
    assert charts.described(points) == "3 Nov: 0.40; 27 Oct: −0.20"


def test_dates_that_do_not_fit_are_left_out_and_the_newest_stays() -> None:
    points = [charts.TrendPoint(WEEK + dt.timedelta(d), 0.1) for d in range(30)]
    drawn = charts.trend(points, "t", description="d", styles=STYLES)
    assert ">2 Dec<" in drawn
    assert ">1 Dec<" not in drawn


def test_daily_bars_show_right_and_wrong_and_the_share() -> None:
    days = [(WEEK, Tally(4, 3)), (WEEK + dt.timedelta(1), Tally())]
    drawn = charts.daily_bars(days, "t", description="d")
    assert drawn.count('<rect class="right"') == drawn.count('<rect class="wrong"') == 1
    assert ">75&#37;<" in drawn
    assert drawn.count("share-label") == 1


@pytest.mark.parametrize(("value", "at"), [(-3.0, "6"), (0.0, "120"), (3.0, "234")])
def test_a_gauge_keeps_its_value_on_the_scale(value: float, at: str) -> None:
    drawn = charts.gauge(value, "t", low=-1, high=1, limits=(-0.5, 0.5))
    assert f'cx="{at}"' in drawn
    assert "zero-mark" in drawn
    assert 'class="interval" x1="63" y1="10" x2="177"' in drawn
    assert "interval" not in charts.gauge(0.5, "t")


def test_a_sparkline_and_a_share_bar_end_where_they_should() -> None:
    assert 'points="4,22 92,4"' in charts.sparkline([0.0, 1.0], "t", low=0, high=1)
    assert 'cx="128"' in charts.share_bar(Tally(5, 5), "t")


def test_a_histogram_counts_half_units_and_marks_the_ability() -> None:
    drawn = charts.histogram([0.0, 0.1, 0.6, 2.0], 1.0, title="t", description="d", styles=STYLES)
    assert drawn.count('class="bin"') == 3
    assert ">ability<" in drawn
    assert "ability" not in charts.histogram([0.5], None, title="t", description="d", styles=STYLES)


def test_titles_are_escaped() -> None:
    assert "<title>&#60;b&#62;</title>" in charts.gauge(0.5, "<b>")
