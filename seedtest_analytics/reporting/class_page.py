"""The parts of the page of a class, for its teachers: who needs what, who stopped, and the questions."""

from __future__ import annotations

import math
from collections import Counter, defaultdict
from collections.abc import Sequence

from seedtest_analytics.reporting import cohort_views, item_verdicts, plain_words, wording
from seedtest_analytics.reporting.advice_words import what_to_do
from seedtest_analytics.reporting.cohort_document import CohortDocument, Item, Student
from seedtest_analytics.reporting.html import Html, name, paragraph, table, text
from seedtest_analytics.reporting.language import marked, say, say_n
from seedtest_analytics.reporting.summary import Tally
from seedtest_analytics.reporting.views import tally_cell

SHOWN_ITEMS = 20
SHOWN_NAMES = 40
SHOWN_REASONS = 2
_TONES = {"do": 0, "note": 1, "keep": 2}
_NOTHING = (3, "", "")


def next_steps(document: CohortDocument) -> Html:
    """The students by their next step; the groups with those who need help come first."""
    groups: dict[tuple[int, str, str], list[Student]] = defaultdict(list)
    silent = [student for student in document.students if not student.has_report]
    for student in document.students:
        if student.has_report:
            groups[_group(student)].append(student)
    if not groups:
        return Html(paragraph(text(say("The students of this class have no reports in this week.")), "missing"))
    order = sorted(groups, key=lambda key: (-_n_helped(groups[key]), key[0], -len(groups[key]), key))
    rows = [
        [
            _step(document, key),
            wording.whole(len(groups[key])),
            _names([student for student in groups[key] if student.needs_help]),
            _names([student for student in groups[key] if not student.needs_help]),
        ]
        for key in order
    ]
    headings = [text(say(heading)) for heading in _STEP_HEADINGS]
    caption = text(say("The first step of each student's own report, in the words of the family's page."))
    rest = ""
    if silent:
        said = say_n(
            "{n} student has no report in this week:", "{n} students have no report in this week:", len(silent)
        )
        rest = paragraph(f"{text(said)} {_names(silent)}", "note")
    return Html(table(headings, rows, caption=caption, css_class="prose") + rest)


_STEP_HEADINGS = (marked("Next step"), marked("Students"), marked("Need help"), marked("The others"))


def _group(student: Student) -> tuple[int, str, str]:
    step = student.step
    if step is None or step.rule is None:
        return _NOTHING
    return _TONES.get(step.tone or "", 1), step.rule, str(step.values.get("topic", ""))


def _n_helped(students: Sequence[Student]) -> int:
    return sum(bool(student.needs_help) for student in students)


def _step(document: CohortDocument, key: tuple[int, str, str]) -> str:
    _, rule, topic_id = key
    if not rule:
        return text(say("Nothing stands out."))
    return what_to_do(rule, document.topic(topic_id) if topic_id else None)


def _names(students: Sequence[Student]) -> str:
    if not students:
        return "–"
    ordered = sorted(students, key=lambda student: (student.shown, student.user_id))
    shown = ", ".join(name(student.shown) for student in ordered[:SHOWN_NAMES])
    rest = len(ordered) - SHOWN_NAMES
    more = "" if rest <= 0 else f" {text(say_n('and {n} more', 'and {n} more', rest))}"
    return f"<span>{shown}{more}</span>"


def stopped(document: CohortDocument) -> Html:
    """The students without an answer in the week, those who stopped just now first, with the model's plain reasons."""
    if not document.students:
        return Html(paragraph(text(say("No student of this class is known.")), "missing"))
    silent = [student for student in document.students if not student.answers]
    if not silent:
        return Html(paragraph(text(say("Every student of the class has practised in this week.")), "finding"))
    silent.sort(key=lambda s: (not s.usual, -s.usual, s.days_silent or 0.0, s.user_id))
    now = sum(bool(student.usual) for student in silent)
    said = say(
        "{silent} did not practise in this week; {now} of them still did in the three weeks before.",
        silent=say_n("{n} student", "{n} students", len(silent)),
        now=wording.whole(now),
    )
    rows = [
        [name(student.shown), text(_last_answer(student)), wording.whole(student.usual), text(_reasons(student), 400)]
        for student in silent[:SHOWN_NAMES]
    ]
    headings = [text(say(heading)) for heading in _STOPPED_HEADINGS]
    caption = say(
        "What goes along with longer pauses, by the model of when students come back; typical values in brackets. It does "
        "not say why a student stopped: ask."
    )
    return Html(
        paragraph(text(said, 300), "finding") + table(headings, rows, caption=text(caption, 400), css_class="prose")
    )


_STOPPED_HEADINGS = (
    marked("Student"),
    marked("Last session"),
    marked("Answers in three weeks before"),
    marked("What goes with it"),
)


def _last_answer(student: Student) -> str:
    if student.days_silent is None or student.days_silent < 0:
        return say("not known")
    return say("{days} ago", days=wording.days(math.floor(student.days_silent)))


def _reasons(student: Student) -> str:
    raising = [code for code in student.reasons if isinstance(code, dict) and code.get("raises_risk")]
    said = [words for words in map(plain_words.churn_circumstances, raising) if words]
    return "; ".join(said[:SHOWN_REASONS]) or "–"


def items(document: CohortDocument) -> Html:
    """The questions that the class met: those with a finding first, then those with most answers."""
    if not document.items:
        return Html(paragraph(text(say("No answers in the last four weeks.")), "missing"))
    judged = [(item_verdicts.verdict(item), item) for item in document.items]
    order = {code: number for number, code in enumerate(item_verdicts.FINDINGS)}
    judged.sort(key=lambda pair: (order.get(pair[0], len(order)), -pair[1].answers, pair[1].item_id))
    rows = [_item_row(document, item, code=code) for code, item in judged[:SHOWN_ITEMS]]
    headings = [text(say(heading)) for heading in _ITEM_HEADINGS]
    caption = say(
        "Expected: right answers that the model expects of these students. Difficulty in points: at an ability of this many "
        "points half of the answers are right. Discrimination: 1 is usual, below 0.2 a question tells little. Fit: 1 is as "
        "the model says, more is erratic, less is too regular; from the answers of all students in eight weeks. Change over "
        "time: of the difficulty, against some months ago, or what would show in four of five such comparisons."
    )
    return Html(
        paragraph(text(_item_sentence([code for code, _ in judged]), 400), "finding")
        + table(headings, rows, caption=text(caption, 800), css_class="items prose")
        + _more_items([code for code, _ in judged[SHOWN_ITEMS:]])
    )


_ITEM_HEADINGS = (
    marked("Question"),
    marked("Topic"),
    marked("Right"),
    marked("Expected"),
    marked("Difficulty"),
    marked("Discrimination"),
    marked("Fit"),
    marked("Change over time"),
    marked("Verdict"),
)


def _drift(item: Item) -> str:
    """The change of difficulty in points, or what the comparison could have seen; a dash without a comparison."""
    if item.has_moved and item.drift is not None:
        return say("{points} points", points=cohort_views.points(item.drift))
    if item.drift_found_from is None or item.drift_power is None:
        return "–"
    least = wording.whole(round(wording.POINTS_PER_LOGIT * item.drift_found_from))
    if item.is_drift_judged:
        return say("none; {points} points or more would show", points=least)
    return say(
        "cannot be judged: only {points} points or more would show, and a severe change in {percent} of cases",
        points=least,
        percent=wording.percent(item.drift_power),
    )


def _item_sentence(codes: Sequence[str]) -> str:
    counts = Counter(codes)
    findings = sum(counts[code] for code in item_verdicts.FINDINGS)
    works = counts[item_verdicts.OK] + counts[item_verdicts.OK_NOW]
    return say(
        "The class met {questions} in four weeks: {works} work as they should, {findings} need a look, and {unknown} cannot "
        "be judged yet.",
        questions=wording.questions(len(codes)),
        works=wording.whole(works),
        findings=wording.whole(findings),
        unknown=wording.whole(len(codes) - findings - works),
    )


def _more_items(codes: Sequence[str]) -> str:
    if not codes:
        return ""
    findings = sum(code in item_verdicts.FINDINGS for code in codes)
    said = say(
        "{questions} more, {findings} of them with a finding.",
        questions=wording.questions(len(codes)),
        findings=wording.whole(findings),
    )
    return paragraph(text(said), "note")


def _item_row(document: CohortDocument, item: Item, *, code: str) -> list[str]:
    expected = "–"
    if item.expected is not None and item.n_expected:
        right, answers = wording.decimal(item.expected, 1), wording.whole(item.n_expected)
        expected = say("{right} of {answers}", right=right, answers=answers)
    fit = "–"
    if item.infit is not None and item.n_fit >= item_verdicts.MIN_FIT_ANSWERS:
        fit = wording.decimal(item.infit)
    return [
        name(item.item_id),
        "–" if item.topic_id is None else name(document.topic(item.topic_id)),
        text(tally_cell(Tally(item.answers, item.correct))),
        text(expected),
        "–" if item.difficulty is None else text(wording.score(item.difficulty)),
        "–" if item.discrimination is None else text(wording.decimal(item.discrimination)),
        text(fit),
        text(_drift(item), 200),
        text(say(item_verdicts.VERDICTS[code]), 300),
    ]
