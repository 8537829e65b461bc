"""Can Dagster's automation conditions replace the chain? Each scenario of `test_chain.py`, with today's outcome.

The second half asserts what the conditions get wrong. When a Dagster release fixes one of them, its test fails: then
read docs/decisions/0015-why-not-declarative-automation.md again.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Mapping
from typing import Any

import dagster as dg
import pytest

pytestmark = pytest.mark.long

AC = dg.AutomationCondition
Conditions = Mapping[str, dg.AutomationCondition[Any]]
Requested = dict[str, list[str]]

MONDAY, TUESDAY, WEDNESDAY, THURSDAY = "2026-03-09", "2026-03-10", "2026-03-11", "2026-03-12"
LAST_WEEK = "2026-03-02"
DAYS_OF_LAST_WEEK = [f"2026-03-{day:02}" for day in range(2, 9)]
SEGMENTS_MONDAY, WEEK_BEFORE = "2026-06-15", "2026-06-08"

DAILY = dg.DailyPartitionsDefinition("2026-01-05", end_offset=1)
WEEKLY = dg.WeeklyPartitionsDefinition("2026-01-05", day_offset=1, end_offset=1)
FROM_AUTOMATION = "dagster/from_automation_condition"
SEGMENTS = dg.AssetSelection.assets("segments")

MIDNIGHT = AC.cron_tick_passed("0 0 * * *")
IS_MONDAY = AC.cron_tick_passed("0 0 * * 1").since(AC.cron_tick_passed("0 0 * * 0,2-6"))
IS_SEGMENTS_DAY = AC.cron_tick_passed("0 0 1,15 * *").since(AC.cron_tick_passed("0 0 2-14,16-31 * *"))
RUNNING_WEEK = AC.in_latest_time_window()
TWO_WEEKS = AC.in_latest_time_window(dt.timedelta(days=14))
CLOSED_WEEK = TWO_WEEKS & ~RUNNING_WEEK
WEEKS_DUE = RUNNING_WEEK | (TWO_WEEKS & IS_MONDAY)
DAYS_DUE = AC.in_latest_time_window(dt.timedelta(days=8)) & ~RUNNING_WEEK
IS_UPDATED = (AC.newly_updated() & AC.any_new_update_has_run_tags(tag_keys={FROM_AUTOMATION})).since(MIDNIGHT)
IS_BUSY = AC.in_progress() | AC.will_be_requested()
NOBODY_ABOVE_IS_BUSY = ~AC.any_deps_match(IS_BUSY | AC.any_deps_match(IS_BUSY | AC.any_deps_match(IS_BUSY)))
ONCE_A_DATE = MIDNIGHT.since(AC.newly_requested())


def due(cron: str) -> dg.AutomationCondition[dg.AssetKey]:
    """The cron has ticked since midnight."""
    return AC.cron_tick_passed(cron).since(MIDNIGHT)


FOLLOWS = AC.all_deps_match(IS_UPDATED)
"""Some partition of every upstream was updated today by a run that a condition requested, not by hand."""

EVERY_DAY = ~AC.any_deps_match(~IS_UPDATED)
"""As FOLLOWS, but all partitions."""

AS_THE_CHAIN: Conditions = {
    "abilities": WEEKS_DUE & ONCE_A_DATE & due("0 3 * * *"),
    "features": DAYS_DUE & ONCE_A_DATE & NOBODY_ABOVE_IS_BUSY & (FOLLOWS | due("25 3 * * *")),
    "kpis": WEEKS_DUE
    & ONCE_A_DATE
    & NOBODY_ABOVE_IS_BUSY
    & ((RUNNING_WEEK & FOLLOWS) | (CLOSED_WEEK & EVERY_DAY) | due("10 4 * * *")),
    "segments": CLOSED_WEEK & ONCE_A_DATE & IS_SEGMENTS_DAY & due("0 7 * * *"),
    "report": CLOSED_WEEK
    & ONCE_A_DATE
    & IS_MONDAY
    & NOBODY_ABOVE_IS_BUSY
    & (
        (FOLLOWS.ignore(SEGMENTS) & (FOLLOWS.allow(SEGMENTS) | ~IS_SEGMENTS_DAY))
        | (due("0 6 * * *") & (due("30 7 * * *") | ~IS_SEGMENTS_DAY))
    ),
}
"""The closest that conditions come to the chain. `on_cron` and `eager` are further away: see their tests."""


class Platform:
    """Five assets in the chain's shape, evaluated tick by tick from 23:00 of the day before ``day``."""

    def __init__(self, day: str, conditions: Conditions = AS_THE_CHAIN) -> None:
        def asset(name: str, partitions: dg.PartitionsDefinition[str] | None, *deps: str) -> dg.AssetsDefinition:
            @dg.asset(name=name, partitions_def=partitions, deps=list(deps), automation_condition=conditions.get(name))
            def write() -> None: ...

            return write

        self.assets = [
            asset("attempts", None),
            asset("abilities", WEEKLY, "attempts"),
            asset("features", DAILY, "abilities"),
            asset("kpis", WEEKLY, "abilities", "features"),
            asset("segments", WEEKLY, "kpis"),
            asset("report", WEEKLY, "kpis", "segments"),
        ]
        self.job = dg.Definitions(self.assets).resolve_implicit_global_asset_job_def()
        self.instance = dg.DagsterInstance.ephemeral()
        self.day = dt.datetime.fromisoformat(day).replace(tzinfo=dt.UTC)
        self.write("attempts", None)  # Conditions on run tags see no event that is the first of the instance.
        self.cursor: Any = None
        self.tick(-1)

    def tick(self, hour: int, minute: int = 0, *, switched_off: str = "") -> Requested:
        """Partitions that the conditions request a second later: on the second, a cron tick counts twice."""
        result = dg.evaluate_automation_conditions(
            self.assets,
            self.instance,
            asset_selection=dg.AssetSelection.all() - dg.AssetSelection.assets(*switched_off.split()),
            evaluation_time=self.day + dt.timedelta(hours=hour, minutes=minute, seconds=1),
            cursor=self.cursor,
        )
        self.cursor = result.cursor
        asked = {asset.key: result.get_requested_partitions(asset.key) for asset in self.assets}
        return {key.to_user_string(): sorted(map(str, keys)) for key, keys in asked.items() if keys}

    def start(self, name: str, partition: str) -> dg.DagsterRun:
        """A run under way, as a condition's request launches it."""
        return self.instance.create_run_for_job(
            self.job,
            asset_selection={dg.AssetKey(name)},
            tags={"dagster/partition": partition, FROM_AUTOMATION: "true"},
            status=dg.DagsterRunStatus.STARTED,
        )

    def write(self, name: str, *partitions: str | None, by_hand: bool = False) -> None:
        """Successful runs, each of one partition."""
        tags = {} if by_hand else {FROM_AUTOMATION: "true"}
        for key in partitions:
            dg.materialize(self.assets, selection=[name], partition_key=key, tags=tags, instance=self.instance)

    def fail(self, run: dg.DagsterRun, **tags: str) -> None:
        """End the run badly."""
        self.instance.add_run_tags(run.run_id, tags)
        self.instance.report_run_failed(run)


@pytest.fixture
def tuesday() -> Platform:
    """Tuesday, the calibration requested at three."""
    platform = Platform(TUESDAY)
    assert platform.tick(0) == platform.tick(2, 59) == {}
    assert platform.tick(3) == {"abilities": [MONDAY]}
    return platform


# ---- what conditions handle ----


def test_a_failed_upstream_delays_nothing(tuesday: Platform) -> None:
    run = tuesday.start("abilities", MONDAY)
    assert tuesday.tick(3, 1) == {}
    tuesday.fail(run)
    assert tuesday.tick(3, 10) == {}
    assert tuesday.tick(3, 25) == {"features": [*DAYS_OF_LAST_WEEK[1:], MONDAY]}
    assert tuesday.tick(4, 10) == {"kpis": [MONDAY]}


def test_a_monday_computes_the_closed_week_too_and_each_week_once() -> None:
    platform = Platform(MONDAY)
    platform.tick(0)
    assert platform.tick(3) == {"abilities": [LAST_WEEK, MONDAY]}
    platform.write("abilities", LAST_WEEK, MONDAY)
    assert platform.tick(3, 10) == {"features": DAYS_OF_LAST_WEEK}
    platform.write("features", *DAYS_OF_LAST_WEEK)
    assert platform.tick(3, 40) == {"kpis": [LAST_WEEK]}
    assert platform.tick(4, 10) == {"kpis": [MONDAY]}
    platform.write("kpis", LAST_WEEK, MONDAY)
    assert platform.tick(4, 20) == {"report": [LAST_WEEK]}
    assert platform.tick(6) == platform.tick(7, 30) == {}


def test_six_days_of_the_closed_week_are_not_seven() -> None:
    platform = Platform(MONDAY)
    platform.tick(0)
    platform.tick(3)
    platform.write("abilities", LAST_WEEK, MONDAY)
    platform.tick(3, 10)
    platform.write("features", *DAYS_OF_LAST_WEEK[:6])
    platform.fail(platform.start("features", DAYS_OF_LAST_WEEK[6]))
    assert platform.tick(3, 40) == {}
    assert platform.tick(4, 10) == {"kpis": [LAST_WEEK, MONDAY]}


@pytest.mark.parametrize("ends_well", [True, False])
def test_on_the_segments_mondays_the_report_follows_them(ends_well: bool) -> None:
    platform = Platform(SEGMENTS_MONDAY)
    platform.tick(0)
    platform.tick(3)
    platform.tick(4, 10)
    platform.write("kpis", WEEK_BEFORE, SEGMENTS_MONDAY)
    assert platform.tick(6) == {}
    assert platform.tick(7) == {"segments": [WEEK_BEFORE]}
    run = platform.start("segments", WEEK_BEFORE)
    assert platform.tick(7, 30) == {}
    if ends_well:
        platform.write("segments", WEEK_BEFORE)
    platform.fail(run)
    assert platform.tick(7, 40) == {"report": [WEEK_BEFORE]}


def test_segments_that_are_switched_off_hold_up_no_report() -> None:
    """A switch belongs to a sensor, so each job would need an automation sensor with its own cursor."""
    platform = Platform(SEGMENTS_MONDAY)
    for hour, minute in ((0, 0), (3, 0), (4, 10), (6, 0), (7, 0)):
        assert "report" not in platform.tick(hour, minute, switched_off="segments")
    assert platform.tick(7, 30, switched_off="segments") == {"report": [WEEK_BEFORE]}


def test_a_run_launched_by_hand_moves_nothing() -> None:
    platform = Platform(TUESDAY)
    platform.tick(0)
    platform.write("abilities", MONDAY, by_hand=True)
    assert platform.tick(1) == {}
    assert platform.tick(3) == {"abilities": [MONDAY]}


# ---- what conditions get wrong: each test asserts today's outcome ----


def test_fails_a_late_upstream_is_overtaken_for_the_partitions_that_it_does_not_compute(tuesday: Platform) -> None:
    """Conditions wait partition by partition. The chain waits for the run and then computes the range in one run."""
    tuesday.start("abilities", MONDAY)
    assert tuesday.tick(3, 25) == {"features": DAYS_OF_LAST_WEEK[1:]}


def test_fails_two_links_start_together_when_what_they_wait_for_ends_late(tuesday: Platform) -> None:
    """`will_be_requested` does not see an upstream with other partitions, so the KPIs do not wait for the features."""
    run = tuesday.start("abilities", MONDAY)
    tuesday.tick(3, 25)
    assert tuesday.tick(4, 10) == {}
    tuesday.write("abilities", MONDAY)
    tuesday.fail(run)
    assert tuesday.tick(4, 20) == {"features": [MONDAY], "kpis": [MONDAY]}


def test_fails_a_run_that_is_about_to_be_tried_again_counts_as_ended(tuesday: Platform) -> None:
    run = tuesday.start("abilities", MONDAY)
    tuesday.tick(3, 25)
    tuesday.fail(run, **{"dagster/will_retry": "true"})
    assert tuesday.tick(3, 26) == {"features": [MONDAY]}


def test_fails_in_the_running_week_one_day_of_three_counts_as_all() -> None:
    """The chain waits until its time when a day has failed."""
    platform = Platform(THURSDAY)
    platform.tick(0)
    platform.write("abilities", MONDAY)
    platform.tick(3, 25)
    platform.write("features", MONDAY)
    for day in (TUESDAY, WEDNESDAY):
        platform.fail(platform.start("features", day))
    assert platform.tick(3, 40) == {"kpis": [MONDAY]}


def test_fails_a_condition_on_every_day_never_follows_in_the_running_week() -> None:
    """The day that is still running is a partition of the features too, and no run of the chain computes it."""
    platform = Platform(THURSDAY, {**AS_THE_CHAIN, "kpis": WEEKS_DUE & ONCE_A_DATE & (EVERY_DAY | due("10 4 * * *"))})
    platform.tick(0)
    platform.write("abilities", MONDAY)
    platform.tick(3, 25)
    platform.write("features", MONDAY, TUESDAY, WEDNESDAY)
    assert platform.tick(3, 40) == {}
    assert platform.tick(4, 10) == {"kpis": [MONDAY]}


@pytest.mark.parametrize("within", ["two weeks", "all weeks"])
def test_fails_a_late_correction_asks_for_no_old_week_or_for_every_week(within: str) -> None:
    """The attempts have no partitions, so no condition knows which weeks read the answer that changed."""
    condition = AC.any_deps_updated().since(AC.newly_requested())
    platform = Platform(TUESDAY, {"abilities": WEEKS_DUE & condition if within == "two weeks" else condition})
    platform.write("attempts", None)
    asked = platform.tick(1)["abilities"]
    assert asked == [MONDAY] if within == "two weeks" else asked == WEEKLY.get_partition_keys(platform.day)


# ---- the conditions that Dagster ships ----


@pytest.mark.parametrize("ends_well", [True, False])
def test_fails_on_cron_wants_an_update_after_its_time(ends_well: bool) -> None:
    """An upstream that ended before, well or not, leaves it waiting for the rest of the day."""
    platform = Platform(TUESDAY, {"features": AC.on_cron("25 3 * * *")})
    platform.tick(3)
    if ends_well:
        platform.write("abilities", MONDAY)
    else:
        platform.fail(platform.start("abilities", MONDAY))
    assert platform.tick(3, 24) == platform.tick(3, 25) == platform.tick(12) == {}
    platform.write("abilities", MONDAY)
    assert platform.tick(13) == {"features": [TUESDAY]}


def test_fails_eager_does_not_compute_the_closed_week() -> None:
    platform = Platform(MONDAY, {"kpis": AC.eager()})
    platform.write("abilities", LAST_WEEK, MONDAY)
    platform.write("features", *DAYS_OF_LAST_WEEK, MONDAY)
    assert platform.tick(4) == {"kpis": [MONDAY]}
