"""The suite's own checks: what a fault could leave behind is planted, and they tell it."""

from __future__ import annotations

import subprocess
import sys
import uuid
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, LiteralString

import dagster as dg
import psycopg
import pytest

from tests.conftest import NewDatabase
from tests.faults import _faults as faults
from tests.faults._platform import Command, Ended, Platform

pytestmark = [pytest.mark.long, pytest.mark.database]


@dataclass
class Idle(Platform):
    """A platform that computes nothing: its commands end at once."""

    urls: dict[str, str] = field(default_factory=dict, repr=False)
    ended: Ended = field(default_factory=lambda: Ended(0, ""))

    def url(self, database: str) -> str:
        """The address of a database of the test."""
        return self.urls[database]

    def run(self, *arguments: str, **settings: str) -> Ended:
        """How every command of the test ends."""
        return self.ended

    def start(self, *arguments: str, before: Any = None, **settings: str) -> Command:
        """A command that has ended already."""
        return _Over(self.ended)  # type: ignore[return-value]

    def forget(self) -> None:
        """Nothing was computed."""


@dataclass(frozen=True)
class _Over:
    ended: Ended

    def wait(self) -> Ended:
        return self.ended


@pytest.fixture(scope="module")
def urls(new_database: NewDatabase) -> dict[str, str]:
    return {name: new_database(migrated=name == "seedtest").replace("+psycopg", "") for name in ("seedtest", "dagster")}


@pytest.fixture(scope="module")
def instance(urls: dict[str, str], tmp_path_factory: pytest.TempPathFactory) -> Iterator[dg.DagsterInstance]:
    """Dagster's own storage, so that what is planted is in the tables that Dagster writes."""
    storage = {"storage": {"postgres": {"postgres_url": urls["dagster"]}}}
    with dg.DagsterInstance.local_temp(str(tmp_path_factory.mktemp("home")), overrides=storage) as made:
        yield made


@pytest.fixture
def platform(
    urls: dict[str, str], instance: dg.DagsterInstance, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Iterator[Idle]:
    monkeypatch.setattr(faults, "SETTLE_SECONDS", 0)
    page = tmp_path / "reports" / "one" / "report.html"
    page.parent.mkdir(parents=True)
    page.write_text("<html>\n</html>\n")
    made = Idle(tmp_path, False, (), urls=urls)
    made.undisturbed, made.objects = made.content(), made.database_objects()
    assert made.leftovers() == []
    yield made
    for run in instance.get_runs():
        instance.delete_run(run.run_id)


def started_run(instance: dg.DagsterInstance) -> str:
    run = dg.DagsterRun(job_name="weekly", run_id=str(uuid.uuid4()), status=dg.DagsterRunStatus.STARTED)
    instance.add_run(run)
    return run.run_id


def test_nothing_is_wrong_without_a_fault(platform: Idle) -> None:
    faults.recover(platform)
    assert [ended.code for ended in faults.endure(platform, faults.nothing)] == [0]


def test_a_failed_normal_run(platform: Idle) -> None:
    platform.ended = Ended(1, "the cause")
    with pytest.raises(AssertionError, match="the cause"):
        faults.recover(platform)


def test_a_traceback(platform: Idle) -> None:
    platform.ended = Ended(0, "Traceback (most recent call last)")
    with pytest.raises(AssertionError, match="Traceback"):
        faults.endure(platform, faults.nothing)


def test_an_unfinished_run(platform: Idle, instance: dg.DagsterInstance) -> None:
    started_run(instance)
    with pytest.raises(AssertionError, match="unfinished run: STARTED weekly"):
        faults.recover(platform)


def test_slots(platform: Idle, instance: dg.DagsterInstance) -> None:
    storage = instance.event_log_storage
    storage.set_concurrency_slots("pages", 1)
    holder, waiter = str(uuid.uuid4()), str(uuid.uuid4())
    storage.claim_concurrency_slot("pages", holder, "step")
    storage.claim_concurrency_slot("pages", waiter, "step")
    waits = {f"waits for a slot: pages {run_id}" for run_id in (holder, waiter)}
    assert set(platform.leftovers()) == {f"slot: pages {holder}"} | waits
    for run_id in (holder, waiter):
        storage.free_concurrency_slots_for_run(run_id)
    storage.delete_concurrency_limit("pages")


def test_a_session_and_its_lock(platform: Idle) -> None:
    with psycopg.connect(platform.url("seedtest"), application_name="the backup", autocommit=True) as connection:
        connection.execute("SELECT pg_advisory_lock(1)")
        assert platform.leftovers() == ["lock: advisory ExclusiveLock", "session: the backup idle"]


@pytest.mark.parametrize(
    ("plant", "remove", "told"),
    [
        ("CREATE TABLE staged (i int)", "DROP TABLE staged", ["object: public.staged"]),
        ("SELECT lo_create(77)", "SELECT lo_unlink(77)", ["object: large object 77"]),
        (
            "ALTER TABLE weekly_kpi RENAME TO renamed",
            "ALTER TABLE renamed RENAME TO weekly_kpi",
            ["object: public.renamed", "object: public.weekly_kpi"],
        ),
    ],
)
def test_objects(platform: Idle, plant: LiteralString, remove: LiteralString, told: list[str]) -> None:
    with platform.connect() as connection:
        connection.execute(plant)
    assert platform.leftovers() == told
    with platform.connect() as connection:
        connection.execute(remove)
    assert platform.leftovers() == []


@pytest.mark.parametrize("folder", ["tmp", "scratch", ".partial", "reports/.partial", "waiting_reports"])
def test_temporary_files(platform: Idle, folder: str) -> None:
    file = platform.home / folder / "seedtest-work" / "part"
    file.parent.mkdir(parents=True)
    assert platform.leftovers() == [f"folder: {file.parent}"]
    file.touch()
    assert platform.leftovers() == [f"file: {file}", f"folder: {file.parent}"]


def test_a_process(platform: Idle) -> None:
    program = "import subprocess, sys, time; subprocess.Popen([sys.executable, '-c', 'input()']); print(1, flush=True)"
    with subprocess.Popen(
        [sys.executable, "-c", program], stdin=subprocess.PIPE, stdout=subprocess.PIPE, start_new_session=True
    ) as command:
        assert command.stdout is not None
        command.stdout.readline()
        platform.sessions.add(command.pid)
        command.poll()
        (found,) = [text for text in platform.leftovers() if "input()" in text]
        assert found.startswith("process: ")


def test_rows_that_differ(platform: Idle) -> None:
    with platform.connect() as connection:
        connection.execute("INSERT INTO interest_goal (user_id, topic_id, target_level) VALUES ('u', 't', 1)")
    (row,) = platform.differences()["interest_goal"]
    assert row.startswith("+ (u,")
    with_row = platform.content()
    with pytest.raises(AssertionError, match="interest_goal"):
        faults.recover(platform)
    with platform.connect() as connection:
        connection.execute("UPDATE interest_goal SET target_level = 2")
        platform.undisturbed = with_row
        assert [text[0] for text in platform.differences()["interest_goal"]] == ["-", "+"]
        connection.execute("DELETE FROM interest_goal")
    assert platform.differences() == {"interest_goal": [f"- {row[2:]}"]}


def test_a_missing_report_and_one_without_its_end(platform: Idle) -> None:
    page = platform.home / "reports" / "one" / "report.html"
    page.write_text("<html>\n")
    name = "one/report.html"
    assert platform.differences() == {"files of reports": [f"- {name} whole", f"+ {name} cut"]}
    page.unlink()
    assert platform.differences() == {"files of reports": [f"- {name} whole"]}
