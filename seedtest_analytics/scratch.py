"""Temporary folders that a killed process does not leave for ever."""

from __future__ import annotations

import contextlib
import fcntl
import os
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

PREFIX = "seedtest-scratch-"


@contextmanager
def scratch_folder(purpose: str) -> Iterator[Path]:
    """A folder in the temporary folder, removed at the end of the block.

    A process that is killed cannot remove it; the next call, by any process of the same user, does. The folder is
    locked as long as its process lives, so those of runs that go on are left alone.
    """
    sweep()
    # It takes its name once it is locked: a sweep cannot come in between.
    unnamed = Path(tempfile.mkdtemp(prefix=f".{PREFIX}{purpose}-"))
    lock = os.open(unnamed, os.O_RDONLY | os.O_DIRECTORY)
    try:
        fcntl.flock(lock, fcntl.LOCK_EX)
        folder = unnamed.rename(unnamed.with_name(unnamed.name.removeprefix(".")))
        try:
            yield folder
        finally:
            shutil.rmtree(folder, ignore_errors=True)
    finally:
        os.close(lock)


def sweep() -> None:
    """Remove the folders whose processes ended without doing so."""
    for folder in Path(tempfile.gettempdir()).glob(f"{PREFIX}*"):
        with contextlib.suppress(OSError):  # another user's, gone by now, or locked by a run that goes on
            lock = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW)
            try:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
                shutil.rmtree(folder, ignore_errors=True)
            finally:
                os.close(lock)
