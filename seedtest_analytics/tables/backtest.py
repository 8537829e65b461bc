"""Backtests: predictions scored against outcomes."""

from typing import Any

from sqlalchemy import Boolean, Column, Date, Integer, Table, Text

from seedtest_analytics.stats.verification.verdict_words import VERDICTS
from seedtest_analytics.tables.declare import (
    JSONB,
    Float,
    Instant,
    array_column,
    column,
    computed_by,
    computed_column,
    metadata,
    week_column,
)

_PREDICTED = ("weekly_kpi.kpis", "mirt_ability.theta", "mirt_item_params.params", "prophet_fit_meta.forecast")
_HAPPENED = ("attempt.completed_at", "attempt.correct", "mirt_ability.theta")
_PROBABILITIES = "stats.verification.probabilities.score_probabilities"
_EXPECTATIONS = "stats.verification.expectations.score_forecasts"


def _score(name: str, comment: str, **limits: float) -> Column[Any]:
    return column(name, Float, comment=comment, derived_from=(*_PREDICTED, *_HAPPENED), **limits)


prediction_backtest = Table(
    "prediction_backtest",
    metadata,
    column(
        "week_start", Date, comment="Partition: Monday of the week that the prediction was made in.", primary_key=True
    ),
    column(
        "prediction",
        Text,
        comment="What was predicted: S, P, theta (the next answers), or forecast:<metric>.",
        primary_key=True,
    ),
    column("method", Text, comment="Method of the prediction; several are joined by a comma.", nullable=False),
    column("judged_until", Instant, comment="First instant after the outcomes that were used.", nullable=False),
    column("cohort_size", Integer, comment="Judged students (for a forecast: weeks).", nullable=False, minimum=1),
    column("n", Integer, comment="Judged predictions.", nullable=False, minimum=1),
    column("n_events", Integer, comment="Number of predictions whose event happened.", minimum=0),
    _score("observed_share", "Share of predictions whose event happened.", minimum=0, maximum=1),
    _score("predicted_share", "Mean prediction.", minimum=0, maximum=1),
    _score("brier", "Mean squared difference of prediction and outcome.", minimum=0, maximum=1),
    _score("brier_baseline", "The same of the baseline.", minimum=0, maximum=1),
    _score("brier_skill", "1 - brier / brier_baseline; above 0 is better than the baseline.", maximum=1),
    _score("brier_gain", "brier_baseline - brier."),
    _score("brier_gain_se", "Its standard error, by student.", minimum=0),
    _score("log_score", "Mean logarithmic loss (nats); lower is better.", minimum=0),
    _score("log_score_baseline", "The same of the baseline.", minimum=0),
    _score("log_skill", "1 - log_score / log_score_baseline.", maximum=1),
    _score("calibration_intercept", "Calibration in the large (logit); 0 is right."),
    _score("calibration_intercept_se", "Its standard error.", minimum=0),
    _score("calibration_slope", "Calibration slope; 1 is right, below 1 too extreme."),
    _score("calibration_slope_se", "Its standard error.", minimum=0),
    _score("ici", "Mean distance of prediction and smooth calibration curve.", minimum=0, maximum=1),
    _score("auc", "Share of pairs in the right order; 0.5 is chance.", minimum=0, maximum=1),
    _score("auc_se", "Its standard error.", minimum=0),
    _score("mae", "Mean absolute error of a forecast.", minimum=0),
    _score("mae_baseline", "The same of the naive forecast.", minimum=0),
    _score("coverage", "Share of outcomes inside a forecast's interval.", minimum=0, maximum=1),
    _score("coverage_level", "Share that should be inside.", minimum=0, maximum=1),
    column(
        "baseline",
        Text,
        comment="Description of the baseline, which was known when the prediction was made.",
        nullable=False,
    ),
    column("curve", JSONB, comment="{predicted, observed, observed_lower, observed_upper, n} in groups of equal size."),
    column(
        "is_credible", Boolean, comment="No worse than the baseline and not distorted, beyond chance.", nullable=False
    ),
    array_column("reasons", "Why the prediction is not credible."),
    array_column("notes", "What to know when reading the numbers."),
    computed_column(),
    comment="Predictions of each week scored against what happened, each beside a naive baseline.",
)
computed_by(
    prediction_backtest,
    "assets.backtest.week.judge_week",
    ("n", _PROBABILITIES, _EXPECTATIONS),
    ("n_events observed_share predicted_share brier brier_baseline brier_skill brier_gain", _PROBABILITIES),
    ("brier_gain_se log_score log_score_baseline log_skill ici auc auc_se curve", _PROBABILITIES),
    ("calibration_intercept calibration_intercept_se calibration_slope calibration_slope_se", _PROBABILITIES),
    ("mae mae_baseline coverage", _EXPECTATIONS),
    ("is_credible reasons", "stats.verification.verdict.judge_probabilities", "assets.backtest.series.judge_series"),
    ("coverage_level", "assets.backtest.series.judge_series"),
)

_DECIDE = "stats.verification.recalibration.decide"


def _decided(name: str, comment: str, **limits: float) -> Column[Any]:
    return column(name, Float, comment=comment, derived_from=("weekly_kpi.kpis", *_HAPPENED), **limits)


prediction_verdict = Table(
    "prediction_verdict",
    metadata,
    week_column(primary_key=True),
    column("prediction", Text, comment="P, S or theta.", primary_key=True),
    column("method", Text, comment="Method of the model's numbers; each is decided on its own.", primary_key=True),
    column("students", Integer, comment="Students whose numbers it decides.", nullable=False, minimum=1),
    column(
        "verdict",
        Text,
        comment="too_early, as_is, recalibrated, base_rate or withheld.",
        nullable=False,
        allowed=VERDICTS,
        derived_from=("weekly_kpi.kpis", *_HAPPENED),
    ),
    column("reason", Text, comment="Why, for readers.", nullable=False),
    _decided("intercept", "What is published is expit(intercept + slope * logit of the model's number); 0 keeps it."),
    _decided("intercept_se", "Standard error of the estimated intercept, with its prior (logit).", minimum=0),
    _decided("slope", "Slope of the recalibration; 1 keeps the model's number, below 1 it was too extreme."),
    _decided("slope_se", "Standard error of the estimated slope, with its prior.", minimum=0),
    _decided("week_sd", "SD of the intercept between weeks (logit).", minimum=0),
    _decided("base_rate", "Share of events in past weeks.", minimum=0, maximum=1),
    _decided("base_lower", "Lower 95 % limit of that share in a new week.", minimum=0, maximum=1),
    _decided("base_upper", "Upper 95 % limit of that share in a new week.", minimum=0, maximum=1),
    _decided("brier_model", "Brier score of the model in past weeks.", minimum=0, maximum=1),
    _decided(
        "brier_recalibrated",
        "The same of the model as it would have been recalibrated at the start of each of these weeks.",
        minimum=0,
        maximum=1,
    ),
    _decided(
        "brier_reference",
        "The same of the share known at the start of each of these weeks (theta: of the items' shares right).",
        minimum=0,
        maximum=1,
    ),
    column("n", Integer, comment="Past predictions with an outcome.", nullable=False, minimum=0),
    column("n_events", Integer, comment="Of these, predictions whose event happened.", nullable=False, minimum=0),
    column("n_weeks", Integer, comment="Past weeks with an outcome.", nullable=False, minimum=0),
    computed_column(),
    comment="What outcomes of past weeks decided about the numbers of each week: published as they are, recalibrated, "
    "replaced by the base rate, or withheld.",
)
computed_by(
    prediction_verdict,
    "assets.verdicts.week.record_week",
    ("verdict reason intercept intercept_se slope slope_se week_sd", _DECIDE),
    ("base_rate base_lower base_upper brier_model brier_recalibrated brier_reference n n_events n_weeks", _DECIDE),
)
