"""What a step came to, as Dagster events: materialisations, checks and metadata with their own partition."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import dagster as dg
from dagster._core.definitions.asset_checks.asset_check_evaluation import AssetCheckEvaluation
from sqlalchemy.exc import ProgrammingError

from seedtest_analytics.database.engine import DatabaseError, cause_of, lacks_schema
from seedtest_analytics.database.publish import ContractViolation, Published
from seedtest_analytics.settings import SettingsError

CONTRACT_CHECK = "contract"
DRY_RUN = "dry run, nothing written, computed from what the tables hold now"
WOULD_CHANGE = "would_change"
"""Metadata of a dry run's checks: the rows that the asset would have changed."""


@dataclass(frozen=True)
class CheckDeclaration:
    """A check: what passing means and whether failing stops what follows."""

    name: str
    description: str
    is_blocking: bool = False


@dataclass(frozen=True)
class CheckOutcome:
    """Result of one declared check."""

    name: str
    passed: bool
    description: str
    metadata: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class Outcome:
    """What one table and partition (None: the whole table) came to.

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
        """The asset that the outcome is about."""
        return dg.AssetKey(list(self.key) or [self.published.table])


@dataclass(frozen=True)
class _CheckEvent:
    name: str
    passed: bool
    severity: dg.AssetCheckSeverity
    description: str
    metadata: Mapping[str, Any]


def report_run(
    context: dg.AssetExecutionContext,
    checks: Mapping[dg.AssetKey, Sequence[CheckDeclaration]],
    *,
    lineage: Mapping[dg.AssetKey, dg.TableColumnLineage],
    outcomes: Iterator[Outcome],
) -> Iterator[Any]:
    """Turn the outcomes of a step's body into events, and its known errors into failures that say what to do."""
    collected: dict[dg.AssetKey, list[Outcome]] = {key: [] for key in checks}
    try:
        for outcome in outcomes:
            collected[outcome.asset_key].append(outcome)
            _report_partition(context, checks[outcome.asset_key], outcome=outcome)
    except ContractViolation as violation:
        yield from _failed_contract(checks, violation)
        raise dg.Failure(str(violation), allow_retries=False) from None
    except SettingsError as error:
        raise dg.Failure(str(error), allow_retries=False) from None
    except DatabaseError as error:
        raise dg.Failure(str(error)) from None
    except ProgrammingError as error:
        if not lacks_schema(error):
            raise
        raise dg.Failure(
            f"the database's schema is not this release's ({cause_of(error)}); run `seedtest migrate`",
            allow_retries=False,
        ) from error
    for key, of_key in collected.items():
        if of_key:
            yield from _report_asset(context, key, checks=checks[key], lineage=lineage[key], outcomes=of_key)
        else:
            yield from _nothing_to_report(key, checks[key])


def _nothing_to_report(key: dg.AssetKey, checks: Sequence[CheckDeclaration]) -> Iterator[dg.AssetCheckResult]:
    """A declared check needs a result even where the settings leave its asset out of the run."""
    for name in (CONTRACT_CHECK, *(check.name for check in checks)):
        yield dg.AssetCheckResult(
            asset_key=key,
            check_name=name,
            passed=True,
            description="not computed in this run; nothing to check",
        )


def _failed_contract(
    checks: Mapping[dg.AssetKey, Sequence[CheckDeclaration]], violation: ContractViolation
) -> Iterator[dg.AssetCheckResult]:
    rows = {v.column: f"{v.rule}: {v.rows:,} rows" for v in violation.violations}
    keys = [key for key in checks if key.path[0] == violation.table] or list(checks)
    yield dg.AssetCheckResult(
        asset_key=keys[0], check_name=CONTRACT_CHECK, passed=False, description=str(violation), metadata=rows
    )


def _report_asset(
    context: dg.AssetExecutionContext,
    key: dg.AssetKey,
    *,
    checks: Sequence[CheckDeclaration],
    lineage: dg.TableColumnLineage,
    outcomes: Sequence[Outcome],
) -> Iterator[Any]:
    total = outcomes[0].published
    for outcome in outcomes[1:]:
        total = total + outcome.published
    is_dry_run = outcomes[0].is_dry_run
    verb = f"would change ({DRY_RUN})" if is_dry_run else "changed"
    context.log.info(f"{key.to_user_string()} {verb}: {changes(total)}")
    if not is_dry_run:
        own = dict(outcomes[0].metadata) if len(outcomes) == 1 else {}
        yield dg.MaterializeResult(asset_key=key, metadata={"dagster/column_lineage": lineage} | _counts(total) | own)
    # A dry run has its checks too: Dagster fails a step that leaves a declared check without a result.
    for event in _check_events(checks, outcomes):
        yield dg.AssetCheckResult(
            asset_key=key,
            check_name=event.name,
            passed=event.passed,
            severity=event.severity,
            description=f"{DRY_RUN}: {event.description}" if is_dry_run else event.description,
            # There is no materialisation that could carry it.
            metadata={**event.metadata, WOULD_CHANGE: changes(total)} if is_dry_run else event.metadata,
        )


def changes(published: Published) -> str:
    """What a publication did to its table, in words."""
    return (
        f"{published.inserted:,} new, {published.updated:,} updated, {published.deleted:,} removed, "
        f"{published.unchanged:,} as they were"
    )


def _counts(published: Published) -> dict[str, Any]:
    return {
        "dagster/partition_row_count": published.staged,
        "rows_inserted": published.inserted,
        "rows_updated": published.updated,
        "rows_deleted": published.deleted,
        "rows_unchanged": published.unchanged,
    }


def _report_partition(
    context: dg.AssetExecutionContext, checks: Sequence[CheckDeclaration], *, outcome: Outcome
) -> None:
    """Log metadata and checks of the partitions of a range, also of one; those of a partition's run are its own."""
    if outcome.is_dry_run or context.assets_def.partitions_def is None or context.has_partition_key:
        return
    if outcome.partition is not None:
        metadata = {**_counts(outcome.published), **outcome.metadata}
        _log_partition(context, checks, outcome=outcome, partition=outcome.partition, metadata=metadata)
        return
    for partition in context.partition_keys:
        rows = {"dagster/partition_row_count": outcome.partition_rows.get(partition, 0)}
        _log_partition(context, checks, outcome=outcome, partition=partition, metadata=rows)


def _log_partition(
    context: dg.AssetExecutionContext,
    checks: Sequence[CheckDeclaration],
    *,
    outcome: Outcome,
    partition: str,
    metadata: Mapping[str, Any],
) -> None:
    context.add_asset_metadata(metadata, asset_key=outcome.asset_key, partition_key=partition)
    for event in _check_events(checks, [outcome]):
        context.log_event(
            AssetCheckEvaluation(
                asset_key=outcome.asset_key,
                check_name=event.name,
                passed=event.passed,
                severity=event.severity,
                description=event.description,
                metadata={k: dg.MetadataValue.text(str(v)) for k, v in event.metadata.items()},
                partition=partition,
            )
        )


def _check_events(checks: Sequence[CheckDeclaration], outcomes: Sequence[Outcome]) -> Iterator[_CheckEvent]:
    rows = sum(o.published.staged for o in outcomes)
    yield _CheckEvent(
        CONTRACT_CHECK,
        True,  # noqa: FBT003
        severity=dg.AssetCheckSeverity.ERROR,
        description=f"{rows:,} rows keep the contract",
        metadata={"rows": rows},
    )
    for check in checks:
        results = [c for o in outcomes for c in o.checks if c.name == check.name]
        failed = [c for c in results if not c.passed]
        shown = (failed or results)[-1:]
        description = shown[0].description if shown else "nothing to check"
        if len(failed) > 1:
            description = f"failed in {len(failed)} of {len(results)} partitions; the last: {description}"
        yield _CheckEvent(
            check.name,
            not failed,
            severity=dg.AssetCheckSeverity.ERROR if check.is_blocking else dg.AssetCheckSeverity.WARN,
            description=description,
            metadata=dict(shown[0].metadata) if shown else {},
        )
