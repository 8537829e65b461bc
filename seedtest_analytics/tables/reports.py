"""Where the reports are."""

from sqlalchemy import BigInteger, Date, Index, Integer, Table, Text, UniqueConstraint

from seedtest_analytics.tables.declare import NOW, Instant, column, metadata, student_column

report_artifacts = Table(
    "report_artifacts",
    metadata,
    column("id", BigInteger, "Key.", primary_key=True, autoincrement=True),
    student_column("weekly_kpi.user_id", nullable=False),
    column(
        "week_start",
        Date,
        "Monday of the week reported on.",
        nullable=False,
        derived_from=("weekly_kpi.week_start",),
    ),
    column(
        "format", Text, "'html' or 'pdf'.", nullable=False, server_default="html", allowed=("html", "pdf")
    ),
    column("url", Text, "Where the file is.", nullable=False, pii="pseudonymous"),
    column(
        "generated_at",
        Instant,
        "When the file was last made anew.",
        nullable=False,
        server_default=NOW,
        is_volatile=True,
    ),
    column("sha256", Text, "Digest of the file."),
    column("size_bytes", Integer, "Size of the file.", unit="bytes", minimum=1),
    column("renderer", Text, "What rendered it: 'quarto' or 'embedded'."),
    UniqueConstraint("user_id", "week_start", "format", name="uq_report_artifacts_user_week_format"),
    Index("ix_report_artifacts_user_week", "user_id", "week_start"),
    Index("ix_report_artifacts_generated_at", "generated_at"),
    comment="Weekly reports in the object store; one row a student, week and format.",
)
