"""A platform with a small cohort, commands that compute it each in a separate process, and what a fault may not leave.

The Dagster home is on a separate small file system where root runs the tests, so that a test can fill it.
"""

from __future__ import annotations

import contextlib
import multiprocessing
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import psutil
import psycopg
from psycopg import sql

from seedtest_analytics.database.embedded_postgres import EmbeddedPostgres
from tests.conftest import remove_server

STUDENTS, WEEKS, SEED, UNTIL = 30, 4, 3, "2026-03-29"
FIRST = "2026-03-16"
JOBS = (
    "sync_attempts",
    "calibrate_irt",
    "aggregate_features_daily",
    "compute_daily_kpis",
    "write_weekly_messages",
    "generate_weekly_report",
)
SETTINGS = {
    # So few answers are calibrated, and abilities over time are left to other tests.
    "MIRT_MIN_RESPONSES": "3",
    "METRICS_ABILITY": "static",
    "COLUMNS": "200",
}
PRELOADED = [
    "tests.faults._platform",
    "seedtest_analytics.definitions",
    "seedtest_analytics.cli.materialize",
    "seedtest_analytics.assets.psychometrics.calibration.week",
    "seedtest_analytics.assets.psychometrics.ability.week",
    "dagster_postgres",
]
DISK_BYTES = 3_000_000_000
"""More than the 2 GB of WAL that a fast machine may write between two checkpoints."""


@dataclass(frozen=True)
class Ended:
    """How a command ended, and what it printed."""

    code: int
    output: str


@dataclass
class Command:
    """A command that runs in a separate process, the leader of a session."""

    process: Any
    log: Path

    @property
    def pid(self) -> int:
        """The process's number, which is also that of its session."""
        assert self.process.pid is not None
        return int(self.process.pid)

    def output(self) -> str:
        """What it has printed so far."""
        return self.log.read_text(errors="replace") if self.log.exists() else ""

    def wait(self) -> Ended:
        """Wait until it has ended."""
        self.process.join()
        return Ended(self.process.exitcode, self.output())


@dataclass
class Platform:
    """A home whose platform is computed again and again."""

    home: Path
    is_own_disk: bool
    jobs: tuple[str, ...]
    outputs: tuple[str, ...] = ()
    undisturbed: dict[str, list[str]] = field(default_factory=dict)
    objects: set[str] = field(default_factory=set)
    seconds: float = 0.0
    sessions: set[int] = field(default_factory=set)
    n_commands: int = 0

    @property
    def server(self) -> EmbeddedPostgres:
        """The home's PostgreSQL."""
        return EmbeddedPostgres(self.home / "postgres")

    def url(self, database: str) -> str:
        """The address of a database."""
        return self.server.url(database, driver="")

    def connect(self, database: str = "seedtest") -> psycopg.Connection[Any]:
        """A session of the test."""
        return psycopg.connect(self.url(database), autocommit=True, application_name="the test")

    def start(self, *arguments: str, before: Callable[[], None] | None = None, **settings: str) -> Command:
        """Start a command of `seedtest`; ``before`` is called in its process."""
        self.n_commands += 1
        log = self.home.parent / f"{self.home.name}.{self.n_commands}.log"
        environment = {**_plain_environment(), **SETTINGS, **settings, "DAGSTER_HOME": str(self.home)}
        environment["TMPDIR"] = str(self.home / "tmp")
        context = multiprocessing.get_context("forkserver")
        context.set_forkserver_preload(PRELOADED)
        process = context.Process(target=_command, args=(arguments, environment, str(log), before))
        process.start()
        command = Command(process, log)
        self.sessions.add(command.pid)
        return command

    def run(self, *arguments: str, **settings: str) -> Ended:
        """Run a command to its end."""
        return self.start(*arguments, **settings).wait()

    @property
    def materialize(self) -> tuple[str, ...]:
        """The command that computes everything of this platform."""
        return self.command(self.jobs)

    def command(self, jobs: Iterable[str]) -> tuple[str, ...]:
        """The command that computes some jobs."""
        return ("materialize", "--from", FIRST, *(part for job in jobs for part in ("--only", job)))

    def forget(self) -> None:
        """Take away everything that was computed."""
        self.server.start()
        with self.connect() as connection:
            names = sql.SQL(", ").join(map(sql.Identifier, self.outputs))
            connection.execute(sql.SQL("TRUNCATE {} RESTART IDENTITY").format(names))
        shutil.rmtree(self.home / "reports", ignore_errors=True)

    def content(self) -> dict[str, list[str]]:
        """The rows of every table without times of computation, and the files of the reports."""
        from scripts.table_digests import rows_of
        from seedtest_analytics.database.engine import engine_for, normalised_url
        from seedtest_analytics.tables import metadata

        engine = engine_for(normalised_url(self.url("seedtest")))
        with engine.connect() as connection:
            found = {table.name: list(rows_of(connection, table)) for table in metadata.tables.values()}
        engine.dispose()
        folder = self.home / "reports"
        files = sorted(path for path in folder.rglob("*") if path.is_file())
        found["files of reports"] = [f"{file.relative_to(folder)} {is_whole(file)}" for file in files]
        return found

    def differences(self) -> dict[str, list[str]]:
        """The tables and files that are not those of an undisturbed run, each with the first rows that differ."""
        found = self.content()
        return {name: changes(rows, found[name]) for name, rows in self.undisturbed.items() if found[name] != rows}

    def database_objects(self) -> set[str]:
        """Everything that is in the catalogue of the platform's database, and large objects."""
        query = (
            "SELECT n.nspname || '.' || c.relname FROM pg_class AS c JOIN pg_namespace AS n ON n.oid = c.relnamespace "
            "WHERE n.nspname NOT IN ('pg_catalog', 'information_schema') AND n.nspname !~ '^pg_toast' "
            "UNION ALL SELECT 'large object ' || oid FROM pg_largeobject_metadata"
        )
        with self.connect() as connection:
            return {name for (name,) in connection.execute(query)}

    def leftovers(self) -> list[str]:
        """What a fault left behind: runs, slots, locks, sessions, objects, files and processes."""
        found = []
        with self.connect("dagster") as connection:
            for query in (
                "SELECT 'unfinished run: ' || status || ' ' || pipeline_name FROM runs "
                "WHERE status NOT IN ('SUCCESS', 'FAILURE', 'CANCELED')",
                "SELECT 'slot: ' || concurrency_key || ' ' || run_id FROM concurrency_slots WHERE run_id IS NOT NULL",
                "SELECT 'waits for a slot: ' || concurrency_key || ' ' || run_id FROM pending_steps",
            ):
                found += [row[0] for row in connection.execute(query)]
        with self.connect() as connection:
            for query in (
                # Of this database: the daemon holds one in Dagster's.
                "SELECT 'lock: ' || locktype || ' ' || mode FROM pg_locks WHERE locktype = 'advisory' "
                "AND database = (SELECT oid FROM pg_database WHERE datname = current_database())",
                "SELECT 'session: ' || application_name || ' ' || coalesce(state, '') FROM pg_stat_activity "
                "WHERE datname = current_database() AND pid <> pg_backend_pid() AND backend_type = 'client backend'",
            ):
                found += [row[0] for row in connection.execute(query)]
        found += [f"object: {name}" for name in sorted(self.database_objects() ^ self.objects)]
        for folder in ("tmp", "scratch", ".partial", "reports/.partial", "waiting_reports"):
            # What an interrupted first start leaves in a hidden folder is not a file of ours.
            files = [path for path in (self.home / folder).rglob("*") if path.is_file()]
            # `dagster dev` keeps its addresses of code servers there.
            found += [f"file: {path}" for path in files if path.name != "workspace.yaml"]
            found += [f"folder: {path}" for path in (self.home / folder).glob("seedtest-*")]
        return found + [f"process: {name}" for name in self.processes()]

    def processes(self) -> list[str]:
        """Living processes of the sessions of the commands that were started."""
        found = []
        for process in psutil.process_iter():
            with contextlib.suppress(psutil.Error, OSError):
                is_ours = os.getsid(process.pid) in self.sessions and process.status() != psutil.STATUS_ZOMBIE
                if is_ours:
                    found.append(f"{process.pid} {' '.join(process.cmdline())[:100]}")
        return found


def changes(expected: list[str], found: list[str]) -> list[str]:
    """The first rows that are missing or too many."""
    missing, many = Counter(expected) - Counter(found), Counter(found) - Counter(expected)
    return [f"- {row}" for row in list(missing)[:3]] + [f"+ {row}" for row in list(many)[:3]]


def is_whole(file: Path) -> str:
    """Whether a page has its end."""
    return "whole" if file.suffix != ".html" or file.read_bytes().rstrip().endswith(b"</html>") else "cut"


def _plain_environment() -> dict[str, str]:
    kept = ("PATH", "LANG", "HOME", "PYTHONPATH", "NUMBA_CACHE_DIR", "XDG_CACHE_HOME")
    return {name: os.environ[name] for name in kept if name in os.environ}


def _command(
    arguments: tuple[str, ...], environment: Mapping[str, str], log: str, before: Callable[[], None] | None
) -> None:
    os.setsid()
    os.environ.clear()
    os.environ.update(environment)
    tempfile.tempdir = None
    output = os.open(log, os.O_WRONLY | os.O_CREAT | os.O_TRUNC)
    for descriptor in (1, 2):
        os.dup2(output, descriptor)
    sys.argv = ["seedtest", *arguments]
    from seedtest_analytics.cli.app import main

    if before is not None:
        before()
    main()


@contextlib.contextmanager
def small_platform(jobs: tuple[str, ...] = JOBS) -> Iterator[Platform]:
    """A cohort of 30 students over four weeks (seed 3), computed once without a fault."""
    base = Path(tempfile.mkdtemp(prefix="seedtest-faults-"))
    base.chmod(0o711)
    home = base / "home"
    home.mkdir(mode=0o711)
    mount = ["mount", "-t", "tmpfs", "-o", f"size={DISK_BYTES},mode=711", "tmpfs", str(home)]
    is_own_disk = os.geteuid() == 0 and subprocess.run(mount, capture_output=True, check=False).returncode == 0
    (home / "tmp").mkdir()
    platform = Platform(home, is_own_disk, jobs)
    try:
        simulate = ("--students", str(STUDENTS), "--weeks", str(WEEKS), "--seed", str(SEED), "--until", UNTIL)
        ended = platform.run("simulate", *simulate, "--load", "--out", str(base / "cohort"))
        assert ended.code == 0, ended.output
        with platform.connect() as connection:
            empty = "SELECT tablename FROM pg_tables WHERE schemaname = 'public'"
            tables = [name for (name,) in connection.execute(empty)]
            has_rows = sql.SQL("SELECT EXISTS (SELECT FROM {})")
            found = {n: connection.execute(has_rows.format(sql.Identifier(n))).fetchone() for n in tables}
            platform.outputs = tuple(name for name, row in found.items() if row == (False,))
        started = time.monotonic()
        ended = platform.run(*platform.materialize)
        assert ended.code == 0, ended.output
        platform.seconds = time.monotonic() - started
        platform.undisturbed, platform.objects = platform.content(), platform.database_objects()
        yield platform
    finally:
        for process in platform.processes():
            with contextlib.suppress(ProcessLookupError):
                os.kill(int(process.split()[0]), signal.SIGKILL)
        remove_server(home / "postgres")
        if is_own_disk:
            subprocess.run(["umount", "-l", str(home)], check=False)
        shutil.rmtree(base, ignore_errors=True)
