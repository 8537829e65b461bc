"""Scratch folders disappear when their block ends and, after a kill, when the next one is created."""

import multiprocessing
import os
import signal
import tempfile
import threading
from multiprocessing.connection import Connection
from pathlib import Path

import pytest

from seedtest_analytics.scratch import scratch_folder


@pytest.fixture(autouse=True)
def temporary_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
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


def test_what_is_no_scratch_folder_stays(temporary_folder: Path) -> None:
    (temporary_folder / "seedtest-scratch-file").write_text("kept")
    (temporary_folder / "another").mkdir()
    (temporary_folder / "seedtest-scratch-link").symlink_to(temporary_folder / "another")
    with scratch_folder("test"):
        pass
    assert {p.name for p in temporary_folder.iterdir()} == {"seedtest-scratch-file", "another", "seedtest-scratch-link"}
