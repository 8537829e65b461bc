"""Folders that only their owner can read, and files that only their owner can have written."""

from __future__ import annotations

import os
import stat
from pathlib import Path


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
