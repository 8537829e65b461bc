"""How assets of the platform are declared, and how their outcome becomes Dagster events.

:func:`table_assets` fills in what can be derived: table name, column schema and lineage from ``tables/``, code version
from the SQL and the module, owner, retry, pool, resources of the pod. The body yields one :class:`Outcome` a table and
partition; here they become materialisations, checks and metadata, each with its own partition, also when a range of
partitions is one run.
"""

from __future__ import annotations

import datetime as dt
import hashlib
import inspect
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import dagster as dg
from sqlalchemy import Table

from seedtest_analytics.assets.framework.events import CONTRACT_CHECK, CheckDeclaration, Outcome, report_run
from seedtest_analytics.database.sql_files import digest
from seedtest_analytics.partitions import PLATFORM
from seedtest_analytics.tables import contract_of

SMALL = {"cpu": "500m", "memory": "512Mi"}
LARGE = {"cpu": "2", "memory": "4Gi"}

_ASSET_OF_TABLE = {
    "attempt_log": ("attempt",),
    "mirt_item_params_history": ("mirt_item_params",),
    "student_topic_theta_history": ("student_topic_theta",),
    "report_artifacts": ("weekly_report",),
    "weekly_kpi": ("weekly_kpi", "I_t"),
}
"""Assets whose key is not the name of the table that a column is read from."""

_WEEKLY_LATE_HOURS = 204
_DAILY_LATE_HOURS = 36


class RunOptions(dg.Config):
    """Options of one run, shown in the launchpad; unset means the environment's value."""

    dry_run: bool | None = None
    as_of: str | None = None


@dataclass(frozen=True)
class TableSpec:
    """One asset of a step: its table, what it means and which checks it has beside the contract's."""

    table: Table
    grain: str
    description: str
    key: tuple[str, ...] = ()
    checks: tuple[CheckDeclaration, ...] = ()
    deps: Sequence[Any] = field(default_factory=tuple)

    @property
    def asset_key(self) -> dg.AssetKey:
        """The table's name unless ``key`` is given (several assets write `weekly_kpi`)."""
        return dg.AssetKey(list(self.key) or [self.table.name])


def table_assets(
    *specs: TableSpec,
    group: str,
    domain: str,
    kinds: Iterable[str] = ("postgres", "sql"),
    deps: Sequence[Any] = (),
    sql: Sequence[str] = (),
    partitions_def: dg.PartitionsDefinition | None = None,
    pod: Mapping[str, str] = SMALL,
    pool: str = "postgres_write",
) -> Callable[[Callable[..., Iterator[Outcome]]], dg.AssetsDefinition]:
    """Declare the assets that one step writes.

    The decorated generator takes ``context: AssetExecutionContext``, ``config`` and resources and yields
    :class:`Outcome`. A :class:`ContractViolation` that leaves it becomes a failed blocking check and a failure that
    is not retried; the last good rows stay.
    """

    def decorate(body: Callable[..., Iterator[Outcome]]) -> dg.AssetsDefinition:
        def compute(context: dg.AssetExecutionContext, **arguments: Any) -> Iterator[Any]:
            checks = {spec.asset_key: spec.checks for spec in specs}
            lineage = {spec.asset_key: column_lineage(spec.table) for spec in specs}
            yield from report_run(context, checks, lineage=lineage, outcomes=body(context, **arguments))

        _take_signature(compute, body)
        return dg.multi_asset(
            name=body.__name__,
            specs=[
                _asset_spec(
                    spec,
                    body,
                    group=group,
                    domain=domain,
                    kinds=kinds,
                    deps=deps,
                    sql=sql,
                    partitions_def=partitions_def,
                )
                for spec in specs
            ],
            check_specs=[check for spec in specs for check in _check_specs(spec, partitions_def)],
            partitions_def=partitions_def,
            backfill_policy=dg.BackfillPolicy.single_run() if partitions_def else None,
            pool=pool,
            op_tags={
                "dagster-k8s/config": {"container_config": {"resources": {"requests": dict(pod), "limits": dict(pod)}}}
            },
            retry_policy=dg.RetryPolicy(
                max_retries=2, delay=10, backoff=dg.Backoff.EXPONENTIAL, jitter=dg.Jitter.PLUS_MINUS
            ),
        )(compute)

    return decorate


def _take_signature(compute: Callable[..., Any], body: Callable[..., Any]) -> None:
    """Give ``compute`` the parameters of ``body`` with their types resolved: Dagster reads config and resources there."""
    parameters = inspect.signature(body, eval_str=True).replace(return_annotation=Iterator[Any])
    compute.__signature__ = parameters  # type: ignore[attr-defined]
    compute.__annotations__ = {p.name: p.annotation for p in parameters.parameters.values()}
    compute.__doc__ = body.__doc__


def _asset_spec(
    spec: TableSpec,
    body: Callable[..., Any],
    *,
    group: str,
    domain: str,
    kinds: Iterable[str],
    deps: Sequence[Any],
    sql: Sequence[str],
    partitions_def: dg.PartitionsDefinition | None,
) -> dg.AssetSpec:
    return dg.AssetSpec(
        key=spec.asset_key,
        deps=[*deps, *spec.deps],
        description=spec.description,
        group_name=group,
        owners=[PLATFORM.owner],
        kinds=set(kinds),
        tags={"domain": domain, "grain": spec.grain, "pii": pii_class(spec.table)},
        code_version=_code_version(body, spec.table, sql=sql),
        freshness_policy=freshness(partitions_def),
        metadata={"dagster/table_name": spec.table.name, "dagster/column_schema": column_schema(spec.table)},
        # A dry run materialises nothing.
        skippable=True,
    )


def _check_specs(spec: TableSpec, partitions_def: dg.PartitionsDefinition | None) -> Iterator[dg.AssetCheckSpec]:
    contract = CheckDeclaration(
        CONTRACT_CHECK,
        f"Rows of {spec.table.name} keep the contract before they are published: keys, NOT NULL, ranges, allowed and "
        "finite values. Failing, nothing is written and the last good rows stay.",
        is_blocking=True,
    )
    for check in (contract, *spec.checks):
        yield dg.AssetCheckSpec(
            check.name,
            asset=spec.asset_key,
            description=check.description,
            blocking=check.is_blocking,
            partitions_def=partitions_def,
        )


def pii_class(table: Table) -> str:
    """The most sensitive class among the table's columns."""
    classes = {contract_of(column).pii for column in table.columns}
    return next(name for name in ("free_text", "pseudonymous", "none") if name in classes)


def column_schema(table: Table) -> dg.TableSchema:
    """Columns with types and meanings for the UI."""
    return dg.TableSchema(
        columns=[
            dg.TableColumn(
                column.name,
                str(column.type).lower(),
                description=column.comment,
                constraints=dg.TableColumnConstraints(nullable=bool(column.nullable)),
                tags={} if contract_of(column).pii == "none" else {"pii": contract_of(column).pii},
            )
            for column in table.columns
        ]
    )


def column_lineage(table: Table) -> dg.TableColumnLineage:
    """Which columns each column is made of."""
    return dg.TableColumnLineage(
        {
            column.name: [_column_dependency(o) for o in dict.fromkeys(contract_of(column).derived_from)]
            for column in table.columns
            if contract_of(column).derived_from
        }
    )


def _column_dependency(origin: str) -> dg.TableColumnDep:
    table_name, column_name = origin.split(".")
    asset = _ASSET_OF_TABLE.get(table_name, (table_name,))
    return dg.TableColumnDep(asset_key=dg.AssetKey(list(asset)), column_name=column_name)


def freshness(partitions_def: dg.PartitionsDefinition | None) -> dg.FreshnessPolicy:
    """Daily tables are late after a day and a half, weekly ones after a week and a day and a half."""
    is_weekly = isinstance(partitions_def, dg.WeeklyPartitionsDefinition)
    hours = _WEEKLY_LATE_HOURS if is_weekly else _DAILY_LATE_HOURS
    return dg.FreshnessPolicy.time_window(fail_window=dt.timedelta(hours=hours))


def _code_version(body: Callable[..., Any], table: Table, *, sql: Sequence[str]) -> str:
    module = inspect.getmodule(body)
    columns = ",".join(f"{c.name}:{c.type!r}" for c in table.columns)
    parts = (inspect.getsource(module) if module else "", columns, digest(*sql) if sql else "")
    return hashlib.sha256("\0".join(parts).encode()).hexdigest()[:16]
