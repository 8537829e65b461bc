"""How the assets of the platform are declared, as arguments of Dagster's own decorator.

:func:`declared` fills in what follows from the table: name, column schema, owner, freshness, retries, backfill policy
and the contract's check. The decorated function yields from
:func:`seedtest_analytics.assets.framework.report.report`; the code version comes from
:mod:`seedtest_analytics.assets.framework.code_version`.
"""

import datetime as dt
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import dagster as dg
from sqlalchemy import Table

from seedtest_analytics.assets.framework.checks import Check
from seedtest_analytics.assets.framework.lineage import column_schema, pii_class
from seedtest_analytics.assets.framework.report import CONTRACT_CHECK
from seedtest_analytics.assets.framework.sizes import size_of
from seedtest_analytics.dagster_private import options_without_environment
from seedtest_analytics.partitions import PLATFORM
from seedtest_analytics.settings import load_settings

CODE = "stage"
"""Metadata of an asset: the name of the code that computes it alone."""
ALSO_READS = "also_reads"
"""Metadata of an asset: what it reads without depending on it, with the reason."""
_WEEKLY_LATE_HOURS = 204
_DAILY_LATE_HOURS = 36

options_without_environment()


class RunOptions(dg.Config):
    """Options of one run, shown in the launchpad; unset means the environment's value."""

    dry_run: bool | None = None
    as_of: str | None = None


@dataclass(frozen=True)
class TableSpec:
    """One asset of a step: its table, its meaning and the checks that it has beside the contract's.

    ``code`` names what computes this asset alone, in the asset's module, where the step's function does not name it.
    """

    table: Table
    grain: str
    description: str
    key: tuple[str, ...] = ()
    checks: tuple[Check, ...] = ()
    deps: Sequence[Any] = field(default_factory=tuple)
    code: str = ""

    @property
    def asset_key(self) -> dg.AssetKey:
        """The table's name unless ``key`` is given (several assets write `weekly_kpi`)."""
        return dg.AssetKey(list(self.key) or [self.table.name])


def declared(
    *specs: TableSpec,
    group: str,
    kinds: Iterable[str] = ("postgres", "sql"),
    deps: Sequence[Any] = (),
    partitions_def: dg.PartitionsDefinition | None = None,
    pool: str = "postgres_write",
    can_subset: bool = False,
    also_reads: Mapping[str, str] | None = None,
    are_weeks_independent: bool = False,
) -> dict[str, Any]:
    """Arguments of ``dg.multi_asset`` for the assets that one step writes.

    Args:
        specs: one for each asset.
        group: the domain, in the words of the package's folders. It decides the size of the step's pod.
        kinds: what computes the assets, shown as icons.
        deps: upstream assets that all specs share: each asset of which a statement of the step reads a table. Rows that an
            asset itself wrote earlier do not count, or every change of a week would make all later ones stale.
        partitions_def: daily or weekly; None for a table that is kept as a whole.
        pool: steps of one pool wait for each other where the instance limits it.
        can_subset: a run may select some of the assets.
        also_reads: assets that the step reads although it cannot depend on them, each with the reason.
        are_weeks_independent: no week reads another's rows, so SEEDTEST_BACKFILL_WEEKS may split a back-fill into runs.
    """
    shared = {ALSO_READS: dict(also_reads)} if also_reads else {}
    return {
        "specs": [
            _asset_spec(spec, group, kinds=kinds, deps=deps, partitions_def=partitions_def, metadata=shared)
            for spec in specs
        ],
        "check_specs": [check for spec in specs for check in _check_specs(spec, partitions_def)],
        "partitions_def": partitions_def,
        "backfill_policy": _backfill_policy(partitions_def, are_weeks_independent=are_weeks_independent),
        "pool": pool,
        "op_tags": size_of(group).op_tags,
        "can_subset": can_subset,
        "retry_policy": dg.RetryPolicy(
            max_retries=2, delay=10, backoff=dg.Backoff.EXPONENTIAL, jitter=dg.Jitter.PLUS_MINUS
        ),
    }


def _backfill_policy(
    partitions_def: dg.PartitionsDefinition | None, *, are_weeks_independent: bool
) -> dg.BackfillPolicy | None:
    if partitions_def is None:
        return None
    weeks = load_settings().execution.weeks_per_run if are_weeks_independent else None
    return dg.BackfillPolicy.multi_run(weeks) if weeks else dg.BackfillPolicy.single_run()


def _asset_spec(
    spec: TableSpec,
    group: str,
    *,
    kinds: Iterable[str],
    deps: Sequence[Any],
    partitions_def: dg.PartitionsDefinition | None,
    metadata: Mapping[str, Any],
) -> dg.AssetSpec:
    return dg.AssetSpec(
        key=spec.asset_key,
        deps=[*deps, *spec.deps],
        description=spec.description,
        group_name=group,
        owners=[PLATFORM.owner],
        kinds=set(kinds),
        tags={"domain": group, "grain": spec.grain, "pii": pii_class(spec.table)},
        freshness_policy=freshness(partitions_def),
        metadata={"dagster/table_name": spec.table.name, "dagster/column_schema": column_schema(spec.table), **metadata}
        | ({CODE: spec.code} if spec.code else {}),
        # A dry run materialises nothing.
        skippable=True,
    )


def _check_specs(spec: TableSpec, partitions_def: dg.PartitionsDefinition | None) -> Iterator[dg.AssetCheckSpec]:
    contract = Check(
        CONTRACT_CHECK,
        f"Rows of {spec.table.name} keep the contract before they are published: keys, NOT NULL, ranges, allowed and "
        "finite values. A few rows that do not are in `row_quarantine`, and the check warns. If many do not, or a key occurs "
        "twice, nothing is written and the last good rows stay.",
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


def freshness(partitions_def: dg.PartitionsDefinition | None) -> dg.FreshnessPolicy:
    """Daily tables are late after a day and a half, weekly ones after a week and a day and a half."""
    is_weekly = isinstance(partitions_def, dg.WeeklyPartitionsDefinition)
    hours = _WEEKLY_LATE_HOURS if is_weekly else _DAILY_LATE_HOURS
    return dg.FreshnessPolicy.time_window(fail_window=dt.timedelta(hours=hours))
