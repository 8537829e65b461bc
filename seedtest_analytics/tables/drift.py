"""Drift of item parameters between two windows, and candidates for anchors."""

from typing import Any

from sqlalchemy import BigInteger, Boolean, Index, Integer, Table, Text

from seedtest_analytics.tables.declare import (
    EMPTY_OBJECT,
    JSONB,
    Float,
    Instant,
    column,
    computed_by,
    computed_column,
    metadata,
    week_column,
)
from seedtest_analytics.tables.psychometrics import PARAMETERS_BY

_ANSWERS = ("attempt.user_id", "attempt.item_id", "attempt.correct", "attempt.completed_at")


def _estimate(name: str, comment: str, **limits: Any) -> Any:
    return column(name, Float, comment=comment, derived_from=_ANSWERS, **limits)


drift_windows = Table(
    "drift_windows",
    metadata,
    column(
        "id",
        BigInteger,
        comment="Window: last day as YYYYMMDD, then its length in days with four digits.",
        primary_key=True,
        autoincrement=False,
    ),
    column(
        "start_at",
        Instant,
        comment="First instant of the window.",
        nullable=False,
        derived_from=("attempt.completed_at",),
    ),
    column("end_at", Instant, comment="First instant after the window.", nullable=False),
    column(
        "population_tags",
        JSONB,
        comment="The population: {topic_id, subject_id}; null means all.",
        server_default=EMPTY_OBJECT,
    ),
    computed_column("created_at", "When the row was made."),
    comment="Windows of answers whose calibrations are compared.",
)
computed_by(
    drift_windows,
    "assets.psychometrics.drift.rows.window_rows",
    ("id start_at end_at", "assets.psychometrics.drift.windows.windows_of"),
)

item_calibration = Table(
    "item_calibration",
    metadata,
    column("id", BigInteger, comment="Key.", primary_key=True, autoincrement=True),
    column("item_id", BigInteger, comment="Item; question.id.", nullable=False, derived_from=("attempt.item_id",)),
    column("window_id", BigInteger, comment="Window; drift_windows.id.", nullable=False),
    _estimate("a_hat", "Discrimination, on the scale of the baseline window."),
    _estimate("b_hat", "Difficulty, on the scale of the baseline window."),
    _estimate("c_hat", "Lower asymptote.", minimum=0, maximum=1),
    _estimate("a_l95", "Lower 95 % limit of a."),
    _estimate("a_u95", "Upper 95 % limit of a."),
    _estimate("b_l95", "Lower 95 % limit of b."),
    _estimate("b_u95", "Upper 95 % limit of b."),
    _estimate("c_l95", "Lower 95 % limit of c."),
    _estimate("c_u95", "Upper 95 % limit of c."),
    column("n", Integer, comment="Answers in the window.", minimum=0, derived_from=_ANSWERS),
    column(
        "dif",
        JSONB,
        comment="{delta_a, delta_b, delta_c, se_*, p_*_adjusted} against the baseline; null in the baseline.",
    ),
    column(
        "minimum_detectable_b",
        Float,
        comment="Change of difficulty that the comparison finds with a probability of 80 %; null if not compared.",
        unit="logit",
        minimum=0,
    ),
    column(
        "power_b",
        Float,
        comment="Probability that it finds a severe change of difficulty (twice DRIFT_THRESHOLD_DELTA_B).",
        minimum=0,
        maximum=1,
    ),
    column(
        "drift_verdict",
        Text,
        comment="What the comparison says of the item: moved; no_drift (power_b of 80 % or more, and no alert); or "
        "cannot_be_judged. Null in the baseline.",
    ),
    _estimate(
        "selection_gap",
        "Share right less what ability says, of students who practise the item's topic more than is usual, less that of the "
        "others; null without both.",
        minimum=-2,
        maximum=2,
    ),
    _estimate("selection_gap_se", "Its standard error.", minimum=0),
    column(
        "drift_in_topic",
        JSONB,
        comment="{origin, topic_delta, topic_se, apart, apart_se, gap_change, gap_change_se, n_others}: the change of b beside "
        "that of the topic's other items, and of the topic's selection gap. origin of a moved item: item, who_answers, topic, "
        "or cannot_be_told.",
        derived_from=_ANSWERS,
    ),
    column("info", JSONB, comment="{max, theta_at_max} of the item information within -3..3."),
    column("run_id", Text, comment="Comparison that the row belongs to.", nullable=False),
    week_column(),
    computed_column("created_at", "When it was computed."),
    Index("uq_item_calibration_run_window_item", "run_id", "window_id", "item_id", unique=True),
    Index("ix_item_calibration_week", "week_start"),
    comment="Item parameters of the two compared windows, on the scale of the baseline window.",
)
computed_by(
    item_calibration,
    "assets.psychometrics.drift.rows.calibration_rows",
    ("a_hat b_hat c_hat", "stats.irt.estimation.calibrate", "assets.psychometrics.drift.rows.calibration_rows"),
    ("n", "stats.irt.estimation.calibrate"),
    ("dif", "stats.irt.drift.item_drift"),
    ("selection_gap selection_gap_se", "stats.irt.selection.selection_gaps"),
    ("minimum_detectable_b power_b drift_verdict", "stats.irt.drift.DriftResult"),
    ("drift_in_topic", "stats.irt.drift_in_topic.drift_in_topic"),
)

drift_alerts = Table(
    "drift_alerts",
    metadata,
    column("id", BigInteger, comment="Key.", primary_key=True, autoincrement=True),
    column("item_id", BigInteger, comment="Item; question.id.", nullable=False, derived_from=("attempt.item_id",)),
    column("window_id", BigInteger, comment="Recent window; drift_windows.id.", nullable=False),
    column(
        "metric",
        Text,
        comment="Parameter that moved.",
        nullable=False,
        allowed=("delta_a", "delta_b", "delta_c", "b_ci_separation"),
    ),
    _estimate("value", "Change: recent minus baseline."),
    column("threshold", Float, comment="Size that an alert needs.", nullable=False),
    column("severity", Text, comment="How far beyond it.", nullable=False, allowed=("minor", "moderate", "severe")),
    column("p_adjusted", Float, comment="p-value adjusted for all parameters of all items.", minimum=0, maximum=1),
    column("run_id", Text, comment="Comparison that the alert belongs to.", nullable=False),
    week_column(),
    column("resolved_at", Instant, comment="When somebody resolved it; the platform never writes it."),
    computed_column("created_at", "When it was computed."),
    Index("uq_drift_alerts_run_item_metric", "run_id", "item_id", "metric", unique=True),
    Index("ix_drift_alerts_week", "week_start"),
    comment="Parameters that moved by more than the threshold and more than chance explains.",
)
computed_by(
    drift_alerts,
    "assets.psychometrics.drift.rows.alert_rows",
    ("metric value threshold severity p_adjusted", "stats.irt.drift.item_drift"),
    ("resolved_at", "sql/psychometrics/drift.sql:keep_resolved"),
)

anchor_candidates = Table(
    "anchor_candidates",
    metadata,
    week_column(primary_key=True),
    column("item_id", Text, comment="Item; question.id as text.", primary_key=True, derived_from=("attempt.item_id",)),
    column("run_id", Text, comment="Calibration; mirt_fit_meta.run_id.", nullable=False),
    column("topic_id", Text, comment="Topic of the item.", derived_from=("question.topic_id",)),
    column(
        "a", Float, comment="Discrimination.", unit="1/logit", nullable=False, derived_from=("mirt_item_params.params",)
    ),
    column("b", Float, comment="Difficulty.", unit="logit", nullable=False, derived_from=("mirt_item_params.params",)),
    column("c", Float, comment="Lower asymptote.", minimum=0, maximum=1, derived_from=("mirt_item_params.params",)),
    column("n_responses", Integer, comment="Answers before the week's end.", nullable=False, minimum=0),
    column(
        "n_calibrations",
        Integer,
        comment="Calibrations of the last 90 days that measure stability, at most 5.",
        nullable=False,
    ),
    column(
        "sd_b", Float, comment="Standard deviation of b over them; NULL for fewer than two.", unit="logit", minimum=0
    ),
    column("has_responses", Boolean, comment="Enough answers.", nullable=False),
    column("has_difficulty", Boolean, comment="Difficulty within the range.", nullable=False),
    column("has_discrimination", Boolean, comment="Discriminates enough.", nullable=False),
    column("is_stable", Boolean, comment="b is stable; false if that is unknown.", nullable=False),
    column("is_flagged", Boolean, comment="The calibration flags the item.", nullable=False),
    column("is_tagged", Boolean, comment="It is an anchor already.", nullable=False, derived_from=("question.meta",)),
    column("rank", Integer, comment="Place among the chosen items, from 1; NULL if not chosen.", minimum=1),
    column("reason", Text, comment="First criterion that failed; NULL if none failed."),
    Index("ix_anchor_candidates_week", "week_start"),
    comment="Items measured against the criteria of anchors, and the choice that covers topics and difficulties.",
)
computed_by(
    anchor_candidates,
    "assets.psychometrics.anchors.choice.choose",
    ("topic_id n_responses is_tagged", "sql/psychometrics/anchors.sql:candidates"),
    ("a b c", *PARAMETERS_BY),
    ("sd_b rank reason", "stats.irt.anchors.select_anchor_items"),
)
