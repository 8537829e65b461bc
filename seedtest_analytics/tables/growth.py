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


def _sum(name: str, comment: str, **arguments: Any) -> Column[Any]:
    """A sum over a student's weekly scores."""
    return column(name, Float, comment=comment, derived_from=_SCORES, **arguments)


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
    column("priors", JSONB, comment="Priors of the fit: {intercept, week, sd, sigma, cor, sd_week}."),
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
        "model_spec",
        "{family, method, score_source, score_unit, lookback_weeks, history_weeks, priors_from, first_week, students, …}.",
    ),
    column(
        "draws",
        JSONB,
        comment="400 to 4,000 draws for later predictions: {columns, theta, week_mean, last_week, reference}.",
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
    ("priors", "assets.growth.bayesian.evidence.evidence_of", "stats.growth.evidence.narrowed"),
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
    column("last_week", Date, comment="Monday of the last scored week.", derived_from=("attempt.completed_at",)),
    _sum(
        "sum_weight",
        "Sum of the weights v of the scores; the sums predict a later day. NULL: binomial or older fits.",
        minimum=0,
    ),
    _sum("sum_week", "Sum of v w, with w the week from the look-back's first.", minimum=0),
    _sum("sum_week_squared", "Sum of v w².", minimum=0),
    _sum("sum_residual", "Sum of v e, with e the score less the line draws.reference of the fit."),
    _sum("sum_week_residual", "Sum of v w e."),
    Index("ix_growth_prediction_week", "week_start"),
    comment="Prediction of the usable growth fit of a week for each student: line, projected score, probability of the goal.",
)
_LEVELS = ("ability_state.level", "ability_state.earlier_level")
_LEVEL_ERRORS = ("ability_state.se", "ability_state.earlier_se", "ability_state.gain_se")


def _percentile(name: str, comment: str, **arguments: Any) -> Column[Any]:
    return column(name, Float, comment=comment, minimum=1, maximum=99, **arguments)


student_growth = Table(
    "student_growth",
    metadata,
    student_column("ability_state.user_id", primary_key=True),
    week_column(primary_key=True),
    column(
        "weeks", Float, comment="Weeks between the two levels; NULL where the state has none.", unit="week", minimum=0
    ),
    column("level", Float, comment="Level now.", unit="logit", nullable=False, derived_from=("ability_state.level",)),
    column(
        "earlier_level",
        Float,
        comment="Level that many weeks ago, given all answers up to now.",
        unit="logit",
        derived_from=("ability_state.earlier_level",),
    ),
    _percentile(
        "percentile",
        "Growth percentile: of students who were at the same level, the share that is now at a lower one.",
        derived_from=_LEVELS,
    ),
    _percentile(
        "percentile_lower",
        "Lower end of its 95 % interval, by the errors of the two levels.",
        derived_from=_LEVEL_ERRORS,
    ),
    _percentile("percentile_upper", "Upper end of its 95 % interval.", derived_from=_LEVEL_ERRORS),
    column("pace", Float, comment="Own gain a week between the two levels.", unit="logit/week", derived_from=_LEVELS),
    column(
        "pace_se",
        Float,
        comment="Standard error of pace.",
        unit="logit/week",
        minimum=0,
        derived_from=("ability_state.gain_se",),
    ),
    column(
        "typical_pace",
        Float,
        comment="Median gain a week of students who started at the student's level of today.",
        unit="logit/week",
        derived_from=_LEVELS,
    ),
    column("target", Float, comment="The goal as an ability.", unit="logit", nullable=False, derived_from=_GOALS),
    column(
        "target_source",
        Text,
        comment="'interest_goal' or 'default' (METRICS_DEFAULT_TARGET).",
        nullable=False,
        allowed=("interest_goal", "default"),
    ),
    column(
        "horizon_date", Date, comment="Day of the goal.", nullable=False, derived_from=("interest_goal.target_date",)
    ),
    column(
        "horizon_source",
        Text,
        comment="'goal_date', 'goal_date_capped' (more than two years ahead) or 'configured'.",
        nullable=False,
        allowed=("goal_date", "goal_date_capped", "configured"),
    ),
    column(
        "distance",
        Float,
        comment="Target less level.",
        unit="logit",
        nullable=False,
        derived_from=(*_GOALS, _LEVELS[0]),
    ),
    column(
        "needed_pace",
        Float,
        comment="Gain a week that reaches the target on the day; 0 at the target and above.",
        unit="logit/week",
        nullable=False,
        minimum=0,
        derived_from=(*_GOALS, _LEVELS[0]),
    ),
    _percentile(
        "needed_percentile",
        "Growth percentile, from today's level on, that keeps needed_pace.",
        derived_from=(*_GOALS, *_LEVELS),
    ),
    column("n_reference", Integer, comment="Students that the curves were fitted to.", nullable=False, minimum=0),
    column("reason", Text, comment="Why there is no percentile; NULL where there is one."),
    column("method", Text, comment="Estimator of the percentiles.", nullable=False),
    column("fitted_at", Instant, comment="As-of instant: no answer at or after it was used.", nullable=False),
    column(
        "run_id",
        Text,
        comment="Calibration that gives the scale; NULL without one.",
        derived_from=("ability_state.run_id",),
    ),
    Index("ix_student_growth_week", "week_start"),
    comment="Growth of each student, week by week: percentile, pace, and beside them the distance to the goal and the pace it "
    "needs.",
)
computed_by(
    student_growth,
    "assets.growth.percentiles.rows.growth_rows",
    ("percentile percentile_lower percentile_upper", "stats.growth.percentiles.growth_percentiles"),
    ("typical_pace", "stats.growth.percentiles.GrowthCurves.typical"),
    ("needed_percentile", "stats.growth.percentiles.GrowthCurves.percentile"),
    ("target target_source", "sql/growth/goals.sql:stage", "assets.growth.bayesian.goals.student_goals"),
    ("horizon_date horizon_source", "assets.growth.bayesian.goals.student_goals"),
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
    (
        "last_week sum_weight sum_week sum_week_squared sum_residual sum_week_residual",
        "stats.growth.data.growth_data",
        "assets.growth.bayesian.goals.predictions",
    ),
)
