"""Item parameters, abilities and the fits behind them."""

from typing import Any

from sqlalchemy import Boolean, Column, Date, Index, Integer, Numeric, PrimaryKeyConstraint, Table, Text
from sqlalchemy.dialects.postgresql import UUID

from seedtest_analytics.tables.declare import (
    JSONB,
    NOW,
    Float,
    Instant,
    column,
    computed_by,
    computed_column,
    copied_from,
    metadata,
    object_column,
    student_column,
    view_metadata,
    week_column,
)

_ANSWERS = ("attempt.user_id", "attempt.item_id", "attempt.correct", "attempt.completed_at")
_ITEMS = ("mirt_item_params.params",)
_TOPIC_ABILITY = "Ability in the topic, by method."
PARAMETERS_BY = (
    "stats.irt.estimation.calibrate",
    "resources.r.mirt.calibrate_with_mirt",
    "assets.psychometrics.scale.placement.place_on_scale",
)
"""The first two by MIRT_BACKEND."""
_NEWEST = "assets.psychometrics.scoring.rows.newest_answers"
ANSWERED_BY = ("assets.psychometrics.ability.rows.level_rows", _NEWEST)
_TOPIC_ANSWERED_BY = ("assets.psychometrics.ability.rows.topic_rows", _NEWEST)
SCORED_BY = ("stats.ability.smoothing.smooth", "stats.irt.scoring.score")
"""These three by METRICS_ABILITY."""


def _theta(meaning: str) -> Column[Any]:
    """An ability. Estimates beyond ±12 logits are invalid."""
    return column(
        "theta",
        Float,
        comment=meaning,
        unit="logit",
        nullable=False,
        minimum=-12,
        maximum=12,
        derived_from=(*_ANSWERS, *_ITEMS),
    )


def _se(meaning: str = "Posterior SD.", **arguments: Any) -> Column[Any]:
    return column("se", Float, comment=meaning, unit="logit", minimum=0, derived_from=(*_ANSWERS, *_ITEMS), **arguments)


def _answered_at() -> Column[Any]:
    return column(
        "answered_at",
        Instant,
        comment="The newest answer behind the ability: the age of the evidence; NULL in rows of earlier releases.",
        derived_from=("attempt.completed_at",),
    )


def _method(*allowed: str) -> Column[Any]:
    return column(
        "method",
        Text,
        comment="Estimator: EAP of the look-back, or dynamic (ability over time, from all answers).",
        allowed=allowed,
    )


def _student_topic() -> tuple[Column[Any], Column[Any]]:
    return (
        student_column(primary_key=True),
        column("topic_id", Text, comment="Topic.", primary_key=True, derived_from=("attempt.topic_id",)),
    )


def _calibration(
    meaning: str = "Calibration whose parameters were used; NULL without one.", **arguments: Any
) -> Column[Any]:
    return column("run_id", Text, comment=meaning, derived_from=("mirt_fit_meta.run_id",), **arguments)


mirt_item_params = Table(
    "mirt_item_params",
    metadata,
    column("item_id", Text, comment="Item; question.id as text.", primary_key=True, derived_from=("attempt.item_id",)),
    column("model", Text, comment="Rasch, 2PL or 3PL.", allowed=("Rasch", "2PL", "3PL")),
    column(
        "params",
        JSONB,
        comment="{a, b, c} on the platform scale (logit metric, D = 1), with se_a, se_b, n and flags.",
        nullable=False,
        derived_from=_ANSWERS,
    ),
    column("version", Text, comment="Version of the calibration.", server_default="v1"),
    column("fitted_at", Instant, comment="As-of instant of the calibration.", server_default=NOW),
    column("run_id", Text, comment="Calibration; mirt_fit_meta.run_id."),
    comment="The current parameters of each item on the platform scale, from the newest usable calibration that has the item.",
)
copied_from("mirt_fit_meta", mirt_item_params, names="version fitted_at run_id")
computed_by(
    mirt_item_params,
    "sql/psychometrics/scale.sql:stage_current",
    ("params", *PARAMETERS_BY, "stats.irt.dif_groups.compare_groups"),
)

mirt_item_params_history = Table(
    "mirt_item_params_history",
    metadata,
    column("run_id", Text, comment="Calibration; mirt_fit_meta.run_id.", primary_key=True),
    column("item_id", Text, comment="Item; question.id as text.", primary_key=True, derived_from=("attempt.item_id",)),
    column("model", Text, comment="Rasch, 2PL or 3PL.", nullable=False, allowed=("Rasch", "2PL", "3PL")),
    column("a", Float, comment="Discrimination.", unit="1/logit", derived_from=_ANSWERS),
    column("b", Float, comment="Difficulty.", unit="logit", derived_from=_ANSWERS),
    column("c", Float, comment="Lower asymptote.", minimum=0, maximum=1, derived_from=_ANSWERS),
    column("se_a", Float, comment="Standard error of a.", unit="1/logit", minimum=0),
    column("se_b", Float, comment="Standard error of b.", unit="logit", minimum=0),
    column("se_c", Float, comment="Standard error of c.", minimum=0),
    column("n_responses", Integer, comment="Answers used.", nullable=False, minimum=0, derived_from=_ANSWERS),
    column("p_correct", Float, comment="Share answered right.", minimum=0, maximum=1, derived_from=_ANSWERS),
    column("is_anchor", Boolean, comment="Its parameters were held fixed.", nullable=False),
    column("flag", Text, comment="Why the item was set aside or needs attention; NULL if nothing was found."),
    week_column(nullable=False),
    Index("ix_mirt_item_params_history_item", "item_id", "week_start"),
    Index("ix_mirt_item_params_history_week", "week_start"),
    comment="Item parameters of every calibration on the platform scale; one row for each calibration and item.",
)
computed_by(
    mirt_item_params_history,
    "assets.psychometrics.calibration.rows.history_rows",
    ("a b c se_a se_b se_c", *PARAMETERS_BY),
    (
        "n_responses p_correct is_anchor flag",
        "stats.irt.estimation.calibrate",
        "assets.psychometrics.engine.calibration_from_mirt",
    ),
)

mirt_item_bank = Table(
    "mirt_item_bank",
    view_metadata,
    column("run_id", Text, comment="Usable calibration as of which the bank is; mirt_fit_meta.run_id."),
    week_column(),
    column(
        "item_id",
        Text,
        comment="Item; question.id as text.",
        derived_from=("mirt_item_params_history.item_id", "mirt_item_params.item_id"),
    ),
    column("model", Text, comment="Rasch, 2PL or 3PL.", allowed=("Rasch", "2PL", "3PL")),
    column("a", Float, comment="Discrimination.", unit="1/logit"),
    column("b", Float, comment="Difficulty.", unit="logit"),
    column("c", Float, comment="Lower asymptote.", minimum=0, maximum=1),
    column("se_a", Float, comment="Standard error of a.", unit="1/logit", minimum=0),
    column("se_b", Float, comment="Standard error of b.", unit="logit", minimum=0),
    column("se_c", Float, comment="Standard error of c.", minimum=0),
    column("n_responses", Integer, comment="Answers used.", minimum=0),
    column("p_correct", Float, comment="Share answered right.", minimum=0, maximum=1),
    column("flag", Text, comment="Why the item needs attention; NULL if nothing was found."),
    column(
        "method",
        Text,
        comment="'estimated' or 'anchor' (held fixed) by this calibration; 'kept': the last usable parameters before it.",
        allowed=("estimated", "anchor", "kept"),
        derived_from=("mirt_item_params_history.is_anchor",),
    ),
    column(
        "source_run_id",
        Text,
        comment="Calibration that the parameters come from.",
        derived_from=("mirt_item_params_history.run_id",),
    ),
    column(
        "source_week_start",
        Date,
        comment="Week of that calibration.",
        derived_from=("mirt_item_params_history.week_start",),
    ),
    column(
        "estimated_at", Instant, comment="As-of instant of that calibration.", derived_from=("mirt_fit_meta.fitted_at",)
    ),
    column(
        "age_days",
        Integer,
        comment="Age of the parameters as of this calibration.",
        unit="days",
        minimum=0,
        derived_from=("mirt_fit_meta.fitted_at",),
    ),
    comment="The item bank as of each usable calibration, on one scale: its own parameters, and the last usable ones of items "
    "that it did not estimate.",
)
for _source, _names in (
    ("mirt_item_params_history", "model a b c se_a se_b se_c n_responses p_correct flag"),
    ("mirt_fit_meta", "run_id week_start"),
):
    copied_from(_source, mirt_item_bank, names=_names)
computed_by(mirt_item_bank, "sql/psychometrics/item_bank.sql", ("a b c se_a se_b se_c", *PARAMETERS_BY))

mirt_fit_meta = Table(
    "mirt_fit_meta",
    metadata,
    column("run_id", Text, comment="Calibration; derived from its week, settings and data.", primary_key=True),
    object_column(
        "model_spec",
        "{model, n_persons, n_items, quadrature, linking_constants: {A, B, slope, intercept, n_anchors_used}, …}.",
    ),
    object_column(
        "metrics", "{log_likelihood, n_iterations, converged, max_gradient, usable, reasons, group_mean, group_sd, …}."
    ),
    column("fitted_at", Instant, comment="As-of instant: no answer at or after it was used.", nullable=False),
    week_column(nullable=False),
    column("version", Text, comment="Version of the scale that the parameters are on.", nullable=False),
    column("is_usable", Boolean, comment="The fit may score.", nullable=False),
    column("data_fingerprint", UUID, comment="md5 over the answers used.", nullable=False, derived_from=_ANSWERS),
    computed_column(),
    Index("ix_mirt_fit_meta_week", "week_start", unique=True),
    comment="One row for each calibration: the model, its data, and whether it is usable.",
)
computed_by(
    mirt_fit_meta,
    "assets.psychometrics.calibration.rows.fit_row",
    ("model_spec", "assets.psychometrics.calibration.rows.model_spec", "stats.irt.linking.link"),
    ("metrics", *PARAMETERS_BY, "stats.irt.dif_groups.compare_groups"),
    ("version", "assets.psychometrics.scale.placement.place_on_scale"),
    ("is_usable", "stats.irt.verdict.judge", "assets.psychometrics.scale.placement.PlacedCalibration.reasons"),
    ("data_fingerprint", "assets.psychometrics.answers.load_between"),
)

mirt_ability = Table(
    "mirt_ability",
    metadata,
    student_column(nullable=False),
    _theta("Ability, by method."),
    _se("Posterior SD of the ability."),
    column("model", Text, comment="Model of the item parameters.", allowed=("Rasch", "2PL", "3PL")),
    column(
        "version", Text, comment="ISO week that the ability belongs to; one row a student and week.", nullable=False
    ),
    column(
        "fitted_at",
        Instant,
        comment="As-of instant: no answer at or after it was used.",
        nullable=False,
        server_default=NOW,
    ),
    _calibration(),
    week_column(),
    column("n_answers", Integer, comment="Answers behind the ability.", minimum=1, derived_from=_ANSWERS),
    _answered_at(),
    _method("EAP", "MAP", "WLE", "dynamic"),
    PrimaryKeyConstraint("user_id", "version", name="pk_mirt_ability"),
    Index("ix_mirt_ability_user_fitted_at", "user_id", "fitted_at"),
    Index("ix_mirt_ability_week", "week_start"),
    comment="Abilities of students, week by week; the newest row by fitted_at is the current one.",
)
computed_by(
    mirt_ability,
    "assets.psychometrics.scoring.rows.overall_rows",
    ("theta se n_answers", *SCORED_BY),
    ("answered_at", *ANSWERED_BY),
)

ability_window = Table(
    "ability_window",
    metadata,
    student_column(primary_key=True),
    week_column(primary_key=True),
    column(
        "window_name",
        Text,
        comment="'recent': the 14 days before the as-of instant; 'previous': the 14 days before those.",
        primary_key=True,
        allowed=("recent", "previous"),
    ),
    column("window_start_at", Instant, comment="First instant of the window.", nullable=False),
    column("window_end_at", Instant, comment="First instant after the window.", nullable=False),
    _theta("Ability from the answers inside the window, EAP."),
    _se(nullable=False),
    column(
        "n_answers",
        Integer,
        comment="Answers inside the window, first at each item.",
        nullable=False,
        minimum=1,
        derived_from=_ANSWERS,
    ),
    _calibration("Calibration whose parameters were used for both windows.", nullable=False),
    Index("ix_ability_window_week", "week_start"),
    comment="Abilities from the answers inside a window; two windows of one week share one scale.",
)
computed_by(
    ability_window, "assets.psychometrics.scoring.rows.window_rows", ("theta se n_answers", "stats.irt.scoring.score")
)

student_topic_theta = Table(
    "student_topic_theta",
    metadata,
    *_student_topic(),
    _theta(_TOPIC_ABILITY),
    _se(),
    column(
        "standard_error",
        Numeric,
        comment="Same as se, under the name of an older reader.",
        unit="logit",
        minimum=0,
        derived_from=(*_ANSWERS, *_ITEMS),
    ),
    column("model", Text, comment="Model of the item parameters.", nullable=False),
    column("version", Text, comment="ISO week that the ability belongs to."),
    column("fitted_at", Instant, comment="As-of instant.", nullable=False, server_default=NOW),
    column(
        "updated_at",
        Instant,
        comment="Same as fitted_at, under the name of an older reader.",
        nullable=False,
        server_default=NOW,
    ),
    column("n_answers", Integer, comment="Answers in the topic.", minimum=1, derived_from=_ANSWERS),
    _answered_at(),
    _calibration(),
    _method("EAP", "dynamic"),
    comment="Current ability of each student in each topic.",
)
computed_by(
    student_topic_theta,
    "sql/psychometrics/scale.sql:stage_current_topics",
    ("theta se standard_error n_answers", *SCORED_BY),
    ("answered_at", *_TOPIC_ANSWERED_BY),
)

student_topic_theta_history = Table(
    "student_topic_theta_history",
    metadata,
    *_student_topic(),
    week_column(primary_key=True),
    _theta(_TOPIC_ABILITY),
    _se(nullable=False),
    column("model", Text, comment="Model of the item parameters.", nullable=False),
    column("version", Text, comment="ISO week that the ability belongs to.", nullable=False),
    column("fitted_at", Instant, comment="As-of instant.", nullable=False),
    column("n_answers", Integer, comment="Answers in the topic.", nullable=False, minimum=1, derived_from=_ANSWERS),
    _answered_at(),
    _calibration(),
    _method("EAP", "dynamic"),
    Index("ix_student_topic_theta_history_week", "week_start"),
    comment="Abilities in topics week by week; student_topic_theta holds the newest of each.",
)
computed_by(
    student_topic_theta_history,
    "assets.psychometrics.scoring.rows.topic_rows",
    ("theta se n_answers", *SCORED_BY),
    ("answered_at", *_TOPIC_ANSWERED_BY),
)
