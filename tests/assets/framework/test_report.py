"""What a step reports, seen in a real Dagster run of assets that compute nothing."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from typing import Any

import dagster as dg
import numpy as np
import psycopg
import pytest
from sqlalchemy import Table
from sqlalchemy.exc import ProgrammingError

from seedtest_analytics.assets.framework.checks import Check
from seedtest_analytics.assets.framework.declare import TableSpec, declared
from seedtest_analytics.assets.framework.report import CheckDeclarationError, NotComputed, Outcome, report
from seedtest_analytics.database.engine import DatabaseError
from seedtest_analytics.database.publish import Published
from seedtest_analytics.database.quarantine import ContractViolation, Violation
from seedtest_analytics.settings import SettingsError
from seedtest_analytics.tables.psychometrics import mirt_ability, mirt_fit_meta, mirt_item_params

FITTED = Check("fitted", "The model converged.")
FULL = Check("full", "Every student has an ability.", is_blocking=True)
UNKNOWN = Check("fited", "A name that differs by a letter.")
DAILY = dg.DailyPartitionsDefinition("2026-01-05")
DAYS = ["2026-01-05", "2026-01-06", "2026-01-07"]

Computed = Sequence[Outcome | NotComputed]


class Run:
    """One run of a step over two tables and what Dagster has stored of it."""

    def __init__(
        self,
        outcomes: Computed | Callable[[], Iterator[Outcome | NotComputed]],
        *,
        tables: Sequence[Table] = (mirt_ability,),
        days: Sequence[str] = (),
    ) -> None:
        self.tries = 0
        checks = {mirt_ability.name: (FITTED, FULL), mirt_fit_meta.name: (FITTED,)}

        @dg.multi_asset(
            name="step",
            **declared(
                *(
                    TableSpec(t, grain="student_week", description="Rows.", checks=checks.get(t.name, ()))
                    for t in tables
                ),
                group="psychometrics",
                partitions_def=DAILY if days else None,
            ),
        )
        def step(context: dg.AssetExecutionContext) -> Iterator[Any]:
            self.tries += 1
            yield from report(context, outcomes() if callable(outcomes) else outcomes)

        prefix = "dagster/asset_partition_range_"
        self.instance = dg.DagsterInstance.ephemeral()
        self.result = dg.materialize(
            [step],
            instance=self.instance,
            partition_key=days[0] if len(days) == 1 else None,
            tags={f"{prefix}start": days[0], f"{prefix}end": days[-1]} if len(days) > 1 else {},
            raise_on_error=False,
        )

    def materialisations(self, partition: str | None = None) -> list[dict[str, Any]]:
        events = self.result.get_asset_materialization_events()
        found = [event.step_materialization_data.materialization for event in events]
        return [
            {name: value.value for name, value in one.metadata.items()}
            for one in found
            if partition is None or one.partition == partition
        ]

    def evaluations(self) -> list[Any]:
        entries = self.instance.event_log_storage.get_logs_for_run(self.result.run_id)
        events = [entry.dagster_event for entry in entries if entry.dagster_event]
        return [e.event_specific_data for e in events if e.event_type_value == "ASSET_CHECK_EVALUATION"]

    def checks(self, partition: str | None = None) -> dict[str, Any]:
        """The evaluation of each check in a partition of a range; without one, the step's own, which comes last."""
        return {e.check_name: e for e in self.evaluations() if partition is None or e.partition == partition}

    def error(self) -> tuple[str, str]:
        """The class and message of the error that a body of the step raised at last."""
        (event,) = self.result.get_step_failure_events()
        error = event.step_failure_data.error
        assert error is not None
        error = error.cause or error
        return str(error.cls_name), error.message


def published(table: Table = mirt_ability, rows: int = 3) -> Published:
    return Published(table.name, rows, inserted=rows - 1, updated=1, deleted=4)


def outcome(rows: int = 3, *, fitted: bool = True, **fields: Any) -> Outcome:
    checks = (FITTED.judged(f"{rows} rows", is_passed=fitted), FULL.passed("all"))
    return Outcome(**{"published": published(rows=rows), "checks": checks, **fields})


# ---- declared checks and outcomes ----


def test_an_outcome_of_an_undeclared_check_fails_the_step() -> None:
    """A failed check once came out green, because the step misspelled its name."""
    run = Run([outcome(checks=(UNKNOWN.failed("it diverged"), FULL.passed("all")))])
    assert not run.result.success
    kind, message = run.error()
    assert kind == CheckDeclarationError.__name__
    assert "mirt_ability declares the checks ['fitted', 'full'], but" in message
    assert "['fited', 'full']" in message
    assert run.materialisations() == []
    assert run.checks() == {}


@pytest.mark.parametrize(
    "checks", [(), (FITTED.passed("yes"),), (FITTED.passed("a"), FITTED.passed("b"), FULL.passed("c"))]
)
def test_each_declared_check_has_exactly_one_outcome(checks: tuple[Any, ...]) -> None:
    run = Run([outcome(checks=checks)])
    assert run.error()[0] == CheckDeclarationError.__name__
    assert run.materialisations() == []


def test_an_outcome_of_another_steps_asset_fails_the_step() -> None:
    run = Run([outcome(), Outcome(published(mirt_fit_meta), checks=(FITTED.passed("yes"),))])
    kind, message = run.error()
    assert kind == CheckDeclarationError.__name__
    assert "mirt_fit_meta is not an asset of this step" in message


def test_an_asset_without_outcome_fails_the_step() -> None:
    run = Run([outcome()], tables=(mirt_ability, mirt_fit_meta))
    kind, message = run.error()
    assert kind == CheckDeclarationError.__name__
    assert "mirt_fit_meta: the step yields neither Outcome nor NotComputed" in message


def test_the_checks_of_an_asset_that_is_left_out_pass_with_the_reason() -> None:
    run = Run([outcome(), NotComputed(("mirt_fit_meta",), "it is switched off")], tables=(mirt_ability, mirt_fit_meta))
    assert run.result.success
    assert len(run.materialisations()) == 1
    left_out = [e for e in run.evaluations() if e.asset_key.path == ["mirt_fit_meta"]]
    assert sorted(e.check_name for e in left_out) == ["contract", "fitted"]
    assert all(e.passed and e.description == "not computed: it is switched off" for e in left_out)


def test_a_failed_check_stays_failed_and_its_severity_follows_the_declaration() -> None:
    failed = (FITTED.failed("it diverged", {"iterations": 500}), FULL.failed("2 are missing"))
    checks = Run([outcome(checks=failed)]).checks()
    assert {name: (e.passed, e.severity.name) for name, e in checks.items()} == {
        "contract": (True, "ERROR"),
        "fitted": (False, "WARN"),
        "full": (False, "ERROR"),
    }
    assert checks["fitted"].description == "it diverged"
    assert checks["fitted"].metadata["iterations"].value == 500
    assert checks["contract"].description == "3 rows keep the contract"


# ---- materialisations ----


def test_a_materialisation_counts_rows_and_shows_lineage_and_metadata() -> None:
    (metadata,) = Run([outcome(rows=1_234, metadata={"mean": 0.5})]).materialisations()
    lineage = metadata.pop("dagster/column_lineage")
    assert "theta" in lineage.deps_by_column
    assert metadata == {
        "dagster/partition_row_count": 1_234,
        "rows_inserted": 1_233,
        "rows_updated": 1,
        "rows_deleted": 4,
        "rows_unchanged": 0,
        "mean": 0.5,
    }


def test_a_range_reports_each_partition_and_the_whole() -> None:
    is_fitted = dict(zip(DAYS, (False, True, False), strict=True))
    outcomes = [
        outcome(rows, fitted=is_fitted[day], partition=day, metadata={"day": day})
        for rows, day in enumerate(DAYS, start=1)
    ]
    run = Run(outcomes, days=DAYS)
    assert run.result.success
    for rows, day in enumerate(DAYS, start=1):
        (metadata,) = run.materialisations(day)
        assert metadata["dagster/partition_row_count"] == rows
        assert metadata["day"] == day
        assert run.checks(day)["fitted"].passed == is_fitted[day]
        assert (
            run.checks(day)["contract"].description
            == f"{rows} {'row keeps' if rows == 1 else 'rows keep'} the contract"
        )
    whole = run.checks()
    assert whole["fitted"].description == ("2026-01-07: 3 rows; failed in 2 of 3 partitions: 2026-01-07, 2026-01-05")
    assert not whole["fitted"].passed
    assert whole["fitted"].metadata["failed_partitions"].value == 2
    assert whole["full"].passed
    assert whole["contract"].metadata["rows"].value == 6


def test_the_newest_partition_decides_a_check_over_a_range_and_the_text_names_those_that_fail() -> None:
    """A failure two months old once looked like one of the newest fit."""
    outcomes = [outcome(rows, fitted=rows > 2, partition=day) for rows, day in enumerate(DAYS, start=1)]
    whole = Run(outcomes, days=DAYS).checks()["fitted"]
    assert whole.passed
    assert whole.description == "2026-01-07: 3 rows; failed in 2 of 3 partitions: 2026-01-06, 2026-01-05"
    assert whole.metadata["partition"].value == "2026-01-07"
    assert whole.metadata["failed_partitions"].value == 2


def test_numbers_of_a_check_stay_numbers_so_that_dagster_plots_them() -> None:
    numbers = {"n": 3, "share": np.float64(0.5), "is_whole": True, "none": float("nan"), "text": "x", "pair": [1, 2]}
    outcomes = [outcome(partition=day, checks=(FITTED.passed("yes", numbers), FULL.passed("all"))) for day in DAYS[:2]]
    run = Run(outcomes, days=DAYS[:2])
    for partition in (DAYS[0], None):
        metadata = run.checks(partition)["fitted"].metadata
        assert isinstance(metadata["n"], dg.IntMetadataValue)
        assert isinstance(metadata["share"], dg.FloatMetadataValue)
        assert metadata["is_whole"].value is True
        assert metadata["text"].value == "x"
        assert metadata["pair"].value == "[1, 2]"
        assert "none" not in metadata
    assert isinstance(run.checks(DAYS[0])["contract"].metadata["rows"], dg.IntMetadataValue)


def test_one_statement_over_a_range_reports_the_rows_of_each_partition() -> None:
    run = Run([outcome(rows=5, partition_rows={DAYS[0]: 5})], days=DAYS[:2])
    (first,), (second,) = (run.materialisations(day) for day in DAYS[:2])
    assert (first["dagster/partition_row_count"], second["dagster/partition_row_count"]) == (5, 0)
    assert all(run.checks(day)["fitted"].passed for day in DAYS[:2])


def test_a_run_of_one_partition_reports_it_once() -> None:
    run = Run([outcome(partition=DAYS[0], metadata={"day": DAYS[0]})], days=DAYS[:1])
    assert [metadata["day"] for metadata in run.materialisations(DAYS[0])] == [DAYS[0]]
    assert len(run.evaluations()) == 3


def test_a_dry_run_has_checks_and_says_what_it_would_change_but_materialises_nothing() -> None:
    run = Run([outcome(is_dry_run=True, partition=day) for day in DAYS[:2]], days=DAYS[:2])
    assert run.result.success
    assert run.materialisations() == []
    checks = run.checks()
    assert set(checks) == {"contract", "fitted", "full"}
    for check in checks.values():
        assert check.description.startswith("dry run, nothing written, computed from what the tables hold now: ")
        assert check.metadata["would_change"].value == "4 new, 2 updated, 8 removed, 0 unchanged"


# ---- errors ----


def raising(error: Exception) -> Callable[[], Iterator[Outcome | NotComputed]]:
    def outcomes() -> Iterator[Outcome | NotComputed]:
        yield Outcome(published(mirt_fit_meta), checks=(FITTED.passed("yes"),))
        raise error

    return outcomes


def run_raising(error: Exception) -> Run:
    return Run(raising(error), tables=(mirt_fit_meta, mirt_item_params, mirt_ability))


@pytest.mark.parametrize(
    ("table", "blamed"),
    [
        ("mirt_ability", "mirt_ability"),
        ("mirt_item_params_history", "mirt_item_params"),
        ("elsewhere", "mirt_fit_meta"),
    ],
)
def test_a_broken_contract_fails_its_blocking_check_and_the_step_without_another_try(table: str, blamed: str) -> None:
    """A history belongs to the asset of its table, any other table to the step's first asset."""
    violation = ContractViolation(table, [Violation("theta", "must be finite", rows=1_200)])
    run = run_raising(violation)
    assert run.tries == 1
    (check,) = run.evaluations()
    assert (check.asset_key.to_user_string(), check.check_name, check.passed) == (blamed, "contract", False)
    assert check.severity == dg.AssetCheckSeverity.ERROR
    assert check.metadata["theta"].value == "must be finite: 1,200 rows"
    (event,) = run.result.get_step_failure_events()
    assert event.step_failure_data.user_failure_data.description == str(violation)
    assert run.materialisations() == []


def test_a_row_in_quarantine_is_a_warning_of_the_contract_that_stops_nothing() -> None:
    bad = replace(published(), quarantined=1, broken_rules="theta: must be at most 12 (1 row)")
    run = Run([outcome(), outcome(published=bad)])
    assert run.result.success
    check = run.checks()["contract"]
    assert (check.passed, check.severity) == (False, dg.AssetCheckSeverity.WARN)
    assert check.description == ("6 rows keep the contract; 1 is in row_quarantine: theta: must be at most 12 (1 row)")
    assert check.metadata["quarantined"].value == 1


def missing_table() -> ProgrammingError:
    return ProgrammingError("SELECT 1", None, psycopg.errors.UndefinedTable('relation "attempt" does not exist'))


@pytest.mark.parametrize(
    ("error", "tries", "text"),
    [
        (SettingsError("DRIFT_MIN_SAMPLE = -1 is not allowed"), 1, "DRIFT_MIN_SAMPLE = -1 is not allowed"),
        (DatabaseError("the server refuses"), 3, "the server refuses"),
        (missing_table(), 1, 'does not match this release (relation "attempt" does not exist); run `seedtest migrate`'),
    ],
)
def test_a_known_error_says_what_to_do_and_is_tried_again_only_if_that_can_help(
    error: Exception, tries: int, text: str
) -> None:
    run = run_raising(error)
    (event,) = run.result.get_step_failure_events()
    assert text in event.step_failure_data.user_failure_data.description
    assert run.tries == tries
    assert run.materialisations() == []


def test_an_unknown_error_of_a_statement_is_raised_as_it_is() -> None:
    error = ProgrammingError("SELEC 1", None, psycopg.errors.SyntaxError("syntax error"))
    assert run_raising(error).error()[0] == ProgrammingError.__name__
