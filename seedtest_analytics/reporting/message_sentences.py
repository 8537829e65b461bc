"""The sentences of the weekly message, in English and Korean, behind one function.

A code is the recipient and the rule, such as ``parent.too_hard``. Korean is 해요체 for both. ``{topic:을/를}`` is the
value with the particle that its last sound asks for.
"""

from __future__ import annotations

import datetime as dt
import unicodedata
from collections.abc import Mapping
from typing import Any

from seedtest_analytics.reporting.particles import KoreanFormatter

LANGUAGES = ("en", "ko")
LONGEST_NAME = 60

_ENGLISH = {
    "student.no_answers": "Your last answer was on {since}, so a short round of about ten questions is a good way back.",
    "parent.no_answers": "Your child's last answer was on {since}, so a short round of about ten questions is a good way back.",
    "student.too_hard": "Of the {questions} questions you met in the last four weeks {hard} were still too hard, so start "
    "with easier ones this week.",
    "parent.too_hard": "Of the {questions} questions your child met in the last four weeks {hard} were still too hard, so "
    "please suggest easier ones this week.",
    "student.low_accuracy": "You got {correct} of {answers} questions right in the last four weeks, so look at the wrong "
    "ones first and then practise with easier questions.",
    "parent.low_accuracy": "Your child got {correct} of {answers} questions right in the last four weeks, so it helps to "
    "look at the wrong ones together first.",
    "student.practice_dropped": "You answered {answers_counted} last week against about {usual} a week before, so plan a "
    "short session every other day.",
    "parent.practice_dropped": "Your child answered {answers_counted} last week against about {usual} a week before, so "
    "please plan a short session every other day together.",
    "student.ability_fell": "In the last two weeks you got fewer questions of the same difficulty right than before, by "
    "more than chance explains, so look at what has changed.",
    "parent.ability_fell": "In the last two weeks your child got fewer questions of the same difficulty right than before, "
    "by more than chance explains, so please talk about what has changed.",
    "student.weak_topic": "Practise {topic} first this week, because you got {correct} of {answers} questions right there, "
    "less than in your other topics.",
    "parent.weak_topic": "Please suggest {topic} first this week, because your child got {correct} of {answers} questions "
    "right there, less than in the other topics.",
    "student.retry_mistakes": "Try some of your {wrong} wrong questions of earlier weeks again, because you have not met "
    "any of them since.",
    "parent.retry_mistakes": "Please suggest trying some of the {wrong} wrong questions of earlier weeks again, because "
    "your child has not met any of them since.",
    "student.too_easy": "Of the {questions} questions you met in the last four weeks {easy} were easy for you, so try "
    "harder ones this week.",
    "parent.too_easy": "Of the {questions} questions your child met in the last four weeks {easy} were easy, so please "
    "suggest harder ones this week.",
    "student.one_day": "You answered all {answers} questions of last week on one day, and two or three shorter sessions "
    "are remembered better.",
    "parent.one_day": "Your child answered all {answers} questions of last week on one day, and two or three shorter "
    "sessions are remembered better.",
    "student.ability_rose": "In the last two weeks you got more questions of the same difficulty right than before, by "
    "more than chance explains, so keep going like this.",
    "parent.ability_rose": "In the last two weeks your child got more questions of the same difficulty right than before, "
    "by more than chance explains, which is worth a word of praise.",
    "student.strong_topic": "You got {correct} of {answers} questions right in {topic}, so you are ready for harder ones "
    "there.",
    "parent.strong_topic": "Your child got {correct} of {answers} questions right in {topic}, which is worth a word of "
    "praise.",
    "student.good_week": "You got {correct} of {answers} questions right last week, so keep going like this.",
    "parent.good_week": "Your child got {correct} of {answers} questions right last week, which is worth a word of praise.",
    "student.steady": "You practised on {days} days last week, so keep this rhythm.",
    "parent.steady": "Your child practised on {days} days last week, which is worth a word of praise.",
}
_KOREAN = {
    "student.no_answers": "{since}에 마지막으로 문제를 풀었으니, 이번 주에는 10문제 정도만 가볍게 다시 시작해 봐요.",
    "parent.no_answers": "자녀가 {since}에 마지막으로 문제를 풀었으니, 이번 주에는 10문제 정도만 가볍게 다시 시작하도록 "
    "격려해 주세요.",
    "student.too_hard": "최근 4주 동안 만난 {questions}문제 중 {hard}문제가 아직 너무 어려웠으니, 이번 주에는 더 쉬운 문제부터 "
    "풀어 봐요.",
    "parent.too_hard": "자녀가 최근 4주 동안 만난 {questions}문제 중 {hard}문제가 아직 너무 어려웠으니, 이번 주에는 더 쉬운 "
    "문제부터 풀도록 도와주세요.",
    "student.low_accuracy": "최근 4주 동안 {answers}문제 중 {correct}문제를 맞혔으니, 틀린 문제를 먼저 살펴본 다음 더 쉬운 "
    "문제로 연습해 봐요.",
    "parent.low_accuracy": "자녀가 최근 4주 동안 {answers}문제 중 {correct}문제를 맞혔으니, 틀린 문제를 먼저 함께 살펴봐 주세요.",
    "student.practice_dropped": "지난주에는 {answers}문제를 풀어서 그전의 주당 {usual}문제 정도보다 적었으니, 이번 주에는 "
    "이틀에 한 번씩 짧게 풀어 봐요.",
    "parent.practice_dropped": "자녀가 지난주에는 {answers}문제를 풀어서 그전의 주당 {usual}문제 정도보다 적었으니, 이번 주에는 "
    "이틀에 한 번씩 짧게 풀도록 함께 계획해 주세요.",
    "student.ability_fell": "최근 2주 동안 같은 난이도의 문제를 우연이라고 보기 어려울 만큼 전보다 덜 맞혔으니, 무엇이 "
    "달라졌는지 살펴봐요.",
    "parent.ability_fell": "자녀가 최근 2주 동안 같은 난이도의 문제를 우연이라고 보기 어려울 만큼 전보다 덜 맞혔으니, 무엇이 "
    "달라졌는지 이야기해 봐 주세요.",
    "student.weak_topic": "{topic}에서 {answers}문제 중 {correct}문제를 맞혀서 다른 단원보다 낮았으니, 이번 주에는 {topic:을/를} "
    "먼저 연습해 봐요.",
    "parent.weak_topic": "자녀가 {topic}에서 {answers}문제 중 {correct}문제를 맞혀서 다른 단원보다 낮았으니, 이번 주에는 "
    "{topic:을/를} 먼저 연습하도록 도와주세요.",
    "student.retry_mistakes": "지난 몇 주 동안 틀린 문제 {wrong}개를 아직 다시 만나지 않았으니, 그중 몇 개를 다시 풀어 봐요.",
    "parent.retry_mistakes": "자녀가 지난 몇 주 동안 틀린 문제 {wrong}개를 아직 다시 만나지 않았으니, 그중 몇 개를 다시 풀도록 "
    "권해 주세요.",
    "student.too_easy": "최근 4주 동안 만난 {questions}문제 중 {easy}문제가 쉬웠으니, 이번 주에는 더 어려운 문제에 도전해 봐요.",
    "parent.too_easy": "자녀가 최근 4주 동안 만난 {questions}문제 중 {easy}문제가 쉬웠으니, 이번 주에는 더 어려운 문제를 "
    "권해 주세요.",
    "student.one_day": "지난주에 푼 {answers}문제를 모두 하루에 풀었으니, 이번 주에는 더 오래 기억하도록 두세 번에 나누어 풀어 "
    "봐요.",
    "parent.one_day": "자녀가 지난주에 푼 {answers}문제를 모두 하루에 풀었으니, 이번 주에는 더 오래 기억하도록 두세 번에 나누어 "
    "풀게 해 주세요.",
    "student.ability_rose": "최근 2주 동안 같은 난이도의 문제를 우연이라고 보기 어려울 만큼 전보다 더 맞혔으니, 지금처럼 계속해 "
    "봐요.",
    "parent.ability_rose": "자녀가 최근 2주 동안 같은 난이도의 문제를 우연이라고 보기 어려울 만큼 전보다 더 맞혔으니, 칭찬해 "
    "주세요.",
    "student.strong_topic": "{topic:은/는} {answers}문제 중 {correct}문제를 맞혔으니, 이제 더 어려운 문제에 도전해 봐요.",
    "parent.strong_topic": "자녀가 {topic}에서 {answers}문제 중 {correct}문제를 맞혔으니, 칭찬해 주세요.",
    "student.good_week": "지난주에 {answers}문제 중 {correct}문제를 맞혔으니, 지금처럼 계속해 봐요.",
    "parent.good_week": "자녀가 지난주에 {answers}문제 중 {correct}문제를 맞혔으니, 칭찬해 주세요.",
    "student.steady": "지난주에 {days}일 동안 공부했으니, 이 리듬을 이어 가 봐요.",
    "parent.steady": "자녀가 지난주에 {days}일 동안 공부했으니, 칭찬해 주세요.",
}
_SENTENCES = {"en": _ENGLISH, "ko": _KOREAN}
_SUBJECTS = {"en": "One sentence about the week", "ko": "이번 주 한 문장"}

_DAY_PATTERNS = {"en": "d MMMM", "ko": "M월 d일"}


def sentence(code: str, language: str, *, values: Mapping[str, Any]) -> str:
    """The sentence of a code in a language. Raises KeyError for an unknown code, language or missing value."""
    return KoreanFormatter().vformat(_SENTENCES[language][code], (), _shown(values, language))


def subject(language: str) -> str:
    """The subject line of a message."""
    return _SUBJECTS[language]


def known_language(wish: str | None) -> str | None:
    """The language that a tag such as ``ko-KR`` asks for; None if there are no sentences in it."""
    primary = (wish or "").replace("_", "-").split("-")[0].strip().lower()
    return primary if primary in LANGUAGES else None


def _shown(values: Mapping[str, Any], language: str) -> dict[str, Any]:
    shown = dict(values)
    if "topic" in shown:
        shown["topic"] = plain_name(str(shown["topic"]))
    if "since" in shown:
        from babel.dates import format_date  # The tables read the languages of this module, and need no Babel.

        day = dt.date.fromisoformat(shown["since"])
        shown["since"] = format_date(day, _DAY_PATTERNS[language], locale=language)
    if "answers" in shown:
        shown["answers_counted"] = f"{shown['answers']} question{'' if shown['answers'] == 1 else 's'}"
    return shown


def plain_name(name: str) -> str:
    """A name from outside on one line, without control and direction marks, and of bounded length."""
    composed = unicodedata.normalize("NFC", name[: 4 * LONGEST_NAME])
    kept = "".join(" " if unicodedata.category(c)[0] in "CZ" else c for c in composed)
    words = " ".join(kept.split())
    return words if len(words) <= LONGEST_NAME else words[: LONGEST_NAME - 1].rstrip() + "…"
