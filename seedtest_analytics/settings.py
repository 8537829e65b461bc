"""Every environment variable of the platform, typed, with aliases and defaults, validated once.

Precedence: run configuration or command line, then environment, then default. The environment is read by
:func:`load_settings` and nowhere else; an asset's run configuration overrides single fields by
:meth:`SettingsGroup.overridden_by`. An empty variable counts as not set. The names and defaults are those that
operators of the legacy jobs already set; the ones of the R services are retired, because R now runs inside.
"""

from __future__ import annotations

import datetime as dt
import json
import os
import warnings
from collections.abc import Mapping
from functools import cached_property
from typing import Any, Literal, Self
from zoneinfo import ZoneInfo, available_timezones

from pydantic import AliasChoices, BaseModel, ConfigDict, Field, SecretStr, ValidationError, field_validator

RETIRED_VARIABLES = (
    "R_IRT_BASE_URL",
    "R_IRT_TIMEOUT_SECS",
    "R_IRT_INTERNAL_TOKEN",
    "R_IRT_PLUMBER_URL",
    "R_GLMM_BASE_URL",
    "R_GLMM_TIMEOUT_SECS",
    "R_GLMM_INTERNAL_TOKEN",
    "GLMM_TIMEOUT_SECS",
    "R_BRMS_BASE_URL",
    "R_BRMS_TIMEOUT_SECS",
    "R_BRMS_INTERNAL_TOKEN",
    "R_FORECAST_BASE_URL",
    "R_FORECAST_TIMEOUT_SECS",
    "R_FORECAST_INTERNAL_TOKEN",
    "R_ANALYTICS_INTERNAL_TOKEN",
)


class SettingsError(ValueError):
    """A variable of the environment or a field of the run configuration has a value that is not allowed."""


class SettingsGroup(BaseModel):
    """Variables that belong together. Field metadata names the variable (first alias is the current name)."""

    model_config = ConfigDict(frozen=True, extra="ignore", populate_by_name=True)

    @classmethod
    def from_environment(cls, environment: Mapping[str, str]) -> Self:
        """Read this group's variables; raise :class:`SettingsError` naming variable, value and what is allowed."""
        given = {name: value for name, value in environment.items() if value.strip() != ""}
        return cls._validated(
            {k: v for k, v in given.items() if k in cls.variables()}, "environment variable"
        )

    def overridden_by(self, values: Mapping[str, Any]) -> Self:
        """Copy with the fields of ``values`` that are not None replaced and validated again."""
        changed = {
            name: value
            for name, value in values.items()
            if value is not None and name in type(self).model_fields
        }
        if not changed:
            return self
        return type(self)._validated({**self.model_dump(), **changed}, "run configuration field")

    @classmethod
    def variables(cls) -> dict[str, str]:
        """Environment variable (every alias) to field name."""
        return {
            alias: name
            for name, field in cls.model_fields.items()
            for alias in _aliases(field.validation_alias)
        }

    @classmethod
    def _validated(cls, values: dict[str, Any], what: str) -> Self:
        try:
            return cls.model_validate(values)
        except ValidationError as error:
            raise SettingsError("\n".join(cls._explain(e, values, what) for e in error.errors())) from None

    @classmethod
    def _explain(cls, error: Any, values: Mapping[str, Any], what: str) -> str:
        location = str(error["loc"][0])
        field_name = cls.variables().get(location, location)
        field = cls.model_fields[field_name]
        names = [n for n in (*_aliases(field.validation_alias), field_name) if n in values]
        secret = field.annotation is not None and "SecretStr" in str(field.annotation)
        value = "(hidden)" if secret else repr(values[names[0]]) if names else "(missing)"
        name = names[0] if names else location
        return f"{what} {name} = {value} is not allowed: {error['msg']}. {field.description or ''}".rstrip()


def _aliases(alias: Any) -> tuple[str, ...]:
    if isinstance(alias, AliasChoices):
        return tuple(str(choice) for choice in alias.choices)
    return (alias,) if alias else ()


def variable(default: Any, *names: str, description: str, **limits: Any) -> Any:
    """Declare a field read from the first of ``names`` that is set."""
    return Field(default=default, validation_alias=AliasChoices(*names), description=description, **limits)


class PlatformSettings(SettingsGroup):
    """Where things are and how time is cut."""

    database_url: SecretStr | None = variable(
        None, "DATABASE_URL", description="SQLAlchemy or libpq URL of PostgreSQL; unset: the embedded server."
    )
    app_env: str = variable("local", "APP_ENV", description="'local' allows the embedded PostgreSQL.")
    dry_run: bool = variable(
        False, "DRY_RUN", description="Compute and report what would be written; write nothing."
    )
    timezone: str = variable(
        "UTC",
        "SEEDTEST_TIMEZONE",
        description="IANA name; decides days and weeks everywhere, e.g. Asia/Seoul.",
    )
    start_date: dt.date = variable(
        dt.date(2024, 1, 1),
        "SEEDTEST_START_DATE",
        description="First day with a partition, ISO date (YYYY-MM-DD).",
    )
    alert_webhook_url: SecretStr | None = variable(
        None,
        "SEEDTEST_ALERT_WEBHOOK_URL",
        description="http(s) address that gets a JSON message when a run fails.",
    )
    owner: str = variable(
        "team:learning-analytics", "SEEDTEST_OWNER", description="Owner shown on every asset."
    )

    @field_validator("timezone")
    @classmethod
    def _known_zone(cls, value: str) -> str:
        if value not in available_timezones():
            raise ValueError("it is no IANA time zone name")
        return value

    @property
    def zone(self) -> ZoneInfo:
        """The platform's time zone."""
        return ZoneInfo(self.timezone)


class StorageSettings(SettingsGroup):
    """Where report files go."""

    s3_bucket: str | None = variable(
        None, "S3_BUCKET", description="S3 bucket of the reports; unset: a folder."
    )
    s3_endpoint_url: str | None = variable(
        None, "S3_ENDPOINT_URL", description="Endpoint of an S3-compatible store."
    )
    aws_region: str = variable("ap-northeast-2", "AWS_REGION", description="Region of the bucket.")
    report_folder: str | None = variable(
        None,
        "SEEDTEST_REPORT_DIR",
        description="Folder of the reports without S3; default DAGSTER_HOME/reports.",
    )


class CalibrationSettings(SettingsGroup):
    """Item calibration and scoring (contract 4.1)."""

    lookback_days: int = variable(
        30,
        "MIRT_LOOKBACK_DAYS",
        "IRT_CALIB_LOOKBACK_DAYS",
        ge=1,
        description="Days of answers that a calibration uses.",
    )
    model: Literal["Rasch", "2PL", "3PL"] = variable(
        "2PL", "MIRT_MODEL", "IRT_MODEL", description="Item response model: Rasch, 2PL or 3PL."
    )
    topic_id: str | None = variable(
        None, "MIRT_TOPIC_ID", "IRT_TOPIC_ID", description="Calibrate this topic only."
    )
    subject_id: int | None = variable(
        None, "MIRT_SUBJECT_ID", "IRT_SUBJECT_ID", description="Calibrate this exam_id only (an integer)."
    )
    max_observations: int = variable(
        0, "MIRT_MAX_OBS", ge=0, description="At most so many answers, the newest kept; 0 is no limit."
    )
    max_retries: int = variable(
        3, "MIRT_MAX_RETRIES", ge=1, description="Tries of a calibration before it fails."
    )
    retry_delay_secs: float = variable(
        5.0, "MIRT_RETRY_DELAY_SECS", ge=0, description="Seconds before the second try; grows with each try."
    )
    min_responses: int = variable(
        10, "MIRT_MIN_RESPONSES", ge=1, description="Items with fewer answers are set aside with that reason."
    )
    attempts: Literal["first", "all"] = variable(
        "first",
        "MIRT_ATTEMPTS",
        description="'first': a student's first answered attempt at an item; 'all': every one.",
    )
    backend: Literal["native", "mirt"] = variable(
        "native", "MIRT_BACKEND", description="'native' engine or R's 'mirt'."
    )
    priors: Literal["weak", "none"] = variable(
        "weak",
        "MIRT_PRIORS",
        description="'weak': log a ~ N(0, 0.5²), b ~ N(0, 2²), so that items with few answers converge; 'none': none.",
    )
    linking: Literal["fixed", "mean-mean", "mean-sigma", "haebara", "stocking-lord"] = variable(
        "fixed", "MIRT_LINKING", description="How a calibration is put on the anchors' scale."
    )
    min_anchors: int = variable(
        5,
        "MIRT_MIN_ANCHORS",
        ge=2,
        description="Fewer usable anchors than this: no link, and the reason is stored.",
    )
    update_question_meta: bool = variable(
        False, "IRT_UPDATE_QUESTION_META", description="Write parameters back into question.meta.irt."
    )


class DriftSettings(SettingsGroup):
    """Item drift and anchor selection (contract 4.3, 4.13)."""

    lookback_days: int = variable(30, "DRIFT_LOOKBACK_DAYS", ge=1, description="Days of the recent window.")
    min_sample: int = variable(
        200, "DRIFT_MIN_SAMPLE", ge=10, description="Answers an item needs in both windows."
    )
    threshold_delta_a: float = variable(
        0.20, "DRIFT_THRESHOLD_DELTA_A", gt=0, description="Alert above this |Δa|."
    )
    threshold_delta_b: float = variable(
        0.25, "DRIFT_THRESHOLD_DELTA_B", gt=0, description="Alert above this |Δb|."
    )
    threshold_delta_c: float = variable(
        0.03, "DRIFT_THRESHOLD_DELTA_C", gt=0, description="Alert above this Δc."
    )
    baseline_from: dt.date | None = variable(
        None, "DRIFT_BASELINE_FROM", description="First day of the baseline."
    )
    baseline_to: dt.date | None = variable(None, "DRIFT_BASELINE_TO", description="Day after the baseline.")


class FeatureSettings(SettingsGroup):
    """Daily topic features (contract 4.5)."""

    lookback_days: int = variable(
        7, "AGG_LOOKBACK_DAYS", ge=1, description="Days that the daily schedule aggregates again."
    )
    include_theta: bool = variable(
        False, "AGG_INCLUDE_THETA", description="Fill theta_estimate and theta_sd."
    )


class KpiSettings(SettingsGroup):
    """Weekly KPIs (contract 4.6)."""

    use_irt_theta: bool = variable(
        False, "METRICS_USE_IRT_THETA", description="I_t from abilities where there are enough answers."
    )
    use_bayesian: bool = variable(
        False, "METRICS_USE_BAYESIAN", description="P from the growth posterior of its week."
    )
    default_target: float = variable(
        0.0, "METRICS_DEFAULT_TARGET", description="Target on the logit scale for students without a goal."
    )
    churn_horizon_days: int = variable(
        14,
        "METRICS_CHURN_HORIZON_DAYS",
        ge=1,
        le=365,
        description="S is the risk of silence over so many days.",
    )
    users_since_days: int = variable(
        90, "KPI_USERS_SINCE_DAYS", ge=1, description="Students with an attempt in so many days get a row."
    )
    lookback_days: int = variable(
        30, "KPI_LOOKBACK_DAYS", ge=1, description="As KPI_USERS_SINCE_DAYS; the larger of the two counts."
    )


class GlmmSettings(SettingsGroup):
    """Mixed model of growth by lme4 (contract 4.8)."""

    lookback_weeks: int = variable(
        12,
        "GLMM_LOOKBACK_WEEKS",
        ge=1,
        le=260,
        description="Calendar weeks of answers, the fit's own included.",
    )
    formula: str = variable(
        "score ~ week + (week | student) + (1 | topic)",
        "GLMM_FORMULA",
        description="lme4's formula over score, week, student and topic.",
    )
    family: Literal["gaussian", "binomial"] = variable(
        "gaussian",
        "GLMM_FAMILY",
        description="'gaussian' on shares, or 'binomial' on counts right of answered.",
    )
    min_observations: int = variable(
        10,
        "GLMM_MIN_OBSERVATIONS",
        ge=1,
        description="Students with fewer answers in the look-back are left out.",
    )
    update_kpi: bool = variable(
        False, "GLMM_UPDATE_KPI", description="Merge growth_slope into weekly_kpi of the model's own week."
    )


class GrowthSettings(SettingsGroup):
    """Bayesian growth and the goal probability (contract 4.9)."""

    lookback_weeks: int = variable(
        8,
        "BRMS_LOOKBACK_WEEKS",
        "LOOKBACK_WEEKS",
        ge=1,
        le=260,
        description="Calendar weeks of answers, the fit's own included; three distinct ones are needed.",
    )
    n_samples: int = variable(
        1000, "BRMS_N_SAMPLES", "BRMS_ITER", ge=100, description="Draws of each chain after its warm-up."
    )
    n_chains: int = variable(2, "BRMS_N_CHAINS", "BRMS_CHAINS", ge=1, le=16, description="Markov chains.")
    family: Literal["gaussian", "binomial"] = variable(
        "gaussian",
        "BRMS_FAMILY",
        description="'gaussian' on scores, or 'binomial' on counts right of answered (source accuracy).",
    )
    score_source: Literal["theta", "accuracy"] = variable(
        "theta",
        "BRMS_SCORE_SOURCE",
        description="Weekly score: 'theta' (ability, logit) or 'accuracy' (share right).",
    )
    backend: Literal["stan", "laplace", "brms"] = variable(
        "stan",
        "GROWTH_BACKEND",
        description="'stan', 'laplace' (quick look), or R's 'brms'. The binomial family takes 'laplace' for 'stan'.",
    )
    update_kpi: bool = variable(
        True, "BRMS_UPDATE_KPI", description="Let usable fits feed P where METRICS_USE_BAYESIAN asks for it."
    )
    goal_horizon_weeks: int = variable(
        4,
        "GOAL_HORIZON_WEEKS",
        ge=0,
        le=260,
        description="Weeks after the as-of day that P looks ahead for students without a goal date.",
    )
    seed: int = variable(42, "BRMS_SEED", ge=1, description="Seed of the draws; stored with the fit.")
    priors: dict[str, dict[str, Any]] = variable(
        {},
        "BRMS_PRIORS",
        description='JSON of the priors that differ, such as {"week": {"dist": "normal", "mean": 0, "sd": 0.2}}.',
    )

    @field_validator("priors", mode="before")
    @classmethod
    def _parsed_priors(cls, value: Any) -> Any:
        if not isinstance(value, str):
            return value
        try:
            return json.loads(value)
        except ValueError:
            raise ValueError("it is no JSON") from None


class ReportSettings(SettingsGroup):
    """Weekly report (contract 8)."""

    report_format: Literal["html"] = variable(
        "html", "REPORT_FORMAT", description="Only html can be made so far; pdf needs a later release."
    )
    max_users: int | None = variable(
        None, "MAX_USERS", ge=1, description="At most so many reports a week, most active first; unset: all."
    )
    parallel: int | None = variable(
        None, "PARALLEL", ge=1, description="Reports rendered at once; unset: the number of cores."
    )


KPI_METRICS = ("I_t", "E_t", "R_t", "A_t", "P", "S")


class SurvivalSettings(SettingsGroup):
    """Churn model (contract 4.10)."""

    lookback_days: int = variable(
        90,
        "SURVIVAL_LOOKBACK_DAYS",
        ge=28,
        description="Days of weekly landmarks that a fit uses (at least 28).",
    )
    event_threshold_days: int = variable(
        14,
        "SURVIVAL_EVENT_THRESHOLD_DAYS",
        ge=1,
        le=365,
        description="survival_risk is the risk of silence over so many days.",
    )
    update_kpi: bool = variable(
        True, "SURVIVAL_UPDATE_KPI", description="weekly_kpi.S from the model where one is usable."
    )
    family: Literal["cox", "weibull"] = variable(
        "cox", "SURVIVAL_FAMILY", description="'cox', or 'weibull' for the parametric alternative."
    )


class InactivitySettings(SettingsGroup):
    """Students who fall silent (contract 4.7)."""

    threshold_days: int = variable(
        7,
        "INACTIVITY_THRESHOLD_DAYS",
        ge=1,
        le=365,
        description="Students silent for so many days are noticed, once, and their P and S refreshed.",
    )


class ForecastSettings(SettingsGroup):
    """Forecast and anomalies of weekly series (contract 4.11)."""

    lookback_weeks: int = variable(
        12, "PROPHET_LOOKBACK_WEEKS", ge=4, description="Closed weeks that a series reaches back."
    )
    forecast_weeks: int = variable(4, "PROPHET_FORECAST_WEEKS", ge=1, description="Weeks ahead.")
    anomaly_threshold: float = variable(
        2.5, "PROPHET_ANOMALY_THRESHOLD", gt=0, description="A week is an anomaly from this |z| on."
    )
    interval_level: float = variable(
        0.8, "PROPHET_INTERVAL_LEVEL", gt=0, lt=1, description="Probability that an interval holds the value."
    )
    metrics: str = variable(
        "I_t",
        "PROPHET_METRICS",
        description="Series to forecast, separated by commas: I_t, E_t, R_t, A_t, P, S or topic:<topic_id>.",
    )
    processes: int = variable(
        2, "PROPHET_PROCESSES", ge=1, description="Series that are forecast at the same time."
    )

    @field_validator("metrics")
    @classmethod
    def _known_metrics(cls, value: str) -> str:
        names = [name.strip() for name in value.split(",")]
        wrong = [n for n in names if n not in KPI_METRICS and not (n.startswith("topic:") and n != "topic:")]
        if wrong:
            raise ValueError(f"{', '.join(map(repr, wrong))} is no KPI and no topic:<topic_id>")
        return value

    @property
    def metric_names(self) -> tuple[str, ...]:
        """The series, each once."""
        return tuple(dict.fromkeys(name.strip() for name in self.metrics.split(",")))


class SegmentSettings(SettingsGroup):
    """Segments of students (contract 4.12)."""

    lookback_weeks: int = variable(
        12,
        "CLUSTER_LOOKBACK_WEEKS",
        ge=1,
        description="Weeks of KPIs that a student's features are means of.",
    )
    n_clusters: int | None = variable(
        None, "CLUSTER_N_CLUSTERS", ge=1, le=50, description="Number of segments; unset: chosen."
    )
    method: Literal["kmeans", "gmm"] = variable(
        "kmeans", "CLUSTER_METHOD", description="'kmeans' or 'gmm' (Gaussian mixture)."
    )
    min_weeks: int = variable(
        4, "CLUSTER_MIN_WEEKS", ge=1, description="Weeks with A_t that a student needs to be in a segment."
    )
    min_users: int = variable(
        10, "CLUSTER_MIN_USERS", ge=2, description="Below so many students there is one segment."
    )


class BacktestSettings(SettingsGroup):
    """Scoring of predictions when the truth has arrived."""

    ability_horizon_weeks: int = variable(
        4,
        "BACKTEST_ABILITY_HORIZON_WEEKS",
        ge=1,
        description="P without a date of its own is judged by the ability so many weeks later.",
    )


GROUPS: dict[str, type[SettingsGroup]] = {
    "platform": PlatformSettings,
    "storage": StorageSettings,
    "calibration": CalibrationSettings,
    "drift": DriftSettings,
    "features": FeatureSettings,
    "kpis": KpiSettings,
    "glmm": GlmmSettings,
    "growth": GrowthSettings,
    "reports": ReportSettings,
    "survival": SurvivalSettings,
    "inactivity": InactivitySettings,
    "forecast": ForecastSettings,
    "segments": SegmentSettings,
    "backtest": BacktestSettings,
}


class Settings(BaseModel):
    """All groups, frozen."""

    model_config = ConfigDict(frozen=True, ignored_types=(cached_property,))

    platform: PlatformSettings = PlatformSettings()
    storage: StorageSettings = StorageSettings()
    calibration: CalibrationSettings = CalibrationSettings()
    drift: DriftSettings = DriftSettings()
    features: FeatureSettings = FeatureSettings()
    kpis: KpiSettings = KpiSettings()
    glmm: GlmmSettings = GlmmSettings()
    growth: GrowthSettings = GrowthSettings()
    reports: ReportSettings = ReportSettings()
    survival: SurvivalSettings = SurvivalSettings()
    inactivity: InactivitySettings = InactivitySettings()
    forecast: ForecastSettings = ForecastSettings()
    segments: SegmentSettings = SegmentSettings()
    backtest: BacktestSettings = BacktestSettings()


def load_settings(environment: Mapping[str, str] | None = None) -> Settings:
    """Read and validate the environment.

    Every problem of every group is in one :class:`SettingsError`; retired variables are named in one warning.
    """
    environment = os.environ if environment is None else environment
    groups: dict[str, SettingsGroup] = {}
    problems: list[str] = []
    for name, group in GROUPS.items():
        try:
            groups[name] = group.from_environment(environment)
        except SettingsError as error:
            problems.append(str(error))
    if problems:
        raise SettingsError("\n".join(problems))
    _warn_about_retired(environment)
    return Settings.model_validate(groups)


def _warn_about_retired(environment: Mapping[str, str]) -> None:
    retired = [name for name in RETIRED_VARIABLES if environment.get(name)]
    if retired:
        message = "R runs inside the platform now; these variables are set and have no effect: " + ", ".join(
            retired
        )
        # At this very line, not the caller's: Python then shows it once a process however often settings are loaded.
        warnings.warn(message, stacklevel=1)
