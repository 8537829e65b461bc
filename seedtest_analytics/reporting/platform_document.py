"""The part of a page's data file that is for the operators: data, calibration, models, and what could not be computed."""

from __future__ import annotations

import datetime as dt
from typing import Annotated

from pydantic import AwareDatetime, BeforeValidator

from seedtest_analytics.reporting.document_base import Count, Number, Part
from seedtest_analytics.reporting.found_values import (
    FoundBool,
    FoundCount,
    FoundNumber,
    FoundObject,
    FoundText,
    FoundTexts,
    object_or_empty,
    object_or_none,
)


class Quarantine(Part):
    """Malformed elements of exams by reason."""

    reason: str
    elements: Count
    excluded: Count
    of_week: Count


class Reject(Part):
    """Rows of attempt logs by reason."""

    reason: str
    rows: Count
    excluded: Count


class Data(Part):
    """The attempts of the week; ``elements`` are those of all exams."""

    attempts: Count = 0
    unanswered: Count = 0
    untimed: Count = 0
    without_topic: Count = 0
    elements: Count = 0


class LinkFound(Part):
    """The linking constants of a calibration."""

    A: FoundNumber = None
    B: FoundNumber = None
    n_anchors_used: FoundCount = None


class ModelSpec(Part):
    """What was decided before a calibration."""

    model: FoundText = None
    n_persons: FoundCount = None
    n_items: FoundCount = None
    n_answers: FoundCount = None
    scale_origin: FoundText = None
    n_anchors_tagged: FoundCount = None
    linking_constants: Annotated[LinkFound, BeforeValidator(object_or_empty)] = LinkFound()


class DifFound(Part):
    """Items that differ between groups at equal ability, by the classes A (none), B and C (large) of ETS."""

    covariate: FoundText = None
    reference: FoundText = None
    n_tests: FoundCount = None
    n_groups_left_out: FoundCount = None
    classes: FoundObject = {}
    items_c: FoundTexts = ()


class Metrics(Part):
    """The measures of a calibration."""

    converged: FoundBool = None
    reasons: FoundTexts = ()
    warnings: FoundTexts = ()
    group_mean: FoundNumber = None
    group_sd: FoundNumber = None
    set_aside: FoundObject = {}
    dif: Annotated[DifFound | None, BeforeValidator(object_or_none)] = None


class CalibrationFound(Part):
    """The newest calibration up to the week."""

    week_start: dt.date
    is_usable: bool
    is_of_week: bool = True
    model_spec: Annotated[ModelSpec, BeforeValidator(object_or_empty)] = ModelSpec()
    metrics: Annotated[Metrics, BeforeValidator(object_or_empty)] = Metrics()


class Anchors(Part):
    """Anchors among the items that were measured."""

    week_start: dt.date
    candidates: Count
    tagged: Count
    chosen: Count
    tagged_unstable: Count = 0
    tagged_flagged: Count = 0
    missing_answers: Count = 0


class DriftAlert(Part):
    """A parameter that moved."""

    item_id: str
    metric: str
    value: Number = None
    severity: str


class DriftPower(Part):
    """What the comparisons of a verdict find: medians of the smallest change (logits) and of the power for a severe one."""

    found_from: Number = None
    power: Number = None


class DriftQuestion(DriftPower):
    """A question that moved or cannot be judged, beside the median change of its topic's other questions.

    ``gap_change``: by how much more of the answers are right, from then to now, for students who practise the topic more than
    is usual, compared with the others of the same ability.
    """

    item_id: str
    verdict: str
    answers: Count | None = None
    change: Number = None
    origin: str | None = None
    topic_change: Number = None
    gap_change: Number = None
    gap_change_se: Number = None


class Drift(Part):
    """The newest comparison of item parameters."""

    week_start: dt.date
    moved: Count = 0
    no_drift: Count = 0
    cannot_be_judged: Count = 0
    power: dict[str, DriftPower] = {}
    questions: tuple[DriftQuestion, ...] = ()
    alerts: tuple[DriftAlert, ...] = ()


class Audit(Part):
    """A prediction for one group of students, compared with the reference."""

    week_start: dt.date
    prediction: str
    covariate: str
    group_name: str
    reference: str
    n_students: Count
    auc_gap: Number = None
    abroca: Number = None
    ranking_verdict: str
    calibration_gap: Number = None
    calibration_verdict: str


class VerdictFound(Part):
    """What past outcomes decided about the numbers of the week."""

    prediction: str
    method: str
    students: Count
    verdict: str
    reason: str
    n: Count
    n_weeks: Count
    brier_model: Number = None
    brier_reference: Number = None


class Backtest(Part):
    """The newest judged week of a prediction."""

    prediction: str
    week_start: dt.date
    method: str
    n: Count
    brier_skill: Number = None
    log_skill: Number = None
    mae: Number = None
    mae_baseline: Number = None
    calibration_slope: Number = None
    auc: Number = None
    coverage: Number = None
    coverage_level: Number = None
    is_credible: bool
    reasons: FoundTexts = ()


class NextWeek(Part):
    """The first week of a forecast."""

    ds: FoundText = None
    yhat: FoundNumber = None
    yhat_lower: FoundNumber = None
    yhat_upper: FoundNumber = None


class SeriesForecast(Part):
    """The newest forecast of a series."""

    metric: str
    method: str | None = None
    week_start: dt.date | None = None
    next: Annotated[NextWeek, BeforeValidator(object_or_empty)] = NextWeek()
    beats_baseline: FoundBool = None
    reason: FoundText = None


class SeriesAnomaly(Part):
    """A week far from its forecast."""

    metric: str
    week_start: dt.date
    value: Number = None
    expected: Number = None
    anomaly_score: Number = None


class SegmentFound(Part):
    """A segment."""

    label: str
    students: Count
    share: Number = None
    jaccard: Number = None


class Segments(Part):
    """The newest segmentation."""

    week_start: dt.date | None = None
    method: str
    n_segments: Count
    students: Count | None = None
    profiles: tuple[SegmentFound, ...] = ()


class Gap(Part):
    """Students without a KPI, by the code of the reason."""

    number: str
    code: str = ""
    students: Count


class GrowthGap(Part):
    """Students without a growth percentile, by reason."""

    reason: str
    students: Count


class Unwell(Part):
    """An asset that is not well, with its failed checks."""

    asset: str
    state: str
    checks: FoundTexts = ()


class HealthFound(Part):
    """The health of the platform's assets."""

    computed_at: AwareDatetime | None = None
    assets: Count = 0
    unwell: tuple[Unwell, ...] = ()


class Counts(Part):
    """How the students of the week are spread over pages."""

    classes: Count = 0
    small_classes: Count = 0
    without_class: Count = 0


class Platform(Part):
    """What the operators' page shows."""

    counts: Counts = Counts()
    data: Data = Data()
    quarantine: tuple[Quarantine, ...] = ()
    rejects: tuple[Reject, ...] = ()
    calibration: CalibrationFound | None = None
    anchors: Anchors | None = None
    drift: Drift | None = None
    audits: tuple[Audit, ...] = ()
    verdicts: tuple[VerdictFound, ...] = ()
    backtest: tuple[Backtest, ...] = ()
    forecasts: tuple[SeriesForecast, ...] = ()
    anomalies: tuple[SeriesAnomaly, ...] = ()
    segments: Segments | None = None
    gaps: tuple[Gap, ...] = ()
    growth_gaps: tuple[GrowthGap, ...] = ()
    health: HealthFound | None = None
