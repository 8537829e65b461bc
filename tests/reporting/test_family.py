"""The family's page: points, levels, dots, pace, calendar, and the page of a student without answers."""

from __future__ import annotations

import datetime as dt
import html
import re
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from seedtest_analytics.reporting import family, family_goal
from seedtest_analytics.reporting.document import ReportDocument
from seedtest_analytics.reporting.levels import level, match, share_right
from seedtest_analytics.reporting.outlook import DOTS, outlook, pace
from seedtest_analytics.reporting.summary import Tally, TopicSummary
from tests.reporting.documents import WEEK, document, empty_document, full_document, topic_day


def shown(part: object) -> str:
    return re.sub(r"<[^>]*>", " ", html.unescape(str(part)))


def topic(n: int, right: int, theta: float | None = None, sd: float | None = None) -> TopicSummary:
    return TopicSummary("t", Tally(n, right), Tally(n, right), None, theta, sd)


@pytest.mark.parametrize(
    ("made", "expected"),
    [
        (topic(7, 7, 3.0, 0.1), None),  # too few answers
        (topic(8, 8, 1.4, 0.3), "secure"),
        (topic(8, 8, 1.4, 0.5), "nearly"),  # not certain enough
        (topic(8, 4, 0.0, 0.3), "nearly"),
        (topic(8, 4, -0.01, 0.3), "begun"),
        (topic(40, 38), "secure"),
        (topic(8, 8), "secure"),
        (topic(8, 7), "nearly"),
        (topic(8, 3), "begun"),
    ],
)
def test_a_level_needs_evidence_and_certainty(made: TopicSummary, expected: str | None) -> None:
    assert level(made) == expected


@given(st.floats(-6, 6), st.floats(0, 3), st.floats(0, 2))
def test_a_higher_ability_never_has_a_lower_level(theta: float, more: float, sd: float) -> None:
    order = {"begun": 0, "nearly": 1, "secure": 2}
    low, high = level(topic(9, 5, theta, sd)), level(topic(9, 5, theta + more, sd))
    assert low is not None
    assert high is not None
    assert order[low] <= order[high]


def test_points_say_what_they_mean() -> None:
    page = shown(family.standing(document(ability_trend=[{"date": WEEK, "theta": 1.0, "se": 0.2}])))
    assert "600 points" in page
    assert "between 561 and 639" in page
    assert "About 73 of 100 questions of middle difficulty would be right." in page
    assert share_right(0.0) == 0.5
    assert share_right(-1e6) == pytest.approx(0.0)
    assert "About 20 answers" in shown(family.standing(empty_document()))


def test_topics_without_enough_answers_say_how_many_are_missing() -> None:
    page = shown(family.topics(document(topic_features=[topic_day("a", 0, 7, 7), topic_day("b", 0, 12, 11)])))
    assert "1 more answer needed" in page
    many = [topic_day(f"t{i}", 0, 9, 5) for i in range(8)]
    assert "And 2 more topics with 18 answers." in shown(family.topics(document(topic_features=many)))


def test_the_calendar_has_four_weeks_and_counts_an_answer_once() -> None:
    rows = [
        topic_day("a", -21, 5, 4),
        topic_day("a", 6, 3, 1, attempts_once=3),
        topic_day("b", 6, 3, 1, attempts_once=0),
    ]
    made = str(family.calendar(document(topic_features=rows)))
    assert made.count("<td") == 28
    assert re.findall(r"<td class=\"shade(\d)\">(\d+)</td>", made) == [("4", "5"), ("3", "3")]


def test_how_the_questions_fit_needs_ten_of_them() -> None:
    items = [{"item_id": str(i), "difficulty": b} for i, b in enumerate((-3.0, 0.0, 0.5, 3.0, 3.0) * 2)]
    fit = match(document(item_params=items, ability_trend=[{"date": WEEK, "theta": 0.0}]))
    assert fit is not None
    assert (fit.easy, fit.right, fit.hard) == (2, 4, 4)
    assert match(document(item_params=items)) is None
    assert match(document(item_params=items[:9], ability_trend=[{"date": WEEK, "theta": 0.0}])) is None


GOAL = {
    "P": 0.66,
    "P_method": "normal",
    "P_target": 0.5,
    "theta": 0.3,
    "sigma": 0.4,
    "P_target_source": "interest_goal",
}


@pytest.mark.parametrize(("p", "filled"), [(0.66, 33), (0.0, 0), (1.0, 50), (0.004, 1), (0.996, 49), (0.0001, 0)])
def test_the_dots_are_those_of_p_and_their_table_says_the_same(p: float, filled: int) -> None:
    found = outlook(document(kpis={**GOAL, "P": p}))
    assert found is not None
    assert found.filled == filled
    made = str(family_goal.goal(document(kpis={**GOAL, "P": p})))
    grid = made[: made.index("</svg>")]
    assert grid.count('class="reached"') == filled
    assert grid.count('class="missed"') == DOTS - filled
    assert f">{filled}</td>" in made
    assert f">{DOTS - filled}</td>" in made


@pytest.mark.parametrize("assumption", [None, "practice continues"])
def test_the_dots_say_what_a_projection_assumes(assumption: str | None) -> None:
    made = shown(family_goal.goal(document(kpis={**GOAL, "P": 0.6, "P_assumption": assumption})))
    assert ("This is so if practice continues." in made) == (assumption is not None)


def test_the_dots_of_the_projection_are_those_of_their_table() -> None:
    made = str(family_goal.goal(full_document()))
    plot = made[made.rindex("<svg") :]
    counts = [int(n) for n in re.findall(r'data-label="Dots">(\d+)<', plot)]
    assert sum(counts) == plot.count("<circle") == DOTS
    assert len(found_quantiles()) == DOTS


def found_quantiles() -> list[float]:
    found = outlook(full_document())
    assert found is not None
    return found.quantiles()


@pytest.mark.parametrize(
    ("slope", "se", "target", "p", "expected"),
    [
        (0.1, 0.01, 0.5, 0.9, "ahead"),
        (0.06, 0.03, 0.5, 0.6, "on_the_way"),
        (0.02, 0.03, 0.5, 0.3, "open"),
        (0.0, 0.01, 0.5, 0.1, "out_of_reach"),
        (0.0, 0.01, 0.3, 0.9, "reached"),
        # The words agree with the probability beside them.
        (0.1, 0.01, 0.5, 0.4, "open"),
        (0.0, 0.01, 0.5, 0.3, "open"),
        (0.0, 0.01, 0.3, 0.6, "near"),
    ],
)
def test_the_pace_is_compared_with_what_the_goal_needs(
    slope: float, se: float, target: float, p: float, expected: str
) -> None:
    later = (WEEK + dt.timedelta(days=7 + 28)).isoformat()
    data: dict[str, Any] = {
        "kpis": {**GOAL, "P": p, "P_target": target, "P_horizon_date": later},
        "ability_pace": {"per_week": slope, "se": se},
    }
    found = pace(document(**data))
    assert found is not None
    assert found.needed == pytest.approx((target - 0.3) / 4)
    assert found.verdict == expected
    assert pace(document(kpis=data["kpis"])) is None
    assert "points a week" in shown(family_goal.goal(document(**data)))


def test_a_goal_in_shares_is_shown_in_percent() -> None:
    data = full_document().model_dump(by_alias=True)
    data["bayesian_growth"] |= {"score_unit": "share right", "target": 0.8, "projected": 0.7, "sigma": 0.1}
    page = shown(family_goal.goal(ReportDocument.validated(data)))
    assert "The goal is 80% by 8 Dec 2025." in page
    assert "points a week" not in page


def test_without_a_probability_the_goal_says_what_is_enough() -> None:
    assert "about 20 answers" in shown(family_goal.goal(empty_document()))
    assert "none of your own is set" in shown(family_goal.goal(document(kpis={**GOAL, "P_target_source": "default"})))


def test_a_student_without_answers_reads_since_when_and_how_to_come_back() -> None:
    assert family.coming_back(full_document()) is None
    rows = [topic_day("a", -9, 20, 12, theta_estimate=0.2, theta_sd=0.3)]
    doc = document(topic_features=rows, topic_names={"a": "Angles"}, kpis={"theta": 0.2, "S_days_silent": 14.2})
    page = shown(family.coming_back(doc))
    assert "The last answers are from Sat 25 Oct 2025." in page
    assert "The level was 520 points." in page
    assert "Angles" in page
    by_kpi = shown(family.coming_back(document(kpis={"S_days_silent": 30.5})))
    assert "The last answers are from Fri 10 Oct 2025." in by_kpi
    assert "There are no answers yet." in shown(family.coming_back(document(kpis={"S_state": "never_started"})))
