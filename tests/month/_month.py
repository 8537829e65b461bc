"""The month: what happens on which day, and how the platform is operated and computed again.

    python -m tests.month._month operate|compute|rescore FILE

Each is a separate process, because the platform reads its time zone when it is loaded. DATABASE_URL,
DAGSTER_POSTGRES_URL and DAGSTER_HOME say on what, SEEDTEST_TIMEZONE in which zone. FILE gets what a test has to know.
"""

from __future__ import annotations

import datetime as dt
import json
import os
import random
import sys
from collections import Counter
from dataclasses import asdict, dataclass, field
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import dagster as dg
from rich.console import Console
from sqlalchemy import Engine, create_engine, text

from seedtest_analytics.assets.framework.preview import Plot
from seedtest_analytics.build import build_definitions
from seedtest_analytics.cli.materialize import materialize
from seedtest_analytics.dagster_private import daemon_rounds
from seedtest_analytics.database.engine import engine_for, normalised_url
from seedtest_analytics.ingest.cohort_files import write_cohort
from seedtest_analytics.ingest.cohort_load import load_cohort
from seedtest_analytics.partitions import DAY, PLATFORM, monday_of
from seedtest_analytics.schedules.jobs import range_tags
from seedtest_analytics.stats.simulate import CohortConfig
from tests.month._clock import SimulatedClock, simulated_clock
from tests.month._operation import Event, Operation, crons_of
from tests.month._school import School
from tests.month._sizes import sizes_of, table_of

STUDENTS, SEED = 40, 7
FIRST = dt.date(2026, 2, 9)
"""Monday of the first answers; the platform starts three weeks later."""
START = dt.date(2026, 3, 2)
DAYS = 28
ARRIVALS = ((14, 10), (22, 10))
DELAYED = (-9, 3, 11)
"""Days, from the start, of which some exams arrive weeks later."""
WITHOUT_SCORES, READ_ONLY = 4, 21
"""A Friday on which the tables of abilities and KPIs refuse to be written, and a Monday on which every table does."""
OFF_DAYS = (9, 16)
"""The platform is off from the noon of a Wednesday to the noon of the next."""


def at(day: int, hour: int = 0, minute: int = 0) -> dt.datetime:
    """An instant by the number of its day from the start."""
    return dt.datetime.combine(START + day * DAY, dt.time(hour, minute), PLATFORM.zone).astimezone(dt.UTC)


END = at(DAYS, 12)
"""The noon of a Monday, so that its jobs have run."""


def last_day() -> dt.date:
    """The day on which the month ends."""
    return END.astimezone(PLATFORM.zone).date()


def load_source(engine: Engine) -> School:
    """The cohort's answers until the start; the others are held back, some of them for long."""
    until = START + DAYS * DAY
    n_weeks = (monday_of(until) - FIRST).days // 7 + 1
    config = CohortConfig(
        STUDENTS,
        n_weeks,
        seed=SEED,
        until=until,
        timezone=PLATFORM.timezone,
        n_topics=4,
        items_per_topic=12,
        includes_part_week=True,
        n_organisations=1,
        n_classrooms=3,
    )
    with TemporaryDirectory(prefix="seedtest-month-") as folder:
        write_cohort(config, Path(folder), progress=lambda *_, **__: None)
        load_cohort(engine, Path(folder), progress=lambda *_, **__: None)
    school = School.of(engine.url)
    school.hold_back(at(0))
    for day in DELAYED:
        assert school.delay(at(day), n=3), f"nobody answered on day {day}"
    return school


def disturbances(school: School) -> list[Event]:
    """What happens to the source besides the answers of the day."""
    return [
        (at(2, 15), lambda: school.rescore(at(-10))),
        (at(3, 16), lambda: school.delete(at(-18))),
        (at(4, 15), lambda: school.rescore(at(1))),
        (at(6, 11), lambda: school.arrive_late(at(-9))),
        (at(8, 20), lambda: school.withdraw(at(7))),
        # While the platform is off.
        (at(11, 10), lambda: school.rescore(at(8))),
        (at(12, 10), lambda: school.delete(at(5))),
        (at(21, 13), lambda: school.delete(at(19))),
        (at(24, 11), lambda: school.arrive_late(at(3))),
        (at(24, 16), lambda: school.rescore(at(13))),
        (at(26, 13), lambda: school.arrive_late(at(11))),
        (at(27, 20), lambda: school.rescore(at(26))),
    ]


def set_writable(database: Engine, *, is_writable: bool) -> None:
    """Let the server refuse the platform's writes, or take them again. Open sessions end."""
    name = database.url.database
    with database.connect().execution_options(isolation_level="AUTOCOMMIT") as connection:
        connection.execute(text("SET default_transaction_read_only = off"))
        connection.execute(text(f"ALTER DATABASE {name} SET default_transaction_read_only = {not is_writable}"))
        ends = (
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = :name AND pid <> pg_backend_pid()"
        )
        connection.execute(text(ends), {"name": name})
    database.dispose()


SCORES = ("mirt_ability", "weekly_kpi")


def refuse_scores(database: Engine) -> None:
    """Let the tables of SCORES refuse every change, while the log goes on."""
    with database.begin() as connection:
        connection.execute(
            text(
                "CREATE FUNCTION held.refuse() RETURNS trigger LANGUAGE plpgsql AS "
                "$$ BEGIN RAISE EXCEPTION 'the simulated month refuses'; END $$"
            )
        )
        for name in SCORES:
            when = f"BEFORE INSERT OR UPDATE OR DELETE ON {name} FOR EACH STATEMENT EXECUTE FUNCTION held.refuse()"
            connection.execute(text(f"CREATE TRIGGER refused {when}"))


def take_scores(database: Engine) -> None:
    """Let them be written again."""
    with database.begin() as connection:
        connection.execute(text("DROP FUNCTION held.refuse CASCADE"))


def operate() -> dict[str, Any]:
    """The month. Returns what a test has to know about it."""
    random.seed(SEED)  # Dagster looks at sensors and schedules in random order.
    platform = engine_for(normalised_url(os.environ["DATABASE_URL"]))
    storage = create_engine(os.environ["DAGSTER_POSTGRES_URL"])
    school = load_source(platform)
    sizes = []

    def measure() -> None:
        day = SimulatedClock.now().astimezone(PLATFORM.zone).date()
        sizes.append(sizes_of(platform, storage, day=day))

    events: list[Event] = disturbances(school)
    events += [(at(day, *time), school.arrive) for day in range(DAYS + 1) for time in ARRIVALS]
    events += [(at(day, 0, 5), measure) for day in range(0, DAYS + 1, 7)]
    events += [
        (at(WITHOUT_SCORES), lambda: refuse_scores(platform)),
        (at(WITHOUT_SCORES + 1), lambda: take_scores(platform)),
        (at(READ_ONLY), lambda: set_writable(platform, is_writable=False)),
        (at(READ_ONLY + 1), lambda: set_writable(platform, is_writable=True)),
    ]
    with simulated_clock(at(0)) as clock, dg.DagsterInstance.get() as instance:
        clock.also_of(storage)
        runs = Runs(instance)
        events += [(at(day, 23, 55), runs.note) for day in range(DAYS)]
        materialize(FIRST, START - DAY, reports=False, includes_running_week=True, fits_every_week=False)
        with daemon_rounds(instance, "seedtest_analytics.definitions", folder=os.getcwd()) as one_round:
            operation = Operation(clock, instance, one_round, crons=crons_of(build_definitions()))
            operation.until(at(OFF_DAYS[0], 12), events)
            operation.rest(at(OFF_DAYS[1], 12), events)
            operation.until(END, events)
        Console(width=140).print(table_of(sizes, f"kB at the start of a week, {PLATFORM.timezone}"))
        runs.note()
        return {
            "sizes": [asdict(each) for each in sizes],
            "ticks": ticks_of(storage),
            "errors": operation.errors,
            **runs.told(),
        }


@dataclass
class Runs:
    """Every run of the month by its id: the day from the start, its job and whether it succeeded."""

    instance: dg.DagsterInstance
    known: dict[str, tuple[int, str, bool]] = field(default_factory=dict)

    def note(self) -> None:
        """Read what there is. The job `prune_run_history` deletes runs after a week."""
        for record in self.instance.get_run_records(dg.RunsFilter()):
            run = record.dagster_run
            day = dt.datetime.fromtimestamp(record.start_time or 0, PLATFORM.zone).date()
            self.known[run.run_id] = ((day - START).days, run.job_name, run.is_success)

    def told(self) -> dict[str, Any]:
        """Runs by job, and the failed ones with their days."""
        failed = sorted((day, job) for day, job, succeeded in self.known.values() if not succeeded)
        return {"runs": Counter(job for _, job, _ in self.known.values()), "failed": failed}


def ticks_of(storage: Engine) -> dict[str, int]:
    """Numbers of ticks by kind and result."""
    query = "SELECT type || ' ' || status, count(*) FROM job_ticks GROUP BY 1 ORDER BY 1"
    with storage.connect() as connection:
        return {name: number for name, number in connection.execute(text(query))}


def compute() -> dict[str, Any]:
    """Everything at the end of the month, as `seedtest materialize` does."""
    with simulated_clock(END):
        failed = materialize(FIRST, last_day() - DAY, reports=False, includes_running_week=True)
    return {"failed": list(failed)}


_ONLY_KEYS_OF_FITS = """
UPDATE weekly_kpi SET kpis = (
    SELECT COALESCE(jsonb_object_agg(k.key, k.value), '{}') FROM jsonb_each(kpis) AS k
    WHERE k.key ~ '^(I_t_expected|I_t_anomaly|growth_slope)'
)
"""


def rescore() -> dict[str, Any]:
    """What follows from answers and stored fits, of all weeks and days, at the end of the month."""
    definitions = build_definitions()
    weeks = range_tags(FIRST.isoformat(), monday_of(last_day()).isoformat())
    days = range_tags(FIRST.isoformat(), last_day().isoformat())
    failed = []
    engine = engine_for(normalised_url(os.environ["DATABASE_URL"]))
    with engine.begin() as connection:
        connection.execute(text(_ONLY_KEYS_OF_FITS))
        connection.execute(text("DELETE FROM weekly_kpi WHERE kpis = '{}'"))
    engine.dispose()
    with simulated_clock(END), dg.DagsterInstance.ephemeral() as instance:
        for job, tags in (("sync_attempts", {}), ("rescore_weeks", weeks), ("aggregate_features_daily", days)):
            made = definitions.resolve_job_def(job).execute_in_process(
                instance=instance, tags=tags, raise_on_error=False
            )
            failed += [] if made.success else [job]
    return {"failed": failed}


PARTS = {"operate": operate, "compute": compute, "rescore": rescore}

if __name__ == "__main__":
    # What fails for good is tried again at once, and nobody looks at plots.
    dg.RetryPolicy.calculate_delay = lambda policy, attempt: 0.0  # type: ignore[method-assign, assignment]
    Plot.of_week = lambda plot, name, week: {}  # type: ignore[method-assign, assignment]
    found = PARTS[sys.argv[1]]()
    Path(sys.argv[2]).write_text(json.dumps(found, indent=1, default=str))
