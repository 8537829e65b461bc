"""Report files: S3 if S3_BUCKET is set, else a folder, with one interface and one key layout.

A report's key is ``reports/{user_id}/{week_start}/report.{html|pdf}``, that of the teacher's page ends in
``teacher.html``. In ``user_id``, ``A-Z a-z 0-9 - _ @`` and a ``.``
that is not the first character stay; each UTF-8 byte of any other character becomes ``~XX``. If the result is too long
for a file name, ``~~`` and a digest replace its end. So two ids never share a key (on a case-sensitive file system), no
id leaves its folder, and the key is the same text in S3, in the URL and as a file name. The escape is ``~`` because S3
and browsers decode ``%`` in URLs.

The contract puts the student's id into the key. Nothing else about a student is in keys, and messages do not contain
the id. Only the owner can read the files; objects have no ACL and no metadata but a digest. ``delete_user`` removes all
reports of a student.
"""

from __future__ import annotations

import contextlib
import datetime as dt
import errno
import hashlib
import os
import re
import secrets
import shutil
import time
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any, ClassVar, Literal, Protocol

from pydantic import PrivateAttr

from seedtest_analytics.resources.fixed import FixedResource
from seedtest_analytics.settings import StorageSettings, load_settings

CONTENT_TYPES = {"html": "text/html", "pdf": "application/pdf"}

_ESCAPED = re.compile(rb"^\.|[^A-Za-z0-9._@-]")
_LONGEST_SEGMENT = 150
_PARTIAL_FILES_KEPT_SECONDS = 86_400

_S3_REMEDIES = {
    "NoCredentialsError": "set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, or give the pod a role",
    "NoSuchBucket": "create the bucket or correct S3_BUCKET",
    "AccessDenied": "the credentials need s3:GetObject, s3:PutObject, s3:DeleteObject and s3:ListBucket there",
    "403": "the credentials need s3:GetObject, s3:PutObject, s3:DeleteObject and s3:ListBucket there",
    "InvalidAccessKeyId": "correct AWS_ACCESS_KEY_ID",
    "SignatureDoesNotMatch": "correct AWS_SECRET_ACCESS_KEY",
    "PermanentRedirect": "set AWS_REGION to the region of the bucket",
    "EndpointConnectionError": "check S3_ENDPOINT_URL, AWS_REGION and the network",
    "ConnectTimeoutError": "check S3_ENDPOINT_URL, AWS_REGION and the network",
}


class ObjectStoreError(RuntimeError):
    """A report cannot be stored, read or removed; the message names the place, the cause and the remedy."""


@dataclass(frozen=True)
class ReportKey:
    """Identifies a report. ``week_start`` is the Monday of the reported week."""

    user_id: str
    week_start: dt.date
    format: Literal["html", "pdf"] = "html"
    name: Literal["report", "teacher", "index"] = "report"
    """'index' is the list of a week and has no student: ``index/{week_start}/index.html``."""

    def __post_init__(self) -> None:
        if self.format not in CONTENT_TYPES:
            raise ValueError(f"unknown report format {self.format!r}; use html or pdf")
        if isinstance(self.week_start, dt.datetime):
            raise ValueError("week_start must be a date without a time")

    @property
    def path(self) -> str:
        """The key: the same text in S3, in URLs and below the folder."""
        if self.name == "index":
            return f"index/{self.week_start.isoformat()}/index.{self.format}"
        return f"{user_prefix(self.user_id)}{self.week_start.isoformat()}/{self.name}.{self.format}"

    @property
    def content_type(self) -> str:
        """Media type of the format."""
        return CONTENT_TYPES[self.format]


class ObjectStore(Protocol):
    """A store of reports. Methods are thread-safe and raise :class:`ObjectStoreError`."""

    def url(self, key: ReportKey) -> str:
        """Where the report is or would be."""

    def put(self, key: ReportKey, content: bytes) -> bool:
        """Store the report completely or not at all; False if the same bytes were already there."""

    def get(self, key: ReportKey) -> bytes | None:
        """The report; None if there is none."""

    def delete_user(self, user_id: str) -> int:
        """Remove all reports of a student; return how many there were."""


def user_prefix(user_id: str) -> str:
    """Prefix of the keys of a student's reports, and of no other student's."""
    raw = user_id.encode("utf-8", "surrogatepass")
    segment = _ESCAPED.sub(lambda found: b"~%02X" % found.group()[0], raw).decode("ascii")
    if not 0 < len(segment) <= _LONGEST_SEGMENT:
        segment = f"{segment[:80]}~~{hashlib.sha256(raw).hexdigest()}"
    return f"reports/{segment}/"


class FolderStore:
    """Reports below a folder, which the first report creates."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder.resolve()

    def url(self, key: ReportKey) -> str:
        return f"{self.folder.as_uri()}/{key.path}"

    def put(self, key: ReportKey, content: bytes) -> bool:
        target = self.folder / key.path
        with self._explained(f"cannot write the report of week {key.week_start} to"):
            is_written = self._read(target) != content
            if is_written:
                self._replace(target, content)
        return is_written

    def get(self, key: ReportKey) -> bytes | None:
        with self._explained(f"cannot read the report of week {key.week_start} from"):
            return self._read(self.folder / key.path)

    def delete_user(self, user_id: str) -> int:
        folder = self.folder / user_prefix(user_id)
        with self._explained("cannot remove a student's reports from"):
            count = sum(1 for path in folder.rglob("*.*") if path.is_file())
            if folder.exists():
                shutil.rmtree(folder)
        return count

    @staticmethod
    def _read(path: Path) -> bytes | None:
        try:
            return path.read_bytes()
        except FileNotFoundError:
            return None

    def _replace(self, target: Path, content: bytes) -> None:
        """Write a file beside, sync it, then rename it: readers see the old or the new report."""
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

    @contextlib.contextmanager
    def _explained(self, what: str) -> Iterator[None]:
        try:
            yield
        except OSError as error:
            is_full = error.errno in (errno.ENOSPC, errno.EDQUOT)
            cause = "the disk is full" if is_full else error.strerror or type(error).__name__
            remedy = "free space there" if is_full else "correct its permissions"
            raise ObjectStoreError(
                f"{what} {self.folder}: {cause}; {remedy}, or set SEEDTEST_REPORT_DIR or S3_BUCKET"
            ) from error


class S3Store:
    """Reports in a bucket of S3 or a compatible store; credentials come from the standard environment."""

    def __init__(self, bucket: str, region: str, *, endpoint_url: str | None = None) -> None:
        self.bucket = bucket
        self.region = region
        self.endpoint_url = endpoint_url.rstrip("/") if endpoint_url else None

    def url(self, key: ReportKey) -> str:
        if self.endpoint_url:
            return f"{self.endpoint_url}/{self.bucket}/{key.path}"
        return f"https://{self.bucket}.s3.{self.region}.amazonaws.com/{key.path}"

    def put(self, key: ReportKey, content: bytes) -> bool:
        sha256 = hashlib.sha256(content).hexdigest()
        with self._explained(f"cannot write the report of week {key.week_start} to"):
            is_written = self._stored_digest(key) != sha256
            if is_written:
                self._client.put_object(
                    Bucket=self.bucket,
                    Key=key.path,
                    Body=content,
                    ContentType=key.content_type,
                    Metadata={"sha256": sha256},
                )
        return is_written

    def get(self, key: ReportKey) -> bytes | None:
        with self._explained(f"cannot read the report of week {key.week_start} from"):
            try:
                body: bytes = self._client.get_object(Bucket=self.bucket, Key=key.path)["Body"].read()
            except self._client.exceptions.NoSuchKey:
                return None
        return body

    def delete_user(self, user_id: str) -> int:
        # In a bucket with versioning, older versions stay until its lifecycle rules remove them.
        count = 0
        with self._explained("cannot remove a student's reports from"):
            pages = self._client.get_paginator("list_objects_v2")
            for page in pages.paginate(Bucket=self.bucket, Prefix=user_prefix(user_id)):
                objects = [{"Key": entry["Key"]} for entry in page.get("Contents", [])]
                if objects:
                    self._delete(objects)
                count += len(objects)
        return count

    def _delete(self, objects: list[dict[str, str]]) -> None:
        answer = self._client.delete_objects(Bucket=self.bucket, Delete={"Objects": objects, "Quiet": True})
        if answer.get("Errors"):
            code = answer["Errors"][0].get("Code", "unknown")
            raise ObjectStoreError(
                f"could not remove {len(answer['Errors'])} of a student's reports from s3://{self.bucket}: {code}"
            )

    def _stored_digest(self, key: ReportKey) -> str | None:
        """Digest of the stored report; None if there is none or we may write but not read."""
        from botocore.exceptions import ClientError

        try:
            head = self._client.head_object(Bucket=self.bucket, Key=key.path)
        except ClientError as error:
            if error.response["Error"]["Code"] in ("404", "NoSuchKey", "403"):
                return None
            raise
        digest: str | None = head["Metadata"].get("sha256")
        return digest if head["ContentType"] == key.content_type else None

    @cached_property
    def _client(self) -> Any:
        import boto3
        from botocore.config import Config

        options: dict[str, Any] = {"retries": {"max_attempts": 5, "mode": "standard"}, "connect_timeout": 10}
        if self.endpoint_url:
            # Compatible stores support neither a host name per bucket nor the newer checksum headers.
            options |= {"s3": {"addressing_style": "path"}, "request_checksum_calculation": "when_required"}
        return boto3.session.Session().client(
            "s3", region_name=self.region, endpoint_url=self.endpoint_url, config=Config(**options)
        )

    @contextlib.contextmanager
    def _explained(self, what: str) -> Iterator[None]:
        from botocore.exceptions import BotoCoreError, ClientError

        try:
            yield
        except (BotoCoreError, ClientError) as error:
            response = getattr(error, "response", None) or {}
            code = response.get("Error", {}).get("Code") or type(error).__name__
            remedy = _S3_REMEDIES.get(code, "see the AWS documentation of that error")
            place = f"s3://{self.bucket} ({self.endpoint_url or self.region})"
            raise ObjectStoreError(f"{what} {place}: {code}; {remedy}") from error


class ObjectStoreResource(FixedResource):
    """The store of ``folder``, or by default the one that the environment names."""

    folder: ClassVar[Path | None] = None
    _store: ObjectStore | None = PrivateAttr(default=None)

    def store(self) -> ObjectStore:
        """The store; it connects with the first report."""
        if self._store is None:
            if self.folder:
                self._store = FolderStore(self.folder)
            else:
                self._store = store_for(load_settings().storage)
        return self._store


def store_for(storage: StorageSettings) -> ObjectStore:
    """S3 if a bucket is set, else SEEDTEST_REPORT_DIR, else ``reports`` in the Dagster home."""
    if storage.s3_bucket:
        return S3Store(storage.s3_bucket, storage.aws_region, endpoint_url=storage.s3_endpoint_url)
    if storage.report_folder:
        return FolderStore(Path(storage.report_folder))
    from seedtest_analytics.database.engine import dagster_home

    return FolderStore(dagster_home() / "reports")


def _force_to_disk(folder: Path) -> None:
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
