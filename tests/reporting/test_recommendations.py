"""The rules of the advice: each needs evidence and speaks at its threshold."""

from __future__ import annotations

import html
from typing import Any

import numpy as np
import pytest

from seedtest_analytics.reporting import advice_words
from seedtest_analytics.reporting import recommendations as rules_module
from seedtest_analytics.reporting.document import ReportDocument
from seedtest_analytics.reporting.language import speaking
from seedtest_analytics.reporting.message_rules import RULES, Evidence
from seedtest_analytics.reporting.recommendations import HELP_RULES, family_recommendations, needs_help, recommendations
from seedtest_analytics.reporting.topic_rules import TopicTally
from tests.reporting.documents import document, empty_document, full_document, topic_day


def rules(doc: ReportDocument) -> list[str]:
    return [r.rule for r in recommendations(doc)]


def shown(doc: ReportDocument) -> str:
    return html.unescape(str(advice_words.advice(doc)))


def met(*difficulties: float) -> list[dict[str, Any]]:
    return [{"item_id": str(i), "difficulty": b} for i, b in enumerate(difficulties)]


def able(theta: float) -> list[dict[str, Any]]:
    return [{"date": "2025-11-09", "theta": theta, "se": 0.3}]


ENOUGH = [topic_day("a", 0, 12, 9), topic_day("b", 1, 12, 8)]


def test_advice_of_the_full_document() -> None:
    assert rules(full_document()) == [
        "weak_topic",
        "begun_topic",
        "explain_mistakes",
        "slower",
        "ability_rose",
        "strong_topic",
    ]


def test_no_advice_where_nothing_stands_out() -> None:
    doc = document(kpis={"P": 0.8, "S": 0.1}, topic_features=ENOUGH)
    assert rules(doc) == []
    assert "Nothing stands out" in shown(doc)
    assert not needs_help(doc)


def test_weak_topic_needs_evidence() -> None:
    strong = topic_day("good", 0, 40, 34)
    assert rules(document(topic_features=[strong, topic_day("weak", 0, 7, 1)])) == []  # too few answers
    assert rules(document(topic_features=[strong, topic_day("weak", 0, 20, 14)])) == []  # within chance
    doc = document(topic_features=[strong, topic_day("weak", 0, 20, 6)])
    assert rules(doc) == ["weak_topic"]
    assert "6 of 20 right (likely 15 to 52%). In the other topics it is 85%." in shown(doc)


def test_a_topic_that_has_only_begun_is_named_by_its_name() -> None:
    rows = [topic_day("t-1", 0, 20, 14, theta_estimate=-0.4, theta_sd=0.3), topic_day("t-2", 0, 20, 14)]
    doc = document(topic_features=rows, topic_names={"t-1": "Fractions"})
    assert rules(doc) == ["begun_topic"]
    assert "Practise the basics of <bdi>Fractions</bdi>." in shown(doc)
    assert "14 of 20 right; about 40 of 100 questions of middle difficulty would be right." in shown(doc)


@pytest.mark.parametrize(
    ("difficulties", "expected"),
    [
        ([2.0] * 5 + [0.0] * 5, ["too_hard"]),
        ([-2.0] * 5 + [0.0] * 5, ["too_easy"]),
        ([-2.0] * 3 + [2.0] * 3 + [0.0] * 4, ["uneven"]),
        ([-2.0] * 3 + [2.0] * 2 + [0.0] * 5, []),
        ([2.0] * 9, []),  # too few questions
    ],
)
def test_the_difficulty_of_the_questions_is_looked_at(difficulties: list[float], expected: list[str]) -> None:
    doc = document(item_params=met(*difficulties), ability_trend=able(0.0), topic_features=ENOUGH)
    assert rules(doc) == expected


def test_low_accuracy_and_a_low_level_are_looked_at() -> None:
    assert rules(document(topic_features=[topic_day(t, 0, 7, 3) for t in "abc"])) == ["low_accuracy"]
    assert rules(document(topic_features=[topic_day("a", 0, 7, 0)])) == ["more_answers"]
    assert rules(document(topic_features=ENOUGH, ability_trend=able(-0.51))) == ["basics"]
    assert rules(document(topic_features=ENOUGH, ability_trend=able(-0.49))) == []


def test_where_the_next_answer_is_known_it_decides_and_not_the_share_right() -> None:
    """Two topics with the same share right, one of which has harder questions to come; and the methods are named."""
    rows = [topic_day("a", 0, 20, 14), topic_day("b", 1, 20, 14)]
    assert rules(document(topic_features=rows)) == []
    doc = document(topic_features=rows, next_right={"a": 0.55, "b": 0.66})
    assert rules(doc) == ["weak_topic"]
    (made,) = recommendations(doc)
    assert made.values["method"] == "next_answer"
    assert "14 of 20 right in four weeks. Of the next 100 questions in this topic, about 55 would be right." in shown(
        doc
    )
    assert "In the other topics it is about 66 of 100." in shown(doc)
    assert rules(document(topic_features=rows, next_right={"a": 0.57, "b": 0.66})) == []
    assert rules(document(topic_features=rows, next_right={"a": 0.49, "b": 0.58})) == ["begun_topic"]
    low = document(topic_features=rows, next_right={"a": 0.45, "b": 0.45})
    assert rules(low) == ["begun_topic", "begun_topic", "low_accuracy"]
    assert needs_help(low)
    assert rules(document(topic_features=[topic_day(t, 0, 7, 3) for t in "abc"], next_right={"a": 0.6})) == []
    assert rules(document(topic_features=rows, next_right={"a": 0.86, "b": 0.8})) == ["strong_topic"]
    (other,) = recommendations(document(topic_features=[topic_day("a", 0, 40, 34), topic_day("b", 0, 20, 6)]))
    assert other.values["method"] == "share_right"


def test_the_weekly_sentence_and_the_report_agree_on_who_needs_help() -> None:
    """Both read `topic_rules`, with the probability of the next answer and without."""
    for counts in ([(30, 9), (20, 12)], [(30, 20), (20, 12)], [(4, 0), (5, 0)]):
        for known in ({}, {"t0": 0.3, "t1": 0.5}, {"t0": 0.7, "t1": 0.5}):
            rows = [topic_day(f"t{k}", 0, n, c) for k, (n, c) in enumerate(counts)]
            said = "low_accuracy" in rules(document(topic_features=rows, next_right=known))
            topics = tuple(
                TopicTally(f"t{k}", n, correct=c, next_right=known.get(f"t{k}")) for k, (n, c) in enumerate(counts)
            )
            answers, correct = (sum(column) for column in zip(*counts, strict=True))
            evidence = Evidence(answers=answers, answers_4w=answers, correct_4w=correct, topics=topics)
            assert (RULES["low_accuracy"](evidence) is not None) == said


def test_absence_is_looked_at() -> None:
    before = [topic_day("a", -7 * week, 40, 30) for week in (1, 2, 3)]
    assert rules(document(topic_features=[*before, topic_day("a", 0, 20, 15)])) == ["practice_dropped"]
    assert rules(document(topic_features=[*before, topic_day("a", 0, 21, 15)])) == []


def test_change_within_chance_is_not_advice() -> None:
    for delta, se, expected in ((0.2, 0.2, []), (0.5, 0.2, ["ability_rose"]), (-0.5, 0.2, ["ability_fell"])):
        kpis = {"delta_theta": delta, "delta_theta_se": se}
        assert rules(document(kpis=kpis, topic_features=ENOUGH)) == expected


def test_each_remaining_rule_speaks_at_its_threshold() -> None:
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
        assert rules(document(kpis=kpis, topic_features=ENOUGH)) == expected, kpis
    assert rules(empty_document()) == ["no_answers"]


ASSUMED = "If practice continues, the goal is reached with a probability of 30%."
BARE = "The goal is reached with a probability of 30%."


@pytest.mark.parametrize(
    ("kpis", "expected"),
    [
        ({"P_method": "bayesian"}, ASSUMED),
        ({"P_method": "normal", "P_assumption": "practice continues"}, ASSUMED),
        ({"P_method": "normal"}, BARE),
        ({"P_method": "bayesian", "P_verdict": "base_rate"}, BARE),
        ({"P_method": "bayesian", "P_verdict": "recalibrated"}, ASSUMED),
    ],
)
def test_a_projection_says_what_it_assumes_and_nothing_else_does(kpis: dict[str, Any], expected: str) -> None:
    page = shown(document(kpis={"P": 0.3, **kpis}, topic_features=ENOUGH))
    assert f">{expected}<" in page
    assert "nothing changes" not in page


def test_the_assumption_is_in_the_readers_language() -> None:
    with speaking("ko"):
        page = shown(document(kpis={"P": 0.3, "P_method": "bayesian"}, topic_features=ENOUGH))
    assert "학습을 계속하면 목표에 도달할 확률은 30%예요." in page


def test_where_questions_do_not_return_nobody_is_asked_to_try_one_again() -> None:
    wrong = {"R_t": None, "R_t_n_wrong": 9, "R_t_n_met_again": 0}
    by_topic = {**wrong, "R_t_topic": 0.4, "R_t_topic_n": 8}
    for share, kpis, expected in (
        (0.3, wrong, ["retry_mistakes"]),
        (0.0, wrong, []),
        (0.0, by_topic, ["topics_of_mistakes"]),
        (0.0, {**by_topic, "R_t_topic": 0.6}, []),
    ):
        assert rules(document(kpis=kpis, topic_features=ENOUGH, repeated_share=share)) == expected


def test_the_family_reads_no_risk_and_at_most_three_pieces_with_what_goes_well() -> None:
    doc = document(kpis={"S": 0.9}, topic_features=ENOUGH)
    assert rules(doc) == ["high_risk"]
    assert family_recommendations(doc, limit=3) == ()
    assert "risk" not in str(advice_words.family_advice(doc))
    many = [r.rule for r in family_recommendations(full_document(), limit=3)]
    assert many == ["weak_topic", "begun_topic", "ability_rose"]


def test_advice_of_other_systems_follows_the_rules() -> None:
    given = [{"topic_id": "Angles", "reason": "because", "total_attempts": 4, "total_correct": 1}, {"reason": "as is"}]
    page = shown(document(recommendations=given))
    places = [page.index(part) for part in ("short session", "<bdi>Angles</bdi>: because", "1 of 4 right.", "as is")]
    assert places == sorted(places)


def test_every_rule_has_words_and_the_help_rules_are_rules() -> None:
    assert set(advice_words._ADVICE) == set(advice_words._BECAUSE)
    assert {*HELP_RULES, *rules_module.TEACHER_RULES} <= set(advice_words._ADVICE)


def simulated(
    theta: float, draw: np.random.Generator, *, far: float | None, knows_next: bool = False
) -> ReportDocument:
    """Four weeks of a student of true ability ``theta`` with questions as they come, or ``far`` of them far away.

    ``knows_next``: with the probability of the next answer on the same questions, by the estimated ability.
    """
    n = int(draw.integers(40, 90))
    difficulty = draw.normal(0.0, 1.0, n)
    if far is not None:
        is_far = draw.random(n) < far
        side = draw.choice([-1.0, 1.0], n)
        difficulty = theta + np.where(is_far, side * draw.uniform(1.6, 3.0, n), draw.uniform(-0.5, 0.5, n))
    right = draw.random(n) < 1 / (1 + np.exp(difficulty - theta))
    error = 0.3
    rows = []
    for topic in range(4):
        own = np.arange(n) % 4 == topic
        for week in range(4):
            part = own & (np.arange(n) % 16 // 4 == week)
            if part.any():
                estimate = theta + draw.normal(0, 0.4)
                known = {"theta_estimate": estimate, "theta_sd": 0.4}
                rows.append(topic_day(f"t{topic}", -7 * week, int(part.sum()), int(right[part].sum()), **known))
    ability = theta + draw.normal(0, error)
    guess = 1 / (1 + np.exp(difficulty - ability))
    known = {f"t{topic}": float(guess[np.arange(n) % 4 == topic].mean()) for topic in range(4)} if knows_next else {}
    return document(
        next_right=known, topic_features=rows, item_params=met(*difficulty.tolist()), ability_trend=able(ability)
    )


@pytest.mark.parametrize("knows_next", [False, True])
def test_no_student_of_the_worst_tenth_reads_that_nothing_stands_out(knows_next: bool) -> None:
    draw = np.random.default_rng(20251103)
    theta = np.sort(draw.normal(0.0, 1.0, 2000))[:200]
    silent = [
        t for t in theta if "Nothing stands out" in shown(simulated(float(t), draw, far=None, knows_next=knows_next))
    ]
    assert silent == []


@pytest.mark.parametrize("knows_next", [False, True])
def test_no_student_whose_questions_are_far_away_reads_that_nothing_stands_out(knows_next: bool) -> None:
    draw = np.random.default_rng(20251110)
    for theta in draw.normal(0.0, 1.0, 300):
        doc = simulated(float(theta), draw, far=0.8, knows_next=knows_next)
        assert {"too_hard", "too_easy", "uneven"} & set(rules(doc))
        assert "Nothing stands out" not in str(advice_words.family_advice(doc))


def test_high_risk_is_never_praised() -> None:
    doc = document(kpis={"S": 0.9}, topic_features=[topic_day("a", 0, 3, 2)])
    assert [(a.rule, a.tone) for a in recommendations(doc)] == [("more_answers", "do"), ("high_risk", "note")]
