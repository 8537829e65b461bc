"""Mixed model of one week by lme4: load shares of right answers, fit, publish estimates and each student's slope."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import dagster as dg
import numpy as np
import pandas as pd
from sqlalchemy import Connection, text

from seedtest_analytics.assets.framework.checks import CheckOutcome
from seedtest_analytics.assets.framework.identity import fit_id
from seedtest_analytics.assets.framework.report import NotComputed, Outcome
from seedtest_analytics.assets.framework.week_run import WeekRun, publish_week
from seedtest_analytics.assets.growth.checks import CONVERGED, MIXED_MODEL_FITTED, PREDICTS
from seedtest_analytics.assets.growth.failures import model_failures
from seedtest_analytics.assets.growth.lookback import lookback_parameters
from seedtest_analytics.assets.growth.mixed_model.plots import fit_metadata
from seedtest_analytics.assets.running_week import complete_rows
from seedtest_analytics.database.kpi_rows import keep_staged, merge_kpis
from seedtest_analytics.database.publish import Published, copy_frame, create_staging
from seedtest_analytics.database.read import copy_to_arrow
from seedtest_analytics.database.sessions import take_lock
from seedtest_analytics.database.sql_files import statement
from seedtest_analytics.partitions import Week
from seedtest_analytics.resources.r.errors import RNotFoundError, RPackageMissingError
from seedtest_analytics.resources.r.mixed_model import MixedModelOptions, fit_mixed_model
from seedtest_analytics.resources.r.resource import RResource
from seedtest_analytics.settings import GlmmSettings
from seedtest_analytics.stats.mixed_model.data import MixedModelDataError
from seedtest_analytics.stats.mixed_model.formula import FormulaError
from seedtest_analytics.stats.mixed_model.result import MixedModelFit, growth_slopes
from seedtest_analytics.stats.no_result import NoResult
from seedtest_analytics.tables.growth import growth_glmm_meta

SQL = "growth/topic_weeks.sql"
META_KEY = ("growth_glmm_meta",)
SLOPE_KEY = ("weekly_kpi", "growth_slope")
COLUMNS = ("run_id", "model_spec", "metrics", "fitted_at", "week_start", "data_fingerprint", "method")


@dataclass(frozen=True)
class TopicWeeks:
    """Rows of the model.

    Attributes:
        frame: student (a code into ``users``), topic, week, score and attempts.
        users: raw ids.
        left_out: students with fewer answers than GLMM_MIN_OBSERVATIONS.
        unsampled: students with enough answers whom the sample passed over.
        fingerprint: hash of all rows.
    """

    frame: pd.DataFrame
    users: np.ndarray
    left_out: int
    unsampled: frozenset[str]
    fingerprint: str

    @property
    def method(self) -> str:
        """Estimator and sample."""
        if not self.unsampled:
            return "lme4"
        n = len(self.users)
        return f"lme4 on a sample of {n:,} of {n + len(self.unsampled):,} students, stratified by their number of weeks"


def fit_mixed_model_week(run: WeekRun, r: RResource) -> Sequence[Outcome | NotComputed]:
    """Fit one week and publish the fit and, if the settings ask for them, the slopes; nothing where R is missing."""
    settings = run.settings.glmm
    rows = load_topic_weeks(run.connection, run.week, settings=settings)
    try:
        fit = _fit(run, rows, r=r)
    except (RNotFoundError, RPackageMissingError) as error:
        run.warn(f"the mixed model is left out: {error}")
        return NotComputed(META_KEY, str(error)), NotComputed(SLOPE_KEY, str(error))
    run_id = fit_id("glmm", run.week, settings=_settings_of_the_fit(settings), data=[rows.fingerprint])
    fits = publish_week(run, growth_glmm_meta, rows=_meta_row(run, fit, rows=rows, run_id=run_id))
    slopes: Outcome | NotComputed = NotComputed(SLOPE_KEY, "GLMM_UPDATE_KPI is off")
    if settings.update_kpi:
        published = _merge_slopes(run, fit, rows=rows, run_id=run_id)
        run.log.info(f"week of {run.week.key}: growth_slope merged into weekly_kpi for {published.staged:,} students")
        slopes = run.outcome(published, key=SLOPE_KEY)
    # Plots are made before the commit: a run that cannot show its result does not write it.
    return _fit_outcome(run, fits, fit=fit, rows=rows, run_id=run_id), slopes


def _settings_of_the_fit(settings: GlmmSettings) -> dict[str, Any]:
    """Without those that decide what is done with the fit."""
    return settings.model_dump(mode="json", exclude={"update_kpi", "timeout_seconds"})


def load_topic_weeks(connection: Connection, week: Week, *, settings: GlmmSettings) -> TopicWeeks:
    """Shares of right answers by student, topic and calendar week of the look-back."""
    parameters = lookback_parameters(week, settings.lookback_weeks)
    limits = {"min_observations": settings.min_observations, "max_students": settings.max_students}
    connection.execute(statement(SQL, "stage"), {**parameters, **limits})
    unsampled = frozenset(connection.execute(statement(SQL, "unsampled")).scalars())
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
    return TopicWeeks(frame, labels, left_out=left_out, unsampled=unsampled, fingerprint=digest.hexdigest())


def _fit(run: WeekRun, rows: TopicWeeks, *, r: RResource) -> MixedModelFit | NoResult:
    """The fit, or why the rows do not allow one. Raises RNotFoundError and RPackageMissingError."""
    settings = run.settings.glmm
    options = MixedModelOptions(settings.formula, settings.family, timeout_seconds=settings.timeout_seconds)
    try:
        with (
            run.without_transaction(),
            model_failures("R_GLMM_TIMEOUT_SECS", is_r_optional=True),
            r.session(run.log) as session,
        ):
            fit = fit_mixed_model(session, rows.frame, options=options)
    except FormulaError as error:
        raise dg.Failure(f"GLMM_FORMULA: {error}", allow_retries=False) from None
    except MixedModelDataError as error:
        run.warn(f"no mixed model: {error}")
        return NoResult(str(error))
    for message in (*fit.convergence_messages, *fit.warnings):
        run.warn(f"lme4: {message}")
    return fit


def _meta_row(run: WeekRun, fit: MixedModelFit | NoResult, *, rows: TopicWeeks, run_id: str) -> pd.DataFrame:
    if isinstance(fit, NoResult):
        return pd.DataFrame(columns=list(COLUMNS))
    settings = run.settings.glmm
    spec = fit.model_spec(settings.lookback_weeks) | {
        "students": len(rows.users),
        "students_left_out": rows.left_out,
        "min_observations": settings.min_observations,
    }
    week = run.week
    values = (run_id, json.dumps(spec), json.dumps(fit.metrics(), allow_nan=False), week.as_of, week.start)
    return pd.DataFrame([(*values, rows.fingerprint, rows.method)], columns=list(COLUMNS))


def _merge_slopes(run: WeekRun, fit: MixedModelFit | NoResult, *, rows: TopicWeeks, run_id: str) -> Published:
    """Merge growth_slope into the week's rows, under the lock of that week's KPIs."""
    connection, week, kpis = run.connection, run.week, run.settings.kpis
    take_lock(connection, f"weekly_kpi:{week.key}")
    since = week.days_before(max(kpis.users_since_days, kpis.lookback_days))
    connection.execute(statement("kpis/population.sql"), {"since": since, "as_of": week.as_of})
    population = connection.execute(text("SELECT user_id FROM population ORDER BY user_id")).scalars().all()
    keys, reason = _slope_keys(fit, rows, run_id=run_id)
    absent = json.dumps({"growth_slope": None, "growth_slope_reason": reason})
    if keys:
        unsampled = json.dumps({"growth_slope": None, "growth_slope_reason": "not in the sample of the mixed model"})
        keys |= dict.fromkeys(rows.unsampled, unsampled)
    create_staging(connection, "staged_kpi", columns={"user_id": "text", "kpis": "jsonb"})
    frame = pd.DataFrame({"user_id": population, "kpis": [keys.get(user, absent) for user in population]})
    copy_frame(connection, "staged_kpi", frame=frame)
    kept = {"growth_slope": keep_staged(connection, "growth_slope", week_start=week.start)}
    published = merge_kpis(connection, kept, week_start=week.start)
    complete_rows(run, ())
    return published["growth_slope"]


def _slope_keys(fit: MixedModelFit | NoResult, rows: TopicWeeks, *, run_id: str) -> tuple[dict[str, str], str]:
    """JSON of the keys by user, and why the other students have none."""
    if isinstance(fit, NoResult):
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
    run: WeekRun, published: Published, *, fit: MixedModelFit | NoResult, rows: TopicWeeks, run_id: str
) -> Outcome:
    as_of = run.week.as_of.isoformat()
    if isinstance(fit, NoResult):
        none = "there is no fit to judge"
        checks = [MIXED_MODEL_FITTED.failed(fit.reason), CONVERGED.passed(none), PREDICTS.passed(none)]
        return run.outcome(published, {"as_of": as_of}, checks=checks)
    messages = [*fit.convergence_messages, *(["singular fit: a variance is zero"] if fit.is_singular else [])]
    checks = [
        MIXED_MODEL_FITTED.passed(
            f"{len(rows.users):,} students, {fit.n_rows:,} rows", {"students": len(rows.users), "rows": fit.n_rows}
        ),
        CONVERGED.judged("; ".join(messages) or "converged", is_passed=not messages),
        _prediction_check(fit),
    ]
    metadata: dict[str, Any] = {
        "run_id": run_id,
        "as_of": as_of,
        "formula": fit.formula,
        "students": len(rows.users),
        "students_left_out": rows.left_out,
        "method": rows.method,
        "rows": fit.n_rows,
        **fit_metadata(fit),
    }
    return run.outcome(published, metadata, checks=checks)


def _prediction_check(fit: MixedModelFit) -> CheckOutcome:
    if fit.held_out is None:
        return PREDICTS.passed("nothing was held out")
    error, baseline = fit.held_out.rmse, fit.held_out.rmse_of_mean
    numbers = f"held out {error:.4f}, mean of the others {baseline:.4f}, in the sample {fit.rmse:.4f}"
    metadata = {"rmse_held_out": error, "rmse_of_mean": baseline}
    return PREDICTS.judged(f"RMSE: {numbers}", is_passed=error < baseline, metadata=metadata)
