"""Rendered reports."""

from sqlalchemy import BigInteger, Boolean, Date, Index, Integer, Table, Text, UniqueConstraint

from seedtest_analytics.tables.declare import (
    JSONB,
    column,
    computed_by,
    computed_column,
    metadata,
    student_column,
    week_column,
)

INPUTS = (
    "Digest of what the file was made from: data, template, catalogue, code, language, formats. While it is the same, the "
    "file is not made again."
)

report_artifacts = Table(
    "report_artifacts",
    metadata,
    column("id", BigInteger, comment="Key.", primary_key=True, autoincrement=True),
    student_column("weekly_kpi.user_id", nullable=False),
    column(
        "week_start",
        Date,
        comment="Monday of the week reported on.",
        nullable=False,
        derived_from=("weekly_kpi.week_start",),
    ),
    column("format", Text, comment="'html' or 'pdf'.", nullable=False, server_default="html", allowed=("html", "pdf")),
    column("url", Text, comment="Where the file is.", nullable=False, pii="pseudonymous"),
    computed_column("generated_at", "When the content of the file last changed."),
    column("sha256", Text, comment="Digest of the file."),
    column("size_bytes", Integer, comment="Size of the file.", unit="bytes", minimum=1),
    column("renderer", Text, comment="Renderer: 'quarto' or 'embedded'."),
    column("language", Text, comment="Language of the report."),
    column(
        "advice",
        JSONB,
        comment="[{rule, tone, values}]: the advice as codes, the most pressing first; readers put it into words.",
        derived_from=("weekly_kpi.kpis", "features_topic_daily.correct", "mirt_ability.theta"),
    ),
    column(
        "needs_help",
        Boolean,
        comment="Somebody should look after the student: a rule of `reporting.recommendations.HELP_RULES` applies.",
        derived_from=("weekly_kpi.kpis", "features_topic_daily.correct", "mirt_ability.theta"),
    ),
    column("inputs", Text, comment=INPUTS),
    UniqueConstraint("user_id", "week_start", "format", name="uq_report_artifacts_user_week_format"),
    Index("ix_report_artifacts_user_week", "user_id", "week_start"),
    Index("ix_report_artifacts_generated_at", "generated_at"),
    comment="Weekly reports in the object store; one row for each student, week and format.",
)
computed_by(
    report_artifacts,
    "assets.report_store.row_of",
    ("url", "resources.store.folder.FolderStore.url", "resources.store.s3.S3Store.url"),
    ("sha256 size_bytes", "resources.quarto.renderer.RenderedPage"),
    ("advice", "reporting.recommendations.recommendations"),
    ("needs_help", "reporting.recommendations.needs_help"),
    ("inputs", "assets.report_inputs.Inputs"),
)

report_pages = Table(
    "report_pages",
    metadata,
    column(
        "page",
        Text,
        comment="'teacher': the teacher's page of a student; 'index': the links of a week.",
        primary_key=True,
        allowed=("teacher", "index"),
    ),
    column(
        "subject",
        Text,
        comment="Raw id of the student; empty for the index.",
        primary_key=True,
        pii="pseudonymous",
        derived_from=("weekly_kpi.user_id",),
    ),
    week_column(primary_key=True),
    column("language", Text, comment="Language of the page.", nullable=False),
    column("url", Text, comment="Where the file is.", nullable=False, pii="pseudonymous"),
    computed_column("generated_at", "When the content of the file last changed."),
    column("sha256", Text, comment="Digest of the file.", nullable=False),
    column("size_bytes", Integer, comment="Size of the file.", unit="bytes", minimum=1, nullable=False),
    column("inputs", Text, comment=f"{INPUTS} Null for the index."),
    Index("ix_report_pages_week", "week_start"),
    comment="HTML pages of a week besides the families' reports: of teachers, and the index.",
)
computed_by(
    report_pages,
    "assets.report_store.page_row_of",
    ("url", "resources.store.folder.FolderStore.url", "resources.store.s3.S3Store.url"),
    ("sha256 size_bytes", "resources.quarto.renderer.RenderedPage"),
    ("inputs", "assets.report_inputs.Inputs"),
)

COHORT_STATES = ("shown", "too_small")

cohort_report = Table(
    "cohort_report",
    metadata,
    week_column(primary_key=True),
    column(
        "scope",
        Text,
        comment="Whom the page is about: a class, an organisation or the platform as a whole.",
        primary_key=True,
        allowed=("class", "organisation", "platform"),
    ),
    column(
        "subject",
        Text,
        comment="Key of the class or organisation; empty for the platform.",
        primary_key=True,
        derived_from=("attempt.session_id", "attempt.org_id"),
    ),
    column("format", Text, comment="'html' or 'pdf'.", primary_key=True, allowed=("html", "pdf")),
    column("language", Text, comment="Language of the page.", nullable=False),
    column(
        "name",
        Text,
        comment="Name of the class; NULL where none is known.",
        pii="free_text",
        derived_from=("attempt.session_id",),
    ),
    column(
        "status",
        Text,
        comment="'shown', or 'too_small': fewer students than REPORT_MIN_COHORT, and the page shows no numbers.",
        nullable=False,
        allowed=COHORT_STATES,
    ),
    column(
        "students",
        Integer,
        comment="Students that the numbers are about; NULL for a page that is too small.",
        minimum=0,
        derived_from=("weekly_kpi.user_id",),
    ),
    column("url", Text, comment="Where the file is.", nullable=False),
    computed_column("generated_at", "When the content of the file last changed."),
    column("sha256", Text, comment="Digest of the file.", nullable=False),
    column("size_bytes", Integer, comment="Size of the file.", unit="bytes", minimum=1, nullable=False),
    column("renderer", Text, comment="Renderer: 'quarto' or 'embedded'.", nullable=False),
    Index("ix_cohort_report_week", "week_start"),
    comment="Weekly pages about groups of students: of each class, of each organisation, and of the platform for its operators.",
)
computed_by(
    cohort_report,
    "assets.report_store.cohort_row_of",
    ("url", "resources.store.folder.FolderStore.url", "resources.store.s3.S3Store.url"),
    ("sha256 size_bytes", "resources.quarto.renderer.RenderedPage"),
    ("name status students", "sql/reports/cohort_pages.sql:pages"),
)
