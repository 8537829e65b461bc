"""The parts of the teacher's page of a student that every student has, as HTML; the header serves the family's page too.

A part that every student has says in a sentence that its data is missing. A part that only some students have (growth,
forecast, risk, segment) is None without its data, and the page then omits its heading too.
"""

from __future__ import annotations

from seedtest_analytics.reporting import charts, wording
from seedtest_analytics.reporting.chart_tables import tally_table, trend_table
from seedtest_analytics.reporting.document import AbilityPoint, Goal, ReportDocument
from seedtest_analytics.reporting.html import Html, figure, name, paragraph, table, text
from seedtest_analytics.reporting.kpi_cards import KpiCard, kpi_cards
from seedtest_analytics.reporting.language import marked, say, say_n
from seedtest_analytics.reporting.summary import (
    Z_95,
    Tally,
    TopicSummary,
    daily_tallies,
    known_abilities,
    known_days,
    topic_summaries,
    week_tally,
    weekly_tallies,
)

TREND_WEEKS = 12
SHOWN_TOPICS = 15
ABILITY = (charts.ChartStyle(700, 250, css_class="wide"), charts.ChartStyle(340, 220, css_class="narrow"))
SHARE_RIGHT = (charts.ChartStyle(340, 210, is_percent=True, y_limits=(0.0, 1.0)),)


def header(document: ReportDocument) -> Html:
    """The student, the week, and the week in one sentence."""
    facts = [
        (say("Student"), f'<span class="student">{name(document.student)}</span>'),
        (say("Week"), text(wording.week(document.week_start))),
    ]
    items = "".join(f"<div><dt>{text(label)}</dt><dd>{value}</dd></div>" for label, value in facts)
    return Html(f'<dl class="facts">{items}</dl>{paragraph(week_sentence(document), "lead")}')


def week_sentence(document: ReportDocument) -> str:
    """The answers of the week in one sentence, as markup."""
    week = week_tally(document)
    if not week.attempts:
        return text(say("No answers were recorded in this week."))
    return say(
        "{answers} on {days} in {topics}, {share} right.",
        answers=f"<strong>{text(wording.answers(week.attempts))}</strong>",
        days=text(wording.days(sum(1 for _, t in daily_tallies(document) if t.attempts))),
        topics=text(wording.topics(sum(1 for s in topic_summaries(document) if s.week.attempts))),
        share=f"<strong>{text(wording.percent(week.share or 0.0))}</strong>",
    )


def kpis(document: ReportDocument) -> Html:
    """The six KPIs as cards."""
    return Html(f'<div class="cards">{"".join(map(_kpi_card, kpi_cards(document)))}</div>')


def _kpi_card(card: KpiCard) -> str:
    spark = ""
    if card.history:
        title = say("{name} over {weeks}", name=card.title, weeks=wording.weeks(len(card.history)))
        spark = charts.sparkline(card.history, title, low=card.scale.low, high=card.scale.high)
    headline = paragraph(text(card.headline), "value" if card.value is not None else "value none")
    parts = [f"<h3>{text(card.title)}</h3>", f'<div class="value-row">{headline}{spark}</div>']
    if card.value is not None:
        scale, title = card.scale, f"{card.title}: {card.headline}"
        bar = charts.gauge(card.value, title, low=scale.low, high=scale.high, limits=card.limits)
        ends = f"<span>{text(scale.low_word)}</span><span>{text(scale.high_word)}</span>"
        parts.append(f'{bar}<p class="ends" aria-hidden="true">{ends}</p>')
    parts.append(paragraph(text(card.meaning, 400), "meaning"))
    if card.reason:
        parts.append(paragraph(text(card.reason, 400), "evidence"))
    parts += [paragraph(text(line, 400), "evidence") for line in card.evidence]
    return f'<article class="kpi" data-kpi="{text(card.key)}">{"".join(parts)}</article>'


def ability(document: ReportDocument) -> Html:
    """The ability of the last weeks with its 95% interval and the goal."""
    newest = known_abilities(document)[-TREND_WEEKS:]
    if not newest:
        return Html(paragraph(text(_no_ability(document), 400), "missing"))
    if len(newest) == 1:
        note = paragraph(text(say("The course over time appears from the second week on.")), "note")
        return Html(_ability_sentence(newest) + note)
    return Html(_ability_sentence(newest) + _ability_charts(document, newest))


def _no_ability(document: ReportDocument) -> str:
    known = document.kpi("theta")
    if known is None:
        return say("No ability has been estimated yet: that takes answers to questions whose difficulty is known.")
    answers = document.kpi_count("theta_n_answers")
    none = say("No ability was estimated in the last eight weeks.")
    if not answers:
        return f"{none} {say('The last one known is {value}.', value=wording.decimal(known))}"
    last = say(
        "The last one known is {value}, from {answers}.", value=wording.decimal(known), answers=wording.answers(answers)
    )
    return f"{none} {last}"


def _ability_sentence(points: list[AbilityPoint]) -> str:
    last = points[-1]
    value, day = wording.decimal(last.theta), wording.day(last.date, year=True)
    if last.se is None:
        known = say("Ability is {value} as of {day}.", value=value, day=day)
    else:
        interval = wording.interval(*ability_bounds(last))
        known = say(
            "Ability is {value} (95% interval {interval}) as of {day}.", value=value, interval=interval, day=day
        )
    return paragraph(text(known, 400), "finding")


def ability_bounds(point: AbilityPoint) -> tuple[float, float]:
    """The 95% interval of an ability in logits."""
    se = point.se or 0.0
    return point.theta - Z_95 * se, point.theta + Z_95 * se


def _ability_charts(document: ReportDocument, points: list[AbilityPoint]) -> str:
    shown = [
        charts.TrendPoint(p.date, p.theta, *(ability_bounds(p) if p.se is not None else (None, None))) for p in points
    ]
    target = document.kpi("P_target")
    reference = (target, say("goal")) if target is not None else None
    described = charts.described(shown)
    chart = charts.trend(shown, say("Ability over time"), description=described, styles=ABILITY, reference=reference)
    caption = say(
        "Ability on the logit scale; 0 is the average student when the scale was set. Each point is what was known at the end of "
        "that week; the change in two weeks, above, comes from all answers. The band is the 95% interval."
    )
    if reference:
        caption = f"{caption} {say('The dashed line is the goal.')}"
    return figure(chart, text(caption, 400)) + trend_table(shown, (say("Day"), say("Ability")))


def practice(document: ReportDocument) -> Html:
    """The answers of the week by day, and the share right by week."""
    figures = [_daily_figure(document), _weekly_figure(document)]
    if not any(figures):
        return Html(paragraph(text(say("No answers were recorded in this week or the weeks before.")), "missing"))
    return Html(f'<div class="pair">{"".join(f"<div>{made}</div>" for made in figures if made)}</div>')


def _daily_figure(document: ReportDocument) -> str:
    days = daily_tallies(document)
    if not week_tally(document).attempts:
        return paragraph(text(say("No answers in this week.")), "missing") if known_days(document) else ""
    described = "; ".join(
        say(
            "{day}: {answers}, {right} right",
            day=wording.weekday(d),
            answers=wording.answers(t.attempts),
            right=wording.whole(t.correct),
        )
        for d, t in days
        if t.attempts
    )
    chart = charts.daily_bars(days, say("Answers on each day of the week"), description=described)
    legend = (
        f'<span class="key right"></span> {text(say("right"))} &#8195;'
        f'<span class="key wrong"></span> {text(say("wrong"))}'
    )
    caption = f"{legend}; {text(say('below each day the share right.'))}"
    numbers = tally_table(days, say("Day"), shown=lambda day: wording.day(day, weekday=True))
    return figure(f"<h3>{text(say('Day by day'))}</h3>{chart}", caption) + numbers


def _weekly_figure(document: ReportDocument) -> str:
    weeks = weekly_tallies(known_days(document))[-TREND_WEEKS:]
    if len(weeks) < 2:
        return ""
    points = [charts.TrendPoint(monday, t.share or 0.0, *t.interval) for monday, t in weeks]
    described = "; ".join(
        say(
            "week of {day}: {right} of {answers} right",
            day=wording.day(m),
            right=wording.whole(t.correct),
            answers=wording.whole(t.attempts),
        )
        for m, t in weeks
    )
    chart = charts.trend(points, say("Share right by week"), description=described, styles=SHARE_RIGHT)
    caption = say(
        "Share right in each week (by its Monday) with its 95% interval. How hard the questions were is not taken into "
        "account."
    )
    numbers = tally_table(weeks, say("Week of"), shown=wording.day)
    return figure(f"<h3>{text(say('Week by week'))}</h3>{chart}", text(caption, 400)) + numbers


def topics(document: ReportDocument) -> Html | None:
    """The topics with their share right, its interval, the typical time and, where known, the ability; None without."""
    found = topic_summaries(document)
    if not found:
        return None
    shown, rest = found[:SHOWN_TOPICS], found[SHOWN_TOPICS:]
    first = min(row.date for row in known_days(document))
    columns = 6 if any(topic.theta is not None for topic in shown) else 5
    caption = say(
        "Answers from {first} to {last}. An answer to a question with several topics counts in each of them. Bar: 95% "
        "interval; tick: one half. Time: mean of the daily medians.",
        first=wording.day(first, year=True),
        last=wording.day(document.week_end, year=True),
    )
    if columns == 6:
        caption = f"{caption} {say('Ability: ± half of its 95% interval.')}"
    rows = [_topic_row(document, topic)[:columns] for topic in shown]
    headings = [text(say(heading)) for heading in _TOPIC_HEADINGS[:columns]]
    return Html(table(headings, rows, caption=text(caption, 600), css_class="topics") + more_topics(rest))


_TOPIC_HEADINGS = (
    marked("Topic"),
    marked("Right this week"),
    marked("Right overall"),
    marked("Share right"),
    marked("Time"),
    marked("Ability"),
)


def more_topics(rest: tuple[TopicSummary, ...]) -> str:
    """The topics beyond those shown, in one sentence; empty without any."""
    if not rest:
        return ""
    answers = wording.answers(sum(s.period.attempts for s in rest))
    said = say_n(
        "And {n} more topic with {answers}.", "And {n} more topics with {answers}.", len(rest), answers=answers
    )
    return paragraph(text(said), "note")


def _topic_row(document: ReportDocument, topic: TopicSummary) -> list[str]:
    share = topic.period.share or 0.0
    bar = charts.share_bar(
        topic.period, say("{part} right", part=wording.part_of(topic.period.correct, topic.period.attempts))
    )
    return [
        name(document.topic(topic.topic_id)),
        text(tally_cell(topic.week)),
        text(tally_cell(topic.period)),
        f'<span class="share-cell">{bar}{text(wording.percent(share))}</span>',
        text(wording.seconds(topic.typical_time_ms)) if topic.typical_time_ms is not None else "–",
        _ability_cell(topic),
    ]


def tally_cell(total: Tally) -> str:
    """``7 of 9`` for a table: right answers of all; a dash without an answer."""
    if not total.attempts:
        return "–"
    return say("{right} of {answers}", right=wording.whole(total.correct), answers=wording.whole(total.attempts))


def _ability_cell(topic: TopicSummary) -> str:
    if topic.theta is None:
        return "–"
    spread = f" ± {wording.decimal(Z_95 * topic.theta_sd)}" if topic.theta_sd is not None else ""
    return text(f"{wording.decimal(topic.theta)}{spread}")


def goals(document: ReportDocument) -> Html:
    """The student's own targets beside the ability in each topic."""
    if not document.goals:
        none = say("No goal has been set.")
        if document.kpi_text("P_target_source") == "default":
            none = f"{none} {say('The goal probability is about the default goal.')}"
        return Html(paragraph(text(none, 400), "missing"))
    known = {s.topic_id: s for s in topic_summaries(document)}
    ordered = sorted(document.goals, key=lambda g: (-g.priority, g.topic_id))
    rows = [_goal_row(document, goal, topic=known.get(goal.topic_id)) for goal in ordered[:SHOWN_TOPICS]]
    headings = [text(say(heading)) for heading in _GOAL_HEADINGS]
    return Html(table(headings, rows, caption=text(say("Goals and abilities on the logit scale.")), css_class="goals"))


_GOAL_HEADINGS = (marked("Topic"), marked("Goal"), marked("Ability now"), marked("Where it stands"), marked("Priority"))


def _goal_row(document: ReportDocument, goal: Goal, *, topic: TopicSummary | None) -> list[str]:
    target = wording.decimal(goal.target_level) if goal.target_level is not None else say("no level set")
    ability = _ability_cell(topic) if topic else "–"
    shown = name(document.topic(goal.topic_id))
    return [shown, text(target), ability, text(_distance(goal.target_level, topic)), text(goal.priority)]


def _distance(target: float | None, topic: TopicSummary | None) -> str:
    if target is None or topic is None or topic.theta is None:
        return say("not known yet")
    gap, margin = target - topic.theta, Z_95 * (topic.theta_sd or 0.0)
    if abs(gap) <= margin:
        return say("close: within what the estimate can tell")
    if gap > 0:
        return say("{amount} to go", amount=wording.decimal(gap))
    return say("{amount} above the goal", amount=wording.decimal(-gap))


def about(document: ReportDocument) -> Html:
    """What the numbers of the page mean and where they come from."""
    from seedtest_analytics.reporting.model_views import provenance

    return Html("".join(paragraph(text(say(line), 600)) for line in _ABOUT) + str(provenance(document)))


_ABOUT = (
    marked(
        "Ability is estimated from right and wrong answers together with how hard each question is. It is given in "
        "logits: 0 is the average student when the scale was set, and one logit more means odds of a right answer 2.7 "
        "times as high."
    ),
    marked(
        "Intervals say how sure a number is: the true value is inside a 95% interval 19 times out of 20. The fewer the "
        "answers, the wider it is. Where there are too few answers, the report says so and gives no number."
    ),
    marked(
        "Only answered questions count. A question left open is neither right nor wrong. Times are those that were "
        "recorded."
    ),
)
