"""Churn: fits, the weekly risk of each student, and notices of inactivity."""

from typing import Any

from sqlalchemy import Boolean, CheckConstraint, Column, Date, Index, Integer, Table, Text

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
    object_column,
    student_column,
    week_column,
)

_ACTIVITY = ("attempt.user_id", "attempt.session_id", "attempt.completed_at")
_KNOWN = (*_ACTIVITY, "weekly_kpi.kpis")

survival_fit_meta = Table(
    "survival_fit_meta",
    metadata,
    column("run_id", Text, comment="Fit; derived from its week, settings and data.", primary_key=True),
    week_column(),
    column("formula", Text, comment="The model in R's notation.", nullable=False),
    column(
        "family",
        Text,
        comment="Fitted model: cox_efron, weibull_aft, the same with _ridge (covariates separate), or heuristic.",
        nullable=False,
    ),
    column(
        "event_threshold_days",
        Integer,
        comment="Days of silence that survival_risk predicts.",
        nullable=False,
        unit="days",
        minimum=1,
    ),
    column("follow_up_days", Integer, comment="Days after which a landmark is censored.", unit="days", minimum=1),
    object_column(
        "coefficients",
        "Change of the log hazard of returning, by column: {sessions_28d, days_since_last, A_t, …}.",
        derived_from=_KNOWN,
    ),
    object_column("standard_errors", "Cluster-robust (by student) standard errors of the coefficients."),
    object_column(
        "hazard_ratios",
        "exp(coefficient) by column; above 1 is an earlier return and a lower risk.",
        derived_from=_KNOWN,
    ),
    object_column("hazard_ratio_intervals", "95 % limits of the hazard ratios: {column: [lower, upper]}."),
    column("concordance", Float, comment="Share of pairs in the right order; 0.5 is chance.", minimum=0, maximum=1),
    column("n", Integer, comment="Landmarks: one for each student and week.", minimum=0),
    column("n_users", Integer, comment="Students.", minimum=0),
    column("n_events", Integer, comment="Landmarks with a return within the follow-up.", minimum=0),
    array_column("survival_curve", "[{t, S}]: share still silent t days after a landmark, at average covariates."),
    object_column(
        "proportionality", "{column: {chi_square, p_value, trend}} and GLOBAL: are the hazard ratios constant in time?"
    ),
    object_column(
        "calibration", "Out-of-fold scores at the horizon: {brier, brier_skill, calibration_slope, ici, auc, curve, …}."
    ),
    column("is_usable", Boolean, comment="The fit may score; NULL for a row of the legacy pipeline."),
    array_column(
        "reasons", "Why the fit is not usable or differs from the settings; covariates that were left out, and why."
    ),
    column("model", JSONB, comment="Everything that scoring needs; NULL for the heuristic.", derived_from=_KNOWN),
    column("fitted_at", Instant, comment="As-of instant: no attempt at or after it was used.", nullable=False),
    computed_column("run_at", "When it was computed."),
    Index("ix_survival_fit_meta_week", "week_start", unique=True),
    comment="One row for each churn fit: time to return from weekly landmarks, and whether the fit is usable.",
)
computed_by(
    survival_fit_meta,
    "assets.churn.fit.fit_week",
    ("coefficients standard_errors", "stats.survival.cox.fit_cox", "stats.survival.weibull.fit_weibull"),
    ("concordance", "stats.survival.concordance.concordance_index"),
    ("proportionality", "stats.survival.proportionality.proportionality_test"),
    ("calibration", "stats.survival.churn_check.check_at_horizon"),
    ("is_usable", "stats.verification.verdict.judge_probabilities"),
    ("family hazard_ratios hazard_ratio_intervals n n_users", "stats.survival.churn_fit.fit_churn"),
    ("n_events survival_curve reasons", "stats.survival.churn_fit.fit_churn"),
    ("model", "assets.churn.stored_model.model_json"),
)


def _score_columns(*, is_risk_required: bool) -> list[Column[Any]]:
    """The score of a student. Students who never started have no risk, so the current table leaves them out."""
    return [
        column(
            "risk_score",
            Float,
            comment="Probability of silence over the fit's horizon.",
            nullable=not is_risk_required,
            minimum=0,
            maximum=1,
            derived_from=(*_KNOWN, "survival_fit_meta.model"),
        ),
        column("risk_lower", Float, comment="Lower 95 % limit of risk_score.", minimum=0, maximum=1),
        column("risk_upper", Float, comment="Upper 95 % limit of risk_score.", minimum=0, maximum=1),
        column(
            "hazard_ratio",
            Float,
            comment="Hazard of returning relative to a student with average covariates.",
            minimum=0,
            derived_from=(*_KNOWN, "survival_fit_meta.coefficients"),
        ),
        column(
            "rank_percentile",
            Float,
            comment="Share of the week's students with a lower risk; students with the same risk count half.",
            minimum=0,
            maximum=1,
        ),
        column(
            "state",
            Text,
            comment="'active', 'stopped' (silent for the horizon or longer) or 'never_started'.",
            allowed=("active", "stopped", "never_started"),
            derived_from=_ACTIVITY,
        ),
        column(
            "days_silent",
            Float,
            comment="Days since the start of the last session.",
            unit="days",
            minimum=0,
            derived_from=_ACTIVITY,
        ),
        array_column(
            "reasons",
            "The subjects that change the risk most: [{subject, raises_risk, silence_change, text}].",
            derived_from=_KNOWN,
        ),
        column("method", Text, comment="Model of the score, or 'heuristic'."),
        column(
            "run_id", Text, comment="Fit used; survival_fit_meta.run_id.", derived_from=("survival_fit_meta.run_id",)
        ),
        column(
            "verdict",
            Text,
            comment="What past outcomes decided about the risk: too_early, as_is, recalibrated, base_rate or withheld.",
            allowed=VERDICTS,
            derived_from=("weekly_kpi.kpis", *_ACTIVITY),
        ),
    ]


survival_risk_history = Table(
    "survival_risk_history",
    metadata,
    student_column(None, primary_key=True),
    week_column(primary_key=True),
    *_score_columns(is_risk_required=False),
    Index("ix_survival_risk_history_week", "week_start"),
    comment="Risk of silence of each student as of each week. A student who never started has a state but no risk.",
)

survival_risk = Table(
    "survival_risk",
    metadata,
    student_column(primary_key=True),
    *_score_columns(is_risk_required=True),
    column("week_start", Date, comment="Week that the risk is as of."),
    computed_column("updated_at", "When a value last changed."),
    CheckConstraint("risk_score BETWEEN 0 AND 1", name="ck_survival_risk_risk_score"),
    CheckConstraint("rank_percentile BETWEEN 0 AND 1", name="ck_survival_risk_rank_percentile"),
    comment="Risk of silence of each student: the newest week of survival_risk_history.",
)
for _table in (survival_risk_history, survival_risk):
    computed_by(
        _table,
        "assets.churn.scores.stage_risks",
        ("risk_score", "stats.survival.churn.ChurnModel.predict_silence", "sql/kpis/S.sql"),
        (
            "risk_lower risk_upper",
            "stats.survival.churn.ChurnModel.predict_silence",
            "stats.verification.recalibration.published",
        ),
        ("hazard_ratio", "stats.survival.churn.ChurnModel.relative_hazard"),
        ("state", "stats.survival.panel.activity_states", "sql/churn/risk.sql:stage_never_started"),
        ("days_silent", "sql/churn/panel.sql:panel"),
        ("reasons", "stats.survival.churn.ChurnModel.reasons"),
        ("method run_id", "assets.churn.scores.scorer_for"),
        ("verdict", "stats.verification.recalibration.decide"),
    )

inactivity_notice = Table(
    "inactivity_notice",
    metadata,
    student_column(primary_key=True),
    column(
        "silent_since",
        Instant,
        comment="Last attempt before the silence; a later attempt begins another silence.",
        primary_key=True,
        derived_from=("attempt.completed_at",),
    ),
    column(
        "threshold_days", Integer, comment="Days of silence that were crossed.", nullable=False, unit="days", minimum=1
    ),
    column("noticed_at", Instant, comment="As-of instant of the run that noticed it.", nullable=False),
    column("week_start", Date, comment="Week whose P and S were refreshed.", nullable=False),
    column("p", Float, comment="P as refreshed.", minimum=0, maximum=1, derived_from=("weekly_kpi.kpis",)),
    column("s", Float, comment="S as refreshed.", minimum=0, maximum=1, derived_from=("weekly_kpi.kpis",)),
    Index("ix_inactivity_notice_noticed_at", "noticed_at"),
    comment="Students who fell silent: one row for each student and silence, written once, when the threshold was crossed.",
)
computed_by(
    inactivity_notice,
    "sql/churn/inactivity.sql:stage",
    ("user_id silent_since", "sql/churn/inactivity.sql:population"),
    ("p", "assets.kpis.goal.stage_goal_probability"),
    ("s", "assets.churn.scores.stage_churn_risk"),
)
