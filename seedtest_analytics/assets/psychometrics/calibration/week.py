"""Calibration of one week: load the answers, fit, place the fit on the platform scale, publish with a verdict."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import dagster as dg

from seedtest_analytics.assets.framework.checks import CheckOutcome
from seedtest_analytics.assets.framework.identity import fit_id
from seedtest_analytics.assets.framework.report import Outcome
from seedtest_analytics.assets.framework.week_run import Replace, WeekRun, publish_week
from seedtest_analytics.assets.psychometrics.answer_filter import refusal_of_filter
from seedtest_analytics.assets.psychometrics.answers import Answers, load_answers
from seedtest_analytics.assets.psychometrics.calibration.dif import (
    NO_COVARIATE,
    DifOfWeek,
    dif_by_item,
    dif_check,
    dif_metadata,
    dif_of_week,
    dif_spec,
)
from seedtest_analytics.assets.psychometrics.calibration.plots import calibration_metadata
from seedtest_analytics.assets.psychometrics.calibration.rows import fit_row, history_rows
from seedtest_analytics.assets.psychometrics.checks import (
    ANCHORS_ENOUGH,
    ANCHORS_STABLE,
    DIF_SMALL,
    ITEMS_USABLE,
    ON_THE_SCALE,
    USABLE,
)
from seedtest_analytics.assets.psychometrics.engine import between_transactions, fit_by
from seedtest_analytics.assets.psychometrics.fit_report import item_fit_metadata
from seedtest_analytics.assets.psychometrics.scale.placement import PlacedCalibration, place_on_scale
from seedtest_analytics.assets.psychometrics.statements import ANCHORS, SCALE
from seedtest_analytics.database.publish import Published
from seedtest_analytics.database.sql_files import statement
from seedtest_analytics.resources.r.caller import RCaller
from seedtest_analytics.resources.r.errors import RError, RTimeoutError
from seedtest_analytics.stats.irt.errors import IrtDataError
from seedtest_analytics.stats.no_result import NoResult
from seedtest_analytics.tables import psychometrics as tables

USABLE_SHARE = 0.5
NOTHING_TO_CALIBRATE = NoResult("no calibration this week: nothing to calibrate on")
_KEEP_NEWER = "t.fitted_at <= excluded.fitted_at"


def calibrate_week(run: WeekRun, r: RCaller | None = None) -> Sequence[Outcome]:
    """Calibrate one week and publish history, current parameters and the row of the fit.

    ``r`` is needed by ``MIRT_BACKEND=mirt`` only. Raises :class:`dagster.Failure` if R fails, or if the settings limit
    the answers to a topic or subject and calibrations of all answers exist; a dry run warns of the latter.
    """
    settings, week = run.settings.calibration, run.week
    refusal = refusal_of_filter(run.connection, week, settings=settings)
    if refusal is not None:
        if not run.is_dry_run:
            raise dg.Failure(refusal, allow_retries=False)
        run.log.warning(refusal)
    answers = load_answers(run.connection, week, settings=settings)
    placed = _fit(run, answers, r=r)
    if isinstance(placed, PlacedCalibration) and placed.reasons:
        reasons = "; ".join(placed.reasons)
        run.warn(f"the calibration is not usable ({reasons}); the last usable one scores, if there is one")
    run_id = ""
    dif = DifOfWeek(None, NoResult(NO_COVARIATE))
    if answers is not None:
        run_id = _run_id(run, answers, placed=placed)
        if isinstance(placed, PlacedCalibration):
            dif = dif_of_week(run, answers, items=placed.platform_parameters)
    parameters, fits = _publish(run, placed, run_id=run_id, answers=answers, dif=dif)
    if settings.update_question_meta and isinstance(placed, PlacedCalibration) and placed.is_on_scale:
        n_questions = run.connection.execute(statement(ANCHORS, "write_back"), {"run_id": run_id}).rowcount
        run.log.info(f"week of {week.key}: parameters of {n_questions} questions written to question.meta.irt")
        _warn_of_meta(run)
    return (
        _parameters_outcome(run, parameters, placed=placed, answers=answers),
        _fit_outcome(run, fits, placed=placed, answers=answers, run_id=run_id, dif=dif),
    )


def _run_id(run: WeekRun, answers: Answers, *, placed: PlacedCalibration | NoResult) -> str:
    """Names everything that decides a fit: settings, answers, backend, and the parameters that it was linked to."""
    data = [answers.fingerprint]
    if isinstance(placed, PlacedCalibration):
        data += [placed.fitted.backend, *placed.references]
    return fit_id("irt", run.week, settings=run.settings.calibration.of_the_fit, data=data)


def _warn_of_meta(run: WeekRun) -> None:
    """Name the questions to which nothing is written, because their meta was not understood."""
    found = run.connection.execute(statement(ANCHORS, "meta_not_understood")).one()
    if found.questions:
        run.warn(
            f"question.meta of {found.questions:,} questions stays as it is, because it is not a JSON object "
            f"(ids {', '.join(map(str, found.first_ids))}{', …' if found.questions > len(found.first_ids) else ''}); "
            "store an object"
        )


def _fit(run: WeekRun, answers: Answers | None, *, r: RCaller | None) -> PlacedCalibration | NoResult:
    """The calibration on the platform scale, or why there is none."""
    if answers is None:
        return NOTHING_TO_CALIBRATE
    settings = run.settings.calibration
    try:
        return place_on_scale(run, answers.data, fit=between_transactions(fit_by(settings, r, log=run.log), run))
    except IrtDataError as error:
        reason = f"cannot calibrate {answers.data.n_answers:,} answers: {error}"
        run.warn(reason)
        return NoResult(reason)
    except RError as error:
        remedy = "; raise MIRT_TIMEOUT_SECS, or set MIRT_BACKEND=native" if isinstance(error, RTimeoutError) else ""
        text = f"MIRT_BACKEND={settings.backend}, week of {run.week.key}: {error}{remedy}"
        raise dg.Failure(text, allow_retries=False) from error


def _publish(
    run: WeekRun, placed: PlacedCalibration | NoResult, *, run_id: str, answers: Answers | None, dif: DifOfWeek
) -> tuple[Published, Published]:
    rows = history_rows(placed, run.week, run_id=run_id)
    history = publish_week(run, tables.mirt_item_params_history, rows=rows)
    fit = fit_row(
        placed,
        run.week,
        run_id=run_id,
        answers=answers,
        dif=dif_spec(dif),
        keeps_parameters=run.settings.calibration.keep_parameters,
    )
    fits = publish_week(run, tables.mirt_fit_meta, rows=fit)
    current_of = {"run_id": run_id, "fitted_at": run.week.as_of, "dif": dif_by_item(dif)}
    run.connection.execute(statement(SCALE, "stage_current"), current_of)
    current = publish_week(
        run, tables.mirt_item_params, rows="staged_current", replace=Replace.NOTHING, update_only_if=_KEEP_NEWER
    )
    return current.with_quarantine_of(history), fits


def _parameters_outcome(
    run: WeekRun, published: Published, *, placed: PlacedCalibration | NoResult, answers: Answers | None
) -> Outcome:
    if isinstance(placed, NoResult) or answers is None:
        reason = placed.reason if isinstance(placed, NoResult) else ""
        return run.outcome(published, checks=[ITEMS_USABLE.passed(reason)])
    fit = placed.calibration
    share = fit.share_usable
    aside = ", ".join(f"{reason} {n:,}" for reason, n in fit.set_aside.items()) or "none"
    text = (
        f"{len(fit.parameters):,} of {len(fit.items.item_ids):,} items, with {share:.0%} of the answers; "
        f"set aside: {aside}"
    )
    metadata = calibration_metadata(placed, len(answers.users)) | item_fit_metadata(answers.data, fit)
    check = ITEMS_USABLE.judged(text, is_passed=share >= USABLE_SHARE, metadata={"share_usable": share})
    return run.outcome(published, metadata, checks=[check])


def _fit_outcome(
    run: WeekRun,
    published: Published,
    *,
    placed: PlacedCalibration | NoResult,
    answers: Answers | None,
    run_id: str,
    dif: DifOfWeek,
) -> Outcome:
    as_of = run.week.as_of.isoformat()
    if isinstance(placed, NoResult):
        # A week without answers is nobody's fault; answers that cannot be calibrated are.
        usable = USABLE.judged(placed.reason, is_passed=placed is NOTHING_TO_CALIBRATE)
        others = (ON_THE_SCALE, ANCHORS_ENOUGH, ANCHORS_STABLE, DIF_SMALL)
        checks = [usable, *(check.passed(placed.reason) for check in others)]
        return run.outcome(published, {"as_of": as_of}, checks=checks)
    fit = placed.calibration
    metadata: dict[str, Any] = {
        "run_id": run_id,
        "as_of": as_of,
        "students": 0 if answers is None else len(answers.users),
        "abilities": fit.n_rows,
        "answers": fit.n_answers,
        "log_likelihood": fit.log_likelihood,
        "iterations": fit.n_iterations,
        "scale": placed.description,
        **dif_metadata(dif),
    }
    return run.outcome(published, metadata, checks=_checks(run, placed, dif=dif))


def _checks(run: WeekRun, placed: PlacedCalibration, *, dif: DifOfWeek) -> list[CheckOutcome]:
    min_anchors = run.settings.calibration.min_anchors
    anchors = f"{placed.n_anchors} anchors have answers, {min_anchors} are needed; {placed.description}"
    lost = [f"{anchor['item_id']}: {anchor['reason']}" for anchor in placed.lost_anchors]
    faults = [f"tagged anchors left out of the link: {len(lost)}. {'; '.join(lost[:10])}"] if lost else []
    if placed.anchors_refused is not None:
        faults.append(f"the anchors do not define the scale: {placed.anchors_refused}")
    warnings = placed.calibration.verdict.warnings
    return [
        USABLE.judged("; ".join(placed.reasons or warnings) or "converged", is_passed=not placed.reasons),
        ON_THE_SCALE.judged(placed.description, is_passed=placed.is_on_scale),
        ANCHORS_ENOUGH.judged(
            anchors,
            is_passed=placed.n_anchors >= min_anchors or placed.origin == "own",
            metadata={"anchors": placed.n_anchors, "needed": min_anchors},
        ),
        ANCHORS_STABLE.judged(
            ". ".join(faults) or placed.description, is_passed=not faults, metadata={"excluded": len(lost)}
        ),
        dif_check(dif),
    ]
