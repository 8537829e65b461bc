"""Stores reports that wait on disk since an outage of the object store."""

# Without postponed annotations: Dagster reads an op's resources from them.
import dagster as dg

from seedtest_analytics.assets.report_waiting import deliver
from seedtest_analytics.partitions import PLATFORM
from seedtest_analytics.resources.object_store import ObjectStoreResource, waiting_for
from seedtest_analytics.resources.postgres import PostgresResource
from seedtest_analytics.settings import load_settings


@dg.op(description="Stores and records the reports that wait on disk, without rendering them again.")
def store_waiting_reports(
    context: dg.OpExecutionContext, postgres: PostgresResource, *, object_store: ObjectStoreResource
) -> None:
    """Deliver what waits. The run fails while a report still waits, so that somebody learns of it."""
    waiting = object_store.waiting()
    if waiting is None or not waiting.names():
        context.log.info("no report waits")
        return
    if load_settings().platform.dry_run:
        context.log.info(f"DRY_RUN is set: {len(waiting.names()):,} reports go on waiting")
        return
    settings = load_settings()
    done = deliver(
        postgres.engine,
        object_store.store(),
        waiting=waiting,
        patience_seconds=settings.storage.patience_secs,
        settings=settings.reports,
    )
    text = f"{done.stored:,} reports stored, {done.still_waiting:,} still wait"
    if done.refusal is not None:
        raise dg.Failure(f"{text}; {done.refusal}", allow_retries=False)
    context.log.info(text)


@dg.job(description="Stores reports that wait on disk since an outage of the store.", tags={"domain": "automation"})
def upload_waiting_reports() -> None:
    """Store, and render nothing."""
    store_waiting_reports()


@dg.schedule(
    job=upload_waiting_reports,
    name="upload_waiting_reports_schedule",
    cron_schedule="*/15 * * * *",
    execution_timezone=PLATFORM.timezone,
    default_status=dg.DefaultScheduleStatus.RUNNING,
    description="Every quarter of an hour, if a report waits. Replaces no CronJob.",
    tags={"domain": "automation"},
)
def upload_while_reports_wait(context: dg.ScheduleEvaluationContext) -> dg.RunRequest | dg.SkipReason:
    """Request a run unless nothing waits."""
    waiting = waiting_for(load_settings().storage)
    if waiting is None or not waiting.names():
        return dg.SkipReason("no report waits")
    return dg.RunRequest()


JOBS = [upload_waiting_reports]
SCHEDULES = [upload_while_reports_wait]
