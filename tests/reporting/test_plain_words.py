"""The report has words for every value that the models can store: a new method or covariate without words fails here."""

from __future__ import annotations

import math
import re
from typing import get_args

import pytest

from seedtest_analytics.assets.churn.panel import COLUMNS
from seedtest_analytics.assets.churn.scores import FAMILIES
from seedtest_analytics.reporting import plain_words
from seedtest_analytics.reporting.document import Effect, ModelColumn
from seedtest_analytics.reporting.language import speaking
from seedtest_analytics.stats.segments import labels
from seedtest_analytics.stats.segments.features import CONTRACT_FEATURES
from seedtest_analytics.stats.survival import churn, reasons
from seedtest_analytics.stats.survival.design import DesignColumn, possible_columns
from seedtest_analytics.tables.kpis import KPI_KEYS, REQUIRED_KEYS

COVARIATES = tuple(dict.fromkeys((*churn.DEFAULT_COVARIATES, *COLUMNS)))
POSSIBLE = [column for covariate in COVARIATES for column in possible_columns(covariate)]
ALLOWED = {key.name: key.allowed for keys in KPI_KEYS.values() for key in keys if key.allowed}
WORDS = {
    "P_method": plain_words.GOAL_METHODS,
    "P_target_source": plain_words.GOAL_SOURCES,
    "P_horizon_source": plain_words.HORIZONS,
    "S_method": plain_words.RISK_METHODS,
    "S_state": plain_words.RISK_STATES,
    **dict.fromkeys(("P_verdict", "S_verdict", "theta_verdict"), plain_words.VERDICTS),
}
WITHOUT_WORDS = {
    "I_t_mode": "chooses between two sentences",
    "I_t_method": "the change means the same by both",
    "P_score_unit": "chooses the unit of the numbers",
    "theta_method": "the ability means the same by each",
}


def stored(column: DesignColumn) -> ModelColumn:
    return ModelColumn(
        covariate=column.covariate,
        is_missing_indicator=column.is_missing_indicator,
        is_log=column.is_log,
        bend_at=column.bend_at,
    )


@pytest.mark.parametrize("column", POSSIBLE, ids=lambda column: column.name)
def test_every_column_of_the_churn_model_has_words(column: DesignColumn) -> None:
    assert stored(column).name == column.name
    known = plain_words.circumstance(Effect(stored(column), 1.5))
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
    if key.endswith("_reason_code"):
        return
    assert key in WORDS or key in WITHOUT_WORDS, f"say in plain_words what {key} means"
    if key in WORDS:
        assert set(WORDS[key]) == set(ALLOWED[key])


def test_every_code_of_a_missing_kpi_has_words_and_every_kpi_says_what_is_enough() -> None:
    codes = {code for key, allowed in ALLOWED.items() if key.endswith("_reason_code") for code in allowed}
    assert codes == set(plain_words.KPI_REASONS)
    assert set(plain_words.ENOUGH) == set(REQUIRED_KEYS)


@pytest.mark.parametrize("covariate", COVARIATES)
def test_a_code_of_a_reason_reads_as_the_stored_sentence(covariate: str) -> None:
    for value, raises in ((0.4, True), (1.0, False), (12.0 if "days" in covariate else 0.6, True), (math.nan, True)):
        part = reasons.Part(covariate, value, typical=0.5, log_hazard=-1.0 if raises else 1.0)
        stored_words = reasons.phrase(covariate, value, typical=0.5)
        known = None if math.isnan(value) else value
        code = {"raises_risk": raises, "parts": [{"covariate": part.covariate, "value": known, "typical": 0.5}]}
        start = "Raises" if raises else "Lowers"
        if covariate in reasons.MISSING or known is not None:
            assert plain_words.churn_reason(code) == f"{start} the risk: {stored_words}"


def test_every_method_of_the_churn_model_has_words() -> None:
    families = {FAMILIES.get(method, method) for method in get_args(churn.Method)}
    assert families == set(ALLOWED["S_method"]) == set(plain_words.RISK_METHODS)


def test_every_label_of_a_segment_and_every_feature_reads_as_words() -> None:
    own = {labels.word(feature, side) for feature in CONTRACT_FEATURES for side in (1.0, -1.0)}
    made = {*labels.CONTRACT_RULES, *own, "average", "short_frequent_with_many_hints", "improving_2"}
    assert {*labels.CONTRACT_RULES, "average", *own} == set(plain_words.SEGMENTS)
    with speaking("ko"):
        for label in made:
            assert not re.search("[a-z_]", plain_words.segment(label).replace("2", ""))
    assert plain_words.segment("long_gaps_and_few_sessions_with_many_hints") == ("long gaps, few sessions, many hints")
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


@pytest.mark.parametrize(
    ("feature", "value", "shown"),
    [
        ("efficiency", 0.2, "20%"),
        ("engagement", 0.57, "57 of 100"),
        ("improvement", 0.1, "+0.10"),
        ("avg_rt", 31_000.0, "31\u00a0s"),
        ("gap", 1.8, "1.8 days"),
        ("total_attempts", 1234.0, "1,234"),
        ("sessions", 15.5, "15.5"),
    ],
)
def test_a_habit_has_its_unit(feature: str, value: float, shown: str) -> None:
    assert plain_words.HABITS[feature][1](value) == shown


def test_a_bend_and_an_unknown_covariate() -> None:
    bend = Effect(ModelColumn(covariate="days_since_last", bend_at=28.0), 0.9)
    assert plain_words.circumstance(bend) == ("one day more of silence, on top of that beyond 28 days", bend)
    for column in (ModelColumn(covariate="moon"), ModelColumn(covariate="moon", is_missing_indicator=True)):
        assert plain_words.circumstance(Effect(column, 1.5)) is None
