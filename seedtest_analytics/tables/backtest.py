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
        comment="What was predicted: S, P, theta (the next answers), or forecast:<metric>; S_by_org_id and S_by_classroom_id: "
        "S beside the past share of the student's organisation or class.",
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
    _score("auc_baseline", "The same of the baseline.", minimum=0, maximum=1),
    _score("auc_gain", "auc - auc_baseline."),
    _score("auc_gain_se", "Its standard error, by student.", minimum=0),
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
    ("brier_gain_se log_score log_score_baseline log_skill ici auc auc_se auc_baseline curve", _PROBABILITIES),
    ("auc_gain auc_gain_se", _PROBABILITIES),
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

GAP_VERDICTS = ("reference", "gap", "no_gap_found", "cannot_be_judged")
_GAPS = "stats.verification.group_gaps"


def _audited(name: str, comment: str, **limits: float) -> Column[Any]:
    inputs = ("weekly_kpi.kpis", "mirt_ability.theta", "ability_topic_state.next_right", *_HAPPENED)
    return column(name, Float, comment=comment, derived_from=inputs, **limits)


fairness_audit = Table(
    "fairness_audit",
    metadata,
    week_column(primary_key=True),
    column(
        "prediction",
        Text,
        comment="S, P, theta (next answers by ability and item) or next_answer (next answers by topic, next_right).",
        primary_key=True,
    ),
    column("group_name", Text, comment="Group of students: a value of the covariate.", primary_key=True),
    column("covariate", Text, comment="DIF_COVARIATE.", nullable=False),
    column("reference", Text, comment="Group that the others are compared with.", nullable=False),
    column("first_week", Date, comment="First week of the predictions; all outcomes were known when the week began."),
    column("n_students", Integer, comment="Students of the group.", nullable=False, minimum=1),
    column("n", Integer, comment="Predictions with an outcome.", nullable=False, minimum=1),
    column("n_events", Integer, comment="Of these, predictions whose event happened.", nullable=False, minimum=0),
    _audited("auc", "Share of pairs of the group in the right order.", minimum=0, maximum=1),
    _audited("auc_se", "Its standard error, by student.", minimum=0),
    _audited("auc_gap", "auc less that of the reference.", minimum=-1, maximum=1),
    _audited("auc_gap_se", "Its standard error, by student.", minimum=0),
    _audited("abroca", "Area between the ROC curves of group and reference.", minimum=0, maximum=1),
    _audited("p_value", "Share of exchanged groups with an ABROCA at least as large.", minimum=0, maximum=1),
    _audited("p_adjusted", "p_value adjusted over all comparisons of the week.", minimum=0, maximum=1),
    _audited("minimum_detectable_abroca", "ABROCA that is found with a probability of 80 %.", minimum=0),
    _audited("power_abroca", "Probability that an ABROCA of 0.1 is found.", minimum=0, maximum=1),
    column(
        "ranking_verdict",
        Text,
        comment="gap: adjusted p below 0.05 and ABROCA of 0.05 or more; no_gap_found: power_abroca of 80 % or more; else "
        "cannot_be_judged. 'reference' in its own row.",
        nullable=False,
        allowed=GAP_VERDICTS,
    ),
    _audited(
        "calibration_intercept", "Calibration in the large (logit); above 0 it happens more often than predicted."
    ),
    _audited("calibration_intercept_se", "Its standard error, by student.", minimum=0),
    _audited("calibration_slope", "Calibration slope; 1 is right, below 1 too extreme."),
    _audited("calibration_slope_se", "Its standard error, by student.", minimum=0),
    _audited("calibration_gap", "calibration_intercept less that of the reference (logit)."),
    _audited("calibration_gap_se", "Its standard error.", minimum=0),
    _audited("calibration_p_adjusted", "Its p-value, adjusted over all comparisons of the week.", minimum=0, maximum=1),
    _audited("minimum_detectable_calibration", "Gap that is found with a probability of 80 % (logit).", minimum=0),
    column(
        "calibration_verdict",
        Text,
        comment="As ranking_verdict, for calibration_gap: from 0.25 on a gap, with the power for 0.5.",
        nullable=False,
        allowed=GAP_VERDICTS,
    ),
    column("reason", Text, comment="Why a comparison is not made; NULL where it is."),
    computed_column(),
    comment="Whether predictions are as good for one group of students as for another, week by week.",
)
computed_by(
    fairness_audit,
    "assets.backtest.fairness.audit_rows",
    ("auc auc_se", "stats.verification.probabilities.clustered_auc"),
    ("auc_gap auc_gap_se abroca p_value calibration_gap calibration_gap_se reason", f"{_GAPS}.compare_group"),
    ("p_adjusted minimum_detectable_abroca power_abroca ranking_verdict", f"{_GAPS}.judge_gaps"),
    ("calibration_p_adjusted minimum_detectable_calibration calibration_verdict", f"{_GAPS}.judge_gaps"),
    ("calibration_intercept calibration_intercept_se calibration_slope calibration_slope_se", _PROBABILITIES),
)
