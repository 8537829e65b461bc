"""OpenLineage events of a run: START and COMPLETE, FAIL or ABORT of each asset that its steps computed.

An event has names, types and meanings of columns, times and states. It has no value of a row and no error message,
because these may quote one, and of DATABASE_URL the host, port and database only.
"""

from __future__ import annotations

import datetime as dt
import uuid
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import dagster as dg
from sqlalchemy import URL, Table

from seedtest_analytics.partitions import PLATFORM, instant_of
from seedtest_analytics.tables import contract_of, table_named

SPEC = "https://openlineage.io/spec"
PRODUCER = "urn:seedtest-analytics:platform"
_PAGE = 1000
_KINDS = {
    dg.DagsterEventType.ASSET_MATERIALIZATION_PLANNED,
    dg.DagsterEventType.ASSET_MATERIALIZATION,
    dg.DagsterEventType.STEP_START,
    dg.DagsterEventType.STEP_FAILURE,
}
_PARTITION_TAGS = ("dagster/partition", "dagster/asset_partition_range_start")

Event = dict[str, Any]


@dataclass(frozen=True)
class Database:
    """The names that OpenLineage gives to a database of PostgreSQL and to its tables."""

    namespace: str
    prefix: str

    @classmethod
    def of(cls, url: URL, schema: str | None) -> Database:
        """User, password and parameters stay out; of several hosts, the first counts."""
        hosts = url.query.get("host", ())
        first = ([hosts] if isinstance(hosts, str) else list(hosts) or [url.host or ""])[0]
        host, _, port = first.partition(":") if first.count(":") == 1 else (first, "", "")
        if not host or host.startswith(("/", "@")):
            host = "localhost"
        place = f"[{host.strip('[]')}]" if ":" in host else host
        return cls(f"postgres://{place}:{port or url.port or 5432}", f"{url.database}.{schema or 'public'}")

    def dataset(self, table: Table, **facets: Any) -> dict[str, Any]:
        """A table with its columns."""
        fields = [
            {"name": column.name, "type": str(column.type).lower(), "description": str(column.comment)}
            for column in table.columns
        ]
        schema = _facet("SchemaDatasetFacet", "1-2-0", fields=fields)
        return {**self.named(table.name), "facets": {"schema": schema, **facets}}

    def named(self, table: str) -> dict[str, str]:
        """Namespace and name of a table."""
        return {"namespace": self.namespace, "name": f"{self.prefix}.{table}"}

    def column_lineage(self, table: Table) -> dict[str, Any]:
        """The columns that each column of the table is computed from."""
        fields = {
            column.name: {
                "inputFields": [
                    {**self.named(origin.partition(".")[0]), "field": origin.partition(".")[2]}
                    for origin in dict.fromkeys(contract_of(column).derived_from)
                ]
            }
            for column in table.columns
            if contract_of(column).derived_from
        }
        return {"columnLineage": _facet("ColumnLineageDatasetFacet", "1-2-0", fields=fields)} if fields else {}


def _facet(name: str, version: str, **values: Any) -> dict[str, Any]:
    url = f"{SPEC}/facets/{version}/{name}.json#/$defs/{name}"
    return {"_producer": PRODUCER, "_schemaURL": url, **values}


@dataclass(frozen=True)
class Materialisation:
    """One asset in a run: when its step began and how it ended."""

    asset: dg.AssetKey
    started_at: float
    ended_at: float
    state: str


def materialisations(instance: dg.DagsterInstance, run: dg.DagsterRun, *, ended_at: float) -> Iterator[Materialisation]:
    """The planned assets of a run whose step began. An asset that succeeded without a row, as in a dry run, has none."""
    planned: dict[dg.AssetKey, str] = {}
    started: dict[str, float] = {}
    failed: dict[str, float] = {}
    done: dict[dg.AssetKey, float] = {}
    for entry in _entries(instance, run.run_id):
        event, step = entry.get_dagster_event(), entry.step_key or ""
        if event.event_type == dg.DagsterEventType.ASSET_MATERIALIZATION_PLANNED and event.asset_key:
            planned[event.asset_key] = step
        elif event.event_type == dg.DagsterEventType.ASSET_MATERIALIZATION and event.asset_key:
            done[event.asset_key] = entry.timestamp
        elif event.event_type == dg.DagsterEventType.STEP_START:
            started.setdefault(step, entry.timestamp)
        else:
            failed[step] = entry.timestamp
    for asset, step in planned.items():
        if step not in started:
            continue
        if asset in done:
            yield Materialisation(asset, started[step], done[asset], "COMPLETE")
        elif run.status == dg.DagsterRunStatus.CANCELED:
            yield Materialisation(asset, started[step], ended_at, "ABORT")
        elif step in failed or run.status == dg.DagsterRunStatus.FAILURE:
            yield Materialisation(asset, started[step], failed.get(step, ended_at), "FAIL")


def _entries(instance: dg.DagsterInstance, run_id: str) -> Iterator[dg.EventLogEntry]:
    cursor = None
    while True:
        page = instance.get_records_for_run(run_id, cursor=cursor, of_type=_KINDS, limit=_PAGE)
        yield from (record.event_log_entry for record in page.records)
        if not page.has_more:
            return
        cursor = page.cursor


@dataclass(frozen=True)
class Describer:
    """Makes events. ``graph`` knows the tables of the assets and what they read."""

    graph: Any
    database: Database
    namespace: str

    def events(self, run: dg.DagsterRun, done: Sequence[Materialisation]) -> list[Event]:
        """Two events for each asset."""
        return [
            self._event(run, one, state=state, at=at)
            for one in done
            for state, at in (("START", one.started_at), (one.state, one.ended_at))
        ]

    def _event(self, run: dg.DagsterRun, one: Materialisation, *, state: str, at: float) -> Event:
        node = self.graph.get(one.asset)
        table = self._table(one.asset)
        inputs = dict.fromkeys(t for key in sorted(node.parent_keys) if (t := self._table(key)) is not None)
        outputs = [] if table is None else [self.database.dataset(table, **self.database.column_lineage(table))]
        name = one.asset.to_user_string()
        kind = _facet("JobTypeJobFacet", "2-0-4", processingType="BATCH", integration="DAGSTER", jobType="ASSET")
        return {
            "eventType": state,
            "eventTime": _instant(at),
            "producer": PRODUCER,
            "schemaURL": f"{SPEC}/2-0-2/OpenLineage.json#/$defs/RunEvent",
            # A run of OpenLineage has one job, a run of Dagster many assets.
            "run": {"runId": str(uuid.uuid5(uuid.UUID(run.run_id), name)), "facets": self._run_facets(run)},
            "job": {"namespace": self.namespace, "name": name, "facets": {"jobType": kind}},
            "inputs": [self.database.dataset(one) for one in inputs],
            "outputs": outputs,
        }

    def _run_facets(self, run: dg.DagsterRun) -> dict[str, Any]:
        parent = _facet(
            "ParentRunFacet",
            "1-2-0",
            run={"runId": run.run_id},
            job={"namespace": self.namespace, "name": run.job_name},
        )
        partition = next((run.tags[tag] for tag in _PARTITION_TAGS if tag in run.tags), None)
        if partition is None:
            return {"parent": parent}
        begins = instant_of(dt.date.fromisoformat(partition), PLATFORM.zone)
        nominal = _facet("NominalTimeRunFacet", "1-0-1", nominalStartTime=begins.isoformat())
        return {"parent": parent, "nominalTime": nominal}

    def _table(self, key: dg.AssetKey) -> Table | None:
        name = self.graph.get(key).metadata.get("dagster/table_name")
        return table_named(name) if name else None


def _instant(seconds: float) -> str:
    return dt.datetime.fromtimestamp(seconds, dt.UTC).isoformat()
