"""Rendered reports that the store has not taken yet: one private file each, below the platform's home.

During an outage reports go here, and later into the store without being rendered again. A file has a line of JSON with
the key, the renderer, the language and the note, then the report's bytes; its name is a digest, so that no name has an id.

Two processes may meet here: a run that stores a newer version of a report, and one that delivers what waits. Each
delivery of a waiting file excludes every other upload of this home, so the older version never comes last.
"""

from __future__ import annotations

import contextlib
import datetime as dt
import fcntl
import hashlib
import json
import os
from collections.abc import Iterator
from pathlib import Path

from seedtest_analytics.private_files import AtomicFolder
from seedtest_analytics.resources.store.base import ObjectStoreError
from seedtest_analytics.resources.store.keys import ReportFile, ReportKey

_ENDING = ".report"
_LOCK = ".lock"


class WaitingReports:
    """The reports that wait in a folder, which the first one creates."""

    def __init__(self, folder: Path) -> None:
        self._files = AtomicFolder(folder)
        self.folder = self._files.folder

    def add(self, file: ReportFile) -> None:
        """Keep a report; it replaces an older version. Raises :class:`ObjectStoreError` if the disk refuses it."""
        key = file.key
        header = {
            "user_id": key.user_id,
            "week_start": key.week_start.isoformat(),
            "format": key.format,
            "renderer": file.renderer,
            "language": file.language,
            "name": key.name,
            "note": dict(file.note),
        }
        try:
            self._files.write(_name(key), json.dumps(header).encode() + b"\n" + file.content)
        except OSError as error:
            raise ObjectStoreError(
                f"reports cannot wait in {self.folder}: {error.strerror or type(error).__name__}; free space there, correct "
                "its permissions, or set SEEDTEST_WAITING_DIR",
                is_for_all=True,
            ) from error

    def discard(self, key: ReportKey) -> None:
        """Forget the waiting version of a report, if there is one."""
        (self.folder / _name(key)).unlink(missing_ok=True)

    def names(self) -> list[str]:
        """Names of the waiting files."""
        return sorted(path.name for path in self.folder.glob(f"*{_ENDING}"))

    def read(self, name: str) -> ReportFile | None:
        """A waiting report; None if it has been delivered in the meantime."""
        stored = self._files.read(name)
        if stored is None:
            return None
        header, _, content = stored.partition(b"\n")
        found = json.loads(header)
        key = ReportKey(
            found["user_id"], dt.date.fromisoformat(found["week_start"]), format=found["format"], name=found["name"]
        )
        return ReportFile(key, content, renderer=found["renderer"], language=found["language"], note=found["note"])

    @contextlib.contextmanager
    def uploading(self) -> Iterator[None]:
        """Held while a fresh report is stored and its waiting version is discarded; uploads do not exclude each other."""
        with self._locked(fcntl.LOCK_SH):
            yield

    @contextlib.contextmanager
    def delivering(self) -> Iterator[None]:
        """Held while a waiting report is stored and recorded; nothing else is stored meanwhile."""
        with self._locked(fcntl.LOCK_EX):
            yield

    @contextlib.contextmanager
    def _locked(self, kind: int) -> Iterator[None]:
        self.folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        descriptor = os.open(self.folder / _LOCK, os.O_RDWR | os.O_CREAT, 0o600)
        try:
            fcntl.flock(descriptor, kind)
            yield
        finally:
            os.close(descriptor)


def _name(key: ReportKey) -> str:
    identity = json.dumps([key.user_id, key.week_start.isoformat(), key.name, key.format])
    return hashlib.sha256(identity.encode()).hexdigest() + _ENDING
