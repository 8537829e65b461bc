"""The parts that the pages of classes and organisations share: header, growth, topics, learning curves."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence

from seedtest_analytics.reporting import charts, wording
from seedtest_analytics.reporting.chart_tables import trend_table
from seedtest_analytics.reporting.cohort_document import CohortDocument, CurvePoint, Gain, Scope, Summary
from seedtest_analytics.reporting.html import Html, details, figure, name, paragraph, section, table, text
from seedtest_analytics.reporting.language import marked, say, say_n
from seedtest_analytics.reporting.views import tally_cell

SHOWN_TOPICS = 15
SHOWN_CURVES = 6
MIN_CURVE_WEEKS = 2
GAINS = (
    charts.ChartStyle(700, 190, css_class="wide", digits=0),
    charts.ChartStyle(340, 170, css_class="narrow", digits=0),
)
CURVES = (charts.ChartStyle(340, 180, is_percent=True, y_limits=(0.0, 1.0)),)
SCOPES: Mapping[Scope, str] = {
    "class": marked("Class"),
    "organisation": marked("Organisation"),
    "platform": marked("About"),
}


def of_scope(
    heading: str, view: Callable[[CohortDocument], Html | None], *, scope: Scope, document: CohortDocument
) -> Html | None:
    """A part of the pages of one scope under its heading; None for a group that is too small to have numbers."""
    return section(heading, view(document)) if document.is_shown and document.scope == scope else None


def of_group(heading: str, view: Callable[[CohortDocument], Html | None], *, document: CohortDocument) -> Html | None:
    """A part of the pages of classes and organisations."""
    scope: Scope = "organisation" if document.scope == "organisation" else "class"
    return of_scope(heading, view, scope=scope, document=document)


def header(document: CohortDocument) -> Html:
    """Whom the page is about, the week, and the week in one sentence."""
    shown = name(document.shown) if document.scope != "platform" else text(say("the whole platform, for its operators"))
    facts = [(say(SCOPES[document.scope]), shown)]
    if document.grade is not None:
        facts.append((say("Grade"), text(document.grade)))
    if document.scope == "class" and document.organisation:
        facts.append((say("Organisation"), name(document.organisation)))
    facts.append((say("Week"), text(wording.week(document.week_start))))
    return Html(f"{facts_list(facts)}{_lead(document)}")


def facts_list(facts: Sequence[tuple[str, str]]) -> str:
    """Labels (plain text) and values (markup)."""
    items = "".join(f"<div><dt>{text(label)}</dt><dd>{value}</dd></div>" for label, value in facts)
    return f'<dl class="facts wide">{items}</dl>'


def _lead(document: CohortDocument) -> str:
    if not document.is_shown:
        return paragraph(text(say(_TOO_SMALL[document.scope], n=document.minimum), 400), "missing")
    summary = document.summary or Summary(students=0, active=0, answers=0, correct=0, helped=0)
    students = say_n("{n} student", "{n} students", summary.students)
    if not summary.answers:
        return paragraph(text(say("{students}; nobody has answered in this week.", students=students)), "lead")
    said = say(
        "{active} of {students} practised: {answers}, {share} right.",
        active=wording.whole(summary.active),
        students=students,
        answers=wording.answers(summary.answers),
        share=wording.percent(summary.tally.share or 0.0),
    )
    if summary.helped:
        said = f"{said} {say_n('{n} needs help.', '{n} need help.', summary.helped)}"
    return paragraph(text(said, 400), "lead")


_TOO_SMALL: Mapping[Scope, str] = {
    "class": marked(
        "This class has fewer than {n} students. A number about so few would be a number about one of them, so this page "
        "shows none. The page of each student has the student's own numbers."
    ),
    "organisation": marked(
        "No class of this organisation has {n} students or more. A number about so few would be a number about one of "
        "them, so this page shows none."
    ),
    "platform": marked("There are fewer than {n} students."),
}


def growth(document: CohortDocument) -> Html:
    """The mean gain of the group with its interval, and its course."""
    if not document.growth or document.growth[-1].gain is None or len(document.growth) < 2:
        n = document.minimum
        return Html(paragraph(text(say("Growth takes {n} students with a level in two weeks.", n=n)), "missing"))
    first, last = document.growth[0], document.growth[-1]
    said = say(
        "Since {day}, the ability of {students} has changed by {points} points on average (95% interval {interval}).",
        day=wording.day(first.week_start, year=True),
        students=say_n("{n} student", "{n} students", last.students),
        points=points(last.gain),
        interval=interval(last),
    )
    return Html(paragraph(text(f"{said} {_direction(last)}", 400), "finding") + _gain_chart(document.growth))


def points(logits: float | None) -> str:
    """A difference of abilities in points with its sign; a dash where it is not known."""
    return "–" if logits is None else wording.signed(wording.POINTS_PER_LOGIT * logits, 0)


def interval(gain: Gain) -> str:
    """The 95% interval of a gain in points; a dash where it is not known."""
    if gain.lower is None or gain.upper is None:
        return "–"
    return say("{low} to {high}", low=points(gain.lower), high=points(gain.upper))


def _direction(gain: Gain) -> str:
    if gain.lower is not None and gain.lower > 0:
        return say("The group has grown.")
    if gain.upper is not None and gain.upper < 0:
        return say("The group has fallen back.")
    return say("Whether the group has grown cannot be told: the interval includes zero.")


def _gain_chart(found: Sequence[Gain]) -> str:
    scale = wording.POINTS_PER_LOGIT
    drawn = [
        charts.TrendPoint(
            g.week_start,
            scale * (g.gain or 0.0),
            lower=None if g.lower is None else scale * g.lower,
            upper=None if g.upper is None else scale * g.upper,
        )
        for g in found
    ]
    title = say("Mean gain of the group in points")
    chart = charts.trend(drawn, title, description=charts.described(drawn, digits=0), styles=GAINS)
    caption = say(
        "Mean gain of the same students since the first week shown, in points (100 points are one logit), with its 95% "
        "interval over students."
    )
    headings = (say("Week of"), say("Gain in points"))
    numbers = trend_table(drawn, headings, shown=lambda value: wording.signed(value, 0))
    return figure(chart, text(caption, 400)) + numbers


def topics(document: CohortDocument) -> Html:
    """The topics of four weeks."""
    if not document.topics:
        return Html(paragraph(text(say("No answers in the last four weeks.")), "missing"))
    found = document.topics[:SHOWN_TOPICS]
    rows = [
        [
            name(document.topic(topic.topic_id)),
            wording.whole(topic.students),
            wording.whole(topic.answers_week),
            text(tally_cell(topic.tally)),
            f'<span class="share-cell">{charts.share_bar(topic.tally, _share_title(topic.tally.share))}'
            f"{text(wording.percent(topic.tally.share or 0.0))}</span>",
            "–" if topic.ability is None else text(wording.score(topic.ability)),
        ]
        for topic in found
    ]
    headings = [text(say(heading)) for heading in _TOPIC_HEADINGS]
    caption = say(
        "Answers of four weeks; an answer to a question with several topics counts in each. Bar: 95% interval, as if every "
        "answer were another student's, so the truth is somewhat less certain; tick: one half. Ability: mean of the "
        "students in points; at 500 points half of the questions of middle difficulty are right."
    )
    rest = document.topics[SHOWN_TOPICS:]
    more = ""
    if rest:
        answers = wording.answers(sum(topic.answers for topic in rest))
        said = say("{topics} more with {answers}.", topics=wording.topics(len(rest)), answers=answers)
        more = paragraph(text(said), "note")
    return Html(table(headings, rows, caption=text(caption, 600), css_class="topics") + more)


_TOPIC_HEADINGS = (
    marked("Topic"),
    marked("Students"),
    marked("Answers this week"),
    marked("Right in four weeks"),
    marked("Share right"),
    marked("Ability"),
)


def _share_title(share: float | None) -> str:
    return say("{percent} right", percent=wording.percent(share or 0.0))


def curves(document: CohortDocument) -> Html:
    """Learning curves of the topics with most answers, each beside what the model expected a week before."""
    by_topic: dict[str, list[CurvePoint]] = defaultdict(list)
    for point in document.curves:
        if point.answers and point.expected is not None:
            by_topic[point.topic_id].append(point)
    known = [topic_id for topic_id, found in by_topic.items() if len(found) >= MIN_CURVE_WEEKS]
    known.sort(key=lambda topic_id: (-sum(p.answers for p in by_topic[topic_id]), topic_id))
    if not known:
        none = say("A learning curve takes two weeks with answers to questions whose difficulty is known.")
        return Html(paragraph(text(none), "missing"))
    shown = known[:SHOWN_CURVES]
    legend = (
        f'<span class="key line-key"></span> {text(say("right"))} &#8195;'
        f'<span class="key beside-key"></span> {text(say("expected by the model"))}'
    )
    explained = say(
        "Share right in each week (by its Monday) with its 95% interval. The dotted line is what the model expected of the "
        "same answers, from each student's ability in the topic at the end of the week before and the difficulty of the "
        "questions. Where the class stays above it, the topic goes better than before."
    )
    drawn = "".join(
        f"<div>{_curve(document, topic_id, found=by_topic[topic_id], n=n, total=len(shown))}</div>"
        for n, topic_id in enumerate(shown, start=1)
    )
    return Html(f'{paragraph(legend)}<div class="pair">{drawn}</div>{paragraph(text(explained, 600), "note")}')


def _curve(document: CohortDocument, topic_id: str, *, found: Sequence[CurvePoint], n: int, total: int) -> str:
    drawn = [charts.TrendPoint(p.week_start, p.tally.share or 0.0, *p.tally.interval) for p in found]
    beside = [(p.week_start, (p.expected or 0.0) / p.answers) for p in found]
    described = "; ".join(
        say(
            "week of {day}: {right} right, {expected} expected",
            day=wording.day(point.week_start),
            right=wording.percent(point.tally.share or 0.0),
            expected=wording.percent(expected),
        )
        for point, (_, expected) in zip(found, beside, strict=True)
    )
    title = say("Learning curve {n} of {total}", n=n, total=total)
    chart = charts.trend(drawn, title, description=described, styles=CURVES, beside=beside)
    caption = say(
        "{right} right; {expected} expected.",
        right=wording.part_of(sum(p.correct for p in found), sum(p.answers for p in found)),
        expected=wording.decimal(sum(p.expected or 0.0 for p in found), 1),
    )
    rows = [
        [
            text(wording.day(p.week_start, year=True)),
            wording.whole(p.answers),
            wording.whole(p.correct),
            text(wording.decimal(p.expected or 0.0, 1)),
        ]
        for p in found
    ]
    headings = [text(say(heading)) for heading in _CURVE_HEADINGS]
    numbers = details(say("The numbers of this chart"), table(headings, rows, caption="", css_class="numbers"))
    return figure(f"<h3>{name(document.topic(topic_id))}</h3>{chart}", text(caption)) + numbers


_CURVE_HEADINGS = (marked("Week of"), marked("Answers"), marked("Right"), marked("Expected right"))


def about(document: CohortDocument) -> Html:
    """What the numbers mean and where they come from."""
    lines = [say(line) for line in _ABOUT[document.scope]] if document.is_shown else []
    if document.scope != "platform":
        lines.append(say("A group of fewer than {n} students is shown without numbers.", n=document.minimum))
    zone = say(
        "Days and weeks are those of the time zone {zone}; later answers are not in this report.",
        zone=text(document.time_zone),
    )
    made = document.generated_at
    at = ""
    if made is not None:
        clock = f"{made:%H:%M} {made.tzname() or ''}"
        at = say("Data of {day}, {time}.", day=text(wording.day(made.date(), year=True)), time=text(clock))
    return Html("".join(paragraph(text(line, 600)) for line in lines) + paragraph(f"{zone} {at}"))


_HELP = marked(
    "A student needs help if there was no answer, practice fell by half, most questions were too hard, few answers were "
    "right, the level is below 450 points, or ability fell. It is the same rule in all reports and messages."
)
_MEMBERS = marked("A student belongs to the class of the newest session that names one, within half a year.")
_ABOUT: Mapping[Scope, tuple[str, ...]] = {
    "class": (
        _HELP,
        _MEMBERS,
        marked("This page is for the teachers of the class. It has names and is not for families."),
    ),
    "organisation": (
        _HELP,
        _MEMBERS,
        marked("Numbers of the organisation leave out the students of classes that are too small."),
        marked("Differences between classes have many causes. The page does not rank teachers."),
    ),
    "platform": (
        marked(
            "This page shows what the tables had for the week when it was made. The page of each asset has its history and plots."
        ),
    ),
}
