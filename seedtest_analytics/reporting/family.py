"""The parts of the family's page: the student's own words and numbers, at most two sheets of A4.

It has no risk, no segment, no hazard, no linking and no cohort model, and no comparison with other students. A student
without an answer in the week gets other parts: what stands, since when, and how to come back.
"""

from __future__ import annotations

import datetime as dt
import math
from collections.abc import Callable, Mapping

from seedtest_analytics.reporting import charts, wording
from seedtest_analytics.reporting.advice_words import family_advice
from seedtest_analytics.reporting.chart_tables import trend_table
from seedtest_analytics.reporting.document import ReportDocument
from seedtest_analytics.reporting.html import Html, figure, name, paragraph, section, table, text
from seedtest_analytics.reporting.language import marked, say, say_n
from seedtest_analytics.reporting.levels import MIN_TOPIC_ANSWERS, Level, newest_ability, share_right, topic_levels
from seedtest_analytics.reporting.summary import TopicSummary, known_abilities, known_days, tally, week_tally
from seedtest_analytics.reporting.views import ability_bounds, more_topics, tally_cell

TREND_WEEKS = 8
SHOWN_TOPICS = 6
CALENDAR_WEEKS = 4
SHADES = 4
POINTS = (
    charts.ChartStyle(700, 170, css_class="wide", digits=0),
    charts.ChartStyle(340, 135, css_class="narrow", digits=0),
)
LEVELS: Mapping[Level, str] = {"begun": marked("begun"), "nearly": marked("nearly there"), "secure": marked("secure")}


def is_silent(document: ReportDocument) -> bool:
    """Whether the week has no answer, so that the page is another one."""
    return week_tally(document).attempts == 0


def unless_silent(
    heading: str, view: Callable[[ReportDocument], Html | None], *, document: ReportDocument
) -> Html | None:
    """A part of the page of a student with answers, under its heading."""
    return None if is_silent(document) else section(heading, view(document))


def next_steps(document: ReportDocument) -> Html:
    """What to do next."""
    return family_advice(document)


def standing(document: ReportDocument) -> Html:
    """The level in points with its interval, what it means, and its course."""
    ability = newest_ability(document)
    if ability is None:
        return Html(paragraph(text(_no_level(document), 400), "missing"))
    parts = [paragraph(f"<strong>{text(_points(ability.theta))}</strong>", "value")]
    if ability.se is not None:
        low, high = map(wording.score, ability_bounds(ability))
        likely = say("Likely between {low} and {high}; more answers make it more certain.", low=low, high=high)
        parts.append(paragraph(text(likely)))
    n = min(99, max(1, round(100 * share_right(ability.theta))))
    parts.append(paragraph(text(say(_MEANING, n=n), 400), "note"))
    return Html("".join(parts) + _course(document))


_MEANING = marked(
    "About {n} of 100 questions of middle difficulty would be right. At 500 points it is 50 of 100, at 600 points 73."
)


def _points(theta: float) -> str:
    return say("{points} points", points=wording.score(theta))


def _no_level(document: ReportDocument) -> str:
    none = say("Not enough data yet.")
    return f"{none} {say('About 20 answers to questions whose difficulty is known are enough for a level in points.')}"


def _course(document: ReportDocument) -> str:
    newest = known_abilities(document)[-TREND_WEEKS:]
    if len(newest) < 2:
        return ""
    points = [
        charts.TrendPoint(
            p.date,
            wording.score_points(p.theta),
            *(map(wording.score_points, ability_bounds(p)) if p.se is not None else (None, None)),
        )
        for p in newest
    ]
    described = charts.described(points, digits=0)
    chart = charts.trend(points, say("The level over time, in points"), description=described, styles=POINTS)
    caption = text(
        say("Each point is the level as it was known at the end of that week. The band shows how certain it is.")
    )
    return figure(chart, caption) + trend_table(points, (say("Day"), say("Points")), shown=wording.whole)


def topics(document: ReportDocument) -> Html | None:
    """The topics of four weeks, each with its level; None without answers."""
    found = topic_levels(document)
    if not found:
        return None
    rows = [_topic_row(document, topic, level=level) for topic, level in found[:SHOWN_TOPICS]]
    caption = say(
        "Answers of four weeks. Secure: at least 7 of 10 questions of middle difficulty would be right, and that is "
        "quite certain. Begun: fewer than half. A level takes {n} answers.",
        n=MIN_TOPIC_ANSWERS,
    )
    headings = [text(say("Topic")), text(say("Level")), text(say("Right in four weeks")), text(say("This week"))]
    made = table(headings, rows, caption=text(caption, 500), css_class="levels")
    return Html(made + more_topics(tuple(topic for topic, _ in found[SHOWN_TOPICS:])))


def _topic_row(document: ReportDocument, topic: TopicSummary, *, level: Level | None) -> list[str]:
    if level is None:
        missing = MIN_TOPIC_ANSWERS - topic.period.attempts
        shown = text(say_n("{n} more answer needed", "{n} more answers needed", missing))
    else:
        shown = f'<span class="level {level}">{text(say(LEVELS[level]))}</span>'
    return [name(document.topic(topic.topic_id)), shown, text(tally_cell(topic.period)), text(tally_cell(topic.week))]


def calendar(document: ReportDocument) -> Html | None:
    """The answers of each day of four weeks; None without any. The chart is its table."""
    by_day: dict[dt.date, int] = {}
    for row in known_days(document):
        by_day[row.date] = by_day.get(row.date, 0) + tally([row]).attempts
    most = max(by_day.values(), default=0)
    if not most:
        return None
    mondays = [document.week_start - dt.timedelta(weeks=w) for w in reversed(range(CALENDAR_WEEKS))]
    days = [document.week_start + dt.timedelta(days=d) for d in range(7)]
    head = "".join(f'<th scope="col">{text(wording.weekday(day))}</th>' for day in days)
    body = "".join(_calendar_row(monday, by_day, most=most) for monday in mondays)
    caption = text(say("Answers on each day of four weeks; the stronger the colour, the more."))
    return Html(
        f'<table class="calendar"><caption>{caption}</caption>'
        f'<thead><tr><th scope="col">{text(say("Week of"))}</th>{head}</tr></thead><tbody>{body}</tbody></table>'
    )


def _calendar_row(monday: dt.date, by_day: Mapping[dt.date, int], *, most: int) -> str:
    cells = ""
    for offset in range(7):
        answers = by_day.get(monday + dt.timedelta(days=offset), 0)
        shade = math.ceil(SHADES * answers / most) if answers else 0
        cells += f'<td class="shade{shade}">{wording.whole(answers) if answers else "·"}</td>'
    return f'<tr><th scope="row">{text(wording.day(monday))}</th>{cells}</tr>'


def about(document: ReportDocument) -> Html:
    """How to read the page."""
    lines = [text(say(line), 500) for line in _ABOUT]
    if (made := document.generated_at) is not None:
        lines.append(text(say("Data up to {day}.", day=wording.day(_last_day(made), year=True))))
    return Html(paragraph(" ".join(lines)))


def _last_day(made: dt.datetime) -> dt.date:
    """The day of the newest answer that the page may have: the data end before ``made``, which is a midnight."""
    return (made - dt.timedelta(microseconds=1)).date()


_ABOUT = (
    marked("Points combine right and wrong answers with how hard each question was; nobody is compared with others."),
    marked("Every number is an estimate: the fewer the answers, the wider the range."),
    marked("A question left open counts neither as right nor as wrong."),
)


def coming_back(document: ReportDocument) -> Html | None:
    """The page of a student without answers in the week; None for others."""
    if not is_silent(document):
        return None
    parts = [section(say("Since when"), _since(document)), section(say("What stands"), _what_stands(document))]
    parts.append(section(say("How to come back"), _first_step(document)))
    return Html("".join(str(part) for part in parts if part))


def _since(document: ReportDocument) -> Html:
    silent = document.kpi("S_days_silent")
    if document.kpi_text("S_state") == "never_started":
        return Html(paragraph(text(say("There are no answers yet. The first report follows the first session."))))
    answered = [row.date for row in known_days(document) if row.attempts]
    if silent is None and not answered:
        return Html(paragraph(text(say("There were no answers in the last weeks."))))
    by_kpi = document.week_end - dt.timedelta(days=max(0, math.ceil(silent or 0.0) - 1))
    last = max(answered, default=by_kpi)
    said = say("The last answers are from {day}.", day=wording.day(last, year=True, weekday=True))
    return Html(paragraph(text(said)))


def _what_stands(document: ReportDocument) -> Html | None:
    ability, lines = newest_ability(document), list[str]()
    if ability is not None:
        lines.append(paragraph(text(say("The level was {points} points.", points=wording.score(ability.theta)))))
    secure = [name(document.topic(t.topic_id)) for t, level in topic_levels(document) if level == "secure"]
    if secure:
        lines.append(paragraph(say("Secure so far: {topics}.", topics=", ".join(secure[:SHOWN_TOPICS]))))
    return Html("".join(lines)) if lines else None


def _first_step(document: ReportDocument) -> Html:
    steps = [text(say("Start with one short session of about ten questions; easy ones are fine."))]
    open_topics = [t for t, level in topic_levels(document) if level in ("nearly", "begun")]
    if open_topics:
        steps.append(say("{topic} is a good topic to begin with.", topic=name(document.topic(open_topics[0].topic_id))))
    steps.append(text(say("A pause is nothing bad: what was learned comes back quickly with practice.")))
    return Html("<ul>" + "".join(f"<li>{step}</li>" for step in steps) + "</ul>")
