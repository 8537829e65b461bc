"""Growth fits and their predictions for each student."""

from typing import Any

from sqlalchemy import Boolean, Column, Date, Index, Integer, Table, Text
from sqlalchemy.dialects.postgresql import UUID

from seedtest_analytics.tables.declare import (
    JSONB,
    Float,
    Instant,
    column,
    computed_by,
    computed_column,
    metadata,
    object_column,
    student_column,
    week_column,
)

_ANSWERS = ("attempt.user_id", "attempt.item_id", "attempt.correct", "attempt.completed_at")
_SHARES = ("attempt.user_id", "attempt.topic_id", "attempt.correct", "attempt.completed_at")
_SCORES = (*_ANSWERS, "mirt_item_params.params")
_GOALS = ("interest_goal.target_level", "interest_goal.priority", "interest_goal.target_date")


def _line(name: str, comment: str, **arguments: Any) -> Column[Any]:
    """A statistic of a student's line, in the unit of the fit's score."""
    return column(name, Float, comment=comment, nullable=False, **{"unit": "score", **arguments})


growth_glmm_meta = Table(
    "growth_glmm_meta",
    metadata,
    column("run_id", Text, comment="Fit; derived from its week, settings and data.", primary_key=True),
    column(
        "model_spec",
        JSONB,
        comment="{formula, family, lookback_weeks, rows_count, criterion, backend, students, …}.",
        nullable=False,
    ),
    column(
        "metrics",
        JSONB,
        comment="{logLik, AIC, BIC, RMSE, held_out, fixed_effects, variance_components, singular, messages, …}.",
        nullable=False,
        derived_from=_SHARES,
    ),
    column("fitted_at", Instant, comment="As-of instant: no answer at or after it was used.", nullable=False),
    week_column(),
    column("data_fingerprint", UUID, comment="Hash over the rows used.", derived_from=_SHARES),
    column("method", Text, comment="Estimator and, if it was fitted on a sample, the sizes of sample and cohort."),
    computed_column(),
    Index("ix_growth_glmm_meta_week", "week_start", unique=True),
    comment="One row for each mixed model of growth by lme4: the model, its data, and its fit.",
)
computed_by(
    growth_glmm_meta,
    "assets.growth.mixed_model.week.fit_mixed_model_week",
    ("model_spec", "stats.mixed_model.result.MixedModelFit.model_spec"),
    ("metrics", "resources.r.mixed_model.fit_mixed_model", "stats.mixed_model.result.MixedModelFit.metrics"),
    ("data_fingerprint", "assets.growth.mixed_model.week.load_topic_weeks"),
)

growth_brms_meta = Table(
    "growth_brms_meta",
    metadata,
    column("run_id", Text, comment="Fit; derived from its week, settings and data.", primary_key=True),
    column("formula", Text, comment="The model in R's notation.", nullable=False),
    column("priors", JSONB, comment="Priors of the fit: {intercept, week, sd, sigma, cor}."),
    column(
        "posterior_summary",
        JSONB,
        comment="{intercept, week, sigma, sd_intercept, sd_week, correlation}, each {mean, sd, q2.5, q97.5}.",
        derived_from=_SCORES,
    ),
    column(
        "diagnostics",
        JSONB,
        comment="{rhat: {max}, ess_bulk: {min}, ess_tail: {min}, divergences, ebfmi, treedepth, reasons, …}.",
    ),
    column("fitted_at", Instant, comment="As-of instant: no answer at or after it was used."),
    week_column(),
    column("is_usable", Boolean, comment="The diagnostics allow predictions; NULL: a row of the legacy pipeline."),
    object_column(
        "model_spec", "{family, method, score_source, score_unit, lookback_weeks, first_week, students, seed, …}."
    ),
    column(
        "draws",
        JSONB,
        comment="Up to 400 draws {columns, theta, week_mean, last_week}, for predictions on demand.",
        derived_from=_SCORES,
    ),
    column("data_fingerprint", UUID, comment="Hash over the scores used.", derived_from=_SCORES),
    computed_column(),
    Index("ix_growth_brms_meta_week", "week_start", unique=True),
    comment="One row for each Bayesian growth fit of any backend. An unusable fit is stored and feeds nothing.",
)
computed_by(
    growth_brms_meta,
    "assets.growth.bayesian.rows.meta_row",
    ("priors", "assets.growth.bayesian.fit.priors_of"),
    ("posterior_summary", "stats.growth.posterior.GrowthPosterior.summary"),
    ("diagnostics", "stats.growth.posterior.GrowthPosterior.diagnostics"),
    ("is_usable", "stats.growth.posterior.GrowthPosterior.verdict"),
    ("draws", "assets.growth.bayesian.fit.fit_growth", "assets.growth.bayesian.draws.draws_to_json"),
    ("data_fingerprint", "assets.growth.bayesian.scores.WeeklyScores.fingerprint"),
)

growth_prediction = Table(
    "growth_prediction",
    metadata,
    student_column(primary_key=True),
    column("week_start", Date, comment="Partition: Monday of the week of the fit.", primary_key=True),
    column(
        "run_id",
        Text,
        comment="Growth fit; growth_brms_meta.run_id.",
        nullable=False,
        derived_from=("growth_brms_meta.run_id",),
    ),
    _line(
        "intercept_mean",
        "Posterior mean of the line in the look-back's first week (binomial family: logits).",
        derived_from=_SCORES,
    ),
    _line("intercept_sd", "Its posterior SD.", minimum=0),
    _line("slope_mean", "Posterior mean of the gain per week.", unit="score/week", derived_from=_SCORES),
    _line("slope_sd", "Its posterior SD.", unit="score/week", minimum=0),
    _line("projected", "Posterior mean of the line on horizon_date.", derived_from=_SCORES),
    _line("projected_lower", "Lower bound of its 95 % interval."),
    _line("projected_upper", "Upper bound of its 95 % interval."),
    _line("sigma", "Posterior SD of the projected score.", minimum=0),
    column(
        "p",
        Float,
        comment="Probability that the line is at target or above on horizon_date.",
        nullable=False,
        minimum=0,
        maximum=1,
        derived_from=(*_SCORES, *_GOALS),
    ),
    column("p_lower", Float, comment="Lower bound of p.", nullable=False, minimum=0, maximum=1),
    column("p_upper", Float, comment="Upper bound of p.", nullable=False, minimum=0, maximum=1),
    _line("target", "Score of the goal.", derived_from=_GOALS),
    _line("target_level", "The goal as an ability.", unit="logit", derived_from=_GOALS),
    column(
        "target_source",
        Text,
        comment="'interest_goal' or 'default' (METRICS_DEFAULT_TARGET).",
        nullable=False,
        allowed=("interest_goal", "default"),
    ),
    column(
        "horizon_date",
        Date,
        comment="Day that the score is projected to.",
        nullable=False,
        derived_from=("interest_goal.target_date",),
    ),
    column(
        "horizon_source",
        Text,
        comment="'goal_date', 'goal_date_capped' (further ahead than a line is valid) or 'configured'.",
        nullable=False,
        allowed=("goal_date", "goal_date_capped", "configured"),
    ),
    column("n_weeks", Integer, comment="Weekly scores of the student in the fit.", nullable=False, minimum=1),
    column(
        "n_answers",
        Integer,
        comment="Answers behind the weekly scores.",
        nullable=False,
        minimum=1,
        derived_from=_ANSWERS,
    ),
    Index("ix_growth_prediction_week", "week_start"),
    comment="Prediction of the usable growth fit of a week for each student: line, projected score, probability of the goal.",
)
PREDICTED_BY = ("stats.growth.prediction._predict", "stats.growth.binomial._predict_counts")
"""By the family of the fit."""
computed_by(
    growth_prediction,
    "assets.growth.bayesian.goals.predictions",
    ("intercept_mean intercept_sd slope_mean slope_sd projected projected_lower projected_upper", *PREDICTED_BY),
    ("sigma p p_lower p_upper", *PREDICTED_BY),
    ("target target_level target_source", "sql/growth/goals.sql:stage", "assets.growth.bayesian.goals.load_goals"),
    ("horizon_date horizon_source", "assets.growth.bayesian.goals.load_goals"),
)
