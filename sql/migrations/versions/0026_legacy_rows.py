"""Legacy rows are kept in the archive, and drift tables of the shape with text items make room.

Revision: 0026.
"""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects.postgresql import JSONB, TIMESTAMP

from seedtest_analytics.database.migrations import (
    archive_legacy_rows,
    begin_revision,
    create_index_if_missing,
    create_or_extend,
    undo_revision,
)

revision = "0026"
down_revision = "0025"
branch_labels = None
depends_on = None

OUTPUTS = (
    "drift_alerts",
    "drift_windows",
    "features_topic_daily",
    "growth_brms_meta",
    "growth_glmm_meta",
    "item_calibration",
    "mirt_ability",
    "mirt_fit_meta",
    "mirt_item_params",
    "prophet_anomalies",
    "prophet_fit_meta",
    "report_artifacts",
    "segment_meta",
    "student_topic_theta",
    "survival_fit_meta",
    "survival_risk",
    "user_segment",
    "weekly_kpi",
)
"""Tables that the legacy pipeline wrote and the platform writes."""


def upgrade() -> None:
    begin_revision(op, revision)
    repair_drift()
    for name, columns in WITHOUT_DEFAULT.items():
        create_or_extend(op, name, *columns)
    archive_legacy_rows(op, OUTPUTS)


def downgrade() -> None:
    undo_revision(op, revision)


def _instant(name: str) -> sa.Column[sa.DateTime]:
    return sa.Column(name, TIMESTAMP(timezone=True), server_default=sa.text("now()"), nullable=False)


def _id() -> sa.Column[int]:
    return sa.Column("id", sa.BigInteger, primary_key=True, autoincrement=True)


WITHOUT_DEFAULT = {
    "mirt_item_params": (
        sa.Column("item_id", sa.Text, primary_key=True),
        sa.Column("version", sa.Text, server_default="v1"),
    ),
    "report_artifacts": (_id(), _instant("generated_at")),
    "student_topic_theta": (
        sa.Column("user_id", sa.Text, primary_key=True),
        sa.Column("topic_id", sa.Text, primary_key=True),
        _instant("updated_at"),
    ),
    "weekly_kpi": (
        sa.Column("user_id", sa.Text, primary_key=True),
        sa.Column("week_start", sa.Date, primary_key=True),
        _instant("created_at"),
        _instant("updated_at"),
    ),
}
"""Earlier releases left these legacy columns without a default: the platform's rows were refused or had no version."""


def repair_drift() -> None:
    """The drift tables as the platform needs them, where an earlier release extended those of another shape."""
    limits = [sa.Column(f"{name}_{end}", sa.DOUBLE_PRECISION) for name in "abc" for end in ("l95", "u95")]
    create_or_extend(
        op,
        "drift_windows",
        sa.Column("id", sa.BigInteger, primary_key=True, autoincrement=False),
        sa.Column("start_at", TIMESTAMP(timezone=True), nullable=False),
        sa.Column("end_at", TIMESTAMP(timezone=True), nullable=False),
        sa.Column("population_tags", JSONB, server_default=sa.text("'{}'::jsonb")),
        _instant("created_at"),
    )
    create_or_extend(
        op,
        "item_calibration",
        _id(),
        sa.Column("item_id", sa.BigInteger, nullable=False),
        sa.Column("window_id", sa.BigInteger, nullable=False),
        *[sa.Column(f"{name}_hat", sa.DOUBLE_PRECISION) for name in "abc"],
        *limits,
        sa.Column("n", sa.Integer),
        sa.Column("dif", JSONB),
        sa.Column("info", JSONB),
        sa.Column("run_id", sa.Text, nullable=False),
        sa.Column("week_start", sa.Date),
        _instant("created_at"),
    )
    create_or_extend(
        op,
        "drift_alerts",
        _id(),
        sa.Column("item_id", sa.BigInteger, nullable=False),
        sa.Column("window_id", sa.BigInteger, nullable=False),
        sa.Column("metric", sa.Text, nullable=False),
        sa.Column("value", sa.DOUBLE_PRECISION),
        sa.Column("threshold", sa.DOUBLE_PRECISION, nullable=False),
        sa.Column("severity", sa.Text, nullable=False),
        sa.Column("p_adjusted", sa.DOUBLE_PRECISION),
        sa.Column("run_id", sa.Text, nullable=False),
        sa.Column("week_start", sa.Date),
        sa.Column("resolved_at", TIMESTAMP(timezone=True)),
        _instant("created_at"),
    )
    for name, table, columns in (
        ("ix_item_calibration_week", "item_calibration", ["week_start"]),
        ("uq_item_calibration_run_window_item", "item_calibration", ["run_id", "window_id", "item_id"]),
        ("ix_drift_alerts_week", "drift_alerts", ["week_start"]),
        ("uq_drift_alerts_run_item_metric", "drift_alerts", ["run_id", "item_id", "metric"]),
    ):
        create_index_if_missing(op, name, table=table, columns=columns, unique=name.startswith("uq_"))
