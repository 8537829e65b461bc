"""Plain words for what the models store: methods, states, covariates, segments and habits.

A test lists every value that the models can store and fails where this module has no words for it.
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Mapping

from seedtest_analytics.reporting import wording
from seedtest_analytics.reporting.document import Effect

GOAL_METHODS: Mapping[str, str] = {
    "normal": "Compares the goal with today's ability{answers}; further growth is not assumed.",
    "bayesian": "From the growth model, which projects this student's own pace to the goal date.",
}
GOAL_PROJECTED = "Projects today's ability{answers} to the goal date at this student's own pace, if practice continues."
ABILITY_METHODS: Mapping[str, str] = {
    "EAP": "the answers of the last weeks",
    "MAP": "the answers of the last weeks",
    "WLE": "the answers of the last weeks",
    "dynamic": "all answers so far",
}
RISK_METHODS: Mapping[str, str] = {
    "heuristic": "A rule of thumb from silence, gaps and sessions, not a calibrated probability.",
    "cox": "From a survival model of when students come back.",
    "weibull": "From a survival model of when students come back.",
}
VERDICTS: Mapping[str, str] = {
    "too_early": "Not yet checked: too little is known about what became of earlier predictions.",
    "as_is": "",
    "recalibrated": "Corrected by what became of earlier predictions, which were off.",
    "base_rate": "The share of all students: earlier predictions about single students were no better than it.",
    "withheld": "",
}
"""What past outcomes decided; a withheld number has its reason in place of the number."""
RISK_STATES: Mapping[str, str] = {
    "active": "",
    "stopped": "Was active before and is silent now.",
    "never_started": "Has not started yet.",
}
GOAL_SOURCES: Mapping[str, str] = {
    "interest_goal": "the student's own goal",
    "default": "the default goal, because none is set",
}
HORIZONS: Mapping[str, str] = {
    "goal_date": "the date of the goal",
    "goal_date_capped": "as far as a line may be followed; the goal is due later",
    "configured": "no date is set for the goal",
}
ENGAGEMENT_PARTS: Mapping[str, str] = {"gap": "time between sessions", "hints": "hints", "dwell": "time in a session"}

_ONE_MORE: Mapping[str, str] = {
    "days_since_last": "one day more of silence",
    "sessions_28d": "one session more in four weeks",
    "sessions_7d": "one session more in the last week",
    "mean_gap_days_28d": "one day more between sessions",
    "tenure_days": "one day more since the first session",
    "days_per_session": "one day more for each session since the start",
    "A_t": "engagement: all of it instead of none",
    "E_t": "efficiency: all of it instead of none",
    "R_t": "recovery: all earlier mistakes right instead of none",
    "I_t": "improvement: one unit more",
}
_TWICE: Mapping[str, str] = {
    "days_since_last": "silent for twice as long",
    "sessions_28d": "twice as many sessions in four weeks",
    "sessions_7d": "twice as many sessions in the last week",
    "mean_gap_days_28d": "twice as long between sessions",
    "tenure_days": "twice as long since the first session",
    "days_per_session": "half as many sessions for the time since the start",
}
_UNKNOWN: Mapping[str, str] = {
    "days_since_last": "no session yet",
    "sessions_28d": "number of sessions in four weeks not known",
    "sessions_7d": "number of sessions in the last week not known",
    "mean_gap_days_28d": "too few sessions in four weeks to show a rhythm",
    "tenure_days": "first session not known",
    "days_per_session": "first session not known",
    "A_t": "no activity in four weeks",
    "E_t": "no recorded times to compare",
    "R_t": "no earlier mistake met again",
    "I_t": "too few answers to see a change",
}


def circumstance(effect: Effect) -> tuple[str, Effect] | None:
    """A column of the churn model in words, with the effect that the words describe; None for an unknown column.

    The words of a column on the scale log(1 + x) describe a doubling. That is a step of log 2, whereas the stored
    ratio is for a step of 1.
    """
    column, is_unknown = effect.column, effect.column.is_missing_indicator
    words = (_UNKNOWN if is_unknown else _TWICE if column.is_log else _ONE_MORE).get(column.covariate)
    if words is None or is_unknown:
        return None if words is None else (words, effect)
    beyond = "" if column.bend_at is None else f", on top of that beyond {column.bend_at:g} days"
    return words + beyond, effect.to_the_power(math.log(2)) if column.is_log else effect


SEGMENTS: Mapping[str, str] = {
    "short_frequent": "frequent sessions, short breaks",
    "long_rare": "few sessions, long breaks",
    "hint_heavy": "many hints",
    "improving": "improving",
    "struggling": "many hints, not getting faster",
    "efficient": "getting faster, few hints",
    "average": "like most students",
}
"""What the rule of each of the contract's labels says (`stats/segments/labels.py`)."""


def segment(label: str) -> str:
    """A segment's label in words: the rule of one of the contract's labels, the words of any other label."""
    parts = re.split(r"(_and_|_with_)", re.sub(r"_\d+$", "", label))
    joined = (SEGMENTS.get(part, part) if i % 2 == 0 else part for i, part in enumerate(parts))
    return "".join(joined).replace("_with_", ", ").replace("_", " ")


def _tenths(value: float) -> str:
    return wording.decimal(value, 1)


HABITS: Mapping[str, tuple[str, Callable[[float], str]]] = {
    "engagement": ("Engagement", wording.points),
    "improvement": ("Improvement", wording.signed),
    "efficiency": ("Efficiency", wording.percent),
    "recovery": ("Recovery", wording.percent),
    "sessions": ("Sessions in four weeks", _tenths),
    "gap": ("Between sessions", lambda days: f"{_tenths(days)} days"),
    "avg_rt": ("Typical time of an answer", wording.seconds),
    "avg_hints": ("Hints a day", _tenths),
    "total_attempts": ("Answers", lambda answers: f"{round(answers):,}"),
}
"""The label of each segmentation feature, and how its value is shown with its unit."""
