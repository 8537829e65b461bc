"""Scoring of one week: overall, windowed and topic abilities.

Overall and topic abilities are the states of ability over time (METRICS_ABILITY=dynamic), or EAP of the look-back where
there is no such state. Windows are EAP of their own answers.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

from seedtest_analytics.assets.framework.preview import histogram
from seedtest_analytics.assets.framework.report import Outcome
from seedtest_analytics.assets.framework.week_run import Replace, WeekRun, empty_rows, publish_week
from seedtest_analytics.assets.psychometrics.checks import SCORED
from seedtest_analytics.assets.psychometrics.fit_report import person_fit_metadata
from seedtest_analytics.assets.psychometrics.scale.current import Scale, scale_for
from seedtest_analytics.assets.psychometrics.scoring.checks import next_answer_scores, scale_stability
from seedtest_analytics.assets.psychometrics.scoring.rows import (
    item_parameters,
    newest_answers,
    overall_responses,
    overall_rows,
    topic_rows,
    window_rows,
)
from seedtest_analytics.assets.psychometrics.statements import ABILITY, RESPONSES, SCALE
from seedtest_analytics.assets.psychometrics.windows import WINDOW_DAYS
from seedtest_analytics.database.publish import Published
from seedtest_analytics.database.read import copy_to_arrow
from seedtest_analytics.database.sql_files import statement
from seedtest_analytics.stats.ability.hyperparameters import Hyperparameters
from seedtest_analytics.tables import psychometrics as tables


@dataclass(frozen=True)
class WeekScores:
    """Abilities of one week as rows of their tables."""

    overall: pd.DataFrame
    windows: pd.DataFrame
    topics: pd.DataFrame
    fit: Mapping[str, Any]


def score_week(run: WeekRun) -> Sequence[Outcome]:
    """Score one week and publish its abilities."""
    scale = scale_for(run.connection, run.week)
    n_students = _stage_answers(run)
    is_dynamic = _stage_states(run, scale)
    if scale is None:
        run.warn(
            f"no usable calibration at or before it; {'abilities have a separate scale' if is_dynamic else 'no abilities'}"
        )
    scores = _scores(run, scale)
    scored, windows, topics, n_topics = _publish(run, scores, is_dynamic=is_dynamic)
    stability = scale_stability(run.connection, run.week)
    next_answers = next_answer_scores(run.connection, run.week)
    text = f"{scored.staged:,} students have an ability; {n_students:,} have answers in the look-back"
    scored_check = SCORED.judged(
        text, is_passed=scored.staged > 0 or n_students == 0, metadata={"scored": scored.staged, "students": n_students}
    )
    checks = [scored_check, stability]
    metadata = _overall_metadata(run, scale, is_dynamic=is_dynamic) | dict(scores.fit) | next_answers
    return (
        run.outcome(scored, metadata, checks=checks),
        run.outcome(windows, {"windows": len(scores.windows)}),
        run.outcome(topics, {"topic_abilities": n_topics}),
    )


def _stage_states(run: WeekRun, scale: Scale | None) -> bool:
    """Stage the week's states as rows of the ability tables; False if the settings or the week have none."""
    if run.settings.ability.method == "static":
        return False
    # Without a calibration every item discriminates alike.
    parameters = {**run.parameters, "model": scale.model if scale else "Rasch"}
    n_states = run.connection.execute(statement(ABILITY, "ability_rows"), parameters).rowcount
    run.connection.execute(statement(ABILITY, "topic_rows"), parameters)
    return n_states > 0


def _overall_metadata(run: WeekRun, scale: Scale | None, *, is_dynamic: bool) -> dict[str, Any]:
    metadata: dict[str, Any] = {
        "as_of": run.week.as_of.isoformat(),
        "calibration": scale.run_id if scale else "none",
        "method": "dynamic" if is_dynamic else "EAP",
    }
    theta = run.connection.execute(statement(SCALE, "abilities"), {"week_start": run.week.start}).scalars().all()
    if theta:
        mean, sd = float(np.mean(theta)), float(np.std(theta))
        metadata |= _bank_metadata(scale) if scale else {}
        metadata |= {"theta_mean": mean, "theta_sd": sd}
        title = f"Ability of {len(theta):,} students: mean {mean:.2f}, SD {sd:.2f}"
        metadata["theta"] = histogram(list(theta), title, label="θ (logit), posterior mean", bins=_bins(len(theta)))
    return metadata


def _bank_metadata(scale: Scale) -> dict[str, Any]:
    """How many items are scored with, how many of them with kept parameters, and the age of the oldest."""
    kept = scale.items.loc[scale.items["method"] == "kept"]
    oldest = int(kept["age_days"].max()) if len(kept) else 0
    return {"items": len(scale.items), "items_kept": len(kept), "oldest_item_days": oldest}


def _bins(n: int) -> int:
    """Twice the cube root of the number of students (Rice), between 10 and 60."""
    return int(min(max(2 * n ** (1 / 3), 10), 60))


def _stage_answers(run: WeekRun) -> int:
    """Stage the answers to score and those of the two windows; return the number of students with an answer."""
    connection, week = run.connection, run.week
    from_at = week.days_before(run.settings.calibration.days_to_score)
    connection.execute(statement(RESPONSES, "overall"), {"from_at": from_at, "as_of": week.as_of})
    connection.execute(
        statement(RESPONSES, "windows"),
        {"from_at": week.days_before(2 * WINDOW_DAYS), "middle_at": week.days_before(WINDOW_DAYS), "as_of": week.as_of},
    )
    return int(connection.execute(statement(RESPONSES, "count_students")).scalar_one())


def _scores(run: WeekRun, scale: Scale | None) -> WeekScores:
    if scale is None:
        return _no_scores()
    connection, week = run.connection, run.week
    overall_answers = copy_to_arrow(connection, statement(RESPONSES, "overall_rows"), dictionaries=("user_id",))
    topic_answers = copy_to_arrow(connection, statement(RESPONSES, "topic_rows"), dictionaries=("user_id", "topic_id"))
    window_answers = copy_to_arrow(connection, statement(RESPONSES, "window_rows"), dictionaries=("user_id",))
    users, data = overall_responses(overall_answers)
    overall = overall_rows(users, data, scale=scale, week=week)
    topics = topic_rows(topic_answers, overall, scale=scale, week=week, topic_spread=_topic_spread(run))
    topic = ["user_id", "topic_id"]
    return WeekScores(
        overall.assign(answered_at=newest_answers(overall_answers, scale, rows=overall, by=["user_id"])),
        window_rows(window_answers, scale, week=week, window_days=WINDOW_DAYS),
        topics=topics.assign(answered_at=newest_answers(topic_answers, scale, rows=topics, by=topic)),
        fit=person_fit_metadata(
            data, item_parameters(scale.items), group_mean=scale.group_mean, group_sd=scale.group_sd
        ),
    )


def _topic_spread(run: WeekRun) -> float:
    parameters = {"week_start": run.week.start}
    fitted: float | None = run.connection.execute(statement(ABILITY, "topic_spread"), parameters).scalar_one_or_none()
    return Hyperparameters().topic_spread if fitted is None else fitted


def _no_scores() -> WeekScores:
    return WeekScores(
        empty_rows(tables.mirt_ability),
        empty_rows(tables.ability_window),
        topics=empty_rows(tables.student_topic_theta_history),
        fit={},
    )


def _publish(run: WeekRun, scores: WeekScores, *, is_dynamic: bool) -> tuple[Published, Published, Published, int]:
    """What was published: abilities, windows, current topics, and the number of the week's topic abilities."""
    history = tables.student_topic_theta_history
    ability = publish_week(run, tables.mirt_ability, rows="state_as_ability" if is_dynamic else scores.overall)
    window = publish_week(run, tables.ability_window, rows=scores.windows)
    topics = publish_week(run, history, rows="state_as_topic_ability" if is_dynamic else scores.topics)
    run.connection.execute(statement(SCALE, "stage_current_topics"), run.parameters)
    current = publish_week(run, tables.student_topic_theta, rows="staged_current_topic", replace=Replace.VERSION)
    return ability, window, current.with_quarantine_of(topics), topics.staged
