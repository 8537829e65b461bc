"""The harness: a materialisation with a fault, then a normal one, then nothing may tell that there was a fault."""

from __future__ import annotations

import contextlib
import os
import random
import signal
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from typing import Any

import psutil

from tests._waits import wait_until
from tests.faults._platform import Command, Ended, Platform

SETTLE_SECONDS = 60
Fault = Callable[[Platform, Command], AbstractContextManager[None] | None]
"""Acts while the command runs. What it returns is ended after the command, and before the normal run."""


def endure(
    platform: Platform,
    *faults: Fault,
    around: Callable[[Platform], AbstractContextManager[None]] | None = None,
    before: Callable[[], None] | None = None,
    **settings: str,
) -> list[Ended]:
    """Materialise once for each fault, from nothing; then normally. Fail if something is left or differs.

    ``around`` holds from before a disturbed materialisation to its end; ``before`` is called in the command's process.
    Returns how the disturbed commands ended.
    """
    platform.forget()
    ended = []
    for fault in faults:
        with around(platform) if around is not None else contextlib.nullcontext():
            command = platform.start(*platform.materialize, before=before, **settings)
            with fault(platform, command) or contextlib.nullcontext():
                ended.append(command.wait())
    recover(platform)
    for one in ended:
        assert "Traceback" not in one.output, one.output
    return ended


def recover(platform: Platform) -> None:
    """Materialise normally. Fail if something is left or differs from what an undisturbed run gave."""
    normal = platform.run(*platform.materialize)
    assert normal.code == 0, normal.output
    left = settled(platform)
    assert not left, left
    different = platform.differences()
    assert not different, different


def settled(platform: Platform) -> list[str]:
    """What is left. The server notices a little after the command that its sessions have ended."""
    deadline = time.monotonic() + SETTLE_SECONDS
    while (left := platform.leftovers()) and time.monotonic() < deadline:
        time.sleep(0.2)
    return left


def nothing(platform: Platform, command: Command) -> None:
    """The fault was there before the command."""


def after(share: float, strike: Fault) -> Fault:
    """Strike when a share of the usual time has passed, if the command still runs."""

    def wait(platform: Platform, command: Command) -> AbstractContextManager[None] | None:
        deadline = time.monotonic() + share * platform.seconds
        while command.process.is_alive() and time.monotonic() < deadline:
            time.sleep(0.01)
        return strike(platform, command) if command.process.is_alive() else None

    return wait


def at(words: str, strike: Fault) -> Fault:
    """Strike as soon as the command has printed these words."""

    def wait(platform: Platform, command: Command) -> AbstractContextManager[None] | None:
        wait_until(lambda: not command.process.is_alive() or words in command.output())
        return strike(platform, command)

    return wait


def kill_command(platform: Platform, command: Command) -> None:
    """The process of the runs."""
    os.kill(command.pid, signal.SIGKILL)


def kill_worker(platform: Platform, command: Command) -> None:
    """A process below that of the runs, such as a renderer of reports; that of the runs if there is none."""
    below = psutil.Process(command.pid).children(recursive=True)
    victim = below[0].pid if below else command.pid
    with contextlib.suppress(ProcessLookupError):
        os.kill(victim, signal.SIGKILL)


def kill_postgres(platform: Platform, command: Command) -> None:
    """The server's first process: its other processes notice it, and the next start recovers."""
    pid = platform.server.status().pid
    if pid is not None:
        os.kill(pid, signal.SIGKILL)


KILLS: dict[str, Fault] = {"command": kill_command, "worker": kill_worker, "postgres": kill_postgres}


def random_kill(rng: random.Random) -> tuple[str, Fault]:
    """What is killed, and the fault that kills it at a random instant."""
    name = rng.choice(sorted(KILLS))
    return name, after(rng.uniform(0.0, 0.95), KILLS[name])


def cut_connections(platform: Platform, command: Command) -> None:
    """An administrator ends every session of both databases."""
    with platform.connect() as connection:
        connection.execute(
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity "
            "WHERE backend_type = 'client backend' AND pid <> pg_backend_pid()"
        )


@contextlib.contextmanager
def read_only(platform: Platform) -> Iterator[None]:
    """The platform's database takes no writes, as a standby does."""
    with altered(platform, "SET default_transaction_read_only = on", "RESET default_transaction_read_only"):
        yield


@contextlib.contextmanager
def few_connections(platform: Platform) -> Iterator[None]:
    """The platform's database takes one session at a time."""
    with altered(platform, "CONNECTION LIMIT 1", "CONNECTION LIMIT -1"):
        yield


@contextlib.contextmanager
def low_max_connections(platform: Platform) -> Iterator[None]:
    """The server has five connections for everybody, three of them for its administrators."""
    overrides = platform.server.status().data_folder / "postgresql.auto.conf"
    kept = overrides.read_text()
    platform.server.stop()
    overrides.write_text(kept + "max_connections = 5\n")
    platform.server.start()
    try:
        yield
    finally:
        platform.server.stop()
        overrides.write_text(kept)
        platform.server.start()


@contextlib.contextmanager
def altered(platform: Platform, change: str, back: str) -> Iterator[None]:
    """A property of the platform's database, changed for a while."""
    platform.server.start()
    with platform.connect("postgres") as connection:
        connection.execute(f"ALTER DATABASE seedtest {change}")  # type: ignore[call-overload]
        try:
            yield
        finally:
            connection.execute(f"ALTER DATABASE seedtest {back}")  # type: ignore[call-overload]


@contextlib.contextmanager
def full_disk(platform: Platform, command: Command) -> Iterator[None]:
    """A file takes all the room that is left for tables, Dagster's events, reports and temporary files."""
    file = platform.home / "filler"
    with file.open("wb") as filler, contextlib.suppress(OSError):
        while True:
            filler.write(bytes(1 << 16))
            filler.flush()
    try:
        yield
    finally:
        file.unlink()


@contextlib.contextmanager
def locked_table(platform: Platform) -> Iterator[None]:
    """Another program holds a table."""
    platform.server.start()
    with platform.connect() as connection, connection.transaction():
        connection.execute("SET application_name = 'nightly backup'")
        connection.execute("LOCK TABLE weekly_kpi")
        yield


def deadlock(platform: Platform, command: Command) -> None:
    """Another session takes two tables in the other order than the platform: the server ends one of the two."""
    import psycopg

    waits = "SELECT count(*) FROM pg_locks WHERE NOT granted AND relation = 'features_topic_daily'::regclass"
    with (
        platform.connect() as watcher,
        platform.connect() as other,
        contextlib.suppress(psycopg.errors.DeadlockDetected),
        other.transaction(),
    ):
        other.execute("LOCK TABLE features_topic_daily")
        wait_until(lambda: not command.process.is_alive() or watcher.execute(waits).fetchone() != (0,))
        other.execute("LOCK TABLE attempt")


def second_command(ends: list[Ended]) -> Fault:
    """The same range is materialised by another command at the same time."""

    @contextlib.contextmanager
    def start(platform: Platform, command: Command) -> Iterator[None]:
        other = platform.start(*platform.materialize)
        yield
        ends.append(other.wait())

    return start


def limit_files(size: int = 20_000) -> None:
    """In a command's process: no file may be longer. Pages of reports are, and Dagster's captured output."""
    import resource

    resource.setrlimit(resource.RLIMIT_FSIZE, (size, size))


def jump_of_clock() -> Any:
    """In a command's process: its clock goes back by two hours after a second, and a second later forward by a day."""
    import threading

    import time_machine

    def jump() -> None:
        for seconds in (-7200, 86400):
            time.sleep(1.0)
            before = time.time()
            time_machine.travel(before + seconds, tick=True).start()
            print(f"clock: {time.time() - before:+.0f} s", flush=True)  # noqa: T201

    threading.Thread(target=jump, daemon=True).start()
