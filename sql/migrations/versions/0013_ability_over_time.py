"""Ability over time: states by student and topic, hyperparameters, and the method of topic abilities.

Revision: 0013, after 0012.
"""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

from seedtest_analytics.database.migrations import (
    add_column,
    begin_revision,
    create_index_if_missing,
    create_or_extend,
    replace_comments,
    undo_revision,
)

revision = "0013"
down_revision = "0012"
branch_labels = None
depends_on = None

METHOD = "Estimator: EAP of the look-back, or dynamic (ability over time, from all answers)."
RUN = "Calibration whose parameters were used."
TOPIC = "Ability in the topic; EAP with the student's overall posterior as the prior. [logit]"
COMMENTS = (
    ("mirt_ability", "theta", "Ability, EAP. [logit]", "Ability, by method. [logit]"),
    ("mirt_ability", "method", "Estimator.", METHOD),
    *(
        (table, column, old, new)
        for table in ("student_topic_theta", "student_topic_theta_history")
        for column, old, new in (("theta", TOPIC, "Ability in the topic, by method. [logit]"),)
    ),
    *(
        (table, "run_id", RUN, f"{RUN[:-1]}; NULL without one.")
        for table in ("mirt_ability", "student_topic_theta", "student_topic_theta_history")
    ),
)


def upgrade() -> None:
    begin_revision(op, revision)
    create_or_extend(
        op,
        "ability_hyperparameters",
        sa.Column("week_start", sa.Date(), nullable=False, comment="Partition: Monday of the week."),
        sa.Column(
            "fit_week",
            sa.Date(),
            nullable=True,
            comment="Week whose answers they were fitted to; earlier weeks' fits serve for a while.",
        ),
        sa.Column(
            "hyperparameters",
            postgresql.JSONB(astext_type=sa.Text()),
            server_default=sa.text("'{}'::jsonb"),
            nullable=False,
            comment="Variances (logit²), rates a day, effects (logit).",
        ),
        sa.Column(
            "log_likelihood",
            sa.DOUBLE_PRECISION(),
            nullable=True,
            comment="Mean log-likelihood of an answer given the answers before it. [nat]",
        ),
        sa.Column(
            "baseline_log_likelihood",
            sa.DOUBLE_PRECISION(),
            nullable=True,
            comment="The same by the item's share of right answers so far. [nat]",
        ),
        sa.Column("n_answers", sa.Integer(), nullable=False, comment="Answers that were fitted."),
        sa.Column("n_students", sa.Integer(), nullable=False, comment="Students that were fitted."),
        sa.Column("is_calibrated", sa.Boolean(), nullable=False, comment="Items had the parameters of a calibration."),
        sa.Column("is_usable", sa.Boolean(), nullable=False, comment="Abilities over time may be computed with them."),
        sa.Column(
            "reasons",
            postgresql.JSONB(astext_type=sa.Text()),
            server_default=sa.text("'[]'::jsonb"),
            nullable=False,
            comment="What forbids the use.",
        ),
        sa.Column(
            "warnings",
            postgresql.JSONB(astext_type=sa.Text()),
            server_default=sa.text("'[]'::jsonb"),
            nullable=False,
            comment="What does not forbid it but is worth knowing.",
        ),
        sa.Column(
            "computed_at",
            postgresql.TIMESTAMP(timezone=True),
            server_default=sa.text("now()"),
            nullable=False,
            comment="When it was computed.",
        ),
        sa.PrimaryKeyConstraint("week_start"),
        comment="Hyperparameters of ability over time, week by week.",
    )
    create_or_extend(
        op,
        "ability_state",
        sa.Column("user_id", sa.Text(), nullable=False, comment="Raw id of the student."),
        sa.Column("week_start", sa.Date(), nullable=False, comment="Partition: Monday of the week."),
        sa.Column(
            "level",
            sa.DOUBLE_PRECISION(),
            nullable=False,
            comment="Level as of the week's as-of instant; it stays without new answers. [logit]",
        ),
        sa.Column(
            "se", sa.DOUBLE_PRECISION(), nullable=False, comment="Standard error of level; it grows with time. [logit]"
        ),
        sa.Column(
            "slope",
            sa.DOUBLE_PRECISION(),
            nullable=False,
            comment="Gain of the level a week by the student's own pace. [logit]",
        ),
        sa.Column("slope_se", sa.DOUBLE_PRECISION(), nullable=False, comment="Standard error of slope. [logit]"),
        sa.Column(
            "level_slope_covariance",
            sa.DOUBLE_PRECISION(),
            nullable=False,
            comment="Covariance of level and slope. [logit²]",
        ),
        sa.Column(
            "change",
            sa.DOUBLE_PRECISION(),
            nullable=False,
            comment="Mean level of the recent 14 days less that of the 14 days before, by all answers. [logit]",
        ),
        sa.Column(
            "change_se",
            sa.DOUBLE_PRECISION(),
            nullable=False,
            comment="Standard error of change, with the covariance of the two. [logit]",
        ),
        sa.Column("n_answers", sa.Integer(), nullable=False, comment="Answers behind it."),
        sa.Column(
            "answered_at",
            postgresql.TIMESTAMP(timezone=True),
            nullable=False,
            comment="The newest of these answers: the age of the evidence.",
        ),
        sa.Column(
            "fitted_at",
            postgresql.TIMESTAMP(timezone=True),
            nullable=False,
            comment="As-of instant: no answer at or after it was used.",
        ),
        sa.Column(
            "run_id",
            sa.Text(),
            nullable=True,
            comment="Calibration that gives the scale; NULL without one: 0 is the mean level at the first answer.",
        ),
        sa.PrimaryKeyConstraint("user_id", "week_start"),
        comment="Level, pace and change of each student, week by week, by the model of ability over time.",
    )
    create_index_if_missing(op, "ix_ability_state_week", table="ability_state", columns=["week_start"], unique=False)
    create_or_extend(
        op,
        "ability_topic_state",
        sa.Column("user_id", sa.Text(), nullable=False, comment="Raw id of the student."),
        sa.Column("topic_id", sa.Text(), nullable=False, comment="Topic."),
        sa.Column("week_start", sa.Date(), nullable=False, comment="Partition: Monday of the week."),
        sa.Column(
            "deviation", sa.DOUBLE_PRECISION(), nullable=False, comment="Ability in the topic less the level. [logit]"
        ),
        sa.Column(
            "deviation_se", sa.DOUBLE_PRECISION(), nullable=False, comment="Standard error of deviation. [logit]"
        ),
        sa.Column(
            "ability", sa.DOUBLE_PRECISION(), nullable=False, comment="Ability in the topic: level + deviation. [logit]"
        ),
        sa.Column(
            "se",
            sa.DOUBLE_PRECISION(),
            nullable=False,
            comment="Standard error of ability, with the covariance of level and deviation. [logit]",
        ),
        sa.Column("n_answers", sa.Integer(), nullable=False, comment="Answers behind it."),
        sa.Column(
            "answered_at",
            postgresql.TIMESTAMP(timezone=True),
            nullable=False,
            comment="The newest of these answers: the age of the evidence.",
        ),
        sa.Column(
            "fitted_at",
            postgresql.TIMESTAMP(timezone=True),
            nullable=False,
            comment="As-of instant: no answer at or after it was used.",
        ),
        sa.Column(
            "run_id",
            sa.Text(),
            nullable=True,
            comment="Calibration that gives the scale; NULL without one: 0 is the mean level at the first answer.",
        ),
        sa.PrimaryKeyConstraint("user_id", "topic_id", "week_start"),
        comment="Ability of each student in each topic, week by week, by the model of ability over time.",
    )
    create_index_if_missing(
        op, "ix_ability_topic_state_week", table="ability_topic_state", columns=["week_start"], unique=False
    )
    for table in ("student_topic_theta", "student_topic_theta_history"):
        add_column(op, table, column=sa.Column("method", sa.Text(), comment=METHOD))
    op.alter_column("student_topic_theta_history", "run_id", nullable=True)
    replace_comments(op, COMMENTS)


def downgrade() -> None:
    replace_comments(op, [(table, column, new, old) for table, column, old, new in COMMENTS])
    # Abilities without a calibration did not exist before.
    op.execute("DELETE FROM student_topic_theta_history WHERE run_id IS NULL")
    op.alter_column("student_topic_theta_history", "run_id", nullable=False)
    undo_revision(op, revision)
