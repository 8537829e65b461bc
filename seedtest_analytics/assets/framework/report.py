"""Turns the outcomes of a step into Dagster events: materialisations, checks and metadata, each with its partition.

A step yields one :class:`Outcome` for each table and partition, or :class:`NotComputed` for an asset that the settings
leave out. Known errors become failures that say what to do.
"""

from __future__ import annotations

import math
import numbers
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

import dagster as dg
from psycopg import Error as PsycopgError
from sqlalchemy.exc import DBAPIError

from seedtest_analytics.assets.framework.checks import Check, CheckOutcome
from seedtest_analytics.assets.framework.lineage import asset_key_of, column_lineage
from seedtest_analytics.assets.framework.untrusted import escaped
from seedtest_analytics.database.engine import DatabaseError
from seedtest_analytics.database.publish import Published
from seedtest_analytics.database.quarantine import ContractViolation
from seedtest_analytics.database.sessions import explained
from seedtest_analytics.database.work import working_on
from seedtest_analytics.settings import SettingsError
from seedtest_analytics.tables import table_named

CONTRACT_CHECK = "contract"
DRY_RUN = "dry run, nothing written, computed from what the tables hold now"
SHOWN_PARTITIONS = 5
WOULD_CHANGE = "would_change"
"""Metadata of a dry run's checks: the rows that the asset would have changed."""


class CheckDeclarationError(TypeError):
    """A step reports other checks than its asset declares."""


@dataclass(frozen=True)
class Outcome:
    """The outcome of one table and partition (None: the whole table).

    ``key`` is the asset's key where it is not the table's name. One statement over a range of partitions is one
    outcome without a partition; ``partition_rows`` then has the rows of each.
    """

    published: Published
    metadata: Mapping[str, Any] = field(default_factory=dict)
    checks: Sequence[CheckOutcome] = ()
    partition: str | None = None
    is_dry_run: bool = False
    key: tuple[str, ...] = ()
    partition_rows: Mapping[str, int] = field(default_factory=dict)

    @property
    def asset_key(self) -> dg.AssetKey:
        """The asset that the outcome belongs to."""
        return dg.AssetKey(list(self.key) or [self.published.table])


@dataclass(frozen=True)
class NotComputed:
    """An asset that the settings leave out of the run. Its checks pass with the reason."""

    key: tuple[str, ...]
    reason: str

    @property
    def asset_key(self) -> dg.AssetKey:
        """The asset that is left out."""
        return dg.AssetKey(list(self.key))


@dataclass(frozen=True)
class _CheckEvent:
    name: str
    is_passed: bool
    severity: dg.AssetCheckSeverity
    description: str
    metadata: Mapping[str, Any]


def report(context: dg.AssetExecutionContext, outcomes: Iterable[Outcome | NotComputed]) -> Iterator[Any]:
    """Report the outcomes of a step that :func:`~seedtest_analytics.assets.framework.declare.declared` declares.

    Raises:
        CheckDeclarationError: an outcome lacks a declared check, has an undeclared one, or an asset has no outcome.
        dagster.Failure: the step met a known error; only those that a retry can cure are retried.
    """
    declared = _declared_checks(context)
    collected: dict[dg.AssetKey, list[Outcome]] = {key: [] for key in declared}
    left_out: dict[dg.AssetKey, str] = {}
    try:
        with working_on(", ".join(key.to_user_string() for key in declared), context.log.info):
            for outcome in outcomes:
                if isinstance(outcome, NotComputed):
                    left_out[outcome.asset_key] = outcome.reason
                    continue
                _require_declared(outcome, declared)
                collected[outcome.asset_key].append(outcome)
                _report_partition(context, outcome)
    except ContractViolation as violation:
        yield _failed_contract(list(declared), violation)
        raise dg.Failure(str(violation), allow_retries=False) from None
    except (SettingsError, DatabaseError, DBAPIError, PsycopgError) as error:
        raise _failure_of(error) from None
    for key, of_key in collected.items():
        if of_key:
            yield from _report_asset(context, key, outcomes=of_key)
        elif key in left_out:
            yield from _report_left_out(key, sorted(declared[key]), reason=left_out[key])
        else:
            raise CheckDeclarationError(f"{key.to_user_string()}: the step yields neither Outcome nor NotComputed")


@contextmanager
def known_errors_as_failures() -> Iterator[None]:
    """As :func:`report`, for a step that reports nothing: known errors become failures that say what to do."""
    try:
        yield
    except ContractViolation as violation:
        raise dg.Failure(str(violation), allow_retries=False) from None
    except (SettingsError, DatabaseError, DBAPIError, PsycopgError) as error:
        raise _failure_of(error) from None


def _failure_of(error: SettingsError | DatabaseError | DBAPIError | PsycopgError) -> Exception:
    """The failure that says what to do; the error itself if it is none of the known ones."""
    known = explained(error) if isinstance(error, DBAPIError | PsycopgError) else error
    if known is None:
        return error
    # A server that does not answer may answer the next try; a wrong setting stays wrong.
    return dg.Failure(str(known), allow_retries=isinstance(known, DatabaseError) and known.may_pass)


def _declared_checks(context: dg.AssetExecutionContext) -> dict[dg.AssetKey, set[str]]:
    """The checks of the assets that the run selects, themselves or a check of theirs."""
    checks: dict[dg.AssetKey, set[str]] = {key: set() for key in selected_assets(context)}
    for spec in context.assets_def.check_specs:
        if spec.asset_key in checks:
            checks[spec.asset_key].add(spec.name)
    return checks


def selected_assets(context: dg.AssetExecutionContext) -> list[dg.AssetKey]:
    """The assets that the run selects, themselves or a check of theirs, as declared."""
    selected = context.selected_asset_keys | {check.asset_key for check in context.selected_asset_check_keys}
    return [spec.key for spec in context.assets_def.specs if spec.key in selected]


def _require_declared(outcome: Outcome, declared: Mapping[dg.AssetKey, set[str]]) -> None:
    asset = outcome.asset_key.to_user_string()
    if outcome.asset_key not in declared:
        raise CheckDeclarationError(f"{asset} is not an asset of this step")
    names = [result.check.name for result in outcome.checks]
    expected = declared[outcome.asset_key] - {CONTRACT_CHECK}
    if sorted(names) != sorted(expected):
        raise CheckDeclarationError(
            f"{asset} declares the checks {sorted(expected)}, but its outcome of partition {outcome.partition} has "
            f"{sorted(names)}"
        )


def _report_left_out(key: dg.AssetKey, names: Sequence[str], *, reason: str) -> Iterator[dg.AssetCheckResult]:
    for name in names:
        yield dg.AssetCheckResult(
            asset_key=key, check_name=name, passed=True, description=escaped(f"not computed: {reason}")
        )


def _failed_contract(keys: Sequence[dg.AssetKey], violation: ContractViolation) -> dg.AssetCheckResult:
    rows = {v.column: f"{v.rule}: {v.rows:,} rows" for v in violation.violations}
    asset = dg.AssetKey(list(violation.asset)) if violation.asset else asset_key_of(violation.table)
    key = asset if asset in keys else keys[0]
    return dg.AssetCheckResult(
        asset_key=key, check_name=CONTRACT_CHECK, passed=False, description=escaped(violation), metadata=rows
    )


def _report_asset(
    context: dg.AssetExecutionContext, key: dg.AssetKey, *, outcomes: Sequence[Outcome]
) -> Iterator[dg.MaterializeResult[Any] | dg.AssetCheckResult]:
    total = _total(outcomes)
    is_dry_run = outcomes[0].is_dry_run
    verb = f"would change ({DRY_RUN})" if is_dry_run else "changed"
    context.log.info(f"{key.to_user_string()} {verb}: {changes(total)}")
    if not is_dry_run:
        own = dict(outcomes[0].metadata) if len(outcomes) == 1 else {}
        table = table_named(context.assets_def.specs_by_key[key].metadata["dagster/table_name"])
        lineage = column_lineage(table)
        yield dg.MaterializeResult(asset_key=key, metadata={"dagster/column_lineage": lineage} | _counts(total) | own)
    # A dry run has its checks too: Dagster fails a step that leaves a selected check without a result.
    for event in _check_events(outcomes):
        if dg.AssetCheckKey(key, event.name) not in context.selected_asset_check_keys:
            continue
        yield dg.AssetCheckResult(
            asset_key=key,
            check_name=event.name,
            passed=event.is_passed,
            severity=event.severity,
            description=f"{DRY_RUN}: {event.description}" if is_dry_run else event.description,
            # There is no materialisation to hold it.
            metadata={**event.metadata, WOULD_CHANGE: changes(total)} if is_dry_run else event.metadata,
        )


def _total(outcomes: Sequence[Outcome]) -> Published:
    return sum((outcome.published for outcome in outcomes[1:]), outcomes[0].published)


def changes(published: Published) -> str:
    """What a publication did to its table, in words."""
    return (
        f"{published.inserted:,} new, {published.updated:,} updated, {published.deleted:,} removed, "
        f"{published.unchanged:,} unchanged"
    )


def _counts(published: Published) -> dict[str, Any]:
    return {
        "dagster/partition_row_count": published.staged,
        "rows_inserted": published.inserted,
        "rows_updated": published.updated,
        "rows_deleted": published.deleted,
        "rows_unchanged": published.unchanged,
    }


def _report_partition(context: dg.AssetExecutionContext, outcome: Outcome) -> None:
    """Log metadata and checks of each partition of a range. A run of a single partition reports its own."""
    if outcome.is_dry_run or context.assets_def.partitions_def is None or context.has_partition_key:
        return
    if outcome.partition is not None:
        _log_partition(context, outcome, metadata={**_counts(outcome.published), **outcome.metadata})
        return
    for partition in context.partition_keys:
        rows = {"dagster/partition_row_count": outcome.partition_rows.get(partition, 0)}
        _log_partition(context, outcome, metadata=rows, partition=partition)


def _log_partition(
    context: dg.AssetExecutionContext, outcome: Outcome, *, metadata: Mapping[str, Any], partition: str | None = None
) -> None:
    partition = partition or outcome.partition
    context.add_asset_metadata(metadata, asset_key=outcome.asset_key, partition_key=partition)
    for event in _check_events([outcome]):
        context.log_event(
            dg.AssetCheckEvaluation(
                asset_key=outcome.asset_key,
                check_name=event.name,
                passed=event.is_passed,
                severity=event.severity,
                description=event.description,
                metadata=dict(event.metadata),
                partition=partition,
            )
        )


def _check_events(outcomes: Sequence[Outcome]) -> Iterator[_CheckEvent]:
    yield _contract_event(_total(outcomes))
    results: dict[Check, list[tuple[str | None, CheckOutcome]]] = {}
    for outcome in outcomes:
        for result in outcome.checks:
            results.setdefault(result.check, []).append((outcome.partition, result))
    for check, found in results.items():
        yield _check_event(check, found)


def _contract_event(published: Published) -> _CheckEvent:
    """A row in quarantine is a warning: later assets go on with the others."""
    rows, bad = published.staged, published.quarantined
    text = f"{rows:,} {'row keeps' if rows == 1 else 'rows keep'} the contract"
    metadata: dict[str, Any] = {"rows": rows}
    if bad:
        text += f"; {bad:,} {'is' if bad == 1 else 'are'} in row_quarantine: {published.broken_rules}"
        metadata["quarantined"] = bad
    return _CheckEvent(
        CONTRACT_CHECK,
        is_passed=not bad,
        severity=dg.AssetCheckSeverity.WARN if bad else dg.AssetCheckSeverity.ERROR,
        description=escaped(text),
        metadata=metadata,
    )


def _check_event(check: Check, found: Sequence[tuple[str | None, CheckOutcome]]) -> _CheckEvent:
    """One event for a check in some partitions, oldest first.

    The newest partition decides, so that a range ends in the same state as its partitions one by one. The text names
    those that fail.
    """
    failed = [partition for partition, result in found if not result.is_passed]
    partition, newest = found[-1]
    text, metadata = newest.description, dict(newest.metadata)
    if len(found) > 1:
        metadata |= {"partition": partition, "partitions": len(found), "failed_partitions": len(failed)}
    if failed and len(found) > 1:
        names = [str(name) for name in reversed(failed)]
        named = ", ".join(names[:SHOWN_PARTITIONS]) + (", …" if len(names) > SHOWN_PARTITIONS else "")
        text = f"{partition}: {text}; failed in {len(failed)} of {len(found)} partitions: {named}"
    return _CheckEvent(
        check.name,
        is_passed=newest.is_passed,
        severity=dg.AssetCheckSeverity.ERROR if check.is_blocking else dg.AssetCheckSeverity.WARN,
        description=escaped(text),
        metadata=_plottable(metadata),
    )


def _plottable(metadata: Mapping[str, Any]) -> dict[str, Any]:
    """Numbers as numbers, because Dagster plots their history; the rest as text. NaN is left out: JSON has none."""
    kept: dict[str, Any] = {}
    for name, value in metadata.items():
        if isinstance(value, bool | dg.MetadataValue):
            kept[name] = value
        elif isinstance(value, numbers.Integral):
            kept[name] = int(value)
        elif isinstance(value, numbers.Real):
            kept |= {name: float(value)} if math.isfinite(value) else {}
        elif value is not None:
            kept[name] = str(value)
    return kept
