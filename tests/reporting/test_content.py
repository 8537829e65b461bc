"""What a report says: totals, KPI cards, advice, wording, escaping."""

from __future__ import annotations

import datetime as dt
import html
import math
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from seedtest_analytics.reporting import charts, model_views, teacher_views, views, wording
from seedtest_analytics.reporting.document import KPI_RANGES, ReportDocument, ReportDocumentError
from seedtest_analytics.reporting.html import name, text
from seedtest_analytics.reporting.kpi_cards import kpi_cards, risk_word
from seedtest_analytics.reporting.recommendations import recommendations
from seedtest_analytics.reporting.summary import (
    Tally,
    daily_tallies,
    topic_summaries,
    week_tally,
    weekly_tallies,
    wilson_interval,
)
from seedtest_analytics.tables.kpis import KPI_KEYS
from tests.reporting.documents import FULL_KPIS, WEEK, empty_document, full_document


def document(**parts: Any) -> ReportDocument:
    return ReportDocument.validated({"user_id": "u", "week_start": WEEK, **parts})


def topic_day(topic: str, day: int, attempts: int, correct: int, **more: Any) -> dict[str, Any]:
    date = WEEK + dt.timedelta(days=day)
    return {"topic_id": topic, "date": date, "attempts": attempts, "correct": correct, **more}


def rules(doc: ReportDocument) -> list[str]:
    return [r.rule for r in recommendations(doc)]


# --- the document -------------------------------------------------------------------------------------------


def test_document_survives_its_data_file() -> None:
    doc = full_document()
    assert ReportDocument.from_json(doc.to_json()) == doc
    assert b'"_run_id":"irt-1"' in doc.to_json()


def test_database_types_are_taken_and_nan_is_missing() -> None:
    row = topic_day("a", 0, 3, 2, theta_estimate=Decimal("0.125"), rt_median=float("nan"))
    doc = document(topic_features=[row], kpis={"I_t": math.nan, "P": 0.5})
    assert doc.topic_features[0].theta_estimate == 0.125
    assert doc.topic_features[0].rt_median is None
    assert doc.kpi("I_t") is None
    assert doc.kpi("P") == 0.5


@pytest.mark.parametrize(
    ("parts", "named"),
    [
        ({"week_start": dt.date(2025, 11, 4)}, "Monday"),
        ({"kpis": {"P": 1.2}}, "P must be null or a number from 0 to 1"),
        ({"kpis": {"S": "secret-value"}}, "S must be"),
        ({"topic_features": [topic_day("secret-value", 0, 2, 3)]}, "more right answers than attempts"),
        ({"unknown_part": "secret-value"}, "unknown_part"),
        ({"user_id": ""}, "user_id"),
    ],
)
def test_wrong_data_is_named_and_not_quoted(parts: dict[str, Any], named: str) -> None:
    with pytest.raises(ReportDocumentError, match=named) as caught:
        document(**parts)
    assert "secret-value" not in str(caught.value)


# --- totals -------------------------------------------------------------------------------------------------


def test_totals_cut_at_the_week_and_know_every_day() -> None:
    rows = [
        topic_day("a", -7, 4, 1),
        topic_day("a", 0, 3, 2),
        topic_day("b", 0, 2, 2),
        topic_day("b", 6, 5, 0),
        topic_day("b", 7, 100, 100),  # the week after: not in this report
    ]
    doc = document(topic_features=rows)
    assert week_tally(doc) == Tally(10, 4)
    assert [t.attempts for _, t in daily_tallies(doc)] == [5, 0, 0, 0, 0, 0, 5]
    assert [(s.topic_id, s.week, s.period) for s in topic_summaries(doc)] == [
        ("b", Tally(7, 2), Tally(7, 2)),
        ("a", Tally(3, 2), Tally(7, 3)),
    ]
    assert [m for m, _ in weekly_tallies(doc.topic_features[:4])] == [WEEK - dt.timedelta(7), WEEK]


def test_wilson_interval_agrees_with_published_values() -> None:
    """Newcombe 1998 (Statistics in Medicine 17:857-872), table I, method 3."""
    for (correct, n), expected in {
        (81, 263): (0.2553, 0.3662),
        (15, 148): (0.0624, 0.1605),
        (0, 20): (0.0, 0.1611),
        (1, 29): (0.0061, 0.1718),
    }.items():
        assert wilson_interval(correct, n) == pytest.approx(expected, abs=5e-5)
    assert wilson_interval(0, 0) == (0.0, 1.0)


def test_typical_time_weighs_days_by_answers() -> None:
    rows = [
        topic_day("a", 0, 1, 1, rt_median=10_000),
        topic_day("a", 1, 3, 1, rt_median=30_000),
        topic_day("a", 2, 9, 9),
    ]
    assert topic_summaries(document(topic_features=rows))[0].typical_time_ms == 25_000


# --- KPI cards ----------------------------------------------------------------------------------------------


def test_kpi_names_are_what_they_measure() -> None:
    titles = {card.key: card.title for card in kpi_cards(full_document())}
    assert titles == {
        "I_t": "Improvement",
        "E_t": "Efficiency",
        "R_t": "Recovery",
        "A_t": "Engagement",
        "P": "Goal probability",
        "S": "Risk of a pause",
    }


def test_every_key_that_cards_read_is_one_that_the_assets_write() -> None:
    written = {key.name: key for keys in KPI_KEYS.values() for key in keys}
    assert set(FULL_KPIS) <= set(written)
    for name_, (low, high) in KPI_RANGES.items():
        assert (written[name_].minimum, written[name_].maximum or math.inf) == (low, high)


def test_cards_state_evidence_interval_and_method() -> None:
    cards = {card.key: card for card in kpi_cards(full_document())}
    assert cards["I_t"].evidence[0] == "From 96 answers in the last 14 days and 88 in the 14 days before."
    assert cards["I_t"].evidence[1] == "Ability changed by +0.31 logit (95% interval 0.04 to 0.58)."
    assert cards["E_t"].headline == "Not faster"
    assert "rose by 29%" in cards["E_t"].evidence[0]
    assert (cards["P"].lower, cards["P"].upper) == (0.48, 0.74)
    assert "further growth is not assumed" in cards["P"].evidence[-1]
    assert cards["S"].headline == "11% · low"
    assert "low is good" in cards["S"].meaning
    assert cards["P"].history[-1] == 0.62


def test_a_missing_kpi_gives_its_reason_and_no_number() -> None:
    cards = {c.key: c for c in kpi_cards(document(kpis={"R_t": None, "R_t_reason": "no item was wrong"}))}
    assert cards["R_t"].headline == "Not enough data"
    assert cards["R_t"].reason == "no item was wrong"
    assert all(card.value is None and card.reason for card in cards.values())


def test_high_risk_is_never_praised() -> None:
    assert [risk_word(r) for r in (0.0, 0.29, 0.3, 0.69, 0.7, 1.0)] == [
        "low",
        "low",
        "medium",
        "medium",
        "high",
        "high",
    ]
    advice = recommendations(document(kpis={"S": 0.9}, topic_features=[topic_day("a", 0, 3, 2)]))
    assert [(a.rule, a.tone) for a in advice] == [("high_risk", "note")]


# --- advice -------------------------------------------------------------------------------------------------


def test_advice_of_the_full_document() -> None:
    assert rules(full_document()) == [
        "weak_topic",
        "explain_mistakes",
        "ability_rose",
        "slower",
        "strong_topic",
    ]


def test_no_advice_where_nothing_stands_out() -> None:
    doc = document(kpis={"P": 0.8, "S": 0.1}, topic_features=[topic_day("a", 0, 10, 7), topic_day("b", 1, 10, 6)])
    assert rules(doc) == []
    assert "Nothing stands out" in str(views.advice(doc))


def test_weak_topic_needs_evidence() -> None:
    strong = topic_day("good", 0, 40, 34)
    assert rules(document(topic_features=[strong, topic_day("weak", 0, 7, 1)])) == []  # too few answers
    assert rules(document(topic_features=[strong, topic_day("weak", 0, 20, 14)])) == []  # within chance
    found = recommendations(document(topic_features=[strong, topic_day("weak", 0, 20, 6)]))
    assert [r.rule for r in found] == ["weak_topic"]
    assert "6 of 20 right (likely 15 to 52%), against 85% in the other topics." in found[0].because


def test_only_one_weak_topic_comes_first() -> None:
    rows = [topic_day("good", 0, 60, 54), topic_day("a", 0, 20, 4), topic_day("b", 0, 20, 5)]
    advice = [r.advice for r in recommendations(document(topic_features=rows)) if r.rule == "weak_topic"]
    assert advice == ["Work on <bdi>a</bdi> first.", "Then work on <bdi>b</bdi>."]


def test_change_within_chance_is_not_advice() -> None:
    answers = [topic_day("a", 0, 10, 7)]
    for delta, se, expected in ((0.2, 0.2, []), (0.5, 0.2, ["ability_rose"]), (-0.5, 0.2, ["ability_fell"])):
        assert rules(document(kpis={"delta_theta": delta, "delta_theta_se": se}, topic_features=answers)) == expected


def test_each_remaining_rule_speaks_at_its_threshold() -> None:
    answers = [topic_day("a", 0, 10, 7)]
    cases: list[tuple[dict[str, Any], list[str]]] = [
        ({"R_t": None, "R_t_n_wrong": 5, "R_t_n_met_again": 0}, ["retry_mistakes"]),
        ({"R_t": None, "R_t_n_wrong": 4, "R_t_n_met_again": 0}, []),
        ({"R_t": 0.4, "R_t_n_wrong": 9, "R_t_n_met_again": 4}, []),
        ({"sessions": 4, "mean_gap": 5.1}, ["shorter_gaps"]),
        ({"sessions": 4, "mean_gap": 5.0}, []),
        ({"P": 0.39}, ["goal_ahead"]),
        ({"P": 0.39, "P_upper": 0.6}, []),
        ({"P": 0.39, "P_target_source": "default"}, []),
        ({"E_t_change": -0.25, "E_t_n_recent": 10, "E_t_n_previous": 9}, []),
    ]
    for kpis, expected in cases:
        assert rules(document(kpis=kpis, topic_features=answers)) == expected, kpis
    assert rules(empty_document()) == ["no_answers"]


# --- wording and escaping -----------------------------------------------------------------------------------


def test_wording() -> None:
    assert wording.week(WEEK) == "Mon 3 Nov – Sun 9 Nov 2025"
    assert wording.week(dt.date(2025, 12, 29)) == "Mon 29 Dec 2025 – Sun 4 Jan 2026"
    assert [wording.percent(v) for v in (0, 0.004, 0.5, 0.996, 1)] == [
        "0%",
        "under 1%",
        "50%",
        "over 99%",
        "100%",
    ]
    assert [wording.signed(v) for v in (-0.004, 0.004, 0.21, -0.21)] == ["0.00", "0.00", "+0.21", "−0.21"]
    assert wording.count(1, "answer") == "1 answer"
    assert wording.seconds(125_000) == "2\u00a0min 05\u00a0s"


@given(st.text(max_size=150))
def test_text_is_inert_and_loses_nothing_visible(raw: str) -> None:
    shown = text(raw)
    assert not set(shown) & set("<>\"'`{}[]$@\\*_|~")
    assert not any(c in shown for c in "\u202a\u202e\u2066\x00\n\r")
    visible = "".join(c for c in raw if not text(c).startswith("&#91;U"))
    assert html.unescape(text(visible)) == visible


def test_names_are_isolated_and_cut() -> None:
    assert name("a\u202eb") == "<bdi>a&#91;U&#43;202E&#93;b</bdi>"
    assert len(html.unescape(text("x" * 5000))) == 200


# --- charts -------------------------------------------------------------------------------------------------


def test_charts_draw_single_points_and_gaps() -> None:
    one = [charts.TrendPoint(WEEK, 0.4, lower=0.1, upper=0.7)]
    assert "whisker" in charts.trend(one, "t", description="d", style=charts.TrendStyle())
    gap = [
        charts.TrendPoint(WEEK + dt.timedelta(i), 0.1 * i, *((0.0, 1.0) if i != 2 else (None, None))) for i in range(5)
    ]
    assert charts.trend(gap, "t", description="d", style=charts.TrendStyle()).count("<polygon") == 2


@given(st.floats(-1e3, 1e3), st.floats(0, 1e3), st.integers(2, 8))
def test_ticks_cover_and_are_few(low: float, span: float, wanted: int) -> None:
    found = charts.ticks(low, low + span, wanted=wanted)
    assert found[0] <= low + 1e-6 * max(1, abs(low), span)
    assert found[-1] >= low + span - 1e-6 * max(1, abs(low), span)
    assert 2 <= len(found) <= wanted + 2


def test_forecast_is_said_to_be_the_group() -> None:
    assert "not about this student" in str(teacher_views.forecast(full_document()))


def test_model_parts_are_absent_without_their_data() -> None:
    doc = empty_document()
    assert [view(doc) for view in (model_views.growth, model_views.risk, teacher_views.for_teachers)] == [None] * 3


def test_a_change_that_chance_explains_is_said_to_be_one() -> None:
    kpis = {"I_t": 0.3, "I_t_mode": "theta", "delta_theta": 1.1}
    for se, expected in ((0.8, True), (0.2, False)):
        cards = {c.key: c for c in kpi_cards(document(kpis={**kpis, "delta_theta_se": se}))}
        assert ("Chance alone can do that." in cards["I_t"].evidence[-1]) == expected


def test_who_was_last_estimated_long_ago_is_told_so() -> None:
    shown = str(views.ability(document(kpis={"theta": 0.4, "theta_n_answers": 1})))
    assert html.unescape(shown).endswith("The last one known is 0.40, from 1 answer.</p>")


def test_topics_have_a_column_of_abilities_only_where_one_is_known() -> None:
    assert views.topics(document()) is None
    assert "Ability" not in str(views.topics(document(topic_features=[topic_day("a", 0, 3, 2)])))
    known = [topic_day("a", 0, 3, 2, theta_estimate=0.2, theta_sd=0.3), topic_day("b", 0, 3, 2)]
    assert str(views.topics(document(topic_features=known))).count("Ability") == 3


def test_labels_of_a_fine_scale_differ() -> None:
    points = [charts.TrendPoint(WEEK, 0.005), charts.TrendPoint(WEEK + dt.timedelta(7), 0.03)]
    drawn = charts.trend(points, "t", description="d", style=charts.TrendStyle())
    assert all(html.escape(level) in drawn for level in ("0.010", "0.015", "0.020"))
