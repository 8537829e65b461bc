"""The rules of the weekly sentence: each one alone, at its border, and in its order; and the words in both languages."""

import dataclasses
import datetime as dt
import itertools
import re
import string
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from seedtest_analytics.reporting.language import language as spoken
from seedtest_analytics.reporting.language import languages
from seedtest_analytics.reporting.message_rules import IMPROVE, PRAISE, RULES, Evidence, Finding, choose
from seedtest_analytics.reporting.message_sentences import SENTENCES, plain_name, sentence, subject
from seedtest_analytics.reporting.particles import particle
from seedtest_analytics.reporting.topic_rules import TopicTally

SUNDAY = dt.date(2026, 3, 1)
QUIET = Evidence(answers=9, correct=5, days=2, answers_4w=9, correct_4w=5, usual=0.0, last_day=SUNDAY)
"""A week in which no rule applies."""


def week(**changes: Any) -> Evidence:
    return dataclasses.replace(QUIET, **changes)


BY_SHARE = {"method": "share_right"}
BY_NEXT = {"method": "next_answer"}


def topics(*found: tuple[Any, ...]) -> tuple[TopicTally, ...]:
    return tuple(TopicTally(*topic) for topic in found)


TABLE: list[tuple[str, Evidence, dict[str, Any]]] = [
    # rule, evidence at the border where it just applies, the values it states
    ("no_answers", week(answers=0, days=0, last_day=dt.date(2026, 2, 3)), {"since": "2026-02-03"}),
    ("too_hard", week(questions=10, hard=5), {"hard": 5, "questions": 10}),
    ("low_accuracy", week(answers_4w=20, correct_4w=9), {"correct": 9, "answers": 20, **BY_SHARE}),
    ("practice_dropped", week(answers=5, usual=10.0), {"answers": 5, "usual": 10}),
    ("ability_fell", week(change=-0.4, change_se=0.2), {"change": -0.4, "change_se": 0.2}),
    (
        "weak_topic",
        week(topics=topics(("a", 8, 5), ("b", 40, 35))),
        {"topic": "a", "correct": 5, "answers": 8, **BY_SHARE},
    ),
    ("retry_mistakes", week(wrong=5, repeated_share=0.02), {"wrong": 5}),
    ("too_easy", week(questions=10, easy=5), {"easy": 5, "questions": 10}),
    ("one_day", week(answers=10, correct=6, days=1), {"answers": 10}),
    ("ability_rose", week(change=0.4, change_se=0.2), {"change": 0.4, "change_se": 0.2}),
    ("strong_topic", week(topics=topics(("a", 22, 22))), {"topic": "a", "correct": 22, "answers": 22, **BY_SHARE}),
    ("good_week", week(answers=10, correct=7), {"correct": 7, "answers": 10}),
    ("steady", week(days=4), {"days": 4}),
]
NEXT: list[tuple[str, Evidence, dict[str, Any]]] = [
    # the same rules where the probability of the next answer is known
    ("low_accuracy", week(answers_4w=10, correct_4w=9, topics=topics(("a", 8, 7, 0.45))), {"next": 45, **BY_NEXT}),
    ("weak_topic", week(topics=topics(("a", 8, 8, 0.59), ("b", 40, 5, 0.70))), {"topic": "a", "next": 59, **BY_NEXT}),
    ("strong_topic", week(topics=topics(("a", 8, 4, 0.85))), {"topic": "a", "next": 85, **BY_NEXT}),
]
JUST_NOT: list[tuple[str, Evidence]] = [
    ("no_answers", week(answers=0, days=0, last_day=None)),
    ("no_answers", week(answers=1, days=1)),
    ("too_hard", week(questions=9, hard=9)),
    ("too_hard", week(questions=11, hard=5)),
    ("low_accuracy", week(answers_4w=9, correct_4w=0)),
    ("low_accuracy", week(answers_4w=20, correct_4w=10)),
    ("practice_dropped", week(answers=6, usual=10.0)),
    ("practice_dropped", week(answers=4, usual=9.9)),
    ("ability_fell", week(change=-0.39, change_se=0.2)),
    ("ability_fell", week(change=-0.4, change_se=None)),
    ("weak_topic", week(topics=topics(("a", 7, 0), ("b", 40, 35)))),
    ("weak_topic", week(topics=topics(("a", 8, 6), ("b", 40, 35)))),
    ("weak_topic", week(topics=topics(("a", 8, 0)))),
    ("low_accuracy", week(answers_4w=10, correct_4w=1, topics=topics(("a", 8, 1, 0.46)))),
    ("low_accuracy", week(answers_4w=9, correct_4w=1, topics=topics(("a", 9, 1, 0.2)))),
    ("weak_topic", week(topics=topics(("a", 7, 0, 0.2), ("b", 40, 35, 0.9)))),
    ("weak_topic", week(topics=topics(("a", 20, 0, 0.61), ("b", 40, 35, 0.70)))),
    ("weak_topic", week(topics=topics(("a", 20, 0, 0.2)))),
    ("strong_topic", week(topics=topics(("a", 22, 22, 0.84)))),
    ("strong_topic", week(topics=topics(("a", 7, 7, 0.9)))),
    ("retry_mistakes", week(wrong=4, repeated_share=0.5)),
    ("retry_mistakes", week(wrong=5, met_again=1, repeated_share=0.5)),
    ("retry_mistakes", week(wrong=5, repeated_share=0.019)),
    ("retry_mistakes", week(wrong=5, repeated_share=None)),
    ("too_easy", week(questions=9, easy=9)),
    ("too_easy", week(questions=11, easy=5)),
    ("one_day", week(answers=9, days=1)),
    ("one_day", week(answers=10, days=2)),
    ("ability_rose", week(change=0.39, change_se=0.2)),
    ("strong_topic", week(topics=topics(("a", 21, 21)))),
    ("good_week", week(answers=9, correct=9)),
    ("good_week", week(answers=10, correct=6)),
    ("steady", week(days=3)),
]


def test_a_quiet_week_says_nothing() -> None:
    assert choose(QUIET) is None


def test_the_table_walks_through_every_rule_in_its_order() -> None:
    assert [rule for rule, _, _ in TABLE] == list(RULES) == [*IMPROVE, *PRAISE]


@pytest.mark.parametrize(("rule", "evidence", "values"), TABLE)
def test_a_rule_applies_at_its_border_alone(rule: str, evidence: Evidence, values: dict[str, Any]) -> None:
    assert choose(evidence) == Finding(rule, values)
    assert [code for code, other in RULES.items() if other(evidence) is not None] == [rule]


@pytest.mark.parametrize(("rule", "evidence", "values"), NEXT)
def test_where_the_next_answer_is_known_it_decides_and_not_the_share_right(
    rule: str, evidence: Evidence, values: dict[str, Any]
) -> None:
    assert choose(evidence) == Finding(rule, values)
    for who, language in itertools.product(("student", "parent"), languages()):
        assert str(values["next"]) in sentence(f"{who}.{rule}", language, values=values)


@pytest.mark.parametrize(("rule", "evidence"), JUST_NOT)
def test_a_rule_does_not_apply_beyond_its_border(rule: str, evidence: Evidence) -> None:
    assert RULES[rule](evidence) is None


@pytest.mark.parametrize("rule", [rule for rule in RULES if rule != "no_answers"])
def test_a_silent_week_is_spoken_of_as_silent_only(rule: str) -> None:
    (evidence,) = [found for name, found, _ in TABLE if name == rule]
    silent = dataclasses.replace(evidence, answers=0, correct=0, days=0)
    assert RULES[rule](silent) is None


def test_of_two_rules_the_first_speaks() -> None:
    """Each pair of borders that one week can have together."""
    default = Evidence()
    pairs = 0
    for (first, one, values), (_, other, _) in itertools.combinations(TABLE[1:], 2):
        changed = {
            field.name: getattr(other, field.name)
            for field in dataclasses.fields(Evidence)
            if getattr(other, field.name) != getattr(QUIET, field.name)
        }
        if any(getattr(one, name) not in (getattr(QUIET, name), getattr(default, name)) for name in changed):
            continue
        both = dataclasses.replace(one, **changed)
        if RULES[first](both) is not None:
            pairs += 1
            assert choose(both) == Finding(first, values)
    assert pairs >= 50


def test_no_student_in_the_worst_tenth_reads_praise_or_nothing() -> None:
    """A cohort of 400 with known abilities answers 60 questions of the middle; seed 11."""
    rng = np.random.default_rng(11)
    theta = rng.normal(0.0, 1.2, 400)
    difficulty = rng.normal(0.3, 0.6, (400, 60))
    correct = rng.uniform(size=difficulty.shape) < 1 / (1 + np.exp(difficulty - theta[:, None]))
    for student in np.argsort(theta)[:40]:
        evidence = Evidence(
            answers=15,
            correct=int(correct[student, :15].sum()),
            days=3,
            answers_4w=60,
            correct_4w=int(correct[student].sum()),
            usual=15.0,
            last_day=SUNDAY,
            questions=60,
            hard=int((difficulty[student] - theta[student] > 1).sum()),
            easy=int((difficulty[student] - theta[student] < -1).sum()),
        )
        finding = choose(evidence)
        assert finding is not None
        assert finding.code in IMPROVE


# Words


def templates_of(language: str) -> dict[str, str]:
    return {code: spoken(language).message(text) for code, text in SENTENCES.items()}


@pytest.mark.parametrize("language", languages())
def test_every_rule_has_a_sentence_for_both_recipients_that_states_its_values(language: str) -> None:
    known = [*RULES, *(f"{rule}.next" for rule, _, _ in NEXT)]
    assert set(SENTENCES) == {f"{who}.{rule}" for who in ("student", "parent") for rule in known}
    assert subject(language)
    templates = templates_of(language)
    for rule, _, values in TABLE:
        for who in ("student", "parent"):
            said = sentence(f"{who}.{rule}", language, values=values)
            assert "{" not in said
            shown = {str(v) for k, v in values.items() if k not in ("since", "change", "change_se", "topic", "method")}
            assert shown <= set(re.findall(r"\d+", said)), said
            # Numbers of the text itself stand in the template; there is no other one.
            template = "".join(text for text, *_ in string.Formatter().parse(templates[f"{who}.{rule}"]))
            others = set(re.findall(r"\d+", said)) - shown - set(re.findall(r"\d+", template))
            assert others <= ({"2", "3"} if rule == "no_answers" else set())


@pytest.mark.parametrize("language", languages())
def test_a_message_is_one_sentence(language: str) -> None:
    for code, template in templates_of(language).items():
        assert template.count(".") == 1, code
        assert template.endswith("요." if language == "ko" else "."), code


def test_korean_has_one_politeness_level_and_no_formal_ending() -> None:
    assert not any("니다" in template for template in templates_of("ko").values())


@pytest.mark.parametrize(
    ("word", "object_", "topic", "subject_"),
    [
        ("분수", "분수를", "분수는", "분수가"),
        ("도형", "도형을", "도형은", "도형이"),
        ("쌀", "쌀을", "쌀은", "쌀이"),
        ("단원 1", "단원 1을", "단원 1은", "단원 1이"),
        ("단원 2", "단원 2를", "단원 2는", "단원 2가"),
        ("단원 10", "단원 10을", "단원 10은", "단원 10이"),
        ("topic-08", "topic-08을", "topic-08은", "topic-08이"),
        ("수학 A", "수학 A를", "수학 A는", "수학 A가"),
        ("수학 N", "수학 N을", "수학 N은", "수학 N이"),
        ("도형(평면)", "도형(평면)을", "도형(평면)은", "도형(평면)이"),
        ("algebra", "algebra를", "algebra는", "algebra가"),
        ("…", "…을(를)", "…은(는)", "…이(가)"),
    ],
)
def test_korean_particles_follow_the_last_sound(word: str, object_: str, topic: str, subject_: str) -> None:
    assert [word + particle(word, forms) for forms in ("을/를", "은/는", "이/가")] == [object_, topic, subject_]


def test_whole_korean_sentences() -> None:
    assert sentence("student.weak_topic", "ko", values={"topic": "도형", "correct": 3, "answers": 8}) == (
        "도형에서 8문제 중 3문제를 맞혀서 다른 단원보다 낮았으니, 이번 주에는 도형을 먼저 연습해 봐요."
    )
    assert sentence("parent.no_answers", "ko", values={"since": "2026-02-03"}) == (
        "자녀가 2월 3일에 마지막으로 문제를 풀었으니, 이번 주에는 10문제 정도만 가볍게 다시 시작하도록 격려해 주세요."
    )


def test_english_counts_one_question() -> None:
    assert "answered 1 question last week" in sentence(
        "student.practice_dropped", "en", values={"answers": 1, "usual": 12}
    )


@given(st.text(max_size=12_000))
def test_a_name_from_outside_stays_on_one_short_line(name: str) -> None:
    shown = plain_name(name)
    assert len(shown) <= 60
    assert not set("\r\n\t\0\u202e\u2028") & set(shown)
    said = sentence("student.weak_topic", "ko", values={"topic": name, "correct": 1, "answers": 9})
    assert "\n" not in said


def test_braces_in_a_name_are_text() -> None:
    assert "{answers}" in sentence(
        "student.strong_topic", "en", values={"topic": "{answers}", "correct": 9, "answers": 9}
    )
