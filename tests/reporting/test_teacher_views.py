"""The part for teachers: questions, habits, circumstances and the whole group."""

from __future__ import annotations

import html

from seedtest_analytics.assets.churn.panel import COLUMNS
from seedtest_analytics.reporting import model_views, teacher_views
from seedtest_analytics.stats.survival import churn
from seedtest_analytics.stats.survival.design import possible_columns
from tests.reporting.documents import WEEK, document, full_document

COVARIATES = {*churn.DEFAULT_COVARIATES, *COLUMNS}
RAW_NAMES = [column.name for covariate in COVARIATES for column in possible_columns(covariate)]


def cell(part: object) -> str:
    return html.unescape(str(part))


def test_forecast_is_said_to_be_the_group() -> None:
    assert "not about this student" in str(teacher_views.forecast(full_document()))


def test_an_effect_that_may_be_none_is_said_to_be_none() -> None:
    meta = {
        "hazard_ratios": {"A_t": 1.5, "R_t": 3.0},
        "hazard_ratio_intervals": {"A_t": [1.2, 1.9], "R_t": [0.9, 10.0]},
    }
    risk = {"churn_risk": 0.2, "fit_meta": meta}
    doc = document(survival_risk=risk)
    page = cell(teacher_views.circumstances(doc))
    assert page.index("engagement") < page.index("recovery")
    assert page.count(">sooner<") == page.count(">no difference to be seen<") == 1


def test_a_factor_that_ran_away_is_cut() -> None:
    meta = {"hazard_ratios": {"A_t": 1e-9}, "hazard_ratio_intervals": {"A_t": [1e-20, 0.5]}}
    risk = {"churn_risk": 0.2, "fit_meta": meta}
    doc = document(survival_risk=risk)
    assert "× under 0.01 (under 0.01 to 0.50)" in cell(teacher_views.circumstances(doc))


def test_the_page_tells_reasons_and_circumstances_and_no_raw_name() -> None:
    page = cell(model_views.risk(full_document())) + cell(teacher_views.for_teachers(full_document()))
    assert "16 sessions in the last four weeks" in page
    assert "too few sessions in four weeks to show a rhythm" in page
    assert "74%" in page
    assert not any(name in page for name in RAW_NAMES)


def test_a_circumstance_without_words_is_told_as_such() -> None:
    risk = {"churn_risk": 0.2, "fit_meta": {"hazard_ratios": {"moon_phase": 1.2}}}
    doc = document(survival_risk=risk)
    assert "moon_phase (not explained here)" in cell(teacher_views.circumstances(doc))


def test_questions_are_counted_beside_the_ability() -> None:
    items = [{"item_id": str(i), "difficulty": b} for i, b in enumerate((-2.0, -0.5, 0.0, 0.5, 2.0, 90.0))]
    trend = [{"date": WEEK, "theta": 0.0}]
    page = cell(teacher_views.questions(document(item_params=items, ability_trend=trend)))
    assert "Of 6 questions, 3 were about right for this ability, 1 easy and 2 hard." in page
    assert "difficulties from −2.0 to 6.0" in page
    assert teacher_views.questions(document(item_params=items[:4])) is None
    assert "about right" not in cell(teacher_views.questions(document(item_params=items)))


def test_habits_have_units_and_unknown_features_are_left_out() -> None:
    segment = {
        "segment_label": "efficient",
        "centre": {"gap": 2.5},
        "n_segments": 3,
        "features_snapshot": {"gap": 1.8, "odd": 1, "sessions": None},
    }
    page = cell(teacher_views.habits(document(user_segment=segment)))
    assert "<bdi>getting faster, few hints</bdi>" in page
    assert page.count("<tr") == 2
    assert "1.8 days" in page
    assert "2.5 days" in page
    assert "<table" not in str(teacher_views.habits(document(user_segment={"segment_label": "average"})))


def test_one_group_is_no_group_and_an_unstable_one_is_not_shown() -> None:
    for known, is_shown in (
        ({"n_segments": 1}, False),
        ({"n_segments": 3, "jaccard": 0.5}, False),
        ({"n_segments": 3, "jaccard": 0.9}, True),
    ):
        made = teacher_views.habits(document(user_segment={"segment_label": "hint_heavy", **known}))
        assert (made is not None) == is_shown


def test_unusual_weeks_are_listed_by_their_distance() -> None:
    weeks = [
        {"week": WEEK, "score": None, "anomaly_score": 2.1},
        {"week": WEEK, "score": 0.1, "anomaly_score": -3.2},
        {"week": WEEK},
    ]
    page = cell(teacher_views.forecast(document(prophet_forecast={"anomalies": weeks})))
    assert page.index("−3.2 SD") < page.index("+2.1 SD")
    assert page.count("<tr") == 3
    assert teacher_views.forecast(document(prophet_forecast={})) is None
