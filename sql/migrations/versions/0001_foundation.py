"""Foundation: source tables where missing, the attempt log behind the view, and every output table.

Revision: 0001, the first.
"""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

from seedtest_analytics.database.migrations import (
    create_index_if_missing,
    create_or_extend,
    remember_origins,
    replace_legacy_view,
    undo_everything,
)
from seedtest_analytics.database.sql_files import read_sql

revision = "0001"
down_revision = None
branch_labels = None
depends_on = None


def upgrade() -> None:
    remember_origins(op)
    create_or_extend(
        op,
        "ability_window",
        sa.Column("user_id", sa.Text(), nullable=False, comment="Raw id of the student."),
        sa.Column("week_start", sa.Date(), nullable=False, comment="Partition: Monday of the week."),
        sa.Column(
            "window_name",
            sa.Text(),
            nullable=False,
            comment="'recent': the 14 days before the as-of instant; 'previous': the 14 days before those.",
        ),
        sa.Column(
            "window_start_at",
            postgresql.TIMESTAMP(timezone=True),
            nullable=False,
            comment="First instant of the window.",
        ),
        sa.Column(
            "window_end_at",
            postgresql.TIMESTAMP(timezone=True),
            nullable=False,
            comment="First instant after the window.",
        ),
        sa.Column(
            "theta",
            sa.DOUBLE_PRECISION(),
            nullable=False,
            comment="Ability from the answers inside the window, EAP. [logit]",
        ),
        sa.Column("se", sa.DOUBLE_PRECISION(), nullable=False, comment="Posterior SD. [logit]"),
        sa.Column("n_answers", sa.Integer(), nullable=False, comment="Answers inside the window, first at each item."),
        sa.Column(
            "run_id", sa.Text(), nullable=False, comment="Calibration whose parameters were used for both windows."
        ),
        sa.PrimaryKeyConstraint("user_id", "week_start", "window_name"),
        comment="Abilities from the answers inside a window; two windows of one week share one scale.",
    )
    create_index_if_missing(op, "ix_ability_window_week", table="ability_window", columns=["week_start"], unique=False)
    create_or_extend(
        op,
        "attempt_log",
        sa.Column(
            "id",
            sa.BigInteger(),
            nullable=True,
            comment="First 64 bits of md5(exam result id - question id); later repeats in one exam add their number.",
        ),
        sa.Column(
            "student_id",
            sa.UUID(),
            nullable=True,
            comment="The user id where it is a UUID, else md5 of it laid out as one.",
        ),
        sa.Column("item_id", sa.BigInteger(), nullable=True, comment="Question answered; question.id."),
        sa.Column(
            "correct",
            sa.Boolean(),
            nullable=True,
            comment="Answered right; false also where unanswered (see is_answered).",
        ),
        sa.Column(
            "response_time_ms",
            sa.Integer(),
            nullable=True,
            comment="Time spent; 0 where it was not recorded (see recorded_time_ms). [ms]",
        ),
        sa.Column("hint_used", sa.Boolean(), nullable=True, comment="At least one hint was used."),
        sa.Column(
            "completed_at",
            postgresql.TIMESTAMP(timezone=True),
            nullable=True,
            comment="When the question was answered: its own time, else the exam's first storing. A re-score does not move it.",
        ),
        sa.Column(
            "started_at",
            postgresql.TIMESTAMP(timezone=True),
            nullable=True,
            comment="completed_at less the time spent, in whole seconds.",
        ),
        sa.Column(
            "attempt_no",
            sa.Integer(),
            nullable=True,
            comment="Number of this attempt among the student's attempts at the item, from 1.",
        ),
        sa.Column("session_id", sa.Text(), nullable=True, comment="Session of the exam."),
        sa.Column("topic_id", sa.Text(), nullable=True, comment="Topic given with the answer."),
        sa.Column("user_id", sa.Text(), nullable=False, comment="Raw id of the student; key of every output."),
        sa.Column("exam_result_id", sa.UUID(), nullable=False, comment="Exam result that the attempt belongs to."),
        sa.Column("question_ordinal", sa.Integer(), nullable=False, comment="Position in questions[], from 1."),
        sa.Column("exam_id", sa.Integer(), nullable=True, comment="Exam taken."),
        sa.Column("org_id", sa.Integer(), nullable=True, comment="Organisation of the student."),
        sa.Column(
            "is_answered",
            sa.Boolean(),
            nullable=False,
            comment="The student gave an answer; an unanswered question is missing, not wrong.",
        ),
        sa.Column(
            "answer_no",
            sa.Integer(),
            nullable=True,
            comment="Number of this answer among the student's answered attempts at the item, from 1; NULL where unanswered.",
        ),
        sa.Column(
            "recorded_time_ms",
            sa.DOUBLE_PRECISION(),
            nullable=True,
            comment="Time spent, NULL where it was not recorded. [ms]",
        ),
        sa.Column("hints_used", sa.Integer(), nullable=True, comment="Hints used, NULL where they were not recorded."),
        sa.Column(
            "occurrence_no",
            sa.Integer(),
            nullable=False,
            comment="Number of the question's occurrence within its exam, from 1.",
        ),
        comment="The attempts as stored rows behind the view `attempt`, kept in step with exam_results by the asset of that name.",
    )
    create_index_if_missing(
        op, "ix_attempt_log_completed_at", table="attempt_log", columns=["completed_at"], unique=False
    )
    create_index_if_missing(
        op, "ix_attempt_log_student_item", table="attempt_log", columns=["student_id", "item_id"], unique=False
    )
    create_index_if_missing(
        op, "ix_attempt_log_user_completed_at", table="attempt_log", columns=["user_id", "completed_at"], unique=False
    )
    create_index_if_missing(
        op, "pk_attempt_log", table="attempt_log", columns=["exam_result_id", "question_ordinal"], unique=True
    )
    create_or_extend(
        op,
        "attempt_quarantine",
        sa.Column("exam_result_id", sa.UUID(), nullable=False, comment="Exam result with the malformed part."),
        sa.Column(
            "question_ordinal",
            sa.Integer(),
            autoincrement=False,
            nullable=False,
            comment="Position in questions[], from 1; 0 where the exam as a whole is meant.",
        ),
        sa.Column("reason", sa.Text(), nullable=False, comment="What is wrong, as a short code."),
        sa.Column(
            "is_excluded",
            sa.Boolean(),
            nullable=False,
            comment="The attempt is left out; else it is kept with the malformed field as not recorded.",
        ),
        sa.Column("detail", sa.Text(), nullable=False, comment="The cause and the remedy in words."),
        sa.Column(
            "element",
            postgresql.JSONB(astext_type=sa.Text()),
            nullable=True,
            comment="The element as it stands in the source, cut to 2,000 characters of text where longer.",
        ),
        sa.Column("session_id", sa.Text(), nullable=True, comment="Session of the exam."),
        sa.Column("user_id", sa.Text(), nullable=True, comment="Raw id of the student as found."),
        sa.Column("completed_at", postgresql.TIMESTAMP(timezone=True), nullable=True, comment="Time of the exam."),
        sa.Column(
            "detected_at",
            postgresql.TIMESTAMP(timezone=True),
            server_default=sa.text("now()"),
            nullable=False,
            comment="When it was first noticed.",
        ),
        sa.PrimaryKeyConstraint("exam_result_id", "question_ordinal", "reason"),
        comment="Malformed elements of exam_results with their reason; nothing is lost and nothing breaks a query.",
    )
    create_index_if_missing(
        op, "ix_attempt_quarantine_reason", table="attempt_quarantine", columns=["reason"], unique=False
    )
    create_or_extend(
        op,
        "attempt_sync",
        sa.Column("exam_result_id", sa.UUID(), nullable=False, comment="Exam result."),
        sa.Column(
            "source_version",
            sa.Text(),
            nullable=False,
            comment="xmin of the exam result when its attempts were made; every update changes it.",
        ),
        sa.Column(
            "source_hash",
            sa.UUID(),
            nullable=False,
            comment="md5 over the exam result's columns that the attempts are made of.",
        ),
        sa.Column(
            "n_elements",
            sa.Integer(),
            nullable=False,
            comment="Elements of questions[] that the exam result had; 1 where questions is no array.",
        ),
        sa.Column(
            "synced_at",
            postgresql.TIMESTAMP(timezone=True),
            nullable=False,
            comment="When its attempts were last made.",
        ),
        sa.PrimaryKeyConstraint("exam_result_id"),
        comment="Which version of each exam result the attempt log holds.",
    )
    create_or_extend(
        op,
        "attempt_touched_day",
        sa.Column("id", sa.BigInteger(), autoincrement=True, nullable=False, comment="Key, growing."),
        sa.Column("day", sa.Date(), nullable=False, comment="Day in the platform's time zone whose attempts changed."),
        sa.Column(
            "touched_at",
            postgresql.TIMESTAMP(timezone=True),
            server_default=sa.text("now()"),
            nullable=False,
            comment="When the change was made.",
        ),
        sa.Column("attempts", sa.Integer(), nullable=False, comment="Attempts added, changed or removed on that day."),
        sa.PrimaryKeyConstraint("id"),
        comment="Days whose attempts changed; the sensor reads on from the last id that it saw.",
    )
    create_or_extend(
        op,
        "classroom",
        sa.Column("id", sa.Text(), nullable=False, comment="Key of the classroom."),
        sa.Column("org_id", sa.Text(), nullable=False, comment="Organisation of the classroom."),
        sa.Column("name", sa.Text(), nullable=False, comment="Name of the classroom."),
        sa.Column("grade", sa.SmallInteger(), nullable=True, comment="School grade, 0..12."),
        sa.Column(
            "created_at",
            postgresql.TIMESTAMP(timezone=True),
            server_default=sa.text("now()"),
            nullable=False,
            comment="When the row was stored.",
        ),
        sa.PrimaryKeyConstraint("id"),
        sa.UniqueConstraint("org_id", "name", name="uq_classroom_org_name"),
        comment="Classrooms of organisations.",
    )
    create_or_extend(
        op,
        "exam_results",
        sa.Column(
            "id",
            sa.UUID(),
            server_default=sa.text("gen_random_uuid()"),
            nullable=False,
            comment="Key of the exam result.",
        ),
        sa.Column(
            "session_id", sa.Text(), nullable=False, comment="Session that the exam was taken in; one result a session."
        ),
        sa.Column("user_id", sa.Text(), nullable=True, comment="Raw id of the student."),
        sa.Column("exam_id", sa.Integer(), nullable=True, comment="Exam taken; also used as the subject."),
        sa.Column(
            "status",
            sa.Text(),
            server_default="ready",
            nullable=False,
            comment="'ready' or 'failed'; failed exams count nowhere.",
        ),
        sa.Column(
            "result_json",
            postgresql.JSONB(astext_type=sa.Text()),
            nullable=False,
            comment="Score, topics and questions[] of the exam.",
        ),
        sa.Column("score_raw", sa.Numeric(), nullable=True, comment="Raw score. [points]"),
        sa.Column("score_scaled", sa.Numeric(), nullable=True, comment="Scaled score. [points]"),
        sa.Column(
            "standard_error", sa.Numeric(), nullable=True, comment="Standard error of the scaled score. [points]"
        ),
        sa.Column("percentile", sa.Numeric(), nullable=True, comment="Percentile of the score. [percent]"),
        sa.Column(
            "created_at",
            postgresql.TIMESTAMP(timezone=True),
            server_default=sa.text("now()"),
            nullable=False,
            comment="When the result was first stored.",
        ),
        sa.Column(
            "updated_at",
            postgresql.TIMESTAMP(timezone=True),
            server_default=sa.text("now()"),
            nullable=False,
            comment="When the result was last stored; a re-score moves it.",
        ),
        sa.Column("org_id", sa.Integer(), nullable=True, comment="Organisation of the student."),
        sa.PrimaryKeyConstraint("id"),
        sa.UniqueConstraint("session_id", name="uq_exam_results_session_id"),
        comment="Exam results with their questions as JSON; the raw source of truth.",
    )
    create_index_if_missing(op, "ix_exam_results_org_id", table="exam_results", columns=["org_id"], unique=False)
    create_index_if_missing(
        op, "ix_exam_results_updated_at_id", table="exam_results", columns=["updated_at", "id"], unique=False
    )
    create_index_if_missing(
        op, "ix_exam_results_user_exam", table="exam_results", columns=["user_id", "exam_id"], unique=False
    )
    create_or_extend(
        op,
        "features_topic_daily",
        sa.Column("user_id", sa.Text(), nullable=False, comment="Raw id of the student."),
        sa.Column("topic_id", sa.Text(), nullable=False, comment="Topic."),
        sa.Column("date", sa.Date(), nullable=False, comment="Day in the platform's time zone."),
        sa.Column(
            "attempts", sa.Integer(), server_default="0", nullable=False, comment="Answered attempts of the day."
        ),
        sa.Column("correct", sa.Integer(), server_default="0", nullable=False, comment="Of these, right."),
        sa.Column(
            "avg_time_ms", sa.Integer(), nullable=True, comment="Mean of the recorded times of answered attempts. [ms]"
        ),
        sa.Column(
            "theta_estimate",
            sa.Numeric(precision=6, scale=3),
            nullable=True,
            comment="Newest ability at the end of the day: in the topic where known, else overall. [logit]",
        ),
        sa.Column(
            "last_seen_at", postgresql.TIMESTAMP(timezone=True), nullable=True, comment="Last attempt of the day."
        ),
        sa.Column(
            "computed_at",
            postgresql.TIMESTAMP(timezone=True),
            server_default=sa.text("now()"),
            nullable=False,
            comment="When the row was computed.",
        ),
        sa.Column(
            "hints", sa.Integer(), server_default="0", nullable=False, comment="Attempts with at least one hint."
        ),
        sa.Column(
            "theta_sd",
            sa.Numeric(precision=6, scale=3),
            nullable=True,
            comment="Posterior SD of theta_estimate. [logit]",
        ),
        sa.Column(
            "rt_median", sa.Integer(), nullable=True, comment="Median of the recorded times of answered attempts. [ms]"
        ),
        sa.Column(
            "improvement",
            sa.Numeric(precision=6, scale=3),
            nullable=True,
            comment="I_t by accuracy within the topic, at the end of the day.",
        ),
        sa.Column(
            "theta_mean",
            sa.Numeric(precision=6, scale=3),
            nullable=True,
            comment="Same as theta_estimate, under the name that two readers ask for. [logit]",
        ),
        sa.PrimaryKeyConstraint("user_id", "topic_id", "date"),
        comment="What a student did in a topic on a day.",
    )
    create_index_if_missing(
        op, "ix_features_topic_daily_date", table="features_topic_daily", columns=["date"], unique=False
    )
    create_index_if_missing(
        op,
        "ix_features_topic_daily_topic_date",
        table="features_topic_daily",
        columns=["topic_id", "date"],
        unique=False,
    )
    create_index_if_missing(
        op, "ix_features_topic_daily_user_date", table="features_topic_daily", columns=["user_id", "date"], unique=False
    )
    create_or_extend(
        op,
        "interest_goal",
        sa.Column("user_id", sa.Text(), nullable=False, comment="Raw id of the student."),
        sa.Column("topic_id", sa.Text(), nullable=False, comment="Topic of the goal."),
        sa.Column(
            "target_level",
            sa.Numeric(precision=6, scale=3),
            nullable=True,
            comment="Ability that the student wants to reach. [logit]",
        ),
        sa.Column(
            "priority",
            sa.SmallInteger(),
            server_default="0",
            nullable=False,
            comment="Weight of the goal among the student's goals, 0..100.",
        ),
        sa.Column(
            "created_at",
            postgresql.TIMESTAMP(timezone=True),
            server_default=sa.text("now()"),
            nullable=False,
            comment="When the goal was set.",
        ),
        sa.PrimaryKeyConstraint("user_id", "topic_id"),
        comment="Goals of students by topic.",
    )
    create_or_extend(
        op,
        "load_rejects",
        sa.Column("id", sa.BigInteger(), autoincrement=True, nullable=False, comment="Key."),
        sa.Column("file_name", sa.Text(), nullable=False, comment="Name of the log file, without its folder."),
        sa.Column(
            "row_number", sa.BigInteger(), nullable=False, comment="Row of the file, 1 is the first after the header."
        ),
        sa.Column("reason", sa.Text(), nullable=False, comment="Why the row was not loaded."),
        sa.Column(
            "raw_row", postgresql.JSONB(astext_type=sa.Text()), nullable=False, comment="The row as it was read."
        ),
        sa.Column(
            "rejected_at",
            postgresql.TIMESTAMP(timezone=True),
            server_default=sa.text("now()"),
            nullable=False,
            comment="When the row was rejected.",
        ),
        sa.PrimaryKeyConstraint("id"),
        sa.UniqueConstraint("file_name", "row_number", "reason", name="uq_load_rejects_row"),
        comment="Rows of attempt logs that could not be loaded, with their reason.",
    )
    create_or_extend(
        op,
        "mirt_ability",
        sa.Column("user_id", sa.Text(), nullable=False, comment="Raw id of the student."),
        sa.Column("theta", sa.DOUBLE_PRECISION(), nullable=False, comment="Ability, EAP. [logit]"),
        sa.Column("se", sa.DOUBLE_PRECISION(), nullable=True, comment="Posterior SD of the ability. [logit]"),
        sa.Column("model", sa.Text(), nullable=True, comment="Model of the item parameters."),
        sa.Column(
            "version",
            sa.Text(),
            nullable=False,
            comment="ISO week that the ability belongs to; one row a student and week.",
        ),
        sa.Column(
            "fitted_at",
            postgresql.TIMESTAMP(timezone=True),
            server_default=sa.text("now()"),
            nullable=False,
            comment="As-of instant: no answer at or after it was used.",
        ),
        sa.Column("run_id", sa.Text(), nullable=True, comment="Calibration whose parameters were used."),
        sa.Column("week_start", sa.Date(), nullable=True, comment="Partition: Monday of the week."),
        sa.Column("n_answers", sa.Integer(), nullable=True, comment="Answers that the ability rests on."),
        sa.Column("method", sa.Text(), nullable=True, comment="Estimator."),
        sa.PrimaryKeyConstraint("user_id", "version", name="pk_mirt_ability"),
        comment="Abilities of students, week by week; the newest row by fitted_at is the current one.",
    )
    create_index_if_missing(
        op, "ix_mirt_ability_user_fitted_at", table="mirt_ability", columns=["user_id", "fitted_at"], unique=False
    )
    create_index_if_missing(op, "ix_mirt_ability_week", table="mirt_ability", columns=["week_start"], unique=False)
    create_or_extend(
        op,
        "mirt_fit_meta",
        sa.Column(
            "run_id", sa.Text(), nullable=False, comment="Calibration; derived from its week, settings and data."
        ),
        sa.Column(
            "model_spec",
            postgresql.JSONB(astext_type=sa.Text()),
            server_default=sa.text("'{}'::jsonb"),
            nullable=False,
            comment="{model, n_persons, n_items, quadrature, linking_constants: {A, B, slope, intercept, n_anchors_used}, …}.",
        ),
        sa.Column(
            "metrics",
            postgresql.JSONB(astext_type=sa.Text()),
            server_default=sa.text("'{}'::jsonb"),
            nullable=False,
            comment="{log_likelihood, n_iterations, converged, max_gradient, usable, reasons, group_mean, group_sd, …}.",
        ),
        sa.Column(
            "fitted_at",
            postgresql.TIMESTAMP(timezone=True),
            nullable=False,
            comment="As-of instant: no answer at or after it was used.",
        ),
        sa.Column("week_start", sa.Date(), nullable=False, comment="Partition: Monday of the week."),
        sa.Column("version", sa.Text(), nullable=False, comment="Version of the scale that the parameters are on."),
        sa.Column("is_usable", sa.Boolean(), nullable=False, comment="The fit may be scored with."),
        sa.Column("data_fingerprint", sa.UUID(), nullable=False, comment="md5 over the answers used."),
        sa.Column(
            "computed_at",
            postgresql.TIMESTAMP(timezone=True),
            server_default=sa.text("now()"),
            nullable=False,
            comment="When it was computed.",
        ),
        sa.PrimaryKeyConstraint("run_id"),
        comment="One row a calibration: what was fitted, on what, and whether to believe it.",
    )
    create_index_if_missing(op, "ix_mirt_fit_meta_week", table="mirt_fit_meta", columns=["week_start"], unique=True)
    create_or_extend(
        op,
        "mirt_item_params",
        sa.Column("item_id", sa.Text(), nullable=False, comment="Item; question.id as text."),
        sa.Column("model", sa.Text(), nullable=True, comment="Rasch, 2PL or 3PL."),
        sa.Column(
            "params",
            postgresql.JSONB(astext_type=sa.Text()),
            nullable=False,
            comment="{a, b, c} on the logit metric (D = 1), with se_a, se_b, n and flags.",
        ),
        sa.Column("version", sa.Text(), server_default="v1", nullable=True, comment="Version of the calibration."),
        sa.Column(
            "fitted_at",
            postgresql.TIMESTAMP(timezone=True),
            server_default=sa.text("now()"),
            nullable=True,
            comment="As-of instant of the calibration.",
        ),
        sa.Column("run_id", sa.Text(), nullable=True, comment="Calibration; mirt_fit_meta.run_id."),
        sa.PrimaryKeyConstraint("item_id"),
        comment="The current parameters of each item: those of the newest usable calibration that has it.",
    )
    create_or_extend(
        op,
        "mirt_item_params_history",
        sa.Column("run_id", sa.Text(), nullable=False, comment="Calibration; mirt_fit_meta.run_id."),
        sa.Column("item_id", sa.Text(), nullable=False, comment="Item; question.id as text."),
        sa.Column("model", sa.Text(), nullable=False, comment="Rasch, 2PL or 3PL."),
        sa.Column("a", sa.DOUBLE_PRECISION(), nullable=True, comment="Discrimination. [1/logit]"),
        sa.Column("b", sa.DOUBLE_PRECISION(), nullable=True, comment="Difficulty. [logit]"),
        sa.Column("c", sa.DOUBLE_PRECISION(), nullable=True, comment="Lower asymptote."),
        sa.Column("se_a", sa.DOUBLE_PRECISION(), nullable=True, comment="Standard error of a. [1/logit]"),
        sa.Column("se_b", sa.DOUBLE_PRECISION(), nullable=True, comment="Standard error of b. [logit]"),
        sa.Column("se_c", sa.DOUBLE_PRECISION(), nullable=True, comment="Standard error of c."),
        sa.Column("n_responses", sa.Integer(), nullable=False, comment="Answers used."),
        sa.Column("p_correct", sa.DOUBLE_PRECISION(), nullable=True, comment="Share answered right."),
        sa.Column("is_anchor", sa.Boolean(), nullable=False, comment="Its parameters were held fixed."),
        sa.Column(
            "flag", sa.Text(), nullable=True, comment="Why the item was set aside or needs a look; NULL: nothing found."
        ),
        sa.Column("week_start", sa.Date(), nullable=False, comment="Partition: Monday of the week."),
        sa.PrimaryKeyConstraint("run_id", "item_id"),
        comment="Item parameters of every calibration; one row a calibration and item.",
    )
    create_index_if_missing(
        op,
        "ix_mirt_item_params_history_item",
        table="mirt_item_params_history",
        columns=["item_id", "week_start"],
        unique=False,
    )
    create_index_if_missing(
        op, "ix_mirt_item_params_history_week", table="mirt_item_params_history", columns=["week_start"], unique=False
    )
    create_or_extend(
        op,
        "question",
        sa.Column(
            "id",
            sa.BigInteger(),
            autoincrement=False,
            nullable=False,
            comment="Key of the question; the item of the analytics.",
        ),
        sa.Column("content", sa.Text(), nullable=False, comment="Text of the question."),
        sa.Column(
            "difficulty", sa.Numeric(), nullable=True, comment="Difficulty given by the author. [author's scale]"
        ),
        sa.Column("topic_id", sa.Text(), nullable=True, comment="Topic of the question."),
        sa.Column(
            "meta",
            postgresql.JSONB(astext_type=sa.Text()),
            server_default=sa.text("'{}'::jsonb"),
            nullable=True,
            comment="irt: {a, b, c, model, version}; tags: [text], 'anchor' marks an anchor item.",
        ),
        sa.Column(
            "created_at",
            postgresql.TIMESTAMP(timezone=True),
            server_default=sa.text("now()"),
            nullable=False,
            comment="When the question was stored.",
        ),
        sa.Column(
            "updated_at",
            postgresql.TIMESTAMP(timezone=True),
            server_default=sa.text("now()"),
            nullable=False,
            comment="When the question was last changed.",
        ),
        sa.PrimaryKeyConstraint("id"),
        comment="The item bank.",
    )
    create_index_if_missing(
        op, "ix_question_meta", table="question", columns=["meta"], unique=False, postgresql_using="gin"
    )
    create_index_if_missing(op, "ix_question_topic_id", table="question", columns=["topic_id"], unique=False)
    create_or_extend(
        op,
        "report_artifacts",
        sa.Column("id", sa.BigInteger(), autoincrement=True, nullable=False, comment="Key."),
        sa.Column("user_id", sa.Text(), nullable=False, comment="Raw id of the student."),
        sa.Column("week_start", sa.Date(), nullable=False, comment="Monday of the week reported on."),
        sa.Column("format", sa.Text(), server_default="html", nullable=False, comment="'html' or 'pdf'."),
        sa.Column("url", sa.Text(), nullable=False, comment="Where the file is."),
        sa.Column(
            "generated_at",
            postgresql.TIMESTAMP(timezone=True),
            server_default=sa.text("now()"),
            nullable=False,
            comment="When the file was last made anew.",
        ),
        sa.Column("sha256", sa.Text(), nullable=True, comment="Digest of the file."),
        sa.Column("size_bytes", sa.Integer(), nullable=True, comment="Size of the file. [bytes]"),
        sa.Column("renderer", sa.Text(), nullable=True, comment="What rendered it: 'quarto' or 'embedded'."),
        sa.PrimaryKeyConstraint("id"),
        sa.UniqueConstraint("user_id", "week_start", "format", name="uq_report_artifacts_user_week_format"),
        comment="Weekly reports in the object store; one row a student, week and format.",
    )
    create_index_if_missing(
        op, "ix_report_artifacts_generated_at", table="report_artifacts", columns=["generated_at"], unique=False
    )
    create_index_if_missing(
        op, "ix_report_artifacts_user_week", table="report_artifacts", columns=["user_id", "week_start"], unique=False
    )
    create_or_extend(
        op,
        "session",
        sa.Column("id", sa.Text(), nullable=False, comment="Key of the session."),
        sa.Column("classroom_id", sa.Text(), nullable=True, comment="Classroom that the session belongs to."),
        sa.Column("exam_id", sa.Text(), nullable=True, comment="Exam of the session."),
        sa.Column("started_at", postgresql.TIMESTAMP(timezone=True), nullable=True, comment="Start of the session."),
        sa.Column("ended_at", postgresql.TIMESTAMP(timezone=True), nullable=True, comment="End of the session."),
        sa.Column("status", sa.Text(), nullable=True, comment="State of the session."),
        sa.Column(
            "created_at",
            postgresql.TIMESTAMP(timezone=True),
            server_default=sa.text("now()"),
            nullable=False,
            comment="When the row was stored.",
        ),
        sa.Column("user_id", sa.Text(), nullable=True, comment="Raw id of the student."),
        sa.Column("org_id", sa.Integer(), nullable=True, comment="Organisation of the student."),
        sa.PrimaryKeyConstraint("id"),
        comment="Sessions of the web application.",
    )
    create_index_if_missing(op, "ix_session_classroom_id", table="session", columns=["classroom_id"], unique=False)
    create_index_if_missing(op, "ix_session_org_id", table="session", columns=["org_id"], unique=False)
    create_index_if_missing(
        op, "ix_session_status_started_at", table="session", columns=["status", "started_at"], unique=False
    )
    create_index_if_missing(op, "ix_session_user_id", table="session", columns=["user_id"], unique=False)
    create_or_extend(
        op,
        "student_topic_theta",
        sa.Column("user_id", sa.Text(), nullable=False, comment="Raw id of the student."),
        sa.Column("topic_id", sa.Text(), nullable=False, comment="Topic."),
        sa.Column(
            "theta",
            sa.DOUBLE_PRECISION(),
            nullable=False,
            comment="Ability in the topic; EAP with the student's overall posterior as the prior. [logit]",
        ),
        sa.Column("se", sa.DOUBLE_PRECISION(), nullable=True, comment="Posterior SD. [logit]"),
        sa.Column(
            "standard_error",
            sa.Numeric(),
            nullable=True,
            comment="Same as se, under the name of an older reader. [logit]",
        ),
        sa.Column("model", sa.Text(), nullable=False, comment="Model of the item parameters."),
        sa.Column("version", sa.Text(), nullable=True, comment="ISO week that the ability belongs to."),
        sa.Column(
            "fitted_at",
            postgresql.TIMESTAMP(timezone=True),
            server_default=sa.text("now()"),
            nullable=False,
            comment="As-of instant.",
        ),
        sa.Column(
            "updated_at",
            postgresql.TIMESTAMP(timezone=True),
            server_default=sa.text("now()"),
            nullable=False,
            comment="Same as fitted_at, under the name of an older reader.",
        ),
        sa.Column("n_answers", sa.Integer(), nullable=True, comment="Answers in the topic."),
        sa.Column("run_id", sa.Text(), nullable=True, comment="Calibration whose parameters were used."),
        sa.PrimaryKeyConstraint("user_id", "topic_id"),
        comment="Current ability of each student in each topic.",
    )
    create_or_extend(
        op,
        "student_topic_theta_history",
        sa.Column("user_id", sa.Text(), nullable=False, comment="Raw id of the student."),
        sa.Column("topic_id", sa.Text(), nullable=False, comment="Topic."),
        sa.Column("week_start", sa.Date(), nullable=False, comment="Partition: Monday of the week."),
        sa.Column(
            "theta",
            sa.DOUBLE_PRECISION(),
            nullable=False,
            comment="Ability in the topic; EAP with the student's overall posterior as the prior. [logit]",
        ),
        sa.Column("se", sa.DOUBLE_PRECISION(), nullable=False, comment="Posterior SD. [logit]"),
        sa.Column("model", sa.Text(), nullable=False, comment="Model of the item parameters."),
        sa.Column("version", sa.Text(), nullable=False, comment="ISO week that the ability belongs to."),
        sa.Column("fitted_at", postgresql.TIMESTAMP(timezone=True), nullable=False, comment="As-of instant."),
        sa.Column("n_answers", sa.Integer(), nullable=False, comment="Answers in the topic."),
        sa.Column("run_id", sa.Text(), nullable=False, comment="Calibration whose parameters were used."),
        sa.PrimaryKeyConstraint("user_id", "topic_id", "week_start"),
        comment="Abilities in topics week by week; student_topic_theta holds the newest of each.",
    )
    create_index_if_missing(
        op,
        "ix_student_topic_theta_history_week",
        table="student_topic_theta_history",
        columns=["week_start"],
        unique=False,
    )
    create_or_extend(
        op,
        "weekly_kpi",
        sa.Column("user_id", sa.Text(), nullable=False, comment="Raw id of the student."),
        sa.Column(
            "week_start", sa.Date(), nullable=False, comment="Monday of the ISO week in the platform's time zone."
        ),
        sa.Column(
            "kpis",
            postgresql.JSONB(astext_type=sa.Text()),
            server_default=sa.text("'{}'::jsonb"),
            nullable=False,
            comment="I_t, E_t, R_t, A_t, P, S (number or null), their evidence and methods.",
        ),
        sa.Column(
            "created_at",
            postgresql.TIMESTAMP(timezone=True),
            server_default=sa.text("now()"),
            nullable=False,
            comment="When the row was first written.",
        ),
        sa.Column(
            "updated_at",
            postgresql.TIMESTAMP(timezone=True),
            server_default=sa.text("now()"),
            nullable=False,
            comment="When a value last changed.",
        ),
        sa.PrimaryKeyConstraint("user_id", "week_start"),
        comment="KPIs of each student and week; every writer merges its own keys and touches no other.",
    )
    create_index_if_missing(op, "ix_weekly_kpi_week", table="weekly_kpi", columns=["week_start"], unique=False)
    replace_legacy_view(op, "attempt_element", definition=read_sql("migrations/views/0001_attempt_element.sql"))
    replace_legacy_view(op, "attempt", definition=read_sql("migrations/views/0001_attempt.sql"))


def downgrade() -> None:
    undo_everything(op)
