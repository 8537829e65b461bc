"""Item drift of one week: calibrate two windows, link them, test the differences, publish."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from seedtest_analytics.assets.framework.checks import CheckOutcome
from seedtest_analytics.assets.framework.identity import fit_id
from seedtest_analytics.assets.framework.report import Outcome
from seedtest_analytics.assets.framework.week_run import Replace, WeekRun, publish_week
from seedtest_analytics.assets.psychometrics.answers import Answers, load_between
from seedtest_analytics.assets.psychometrics.checks import DRIFT_BELOW_THRESHOLD
from seedtest_analytics.assets.psychometrics.drift.rows import alert_rows, calibration_rows, drift_metadata, window_rows
from seedtest_analytics.assets.psychometrics.drift.windows import Comparison, Window, windows_of
from seedtest_analytics.assets.psychometrics.engine import between_transactions, fit_by
from seedtest_analytics.assets.psychometrics.scale.link import Reference, link_onto, method_for
from seedtest_analytics.assets.psychometrics.statements import DRIFT
from seedtest_analytics.database.publish import staged_from_frame
from seedtest_analytics.database.sql_files import statement
from seedtest_analytics.settings import CalibrationSettings
from seedtest_analytics.stats.irt.drift import ENOUGH_POWER, DriftResult, DriftThresholds, item_drift
from seedtest_analytics.stats.irt.drift_in_topic import NO_TOPIC, DriftInTopic, drift_in_topic
from seedtest_analytics.stats.irt.errors import AnchorsDisagreeError, IrtDataError
from seedtest_analytics.stats.irt.result import Calibration
from seedtest_analytics.stats.irt.selection import SelectionGaps, selection_gaps
from seedtest_analytics.stats.no_result import NoResult
from seedtest_analytics.tables import drift as tables


class ScalesApartError(Exception):
    """Both windows were calibrated but could not be linked; severe drift can cause this."""


def compare_week(run: WeekRun) -> Sequence[Outcome]:
    """Compare the windows and publish. Without a comparison there are no rows, and the check says why."""
    are_apart = False
    found: Comparison | NoResult
    try:
        found = compare(run)
    except (IrtDataError, ScalesApartError) as error:
        found, are_apart = NoResult(str(error)), isinstance(error, ScalesApartError)
        run.warn(f"no comparison: {error}")
    windows = publish_week(
        run, tables.drift_windows, rows=window_rows(found, run.settings.calibration), replace=Replace.NOTHING
    )
    items = publish_week(run, tables.item_calibration, rows=calibration_rows(found, run.week))
    staged = f"staged_{tables.drift_alerts.name}"
    staged_from_frame(run.connection, staged, table=tables.drift_alerts, frame=alert_rows(found, run.week))
    run.connection.execute(statement(DRIFT, "keep_resolved"), run.parameters)
    alerts = publish_week(run, tables.drift_alerts, rows=staged)
    as_of = {"as_of": run.week.as_of.isoformat()}
    return (
        run.outcome(windows),
        run.outcome(items, drift_metadata(found)),
        run.outcome(alerts, as_of, checks=[_check(found, are_apart=are_apart, max_share=run.settings.drift.max_share)]),
    )


def _check(found: Comparison | NoResult, *, are_apart: bool, max_share: float) -> CheckOutcome:
    if isinstance(found, NoResult):
        text = f"{'not compared' if are_apart else 'nothing to compare'}: {found.reason}"
        return DRIFT_BELOW_THRESHOLD.judged(text, is_passed=not are_apart)
    drift = found.drift
    moved = {alert.item_id for alert in drift.alerts}
    share = drift.share_with_alert
    n_open, n_few = drift.verdicts.count("cannot_be_judged"), len(drift.skipped)
    text = (
        f"{len(moved)} of {len(drift.item_ids)} items moved ({share:.1%}; the limit is {max_share:.1%}), "
        f"{len(drift.alerts)} alerts; {n_open} of the others cannot be judged, because a change of "
        f"{drift.severe_shift:.2f} logits would be found in less than {ENOUGH_POWER:.0%} of such comparisons, and {n_few} "
        f"items, because they have fewer than {drift.thresholds.min_responses} answers in a window"
    )
    metadata = {"moved_items": len(moved), "share_moved": share, "items_not_judged": n_open + n_few}
    return DRIFT_BELOW_THRESHOLD.judged(text, is_passed=share < max_share, metadata=metadata)


def compare(run: WeekRun) -> Comparison:
    """Compare the windows of the week.

    Raises IrtDataError if a window has too few answers or the windows share too few items, and ScalesApartError if they
    have enough but no usable calibration or link results.
    """
    settings = run.settings.drift
    baseline, recent = windows_of(run.week, settings)
    if baseline.end_at > recent.start_at or baseline.start_at >= baseline.end_at:
        raise IrtDataError("the baseline window is empty or overlaps the recent one; check DRIFT_BASELINE_*")
    calibration = run.settings.calibration
    native = calibration.overridden_by({"backend": "native", "min_responses": calibration.responses_to_link})
    fit = between_transactions(fit_by(native, None, log=run.log), run)
    answers = [_answers(run, window, settings=native) for window in (baseline, recent)]
    old, new = (fit(a.data, None).calibration for a in answers)
    for name, fitted in (("baseline", old), ("recent", new)):
        if not fitted.verdict.usable:
            raise ScalesApartError(
                f"the {name} window's calibration is not usable: {'; '.join(fitted.verdict.reasons)}"
            )
    parameters = old.parameters
    rows = np.searchsorted(old.items.item_ids, parameters.item_ids)
    reference = Reference(
        parameters, old.items.covariance[rows], origin="linked", version=str(baseline.id), scale=str(baseline.id)
    )
    try:
        link, _ = link_onto(
            new, reference, method=method_for(new.model, "stocking-lord"), min_anchors=native.min_anchors
        )
    except AnchorsDisagreeError as error:
        raise ScalesApartError(str(error)) from None
    thresholds = DriftThresholds(
        delta_a=settings.threshold_delta_a,
        delta_b=settings.threshold_delta_b,
        delta_c=settings.threshold_delta_c,
        min_responses=settings.min_sample,
    )
    drift = item_drift(old.items, new.items, link=link, thresholds=thresholds)
    run_id = fit_id(
        "drift",
        run.week,
        settings={"drift": settings.model_dump(mode="json"), "calibration": native.of_the_fit},
        data=[a.fingerprint for a in answers],
    )
    before, now = (_selection(a, fitted) for a, fitted in zip(answers, (old, new), strict=True))
    return Comparison(
        run_id,
        baseline,
        recent=recent,
        calibrations=(old, new),
        drift=drift,
        selection=now,
        in_topic=_in_topic(drift, answers[1], before=before, now=now),
    )


def _selection(answers: Answers, fitted: Calibration) -> SelectionGaps | NoResult:
    try:
        return selection_gaps(answers.by_student, fitted.parameters)
    except IrtDataError as error:
        return NoResult(str(error))


def _in_topic(
    drift: DriftResult, recent: Answers, *, before: SelectionGaps | NoResult, now: SelectionGaps | NoResult
) -> DriftInTopic | NoResult:
    """The compared items beside the others of their topic. Items without a topic are in none."""
    if isinstance(before, NoResult) or isinstance(now, NoResult):
        return next(gaps for gaps in (before, now) if isinstance(gaps, NoResult))
    code = recent.data.topics()[np.searchsorted(recent.data.item_ids, drift.item_ids)]
    topic = np.where(code < len(recent.topics), code, NO_TOPIC)
    return drift_in_topic(drift, topic, baseline=before, recent=now)


def _answers(run: WeekRun, window: Window, *, settings: CalibrationSettings) -> Answers:
    found = load_between(run.connection, window.start_at, as_of=window.end_at, settings=settings)
    if found is None:
        raise IrtDataError(f"no answers from {window.start_at.date()} to {window.end_at.date()}")
    return found
