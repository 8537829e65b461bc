"""Plain words for what the models store: reasons, methods, states, covariates, segments and habits.

The tables hold messages; they are translated where they are shown. A test lists every value that the models can store
and fails where this module has no words for it.
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Mapping
from typing import Any

from seedtest_analytics.reporting import wording
from seedtest_analytics.reporting.document import Effect
from seedtest_analytics.reporting.document_base import is_number
from seedtest_analytics.reporting.language import marked, say

KPI_REASONS: Mapping[str, str] = {
    "no_answers_28d": marked("There is no answer in the last 28 days."),
    "no_answers_14d": marked("There is no answer in the last 14 days."),
    "no_answers_previous_14d": marked("There is no answer in the 14 days before the last 14."),
    "no_times_56d": marked("There is no timed right answer in the last 56 days."),
    "no_times_28d": marked("There is no timed right answer in the last 28 days."),
    "no_times_previous_28d": marked("There is no timed right answer in the 28 days before the last 28."),
    "zero_time": marked("The recorded times of the previous 28 days are zero."),
    "no_mistakes": marked("No question was answered wrong in the 28 days before the last 28."),
    "not_met_again": marked("No question that went wrong came up again in the last 28 days."),
    "no_attempts_28d": marked("There is no attempt in the last 28 days."),
    "no_ability": marked("No ability is known yet."),
    "quarantined": marked("The computed number is outside its limits, so it is withheld."),
}
"""The codes of `weekly_kpi.kpis.*_reason_code`."""
ENOUGH: Mapping[str, str] = {
    "I_t": marked("Answers in both of the last two fortnights are enough."),
    "E_t": marked("Timed right answers in both of the last two periods of 28 days are enough."),
    "R_t": marked("One question that went wrong and comes up again is enough."),
    "A_t": marked("One session is enough."),
    "P": marked("Answers to questions whose difficulty is known are enough."),
    "S": marked("One session is enough."),
}
"""What it takes for each KPI to have a number."""
GOAL_METHODS: Mapping[str, str] = {
    "normal": marked("Compares the goal with today's ability {answers}; further growth is not assumed."),
    "bayesian": marked(
        "From the growth model, which projects this student's own pace to the goal date, if practice continues."
    ),
}
GOAL_PROJECTED = marked(
    "Projects today's ability {answers} to the goal date at this student's own pace, if practice continues."
)
"""For `normal` where the ability is projected."""
RISK_METHODS: Mapping[str, str] = {
    "heuristic": marked("A rule of thumb from silence, gaps and sessions, not a calibrated probability."),
    "cox": marked("From a survival model of when students come back."),
    "weibull": marked("From a survival model of when students come back."),
}
VERDICTS: Mapping[str, str] = {
    "too_early": marked("Not yet checked: too little is known about what became of earlier predictions."),
    "as_is": "",
    "recalibrated": marked("Corrected by what became of earlier predictions, which were off."),
    "base_rate": marked("The share of all students: earlier predictions about single students were no better than it."),
    "withheld": "",
}
"""What past outcomes decided; a withheld number has its reason in place of the number."""
RISK_STATES: Mapping[str, str] = {
    "active": "",
    "stopped": marked("Was active before and is silent now."),
    "never_started": marked("Has not started yet."),
}
GOAL_SOURCES: Mapping[str, str] = {
    "interest_goal": marked("the student's own goal"),
    "default": marked("the default goal, because none is set"),
}
HORIZONS: Mapping[str, str] = {
    "goal_date": marked("This is the date of the goal."),
    "goal_date_capped": marked("This is as far as a line may be followed; the goal is due later."),
    "configured": marked("This day is used because no date is set for the goal."),
}
ENGAGEMENT_PARTS: Mapping[str, str] = {
    "gap": marked("time between sessions"),
    "hints": marked("hints"),
    "dwell": marked("time in a session"),
}

_ONE_MORE: Mapping[str, str] = {
    "days_since_last": marked("one day more of silence"),
    "sessions_28d": marked("one session more in four weeks"),
    "sessions_7d": marked("one session more in the last week"),
    "mean_gap_days_28d": marked("one day more between sessions"),
    "tenure_days": marked("one day more since the first session"),
    "days_per_session": marked("one day more for each session since the start"),
    "A_t": marked("engagement: all of it instead of none"),
    "E_t": marked("efficiency: all of it instead of none"),
    "R_t": marked("recovery: all earlier mistakes right instead of none"),
    "I_t": marked("improvement: one unit more"),
}
_TWICE: Mapping[str, str] = {
    "days_since_last": marked("silent for twice as long"),
    "sessions_28d": marked("twice as many sessions in four weeks"),
    "sessions_7d": marked("twice as many sessions in the last week"),
    "mean_gap_days_28d": marked("twice as long between sessions"),
    "tenure_days": marked("twice as long since the first session"),
    "days_per_session": marked("half as many sessions for the time since the start"),
}
_UNKNOWN: Mapping[str, str] = {
    "days_since_last": marked("no session yet"),
    "sessions_28d": marked("number of sessions in four weeks not known"),
    "sessions_7d": marked("number of sessions in the last week not known"),
    "mean_gap_days_28d": marked("too few sessions in four weeks to show a rhythm"),
    "tenure_days": marked("first session not known"),
    "days_per_session": marked("first session not known"),
    "A_t": marked("no activity in four weeks"),
    "E_t": marked("no recorded times to compare"),
    "R_t": marked("no earlier mistake met again"),
    "I_t": marked("too few answers to see a change"),
}


def circumstance(effect: Effect) -> tuple[str, Effect] | None:
    """A column of the churn model in words, with the effect that the words describe; None for an unknown column.

    The words of a column on the scale log(1 + x) describe a doubling. That is a step of log 2, whereas the stored
    ratio is for a step of 1.
    """
    column, is_unknown = effect.column, effect.column.is_missing_indicator
    words = (_UNKNOWN if is_unknown else _TWICE if column.is_log else _ONE_MORE).get(column.covariate)
    if words is None or is_unknown:
        return None if words is None else (say(words), effect)
    said = say(words)
    if column.bend_at is not None:
        said = say("{circumstance}, on top of that beyond {days} days", circumstance=said, days=f"{column.bend_at:g}")
    return said, effect.to_the_power(math.log(2)) if column.is_log else effect


_CHURN_UNKNOWN: Mapping[str, str] = {
    **_UNKNOWN,
    "A_t": marked("no activity in the last four weeks"),
    "E_t": marked("no recorded answering times to compare"),
}
_CHURN_PARTS: Mapping[str, str] = {
    "days_since_last": marked("last active {value} ago (typically {typical})"),
    "sessions_28d": marked("{value} in the last four weeks (typically {typical})"),
    "sessions_7d": marked("{value} in the last week (typically {typical})"),
    "mean_gap_days_28d": marked("{value} between sessions (typically {typical})"),
    "tenure_days": marked("with us for {value} (typically {typical})"),
    "days_per_session": marked("one session in {value} since the start (typically {typical})"),
    "A_t": marked("engagement of {value} of 100 (typically {typical})"),
    "E_t": marked("right answers take {value} less time than four weeks before (typically {typical})"),
    "R_t": marked("{value} of the earlier mistakes met again were right (typically {typical})"),
    "I_t": marked("improvement of {value} (typically {typical})"),
}


def churn_circumstances(code: Any) -> str | None:
    """The circumstances of an element of `weekly_kpi.kpis.S_reason_codes` in words; None where it is not one."""
    parts = code.get("parts") if isinstance(code, dict) else None
    said = [_churn_part(part) for part in parts or () if isinstance(part, dict)]
    known = [part for part in said if part]
    return say(" and ").join(known) if known else None


def churn_reason(code: Any) -> str | None:
    """The same with its direction."""
    words = churn_circumstances(code)
    if words is None:
        return None
    if code.get("raises_risk"):
        return say("Raises the risk: {circumstances}", circumstances=words)
    return say("Lowers the risk: {circumstances}", circumstances=words)


def _churn_part(part: dict[str, Any]) -> str | None:
    covariate, value, typical = str(part.get("covariate")), part.get("value"), part.get("typical")
    if covariate not in _CHURN_PARTS:
        return None
    if not is_number(value):
        return say(_CHURN_UNKNOWN[covariate])
    return say(_CHURN_PARTS[covariate], value=_amount(covariate, value), typical=_amount(covariate, typical))


def _amount(covariate: str, value: Any) -> str:
    """The number that the churn model's own sentence has, with its unit."""
    if not is_number(value):
        return say("not known")
    if covariate == "A_t":
        return wording.whole(100 * value)
    if covariate in ("E_t", "R_t"):
        return f"{round(100 * value)}%"
    if covariate == "I_t":
        return wording.decimal(value)
    if covariate == "days_since_last":
        return wording.days(math.floor(value)) if value >= 1 else say("less than a day")
    rounded = round(value) if value >= 10 else round(value, 1)
    if rounded == round(rounded):
        return wording.sessions(round(rounded)) if "sessions_" in covariate else wording.days(round(rounded))
    shown = wording.decimal(rounded, 1)
    return say("{n} sessions", n=shown) if "sessions_" in covariate else say("{n} days", n=shown)


SEGMENTS: Mapping[str, str] = {
    "short_frequent": marked("frequent sessions, short breaks"),
    "long_rare": marked("few sessions, long breaks"),
    "hint_heavy": marked("many hints"),
    "improving": marked("improving"),
    "struggling": marked("many hints, not getting faster"),
    "efficient": marked("getting faster, few hints"),
    "average": marked("like most students"),
    "engaged": marked("engaged"),
    "disengaged": marked("little engaged"),
    "improving_more": marked("improving more"),
    "improving_less": marked("improving less"),
    "getting_faster": marked("getting faster"),
    "getting_slower": marked("getting slower"),
    "recovers_mistakes": marked("recovers mistakes"),
    "repeats_mistakes": marked("repeats mistakes"),
    "many_sessions": marked("many sessions"),
    "few_sessions": marked("few sessions"),
    "long_gaps": marked("long gaps"),
    "short_gaps": marked("short gaps"),
    "slow_answers": marked("slow answers"),
    "quick_answers": marked("quick answers"),
    "many_hints": marked("many hints"),
    "few_hints": marked("few hints"),
    "many_attempts": marked("many attempts"),
    "few_attempts": marked("few attempts"),
}
"""The contract's labels and the words of which other labels consist (`stats/segments/labels.py`)."""


def segment(label: str) -> str:
    """A segment's label in words: the rule of one of the contract's labels, the words of any other label."""
    parts = re.split(r"_and_|_with_", re.sub(r"_\d+$", "", label))
    return ", ".join(say(SEGMENTS[part]) if part in SEGMENTS else part.replace("_", " ") for part in parts)


def _tenths(value: float) -> str:
    return wording.decimal(value, 1)


def _tenths_of_days(value: float) -> str:
    return say("{n} days", n=_tenths(value))


HABITS: Mapping[str, tuple[str, Callable[[float], str]]] = {
    "engagement": (marked("Engagement"), wording.points_of_hundred),
    "improvement": (marked("Improvement"), wording.signed),
    "efficiency": (marked("Efficiency"), wording.percent),
    "recovery": (marked("Recovery"), wording.percent),
    "sessions": (marked("Sessions in four weeks"), _tenths),
    "gap": (marked("Between sessions"), _tenths_of_days),
    "avg_rt": (marked("Typical time of an answer"), wording.seconds),
    "avg_hints": (marked("Hints a day"), _tenths),
    "total_attempts": (marked("Answers"), wording.whole),
}
"""The label of each segmentation feature, and how its value is shown with its unit."""
