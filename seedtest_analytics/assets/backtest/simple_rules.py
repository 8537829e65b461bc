"""Whether a student's own risk is better than a rule anybody can apply: the past share of the organisation or class."""

from __future__ import annotations

import datetime as dt
from collections.abc import Mapping
from typing import Any

import numpy as np

from seedtest_analytics.assets.backtest.judges import (
    SQL,
    Judgements,
    days_after,
    end_of,
    judged_as,
    outcomes_of,
    whole_week,
)
from seedtest_analytics.assets.framework.week_run import WeekRun
from seedtest_analytics.assets.psychometrics.statements import DIF
from seedtest_analytics.database.sql_files import statement
from seedtest_analytics.partitions import WEEK, Week
from seedtest_analytics.stats.no_result import NoResult
from seedtest_analytics.stats.verification.probabilities import Z95

BY_RULE = "_by_"
"""Between the name of a prediction and that of the rule."""
RULES: Mapping[str, str] = {"org_id": "organisation", "classroom_id": "class"}
PRIOR_STUDENTS = 5.0
"""A group's share counts as if this many more students had the share of all."""
GROUP_WEEKS = 26


def judge_beside_rules(run: WeekRun, instant: dt.datetime) -> Judgements:
    """S of the week beside the share of the student's organisation, and of the class, that fell silent before."""
    connection, week = run.connection, run.week
    horizon = connection.execute(statement(SQL, "silence_horizon"), {"week_start": week.start}).scalar_one()
    if horizon is None or days_after(week, horizon) > instant:
        return {}
    known = Week(week.start - -(-horizon // 7) * WEEK, week.as_of, timezone=week.timezone)
    silent = connection.execute(
        statement(SQL, "silence_of_students"),
        {"week_start": known.start, "as_of": end_of(known), "until": days_after(known, horizon)},
    ).all()
    if not silent:
        return {}
    connection.execute(statement(SQL, "silence"), {**whole_week(week), "known_by": dt.date.max, "horizon_days": None})
    found = outcomes_of(connection, "silence_rows")
    found = found.where(np.isfinite(found.column("predicted")))
    judged: Judgements = {}
    for source, name in RULES.items():
        group_of = _groups(run, source)
        shares, everybody = past_shares({row.user_id: row.silent for row in silent}, group_of)
        prediction = f"S{BY_RULE}{source}"
        if len(shares) < 2:
            judged[prediction] = NoResult(f"the students of {known.start} have fewer than two values of {source}")
            continue
        users = found.rows["user_id"].to_pylist()
        judged[prediction] = judged_as(
            found,
            prediction,
            predicted=found.column("predicted"),
            baseline=np.array([shares.get(group_of.get(user, ""), everybody) for user in users]),
            until=days_after(week, horizon),
            baseline_text=f"the share of the student's {name} that fell silent from the week of {known.start}",
        )
    return judged


def _groups(run: WeekRun, source: str) -> dict[str, str]:
    """Group by student, as of the week."""
    window = {"from_at": run.week.days_before(7 * GROUP_WEEKS), "as_of": run.week.as_of}
    rows = run.connection.execute(statement(DIF, "covariate"), {**window, "source": source, "path": []})
    return {row.user_id: row.value for row in rows}


def past_shares(silent: Mapping[str, int], group_of: Mapping[str, str]) -> tuple[dict[str, float], float]:
    """Share of silent students by group, drawn to the share of all, and the share of all."""
    everybody = float(np.mean(list(silent.values())))
    sizes: dict[str, list[int]] = {}
    for user, value in silent.items():
        if user in group_of:
            sizes.setdefault(group_of[user], []).append(value)
    shares = {g: (sum(v) + PRIOR_STUDENTS * everybody) / (len(v) + PRIOR_STUDENTS) for g, v in sizes.items()}
    return shares, everybody


def rule_is_better(row: Mapping[str, Any]) -> list[str]:
    """Why the rule is better than the risk, beyond chance; empty if it is not."""
    gain, error = row["brier_gain"], row["brier_gain_se"]
    if not gain < -Z95 * error:
        return []
    return [
        f"{row['prediction']}: {row['baseline']} has the Brier score {row['brier_baseline']:.4f}, the risk of each "
        f"student {row['brier']:.4f}"
    ]
