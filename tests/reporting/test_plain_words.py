"""Whatever the model layers can store has words in the report: a new method or covariate without fails here."""

from __future__ import annotations

import math
from typing import get_args

import pytest

from seedtest_analytics.assets.churn.panel import COLUMNS
from seedtest_analytics.assets.churn.scores import FAMILIES
from seedtest_analytics.reporting import model_views, plain_words, teacher_views
from seedtest_analytics.reporting.document import Effect, ModelColumn, ReportDocument
from seedtest_analytics.reporting.kpi_cards import kpi_cards
from seedtest_analytics.stats.segments import labels
from seedtest_analytics.stats.segments.features import CONTRACT_FEATURES
from seedtest_analytics.stats.survival import churn, reasons
from seedtest_analytics.stats.survival.design import DesignColumn, possible_columns
from seedtest_analytics.tables.kpis import KPI_KEYS
from tests.reporting.documents import WEEK, full, full_document

COVARIATES = tuple(dict.fromkeys((*churn.DEFAULT_COVARIATES, *COLUMNS)))
POSSIBLE = [column for covariate in COVARIATES for column in possible_columns(covariate)]
ALLOWED = {key.name: key.allowed for keys in KPI_KEYS.values() for key in keys if key.allowed}
WORDS = {
    "P_method": plain_words.GOAL_METHODS,
    "P_target_source": plain_words.GOAL_SOURCES,
    "P_horizon_source": plain_words.HORIZONS,
    "S_method": plain_words.RISK_METHODS,
    "S_state": plain_words.RISK_STATES,
}
NOT_TOLD = {"I_t_mode": "chooses between two sentences", "P_score_unit": "chooses the unit of the numbers"}


def told(column: DesignColumn) -> ModelColumn:
    return ModelColumn(
        covariate=column.covariate,
        is_missing_indicator=column.is_missing_indicator,
        is_log=column.is_log,
        bend_at=column.bend_at,
    )


def cell(part: object) -> str:
    return str(part).replace("&#95;", "_")


@pytest.mark.parametrize("column", POSSIBLE, ids=lambda column: column.name)
def test_every_column_of_the_churn_model_has_words(column: DesignColumn) -> None:
    assert told(column).name == column.name
    known = plain_words.circumstance(Effect(told(column), 1.5))
    assert known is not None, f"no words for {column.name}; add them to plain_words"
    assert column.covariate not in known[0]


@pytest.mark.parametrize("covariate", COVARIATES)
def test_every_covariate_has_a_subject_and_a_phrase_for_the_student(covariate: str) -> None:
    assert covariate in reasons.SUBJECTS
    for value in (0.0, 0.4, 3.0, math.nan):
        assert covariate not in reasons.phrase(covariate, value, typical=0.5)
    assert "_" not in reasons.phrase(covariate, 0.4, typical=0.5)


@pytest.mark.parametrize("key", sorted(ALLOWED))
def test_every_word_that_a_kpi_may_hold_has_words(key: str) -> None:
    assert key in WORDS or key in NOT_TOLD, f"say in plain_words what {key} means"
    if key in WORDS:
        assert set(WORDS[key]) == set(ALLOWED[key])


def test_every_method_of_the_churn_model_has_words() -> None:
    families = {FAMILIES.get(method, method) for method in get_args(churn.Method)}
    assert families == set(ALLOWED["S_method"]) == set(plain_words.RISK_METHODS)


@pytest.mark.parametrize("method", ALLOWED["S_method"])
def test_a_card_tells_how_the_risk_was_made(method: str) -> None:
    data = full()
    data["kpis"] = {**data["kpis"], "S_method": method}
    cards = {card.key: card for card in kpi_cards(ReportDocument.validated(data))}
    assert plain_words.RISK_METHODS[method] in cards["S"].evidence


def test_a_card_tells_that_an_earlier_fit_stands_in() -> None:
    told = "The survival model is that of an earlier week."
    data = full()
    for note in ({}, {"S_fit_note": "the churn fit of 2026-03-02 is not usable (slope 3)"}):
        data["kpis"] = {**data["kpis"], "S_method": "cox", **note}
        cards = {card.key: card for card in kpi_cards(ReportDocument.validated(data))}
        assert (told in cards["S"].evidence) == bool(note)


def test_every_label_of_a_segment_and_every_feature_reads_as_words() -> None:
    own = {labels.word(feature, side) for feature in CONTRACT_FEATURES for side in (1.0, -1.0)}
    made = {*labels.CONTRACT_RULES, *own, "average", "short_frequent_with_many_hints", "improving_2"}
    assert {*labels.CONTRACT_RULES, "average"} == set(plain_words.SEGMENTS)
    for label in made:
        assert "_" not in plain_words.segment(label)
    assert plain_words.segment("long_gaps_and_few_sessions_with_many_hints") == (
        "long gaps and few sessions, many hints"
    )
    assert set(plain_words.HABITS) == set(CONTRACT_FEATURES)


def test_twice_as_much_is_a_step_of_log_two() -> None:
    """A coefficient of 1 on log(1 + x): twice 1 + x doubles the hazard."""
    doubled = plain_words.circumstance(
        Effect(ModelColumn(covariate="sessions_28d", is_log=True), math.e, limits=(1.0, math.e**2))
    )
    assert doubled is not None
    words, effect = doubled
    assert words == "twice as many sessions in four weeks"
    assert effect.ratio == pytest.approx(2.0)
    assert effect.limits == pytest.approx((1.0, 4.0))
    legacy = Effect(ModelColumn(covariate="sessions_28d"), 1.08)
    assert plain_words.circumstance(legacy) == ("one session more in four weeks", legacy)


def test_an_effect_that_may_be_none_is_said_to_be_none() -> None:
    meta = {
        "hazard_ratios": {"A_t": 1.5, "R_t": 3.0},
        "hazard_ratio_intervals": {"A_t": [1.2, 1.9], "R_t": [0.9, 10.0]},
    }
    risk = {"churn_risk": 0.2, "fit_meta": meta}
    doc = ReportDocument.validated({"user_id": "u", "week_start": WEEK, "survival_risk": risk})
    page = cell(teacher_views.circumstances(doc))
    assert page.index("engagement") < page.index("recovery")
    assert page.count(">sooner<") == page.count(">no difference to be seen<") == 1


def test_a_factor_that_ran_away_is_cut() -> None:
    meta = {"hazard_ratios": {"A_t": 1e-9}, "hazard_ratio_intervals": {"A_t": [1e-20, 0.5]}}
    risk = {"churn_risk": 0.2, "fit_meta": meta}
    doc = ReportDocument.validated({"user_id": "u", "week_start": WEEK, "survival_risk": risk})
    assert "× under 0.01 &#40;under 0.01 to 0.50&#41;" in str(teacher_views.circumstances(doc))


def test_the_page_tells_reasons_and_circumstances_and_no_raw_name() -> None:
    page = cell(model_views.risk(full_document())) + cell(teacher_views.for_teachers(full_document()))
    assert "16 sessions in the last four weeks" in page
    assert "too few sessions in four weeks to show a rhythm" in page
    assert "74%" in page.replace("&#37;", "%")
    assert not any(column.name in page for column in POSSIBLE)


def test_a_circumstance_without_words_is_told_as_such() -> None:
    risk = {"churn_risk": 0.2, "fit_meta": {"hazard_ratios": {"moon_phase": 1.2}}}
    doc = ReportDocument.validated({"user_id": "u", "week_start": WEEK, "survival_risk": risk})
    assert "moon_phase &#40;not explained here&#41;" in cell(teacher_views.circumstances(doc))


def test_reasons_that_are_no_words_are_left_out() -> None:
    data = full()
    data["kpis"] = {**data["kpis"], "S_reasons": [None, 3, "", "Raises the risk: x"]}
    assert str(model_views.risk(ReportDocument.validated(data))).count("<li>") == 1
    data["kpis"] = {**data["kpis"], "S_reasons": "Raises"}
    assert "<li>" not in str(model_views.risk(ReportDocument.validated(data)))


@pytest.mark.parametrize(
    ("unit", "shown"),
    [
        ("logit", "Ability expected then: 0.86"),
        ("share right", "Share of right answers expected then: 86&#37;"),
    ],
)
def test_growth_speaks_in_the_unit_of_the_fit(unit: str, shown: str) -> None:
    data = full()
    data["bayesian_growth"] = {**data["bayesian_growth"], "score_unit": unit, "projected": 0.86}
    page = cell(model_views.growth(ReportDocument.validated(data))).replace("&#58;", ":")
    assert shown in page
    assert "by 8 Dec 2025" in page
