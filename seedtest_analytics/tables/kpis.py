"""Weekly KPIs: one row per student and week. Several assets write it, each its own keys."""

from dataclasses import dataclass, replace

from sqlalchemy import Date, Index, Table

from seedtest_analytics.stats.verification.verdict_words import VERDICTS
from seedtest_analytics.tables.declare import (
    column,
    computed_by,
    computed_column,
    metadata,
    object_column,
    pointers,
    student_column,
)
from seedtest_analytics.tables.growth import PREDICTED_BY
from seedtest_analytics.tables.psychometrics import ANSWERED_BY, SCORED_BY

_KPI_ORIGINS = tuple(
    f"{table}.{name}"
    for table, names in {
        "attempt": "user_id session_id item_id topic_ids correct is_answered completed_at recorded_time_ms hints_used",
        "ability_window": "theta se run_id",
        "mirt_fit_meta": "metrics run_id",
        "ability_state": "user_id change change_se level se slope",
        "mirt_ability": "theta se n_answers answered_at method",
        "growth_prediction": "run_id week_start p p_lower p_upper sigma target_level target_source projected horizon_date "
        "horizon_source n_weeks",
        "growth_brms_meta": "model_spec",
        "interest_goal": "target_level target_date",
        "survival_fit_meta": "model",
    }.items()
    for name in names.split()
)

weekly_kpi = Table(
    "weekly_kpi",
    metadata,
    student_column(primary_key=True),
    column(
        "week_start",
        Date,
        comment="Monday of the ISO week in the platform's time zone.",
        primary_key=True,
        derived_from=("attempt.completed_at",),
    ),
    object_column(
        "kpis", "I_t, E_t, R_t, A_t, P, S (number or null), their evidence and methods.", derived_from=_KPI_ORIGINS
    ),
    computed_column("created_at", "When the row was first written."),
    computed_column("updated_at", "When a value last changed."),
    Index("ix_weekly_kpi_week", "week_start"),
    comment="KPIs of each student and week; every writer merges its own keys and touches no other.",
)
computed_by(
    weekly_kpi,
    "sql/kpis/merge.sql:insert",
    ("user_id", "sql/kpis/population.sql"),
    ("kpis updated_at", "sql/kpis/merge.sql:update"),
)

REQUIRED_KEYS = ("I_t", "E_t", "R_t", "A_t", "P", "S")
"""Always present in `kpis`; null if the number is unknown."""


@dataclass(frozen=True)
class KpiKey:
    """One key of `kpis`: its meaning, type, inclusive range, the allowed values of a word, and the code that computes it."""

    name: str
    meaning: str
    type: str = "number"
    minimum: float | None = None
    maximum: float | None = None
    allowed: tuple[str, ...] = ()
    computed_by: tuple[str, ...] = ()


def _word(name: str, meaning: str, *allowed: str) -> KpiKey:
    return KpiKey(name, meaning, type="string", allowed=allowed)


def _verdict(name: str) -> tuple[KpiKey, KpiKey]:
    """The two keys that say what past outcomes decided about a number."""
    return (
        _word(f"{name}_verdict", f"What past outcomes decided about {name}.", *VERDICTS),
        KpiKey(f"{name}_verdict_reason", f"Why {name} is published so.", type="string"),
    )


def _code(kpi: str, *codes: str) -> KpiKey:
    """The reason of a missing KPI as a code, which reports put into the reader's language."""
    return _word(f"{kpi}_reason_code", f"Code of {kpi}_reason.", *codes, "quarantined")


_KEYS: dict[str, tuple[KpiKey, ...]] = {
    "I_t": (
        KpiKey(
            "I_t",
            "Improvement: change of ability or accuracy from the previous 14 days to the recent 14.",
            minimum=-1,
            maximum=1,
        ),
        _word("I_t_mode", "Unit of the change.", "theta", "accuracy"),
        _word("I_t_method", "Source of delta_theta: ability over time, or the two windows.", "dynamic", "static"),
        KpiKey("I_t_reason", "Why I_t is null.", type="string"),
        _code("I_t", "no_answers_28d", "no_answers_14d", "no_answers_previous_14d"),
        KpiKey("I_t_n_recent", "Answers in the recent 14 days.", type="integer", minimum=0),
        KpiKey("I_t_n_previous", "Answers in the previous 14 days.", type="integer", minimum=0),
        KpiKey("delta_theta", "Ability in the recent window minus that in the previous one (logit)."),
        KpiKey("delta_theta_se", "Standard error of delta_theta (logit).", minimum=0),
        KpiKey(
            "delta_accuracy", "Share right in the recent window minus that in the previous one.", minimum=-1, maximum=1
        ),
    ),
    "E_t": (
        KpiKey(
            "E_t",
            "Efficiency: relative drop of the median time of right answers from the previous 28 days to the recent 28.",
            minimum=0,
            maximum=1,
        ),
        KpiKey("E_t_change", "E_t before it is limited to 0..1; negative means slower."),
        KpiKey("E_t_reason", "Why E_t is null.", type="string"),
        _code("E_t", "no_times_56d", "no_times_28d", "no_times_previous_28d", "zero_time"),
        KpiKey("E_t_n_recent", "Timed right answers in the recent 28 days.", type="integer", minimum=0),
        KpiKey("E_t_n_previous", "Timed right answers in the previous 28 days.", type="integer", minimum=0),
    ),
    "R_t": (
        KpiKey(
            "R_t",
            "Recovery: of the items wrong in the previous 28 days and met again, the share answered right.",
            minimum=0,
            maximum=1,
        ),
        KpiKey("R_t_reason", "Why R_t is null.", type="string"),
        _code("R_t", "no_mistakes", "not_met_again"),
        KpiKey("R_t_n_wrong", "Items answered wrong in the previous 28 days.", type="integer", minimum=0),
        KpiKey("R_t_n_met_again", "Of these, met again in the recent 28 days.", type="integer", minimum=0),
        KpiKey(
            "R_t_topic",
            "Recovery by topic: share right of the recent 28 days in the topics of those items, weighted by them.",
            minimum=0,
            maximum=1,
        ),
        KpiKey("R_t_topic_n", "Answers behind R_t_topic.", type="integer", minimum=0),
    ),
    "A_t": (
        KpiKey("A_t", "Engagement over 28 days: sessions, gaps, hints and time.", minimum=0, maximum=1),
        KpiKey("A_t_reason", "Why A_t is null.", type="string"),
        _code("A_t", "no_attempts_28d"),
        KpiKey("A_t_assumed", "Components without data, which count as 0.5.", type="array"),
        KpiKey("A_t_n_attempts", "Attempts in the 28 days.", type="integer", minimum=0),
        KpiKey("sessions", "Sessions in the 28 days.", type="integer", minimum=0),
        KpiKey("mean_gap", "Mean days between active sessions.", minimum=0),
    ),
    "P": (
        KpiKey("P", "Probability that the student reaches the goal.", minimum=0, maximum=1),
        KpiKey("sigma", "SD of the projected score (in P_score_unit).", minimum=0),
        KpiKey("P_lower", "Lower bound of P's interval, with what past outcomes leave open.", minimum=0, maximum=1),
        KpiKey("P_upper", "Upper bound of P's interval, with what past outcomes leave open.", minimum=0, maximum=1),
        _word("P_method", "How P was computed.", "normal", "bayesian"),
        KpiKey("P_method_reason", "Why P is normal although the settings ask for the growth posterior.", type="string"),
        KpiKey("P_target", "Target ability of P (logit)."),
        _word("P_target_source", "Where the target comes from.", "interest_goal", "default"),
        KpiKey("P_projected", "Expected score on P_horizon_date (in P_score_unit)."),
        _word("P_score_unit", "Unit of the growth fit's score.", "logit", "share right"),
        KpiKey("P_horizon_date", "Day of the projected score.", type="string"),
        _word("P_horizon_source", "Source of that day.", "goal_date", "goal_date_capped", "configured"),
        KpiKey("P_n_weeks", "Weekly scores behind the projection.", type="integer", minimum=1),
        KpiKey("P_fit_run_id", "Growth fit used.", type="string"),
        KpiKey("P_fit_week", "Week of the growth fit used.", type="string"),
        KpiKey("P_fit_note", "Why the fit of the row's week is not used.", type="string"),
        KpiKey("P_reason", "Why P is null.", type="string"),
        _code("P", "no_ability"),
        KpiKey("theta", "Current ability in P (logit)."),
        KpiKey("ability_estimate", "Same as theta, for older readers (logit)."),
        KpiKey("theta_n_answers", "Answers behind theta.", type="integer", minimum=0),
        KpiKey("theta_se", "Standard error of theta (logit).", minimum=0),
        _word("theta_method", "Estimator of theta.", "EAP", "MAP", "WLE", "dynamic"),
        KpiKey("theta_answered_at", "Newest answer behind theta: the age of the evidence.", type="string"),
        KpiKey("P_assumption", "What the projection of P assumes.", type="string"),
        *_verdict("P"),
        KpiKey("P_model", "P by the model alone, where another P is published.", minimum=0, maximum=1),
        KpiKey("sigma_model", "sigma by the model alone, where P is not published as the model gives it.", minimum=0),
        *_verdict("theta"),
        KpiKey(
            "theta_se_model", "Standard error by the model alone, where a wider one is published (logit).", minimum=0
        ),
    ),
    "growth_slope": (
        KpiKey("growth_slope", "Weekly gain of the share right by the mixed model of the week (binomial: logit)."),
        KpiKey("growth_slope_sd", "SD of the student's deviation in growth_slope.", minimum=0),
        KpiKey("growth_slope_run_id", "Mixed model used.", type="string"),
        KpiKey("growth_slope_reason", "Why growth_slope is null.", type="string"),
    ),
    "I_t_expected": (
        KpiKey("I_t_expected", "I_t expected from the student's earlier weeks."),
        KpiKey("I_t_anomaly", "Signed z: I_t minus I_t_expected, divided by the SD of such errors in the cohort."),
        KpiKey("I_t_expected_reason", "Why I_t_expected is null.", type="string"),
    ),
    "S": (
        KpiKey("S", "Churn risk: probability of no attempt within the horizon.", minimum=0, maximum=1),
        KpiKey("S_lower", "Lower 95 % limit of S, with what past outcomes leave open.", minimum=0, maximum=1),
        KpiKey("S_upper", "Upper 95 % limit of S, with what past outcomes leave open.", minimum=0, maximum=1),
        _word("S_method", "How S was computed.", "cox", "weibull", "heuristic"),
        KpiKey("S_method_reason", "Why S is the heuristic although the settings ask for the model.", type="string"),
        KpiKey("S_fit_run_id", "Churn fit used.", type="string"),
        KpiKey("S_fit_note", "Why the newest fit is not used.", type="string"),
        KpiKey("S_reasons", "The strongest reasons for a higher or lower S, in words.", type="array"),
        KpiKey(
            "S_reason_codes",
            "The same as codes: [{raises_risk, parts: [{covariate, value, typical}]}]; value is null where not known.",
            type="array",
        ),
        KpiKey("S_horizon_days", "Horizon of S in days.", type="integer", minimum=1),
        KpiKey("S_days_silent", "Days since the last attempt.", minimum=0),
        KpiKey("S_n_sessions", "Sessions in the last 56 days.", type="integer", minimum=0),
        _word("S_state", "Whether the student is active.", "active", "stopped", "never_started"),
        KpiKey("S_reason", "Why S is null.", type="string"),
        *_verdict("S"),
        KpiKey("S_model", "S by the model alone, where another S is published.", minimum=0, maximum=1),
    ),
}

_NORMAL = "assets.kpis.goal.goal_rows"
_MOVED = "assets.kpis.moved_goal.stage_moved"
_DECIDED, _PUBLISHED = (f"stats.verification.recalibration.{name}" for name in ("decide", "published"))
_APPLIED = "assets.verdicts.publish.apply_{}_verdicts"
_COMPUTED_BY: dict[str, tuple[str, *tuple[tuple[str, ...], ...]]] = {
    "I_t": ("sql/kpis/I_t.sql",),
    "E_t": ("sql/kpis/E_t.sql",),
    "R_t": ("sql/kpis/R_t.sql",),
    "A_t": ("sql/kpis/A_t.sql",),
    "P": (
        "assets.kpis.goal.stage_goal_probability",
        ("P", *PREDICTED_BY, _MOVED, "stats.kpi.goal.normal_goal_probability"),
        ("P_projected sigma", *PREDICTED_BY, _MOVED, "stats.ability.goals.goal_path"),
        ("P_assumption", "stats.ability.goals.goal_path", "sql/kpis/P.sql:insert_bayesian"),
        ("theta ability_estimate theta_n_answers theta_se theta_method", *SCORED_BY),
        ("theta_answered_at", *ANSWERED_BY),
        ("P_target P_target_source", "assets.growth.bayesian.goals.load_goals", "sql/kpis/P.sql:rest"),
        ("P_horizon_source", "assets.growth.bayesian.goals.load_goals", "sql/kpis/P.sql:rest"),
        ("P_horizon_date", "assets.growth.bayesian.goals.load_goals", "sql/kpis/P.sql:movable", "sql/kpis/P.sql:rest"),
        ("P_n_weeks", "assets.growth.bayesian.goals.predictions"),
        ("P_score_unit", "assets.growth.bayesian.scores.WeeklyScores.unit", _NORMAL),
        ("P_method", "sql/kpis/P.sql:insert_bayesian", _NORMAL),
        ("P_reason P_reason_code", _NORMAL),
        ("P_method_reason P_fit_run_id P_fit_week P_fit_note", "assets.kpis.goal.choose_fit"),
        ("P_lower P_upper", *PREDICTED_BY, _MOVED, _PUBLISHED),
        ("P_verdict P_verdict_reason theta_verdict theta_verdict_reason", _DECIDED),
        ("P_model sigma_model theta_se_model", _APPLIED.format("goal")),
    ),
    "growth_slope": (
        "assets.growth.mixed_model.week.fit_mixed_model_week",
        (
            "growth_slope growth_slope_sd",
            "resources.r.mixed_model.fit_mixed_model",
            "stats.mixed_model.result.growth_slopes",
        ),
    ),
    "I_t_expected": (
        "stats.forecasts.expectation.expect_students",
        ("I_t_expected_reason", "assets.forecasts.students.stage_expectations"),
    ),
    "S": (
        "sql/kpis/S.sql",
        ("S", "stats.survival.churn.ChurnModel.predict_silence", "sql/kpis/S.sql"),
        ("S_lower S_upper", "stats.survival.churn.ChurnModel.predict_silence", _PUBLISHED),
        ("S_verdict S_verdict_reason", _DECIDED),
        ("S_model", _APPLIED.format("risk")),
        ("S_reasons S_reason_codes", "stats.survival.churn.ChurnModel.reasons"),
        ("S_method", "assets.churn.scores.stage_churn_risk", "sql/kpis/S.sql"),
        ("S_method_reason S_fit_run_id S_fit_note", "assets.churn.scores.scorer_for"),
    ),
}


def _with_pointers(asset: str, keys: tuple[KpiKey, ...]) -> tuple[KpiKey, ...]:
    found = pointers([key.name for key in keys], *_COMPUTED_BY[asset])
    return tuple(replace(key, computed_by=found[key.name]) for key in keys)


KPI_KEYS = {asset: _with_pointers(asset, keys) for asset, keys in _KEYS.items()}
"""The keys that each asset (`weekly_kpi/<name>`) owns."""
