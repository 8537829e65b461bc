"""The sentences of the weekly message, behind one function.

A code is the recipient and the rule, such as ``parent.too_hard``. With ``.next`` the rule has read the probability of the
next answer. The catalogues have the translations; Korean is 해요체
for both recipients.
"""

from __future__ import annotations

import datetime as dt
import unicodedata
from collections.abc import Mapping
from typing import Any

from seedtest_analytics.reporting.language import marked, say, speaking
from seedtest_analytics.reporting.wording import day_and_month, questions

LONGEST_NAME = 60

SENTENCES = {
    "student.no_answers": marked(
        "Your last answer was on {since}, so a short round of about ten questions is a good way back."
    ),
    "parent.no_answers": marked(
        "Your child's last answer was on {since}, so a short round of about ten questions is a good way back."
    ),
    "student.too_hard": marked(
        "Of the {questions} questions you met in the last four weeks {hard} were still too hard, so start "
        "with easier ones this week."
    ),
    "parent.too_hard": marked(
        "Of the {questions} questions your child met in the last four weeks {hard} were still too hard, so "
        "please suggest easier ones this week."
    ),
    "student.low_accuracy": marked(
        "You got {correct} of {answers} questions right in the last four weeks, so look at the wrong ones "
        "first and then practise with easier questions."
    ),
    "parent.low_accuracy": marked(
        "Your child got {correct} of {answers} questions right in the last four weeks, so it helps to look at"
        " the wrong ones together first."
    ),
    "student.practice_dropped": marked(
        "You answered {answers_counted} last week, against about {usual} a week in the three weeks before, so plan a "
        "short session every other day."
    ),
    "parent.practice_dropped": marked(
        "Your child answered {answers_counted} last week, against about {usual} a week in the three weeks before, so "
        "please plan a short session every other day together."
    ),
    "student.ability_fell": marked(
        "In the last two weeks you got fewer questions of the same difficulty right than before, by more than"
        " chance explains, so look at what has changed."
    ),
    "parent.ability_fell": marked(
        "In the last two weeks your child got fewer questions of the same difficulty right than before, by "
        "more than chance explains, so please talk about what has changed."
    ),
    "student.weak_topic": marked(
        "Practise {topic} first this week, because you got {correct} of {answers} questions right there, less"
        " than in your other topics."
    ),
    "parent.weak_topic": marked(
        "Please suggest {topic} first this week, because your child got {correct} of {answers} questions "
        "right there, less than in the other topics."
    ),
    "student.retry_mistakes": marked(
        "Try some of your {wrong} wrong questions of earlier weeks again, because you have not met any of them since."
    ),
    "parent.retry_mistakes": marked(
        "Please suggest trying some of the {wrong} wrong questions of earlier weeks again, because your child"
        " has not met any of them since."
    ),
    "student.too_easy": marked(
        "Of the {questions} questions you met in the last four weeks {easy} were easy for you, so try harder "
        "ones this week."
    ),
    "parent.too_easy": marked(
        "Of the {questions} questions your child met in the last four weeks {easy} were easy, so please "
        "suggest harder ones this week."
    ),
    "student.one_day": marked(
        "You answered all {answers} questions of last week on one day, and what you learn in two or three shorter "
        "sessions stays longer."
    ),
    "parent.one_day": marked(
        "Your child answered all {answers} questions of last week on one day, and what is learned in two or three "
        "shorter sessions stays longer."
    ),
    "student.ability_rose": marked(
        "In the last two weeks you got more questions of the same difficulty right than before, by more than "
        "chance explains, so keep going like this."
    ),
    "parent.ability_rose": marked(
        "In the last two weeks your child got more questions of the same difficulty right than before, by "
        "more than chance explains, which is worth a word of praise."
    ),
    "student.strong_topic": marked(
        "You got {correct} of {answers} questions right in {topic}, so you are ready for harder ones there."
    ),
    "parent.strong_topic": marked(
        "Your child got {correct} of {answers} questions right in {topic}, which is worth a word of praise."
    ),
    "student.good_week": marked("You got {correct} of {answers} questions right last week, so keep going like this."),
    "parent.good_week": marked(
        "Your child got {correct} of {answers} questions right last week, which is worth a word of praise."
    ),
    "student.steady": marked("You practised on {days} days last week, so keep this rhythm."),
    "parent.steady": marked("Your child practised on {days} days last week, which is worth a word of praise."),
    "student.low_accuracy.next": marked(
        "Of 100 more questions like those of the last four weeks you would get about {next} right, so "
        "look at the wrong ones first and then practise with easier questions."
    ),
    "parent.low_accuracy.next": marked(
        "Of 100 more questions like those of the last four weeks your child would get about {next} "
        "right, so it helps to look at the wrong ones together first."
    ),
    "student.weak_topic.next": marked(
        "Practise {topic} first this week, because you would get about {next} of 100 more questions there right, "
        "fewer than in your other topics."
    ),
    "parent.weak_topic.next": marked(
        "Please suggest {topic} first this week, because your child would get about {next} of 100 more questions there "
        "right, fewer than in the other topics."
    ),
    "student.strong_topic.next": marked(
        "Of 100 more questions in {topic} you would get about {next} right, so you are ready for harder ones there."
    ),
    "parent.strong_topic.next": marked(
        "Of 100 more questions in {topic} your child would get about {next} right, which is worth a word of praise."
    ),
}


def sentence(code: str, language: str, *, values: Mapping[str, Any]) -> str:
    """The sentence of a code in a language. Raises KeyError for an unknown code, language or missing value."""
    key = f"{code}.next" if "next" in values else code
    with speaking(language):
        return say(SENTENCES[key], **_shown(values))


def subject(language: str) -> str:
    """The subject line of a message."""
    with speaking(language):
        return say("One sentence about the week")


def _shown(values: Mapping[str, Any]) -> dict[str, Any]:
    shown = dict(values)
    if "topic" in shown:
        shown["topic"] = plain_name(str(shown["topic"]))
    if "since" in shown:
        shown["since"] = day_and_month(dt.date.fromisoformat(shown["since"]))
    if "answers" in shown:
        shown["answers_counted"] = questions(shown["answers"])
    return shown


def plain_name(name: str) -> str:
    """A name from outside on one line, without control and direction marks, and of bounded length."""
    composed = unicodedata.normalize("NFC", name[: 4 * LONGEST_NAME])
    kept = "".join(" " if unicodedata.category(c)[0] in "CZ" else c for c in composed)
    words = " ".join(kept.split())
    return words if len(words) <= LONGEST_NAME else words[: LONGEST_NAME - 1].rstrip() + "…"
