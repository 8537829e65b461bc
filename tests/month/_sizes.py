"""What the databases hold, by what it is for."""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterable
from dataclasses import dataclass, fields

from rich.table import Table
from sqlalchemy import Engine, text

from benchmarks.operation import stored
from seedtest_analytics.tables.source import SOURCE_TABLES

EVENTS = ("event_logs", "asset_event_tags")
RUNS = ("runs", "run_tags", "snapshots", "asset_keys", "dynamic_partitions")


@dataclass(frozen=True)
class Sizes:
    """kB of content at the start of a day, without indexes and free space; the databases with them."""

    day: str
    runs: int
    source: int
    platform: int
    events: int
    checks: int
    ticks: int
    other: int
    platform_database: int
    dagster_database: int


def sizes_of(platform: Engine, storage: Engine, *, day: dt.date) -> Sizes:
    """Measure."""
    ours, theirs = stored(platform), stored(storage)
    kinds = {"events": EVENTS, "checks": ("asset_check_executions",), "ticks": ("job_ticks",)}
    known = [name for names in kinds.values() for name in names]
    return Sizes(
        day.isoformat(),
        runs=theirs["runs"][0],
        source=_kb(size for name, (_, size) in ours.items() if name in SOURCE_TABLES),
        platform=_kb(size for name, (_, size) in ours.items() if name not in SOURCE_TABLES),
        **{kind: _kb(theirs[name][1] for name in names if name in theirs) for kind, names in kinds.items()},
        other=_kb(size for name, (_, size) in theirs.items() if name not in known),
        platform_database=_database(platform),
        dagster_database=_database(storage),
    )


def _kb(sizes: Iterable[int]) -> int:
    return round(sum(sizes) / 1024)


def _database(engine: Engine) -> int:
    with engine.connect() as connection:
        return _kb([connection.execute(text("SELECT pg_database_size(current_database())")).scalar_one()])


def table_of(sizes: list[Sizes], title: str) -> Table:
    """A row for each day that was measured."""
    table = Table(*(field.name.replace("_", " ") for field in fields(Sizes)), title=title)
    for each in sizes:
        table.add_row(*(f"{v:,}" if isinstance(v, int) else v for v in (getattr(each, f.name) for f in fields(each))))
    return table
