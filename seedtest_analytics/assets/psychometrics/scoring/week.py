"""Scoring of one week: overall, windowed and topic abilities with one calibration's parameters."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from logging import Logger
from typing import TYPE_CHECKING, Any

from sqlalchemy import Connection

from seedtest_analytics.assets.framework.events import CheckOutcome, Outcome
from seedtest_analytics.assets.framework.preview import histogram
from seedtest_analytics.assets.psychometrics.fit_report import person_fit_metadata
from seedtest_analytics.assets.psychometrics.scale.items import items_to_score_with
from seedtest_analytics.assets.psychometrics.scoring.checks import next_answer_scores, scale_stability
from seedtest_analytics.database.publish import Published, publish, staged_from_frame
from seedtest_analytics.database.read import copy_to_arrow
from seedtest_analytics.database.sql_files import statement
from seedtest_analytics.partitions import Week
from seedtest_analytics.resources.postgres import PostgresResource
from seedtest_analytics.settings import CalibrationSettings
from seedtest_analytics.tables import psychometrics as tables

if TYPE_CHECKING:
    import pandas as pd

RESPONSES = "psychometrics/responses.sql"
SCALE = "psychometrics/scale.sql"
WINDOW_DAYS = 14
_THIS_WEEK = "t.week_start = :week_start"


@dataclass(frozen=True)
class Scale:
    """The calibration that a week is scored with: its parameters and the population that they were fitted in."""

    run_id: str
    items: pd.DataFrame
    model: str
    group_mean: float
    group_sd: float


@dataclass(frozen=True)
class WeekScores:
    """Abilities of one week as rows of their tables."""

    overall: pd.DataFrame
    windows: pd.DataFrame
    topics: pd.DataFrame
    fit: Mapping[str, Any]


def score_week(
    postgres: PostgresResource, week: Week, *, settings: CalibrationSettings, dry: bool, log: Logger
) -> Iterator[Outcome]:
    """Score one week and publish its abilities in one transaction."""
    with postgres.transaction(f"irt_scoring:{week.key}", is_dry_run=dry) as connection:
        scale = scale_for(connection, week)
        n_students = _load_answers(connection, week, settings=settings)
        if scale is None:
            log.warning(f"week of {week.key}: no usable calibration at or before it; no abilities")
        scores = _scores(connection, week, scale=scale)
        published = _publish(connection, week, scores=scores)
        stability = scale_stability(connection, week)
        next_answers = next_answer_scores(connection, week)
    scored, windows, topics = published
    check = CheckOutcome(
        "scored",
        scored.staged > 0 or n_students == 0,
        description=f"{scored.staged:,} of {n_students:,} students with answers",
    )
    metadata = _overall_metadata(scores, scale, week=week) | dict(scores.fit) | next_answers
    yield Outcome(scored, metadata, checks=[check, stability], partition=week.key, is_dry_run=dry)
    yield Outcome(windows, {"windows": len(scores.windows)}, checks=[], partition=week.key, is_dry_run=dry)
    yield Outcome(topics, {"topic_abilities": len(scores.topics)}, checks=[], partition=week.key, is_dry_run=dry)


def _overall_metadata(scores: WeekScores, scale: Scale | None, *, week: Week) -> dict[str, Any]:
    metadata: dict[str, Any] = {
        "as_of": week.as_of.isoformat(),
        "calibration": scale.run_id if scale else "none",
    }
    if len(scores.overall):
        theta = scores.overall["theta"]
        metadata |= {"theta_mean": float(theta.mean()), "theta_sd": float(theta.std(ddof=0))}
        title = f"Ability of {len(theta):,} students, week of {week.key}: mean {theta.mean():.2f}, SD {theta.std(ddof=0):.2f}"
        metadata["theta"] = histogram(theta.tolist(), title, label="θ (logit), posterior mean", bins=_bins(len(theta)))
    return metadata


def _bins(n: int) -> int:
    """More students carry finer bins: twice the cube root of their number (Rice), 10 to 60."""
    return int(min(max(2 * n ** (1 / 3), 10), 60))


def scale_for(connection: Connection, week: Week) -> Scale | None:
    """The newest usable calibration at or before the week with the items to score with; None where there is none."""
    import pandas as pd

    fit = connection.execute(statement(SCALE, "usable_for"), {"week_start": week.start}).one_or_none()
    if fit is None:
        return None
    result = items_to_score_with(connection, fit.run_id)
    items = pd.DataFrame(result.all(), columns=list(result.keys()))
    metrics = fit.metrics
    return Scale(
        fit.run_id,
        items,
        model=fit.model_spec["model"],
        group_mean=metrics["group_mean"],
        group_sd=metrics["group_sd"],
    )


def _load_answers(connection: Connection, week: Week, *, settings: CalibrationSettings) -> int:
    """Stage the answers of the look-back and of the two windows; number of students with an answer."""
    from_at = week.days_before(settings.lookback_days)
    connection.execute(statement(RESPONSES, "overall"), {"from_at": from_at, "as_of": week.as_of})
    connection.execute(
        statement(RESPONSES, "windows"),
        {
            "from_at": week.days_before(2 * WINDOW_DAYS),
            "middle_at": week.days_before(WINDOW_DAYS),
            "as_of": week.as_of,
        },
    )
    return int(connection.execute(statement(RESPONSES, "count_students")).scalar_one())


def _scores(connection: Connection, week: Week, *, scale: Scale | None) -> WeekScores:
    if scale is None:
        return _no_scores()
    overall_answers = copy_to_arrow(
        connection, statement(RESPONSES, "overall_rows"), dictionaries=("user_id", "topic_id")
    )
    window_answers = copy_to_arrow(connection, statement(RESPONSES, "window_rows"), dictionaries=("user_id",))
    from seedtest_analytics.assets.psychometrics.scoring.rows import (
        item_parameters,
        overall_responses,
        overall_rows,
        topic_rows,
        window_rows,
    )

    users, data = overall_responses(overall_answers)
    overall = overall_rows(users, data, scale=scale, week=week)
    return WeekScores(
        overall,
        window_rows(window_answers, scale, week=week, window_days=WINDOW_DAYS),
        topics=topic_rows(overall_answers, overall, scale=scale, week=week),
        fit=person_fit_metadata(
            data, item_parameters(scale.items), group_mean=scale.group_mean, group_sd=scale.group_sd
        ),
    )


def _no_scores() -> WeekScores:
    import pandas as pd

    def empty(table: Any) -> pd.DataFrame:
        return pd.DataFrame(columns=[c.name for c in table.columns])

    return WeekScores(
        empty(tables.mirt_ability),
        empty(tables.ability_window),
        topics=empty(tables.student_topic_theta_history),
        fit={},
    )


def _publish(connection: Connection, week: Week, *, scores: WeekScores) -> tuple[Published, Published, Published]:
    parameters = {"week_start": week.start}
    staged_from_frame(connection, "staged_ability", table=tables.mirt_ability, frame=scores.overall)
    staged_from_frame(connection, "staged_window", table=tables.ability_window, frame=scores.windows)
    staged_from_frame(connection, "staged_topic", table=tables.student_topic_theta_history, frame=scores.topics)
    ability = publish(
        connection, tables.mirt_ability, staged="staged_ability", partition=_THIS_WEEK, parameters=parameters
    )
    window = publish(
        connection, tables.ability_window, staged="staged_window", partition=_THIS_WEEK, parameters=parameters
    )
    publish(
        connection,
        tables.student_topic_theta_history,
        staged="staged_topic",
        partition=_THIS_WEEK,
        parameters=parameters,
    )
    version = {"version": week.iso_label}
    connection.execute(statement(SCALE, "stage_current_topics"), {**parameters, **version})
    topic = publish(
        connection,
        tables.student_topic_theta,
        staged="staged_current_topic",
        partition="t.version = :version",
        parameters=version,
    )
    return ability, window, topic
