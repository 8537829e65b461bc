"""Calibration of one week: answers in, item parameters with a verdict out, on the platform's scale."""

from __future__ import annotations

import datetime as dt
import hashlib
import json
from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from sqlalchemy import Connection

from seedtest_analytics.assets.framework.events import CheckOutcome, Outcome
from seedtest_analytics.assets.psychometrics.calibration.dif import (
    NO_COVARIATE,
    DifOfWeek,
    dif_by_item,
    dif_check,
    dif_metadata,
    dif_of_week,
    dif_spec,
)
from seedtest_analytics.assets.psychometrics.calibration.engine import Fit, fit_by
from seedtest_analytics.assets.psychometrics.calibration.filter import (
    FilteredCalibrationError,
    filter_of,
    refusal_of_filter,
)
from seedtest_analytics.assets.psychometrics.calibration.plots import calibration_metadata
from seedtest_analytics.assets.psychometrics.calibration.rows import fit_row, history_rows
from seedtest_analytics.assets.psychometrics.fit_report import item_fit_metadata
from seedtest_analytics.assets.psychometrics.scale.placement import PlacedCalibration, place_on_scale
from seedtest_analytics.database.publish import Published, publish, staged_from_frame
from seedtest_analytics.database.read import copy_to_arrow
from seedtest_analytics.database.sql_files import statement
from seedtest_analytics.partitions import Week
from seedtest_analytics.resources.postgres import PostgresResource
from seedtest_analytics.settings import CalibrationSettings, DifSettings
from seedtest_analytics.tables import psychometrics as tables

if TYPE_CHECKING:
    import dagster as dg
    import pyarrow as pa

    from seedtest_analytics.resources.r.caller import RCaller
    from seedtest_analytics.stats.irt.data import ResponseData

RESPONSES = "psychometrics/responses.sql"
SCALE = "psychometrics/scale.sql"
ANCHORS = "psychometrics/anchors.sql"
USABLE_SHARE = 0.5
_THIS_WEEK = "t.week_start = :week_start"
_KEEP_NEWER = "t.fitted_at <= excluded.fitted_at"


@dataclass(frozen=True)
class Answers:
    """A week's answers in the engine's layout, with the fingerprint that names them (hexadecimal, 128 bits).

    ``users``: student ids (Arrow text); the first row key of ``data`` is the position in it. ``filter``: which topic or
    subject they are limited to; None for all.
    """

    data: ResponseData
    fingerprint: str
    users: pa.Array
    filter: dict[str, Any] | None


def calibrate_week(
    postgres: PostgresResource,
    week: Week,
    *,
    settings: CalibrationSettings,
    dry: bool,
    log: dg.DagsterLogManager,
    r: RCaller | None = None,
    dif_settings: DifSettings | None = None,
) -> Iterator[Outcome]:
    """Calibrate one week and publish history, current parameters and the fit's row in one transaction.

    ``r`` is needed by ``MIRT_BACKEND=mirt`` only; without ``dif_settings`` no groups are compared. Raises
    FilteredCalibrationError for one topic or subject where all answers have been calibrated, unless it is a dry run.
    """
    fit = fit_by(settings, r, log=log)
    with postgres.transaction(f"irt_calibration:{week.key}", is_dry_run=dry) as connection:
        refusal = refusal_of_filter(connection, week, settings=settings)
        if refusal is not None:
            if not dry:
                raise FilteredCalibrationError(refusal)
            log.warning(refusal)
        answers = load_answers(connection, week, settings=settings)
        placed, reason = _fit(connection, answers, week=week, settings=settings, fit=fit, log=log)
        run_id = "" if answers is None else run_id_of(week, settings, fingerprint=answers.fingerprint)
        dif = DifOfWeek(None, None, reason=NO_COVARIATE)
        if answers is not None and placed is not None:
            dif = dif_of_week(
                connection,
                answers,
                items=placed.parameters,
                week=week,
                lookback_days=settings.lookback_days,
                settings=dif_settings or DifSettings(),
                log=log,
            )
        parameters, fits = _publish(connection, week, run_id=run_id, answers=answers, placed=placed, dif=dif)
        if settings.update_question_meta and placed is not None and placed.is_on_scale:
            n_questions = connection.execute(statement(ANCHORS, "write_back"), {"run_id": run_id}).rowcount
            log.info(f"week of {week.key}: parameters of {n_questions} questions written to question.meta.irt")
    yield Outcome(parameters, *_parameters_report(placed, answers, reason=reason), week.key, dry)
    yield Outcome(
        fits,
        *_fit_report(placed, reason, week=week, run_id=run_id, min_anchors=settings.min_anchors, dif=dif),
        week.key,
        dry,
    )


def load_answers(connection: Connection, week: Week, *, settings: CalibrationSettings) -> Answers | None:
    """The answers of the look-back; None where there is none."""
    return load_between(connection, week.days_before(settings.lookback_days), as_of=week.as_of, settings=settings)


def load_between(
    connection: Connection, from_at: dt.datetime, *, as_of: dt.datetime, settings: CalibrationSettings
) -> Answers | None:
    """The answers with from_at <= completed_at < as_of that the settings select; None where there is none."""
    from seedtest_analytics.stats.irt.data import ResponseData

    connection.execute(
        statement(RESPONSES, "calibration"),
        {
            "from_at": from_at,
            "as_of": as_of,
            "first_only": settings.attempts == "first",
            "topic_id": settings.topic_id,
            "subject_id": settings.subject_id,
            "max_observations": settings.max_observations or None,
        },
    )
    rows = copy_to_arrow(connection, statement(RESPONSES, "calibration_rows"), dictionaries=("user_id",))
    connection.execute(statement(RESPONSES, "drop_calibration"))
    if rows.num_rows == 0:
        return None
    users = rows["user_id"].combine_chunks()
    code = users.indices.to_numpy()
    item, correct, answer_no = (rows[name].to_numpy() for name in ("item_id", "correct", "answer_no"))
    # With all attempts asked for, a student's later answers to an item are rows of their own: the model has no
    # memory, and one ability cannot have two answers to one item.
    key = code if settings.attempts == "first" else (code, answer_no)
    data = ResponseData.from_long(key, item, correct=correct)
    names = users.dictionary
    fingerprint = _fingerprint(names.to_pylist(), code, item, correct)
    return Answers(data, fingerprint, users=names, filter=filter_of(settings))


def _fingerprint(users: list[str], *columns: np.ndarray) -> str:
    digest = hashlib.blake2b(digest_size=16)
    for column in columns:
        digest.update(np.ascontiguousarray(column).data)
    digest.update("\0".join(users).encode())
    return digest.hexdigest()


def run_id_of(week: Week, settings: CalibrationSettings, *, fingerprint: str) -> str:
    """The same week, settings and answers give the same id, so a second run replaces its own rows."""
    spec = json.dumps(settings.model_dump(mode="json"), sort_keys=True) + fingerprint
    return f"irt-{week.iso_label}-{hashlib.sha256(spec.encode()).hexdigest()[:10]}"


def _fit(
    connection: Connection,
    answers: Answers | None,
    *,
    week: Week,
    settings: CalibrationSettings,
    fit: Fit,
    log: dg.DagsterLogManager,
) -> tuple[PlacedCalibration | None, str]:
    """The calibration, placed on the scale; None with the reason where the answers cannot carry one, and without a
    reason where there are no answers.
    """
    from seedtest_analytics.stats.irt.errors import IrtDataError

    if answers is None:
        return None, ""
    try:
        return place_on_scale(connection, answers.data, week=week, settings=settings, fit=fit, log=log), ""
    except IrtDataError as error:
        reason = f"{answers.data.n_answers:,} answers carry no calibration: {error}"
        log.warning(f"week of {week.key}: {reason}")
        return None, reason


def _publish(
    connection: Connection,
    week: Week,
    *,
    run_id: str,
    answers: Answers | None,
    placed: PlacedCalibration | None,
    dif: DifOfWeek,
) -> tuple[Published, Published]:
    parameters = {"week_start": week.start}
    history = history_rows(placed, week, run_id=run_id)
    fit = fit_row(placed, week, run_id=run_id, answers=answers, dif=dif_spec(dif))
    staged_from_frame(connection, "staged_history", table=tables.mirt_item_params_history, frame=history)
    staged_from_frame(connection, "staged_fit", table=tables.mirt_fit_meta, frame=fit)
    publish(
        connection,
        tables.mirt_item_params_history,
        staged="staged_history",
        partition=_THIS_WEEK,
        parameters=parameters,
    )
    fits = publish(connection, tables.mirt_fit_meta, staged="staged_fit", partition=_THIS_WEEK, parameters=parameters)
    current_of = {"run_id": run_id, "fitted_at": week.as_of, "dif": dif_by_item(dif)}
    connection.execute(statement(SCALE, "stage_current"), current_of)
    current = publish(
        connection,
        tables.mirt_item_params,
        staged="staged_current",
        partition="false",
        update_only_if=_KEEP_NEWER,
    )
    return current, fits


def _parameters_report(
    placed: PlacedCalibration | None, answers: Answers | None, *, reason: str
) -> tuple[dict[str, Any], list[CheckOutcome]]:
    if placed is None or answers is None:
        return {}, [CheckOutcome("items_usable", True, description=reason or "no answers to calibrate on")]  # noqa: FBT003
    fit = placed.calibration
    share = fit.share_usable
    text = (
        f"{len(fit.parameters):,} of {len(fit.items.item_ids):,} items, with {share:.0%} of the answers; "
        f"set aside: {fit.set_aside}"
    )
    metadata = calibration_metadata(placed) | item_fit_metadata(answers.data, fit)
    return metadata, [CheckOutcome("items_usable", share >= USABLE_SHARE, description=text)]


def _fit_report(
    placed: PlacedCalibration | None,
    reason: str,
    *,
    week: Week,
    run_id: str,
    min_anchors: int,
    dif: DifOfWeek,
) -> tuple[dict[str, Any], list[CheckOutcome]]:
    """``reason``: why there are answers and no calibration; empty where there are none, which is nobody's fault."""
    if placed is None:
        none = reason or "no calibration this week: nothing to calibrate on"
        return {"as_of": week.as_of.isoformat()}, [
            CheckOutcome("usable", not reason, description=none),
            *(
                CheckOutcome(name, True, description=none)  # noqa: FBT003
                for name in ("on_the_scale", "anchors_enough", "anchors_stable", "dif_small")
            ),
        ]
    fit, verdict = placed.calibration, placed.calibration.verdict
    usable_text = "; ".join(placed.reasons or verdict.warnings) or "converged"
    metadata = {
        "run_id": run_id,
        "as_of": week.as_of.isoformat(),
        "students": fit.n_rows,
        "answers": fit.n_answers,
        "log_likelihood": fit.log_likelihood,
        "iterations": fit.n_iterations,
        "scale": placed.description,
        **dif_metadata(dif),
    }
    return metadata, [
        CheckOutcome("usable", not placed.reasons, description=usable_text),
        CheckOutcome("on_the_scale", placed.is_on_scale, description=placed.description),
        CheckOutcome(
            "anchors_enough",
            placed.n_anchors >= min_anchors or placed.origin == "own",
            description=f"{placed.n_anchors} anchors have answers, {min_anchors} are needed; {placed.description}",
        ),
        _anchors_stable(placed),
        dif_check(dif),
    ]


def _anchors_stable(placed: PlacedCalibration) -> CheckOutcome:
    lost = [f"{anchor['item_id']}: {anchor['reason']}" for anchor in placed.lost_anchors]
    text = f"{len(lost)} anchors carry no scale; {'; '.join(lost[:10])}"
    return CheckOutcome("anchors_stable", not lost, description=text if lost else placed.description)
