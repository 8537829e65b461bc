"""One week's work: what it publishes, what it leaves alone, and which weeks a step computes."""

import datetime as dt
import logging
from collections.abc import Iterator, Sequence
from dataclasses import replace
from typing import Any

import dagster as dg
import numpy as np
import pandas as pd
import pytest
from sqlalchemy import Engine, text

from seedtest_analytics.assets.framework.checks import Check
from seedtest_analytics.assets.framework.declare import RunOptions, TableSpec, declared
from seedtest_analytics.assets.framework.preview import histogram
from seedtest_analytics.assets.framework.report import Outcome, report
from seedtest_analytics.assets.framework.week_run import Replace, WeeklyStep, WeekRun, publish_week
from seedtest_analytics.database.publish import Published
from seedtest_analytics.database.quarantine import ContractViolation
from seedtest_analytics.partitions import Week
from seedtest_analytics.resources.postgres import PostgresResource
from seedtest_analytics.settings import Settings
from seedtest_analytics.tables.psychometrics import mirt_ability
from tests._database import rows_of
from tests.assets._activity import store_sessions
from tests.assets._week_runs import week_run

MONDAYS = [dt.date(2026, 1, 5), dt.date(2026, 1, 12)]
FIRST, SECOND = (Week(monday, dt.datetime(2026, 1, 19, tzinfo=dt.UTC), timezone="UTC") for monday in MONDAYS)


def abilities(week: Week, **theta: float) -> pd.DataFrame:
    fixed = {"week_start": week.start, "version": week.iso_label, "fitted_at": week.as_of}
    return pd.DataFrame({"user_id": list(theta), "theta": list(theta.values())}).assign(**fixed)


def stored(engine: Engine) -> dict[str, float]:
    rows = rows_of(engine, "SELECT user_id || ' ' || version AS name, theta FROM mirt_ability ORDER BY 1")
    return {row["name"]: row["theta"] for row in rows}


def published(engine: Engine, week: Week, *, replace: Replace = Replace.WEEK, **theta: float) -> Published:
    with week_run(engine, week) as run:
        return publish_week(run, mirt_ability, rows=abilities(week, **theta), replace=replace)


@pytest.fixture
def filled(database: Engine) -> Engine:
    """Two students in each of two weeks."""
    for week in (FIRST, SECOND):
        published(database, week, kim=0.5, lee=-0.5)
    return database


def test_a_week_of_a_long_range_has_numbers_without_plots(database: Engine) -> None:
    nothing = Published("mirt_ability", 0, inserted=0, updated=0, deleted=0)
    for draws, expected in ((True, {"n", "plot", "plot_in_full"}), (False, {"n"})):
        with week_run(database, FIRST) as run:
            of_week = replace(run, draws_plots=draws)
            found = of_week.outcome(nothing, {"n": 1, "plot": histogram([0.0, 1.0], "Levels", label="logit")})
        assert set(found.metadata) == expected


@pytest.mark.parametrize(
    ("replace", "left"),
    [
        (Replace.WEEK, {"kim 2026-W02", "kim 2026-W03", "lee 2026-W02"}),
        (Replace.VERSION, {"kim 2026-W02", "kim 2026-W03", "lee 2026-W02"}),
        (Replace.NOTHING, {"kim 2026-W02", "kim 2026-W03", "lee 2026-W02", "lee 2026-W03"}),
        (Replace.EVERYTHING, {"kim 2026-W03"}),
    ],
)
def test_a_publication_replaces_what_it_says_and_nothing_else(filled: Engine, replace: Replace, left: set[str]) -> None:
    counts = published(filled, SECOND, replace=replace, kim=1.0)
    assert set(stored(filled)) == left
    assert stored(filled)["kim 2026-W03"] == 1.0
    assert (counts.inserted, counts.updated, counts.deleted) == (0, 1, 4 - len(left))


def test_a_temporary_table_is_published_as_a_frame_is(filled: Engine) -> None:
    with week_run(filled, SECOND) as run:
        run.connection.execute(
            text(
                "CREATE TEMP TABLE mine ON COMMIT DROP AS SELECT * FROM mirt_ability WHERE user_id = 'lee' AND version = :v"
            ),
            {"v": SECOND.iso_label},
        )
        counts = publish_week(run, mirt_ability, rows="mine")
    assert (counts.staged, counts.unchanged, counts.deleted) == (1, 1, 1)


def test_an_update_may_depend_on_the_row_that_is_there(filled: Engine) -> None:
    with week_run(filled, FIRST) as run:
        frame = abilities(FIRST, kim=9.0, lee=9.0)
        publish_week(run, mirt_ability, rows=frame, update_only_if="t.theta > 0")
    assert stored(filled)["kim 2026-W02"] == 9.0
    assert stored(filled)["lee 2026-W02"] == -0.5


def test_rows_that_break_the_contract_leave_the_week_as_it_was(filled: Engine) -> None:
    before = stored(filled)
    with pytest.raises(ContractViolation, match="theta: must be finite"):
        published(filled, FIRST, kim=float("inf"))
    assert stored(filled) == before


def test_an_outcome_says_week_and_dry_run_and_a_warning_names_the_week(
    database: Engine, caplog: pytest.LogCaptureFixture
) -> None:
    counts = Published("mirt_ability", 1, inserted=1, updated=0, deleted=0)
    with week_run(database, FIRST, is_dry_run=True) as run, caplog.at_level(logging.WARNING):
        outcome = run.outcome(counts, {"n": 1}, key=("weekly_kpi", "P"))
        run.warn("no answers")
    assert outcome == Outcome(counts, {"n": 1}, partition="2026-01-05", is_dry_run=True, key=("weekly_kpi", "P"))
    assert run.parameters == {"week_start": FIRST.start, "version": "2026-W02"}
    assert caplog.messages == ["week of 2026-01-05: no answers"]


# ---- a step over weeks, in a real Dagster run ----

WEEKLY = dg.WeeklyPartitionsDefinition("2026-01-05", day_offset=1)
RANGE = {"dagster/asset_partition_range_start": "2026-01-05", "dagster/asset_partition_range_end": "2026-01-12"}


class Step:
    """A step that gives each week's student the ability 1 and fails in the given weeks."""

    def __init__(self, engine: Engine, *, failing: Sequence[str] = ()) -> None:
        self.weeks: list[str] = []
        self.url = engine.url.render_as_string(hide_password=False)

        def compute(run: WeekRun) -> Sequence[Outcome]:
            self.weeks.append(run.week.key)
            held = "SELECT count(*) FROM pg_locks WHERE locktype = 'advisory' AND pid = pg_backend_pid()"
            assert run.connection.execute(text(held)).scalar_one() == 1
            frame = abilities(run.week, kim=1.0)
            outcome = run.outcome(publish_week(run, mirt_ability, rows=frame))
            if run.week.key in failing:
                raise ValueError(f"{run.week.key} fails")
            return [outcome]

        spec = TableSpec(mirt_ability, grain="student_week", description="Abilities.")

        @dg.multi_asset(name="step", **declared(spec, group="psychometrics", partitions_def=WEEKLY))
        def step(context: dg.AssetExecutionContext, config: RunOptions, *, postgres: PostgresResource) -> Iterator[Any]:
            weekly = WeeklyStep(context, config, postgres=postgres, settings=Settings(), lock="abilities:{week}")
            yield from report(context, weekly.each_week(compute))

        self.asset = step

    def run(self, **options: Any) -> dg.ExecuteInProcessResult:
        return dg.materialize(
            [self.asset],
            resources={"postgres": PostgresResource.having(url=self.url)},
            run_config={"ops": {"step": {"config": {"as_of": "2026-02-02T00:00:00+00:00", **options}}}},
            tags=RANGE,
            raise_on_error=False,
        )


def test_a_step_computes_the_weeks_of_its_range_oldest_first_each_under_its_lock(database: Engine) -> None:
    step = Step(database)
    assert step.run().success
    assert step.weeks == ["2026-01-05", "2026-01-12"]
    assert set(stored(database)) == {"kim 2026-W02", "kim 2026-W03"}


def test_a_dry_run_computes_and_writes_nothing(database: Engine) -> None:
    step = Step(database)
    result = step.run(dry_run=True)
    assert result.success
    assert step.weeks == ["2026-01-05", "2026-01-12"]
    assert stored(database) == {}
    assert result.get_asset_materialization_events() == []


def test_a_week_that_fails_is_rolled_back_and_the_weeks_before_it_stay(database: Engine) -> None:
    step = Step(database, failing=["2026-01-12"])
    assert not step.run().success
    assert set(stored(database)) == {"kim 2026-W02"}


# ---- checks in a log's first weeks ----


@pytest.fixture
def old_log() -> None:
    """Here the age of the log is the real one."""


@pytest.mark.parametrize(
    ("first", "is_passed", "text"),
    [
        (None, True, "too early: 0 of 8 weeks of attempts; no fit"),
        (dt.datetime(2025, 11, 24, 0, 1, tzinfo=dt.UTC), True, "too early: 7 of 8 weeks of attempts; no fit"),
        (dt.datetime(2025, 11, 24, tzinfo=dt.UTC), False, "no fit"),
    ],
)
def test_a_check_that_cannot_pass_yet_says_too_early_and_fails_once_it_could_have_passed(
    database: Engine, first: dt.datetime | None, is_passed: bool, text: str
) -> None:
    needy, other = Check("fitted", "There is a fit.", needs_weeks=8), Check("complete", "No row is missing.")
    if first is not None:
        days = (first - dt.datetime(1970, 1, 1, tzinfo=dt.UTC)) / dt.timedelta(days=1)
        store_sessions(database, ["kim"], np.array([days]))
    nothing = Published("mirt_ability", 0, inserted=0, updated=0, deleted=0)
    with week_run(database, FIRST) as run:
        outcome = run.outcome(nothing, checks=[needy.failed("no fit", {"n": 3}), other.failed("one is missing")])
    found, other_found = outcome.checks
    assert (found.is_passed, found.description) == (is_passed, text)
    assert found.metadata["n"] == 3
    assert not other_found.is_passed
