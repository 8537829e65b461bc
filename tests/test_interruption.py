"""Ctrl-C and SIGTERM end a command at any moment, and its statements end on the server."""

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager

import psutil
import pytest
from sqlalchemy import Engine

from tests._database import database, rows_of, shared_database
from tests._waits import LIMIT_SECONDS, wait_until

__all__ = ["database", "shared_database"]


BEGIN = """
import os, sys, threading, time
from seedtest_analytics.interruption import interruptible, on_interruption, spare

def ready():
    print("ready", flush=True)
"""
STATEMENT = """
from sqlalchemy import text
from seedtest_analytics.database.engine import engine_for, normalised_url
engine = engine_for(normalised_url(os.environ["TEST_URL"]))
with interruptible(), engine.begin() as connection:
    ready()
    connection.execute(text("SELECT pg_sleep(3600) AS interrupted_statement"))
"""
COPY = """
from seedtest_analytics.database.engine import engine_for, normalised_url
engine = engine_for(normalised_url(os.environ["TEST_URL"]))
with interruptible(), engine.begin() as connection:
    cursor = connection.connection.cursor()
    ready()
    with cursor.copy("COPY (SELECT pg_sleep(3600) AS interrupted_statement) TO STDOUT") as copy:
        list(copy)
"""
ACTIVITIES = {
    "a computation in C that returns after an hour": """
import hashlib
with interruptible():
    ready()
    hashlib.pbkdf2_hmac("sha256", b"", b"", 2**31 - 1)
""",
    "a computation in Python that catches everything": """
with interruptible():
    ready()
    while True:
        try:
            sum(range(1000))
        except BaseException:
            pass
""",
    "a run of Dagster, which delays interruptions": """
capture_interrupts = __import__("importlib").import_module("dagster" + "._utils.interrupts").capture_interrupts
with interruptible(), capture_interrupts():
    ready()
    time.sleep(3600)
""",
    "a wait for a child process": """
import subprocess
with interruptible():
    child = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(3600)"], start_new_session=True)
    print(child.pid, flush=True)
    child.wait()
""",
    "an action that never returns": """
with interruptible(), on_interruption(lambda: time.sleep(3600)):
    ready()
    time.sleep(3600)
""",
}


@contextmanager
def running(program: str, **environment: str) -> Iterator[tuple[subprocess.Popen[str], str]]:
    """A program and the line that it printed when it was ready."""
    child = subprocess.Popen(
        [sys.executable, "-c", BEGIN + program],
        env={**os.environ, **environment},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    assert child.stdout is not None
    try:
        yield child, child.stdout.readline().strip()
    finally:
        child.kill()
        child.communicate()


def end(child: subprocess.Popen[str], number: signal.Signals) -> tuple[int, str]:
    child.send_signal(number)
    _, errors = child.communicate(timeout=LIMIT_SECONDS)
    return child.returncode, errors


@pytest.mark.long
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
@pytest.mark.parametrize("activity", ACTIVITIES)
def test_a_signal_ends_the_command(activity: str, number: signal.Signals) -> None:
    with running(ACTIVITIES[activity]) as (child, line):
        code, errors = end(child, number)
    assert code == 128 + number
    assert "stopping after " in errors
    assert "Traceback" not in errors
    if line.isdecimal():
        wait_until(lambda: not psutil.pid_exists(int(line)) or psutil.Process(int(line)).status() == "zombie")


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
@pytest.mark.parametrize("program", [STATEMENT, COPY], ids=["query", "copy"])
def test_the_running_statement_ends_on_the_server(database: Engine, program: str, number: signal.Signals) -> None:
    url = database.url.render_as_string(hide_password=False)
    with running(program, TEST_URL=url) as (child, _):
        wait_until(lambda: running_statements(database) == 1)
        code, _ = end(child, number)
        assert code == 128 + number
    wait_until(lambda: running_statements(database) == 0)


def test_the_statement_of_a_killed_command_ends_on_the_server(database: Engine) -> None:
    url = database.url.render_as_string(hide_password=False)
    with running(STATEMENT, TEST_URL=url) as (child, _):
        wait_until(lambda: running_statements(database) == 1)
        child.kill()
    wait_until(lambda: running_statements(database) == 0)


def running_statements(engine: Engine) -> int:
    query = (
        "SELECT 1 AS one FROM pg_stat_activity WHERE state = 'active' AND query LIKE '%interrupted_statement%' "
        "AND pid <> pg_backend_pid()"
    )
    return len(rows_of(engine, query))


@pytest.mark.long
def test_what_outlives_the_command_on_purpose_lives_on() -> None:
    program = """
import subprocess
with interruptible():
    command = [sys.executable, "-c", "import time; time.sleep(3600)"]
    child = subprocess.Popen(command, stdout=-3, stderr=-3, start_new_session=True)
    spare(child.pid)
    print(child.pid, flush=True)
    child.wait()
"""
    with running(program) as (child, line):
        end(child, signal.SIGINT)
    process = psutil.Process(int(line))
    assert process.status() != psutil.STATUS_ZOMBIE
    process.kill()


@pytest.mark.long
def test_afterwards_the_handlers_are_those_of_before() -> None:
    program = """
import signal
before = signal.getsignal(signal.SIGINT), signal.getsignal(signal.SIGTERM)
with interruptible():
    pass
print((signal.getsignal(signal.SIGINT), signal.getsignal(signal.SIGTERM)) == before, signal.set_wakeup_fd(-1))
"""
    with running(program) as (_, line):
        assert line == "True -1"


def test_ctrl_c_while_the_command_is_imported_ends_it_without_a_word() -> None:
    program = """
import os, signal, sys
class Interrupt:
    def find_spec(self, name, *others):
        if name == "seedtest_analytics.cli.app":
            os.kill(os.getpid(), signal.SIGINT)
sys.meta_path.insert(0, Interrupt())
from importlib.metadata import entry_points
(command,) = entry_points(group="console_scripts", name="seedtest")
sys.argv = ["seedtest", "--version"]
command.load()()
"""
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout, done.stderr) == (-signal.SIGINT, "", "")
