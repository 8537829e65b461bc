"""Reads new rows of the customer's tables: a sensor looks for them, a run loads them as `seedtest connect` does.

The rows reach `exam_results`, so the sensor on exam results follows with the sync and with late corrections. A mapping is
read only after its first read by the command, which shows the rows and asks.
"""

# Without postponed annotations: Dagster reads an op's resources and configuration from them.
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import dagster as dg

from seedtest_analytics.database.engine import DatabaseError
from seedtest_analytics.database.sessions import explaining
from seedtest_analytics.resources.postgres import PostgresResource
from seedtest_analytics.schedules.jobs import is_under_way
from seedtest_analytics.scratch import scratch_folder
from seedtest_analytics.settings import PlatformSettings, load_settings

if TYPE_CHECKING:
    from sqlalchemy import Engine

    from seedtest_analytics.ingest.connect import ConnectMapping

CONNECTION_TAG = "seedtest/connection"
FIRST_ROWS = 5_000
"""Rows that show how values are to be read."""


class ConnectionOptions(dg.Config):
    """Which connection is read."""

    name: str


def mapping_files(platform: PlatformSettings) -> dict[str, Path]:
    """The mapping files of SEEDTEST_CONNECT_MAPPING by the name of their connection."""
    listed = (part.strip() for part in (platform.connect_mapping or "").split(","))
    return {Path(part).stem: Path(part) for part in listed if part}


@contextmanager
def opened(path: Path, engine: "Engine") -> "Iterator[tuple[ConnectMapping, Engine]]":
    """A mapping and an engine on its source, which is closed afterwards. Raises :class:`LoadError`, :class:`DatabaseError`."""
    from seedtest_analytics.ingest.connect import read_mapping, source_engine

    mapping = read_mapping(path)
    own = source_engine(mapping)
    try:
        yield mapping, own or engine
    finally:
        if own is not None:
            own.dispose()


@dg.op(description="Loads the rows of a connection that are new or changed since its last read.")
def read_new_rows(context: dg.OpExecutionContext, config: ConnectionOptions, *, postgres: PostgresResource) -> None:
    """One read: the same rules, rejects and cursor as `seedtest connect`."""
    from seedtest_analytics.ingest import LoadError, LoadOptions
    from seedtest_analytics.ingest.connect import extract_rows, last_cursor, load_new_rows, rules_of

    platform = load_settings().platform
    path = mapping_files(platform).get(config.name)
    if path is None:
        raise dg.Failure(f"SEEDTEST_CONNECT_MAPPING has no mapping {config.name}", allow_retries=False)
    try:
        with opened(path, postgres.engine) as (mapping, source), scratch_folder("connect") as folder:
            platform = platform.overridden_by({"timezone": mapping.timezone})
            since = last_cursor(postgres.engine, config.name)
            first = extract_rows(source, mapping, since=since, path=folder / "first.parquet", limit=FIRST_ROWS)
            if first.rows == 0:
                context.log.info("no new rows")
                return
            plan = rules_of(mapping, first.path, name=config.name, zone=platform.zone)
            options = LoadOptions(timezone=platform.timezone, rules=plan.rules, is_dry_run=platform.dry_run)
            found = load_new_rows(
                postgres.engine, source, mapping=mapping, name=config.name, since=since, folder=folder, options=options
            )
    except LoadError as error:
        raise dg.Failure(str(error), allow_retries=False) from error
    if found is None:
        return
    summary = found.summary
    context.log.info(
        f"{summary.rows_read:,} rows read, {summary.attempts:,} attempts, {summary.rows_rejected:,} rejected, "
        f"{summary.exams.inserted:,} exams new, {summary.exams.updated:,} changed"
    )
    for count in summary.rejects:
        context.log.warning(f"{count.rows:,} rows: {count.reason}; {count.remedy}")
    if found.note is not None:
        context.log.warning(found.note)


@dg.job(description="Reads new rows of the customer's tables.", tags={"domain": "automation"})
def read_connection() -> None:
    """Read one connection."""
    read_new_rows()


@dg.sensor(
    job=read_connection,
    name="connection_sensor",
    minimum_interval_seconds=60,
    default_status=dg.DefaultSensorStatus.RUNNING,
    description="Requests a read of each connection of SEEDTEST_CONNECT_MAPPING that has new or changed rows.",
)
def connection_sensor(
    context: dg.SensorEvaluationContext, postgres: PostgresResource
) -> "dg.SensorResult | dg.SkipReason":
    """The run key is what the source has, so a read that found nothing new is not repeated."""
    from seedtest_analytics.ingest import LoadError
    from seedtest_analytics.ingest.connect import last_cursor, newest_rows

    requests, reasons = [], []
    for name, path in mapping_files(load_settings().platform).items():
        if any(map(is_under_way, context.instance.get_runs(dg.RunsFilter(tags={CONNECTION_TAG: name}), limit=1))):
            reasons.append(f"{name}: a read is under way")
            continue
        try:
            with explaining(), opened(path, postgres.engine) as (mapping, source):
                since = last_cursor(postgres.engine, name)
                if since is None:
                    reasons.append(f"{name}: run `seedtest connect {path}` once; it shows the rows and asks")
                    continue
                newest, count = newest_rows(source, mapping, since=since)
        except (DatabaseError, LoadError) as error:
            reasons.append(f"{name}: {error}")
            continue
        requests.append(
            dg.RunRequest(
                run_key=f"connect:{name}:{newest}:{count}",
                run_config=dg.RunConfig(ops={read_new_rows.name: ConnectionOptions(name=name)}),
                tags={CONNECTION_TAG: name},
            )
        )
    return dg.SensorResult(run_requests=requests) if requests else dg.SkipReason("; ".join(reasons) or "no connection")


JOBS = [read_connection]


def sensors(platform: PlatformSettings) -> list[dg.SensorDefinition]:
    """The sensor, where a mapping is set: an idle sensor costs too."""
    return [connection_sensor] if mapping_files(platform) else []
