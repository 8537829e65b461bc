"""Mixed model of one week by lme4: shares of right answers in, estimates and each student's slope out."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator
from dataclasses import dataclass
from logging import Logger
from typing import TYPE_CHECKING, Any

import dagster as dg
import numpy as np
from sqlalchemy import Connection, text

from seedtest_analytics.assets.framework.events import CheckOutcome, Outcome
from seedtest_analytics.assets.growth.bayesian.fit import model_failures
from seedtest_analytics.assets.growth.bayesian.rows import fit_run_id
from seedtest_analytics.assets.growth.bayesian.scores import lookback_parameters
from seedtest_analytics.assets.growth.mixed_model.plots import fit_metadata
from seedtest_analytics.database.kpi_rows import merge_kpis
from seedtest_analytics.database.publish import (
    Published,
    copy_frame,
    create_staging,
    publish,
    staged_from_frame,
)
from seedtest_analytics.database.read import copy_to_arrow
from seedtest_analytics.database.sql_files import statement
from seedtest_analytics.partitions import Week
from seedtest_analytics.resources.postgres import PostgresResource
from seedtest_analytics.resources.r.resource import RResource
from seedtest_analytics.settings import GlmmSettings, KpiSettings
from seedtest_analytics.tables.growth import growth_glmm_meta

if TYPE_CHECKING:
    import pandas as pd

    from seedtest_analytics.stats.mixed_model.result import MixedModelFit

SQL = "growth/topic_weeks.sql"
COLUMNS = ("run_id", "model_spec", "metrics", "fitted_at", "week_start", "data_fingerprint")


@dataclass(frozen=True)
class TopicWeeks:
    """Rows of the model: ``frame`` has student (a code into ``users``), topic, week, score and attempts.

    ``left_out``: students with fewer answers than GLMM_MIN_OBSERVATIONS.
    """

    frame: pd.DataFrame
    users: np.ndarray
    left_out: int
    fingerprint: str


def fit_glmm_week(
    postgres: PostgresResource,
    r: RResource,
    *,
    week: Week,
    settings: GlmmSettings,
    kpis: KpiSettings,
    dry: bool,
    log: Logger,
) -> Iterator[Outcome]:
    """Fit one week and publish the fit, and on request the slopes, in one transaction."""
    slopes: Published | None = None
    with postgres.transaction(f"glmm:{week.key}", is_dry_run=dry) as connection:
        rows = load_topic_weeks(connection, week, settings=settings)
        fit, problem = _fit(rows, r, settings=settings, week=week, log=log)
        run_id = fit_run_id("glmm", week, settings=settings, fingerprint=rows.fingerprint)
        staged_from_frame(
            connection,
            "staged_fit",
            table=growth_glmm_meta,
            frame=_meta_row(fit, rows, settings=settings, week=week, run_id=run_id),
        )
        fits = publish(
            connection,
            growth_glmm_meta,
            staged="staged_fit",
            partition="t.week_start = :week_start",
            parameters={"week_start": week.start},
        )
        if settings.update_kpi:
            slopes = _merge_slopes(connection, fit, rows=rows, week=week, kpis=kpis, run_id=run_id)
        # Plots too, so that a run that cannot tell what it did has not done it.
        outcome = _fit_outcome(fits, fit, problem=problem, rows=rows, week=week, run_id=run_id, dry=dry)
    yield outcome
    if slopes is not None:
        log.info(f"week of {week.key}: growth_slope merged into weekly_kpi for {slopes.staged:,} students")
        yield Outcome(slopes, {}, checks=[], partition=week.key, is_dry_run=dry, key=("weekly_kpi", "growth_slope"))


def load_topic_weeks(connection: Connection, week: Week, *, settings: GlmmSettings) -> TopicWeeks:
    """Shares of right answers by student, topic and calendar week of the look-back."""
    import pandas as pd

    parameters = lookback_parameters(week, settings.lookback_weeks)
    connection.execute(statement(SQL, "stage"), {**parameters, "min_observations": settings.min_observations})
    left_out = int(connection.execute(statement(SQL, "left_out")).scalar_one())
    rows = copy_to_arrow(connection, statement(SQL, "rows"), dictionaries=("user_id", "topic"))
    users = rows["user_id"].combine_chunks()
    attempts, right = (rows[name].to_numpy().astype(np.int64) for name in ("attempts", "right_answers"))
    frame = pd.DataFrame(
        {
            "student": users.indices.to_numpy(),
            "topic": rows["topic"].combine_chunks().to_pandas().astype(str),
            "week": rows["week"].to_numpy().astype(float),
            "score": right / np.maximum(attempts, 1),
            "attempts": attempts,
        }
    )
    labels = np.asarray(users.dictionary.to_pylist(), dtype=object)
    hashed = pd.util.hash_pandas_object(frame, index=False).to_numpy().tobytes()
    digest = hashlib.blake2b("\0".join(map(str, labels)).encode() + hashed, digest_size=16)
    return TopicWeeks(frame, labels, left_out=left_out, fingerprint=digest.hexdigest())


def _fit(
    rows: TopicWeeks, r: RResource, *, settings: GlmmSettings, week: Week, log: Logger
) -> tuple[MixedModelFit | None, str]:
    """The fit, or None and the reason why the rows cannot carry one."""
    from seedtest_analytics.resources.r.mixed_model import fit_mixed_model
    from seedtest_analytics.stats.mixed_model.data import MixedModelDataError
    from seedtest_analytics.stats.mixed_model.formula import FormulaError

    try:
        with model_failures("R_GLMM_TIMEOUT_SECS"), r.session(log) as session:
            fit = fit_mixed_model(
                session,
                rows.frame,
                formula=settings.formula,
                family=settings.family,
                timeout_seconds=settings.timeout_seconds,
            )
    except FormulaError as error:
        raise dg.Failure(f"GLMM_FORMULA: {error}", allow_retries=False) from None
    except MixedModelDataError as error:
        log.warning(f"week of {week.key}: no mixed model: {error}")
        return None, str(error)
    for message in (*fit.convergence_messages, *fit.warnings):
        log.warning(f"week of {week.key}: lme4: {message}")
    return fit, ""


def _meta_row(
    fit: MixedModelFit | None, rows: TopicWeeks, *, settings: GlmmSettings, week: Week, run_id: str
) -> pd.DataFrame:
    import pandas as pd

    if fit is None:
        return pd.DataFrame(columns=list(COLUMNS))
    spec = fit.model_spec(settings.lookback_weeks) | {
        "students": len(rows.users),
        "students_left_out": rows.left_out,
        "min_observations": settings.min_observations,
    }
    values = (run_id, json.dumps(spec), json.dumps(fit.metrics(), allow_nan=False), week.as_of, week.start)
    return pd.DataFrame([(*values, rows.fingerprint)], columns=list(COLUMNS))


def _merge_slopes(
    connection: Connection,
    fit: MixedModelFit | None,
    *,
    rows: TopicWeeks,
    week: Week,
    kpis: KpiSettings,
    run_id: str,
) -> Published:
    """Merge growth_slope into the week's rows, under the lock of the KPIs of that week."""
    import pandas as pd

    connection.execute(
        text("SELECT pg_advisory_xact_lock(hashtextextended(:lock, 0))"), {"lock": f"weekly_kpi:{week.key}"}
    )
    since = week.days_before(max(kpis.users_since_days, kpis.lookback_days))
    connection.execute(statement("kpis/population.sql"), {"since": since, "as_of": week.as_of})
    population = connection.execute(text("SELECT user_id FROM population ORDER BY user_id")).scalars().all()
    keys, reason = _slope_keys(fit, rows, run_id=run_id)
    absent = json.dumps({"growth_slope": None, "growth_slope_reason": reason})
    create_staging(connection, "staged_kpi", columns={"user_id": "text", "kpis": "jsonb"})
    frame = pd.DataFrame({"user_id": population, "kpis": [keys.get(user, absent) for user in population]})
    copy_frame(connection, "staged_kpi", frame=frame)
    return merge_kpis(connection, "growth_slope", week_start=week.start)


def _slope_keys(fit: MixedModelFit | None, rows: TopicWeeks, *, run_id: str) -> tuple[dict[str, str], str]:
    """JSON of the keys by user, and why the others have none."""
    from seedtest_analytics.stats.mixed_model.result import growth_slopes

    if fit is None:
        return {}, "the week has no mixed model"
    try:
        slopes = growth_slopes(fit, "student")
    except ValueError as error:
        return {}, str(error)
    keys = {}
    for code, slope, sd in zip(slopes.student_ids, slopes.slope, slopes.conditional_sd, strict=True):
        values = {"growth_slope": float(slope), "growth_slope_run_id": run_id}
        if np.isfinite(sd):
            values["growth_slope_sd"] = float(sd)
        keys[str(rows.users[int(code)])] = json.dumps(values)
    return keys, "too few answers in the look-back of the mixed model"


def _fit_outcome(
    published: Published,
    fit: MixedModelFit | None,
    *,
    problem: str,
    rows: TopicWeeks,
    week: Week,
    run_id: str,
    dry: bool,
) -> Outcome:
    if fit is None:
        none = "there is no fit to judge"
        checks = [
            CheckOutcome("fitted", False, description=problem),  # noqa: FBT003
            CheckOutcome("converged", True, description=none),  # noqa: FBT003
            CheckOutcome("predicts", True, description=none),  # noqa: FBT003
        ]
        return Outcome(published, {"as_of": week.as_of.isoformat()}, checks=checks, partition=week.key, is_dry_run=dry)
    messages = [*fit.convergence_messages, *(["singular fit: a variance is zero"] if fit.is_singular else [])]
    checks = [
        CheckOutcome("fitted", True, description=f"{len(rows.users):,} students, {fit.n_rows:,} rows"),  # noqa: FBT003
        CheckOutcome("converged", not messages, description="; ".join(messages) or "converged"),
        _prediction_check(fit),
    ]
    metadata: dict[str, Any] = {
        "run_id": run_id,
        "as_of": week.as_of.isoformat(),
        "formula": fit.formula,
        "students": len(rows.users),
        "students_left_out": rows.left_out,
        "rows": fit.n_rows,
        **fit_metadata(fit),
    }
    return Outcome(published, metadata, checks=checks, partition=week.key, is_dry_run=dry)


def _prediction_check(fit: MixedModelFit) -> CheckOutcome:
    if fit.held_out is None:
        return CheckOutcome("predicts", True, description="nothing was held out")  # noqa: FBT003
    error, baseline = fit.held_out.rmse, fit.held_out.rmse_of_mean
    numbers = f"held out {error:.4f}, mean of the others {baseline:.4f}, in the sample {fit.rmse:.4f}"
    return CheckOutcome("predicts", error < baseline, description=f"RMSE: {numbers}")
