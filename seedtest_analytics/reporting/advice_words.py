"""The words of the advice: for each rule what to do, and the evidence, as markup in the reader's language."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from seedtest_analytics.reporting import wording
from seedtest_analytics.reporting.document import ReportDocument
from seedtest_analytics.reporting.html import Html, name, paragraph, text
from seedtest_analytics.reporting.language import marked, say
from seedtest_analytics.reporting.levels import share_right
from seedtest_analytics.reporting.recommendations import Recommendation, family_recommendations, recommendations

FAMILY_ADVICE = 3
TONES: Mapping[str, str] = {"do": marked("To do"), "keep": marked("Going well"), "note": marked("To talk about")}
Values = dict[str, Any]

_ADVICE: Mapping[str, str] = {
    "no_answers": marked("Start with one short session of about ten questions."),
    "practice_dropped": marked("Go back to the usual amount of practice, in small steps."),
    "too_hard": marked("Choose easier questions for a while."),
    "too_easy": marked("Choose harder questions: the present ones are too easy to learn from."),
    "uneven": marked("Choose questions that are neither too easy nor too hard."),
    "weak_topic": marked("Work on {topic} first."),
    "begun_topic": marked("Practise the basics of {topic}."),
    "low_accuracy": marked("Go through the wrong answers together and practise with easier questions."),
    "basics": marked("Build up the basics with easy questions, step by step."),
    "more_answers": marked("Answer some more questions: then this report can say more."),
    "topics_of_mistakes": marked("Go back to the topics of the questions that went wrong, from easier questions up."),
    "retry_mistakes": marked("Try again some of the questions that went wrong."),
    "explain_mistakes": marked("Read the explanation before you try a wrong question again."),
    "shorter_gaps": marked("What is learned in shorter sessions, more often, stays longer."),
    "high_risk": marked("A short word from the teacher now may help more than later."),
    "goal_ahead": marked("Talk about the goal: more practice, more time, or a nearer step first."),
    "ability_rose": marked("Keep going like this: it works."),
    "ability_fell": marked("Look together at what has changed in the last two weeks."),
    "slower": marked("See whether the questions have become harder; if not, a short review of the basics may help."),
    "strong_topic": marked("Ready for harder questions in {topic}."),
}


def words(made: Recommendation, document: ReportDocument) -> tuple[str, str]:
    """What to do and why, as markup."""
    values = made.values
    topic = document.topic(str(values["topic"])) if "topic" in values else None
    return what_to_do(made.rule, topic), text(_BECAUSE[made.rule](values), 400)


def what_to_do(rule: str, topic: str | None = None) -> str:
    """What a rule advises, as markup. ``topic`` is the topic's name, untrusted; a rule that has no words is shown as is."""
    if rule not in _ADVICE:
        return name(rule)
    return say(_ADVICE[rule], **({} if topic is None else {"topic": name(topic)}))


def advice(document: ReportDocument) -> Html:
    """All advice and that of other systems, as the teacher reads it."""
    return _list(document, recommendations(document))


def family_advice(document: ReportDocument) -> Html:
    """The most pressing advice, as the family reads it."""
    return _list(document, family_recommendations(document, limit=FAMILY_ADVICE))


def _list(document: ReportDocument, made: tuple[Recommendation, ...]) -> Html:
    found = [(r.tone, *words(r, document)) for r in made]
    for given in document.recommendations:
        what = text(given.reason, 400)
        if given.topic_id:
            what = f"{name(document.topic(given.topic_id))}: {what}"
        found.append(("do", what, _given_evidence(given.total_correct, given.total_attempts)))
    if not found:
        nothing = say("Nothing stands out this week: the data gives no reason to change anything.")
        return Html(paragraph(text(nothing), "missing"))
    items = "".join(
        f'<li class="{tone}"><span class="tone">{text(say(TONES[tone]))}</span> <strong>{what}</strong>'
        f"{paragraph(because, 'because') if because else ''}</li>"
        for tone, what, because in found
    )
    return Html(f'<ul class="advice">{items}</ul>')


def _given_evidence(correct: int | None, attempts: int | None) -> str:
    if correct is None or attempts is None:
        return ""
    return text(say("{part} right.", part=wording.part_of(correct, attempts)))


def _no_answers(values: Values) -> str:
    return say("There are no answers in this week.")


def _practice_dropped(values: Values) -> str:
    return say(
        "{answers} this week, against about {usual} a week in the three weeks before.",
        answers=wording.answers(values["answers"]),
        usual=wording.whole(values["usual"]),
    )


def _too_hard(values: Values) -> str:
    return say(
        "Of {questions} in four weeks, {n} were clearly too hard for now.",
        questions=wording.questions(values["questions"]),
        n=wording.whole(values["hard"]),
    )


def _too_easy(values: Values) -> str:
    return say(
        "Of {questions} in four weeks, {n} were clearly too easy by now.",
        questions=wording.questions(values["questions"]),
        n=wording.whole(values["easy"]),
    )


def _uneven(values: Values) -> str:
    return say(
        "Of {questions} in four weeks, {easy} were clearly too easy and {hard} clearly too hard.",
        questions=wording.questions(values["questions"]),
        easy=wording.whole(values["easy"]),
        hard=wording.whole(values["hard"]),
    )


def _right(values: Values) -> str:
    return wording.part_of(values["correct"], values["answers"])


def _next(values: Values) -> str:
    """Answers of four weeks, and the probability of the next one."""
    said = say(
        "{part} right in four weeks. Of the next 100 questions in this topic, about {n} would be right.",
        part=_right(values),
        n=_n(values),
    )
    return f"{said} {_unlike(values)}".strip()


def _unlike(values: Values) -> str:
    """Why the next answers differ from the ones that the reader sees beside them, where chance does not explain it."""
    if values["next_right"] < values["low"]:
        return say("The questions so far were easier than usual there.")
    if values["next_right"] > values["high"]:
        return say("The questions so far were harder than usual there.")
    return ""


def _n(values: Values, key: str = "next_right") -> str:
    return wording.whole(round(100 * values[key]))


def _topic(values: Values) -> str:
    if "next_right" in values:
        return _next(values)
    likely = wording.percent_interval(values["low"], values["high"])
    return say("{part} right (likely {interval}).", part=_right(values), interval=likely)


def _begun_topic(values: Values) -> str:
    if values.get("theta") is None:
        return _topic(values)
    n = min(99, max(1, round(100 * share_right(values["theta"]))))
    return say(
        "{part} right; about {n} of 100 questions of middle difficulty would be right.", part=_right(values), n=n
    )


def _weak_topic(values: Values) -> str:
    if "next_right" in values:
        return f"{_next(values)} {say('In the other topics it is about {n} of 100.', n=_n(values, 'elsewhere'))}"
    other = say("In the other topics it is {percent}.", percent=wording.percent(values["elsewhere"]))
    return f"{_topic(values)} {other}"


def _low_accuracy(values: Values) -> str:
    if "next_right" in values:
        return say(
            "{part} right in four weeks; of 100 more like these about {n} would be right.",
            part=_right(values),
            n=_n(values),
        )
    return say("{part} right in four weeks.", part=_right(values))


def _basics(values: Values) -> str:
    return say("The level is {points} points.", points=wording.score(values["theta"]))


def _more_answers(values: Values) -> str:
    return say(
        "{answers} in four weeks. About {missing} more are enough.",
        answers=wording.answers(values["answers"]),
        missing=wording.whole(values["missing"]),
    )


def _topics_of_mistakes(values: Values) -> str:
    return say(
        "Of {n} new answers in these topics, about {percent} were right.",
        n=wording.whole(values["answers"]),
        percent=wording.percent(values["share"]),
    )


def _retry_mistakes(values: Values) -> str:
    return say("None of {n} questions answered wrong has been met again.", n=wording.whole(values["wrong"]))


def _explain_mistakes(values: Values) -> str:
    return say(
        "Of {n} questions met again after a wrong answer, {percent} were right this time.",
        n=wording.whole(values["met"]),
        percent=wording.percent(values["share"]),
    )


def _shorter_gaps(values: Values) -> str:
    return say(
        "{sessions} in 28 days, {days} days apart on average.",
        sessions=wording.sessions(values["sessions"]),
        days=wording.decimal(values["gap"], 1),
    )


def _high_risk(values: Values) -> str:
    return say("The risk of a longer pause is high ({percent}).", percent=wording.percent(values["risk"]))


def _goal_ahead(values: Values) -> str:
    percent = wording.percent(values["probability"])
    if values["assumes_practice"]:
        return say("If practice continues, the goal is reached with a probability of {percent}.", percent=percent)
    return say("The goal is reached with a probability of {percent}.", percent=percent)


def _ability_change(values: Values) -> str:
    points = wording.signed(wording.POINTS_PER_LOGIT * values["change"], 0)
    return say("The level changed by {points} points in two weeks, more than chance explains.", points=points)


def _slower(values: Values) -> str:
    return say(
        "A right answer typically takes {percent} longer than in the 28 days before.",
        percent=wording.percent(values["change"]),
    )


_BECAUSE: Mapping[str, Callable[[Values], str]] = {
    "no_answers": _no_answers,
    "practice_dropped": _practice_dropped,
    "too_hard": _too_hard,
    "too_easy": _too_easy,
    "uneven": _uneven,
    "weak_topic": _weak_topic,
    "begun_topic": _begun_topic,
    "low_accuracy": _low_accuracy,
    "basics": _basics,
    "more_answers": _more_answers,
    "topics_of_mistakes": _topics_of_mistakes,
    "retry_mistakes": _retry_mistakes,
    "explain_mistakes": _explain_mistakes,
    "shorter_gaps": _shorter_gaps,
    "high_risk": _high_risk,
    "goal_ahead": _goal_ahead,
    "ability_rose": _ability_change,
    "ability_fell": _ability_change,
    "slower": _slower,
    "strong_topic": _topic,
}
