"""The KPI cards: titles, evidence, intervals, reasons and history."""

from __future__ import annotations

import datetime as dt

import pytest

from seedtest_analytics.reporting import plain_words
from seedtest_analytics.reporting.document import ReportDocument
from seedtest_analytics.reporting.kpi_cards import delta_interval, kpi_cards, risk_word
from seedtest_analytics.stats.verification.verdict_words import BASE_RATE, WITHHELD
from seedtest_analytics.tables.kpis import KPI_KEYS
from tests.reporting.documents import WEEK, document, full, full_document

ALLOWED = {key.name: key.allowed for keys in KPI_KEYS.values() for key in keys if key.allowed}


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


def test_cards_state_evidence_interval_and_method() -> None:
    cards = {card.key: card for card in kpi_cards(full_document())}
    assert cards["I_t"].evidence[0] == "From 96 answers in the last 14 days and 88 in the 14 days before."
    assert cards["I_t"].evidence[1] == "Ability changed by +0.31 logit (95% interval 0.04 to 0.58)."
    assert cards["E_t"].headline == "Not faster"
    assert "rose by 29%" in cards["E_t"].evidence[0]
    assert cards["P"].limits == (0.51, 0.79)
    assert "projects this student's own pace" in cards["P"].evidence[-1]
    assert cards["S"].headline == "11% · low"
    assert "low is good" in cards["S"].meaning
    assert cards["P"].history[-1] == 0.66


def test_the_goal_says_what_it_assumes_and_how_old_its_evidence_is() -> None:
    normal = {"P": 0.4, "P_method": "normal", "theta_n_answers": 12}
    bayesian = {"P_method": "bayesian", "P_assumption": "practice continues"}
    for kpis, said, age in (
        (
            bayesian,
            "From the growth model, which projects this student's own pace to the goal date, if practice",
            False,
        ),
        ({}, "further growth is not assumed", False),
        ({"P_assumption": "practice continues"}, "if practice continues", False),
        ({"theta_answered_at": (WEEK - dt.timedelta(days=30)).isoformat()}, "further growth is not assumed", True),
    ):
        (card,) = [c for c in kpi_cards(document(kpis={**normal, **kpis})) if c.key == "P"]
        assert any(said in line for line in card.evidence)
        assert any("36 days old" in line for line in card.evidence) == age


def test_a_missing_kpi_gives_its_reason_and_no_number() -> None:
    kpis = {"R_t": None, "R_t_reason": "no item was wrong", "A_t_reason": "x", "A_t_reason_code": "no_attempts_28d"}
    cards = {c.key: c for c in kpi_cards(document(kpis=kpis))}
    assert cards["R_t"].headline == "Not enough data yet"
    assert cards["R_t"].reason == "No item was wrong. One question that went wrong and comes up again is enough."
    assert cards["A_t"].reason == "There is no attempt in the last 28 days. One session is enough."
    assert all(card.value is None and card.reason for card in cards.values())


def test_a_change_that_chance_explains_is_said_to_be_one() -> None:
    kpis = {"I_t": 0.3, "I_t_mode": "theta", "delta_theta": 1.1}
    for se, expected in ((0.8, True), (0.2, False)):
        cards = {c.key: c for c in kpi_cards(document(kpis={**kpis, "delta_theta_se": se}))}
        assert ("Chance alone can do that." in cards["I_t"].evidence[-1]) == expected


@pytest.mark.parametrize("method", ALLOWED["S_method"])
def test_a_card_tells_how_the_risk_was_made(method: str) -> None:
    data = full()
    data["kpis"] = {**data["kpis"], "S_method": method}
    cards = {card.key: card for card in kpi_cards(ReportDocument.validated(data))}
    assert plain_words.RISK_METHODS[method] in cards["S"].evidence


@pytest.mark.parametrize("verdict", [BASE_RATE, WITHHELD])
def test_no_method_is_told_where_no_model_made_the_number(verdict: str) -> None:
    """The share of all students projects nobody's own pace."""
    data = full()
    data["kpis"] = {**data["kpis"], **dict.fromkeys(("P_verdict", "S_verdict"), verdict), "S_method_reason": "no fit"}
    cards = {card.key: card for card in kpi_cards(ReportDocument.validated(data))}
    told = [*plain_words.GOAL_METHODS.values(), *plain_words.RISK_METHODS.values(), "growth model", "survival model"]
    evidence = " ".join((*cards["P"].evidence, *cards["S"].evidence))
    assert [words for words in told if words.split("{")[0] in evidence] == []
    assert ("The share of all students" in evidence) == (verdict == BASE_RATE)


def test_a_card_tells_that_an_earlier_fit_stands_in() -> None:
    shown = "The survival model is that of an earlier week."
    data = full()
    for note in ({}, {"S_fit_note": "the churn fit of 2026-03-02 is not usable (slope 3)"}):
        data["kpis"] = {**data["kpis"], "S_method": "cox", **note}
        cards = {card.key: card for card in kpi_cards(ReportDocument.validated(data))}
        assert (shown in cards["S"].evidence) == bool(note)


def test_risk_words_change_at_the_cuts() -> None:
    words = [risk_word(r) for r in (0.0, 0.29, 0.3, 0.69, 0.7, 1.0)]
    assert words == ["low", "low", "medium", "medium", "high", "high"]


def test_the_interval_of_a_change_needs_its_standard_error() -> None:
    assert delta_interval(document(kpis={"delta_theta": 0.5})) is None
    assert delta_interval(document(kpis={"delta_theta": 0.5, "delta_theta_se": 0.25})) == pytest.approx(
        (0.01, 0.99), abs=1e-4
    )


def test_a_history_has_three_values_or_more() -> None:
    weeks = [{"week_start": WEEK - dt.timedelta(weeks=w), "kpis": {"R_t": w / 10, "A_t": None}} for w in (-1, 1, 2)]
    cards = {c.key: c for c in kpi_cards(document(kpis={"R_t": 0.5, "A_t": 0.5}, kpi_history=weeks))}
    assert (cards["R_t"].history, cards["A_t"].history) == ((0.2, 0.1, 0.5), ())


def test_evidence_of_engagement_names_what_is_assumed() -> None:
    kpis = {"sessions": 1, "A_t_n_attempts": 9, "mean_gap": 2.04, "A_t_assumed": ["gap", "hints", "other"]}
    cards = {c.key: c for c in kpi_cards(document(kpis=kpis))}
    assert cards["A_t"].evidence == (
        "From 1 session with 9 attempts in 28 days.",
        "On average 2.0 days from one session to the next.",
        "Not recorded and counted as middling: time between sessions, hints.",
    )


def test_evidence_of_the_risk_says_when_the_student_was_last_active() -> None:
    for silent, shown in ((0.9, "less than a day before"), (1.9, "1 day before"), (20.0, "20 days before")):
        cards = {c.key: c for c in kpi_cards(document(kpis={"S_days_silent": silent, "S_n_sessions": 3}))}
        assert cards["S"].evidence == (f"Last active {shown} the end of the week. 3 sessions in 56 days.",)
