"""Rendered reports."""

from sqlalchemy import BigInteger, Date, Index, Integer, Table, Text, UniqueConstraint

from seedtest_analytics.tables.declare import column, computed_by, computed_column, metadata, student_column

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
    UniqueConstraint("user_id", "week_start", "format", name="uq_report_artifacts_user_week_format"),
    Index("ix_report_artifacts_user_week", "user_id", "week_start"),
    Index("ix_report_artifacts_generated_at", "generated_at"),
    comment="Weekly reports in the object store; one row for each student, week and format.",
)
computed_by(
    report_artifacts,
    "assets.report_store.row_of",
    ("url", "resources.store.folder.FolderStore.url", "resources.store.s3.S3Store.url"),
    ("sha256 size_bytes", "resources.quarto.renderer.RenderedReport"),
)
