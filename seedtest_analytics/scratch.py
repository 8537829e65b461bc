"""Temporary folders that a later run removes if their process was killed."""

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

    If the process is killed, the next call of any process of the same user removes it. Its process locks the folder, so
    folders of live runs stay.
    """
    sweep()
    # It gets its name only when it is locked, so that no sweep can remove it before.
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
    """Remove the folders that ended processes left."""
    for folder in Path(tempfile.gettempdir()).glob(f"{PREFIX}*"):
        with contextlib.suppress(OSError):  # another user's, already gone, or locked by a live run
            lock = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW)
            try:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
                shutil.rmtree(folder, ignore_errors=True)
            finally:
                os.close(lock)
