"""Scratch folders disappear when their block ends and, after a kill, when the next one is created."""

import multiprocessing
import os
import signal
import tempfile
import threading
from multiprocessing.connection import Connection
from pathlib import Path

import pytest

from seedtest_analytics.scratch import scratch_folder, sweep


@pytest.fixture(autouse=True)
def temporary_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    monkeypatch.delenv("DAGSTER_HOME", raising=False)
    return tmp_path


def hold(folder: Path, ready: Connection) -> None:
    """Create a scratch folder with a file in it, print its name, and wait."""
    tempfile.tempdir = str(folder)
    with scratch_folder("test") as scratch:
        (scratch / "output").mkdir()
        (scratch / "output" / "chain.csv").write_text("half a l")
        ready.send(scratch)
        threading.Event().wait()


def test_it_goes_at_the_end_of_the_block_also_after_an_error(temporary_folder: Path) -> None:
    with scratch_folder("test") as scratch:
        (scratch / "file").touch()
    with pytest.raises(ZeroDivisionError), scratch_folder("test"):
        _ = 1 / 0
    assert list(temporary_folder.iterdir()) == []


def test_that_of_a_killed_process_is_removed_and_that_of_a_living_one_is_not(temporary_folder: Path) -> None:
    context = multiprocessing.get_context("spawn")
    ours, theirs = context.Pipe()
    process = context.Process(target=hold, args=(temporary_folder, theirs))
    process.start()
    try:
        assert ours.poll(60)
        held = ours.recv()
        with scratch_folder("other"):
            assert (held / "output" / "chain.csv").exists()
        assert process.pid is not None
        os.kill(process.pid, signal.SIGKILL)
        process.join(30)
        assert (held / "output" / "chain.csv").exists()
        with scratch_folder("other"):
            assert not held.exists()
    finally:
        process.kill()
        process.join()
    assert list(temporary_folder.iterdir()) == []


def test_folders_are_below_the_home_and_no_other_user_can_enter(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    home = tmp_path / "home"
    monkeypatch.setenv("DAGSTER_HOME", str(home))
    with scratch_folder("test") as folder:
        assert folder.parent == home / "scratch"
        assert folder.stat().st_mode & 0o077 == 0
        assert folder.parent.stat().st_mode & 0o066 == 0
    assert list((home / "scratch").iterdir()) == []


def test_looking_for_left_folders_creates_none(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DAGSTER_HOME", str(tmp_path / "home"))
    sweep()
    assert not (tmp_path / "home").exists()


def test_folders_of_earlier_releases_are_removed_too(
    temporary_folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (temporary_folder / "seedtest-scratch-sampling-old").mkdir()
    monkeypatch.setenv("DAGSTER_HOME", str(tmp_path / "home"))
    sweep()
    assert not (temporary_folder / "seedtest-scratch-sampling-old").exists()


def test_a_folder_that_got_no_name_is_removed_when_it_is_old(temporary_folder: Path) -> None:
    new, old = (temporary_folder / f".seedtest-scratch-test-{name}" for name in ("new", "old"))
    for folder in (new, old):
        folder.mkdir()
    os.utime(old, (0, 0))
    sweep()
    assert (new.exists(), old.exists()) == (True, False)


def test_what_is_no_scratch_folder_stays(temporary_folder: Path) -> None:
    (temporary_folder / "seedtest-scratch-file").write_text("kept")
    (temporary_folder / "another").mkdir()
    (temporary_folder / "seedtest-scratch-link").symlink_to(temporary_folder / "another")
    with scratch_folder("test"):
        pass
    assert {p.name for p in temporary_folder.iterdir()} == {"seedtest-scratch-file", "another", "seedtest-scratch-link"}


def test_a_folder_may_get_its_name_while_another_process_looks_at_it(
    temporary_folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    unnamed = temporary_folder / ".seedtest-scratch-test-1"
    unnamed.mkdir()
    look = Path.stat

    def look_before_it_is_named(path: Path, **options: bool) -> os.stat_result:
        found = look(path, **options)
        if path == unnamed:
            unnamed.rename(temporary_folder / "named")
        return found

    monkeypatch.setattr(Path, "stat", look_before_it_is_named)
    sweep()
    unnamed.with_name(".seedtest-scratch-test-2").symlink_to(unnamed)  # a folder that is gone after it was listed
    sweep()
    assert (temporary_folder / "named").is_dir()
