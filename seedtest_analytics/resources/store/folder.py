"""Reports in a folder that only its owner can read."""

from __future__ import annotations

import contextlib
import errno
import hashlib
import shutil
from collections.abc import Iterator
from pathlib import Path

from seedtest_analytics.private_files import AtomicFolder
from seedtest_analytics.resources.store.base import ObjectStoreError, StoredObject
from seedtest_analytics.resources.store.keys import ROOTS, ReportKey, user_prefix


class FolderStore:
    """Reports below a folder, which the first report creates."""

    def __init__(self, folder: Path, *, key_secret: bytes | None = None) -> None:
        self._files = AtomicFolder(folder)
        self._key_secret = key_secret
        self.folder = self._files.folder

    def url(self, key: ReportKey) -> str:
        return self._url_of(key.path_with(self._key_secret))

    def shared_url(self, key: ReportKey, seconds: int) -> str:
        return self.url(key)

    def put(self, key: ReportKey, content: bytes, *, language: str = "en") -> bool:
        name = key.path_with(self._key_secret)
        with self._explained(f"cannot write the report of week {key.week_start} to"):
            is_written = self._files.read(name) != content
            if is_written:
                self._files.write(name, content)
        return is_written

    def get(self, key: ReportKey) -> bytes | None:
        with self._explained(f"cannot read the report of week {key.week_start} from"):
            return self._files.read(key.path_with(self._key_secret))

    def digest(self, key: ReportKey) -> str | None:
        content = self.get(key)
        return None if content is None else hashlib.sha256(content).hexdigest()

    def objects(self) -> Iterator[StoredObject]:
        with self._explained("cannot list the reports in"):
            for path in (path for root in ROOTS for path in (self.folder / root).rglob("*")):
                if path.is_file():
                    name = path.relative_to(self.folder).as_posix()
                    yield StoredObject(self._url_of(name), path.stat().st_size)

    def delete_user(self, user_id: str) -> int:
        # A report may be older than the secret that hides ids.
        count = 0
        with self._explained("cannot remove a student's reports from"):
            for secret in {None, self._key_secret}:
                folder = self.folder / user_prefix(user_id, secret)
                count += sum(1 for path in folder.rglob("report.*"))
                if folder.exists():
                    shutil.rmtree(folder)
        return count

    def _url_of(self, name: str) -> str:
        return f"{self.folder.as_uri()}/{name}"

    @contextlib.contextmanager
    def _explained(self, what: str) -> Iterator[None]:
        try:
            yield
        except OSError as error:
            is_full = error.errno in (errno.ENOSPC, errno.EDQUOT)
            cause = "the disk is full" if is_full else error.strerror or type(error).__name__
            remedy = "free space there" if is_full else "correct its permissions"
            raise ObjectStoreError(
                f"{what} {self.folder}: {cause}; {remedy}, or set SEEDTEST_REPORT_DIR or S3_BUCKET",
                code=errno.errorcode.get(error.errno or 0, ""),
                is_for_all=True,
            ) from error
