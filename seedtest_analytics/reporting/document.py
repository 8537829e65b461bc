"""The data file of a report: section 8 of the contract, typed and validated.

Field names are the contract's, so readers of older files still work. ``time_zone``, ``generated_at`` and
``kpi_history`` are additions. Nearly every part can be missing; a missing number is None and never NaN.
"""

from __future__ import annotations

import datetime as dt
import math
from dataclasses import dataclass
from typing import Annotated, Any

from pydantic import AwareDatetime, ConfigDict, Field, field_validator

from seedtest_analytics.reporting.document_base import (
    Count,
    Document,
    Number,
    Part,
    Share,
    is_number,
    none_for_not_finite,
    number_or_none,
)

KPI_RANGES: dict[str, tuple[float, float]] = {
    "I_t": (-1.0, 1.0),
    **dict.fromkeys(("E_t", "R_t", "A_t", "P", "S", "P_lower", "P_upper", "S_lower", "S_upper"), (0.0, 1.0)),
    "sigma": (0.0, math.inf),
}
"""Closed ranges of the KPI numbers that a report shows."""

FORECAST_LEVEL = 0.8
"""Of the interval of a forecast whose fit does not say."""
STABLE_JACCARD = 0.6
"""Below this mean Jaccard similarity over bootstraps a segment is not stable (Hennig 2007)."""


class AbilityPoint(Part):
    """An ability and its posterior SD on a day, in logits on the platform's linked scale."""

    date: dt.date
    theta: float = Field(allow_inf_nan=False)
    se: Number = None


class TopicAbility(Part):
    """An ability in a topic and its posterior SD at the end of the week, in logits on the platform's linked scale."""

    theta: float = Field(allow_inf_nan=False)
    se: Number = None


class Pace(Part):
    """The student's own gain of ability a week, by the model of ability over time, and its standard error (logits)."""

    per_week: float = Field(allow_inf_nan=False)
    se: Number = None


class Goal(Part):
    """A target that the student set for a topic, in logits on the platform's linked scale."""

    topic_id: str
    target_level: Number = None
    priority: int = 0


class TopicDay(Part):
    """What a student did in a topic on a day; times in ms, abilities in logits.

    An attempt with several topics counts in each of them. ``attempts_once`` and ``correct_once`` count it in one of them,
    for totals over topics; None if every attempt has one topic.
    """

    topic_id: str
    date: dt.date
    attempts: Count
    correct: Count
    attempts_once: Count | None = None
    correct_once: Count | None = None
    avg_time_ms: Number = None
    rt_median: Number = None
    hints: Count = 0
    theta_estimate: Number = None
    theta_sd: Number = None
    improvement: Number = None

    @field_validator("correct")
    @classmethod
    def _not_more_right_than_answered(cls, correct: int, info: Any) -> int:
        if correct > info.data.get("attempts", correct):
            raise ValueError("more right answers than attempts")
        return correct


class ItemParameters(Part):
    """An item that the student met in the last weeks, with its parameters on the platform's linked scale (logits)."""

    item_id: str
    discrimination: Number = None
    difficulty: Number = None
    guessing: Number = None
    model: str | None = None
    fitted_at: dt.datetime | None = None


class GivenRecommendation(Part):
    """A recommendation that another system made; the report shows it unchanged."""

    topic_id: str | None = None
    reason: str
    total_attempts: Count | None = None
    total_correct: Count | None = None


class LinkingConstants(Part):
    """θ* = A θ + B: from the newest calibration's own scale (θ) to the platform's linked scale (θ*)."""

    A: Number = None
    B: Number = None
    n_anchors_used: Count | None = None
    run_id: str | None = Field(default=None, alias="_run_id")
    fitted_at: dt.datetime | None = Field(default=None, alias="_fitted_at")


class BayesianGrowth(Part):
    """The student's line in the growth posterior, and the goal probability at ``horizon_date`` if it comes from there.

    ``score_unit`` ('logit' or 'share right') is the unit of ``projected``, ``target``, ``slope_per_week``, ``slope_sd`` and
    ``sigma`` (the SD of the projected score that belongs to ``P``).
    """

    P: Share = None
    sigma: Number = None
    P_lower: Number = None
    P_upper: Number = None
    slope_per_week: Number = None
    slope_sd: Number = None
    projected: Number = None
    target: Number = None
    score_unit: str = "logit"
    horizon_date: dt.date | None = None
    horizon_source: str | None = None
    n_weeks: Count | None = None
    fitted_at: dt.datetime | None = None

    @property
    def is_share(self) -> bool:
        """Whether scores are shares of right answers instead of abilities."""
        return self.score_unit == "share right"

    @property
    def limits(self) -> tuple[float, float] | None:
        """The interval of ``P``; None where a limit is unknown."""
        return _pair(self.P_lower, self.P_upper)


class StudentGrowth(Part):
    """Growth beside others and beside the goal: the percentile with its 95% interval, and paces in logits a week.

    ``percentile``: of students who were at the same level ``weeks`` ago, the share that is now at a lower one.
    ``typical_pace`` is the median of students who start at the level of today, ``needed_pace`` reaches the goal on
    ``horizon_date``, and ``needed_percentile`` is the percentile that keeps it. ``reason``: why there is no percentile.
    """

    weeks: Number = None
    percentile: Number = None
    percentile_lower: Number = None
    percentile_upper: Number = None
    pace: Number = None
    pace_se: Number = None
    typical_pace: Number = None
    needed_pace: Number = None
    needed_percentile: Number = None
    distance: Number = None
    horizon_date: dt.date | None = None
    target_source: str | None = None
    n_reference: Count | None = None
    reason: str | None = None


class ForecastPoint(Part):
    """The expected value of a week and its interval."""

    ds: dt.date
    yhat: Number = None
    yhat_lower: Number = None
    yhat_upper: Number = None


class Anomaly(Part):
    """A week that was far from its forecast; ``anomaly_score`` is a signed z score."""

    week: dt.date
    score: Number = None
    anomaly_score: Number = None


class Forecast(Part):
    """Forecast of the mean improvement of the whole cohort, not of one student."""

    forecast_data: tuple[ForecastPoint, ...] = ()
    anomalies: tuple[Anomaly, ...] = ()
    fit_meta: dict[str, Any] = {}
    fitted_at: dt.datetime | None = None

    @property
    def interval_level(self) -> float:
        """The share of weeks that the interval is to cover."""
        score = self.fit_meta.get("score")
        level = score.get("level") if isinstance(score, dict) else None
        return float(level) if isinstance(level, int | float) and is_number(level) else FORECAST_LEVEL


class ModelColumn(Part):
    """A column of the churn model: a covariate's value, its excess over ``bend_at``, or whether it is missing.

    ``is_log``: the value enters as log(1 + x).
    """

    covariate: str
    is_missing_indicator: bool = False
    is_log: bool = False
    bend_at: float | None = None

    @property
    def name(self) -> str:
        """The key of the column in ``hazard_ratios``; `stats/survival/design.py` writes the same."""
        if self.bend_at is not None:
            return f"{self.covariate}_beyond_{self.bend_at:g}"
        return f"{self.covariate}_missing" if self.is_missing_indicator else self.covariate


@dataclass(frozen=True)
class Effect:
    """A column of the churn model with its hazard ratio of returning and the 95% limits of the ratio."""

    column: ModelColumn
    ratio: float
    limits: tuple[float, float] | None = None

    def to_the_power(self, exponent: float) -> Effect:
        """The effect of a step ``exponent`` times as large."""
        limits = None if self.limits is None else (self.limits[0] ** exponent, self.limits[1] ** exponent)
        return Effect(self.column, self.ratio**exponent, limits=limits)


def _positive_pair(value: Any) -> tuple[float, float] | None:
    if isinstance(value, list | tuple) and len(value) == 2 and all(is_number(v) and v > 0 for v in value):
        return float(value[0]), float(value[1])
    return None


class SurvivalRisk(Part):
    """The week's churn model: the student's risk, and what raises or lowers it for all students.

    ``columns`` explain the keys of ``fit_meta.hazard_ratios``. A key without a column comes from a fit of the legacy
    pipeline and names a covariate.
    """

    churn_risk: Share = None
    fit_meta: dict[str, Any] = {}
    columns: tuple[ModelColumn, ...] = ()
    fitted_at: dt.datetime | None = None

    @property
    def effects(self) -> list[Effect]:
        """Columns with their finite hazard ratios; empty where the fit has none."""
        ratios, limits = self.fit_meta.get("hazard_ratios"), self.fit_meta.get("hazard_ratio_intervals")
        known = {column.name: column for column in self.columns}
        return [
            Effect(
                known.get(str(name)) or ModelColumn(covariate=str(name)),
                float(value),
                limits=_positive_pair(limits.get(name) if isinstance(limits, dict) else None),
            )
            for name, value in (ratios.items() if isinstance(ratios, dict) else ())
            if is_number(value) and value > 0
        ]


class UserSegment(Part):
    """The student's group: students with similar habits."""

    segment_label: str
    segment_description: str | None = None
    features_snapshot: dict[str, Any] = {}
    centre: dict[str, Any] = {}
    n_segments: Count | None = None
    jaccard: Number = None
    assigned_at: dt.datetime | None = None

    @property
    def is_stable(self) -> bool:
        """Whether the group returns in resamples, as far as that is known (`stats/segments/stability.py` has the limit)."""
        return self.jaccard is None or self.jaccard >= STABLE_JACCARD


class KpiWeek(Part):
    """KPIs of an earlier week, for the sparkline beside each number."""

    week_start: dt.date
    kpis: dict[str, Any]


class ReportDocument(Document):
    """Everything that the report of one student and week shows."""

    model_config = ConfigDict(extra="forbid")

    user_id: str = Field(min_length=1)
    week_start: dt.date
    language: str = "en"
    student_name: str | None = None
    topic_names: dict[str, str] = {}
    time_zone: str = "UTC"
    generated_at: AwareDatetime | None = None
    kpis: dict[str, Any] = {}
    kpi_history: tuple[KpiWeek, ...] = ()
    ability_trend: tuple[AbilityPoint, ...] = ()
    ability_pace: Pace | None = None
    goals: tuple[Goal, ...] = ()
    topic_features: tuple[TopicDay, ...] = ()
    topic_abilities: dict[str, TopicAbility] = {}
    next_right: dict[str, Annotated[float, Field(ge=0, le=1)]] = {}
    """P(the next answer in the topic is right) by topic, as of the week's end; empty where abilities are not dynamic."""
    item_params: tuple[ItemParameters, ...] = ()
    recommendations: tuple[GivenRecommendation, ...] = ()
    linking_constants: LinkingConstants | None = None
    bayesian_growth: BayesianGrowth | None = None
    student_growth: StudentGrowth | None = None
    prophet_forecast: Forecast | None = None
    survival_risk: SurvivalRisk | None = None
    user_segment: UserSegment | None = None
    repeated_share: float | None = Field(default=None, ge=0, le=1)
    """Of all students' answers of the last 56 days, the share to items met before: whether questions return."""

    @field_validator("week_start")
    @classmethod
    def _is_monday(cls, value: dt.date) -> dt.date:
        if value.weekday() != 0:
            raise ValueError("a week starts on a Monday")
        return value

    @field_validator("kpis", mode="before")
    @classmethod
    def _finite_kpis(cls, value: Any) -> Any:
        return {k: none_for_not_finite(v) for k, v in value.items()} if isinstance(value, dict) else value

    @field_validator("kpis")
    @classmethod
    def _kpis_in_range(cls, value: dict[str, Any]) -> dict[str, Any]:
        for key, (low, high) in KPI_RANGES.items():
            number = value.get(key)
            if number is not None and not (is_number(number) and low <= number <= high):
                raise ValueError(f"{key} must be null or a number from {low:g} to {high:g}")
        return value

    @property
    def student(self) -> str:
        """The student's name; the id where no name is known. Untrusted text."""
        return self.student_name or self.user_id

    def topic(self, topic_id: str) -> str:
        """A topic's name; the id where no name is known. Untrusted text."""
        return self.topic_names.get(topic_id) or topic_id

    @property
    def week_end(self) -> dt.date:
        """Sunday of the week."""
        return self.week_start + dt.timedelta(days=6)

    def kpi(self, key: str) -> float | None:
        """A number among this week's KPIs; None where it is missing or not a number."""
        return number_or_none(self.kpis.get(key))

    def kpi_text(self, key: str) -> str | None:
        """A text among this week's KPIs (a method, a reason); None where it is missing."""
        value = self.kpis.get(key)
        return value if isinstance(value, str) and value else None

    def kpi_count(self, key: str) -> int | None:
        """A count among this week's KPIs; None where it is missing or negative."""
        value = self.kpi(key)
        return None if value is None or value < 0 else round(value)

    def kpi_limits(self, key: str) -> tuple[float, float] | None:
        """The interval of this week's KPI ``key``; None where a limit is missing."""
        return _pair(self.kpi(f"{key}_lower"), self.kpi(f"{key}_upper"))


def _pair(lower: float | None, upper: float | None) -> tuple[float, float] | None:
    return None if lower is None or upper is None else (lower, upper)
