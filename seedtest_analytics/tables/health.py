"""The health of the platform's own assets, and the rows that they could not publish."""

from sqlalchemy import BigInteger, Index, Integer, Table, Text

from seedtest_analytics.tables.declare import (
    JSONB,
    Instant,
    array_column,
    column,
    computed_by,
    computed_column,
    metadata,
    object_column,
)

HEALTH_STATES = ("ok", "warning", "stale", "failed", "never")

platform_health = Table(
    "platform_health",
    metadata,
    column("asset", Text, comment="Key of the asset, such as weekly_kpi/P.", primary_key=True),
    column("domain", Text, comment="Group of the asset.", nullable=False),
    column("owner", Text, comment="Who is asked.", nullable=False),
    column(
        "state",
        Text,
        comment="failed: the newest run or a partition failed; stale: no success within the freshness window; warning: a "
        "check failed; never: no success yet.",
        nullable=False,
        allowed=HEALTH_STATES,
    ),
    column("last_success_at", Instant, comment="When it was last materialised."),
    column("fresh_until", Instant, comment="When it becomes stale without another success."),
    column("row_count", BigInteger, comment="Rows of the newest materialisation.", minimum=0),
    column("checks_passed", Integer, comment="Checks whose newest result is good.", nullable=False, minimum=0),
    object_column("failed_checks", "The text of each check whose newest result is bad."),
    object_column("verdicts", "The text of each check's newest result; of a model, its verdict."),
    array_column("failed_partitions", "Partitions whose newest attempt failed."),
    column("repair", Text, comment="Command that computes what failed or is missing."),
    computed_column(),
    comment="State of each asset as Dagster's storage has it; one row for each asset.",
)
computed_by(platform_health, "assets.health.state.health_of")

row_quarantine = Table(
    "row_quarantine",
    metadata,
    column("id", BigInteger, comment="Key.", primary_key=True, autoincrement=True),
    column("asset", Text, comment="Table of the row, or asset such as weekly_kpi/P.", nullable=False),
    column("reason", Text, comment="The columns and the rules that the row breaks.", nullable=False),
    column(
        "element",
        JSONB,
        comment="The row as computed; numbers that are not finite are text.",
        pii="pseudonymous",
        nullable=False,
    ),
    computed_column("detected_at", "When the row was set aside."),
    Index("ix_row_quarantine_asset", "asset"),
    comment="Computed rows that break the contract of their table, with the reason. The other rows are published. The next "
    "computation of the same part replaces them.",
)
computed_by(row_quarantine, "database.quarantine.keep_good_rows")
