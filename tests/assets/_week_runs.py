"""A week's work without a Dagster run around it."""

import logging
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

from sqlalchemy import Engine

from seedtest_analytics.assets.framework.week_run import WeekRun
from seedtest_analytics.database.engine import locked_transaction
from seedtest_analytics.partitions import Week
from seedtest_analytics.settings import Settings

LOG = logging.getLogger("tests.week_run")


@contextmanager
def week_run(
    engine: Engine, week: Week, *, settings: Settings | None = None, is_dry_run: bool = False
) -> Iterator[WeekRun]:
    """An open transaction for the week, committed at the end of the block, or rolled back if the run is dry."""
    lock = f"test:{week.key}"
    with locked_transaction(engine, lock, is_dry_run=is_dry_run) as connection:
        yield WeekRun(week, connection, settings=settings or Settings(), log=LOG, is_dry_run=is_dry_run, lock=lock)


def outcomes_of(
    engine: Engine,
    week: Week,
    *,
    compute: Callable[[WeekRun], Sequence[Any]],
    settings: Settings | None = None,
    is_dry_run: bool = False,
) -> list[Any]:
    """The outcomes of one computed and committed week."""
    with week_run(engine, week, settings=settings, is_dry_run=is_dry_run) as run:
        return list(compute(run))
