"""The rules of the advice: each needs evidence and speaks at its threshold."""

from __future__ import annotations

from typing import Any

from seedtest_analytics.reporting import views
from seedtest_analytics.reporting.document import ReportDocument
from seedtest_analytics.reporting.recommendations import recommendations
from tests.reporting.documents import document, empty_document, full_document, topic_day


def rules(doc: ReportDocument) -> list[str]:
    return [r.rule for r in recommendations(doc)]


def test_advice_of_the_full_document() -> None:
    assert rules(full_document()) == ["weak_topic", "explain_mistakes", "ability_rose", "slower", "strong_topic"]


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


def test_where_questions_do_not_return_nobody_is_asked_to_try_one_again() -> None:
    answers = [topic_day("a", 0, 10, 7)]
    wrong = {"R_t": None, "R_t_n_wrong": 9, "R_t_n_met_again": 0}
    by_topic = {**wrong, "R_t_topic": 0.4, "R_t_topic_n": 8}
    for share, kpis, expected in (
        (0.3, wrong, ["retry_mistakes"]),
        (0.0, wrong, []),
        (0.0, by_topic, ["topics_of_mistakes"]),
        (0.0, {**by_topic, "R_t_topic": 0.6}, []),
    ):
        assert rules(document(kpis=kpis, topic_features=answers, repeated_share=share)) == expected


def test_high_risk_is_never_praised() -> None:
    advice = recommendations(document(kpis={"S": 0.9}, topic_features=[topic_day("a", 0, 3, 2)]))
    assert [(a.rule, a.tone) for a in advice] == [("high_risk", "note")]
