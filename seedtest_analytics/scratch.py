"""Temporary folders below the Dagster home that the next start removes if their process was killed."""

from __future__ import annotations

import contextlib
import fcntl
import os
import shutil
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from seedtest_analytics.private_files import make_private

PREFIX = "seedtest-scratch-"
NAMED_WITHIN_SECONDS = 60


@contextmanager
def scratch_folder(purpose: str) -> Iterator[Path]:
    """A folder that only this user can enter, removed at the end of the block.

    If the process is killed, the next command or the next call of any process of the same home removes it. Its process
    locks the folder, so folders of live runs stay.
    """
    sweep()
    parent = _parent()
    make_private(parent)
    # It gets its name only when it is locked, so that no sweep can remove it before.
    unnamed = Path(tempfile.mkdtemp(prefix=f".{PREFIX}{purpose}-", dir=parent))
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


def _parent() -> Path:
    """The home's folder for scratch folders; the system's temporary folder without a home."""
    home = os.environ.get("DAGSTER_HOME")
    return Path(home) / "scratch" if home else Path(tempfile.gettempdir())


def _is_old(folder: Path) -> bool:
    try:
        return folder.stat().st_mtime < time.time() - NAMED_WITHIN_SECONDS
    except FileNotFoundError:  # it has its name now
        return False


def sweep() -> None:
    """Remove the folders that ended processes left."""
    # Earlier releases used the system's temporary folder. A folder without its name may be about to get it.
    named = [*_parent().glob(f"{PREFIX}*"), *Path(tempfile.gettempdir()).glob(f"{PREFIX}*")]
    for folder in [*named, *filter(_is_old, _parent().glob(f".{PREFIX}*"))]:
        with contextlib.suppress(OSError):  # another user's, already gone, or locked by a live run
            lock = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW)
            try:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
                shutil.rmtree(folder, ignore_errors=True)
            finally:
                os.close(lock)
