"""The goal on the family's page: how likely, by dots that a reader can count, and the pace that it needs."""

from __future__ import annotations

from collections.abc import Mapping

from seedtest_analytics.reporting import wording
from seedtest_analytics.reporting.document import ReportDocument
from seedtest_analytics.reporting.dot_charts import dot_grid, is_finite_plot, quantile_dots, stacks
from seedtest_analytics.reporting.html import Html, details, figure, paragraph, table, text
from seedtest_analytics.reporting.language import marked, say
from seedtest_analytics.reporting.outlook import DOTS, Outlook, PaceNeeded, Verdict, outlook, pace

PACE_WORDS: Mapping[Verdict, str] = {
    "reached": marked("The level is already at the goal."),
    "near": marked("The level is about at the goal today."),
    "ahead": marked("That is ahead of what the goal needs."),
    "on_the_way": marked("That is on the way to the goal."),
    "open": marked("It is open whether that is enough."),
    "out_of_reach": marked("At this pace the goal needs more time or a nearer step first."),
}


def goal(document: ReportDocument) -> Html:
    """The goal, its probability and the projection as dots, and the pace."""
    found = outlook(document)
    if found is None:
        none = say("Not enough data yet.")
        enough = say("A goal and about 20 answers to questions whose difficulty is known are enough.")
        return Html(paragraph(text(f"{none} {enough}"), "missing"))
    lines = [_goal_line(found)]
    needed = pace(document)
    if needed is not None:
        lines.append(_pace_line(needed))
    charts = f'<div class="pair">{_chance(found)}{_projection(found)}</div>'
    return Html(paragraph(text(" ".join(lines), 600)) + charts)


def _value(found: Outlook, value: float) -> str:
    """A score of the outlook in points, or as a share right."""
    if found.is_share:
        return wording.percent(min(1.0, max(0.0, value)))
    return say("{points} points", points=wording.score(value))


def _goal_line(found: Outlook) -> str:
    value = _value(found, found.target)
    if found.date is not None:
        line = say("The goal is {value} by {day}.", value=value, day=wording.day(found.date, year=True))
    else:
        line = say("The goal is {value}.", value=value)
    if found.is_own_goal:
        return line
    return f"{line} {say('It is the usual goal, because none of your own is set.')}"


def _pace_line(needed: PaceNeeded) -> str:
    own = say(
        "The pace is {own} points a week (likely {low} to {high}).",
        own=_points_a_week(needed.own),
        low=_points_a_week(needed.low),
        high=_points_a_week(needed.high),
    )
    verdict = say(PACE_WORDS[needed.verdict])
    if needed.verdict in ("reached", "near"):
        return f"{own} {verdict}"
    wanted = say("The goal needs {needed} a week.", needed=_points_a_week(needed.needed))
    return f"{own} {wanted} {verdict}"


def _points_a_week(logits: float) -> str:
    return wording.signed(wording.POINTS_PER_LOGIT * logits, 0)


def _chance(found: Outlook) -> str:
    title = say("Chance of reaching the goal")
    reached = say("{n} of {total}", n=found.filled, total=DOTS)
    description = say("{part} dots are filled.", part=reached)
    chart = dot_grid(found.filled, DOTS, title=title, description=description)
    caption = say(
        "Each dot is one of {total} equally likely courses from here. In {n} of them, the filled ones, the goal is reached.",
        total=DOTS,
        n=found.filled,
    )
    if found.assumes_practice:
        caption = f"{caption} {say('This is so if practice continues.')}"
    rows = [
        [text(say("Goal reached")), wording.whole(found.filled)],
        [text(say("Not yet")), wording.whole(DOTS - found.filled)],
    ]
    numbers = table([text(say("Course")), text(say("Dots"))], rows, caption="", css_class="numbers")
    opened = details(say("The numbers of this chart"), numbers)
    return f"<div>{figure(f'<h3>{text(title)}</h3>{chart}', text(caption, 400))}{opened}</div>"


def _projection(found: Outlook) -> str:
    values = found.quantiles()
    if not is_finite_plot(values, found.target):
        return ""
    title = say("Where the level is likely to be")
    low, high = _value(found, values[DOTS // 20]), _value(found, values[-1 - DOTS // 20])
    description = say("Nine of ten dots lie between {low} and {high}.", low=low, high=high)
    chart = quantile_dots(values, found.target, title=title, description=description, shown=lambda v: _tick(found, v))
    caption = say(
        "Each dot is one of {total} equally likely levels. Where many dots stand, the level is likely.", total=DOTS
    )
    rows = [
        [text(say("{low} to {high}", low=_tick(found, start), high=_tick(found, start + width))), wording.whole(count)]
        for start, width, count in stacks(values)
    ]
    unit = say("Share right") if found.is_share else say("Points")
    numbers = table([text(unit), text(say("Dots"))], rows, caption="", css_class="numbers")
    opened = details(say("The numbers of this chart"), numbers)
    if found.n_weeks is not None:
        follows = say(
            "The dots follow the line through {weeks}, which may lie above or below the newest level.",
            weeks=wording.weeks(found.n_weeks),
        )
        caption = f"{caption} {follows}"
    shown = text(f"{description} {caption}", 600)
    return f"<div>{figure(f'<h3>{text(title)}</h3>{chart}', shown)}{opened}</div>"


def _tick(found: Outlook, value: float) -> str:
    return f"{round(100 * value)}%" if found.is_share else wording.score(value)
