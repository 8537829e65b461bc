"""One week's work as one object, and the one way to publish its rows."""

from __future__ import annotations

import datetime as dt
import enum
import logging
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, TypeVar

import dagster as dg
from sqlalchemy import Connection, Table

from seedtest_analytics.assets.framework.checks import CheckOutcome
from seedtest_analytics.assets.framework.declare import RunOptions
from seedtest_analytics.assets.framework.preview import Plot
from seedtest_analytics.assets.framework.report import NotComputed, Outcome
from seedtest_analytics.assets.framework.run_time import is_dry_run, weeks
from seedtest_analytics.assets.framework.shards import WHOLE, Shard
from seedtest_analytics.database.publish import Published, publish, staged_from_frame
from seedtest_analytics.database.sessions import without_transaction
from seedtest_analytics.database.sql_files import statement
from seedtest_analytics.database.work import current_work, working_on
from seedtest_analytics.partitions import WEEK, Week
from seedtest_analytics.resources.postgres import PostgresResource
from seedtest_analytics.settings import Settings

if TYPE_CHECKING:
    import pandas as pd


PLOTTED_WEEKS = 2
"""Weeks of a range that have plots, the newest: drawing takes longer than most weeks' numbers."""


class Replace(enum.Enum):
    """Which rows of the target a publication replaces; the value is a SQL condition over the target ``t``."""

    WEEK = "t.week_start = :week_start"
    FIT_WEEK = "t.fit_week = :week_start"
    VERSION = "t.version = :version"
    NOTHING = "false"
    """Rows are added and updated; none is removed."""
    EVERYTHING = "true"


@dataclass(frozen=True)
class WeekRun:
    """One week's work: the week, an open transaction with its lock, the settings of the run and where it logs.

    A dry run computes everything and is rolled back at its end.
    """

    week: Week
    connection: Connection
    settings: Settings
    log: logging.Logger
    is_dry_run: bool
    lock: str
    draws_plots: bool = True

    def without_transaction(self) -> AbstractContextManager[None]:
        """No transaction is open inside; :func:`seedtest_analytics.database.sessions.without_transaction`.

        For the fit of a model: load before it and publish after it.
        """
        return without_transaction(self.connection, self.lock)

    @property
    def parameters(self) -> dict[str, Any]:
        """The week as parameters of statements: ``week_start`` and, as legacy tables write it, ``version``."""
        return {"week_start": self.week.start, "version": self.week.iso_label}

    def outcome(
        self,
        published: Published,
        metadata: Mapping[str, Any] | None = None,
        *,
        checks: Sequence[CheckOutcome] = (),
        key: tuple[str, ...] = (),
    ) -> Outcome:
        """What the week's publication reports. A check that cannot pass yet does not fail."""
        if any(not found.is_passed and found.check.needs_weeks for found in checks):
            number = self.weeks_of_attempts()
            checks = [found.as_of_week(number) for found in checks]
        shown: dict[str, Any] = {}
        for name, value in (metadata or {}).items():
            if not isinstance(value, Plot):
                shown[name] = value
            elif self.draws_plots:
                shown |= value.of_week(name, self.week.key)
        return Outcome(published, shown, checks=checks, partition=self.week.key, is_dry_run=self.is_dry_run, key=key)

    def weeks_of_attempts(self) -> int:
        """Whole weeks from the first attempt to ``as_of``."""
        first: dt.datetime | None = self.connection.execute(
            statement("attempts/report.sql", "first_at"), {"as_of": self.week.as_of}
        ).scalar_one()
        return 0 if first is None else (self.week.as_of - first) // WEEK

    def warn(self, text: str) -> None:
        """Log a warning that names the week."""
        self.log.warning(f"week of {self.week.key}: {text}")


def empty_rows(table: Table) -> pd.DataFrame:
    """A frame without rows for a week that has nothing to publish: what is stored of the week goes."""
    import pandas as pd

    return pd.DataFrame(columns=[column.name for column in table.columns])


def publish_week(
    run: WeekRun,
    table: Table,
    *,
    rows: pd.DataFrame | str,
    replace: Replace = Replace.WEEK,
    update_only_if: str = "true",
    shard: Shard = WHOLE,
) -> Published:
    """Publish the rows of the week, or of a shard of its students: a frame, or the name of a temporary table with them.

    Raises :class:`seedtest_analytics.database.quarantine.ContractViolation` before anything is written.
    """
    staged = rows if isinstance(rows, str) else f"staged_{table.name}"
    if not isinstance(rows, str):
        staged_from_frame(run.connection, staged, table=table, frame=rows)
    return publish(
        run.connection,
        table,
        staged=staged,
        partition=replace.value if shard == WHOLE else f"{replace.value} AND {shard.condition('t.user_id')}",
        parameters={**run.parameters, **shard.parameters},
        update_only_if=update_only_if,
    )


WeekOutcomes = Sequence[Outcome | NotComputed]
Found = TypeVar("Found")


@dataclass(frozen=True)
class WeeklyStep:
    """A step over weekly partitions.

    ``lock`` names the advisory lock that a week holds; ``{week}`` in it is the week. Steps that write the same rows use
    the same lock, so that they wait for each other.
    """

    context: dg.AssetExecutionContext
    options: RunOptions
    postgres: PostgresResource
    settings: Settings
    lock: str

    def each_week(self, compute: Callable[[WeekRun], WeekOutcomes]) -> Iterator[Outcome | NotComputed]:
        """Compute each week of the run, oldest first, in its own transaction; outcomes follow its commit."""
        for _, outcomes in self.results(compute):
            yield from outcomes

    def results(self, compute: Callable[[WeekRun], Found]) -> Iterator[tuple[Week, Found]]:
        """As :meth:`each_week`, with what ``compute`` returns of each week."""
        dry = is_dry_run(self.options)
        asset = current_work().name
        all_weeks = weeks(self.context, self.options)
        for week in all_weeks:
            lock = self.lock.format(week=week.key)
            with working_on(f"{asset} {week.key}"), self.postgres.transaction(lock, is_dry_run=dry) as connection:
                log = self.context.log
                found = compute(
                    WeekRun(
                        week,
                        connection,
                        settings=self.settings,
                        log=log,
                        is_dry_run=dry,
                        lock=lock,
                        draws_plots=week in all_weeks[-PLOTTED_WEEKS:],
                    )
                )
            yield week, found
