"""The parts of the page that the cells of ``weekly_report.qmd`` show, as HTML.

A part that every student has says in a sentence that its data is missing. A part that only some students have (growth,
forecast, risk, segment) is None without its data, and the page then omits its heading too.
"""

from __future__ import annotations

from seedtest_analytics.reporting import charts, wording
from seedtest_analytics.reporting.document import AbilityPoint, Goal, ReportDocument
from seedtest_analytics.reporting.html import Html, figure, name, paragraph, table, text
from seedtest_analytics.reporting.kpi_cards import KpiCard, kpi_cards
from seedtest_analytics.reporting.recommendations import recommendations
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
TONES = {"do": "To do", "keep": "Going well", "note": "To talk about"}
ABILITY = (charts.ChartStyle(700, 250, css_class="wide"), charts.ChartStyle(340, 220, css_class="narrow"))
SHARE_RIGHT = (charts.ChartStyle(340, 210, is_percent=True, y_limits=(0.0, 1.0)),)


def header(document: ReportDocument) -> Html:
    """The student, the week, and the week in one sentence."""
    facts = [
        ("Student", f'<span class="student">{name(document.user_id)}</span>'),
        ("Week", text(wording.week(document.week_start))),
    ]
    items = "".join(f"<div><dt>{label}</dt><dd>{value}</dd></div>" for label, value in facts)
    return Html(f'<dl class="facts">{items}</dl>{paragraph(_week_sentence(document), "lead")}')


def _week_sentence(document: ReportDocument) -> str:
    week = week_tally(document)
    if not week.attempts:
        return "No answers were recorded in this week."
    days = sum(1 for _, t in daily_tallies(document) if t.attempts)
    topics = sum(1 for s in topic_summaries(document) if s.week.attempts)
    share = wording.percent(week.share or 0.0)
    return (
        f"<strong>{wording.count(week.attempts, 'answer')}</strong> on {wording.count(days, 'day')} in "
        f"{wording.count(topics, 'topic')}, <strong>{text(share)}</strong> right."
    )


def kpis(document: ReportDocument) -> Html:
    """The six KPIs as cards."""
    return Html(f'<div class="cards">{"".join(map(_kpi_card, kpi_cards(document)))}</div>')


def _kpi_card(card: KpiCard) -> str:
    spark = ""
    if card.history:
        weeks = wording.count(len(card.history), "week")
        spark = charts.sparkline(card.history, f"{card.title} over {weeks}", low=card.scale.low, high=card.scale.high)
    headline = paragraph(text(card.headline), "value" if card.value is not None else "value none")
    parts = [f"<h3>{text(card.title)}</h3>", f'<div class="value-row">{headline}{spark}</div>']
    if card.value is not None:
        scale, title = card.scale, f"{card.title}: {card.headline}"
        bar = charts.gauge(card.value, title, low=scale.low, high=scale.high, limits=card.limits)
        ends = f"<span>{text(scale.low_word)}</span><span>{text(scale.high_word)}</span>"
        parts.append(f'{bar}<p class="ends" aria-hidden="true">{ends}</p>')
    parts.append(paragraph(text(card.meaning, 400), "meaning"))
    if card.reason:
        parts.append(paragraph(text(f"{card.reason[:1].upper()}{card.reason[1:]}."), "evidence"))
    parts += [paragraph(text(line, 400), "evidence") for line in card.evidence]
    return f'<article class="kpi" data-kpi="{text(card.key)}">{"".join(parts)}</article>'


def ability(document: ReportDocument) -> Html:
    """The ability of the last weeks with its 95% interval and the goal."""
    newest = known_abilities(document)[-TREND_WEEKS:]
    if not newest:
        return Html(paragraph(text(_no_ability(document), 400), "missing"))
    if len(newest) == 1:
        note = paragraph("The course over time appears from the second week on.", "note")
        return Html(_ability_sentence(newest) + note)
    return Html(_ability_sentence(newest) + _ability_charts(document, newest))


def _no_ability(document: ReportDocument) -> str:
    known = document.kpi("theta")
    if known is None:
        return "No ability has been estimated yet: that takes answers to questions whose difficulty is known."
    answers = document.kpi_count("theta_n_answers")
    source = f", from {wording.count(answers, 'answer')}" if answers else ""
    return f"No ability was estimated in the last eight weeks. The last one known is {wording.decimal(known)}{source}."


def _ability_sentence(points: list[AbilityPoint]) -> str:
    last = points[-1]
    interval = f" (95% interval {wording.interval(*_ability_bounds(last))})" if last.se is not None else ""
    known = f"Ability is {wording.decimal(last.theta)}{interval} as of {wording.day(last.date, year=True)}."
    return paragraph(text(known, 400), "finding")


def _ability_bounds(point: AbilityPoint) -> tuple[float, float]:
    se = point.se or 0.0
    return point.theta - Z_95 * se, point.theta + Z_95 * se


def _ability_charts(document: ReportDocument, points: list[AbilityPoint]) -> str:
    shown = [
        charts.TrendPoint(p.date, p.theta, *(_ability_bounds(p) if p.se is not None else (None, None))) for p in points
    ]
    target = document.kpi("P_target")
    reference = (target, "goal") if target is not None else None
    described = charts.described(shown)
    chart = charts.trend(shown, "Ability over time", description=described, styles=ABILITY, reference=reference)
    goal = " The dashed line is the goal." if reference else ""
    return figure(
        chart,
        "Ability on the logit scale; 0 is the average student when the scale was set. "
        f"The band is the 95% interval.{goal}",
    )


def practice(document: ReportDocument) -> Html:
    """The answers of the week by day, and the share right by week."""
    figures = [_daily_figure(document), _weekly_figure(document)]
    if not any(figures):
        return Html(paragraph("No answers were recorded in this week or the weeks before.", "missing"))
    return Html(f'<div class="pair">{"".join(figures)}</div>')


def _daily_figure(document: ReportDocument) -> str:
    days = daily_tallies(document)
    if not week_tally(document).attempts:
        return paragraph("No answers in this week.", "missing") if known_days(document) else ""
    described = "; ".join(
        f"{wording.weekday(d)} {t.attempts} answers, {t.correct} right" for d, t in days if t.attempts
    )
    chart = charts.daily_bars(days, "Answers on each day of the week", description=described)
    legend = '<span class="key right"></span> right &#8195;<span class="key wrong"></span> wrong'
    return figure(f"<h3>Day by day</h3>{chart}", f"{legend}; below each day the share right.")


def _weekly_figure(document: ReportDocument) -> str:
    weeks = weekly_tallies(known_days(document))[-TREND_WEEKS:]
    if len(weeks) < 2:
        return ""
    points = [charts.TrendPoint(monday, t.share or 0.0, *t.interval) for monday, t in weeks]
    described = "; ".join(f"week of {wording.day(m)}: {t.correct} of {t.attempts} right" for m, t in weeks)
    chart = charts.trend(points, "Share right by week", description=described, styles=SHARE_RIGHT)
    return figure(
        f"<h3>Week by week</h3>{chart}",
        "Share right in each week (by its Monday) with its 95% interval. How "
        "hard the questions were is not taken into account.",
    )


def topics(document: ReportDocument) -> Html | None:
    """The topics with their share right, its interval, the typical time and, where known, the ability; None without."""
    found = topic_summaries(document)
    if not found:
        return None
    shown, rest = found[:SHOWN_TOPICS], found[SHOWN_TOPICS:]
    first = min(row.date for row in known_days(document))
    columns = 6 if any(topic.theta is not None for topic in shown) else 5
    headings = ("Topic", "Right this week", "Right overall", "Share right", "Typical time", "Ability")
    plus_minus = "; ± half of it" if columns == 6 else ""
    caption = (
        f"Answers from {wording.day(first, year=True)} to {wording.day(document.week_end, year=True)}. "
        f"Bar: 95% interval{plus_minus}; tick: one half."
    )
    more = ""
    if rest:
        answers = sum(s.period.attempts for s in rest)
        topics_ = wording.count(len(rest), "more topic")
        more = paragraph(f"And {topics_} with {wording.count(answers, 'answer')}.", "note")
    rows = (_topic_row(topic)[:columns] for topic in shown)
    return Html(table(headings[:columns], rows, caption=text(caption), css_class="topics") + more)


def _topic_row(topic: TopicSummary) -> list[str]:
    share = topic.period.share or 0.0
    bar = charts.share_bar(topic.period, f"{topic.period.correct} of {topic.period.attempts} right")
    return [
        name(topic.topic_id),
        _of(topic.week),
        _of(topic.period),
        f'<span class="share-cell">{bar}{text(wording.percent(share))}</span>',
        text(wording.seconds(topic.typical_time_ms)) if topic.typical_time_ms is not None else "–",
        _ability_cell(topic),
    ]


def _of(total: Tally) -> str:
    return f"{total.correct:,} of {total.attempts:,}" if total.attempts else "–"


def _ability_cell(topic: TopicSummary) -> str:
    if topic.theta is None:
        return "–"
    spread = f" ± {wording.decimal(Z_95 * topic.theta_sd)}" if topic.theta_sd is not None else ""
    return text(f"{wording.decimal(topic.theta)}{spread}")


def goals(document: ReportDocument) -> Html:
    """The student's own targets beside the ability in each topic."""
    if not document.goals:
        is_default = document.kpi_text("P_target_source") == "default"
        used = " The goal probability is about the default goal." if is_default else ""
        return Html(paragraph(f"No goal has been set.{used}", "missing"))
    known = {s.topic_id: s for s in topic_summaries(document)}
    ordered = sorted(document.goals, key=lambda g: (-g.priority, g.topic_id))
    rows = (_goal_row(goal, known.get(goal.topic_id)) for goal in ordered[:SHOWN_TOPICS])
    headings = ("Topic", "Goal", "Ability now", "Where it stands", "Priority")
    return Html(table(headings, rows, caption="Goals and abilities on the logit scale.", css_class="goals"))


def _goal_row(goal: Goal, topic: TopicSummary | None) -> list[str]:
    target = text(wording.decimal(goal.target_level)) if goal.target_level is not None else "no level set"
    ability = _ability_cell(topic) if topic else "–"
    return [name(goal.topic_id), target, ability, _distance(goal.target_level, topic), str(goal.priority)]


def _distance(target: float | None, topic: TopicSummary | None) -> str:
    if target is None or topic is None or topic.theta is None:
        return "not known yet"
    gap, margin = target - topic.theta, Z_95 * (topic.theta_sd or 0.0)
    if abs(gap) <= margin:
        return "close: within what the estimate can tell"
    return f"{text(wording.decimal(abs(gap)))} {'to go' if gap > 0 else 'above the goal'}"


def advice(document: ReportDocument) -> Html:
    """The recommendations of the rules, followed by those of other systems."""
    made = [(r.tone, r.advice, r.because) for r in recommendations(document)]
    made += [
        ("do", _given(g.topic_id, g.reason), _given_evidence(g.total_correct, g.total_attempts))
        for g in document.recommendations
    ]
    if not made:
        return Html(paragraph("Nothing stands out this week: the data gives no reason to change anything.", "missing"))
    items = "".join(
        f'<li class="{tone}"><span class="tone">{TONES[tone]}</span> <strong>{what}</strong>'
        f"{paragraph(because, 'because') if because else ''}</li>"
        for tone, what, because in made
    )
    return Html(f'<ul class="advice">{items}</ul>')


def _given(topic_id: str | None, reason: str) -> str:
    return f"{name(topic_id)}: {text(reason, 400)}" if topic_id else text(reason, 400)


def _given_evidence(correct: int | None, attempts: int | None) -> str:
    return f"{correct:,} of {attempts:,} right." if correct is not None and attempts is not None else ""
