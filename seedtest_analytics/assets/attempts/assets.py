"""Stage `attempts`: the exam results split into one row for each question. Malformed elements go to quarantine."""

from __future__ import annotations

from collections.abc import Iterator

import dagster as dg

from seedtest_analytics.assets.attempts.sync import sync_attempts
from seedtest_analytics.assets.framework.declare import LARGE, RunOptions, TableSpec, table_assets
from seedtest_analytics.assets.framework.events import CheckDeclaration, CheckOutcome, Outcome
from seedtest_analytics.assets.framework.preview import table_preview
from seedtest_analytics.assets.framework.run_time import is_dry_run, now
from seedtest_analytics.database.sql_files import statement
from seedtest_analytics.partitions import PLATFORM
from seedtest_analytics.resources.postgres import PostgresResource
from seedtest_analytics.tables.attempts import attempt, attempt_quarantine

REPORT_SQL = "attempts/report.sql"
QUARANTINE_WARN_SHARE = 0.01


class SyncOptions(RunOptions):
    """Options of the attempt log's sync."""

    full_compare: bool = False
    batch_size: int = 50_000


@table_assets(
    TableSpec(
        attempt,
        grain="attempt",
        description="One row for each question of an exam that has not failed: the legacy view's 11 columns, then the "
        "platform's own. Each run reads only the `exam_results` that are new, changed or gone since the last run.",
        checks=(
            CheckDeclaration(
                "reconciled",
                "Every element of questions[] of an exam that counts is in the log or in quarantine.",
                is_blocking=True,
            ),
        ),
    ),
    TableSpec(
        attempt_quarantine,
        grain="malformed_element",
        description="Malformed elements of `exam_results` with their reason. Excluded elements are missing from `attempt`; the "
        "others are there without the malformed field. Elements that are corrected at the source leave the quarantine.",
        checks=(
            CheckDeclaration("quarantine_share", f"At most {QUARANTINE_WARN_SHARE:.0%} of the elements are malformed."),
        ),
    ),
    group="attempts",
    domain="activity",
    deps=["exam_results"],
    sql=["attempts/sync.sql", "attempts/attempt.sql", "attempts/attempt_element.sql"],
    pod=LARGE,
)
def attempts(
    context: dg.AssetExecutionContext, config: SyncOptions, *, postgres: PostgresResource
) -> Iterator[Outcome]:
    """Bring the attempt log and the quarantine in step with the exam results."""
    dry = is_dry_run(config)
    result = sync_attempts(
        postgres.engine,
        now(config),
        timezone=PLATFORM.timezone,
        batch_size=config.batch_size,
        full_compare=config.full_compare,
        is_dry_run=dry,
        progress=lambda done, total: context.log.info(f"{done:,} of {total:,} changed exam results"),
    )
    context.log.info(f"{result.changed_exams:,} exam results are new, changed or gone")
    with postgres.engine.connect() as connection:
        counts = connection.execute(statement(REPORT_SQL, "reconcile")).one()
        reasons = table_preview(connection, statement(REPORT_SQL, "reasons"))
        by_month = table_preview(connection, statement(REPORT_SQL, "by_month"))
    missing = counts.elements - counts.attempts - counts.excluded
    share = counts.quarantined / max(counts.elements, 1)
    yield Outcome(
        result.attempts,
        {
            "dagster/row_count": counts.attempts,
            "changed_exams": result.changed_exams,
            "unanswered": counts.unanswered,
            "repeated_in_exam": counts.repeated,
            "newest_attempt": str(counts.newest_at),
            "by_month": by_month,
        },
        checks=[
            CheckOutcome(
                "reconciled",
                missing == 0 or dry,
                description=f"{counts.elements:,} elements = {counts.attempts:,} attempts + {counts.excluded:,} excluded",
            )
        ],
        is_dry_run=dry,
        key=("attempt",),
    )
    yield Outcome(
        result.quarantine,
        {"dagster/row_count": counts.quarantined, "by_reason": reasons},
        checks=[
            CheckOutcome(
                "quarantine_share",
                share <= QUARANTINE_WARN_SHARE,
                description=f"{counts.quarantined:,} of {counts.elements:,} elements ({share:.2%}) are malformed",
            )
        ],
        is_dry_run=dry,
    )
