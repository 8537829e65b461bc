"""The data file of a page about a group of students: a class, an organisation, or the platform as a whole.

Nearly every part can be missing; a missing number is None and never NaN. JSON that other programs may have written (of
fits and of KPI rows) is read leniently: what has another type counts as missing.
"""

from __future__ import annotations

import datetime as dt
from typing import Annotated, Any, Literal, Self

from pydantic import AwareDatetime, BaseModel, BeforeValidator, ConfigDict, ValidationError

from seedtest_analytics.reporting.document import Count, Number, ReportDocumentError, explained, number_or_none
from seedtest_analytics.reporting.summary import Tally

Scope = Literal["class", "organisation", "platform"]


def _text_or_none(value: Any) -> str | None:
    return value if isinstance(value, str) and value else None


def _count_or_none(value: Any) -> int | None:
    number = number_or_none(value)
    return None if number is None or number < 0 else round(number)


def _bool_or_none(value: Any) -> bool | None:
    return value if isinstance(value, bool) else None


def _texts(value: Any) -> list[str]:
    return [one for one in value if isinstance(one, str)] if isinstance(value, list | tuple) else []


def _object(value: Any) -> dict[str, Any]:
    return value if isinstance(value, dict) else {}


def _object_or_none(value: Any) -> dict[str, Any] | None:
    return value if isinstance(value, dict) else None


FoundNumber = Annotated[float | None, BeforeValidator(number_or_none)]
FoundCount = Annotated[int | None, BeforeValidator(_count_or_none)]
FoundText = Annotated[str | None, BeforeValidator(_text_or_none)]
FoundBool = Annotated[bool | None, BeforeValidator(_bool_or_none)]
FoundTexts = Annotated[tuple[str, ...], BeforeValidator(_texts)]
FoundObject = Annotated[dict[str, Any], BeforeValidator(_object)]


class _Part(BaseModel):
    model_config = ConfigDict(frozen=True, extra="ignore", hide_input_in_errors=True)


class Summary(_Part):
    """The week of a group: students, those with answers, answers and right ones, and those who need help or stopped."""

    students: Count
    active: Count
    answers: Count
    correct: Count
    helped: Count
    stopped: Count = 0
    without_report: Count = 0

    @property
    def tally(self) -> Tally:
        """Answers of the week and how many were right."""
        return Tally(self.answers, self.correct)


class Gain(_Part):
    """Mean gain of the same students since the first week, with its 95% interval over students (logits)."""

    week_start: dt.date
    students: Count
    gain: Number = None
    lower: Number = None
    upper: Number = None
    level: Number = None


class Step(_Part):
    """The first piece of advice of a student's report, as a code with values."""

    rule: FoundText = None
    tone: FoundText = None
    values: FoundObject = {}


class Student(_Part):
    """A student of a class in the week; ``usual`` are the answers of the three weeks before."""

    user_id: str
    name: str | None = None
    answers: Count = 0
    usual: Count = 0
    has_report: bool = False
    needs_help: bool | None = None
    step: Annotated[Step | None, BeforeValidator(_object_or_none)] = None
    days_silent: Number = None
    state: str | None = None
    reasons: tuple[Any, ...] = ()

    @property
    def shown(self) -> str:
        """The name; the id where no name is known. Untrusted text."""
        return self.name or self.user_id


class Topic(_Part):
    """A topic of four weeks; an answer with several topics counts in each. ``ability`` is the mean of the students."""

    topic_id: str
    answers_week: Count = 0
    answers: Count
    correct: Count
    students: Count
    ability: Number = None

    @property
    def tally(self) -> Tally:
        """Answers of four weeks and how many were right."""
        return Tally(self.answers, self.correct)


class CurvePoint(_Part):
    """Right answers of a week in a topic, and how many of the same answers the model expected to be right."""

    topic_id: str
    week_start: dt.date
    answers: Count
    correct: Count
    expected: Number = None

    @property
    def tally(self) -> Tally:
        """Answers of the week and how many were right."""
        return Tally(self.answers, self.correct)


class Item(_Part):
    """An item that the class met in four weeks.

    ``expected`` right answers with their ``variance`` are those of the ``n_expected`` answers whose probability was known
    before; ``infit`` is of ``n_fit`` answers of all students in eight weeks.
    """

    item_id: str
    topic_id: str | None = None
    answers: Count
    correct: Count
    n_expected: Count = 0
    n_expected_correct: Count = 0
    expected: Number = None
    variance: Number = None
    n_fit: Count = 0
    infit: Number = None
    discrimination: Number = None
    difficulty: Number = None
    flag: str | None = None
    has_moved: bool = False
    differs_by_group: bool = False


class Part(_Part):
    """A class of an organisation; without an id the students without a class. No number where it is not shown."""

    class_id: str | None = None
    name: str | None = None
    grade: int | None = None
    is_shown: bool = False
    students: Count | None = None
    active: Count | None = None
    answers: Count | None = None
    correct: Count | None = None
    helped: Count | None = None
    stopped: Count | None = None
    growth: tuple[Gain, ...] = ()


class Quarantine(_Part):
    """Malformed elements of exams by reason."""

    reason: str
    elements: Count
    excluded: Count
    of_week: Count


class Reject(_Part):
    """Rows of attempt logs by reason."""

    reason: str
    rows: Count
    excluded: Count


class Data(_Part):
    """The attempts of the week; ``elements`` are those of all exams."""

    attempts: Count = 0
    unanswered: Count = 0
    untimed: Count = 0
    without_topic: Count = 0
    elements: Count = 0


class LinkFound(_Part):
    """The linking constants of a calibration."""

    A: FoundNumber = None
    B: FoundNumber = None
    n_anchors_used: FoundCount = None


class ModelSpec(_Part):
    """What was decided before a calibration."""

    model: FoundText = None
    n_persons: FoundCount = None
    n_items: FoundCount = None
    n_answers: FoundCount = None
    scale_origin: FoundText = None
    n_anchors_tagged: FoundCount = None
    linking_constants: Annotated[LinkFound, BeforeValidator(_object)] = LinkFound()


class DifFound(_Part):
    """Items that differ between groups at equal ability, by the classes A (none), B and C (large) of ETS."""

    covariate: FoundText = None
    reference: FoundText = None
    n_tests: FoundCount = None
    n_groups_left_out: FoundCount = None
    classes: FoundObject = {}
    items_c: FoundTexts = ()


class Metrics(_Part):
    """The measures of a calibration."""

    converged: FoundBool = None
    reasons: FoundTexts = ()
    warnings: FoundTexts = ()
    group_mean: FoundNumber = None
    group_sd: FoundNumber = None
    set_aside: FoundObject = {}
    dif: Annotated[DifFound | None, BeforeValidator(_object_or_none)] = None


class CalibrationFound(_Part):
    """The newest calibration up to the week."""

    week_start: dt.date
    is_usable: bool
    is_of_week: bool = True
    model_spec: Annotated[ModelSpec, BeforeValidator(_object)] = ModelSpec()
    metrics: Annotated[Metrics, BeforeValidator(_object)] = Metrics()


class Anchors(_Part):
    """Anchors among the items that were measured."""

    week_start: dt.date
    candidates: Count
    tagged: Count
    chosen: Count
    tagged_unstable: Count = 0
    tagged_flagged: Count = 0
    missing_answers: Count = 0


class DriftAlert(_Part):
    """A parameter that moved."""

    item_id: str
    metric: str
    value: Number = None
    severity: str


class Drift(_Part):
    """The newest comparison of item parameters."""

    week_start: dt.date
    moved: Count = 0
    no_drift: Count = 0
    cannot_be_judged: Count = 0
    alerts: tuple[DriftAlert, ...] = ()


class Audit(_Part):
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


class VerdictFound(_Part):
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


class Backtest(_Part):
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


class NextWeek(_Part):
    """The first week of a forecast."""

    ds: FoundText = None
    yhat: FoundNumber = None
    yhat_lower: FoundNumber = None
    yhat_upper: FoundNumber = None


class SeriesForecast(_Part):
    """The newest forecast of a series."""

    metric: str
    method: str | None = None
    week_start: dt.date | None = None
    next: Annotated[NextWeek, BeforeValidator(_object)] = NextWeek()
    beats_baseline: FoundBool = None
    reason: FoundText = None


class SeriesAnomaly(_Part):
    """A week far from its forecast."""

    metric: str
    week_start: dt.date
    value: Number = None
    expected: Number = None
    anomaly_score: Number = None


class SegmentFound(_Part):
    """A segment."""

    label: str
    students: Count
    share: Number = None
    jaccard: Number = None


class Segments(_Part):
    """The newest segmentation."""

    week_start: dt.date | None = None
    method: str
    n_segments: Count
    students: Count | None = None
    profiles: tuple[SegmentFound, ...] = ()


class Gap(_Part):
    """Students without a KPI, by the code of the reason."""

    number: str
    code: str = ""
    students: Count


class GrowthGap(_Part):
    """Students without a growth percentile, by reason."""

    reason: str
    students: Count


class Unwell(_Part):
    """An asset that is not well, with its failed checks."""

    asset: str
    state: str
    checks: FoundTexts = ()


class HealthFound(_Part):
    """The health of the platform's assets."""

    computed_at: AwareDatetime | None = None
    assets: Count = 0
    unwell: tuple[Unwell, ...] = ()


class Counts(_Part):
    """How the students of the week are spread over pages."""

    classes: Count = 0
    small_classes: Count = 0
    without_class: Count = 0


class Platform(_Part):
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


class CohortDocument(_Part):
    """Everything that the page of one group and week shows; ``is_shown`` is false for a group that is too small."""

    model_config = ConfigDict(extra="forbid")

    scope: Scope
    subject: str = ""
    week_start: dt.date
    language: str = "en"
    name: str | None = None
    grade: int | None = None
    organisation: str | None = None
    time_zone: str = "UTC"
    generated_at: AwareDatetime | None = None
    minimum: Count = 5
    is_shown: bool = True
    topic_names: dict[str, str] = {}
    summary: Summary | None = None
    growth: tuple[Gain, ...] = ()
    students: tuple[Student, ...] = ()
    topics: tuple[Topic, ...] = ()
    curves: tuple[CurvePoint, ...] = ()
    items: tuple[Item, ...] = ()
    classes: tuple[Part, ...] = ()
    platform: Platform | None = None

    @classmethod
    def validated(cls, data: Any) -> Self:
        """Check data from a database; raise :class:`ReportDocumentError`."""
        try:
            return cls.model_validate(data)
        except ValidationError as error:
            raise ReportDocumentError(explained(error)) from None

    @classmethod
    def from_json(cls, text: str | bytes) -> Self:
        """Read what :meth:`to_json` wrote; raise :class:`ReportDocumentError`."""
        try:
            return cls.model_validate_json(text)
        except ValidationError as error:
            raise ReportDocumentError(explained(error)) from None

    def to_json(self) -> bytes:
        """The data file in UTF-8; equal documents give equal bytes."""
        return self.model_dump_json().encode()

    @property
    def shown(self) -> str:
        """The name of the class or organisation; the key where no name is known. Untrusted text."""
        return self.name or self.subject

    def topic(self, topic_id: str) -> str:
        """A topic's name; the id where no name is known. Untrusted text."""
        return self.topic_names.get(topic_id) or topic_id

    @property
    def topic_ids(self) -> set[str]:
        """The topics that the page may name."""
        steps = (student.step for student in self.students)
        advised = {str(step.values["topic"]) for step in steps if step is not None and "topic" in step.values}
        platform = self.platform or Platform()
        series = {f.metric for f in platform.forecasts} | {a.metric for a in platform.anomalies}
        return (
            advised
            | {topic.topic_id for topic in self.topics}
            | {item.topic_id for item in self.items if item.topic_id is not None}
            | {metric.removeprefix("topic:") for metric in series if metric.startswith("topic:")}
        )

    @property
    def week_end(self) -> dt.date:
        """Sunday of the week."""
        return self.week_start + dt.timedelta(days=6)
