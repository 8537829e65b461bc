"""The platform in operation: the clock stops where something happens or is due, and the daemon looks."""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field

import dagster as dg

from seedtest_analytics.dagster_private import cron_string_iterator
from seedtest_analytics.partitions import PLATFORM
from tests.month._clock import SimulatedClock

BETWEEN_ROUNDS = dt.timedelta(seconds=61)
"""A minute, after which every sensor looks again."""
LONGEST_PAUSE = dt.timedelta(hours=4)
"""Between two looks of the sensors where nothing happens and nothing is due."""
MOST_ROUNDS = 400
"""Of one stop of the clock. More would be sensors that never stop asking."""

Event = tuple[dt.datetime, Callable[[], object]]


def ticks_between(crons: Iterable[str], start: dt.datetime, end: dt.datetime) -> set[dt.datetime]:
    """Every tick of the schedules from ``start`` until before ``end``."""
    found = set()
    for cron in crons:
        for tick in cron_string_iterator(start.timestamp(), cron, PLATFORM.timezone):
            if tick >= end:
                break
            found.add(tick.astimezone(dt.UTC))
    return found


def crons_of(definitions: dg.Definitions) -> set[str]:
    """The times of all schedules, except of those that are due several times an hour."""
    crons: set[str] = set()
    for schedule in definitions.get_repository_def().schedule_defs:
        given = schedule.cron_schedule
        crons |= {given} if isinstance(given, str) else set(given)
    return {cron for cron in crons if "/" not in cron}


@dataclass
class Operation:
    """A daemon whose rounds this object calls."""

    clock: SimulatedClock
    instance: dg.DagsterInstance
    one_round: Callable[[], list[str]]
    crons: set[str]
    errors: list[str] = field(default_factory=list)
    """What the daemon itself could not do."""

    def until(self, end: dt.datetime, events: Sequence[Event]) -> None:
        """Operate from now until an instant; each event happens at its own."""
        start = self.clock.now()
        looks = {start + number * LONGEST_PAUSE for number in range(int((end - start) / LONGEST_PAUSE) + 1)}
        due = [event for event in events if start <= event[0] < end]
        stops = {*looks, *ticks_between(self.crons, start, end), *(instant for instant, _ in due)}
        for stop in sorted(stop for stop in stops if start <= stop < end):
            self.clock.move_to(stop)
            for _, happens in (event for event in due if event[0] == stop):
                happens()
            self.look()
        self.clock.move_to(end)

    def rest(self, end: dt.datetime, events: Sequence[Event]) -> None:
        """The platform is off until an instant; the world goes on."""
        start = self.clock.now()
        for instant, happens in sorted((e for e in events if start <= e[0] < end), key=lambda event: event[0]):
            self.clock.move_to(instant)
            happens()
        self.clock.move_to(end)

    def look(self) -> None:
        """Rounds of the daemon, a minute apart, until nothing happens any more."""
        for _ in range(MOST_ROUNDS):
            before = self.instance.get_runs_count()
            self.errors += self.one_round()
            if self.instance.get_runs_count() == before and not self._is_queued():
                return
            self.clock.move_to(self.clock.now() + BETWEEN_ROUNDS)
        raise AssertionError(f"the sensors still ask for runs at {self.clock.now()}")

    def _is_queued(self) -> bool:
        return bool(self.instance.get_runs_count(dg.RunsFilter(statuses=[dg.DagsterRunStatus.QUEUED])))
