"""What operation costs: steps of a run by executor, loading the definitions, state that grows, and the idle daemon.

    python -m benchmarks.operation [executors] [definitions] [state] [idle] [--seconds 120]

Processor seconds include all descendants. `executors` runs the daily KPIs of one week of a small cohort as a launched
run does. `state` runs the jobs of a day twice and measures what Dagster's storage, the home and the platform's tables
gain the second time. `idle` watches a webserver, a daemon and code servers that have nothing to do, after they have
settled.
"""

from __future__ import annotations

import argparse
import contextlib
import ctypes
import os
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import psutil
from rich.console import Console
from rich.table import Table

from benchmarks._measure import database, in_own_process, machine
from benchmarks.load import load, simulate
from benchmarks.pipeline import LAST_MONDAY, run_job

JOB = "compute_daily_kpis"
EXECUTORS = ("in_process", "multiprocess")
PARTS = ("executors", "definitions", "state", "idle")
DAY = (
    "observe_source_tables", "sync_attempts", "calibrate_irt", "aggregate_features_daily", "compute_daily_kpis",
    "fit_survival_churn", "judge_health",
)  # fmt: skip
"""Jobs of an ordinary day."""
STATE_ATTEMPTS, TICKS = 3_000, 500
_REAP_ORPHANS = 36
"""PR_SET_CHILD_SUBREAPER of prctl(2): fork servers are counted too."""
_SETTLE_SECONDS = 45

LOADS = {
    "the definitions": "import seedtest_analytics.definitions as d; d.defs.get_repository_def()",
    "of which Dagster": "import dagster",
}
CLOCK = "import time; print(time.process_time())"
RUN = f"""
import dagster as dg
from seedtest_analytics.dagster_private import reconstructable_job
from seedtest_analytics.schedules.jobs import range_tags
week = "{LAST_MONDAY}"
job = reconstructable_job("seedtest_analytics.definitions", "{JOB}", folder=".")
with dg.DagsterInstance.get() as instance:
    assert dg.execute_job(job, instance, tags=range_tags(week, week)).success
"""

RUN_DAY = f"""
import sys
import dagster as dg
from seedtest_analytics.dagster_private import reconstructable_job
from seedtest_analytics.schedules.jobs import range_tags
week = "{LAST_MONDAY}"
with dg.DagsterInstance.get() as instance:
    for name in sys.argv[1:]:
        job = reconstructable_job("seedtest_analytics.definitions", name, folder=".")
        ranged = name not in ("observe_source_tables", "sync_attempts", "judge_health")
        tags = range_tags(week, week) if ranged else {{}}
        assert dg.execute_job(job, instance, tags=tags).success
"""


def main() -> None:
    """Print one table for each part."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("parts", nargs="*", choices=PARTS)
    parser.add_argument("--seconds", type=int, default=120, help="how long the idle processes are watched")
    parser.add_argument("--quick", action="store_true", help="without the idle processes")
    arguments = parser.parse_args()
    parts = arguments.parts or (PARTS[:2] if arguments.quick else PARTS)
    ctypes.CDLL(None).prctl(_REAP_ORPHANS, 1)
    console = Console()
    with tempfile.TemporaryDirectory(prefix="seedtest-bench-") as name:
        folder = Path(name)
        if "definitions" in parts:
            console.print(definitions())
        if "executors" in parts:
            console.print(executors(folder))
        if "state" in parts:
            for table in state(folder / "state"):
                console.print(table)
        if "idle" in parts:
            console.print(idle(folder / "home", arguments.seconds))


def measured(command: Sequence[str], environment: dict[str, str]) -> tuple[float, float]:
    """Wall and processor seconds of a program and its descendants, orphans included."""
    before, started = processor_seconds(), time.perf_counter()
    subprocess.run(command, env={**os.environ, **environment}, check=True, stderr=subprocess.DEVNULL)
    wall = time.perf_counter() - started
    with contextlib.suppress(ChildProcessError):
        while True:
            os.wait()
    return wall, processor_seconds() - before


def processor_seconds() -> float:
    """Processor seconds of all children that have ended."""
    usage = resource.getrusage(resource.RUSAGE_CHILDREN)
    return usage.ru_utime + usage.ru_stime


def definitions() -> Table:
    """The best of three loads, from the start of Python until everything is loaded. A code server does not end then."""
    table = Table("loading", "processor s", title=machine())
    for name, program in LOADS.items():
        command = [sys.executable, "-c", f"{program}; {CLOCK}"]
        seconds = min(float(subprocess.run(command, check=True, capture_output=True).stdout) for _ in range(3))
        table.add_row(name, f"{seconds:.2f}")
    return table


def executors(folder: Path) -> Table:
    """The second run with each executor; the first fills caches."""
    table = Table(f"steps of {JOB}", "wall s", "processor s", title=machine())
    with database(folder) as url:
        in_own_process(simulate, folder / "cohort", 5_000, 1)
        in_own_process(load, folder / "cohort", url)
        in_own_process(run_job, url, "sync_attempts", None, None, "attempt_log")
        for executor in EXECUTORS:
            home = folder / executor
            home.mkdir()
            environment = {"SEEDTEST_EXECUTOR": executor, "DATABASE_URL": url, "DAGSTER_HOME": str(home)}
            times = [measured([sys.executable, "-c", RUN], environment) for _ in range(2)]
            table.add_row(executor, f"{times[1][0]:.1f}", f"{times[1][1]:.1f}")
    return table


def state(home: Path) -> list[Table]:
    """What an ordinary day adds, what a tick adds, and what a week of a student takes in the platform's tables."""
    from sqlalchemy import create_engine

    from seedtest_analytics.database.engine import connected_engine, database_url, normalised_url
    from seedtest_analytics.database.migrations import migrate
    from seedtest_analytics.instance_home import prepare_home

    home.mkdir()
    with in_environment(prepare_home(home)):
        url = database_url()
        platform, dagster = connected_engine(url), create_engine(normalised_url(os.environ["DAGSTER_POSTGRES_URL"]))
        migrate(platform)
        in_own_process(simulate, home / "cohort", STATE_ATTEMPTS, 1)
        in_own_process(load, home / "cohort", url.render_as_string(hide_password=False))
        sizes = []
        for _ in range(2):
            subprocess.run([sys.executable, "-c", RUN_DAY, *DAY], check=True, stderr=subprocess.DEVNULL)
            sizes.append({**stored(dagster), "captured output": (0, folder_bytes(home / "storage"))})
        before = stored(dagster)["job_ticks"]
        add_ticks()
        after = stored(dagster)["job_ticks"]
        rows = stored(platform)
        with platform.connect() as connection:
            students = int(connection.exec_driver_sql("SELECT count(DISTINCT user_id) FROM weekly_kpi").scalar_one())
    day = Table(f"a day of {len(DAY)} runs adds to", "rows", "kB", title=machine())
    for name, (n, size) in sizes[1].items():
        n_before, size_before = sizes[0].get(name, (0, 0))
        if size > size_before:
            day.add_row(name, f"{n - n_before:,}", f"{(size - size_before) / 1024:,.0f}")
    day.add_row("temporary folders", "", f"{folder_bytes(home / 'scratch') / 1024:,.0f}")
    ticks = Table("ticks", "bytes each", "ticks of sensors a day")
    ticks.add_row(
        f"{after[0] - before[0]}", f"{(after[1] - before[1]) / (after[0] - before[0]):,.0f}", f"{ticks_a_day():,}"
    )
    weekly = Table(f"a week of {students} students is in", "rows", "bytes a student")
    for name, (n, size) in rows.items():
        if n and name not in ("exam_results", "question"):
            weekly.add_row(name, f"{n:,}", f"{size / students:,.0f}")
    return [day, ticks, weekly]


def ticks_a_day() -> int:
    """Looks of all sensors, each at its interval."""
    from seedtest_analytics.build import build_definitions

    sensors = build_definitions().get_repository_def().sensor_defs
    return sum(round(86_400 / (sensor.minimum_interval_seconds or 30)) for sensor in sensors)


@contextlib.contextmanager
def in_environment(variables: dict[str, str]) -> Iterator[None]:
    """The variables are set for the block."""
    before = dict(os.environ)
    os.environ |= variables
    try:
        yield
    finally:
        os.environ.clear()
        os.environ.update(before)


def stored(engine: Any) -> dict[str, tuple[int, int]]:
    """Rows and bytes of the content of each table; space that a row leaves is used again, so it does not count."""
    with engine.connect() as connection:
        names = connection.exec_driver_sql(
            "SELECT relname FROM pg_class WHERE relkind = 'r' AND relnamespace = current_schema()::regnamespace ORDER BY 1"
        ).scalars()
        query = 'SELECT count(*), COALESCE(sum(pg_column_size(t.*)), 0) FROM "{}" AS t'
        found = {name: connection.exec_driver_sql(query.format(name)).one() for name in names.all()}
    return {name: (int(n), int(size)) for name, (n, size) in found.items()}


def folder_bytes(folder: Path) -> int:
    """Bytes of the files below a folder."""
    return sum(path.stat().st_size for path in folder.rglob("*") if path.is_file())


def add_ticks() -> None:
    """Skipped ticks as a sensor leaves them."""
    import dagster as dg

    from seedtest_analytics.dagster_private import add_skipped_ticks

    with dg.DagsterInstance.get() as instance:
        add_skipped_ticks(instance, "chain_sensor", n=TICKS)


@contextlib.contextmanager
def running(home: Path) -> Iterator[psutil.Process]:
    """A server without data; yields its supervisor."""
    from seedtest_analytics import dev_server
    from seedtest_analytics.database.embedded_postgres_host import free_port
    from seedtest_analytics.database.engine import connected_engine, database_url
    from seedtest_analytics.database.migrations import migrate
    from seedtest_analytics.instance_home import prepare_home

    os.environ |= prepare_home(home)
    engine = connected_engine(database_url())
    migrate(engine)
    engine.dispose()
    dev_server.READY_TIMEOUT_SECONDS = 600  # The machine may have other work.
    server = dev_server.DevServer(home, port=free_port())
    try:
        yield psutil.Process(server.up().pid)
    finally:
        server.down()


def idle(home: Path, seconds: int) -> Table:
    """Share of a core of each program that `seedtest up` starts."""
    table = Table("idle program", "% of a core", title=f"{machine()}; {seconds} s")
    with running(home) as supervisor:
        time.sleep(_SETTLE_SECONDS)
        before = by_program(supervisor)
        time.sleep(seconds)
        after = by_program(supervisor)
    for program, used in after.items():
        table.add_row(program, f"{100 * (used - before.get(program, 0)) / seconds:.1f}")
    table.add_row("all", f"{100 * (sum(after.values()) - sum(before.values())) / seconds:.1f}")
    return table


def by_program(supervisor: psutil.Process) -> dict[str, float]:
    """Processor seconds so far of the programs below the supervisor."""
    found: dict[str, float] = {}
    for process in supervisor.children(recursive=True):
        with contextlib.suppress(psutil.Error):
            words, times = process.cmdline(), process.cpu_times()
            name = " ".join(words[2:5]) if words[1:2] == ["-m"] else "other"
            parent = process.parent()
            owner = f" of {parent.cmdline()[2]}" if "grpc" in name and parent else ""
            found[name + owner] = found.get(name + owner, 0.0) + times.user + times.system
    return found


if __name__ == "__main__":
    main()
