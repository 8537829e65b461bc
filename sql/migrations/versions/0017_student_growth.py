"""Growth of students: percentiles beside the goal, and the earlier level that they compare with.

Revision: 0017, after 0015.
"""

import sqlalchemy as sa
from alembic import op

from seedtest_analytics.database.migrations import (
    begin_revision,
    create_index_if_missing,
    create_or_extend,
    undo_revision,
)

revision = "0017"
down_revision = "0015"
branch_labels = None
depends_on = None

STATE = (
    (
        "earlier_at",
        sa.TIMESTAMP(timezone=True),
        "Instant of earlier_level: ABILITY_GROWTH_WEEKS before the as-of instant.",
    ),
    (
        "earlier_level",
        sa.DOUBLE_PRECISION(),
        "Level at earlier_at, given all answers up to now; NULL without an answer before. [logit]",
    ),
    ("earlier_se", sa.DOUBLE_PRECISION(), "Standard error of earlier_level. [logit]"),
    (
        "gain_se",
        sa.DOUBLE_PRECISION(),
        "Standard error of level less earlier_level, with the covariance of the two. [logit]",
    ),
)


def number(name: str, comment: str, **options: bool) -> sa.Column[float]:
    return sa.Column(name, sa.DOUBLE_PRECISION(), comment=comment, **options)


def text(name: str, comment: str, **options: bool) -> sa.Column[str]:
    return sa.Column(name, sa.Text(), comment=comment, **options)


def upgrade() -> None:
    begin_revision(op, revision)
    create_or_extend(
        op,
        "ability_state",
        sa.Column("user_id", sa.Text(), primary_key=True),
        sa.Column("week_start", sa.Date(), primary_key=True),
        *(sa.Column(name, type_, comment=comment) for name, type_, comment in STATE),
    )
    create_or_extend(
        op,
        "student_growth",
        text("user_id", "Raw id of the student.", nullable=False),
        sa.Column("week_start", sa.Date(), nullable=False, comment="Partition: Monday of the week."),
        number("weeks", "Weeks between the two levels; NULL where the state has none. [week]"),
        number("level", "Level now. [logit]", nullable=False),
        number("earlier_level", "Level that many weeks ago, given all answers up to now. [logit]"),
        number(
            "percentile",
            "Growth percentile: of students who were at the same level, the share that is now at a lower one.",
        ),
        number("percentile_lower", "Lower end of its 95 % interval, by the errors of the two levels."),
        number("percentile_upper", "Upper end of its 95 % interval."),
        number("pace", "Own gain a week between the two levels. [logit/week]"),
        number("pace_se", "Standard error of pace. [logit/week]"),
        number(
            "typical_pace", "Median gain a week of students who started at the student's level of today. [logit/week]"
        ),
        number("target", "The goal as an ability. [logit]", nullable=False),
        text("target_source", "'interest_goal' or 'default' (METRICS_DEFAULT_TARGET).", nullable=False),
        sa.Column("horizon_date", sa.Date(), nullable=False, comment="Day of the goal."),
        text(
            "horizon_source",
            "'goal_date', 'goal_date_capped' (more than two years ahead) or 'configured'.",
            nullable=False,
        ),
        number("distance", "Target less level. [logit]", nullable=False),
        number(
            "needed_pace",
            "Gain a week that reaches the target on the day; 0 at the target and above. [logit/week]",
            nullable=False,
        ),
        number("needed_percentile", "Growth percentile, from today's level on, that keeps needed_pace."),
        sa.Column("n_reference", sa.Integer(), nullable=False, comment="Students that the curves were fitted to."),
        text("reason", "Why there is no percentile; NULL where there is one."),
        text("method", "Estimator of the percentiles.", nullable=False),
        sa.Column(
            "fitted_at",
            sa.TIMESTAMP(timezone=True),
            nullable=False,
            comment="As-of instant: no answer at or after it was used.",
        ),
        text("run_id", "Calibration that gives the scale; NULL without one."),
        sa.PrimaryKeyConstraint("user_id", "week_start"),
        comment="Growth of each student, week by week: percentile, pace, and beside them the distance to the goal and the "
        "pace it needs.",
    )
    create_index_if_missing(op, "ix_student_growth_week", table="student_growth", columns=["week_start"], unique=False)


def downgrade() -> None:
    undo_revision(op, revision)
