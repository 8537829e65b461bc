"""Folders that only their owner can read, and files that only their owner can have written."""

from __future__ import annotations

import contextlib
import os
import secrets
import stat
import time
from functools import cached_property
from pathlib import Path

_PARTIAL_FILES_KEPT_SECONDS = 86_400


def make_private(folder: Path) -> None:
    """Create a folder, and missing ones above it, that other users can neither list nor change.

    They may pass through root's, because root runs the embedded PostgreSQL as another user.
    """
    missing = [path for path in (folder, *folder.parents) if not path.exists()]
    for path in reversed(missing):
        path.mkdir(mode=0o700, exist_ok=True)
        if os.geteuid() == 0:
            path.chmod(0o711)


def is_ours(path: Path) -> bool:
    """Whether only this user or root can have written a file. Links are not followed."""
    found = path.lstat()
    return found.st_uid in (os.geteuid(), 0) and stat.S_ISREG(found.st_mode) and not found.st_mode & stat.S_IWOTH


def is_our_folder(path: Path) -> bool:
    """Whether only this user or root can have put something into a folder, or a link in its place."""
    link, found = path.lstat(), path.stat()
    return {link.st_uid, found.st_uid} <= {os.geteuid(), 0} and not found.st_mode & stat.S_IWOTH


class AtomicFolder:
    """A folder whose files are written completely or not at all, and which the first file creates.

    Methods raise OSError.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder.resolve()

    def read(self, name: str) -> bytes | None:
        """The content of a file; None if there is none."""
        try:
            return (self.folder / name).read_bytes()
        except FileNotFoundError:
            return None

    def write(self, name: str, content: bytes) -> None:
        """Write a file beside, sync it, then rename it: readers see the old or the new content."""
        target = self.folder / name
        partial = self._partial_folder / secrets.token_hex(16)
        for folder in reversed(target.relative_to(self.folder).parents[:-1]):
            (self.folder / folder).mkdir(mode=0o700, exist_ok=True)
        try:
            with os.fdopen(os.open(partial, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb") as file:
                file.write(content)
                file.flush()
                os.fsync(file.fileno())
            partial.rename(target)
            _force_to_disk(target.parent)
        except BaseException:
            partial.unlink(missing_ok=True)
            raise

    @cached_property
    def _partial_folder(self) -> Path:
        """Folder of unfinished files; removes those of writers that were killed more than a day ago."""
        self.folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        folder = self.folder / ".partial"
        folder.mkdir(mode=0o700, exist_ok=True)
        for path in folder.iterdir():
            with contextlib.suppress(FileNotFoundError):
                if path.stat().st_mtime < time.time() - _PARTIAL_FILES_KEPT_SECONDS:
                    path.unlink()
        return folder


def _force_to_disk(folder: Path) -> None:
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
