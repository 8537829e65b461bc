"""Attempts: one row for each question of an exam result. Malformed elements go to quarantine."""

from collections.abc import Iterator
from typing import Any

import dagster as dg

from seedtest_analytics.assets.attempts.sync import sync_attempts
from seedtest_analytics.assets.framework.checks import Check
from seedtest_analytics.assets.framework.declare import RunOptions, TableSpec, declared
from seedtest_analytics.assets.framework.preview import table_preview
from seedtest_analytics.assets.framework.report import Outcome, report
from seedtest_analytics.assets.framework.run_time import is_dry_run, now
from seedtest_analytics.database.sql_files import statement
from seedtest_analytics.partitions import PLATFORM
from seedtest_analytics.resources.postgres import PostgresResource
from seedtest_analytics.tables.attempts import attempt, attempt_quarantine

REPORT_SQL = "attempts/report.sql"
QUARANTINE_WARN_SHARE = 0.01

RECONCILED = Check(
    "reconciled",
    "Every element of questions[] of an exam that counts is in the log or in quarantine.",
    is_blocking=True,
)
QUARANTINE_SHARE = Check("quarantine_share", f"At most {QUARANTINE_WARN_SHARE:.0%} of the elements are malformed.")


class SyncOptions(RunOptions):
    """Options of the attempt log's sync."""

    full_compare: bool = False
    batch_size: int = 50_000


@dg.multi_asset(
    **declared(
        TableSpec(
            attempt,
            grain="attempt",
            description="One row for each question of an exam that has not failed: the 11 columns of the legacy view, then "
            "the platform's own. Kept in step with `exam_results`: a run reads only exams that are new, changed or gone "
            "since the last run.",
            checks=(RECONCILED,),
        ),
        TableSpec(
            attempt_quarantine,
            grain="malformed_element",
            description="Malformed elements of `exam_results` with their reason. An excluded element is not in `attempt`. "
            "The others are, with the malformed field as not recorded. An element leaves when its source is corrected.",
            checks=(QUARANTINE_SHARE,),
        ),
        group="attempts",
        deps=["exam_results"],
    )
)
def attempts(context: dg.AssetExecutionContext, config: SyncOptions, *, postgres: PostgresResource) -> Iterator[Any]:
    """Sync the attempt log and the quarantine."""
    yield from report(context, _sync(context, config, postgres=postgres))


def _sync(context: dg.AssetExecutionContext, config: SyncOptions, *, postgres: PostgresResource) -> Iterator[Outcome]:
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
    missing = counts.elements - counts.attempt_elements - counts.excluded
    merged = counts.attempt_elements - counts.attempts
    share = counts.quarantined / max(counts.elements, 1)
    yield Outcome(
        result.attempts,
        {
            "dagster/row_count": counts.attempts,
            "changed_exams": result.changed_exams,
            "unanswered": counts.unanswered,
            "repeated_in_exam": counts.repeated,
            "further_topics": merged,
            "newest_attempt": str(counts.newest_at),
            "by_month": by_month,
        },
        checks=[
            RECONCILED.judged(
                f"{counts.elements:,} elements = {counts.attempts:,} attempts + {merged:,} further topics of them "
                f"+ {counts.excluded:,} excluded",
                is_passed=missing == 0 or dry,
                metadata={"missing": missing},
            )
        ],
        is_dry_run=dry,
        key=("attempt",),
    )
    yield Outcome(
        result.quarantine,
        {"dagster/row_count": counts.quarantined, "by_reason": reasons},
        checks=[
            QUARANTINE_SHARE.judged(
                f"{counts.quarantined:,} of {counts.elements:,} elements ({share:.2%}) are malformed",
                is_passed=share <= QUARANTINE_WARN_SHARE,
                metadata={"malformed": counts.quarantined, "share": share},
            )
        ],
        is_dry_run=dry,
    )
