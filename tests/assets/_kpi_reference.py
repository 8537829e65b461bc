"""The weekly KPIs of docs/metrics.md in plain Python, from attempts as dictionaries; no SQL, no pandas."""

from __future__ import annotations

import datetime as dt
import math
from dataclasses import dataclass
from itertools import pairwise
from statistics import NormalDist, mean, median
from typing import Any
from zoneinfo import ZoneInfo


@dataclass(frozen=True)
class Attempt:
    """What the KPIs read of an attempt; ``correct`` is None where unanswered, times and hints None where unknown."""

    user_id: str
    item_id: int
    at: dt.datetime
    session: str
    correct: bool | None
    seconds: float | None = None
    hints: int | None = None
    topic: str | None = "algebra"


@dataclass(frozen=True)
class Ability:
    """An EAP and its posterior SD."""

    theta: float
    se: float
    n: int = 10


def clamp(value: float, lower: float = 0.0, upper: float = 1.0) -> float:
    return max(lower, min(upper, value))


def days_before(as_of: dt.datetime, days: int, zone: str) -> dt.datetime:
    """The same local time, ``days`` calendar days earlier."""
    local = as_of.astimezone(ZoneInfo(zone)).replace(tzinfo=None) - dt.timedelta(days=days)
    return local.replace(tzinfo=ZoneInfo(zone)).astimezone(dt.UTC)


def within(attempts: list[Attempt], start: dt.datetime, end: dt.datetime) -> list[Attempt]:
    return [a for a in attempts if start <= a.at < end]


def share_right(attempts: list[Attempt]) -> float:
    return sum(a.correct is True for a in attempts) / len(attempts)


def equally_shrunk(recent: Ability, previous: Ability) -> tuple[float, float]:
    """Difference and its SE of two EAPs under N(0, 1), as if both had the mean error variance of the two."""
    precision = [max(a.se**-2 - 1, 1e-6) for a in (recent, previous)]
    said = [a.theta * a.se**-2 / p for a, p in zip((recent, previous), precision, strict=True)]
    mean_variance = sum(1 / p for p in precision) / 2
    shrunk_to = 1 / (1 + mean_variance)
    return shrunk_to * (said[0] - said[1]), math.sqrt(2 * shrunk_to * mean_variance)


def improvement(
    mine: list[Attempt],
    as_of: dt.datetime,
    zone: str,
    recent_ability: Ability | None = None,
    previous_ability: Ability | None = None,
    use_theta: bool = False,
) -> dict[str, Any]:
    middle, first = days_before(as_of, 14, zone), days_before(as_of, 28, zone)
    recent = [a for a in within(mine, middle, as_of) if a.correct is not None]
    previous = [a for a in within(mine, first, middle) if a.correct is not None]
    keys: dict[str, Any] = {"I_t": None, "I_t_n_recent": len(recent), "I_t_n_previous": len(previous)}
    if recent_ability and previous_ability:
        keys["delta_theta"], keys["delta_theta_se"] = equally_shrunk(recent_ability, previous_ability)
    if not recent or not previous:
        return keys
    p, before = share_right(recent), share_right(previous)
    keys["delta_accuracy"] = p - before
    exposure = min(1.0, len(recent) / 30)
    if use_theta and len(recent) >= 5 and recent_ability and previous_ability:
        change, half_width, mode = keys["delta_theta"], 1.96 * recent_ability.se, "theta"
    else:
        change, half_width, mode = p - before, 1.96 * math.sqrt(p * (1 - p) / len(recent)), "accuracy"
    return {**keys, "I_t": clamp(change * exposure * (1 - min(0.5, half_width)), -1, 1), "I_t_mode": mode}


def efficiency(mine: list[Attempt], as_of: dt.datetime, zone: str) -> dict[str, Any]:
    middle, first = days_before(as_of, 28, zone), days_before(as_of, 56, zone)
    recent = [a.seconds for a in within(mine, middle, as_of) if a.correct and a.seconds is not None]
    previous = [a.seconds for a in within(mine, first, middle) if a.correct and a.seconds is not None]
    keys = {"E_t": None, "E_t_n_recent": len(recent), "E_t_n_previous": len(previous)}
    if not recent or not previous or median(previous) <= 0:
        return keys
    return {**keys, "E_t": clamp((median(previous) - median(recent)) / median(previous))}


def recovery(mine: list[Attempt], as_of: dt.datetime, zone: str) -> dict[str, Any]:
    middle, first = days_before(as_of, 28, zone), days_before(as_of, 56, zone)
    wrong = {a.item_id for a in within(mine, first, middle) if a.correct is False}
    met: dict[int, bool] = {}
    for a in within(mine, middle, as_of):
        if a.correct is not None and a.item_id in wrong:
            met.setdefault(a.item_id, a.correct)
    share = sum(met.values()) / len(met) if met else None
    keys: dict[str, Any] = {"R_t": share, "R_t_n_wrong": len(wrong), "R_t_n_met_again": len(met)}
    return keys | topic_recovery(mine, as_of, zone)


def topic_recovery(mine: list[Attempt], as_of: dt.datetime, zone: str) -> dict[str, Any]:
    """R_t_topic and the answers behind it; nothing where no topic of a wrong item was met again."""
    middle, first = days_before(as_of, 28, zone), days_before(as_of, 56, zone)
    wrong = {(a.topic, a.item_id) for a in within(mine, first, middle) if a.correct is False and a.topic}
    recent = [a for a in within(mine, middle, as_of) if a.correct is not None and a.topic]
    weighed = answers = weight = 0.0
    for topic in {topic for topic, _ in wrong} & {a.topic for a in recent}:
        of_topic = [a for a in recent if a.topic == topic]
        n_wrong = sum(1 for other, _ in wrong if other == topic)
        weighed += n_wrong * share_right(of_topic)
        weight += n_wrong
        answers += len(of_topic)
    return {"R_t_topic": weighed / weight, "R_t_topic_n": int(answers)} if weight else {}


def engagement(mine: list[Attempt], as_of: dt.datetime, zone: str) -> dict[str, Any]:
    recent = within(mine, days_before(as_of, 28, zone), as_of)
    if not recent:
        return {"A_t": None, "A_t_n_attempts": 0, "sessions": 0}
    sessions: dict[str, list[Attempt]] = {}
    for a in recent:
        sessions.setdefault(a.session, []).append(a)
    starts = sorted(min(a.at for a in session) for session in sessions.values())
    gaps = [(later - earlier).total_seconds() / 86_400 for earlier, later in pairwise(starts)]
    gap = hints = dwell = 0.5
    if gaps:
        gap = 1.0 if mean(gaps) == 0 else clamp(1 / mean(gaps))
    if known := [a.hints for a in recent if a.hints is not None]:
        hints = clamp(1 - mean(known) / 3)
    lengths = [[a.seconds for a in session if a.seconds is not None] for session in sessions.values()]
    if timed := [sum(seconds) for seconds in lengths if seconds]:
        dwell = clamp(mean(timed) / 900)
    score = 0.35 * min(1, len(sessions) / 28) + 0.25 * gap + 0.2 * hints + 0.2 * dwell
    keys: dict[str, Any] = {"A_t": score, "A_t_n_attempts": len(recent), "sessions": len(sessions)}
    return {**keys, **({"mean_gap": mean(gaps)} if gaps else {})}


def goal_probability(ability: Ability | None, target: float) -> dict[str, Any]:
    if ability is None:
        return {"P": None}
    return {
        "P": 1 - NormalDist().cdf((target - ability.theta) / ability.se),
        "sigma": ability.se,
        "theta": ability.theta,
        "ability_estimate": ability.theta,
        "P_method": "normal",
    }


def churn_risk(mine: list[Attempt], as_of: dt.datetime, zone: str, horizon_days: int = 14) -> dict[str, Any]:
    """The contract's heuristic at as_of; with fewer than two sessions in 56 days the open gap stands for the mean."""
    known = [a for a in mine if a.at < as_of]
    silent = (as_of - max(a.at for a in known)).total_seconds() / 86_400
    sessions: dict[str, list[dt.datetime]] = {}
    for a in within(known, days_before(as_of, 56, zone), as_of):
        sessions.setdefault(a.session, []).append(a.at)
    starts = sorted(min(times) for times in sessions.values())
    gap = (starts[-1] - starts[0]).total_seconds() / 86_400 / (len(starts) - 1) if len(starts) >= 2 else silent
    risk = 0.6 * clamp(silent / horizon_days) + 0.25 * clamp(gap / 7) + 0.15 * clamp(1 - len(sessions) / 10)
    return {
        "S": clamp(risk),
        "S_n_sessions": len(sessions),
        "S_state": "active" if silent < horizon_days else "stopped",
    }
