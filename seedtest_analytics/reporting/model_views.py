"""The parts of the page that show a fitted model of the student (growth, risk), and how the numbers were made."""

from __future__ import annotations

from seedtest_analytics.reporting import charts, plain_words, wording
from seedtest_analytics.reporting.document import BayesianGrowth, ReportDocument, StudentGrowth
from seedtest_analytics.reporting.html import Html, paragraph, table, text
from seedtest_analytics.reporting.kpi_cards import risk_word
from seedtest_analytics.reporting.language import SOURCE_LANGUAGE, current, say, say_n
from seedtest_analytics.reporting.outlook import assumes_practice
from seedtest_analytics.reporting.stored_sentences import stored_text
from seedtest_analytics.reporting.summary import Z_95

SHOWN_REASONS = 3


def growth(document: ReportDocument) -> Html | None:
    """The growth model's goal probability and pace; None without a fit. Where P at the top is by another method or withheld,
    only the pace is shown.
    """
    fit = document.bayesian_growth
    if fit is None:
        return None
    if fit.P is None or document.kpi_text("P_method") == "normal":
        return Html(_note(_pace(fit))) if fit.slope_per_week is not None else None
    title = say("Goal probability {percent}", percent=wording.percent(fit.P))
    bar = charts.gauge(fit.P, title, limits=fit.limits)
    sentence = paragraph(text(_goal_sentence(fit, fit.P, assumes=assumes_practice(document)), 400), "finding")
    why = plain_words.HORIZONS.get(fit.horizon_source or "")
    day = [say(why)] if why is not None and fit.horizon_date is not None else []
    return Html(f'{sentence}<div class="big-gauge">{bar}</div>{_note([*_projection(fit), *_pace(fit), *day])}')


def _goal_sentence(fit: BayesianGrowth, p: float, *, assumes: bool) -> str:
    if not assumes:
        said = say("The goal is reached with a probability of {percent}.", percent=wording.percent(p))
    elif fit.horizon_date is None:
        said = say(
            "If practice continues at this student's own pace, the goal is reached with a probability of {percent}.",
            percent=wording.percent(p),
        )
    else:
        said = say(
            "If practice continues at this student's own pace, the goal is reached by {day} with a probability of {percent}.",
            day=wording.day(fit.horizon_date, year=True),
            percent=wording.percent(p),
        )
    if fit.limits is None:
        return said
    return f"{said} {say('Likely {interval}.', interval=wording.percent_interval(*fit.limits))}"


def _note(lines: list[str]) -> str:
    return paragraph(text(" ".join(lines), 600), "note") if lines else ""


def _projection(fit: BayesianGrowth) -> list[str]:
    if fit.projected is None:
        if fit.sigma is None:
            return []
        spread = _amount(fit, Z_95 * fit.sigma)
        return [say("The projected score is known to about ± {amount}.", amount=spread)]
    score = _score(fit, fit.projected)
    if fit.is_share:
        lines = [say("Share of right answers expected then: {score}.", score=score)]
    else:
        lines = [say("Ability expected then: {score}.", score=score)]
    if fit.sigma is not None:
        low, high = (fit.projected + sign * Z_95 * fit.sigma for sign in (-1.0, 1.0))
        interval = say("{low} to {high}", low=_score(fit, low), high=_score(fit, high))
        lines.append(say("95% interval: {interval}.", interval=interval))
    if fit.n_weeks is not None:
        lines.append(
            say(
                "This value follows the line through {weeks}, which may lie above or below the newest ability.",
                weeks=wording.weeks(fit.n_weeks),
            )
        )
    if fit.target is not None:
        lines.append(say("The goal is {target}.", target=_score(fit, fit.target)))
    return lines


def _pace(fit: BayesianGrowth) -> list[str]:
    if fit.slope_per_week is None:
        return []
    pace = ("+" if fit.slope_per_week > 0 else "") + _amount(fit, fit.slope_per_week)
    if fit.slope_sd is not None:
        pace = f"{pace} ± {_amount(fit, Z_95 * fit.slope_sd)}"
    if fit.n_weeks is None:
        return [say("Pace of the growth model: {pace} a week.", pace=pace)]
    return [say("Pace of the growth model: {pace} a week, from {weeks}.", pace=pace, weeks=wording.weeks(fit.n_weeks))]


def _score(fit: BayesianGrowth, value: float) -> str:
    return wording.percent(min(1.0, max(0.0, value))) if fit.is_share else wording.decimal(value)


def _amount(fit: BayesianGrowth, value: float) -> str:
    """A difference between scores."""
    if not fit.is_share:
        return wording.decimal(value)
    return say("{n} percentage points", n=wording.decimal(100 * value, 1))


def growth_compared(document: ReportDocument) -> Html | None:
    """The growth percentile with its interval, always beside what is typical and what the goal needs; None without.

    For teachers: a percentile compares students, so the family's page never has it.
    """
    found = document.student_growth
    if found is None:
        return None
    return Html(_percentile(found) + _paces(found) + _percentile_note(found))


def _percentile(found: StudentGrowth) -> str:
    if found.percentile is None:
        reason = stored_text(found.reason) if found.reason else text(say("not known"))
        return paragraph(say("There is no growth percentile: {reason}.", reason=reason), "missing")
    said = say(
        "Growth percentile {percentile}: of 100 students who were at the same level {weeks} earlier, {percentile} are now at "
        "a lower one.",
        percentile=wording.whole(found.percentile),
        weeks=wording.weeks(round(found.weeks or 0)),
    )
    if found.percentile_lower is not None and found.percentile_upper is not None:
        limits = say(
            "{low} to {high}", low=wording.whole(found.percentile_lower), high=wording.whole(found.percentile_upper)
        )
        said = f"{said} {say('95% interval: {interval}.', interval=limits)}"
    return paragraph(text(said, 400), "finding")


def _paces(found: StudentGrowth) -> str:
    own = None
    if found.pace is not None:
        spread = "" if found.pace_se is None else f" ± {wording.decimal(Z_95 * found.pace_se, 3)}"
        own = f"{wording.signed(found.pace, 3)}{spread}"
    needed = None if found.needed_pace is None else wording.signed(found.needed_pace, 3)
    if found.distance is not None and found.distance <= 0:
        needed = say("none: the level is at the goal or above")
    needs = say("Needed for the goal")
    if found.horizon_date is not None:
        needs = say("Needed for the goal by {day}", day=wording.day(found.horizon_date, year=True))
    typical = None if found.typical_pace is None else wording.signed(found.typical_pace, 3)
    percentile = None if found.needed_percentile is None else wording.whole(found.needed_percentile)
    rows = [
        (_own_pace_over(found), own),
        (say("Typical of students at this level"), typical),
        (needs, needed),
        (say("Growth percentile that keeps the needed pace"), percentile),
    ]
    caption = text(say("Paces are in logits a week."))
    headings = [text(say("Pace")), text(say("Value"))]
    return table(headings, [[text(label), text(value or "–")] for label, value in rows], caption=caption)


def _own_pace_over(found: StudentGrowth) -> str:
    if found.weeks is None:
        return say("Own pace")
    return say("Own pace over {weeks}", weeks=wording.weeks(round(found.weeks)))


def _percentile_note(found: StudentGrowth) -> str:
    default = say("The goal is the default one, because none is set.") if found.target_source == "default" else ""
    note = say(
        "A percentile says how usual the growth was, and the needed pace whether it is enough: a high percentile may fall "
        "short of a far goal, and a low one may do. It compares students, so it is for teachers alone."
    )
    return paragraph(text(f"{note} {default}".strip(), 500), "note")


def risk(document: ReportDocument) -> Html | None:
    """The risk of a pause by the churn model, with what raises or lowers it; None without one."""
    found = document.survival_risk
    if found is None or found.churn_risk is None:
        return None
    days, limits = document.kpi_count("S_horizon_days") or 14, document.kpi_limits("S")
    sentence = say(
        "The risk of a pause of {days} days or more is {percent}: {word}. Low is good.",
        days=days,
        percent=wording.percent(found.churn_risk),
        word=risk_word(found.churn_risk),
    )
    if limits is not None:
        sentence = f"{sentence} {say('95% interval: {interval}.', interval=wording.percent_interval(*limits))}"
    return Html(paragraph(text(sentence, 400), "finding") + _reasons(document))


def _reasons(document: ReportDocument) -> str:
    reasons = _known_reasons(document)[:SHOWN_REASONS]
    if not reasons:
        return ""
    items = "".join(f"<li>{text(reason, 300)}</li>" for reason in reasons)
    heading = paragraph(say("What speaks most for and against it:"))
    note = say(
        "In brackets what is typical of all students. The model sees what goes along with a pause, not what causes it."
    )
    return f'{heading}<ul class="reasons">{items}</ul>{paragraph(note, "note")}'


def _known_reasons(document: ReportDocument) -> list[str]:
    """The reasons by their codes; the stored English sentences for a row from before there were codes."""
    codes = document.kpis.get("S_reason_codes")
    if isinstance(codes, list | tuple):
        return [words for words in map(plain_words.churn_reason, codes) if words]
    stored = document.kpis.get("S_reasons")
    if current().code != SOURCE_LANGUAGE or not isinstance(stored, list | tuple):
        return []
    return [reason for reason in stored if isinstance(reason, str) and reason]


def provenance(document: ReportDocument) -> Html:
    """When the numbers were made, and on which scale."""
    zone = say(
        "Days and weeks are those of the time zone {zone}; later answers are not in this report.",
        zone=text(document.time_zone),
    )
    lines = [zone, *_linking_lines(document)]
    if (made := document.generated_at) is not None:
        at = f"{made:%H:%M} {made.tzname() or ''}"
        lines.append(say("Data of {day}, {time}.", day=text(wording.day(made.date(), year=True)), time=text(at)))
    return Html("<ul>" + "".join(f"<li>{line}</li>" for line in lines) + "</ul>")


def _linking_lines(document: ReportDocument) -> list[str]:
    link = document.linking_constants
    if link is None or link.A is None or link.B is None:
        return []
    constant = f"{'−' if link.B < 0 else '+'} {wording.decimal(abs(link.B), 3)}"
    scale = f"θ* = {wording.decimal(link.A, 3)} θ {constant}"
    said = say("The newest calibration was put on the common scale by {scale}.", scale=scale)
    if link.n_anchors_used is not None:
        n = link.n_anchors_used
        said = f"{said} {say_n('It has {n} anchor question.', 'It has {n} anchor questions.', n)}"
    return [text(said, 400)]
