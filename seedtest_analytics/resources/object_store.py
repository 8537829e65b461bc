"""The store of the reports that the environment names: S3 if S3_BUCKET is set, else a folder; one layout of keys.

:mod:`seedtest_analytics.resources.store` has the parts. Nothing else about a student is in keys, and messages do not
contain the id. Only the owner can read the files; objects have no ACL and no metadata but a digest.
"""

from __future__ import annotations

from pathlib import Path
from typing import ClassVar

from pydantic import PrivateAttr

from seedtest_analytics.database.engine import dagster_home
from seedtest_analytics.resources.fixed import FixedResource
from seedtest_analytics.resources.store.base import ObjectStore
from seedtest_analytics.resources.store.folder import FolderStore
from seedtest_analytics.resources.store.s3 import S3Store
from seedtest_analytics.resources.store.uploads import Uploads
from seedtest_analytics.resources.store.waiting import WaitingReports
from seedtest_analytics.settings import StorageSettings, load_settings


class ObjectStoreResource(FixedResource):
    """The store of ``folder``, or by default the one that the environment names."""

    folder: ClassVar[Path | None] = None
    _store: ObjectStore | None = PrivateAttr(default=None)

    def store(self) -> ObjectStore:
        """The store; it connects with the first report."""
        if self._store is None:
            self._store = FolderStore(self.folder) if self.folder else store_for(load_settings().storage)
        return self._store

    def waiting(self) -> WaitingReports | None:
        """Where reports wait while the store does not take them; None for a folder."""
        return None if self.folder else waiting_for(load_settings().storage)

    def uploads(self) -> Uploads:
        """Uploads of one run into the store."""
        return Uploads(self.store(), self.waiting(), patience_seconds=load_settings().storage.patience_secs)


def store_for(storage: StorageSettings) -> ObjectStore:
    """S3 if a bucket is set, else SEEDTEST_REPORT_DIR, else ``reports`` in the Dagster home."""
    secret = storage.key_secret.get_secret_value().encode() if storage.key_secret else None
    if storage.s3_bucket:
        return S3Store(
            storage.s3_bucket,
            storage.aws_region,
            endpoint_url=storage.s3_endpoint_url,
            encryption=storage.s3_encryption,
            kms_key_id=storage.s3_kms_key_id,
            key_secret=secret,
            timeout_seconds=storage.s3_timeout_secs,
        )
    if storage.report_folder:
        return FolderStore(Path(storage.report_folder), key_secret=secret)
    return FolderStore(dagster_home() / "reports", key_secret=secret)


def waiting_for(storage: StorageSettings) -> WaitingReports | None:
    """SEEDTEST_WAITING_DIR, else ``waiting_reports`` in the Dagster home; None for a folder: its failure is a full disk."""
    if not storage.s3_bucket:
        return None
    return WaitingReports(
        Path(storage.waiting_folder) if storage.waiting_folder else dagster_home() / "waiting_reports"
    )
