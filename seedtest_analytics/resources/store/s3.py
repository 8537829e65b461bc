"""Reports in a bucket of S3 or a compatible store.

Every request has a time limit, and boto3 repeats it twice at short notice: so a part of a multipart upload that was cut
off is sent again alone. Longer troubles are the business of :mod:`seedtest_analytics.resources.store.uploads`.

Each object is written with a SHA-256 that the store checks, a content type and language, and encryption at rest. After
the write the object is looked at: an object that is not as it was asked for is an error.
"""

from __future__ import annotations

import base64
import contextlib
import hashlib
import io
import re
from collections.abc import Iterator
from functools import cached_property
from typing import Any

from seedtest_analytics.resources.store.base import ObjectStoreError, StoredObject
from seedtest_analytics.resources.store.keys import ROOTS, ReportKey, user_prefix

MULTIPART_BYTES = 8 * 1024 * 1024
"""Larger reports are sent in parts of this size."""
_TRIES_OF_A_REQUEST = 3
_CONNECTIONS = 16

_RIGHTS = "the credentials need s3:GetObject, s3:PutObject, s3:DeleteObject and s3:ListBucket there"
_REGION = "set AWS_REGION to the region of the bucket, and S3_ENDPOINT_URL to its endpoint"
_NETWORK = "check S3_ENDPOINT_URL, AWS_REGION and the network"
_KMS = "correct S3_KMS_KEY_ID, and let the credentials use that key"
_REMEDIES = {
    "NoCredentialsError": "set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, or give the pod a role",
    "PartialCredentialsError": "set both AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY",
    "NoSuchBucket": "create the bucket or correct S3_BUCKET",
    "AccessDenied": _RIGHTS,
    "403": f"{_RIGHTS}; and the clock of this machine must be right",
    "InvalidAccessKeyId": "correct AWS_ACCESS_KEY_ID",
    "SignatureDoesNotMatch": "correct AWS_SECRET_ACCESS_KEY",
    "RequestTimeTooSkewed": "correct the clock of this machine: it differs from the store's by more than 15 minutes",
    "PermanentRedirect": _REGION,
    "TemporaryRedirect": _REGION,
    "AuthorizationHeaderMalformed": _REGION,
    "301": _REGION,
    "302": _REGION,
    "307": _REGION,
    "308": _REGION,
    "EndpointConnectionError": _NETWORK,
    "ConnectTimeoutError": _NETWORK,
    "ReadTimeoutError": "check the store, or raise S3_TIMEOUT_SECS",
    "NotImplemented": "the store lacks encryption by S3_ENCRYPTION; see docs/settings.md",
    "KMS.NotFoundException": _KMS,
    "KMS.DisabledException": _KMS,
    "KMS.KMSInvalidStateException": _KMS,
    "NotEncrypted": "the store ignores S3_ENCRYPTION; set it to none only if the store encrypts by itself",
}
_FOR_ALL = frozenset(_REMEDIES) - {
    "AccessDenied",
    "403",
    "EndpointConnectionError",
    "ConnectTimeoutError",
    "ReadTimeoutError",
}
"""Causes that concern every report alike. A refused report may be one of a few: the others are tried."""
_MAY_PASS = frozenset(
    {
        "400",
        "403",
        "AccessDenied",
        "BadDigest",
        "InternalError",
        "OperationAborted",
        "RequestTimeout",
        "RequestTimeTooSmall",
        "SlowDown",
        "ServiceUnavailable",
        "Throttling",
        "ThrottlingException",
        "XAmzContentChecksumMismatch",
        "XAmzContentSHA256Mismatch",
    }
)


class S3Store:
    """Reports in a bucket; credentials come from the standard environment."""

    def __init__(
        self,
        bucket: str,
        region: str,
        *,
        endpoint_url: str | None = None,
        encryption: str = "AES256",
        kms_key_id: str | None = None,
        key_secret: bytes | None = None,
        timeout_seconds: float = 10.0,
    ) -> None:
        self.bucket = bucket
        self.region = region
        self.endpoint_url = endpoint_url.rstrip("/") if endpoint_url else None
        self._encryption = None if encryption == "none" else encryption
        self._kms_key_id = kms_key_id
        self._key_secret = key_secret
        self._timeout_seconds = timeout_seconds

    def url(self, key: ReportKey) -> str:
        return self._url_of(self._path(key))

    def shared_url(self, key: ReportKey, seconds: int) -> str:
        with self._explained("cannot sign an address of"):
            signed: str = self._client.generate_presigned_url(
                "get_object", Params={"Bucket": self.bucket, "Key": self._path(key)}, ExpiresIn=seconds
            )
        return signed

    def put(self, key: ReportKey, content: bytes, *, language: str = "en") -> bool:
        described = {
            "ContentType": key.content_type,
            "ContentLanguage": language,
            "Metadata": {"sha256": hashlib.sha256(content).hexdigest()},
            **({"ServerSideEncryption": self._encryption} if self._encryption else {}),
        }
        with self._explained(f"cannot write the report of week {key.week_start} to"):
            is_written = not self._is_stored(key, described, size=len(content))
            if is_written:
                self._write(key, content, described=described)
                self._confirm(key, described, size=len(content))
        return is_written

    def get(self, key: ReportKey) -> bytes | None:
        with self._explained(f"cannot read the report of week {key.week_start} from"):
            try:
                body: bytes = self._client.get_object(Bucket=self.bucket, Key=self._path(key))["Body"].read()
            except self._client.exceptions.NoSuchKey:
                return None
        return body

    def digest(self, key: ReportKey) -> str | None:
        with self._explained(f"cannot look at the report of week {key.week_start} in"):
            found = self._head(key)
        return None if found is None else found["Metadata"].get("sha256", "")

    def objects(self) -> Iterator[StoredObject]:
        with self._explained("cannot list the reports in"):
            pages = self._client.get_paginator("list_objects_v2")
            for page in (page for root in ROOTS for page in pages.paginate(Bucket=self.bucket, Prefix=root)):
                for entry in page.get("Contents", []):
                    yield StoredObject(self._url_of(entry["Key"]), entry["Size"])

    def delete_user(self, user_id: str) -> int:
        # In a bucket with versioning, older versions stay until its lifecycle rules remove them.
        # A report may be older than the secret that hides ids.
        count = 0
        with self._explained("cannot remove a student's reports from"):
            pages = self._client.get_paginator("list_objects_v2")
            for secret in {None, self._key_secret}:
                for page in pages.paginate(Bucket=self.bucket, Prefix=user_prefix(user_id, secret)):
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

    def _path(self, key: ReportKey) -> str:
        return key.path_with(self._key_secret)

    def _url_of(self, path: str) -> str:
        if self.endpoint_url:
            return f"{self.endpoint_url}/{self.bucket}/{path}"
        return f"https://{self.bucket}.s3.{self.region}.amazonaws.com/{path}"

    def _write(self, key: ReportKey, content: bytes, *, described: dict[str, Any]) -> None:
        place = {"Bucket": self.bucket, "Key": self._path(key)}
        options = described | ({"SSEKMSKeyId": self._kms_key_id} if self._kms_key_id else {})
        if len(content) < MULTIPART_BYTES:
            checksum = base64.b64encode(hashlib.sha256(content).digest()).decode()
            self._client.put_object(**place, Body=content, ChecksumSHA256=checksum, **options)
            return
        from boto3.s3.transfer import TransferConfig

        parts = TransferConfig(
            multipart_threshold=MULTIPART_BYTES, multipart_chunksize=MULTIPART_BYTES, use_threads=False
        )
        self._client.upload_fileobj(
            io.BytesIO(content), **place, ExtraArgs={**options, "ChecksumAlgorithm": "SHA256"}, Config=parts
        )

    def _is_stored(self, key: ReportKey, described: dict[str, Any], *, size: int) -> bool:
        """Whether the object is there as described. False if we may write but not read."""
        found = self._readable_head(key)
        return bool(found) and not self._differences(found or {}, described, size=size)

    def _confirm(self, key: ReportKey, described: dict[str, Any], *, size: int) -> None:
        found = self._readable_head(key)
        if found == {}:
            return
        differences = ["the object"] if found is None else self._differences(found, described, size=size)
        if differences == ["ServerSideEncryption"]:
            raise _Differs("NotEncrypted")
        if differences:
            raise _Differs(f"the stored object lacks or differs in {', '.join(differences)}")

    @staticmethod
    def _differences(found: dict[str, Any], described: dict[str, Any], *, size: int) -> list[str]:
        wanted = described | {"ContentLength": size}
        return [name for name, value in wanted.items() if found.get(name) != value]

    def _readable_head(self, key: ReportKey) -> dict[str, Any] | None:
        """As ``_head``, but {} if the credentials may not read."""
        from botocore.exceptions import ClientError

        try:
            return self._head(key)
        except ClientError as error:
            if error.response["Error"]["Code"] == "403":
                return {}
            raise

    def _head(self, key: ReportKey) -> dict[str, Any] | None:
        """Description of the stored report; None if there is none, or no bucket."""
        from botocore.exceptions import ClientError

        try:
            found: dict[str, Any] = self._client.head_object(Bucket=self.bucket, Key=self._path(key))
        except ClientError as error:
            if error.response["Error"]["Code"] in ("404", "NoSuchKey"):
                return None
            raise
        return found

    @cached_property
    def _client(self) -> Any:
        import boto3
        from botocore.config import Config

        options: dict[str, Any] = {
            "retries": {"total_max_attempts": _TRIES_OF_A_REQUEST, "mode": "standard"},
            "connect_timeout": min(self._timeout_seconds, 5.0),
            "read_timeout": self._timeout_seconds,
            "max_pool_connections": _CONNECTIONS,
            "signature_version": "s3v4",
        }
        if self.endpoint_url:
            # Compatible stores support neither a host name per bucket nor the newer checksums by default.
            options |= {"s3": {"addressing_style": "path"}, "request_checksum_calculation": "when_required"}
        client = boto3.session.Session().client(
            "s3", region_name=self.region, endpoint_url=self.endpoint_url, config=Config(**options)
        )
        client.meta.events.register_first("needs-retry.s3", _refuse_redirect)
        return client

    @contextlib.contextmanager
    def _explained(self, what: str) -> Iterator[None]:
        from botocore.exceptions import BotoCoreError, ClientError, HTTPClientError, IncompleteReadError

        try:
            yield
        except (BotoCoreError, ClientError, _Differs) as error:
            response = getattr(error, "response", None) or {}
            status = response.get("ResponseMetadata", {}).get("HTTPStatusCode", 0)
            code = response.get("Error", {}).get("Code") or getattr(error, "code", "") or type(error).__name__
            remedy = _REMEDIES.get(code, "see the documentation of that error")
            place = f"s3://{self.bucket} ({self.endpoint_url or self.region})"
            is_broken_off = isinstance(error, HTTPClientError | IncompleteReadError | _Differs)
            raise ObjectStoreError(
                f"{what} {place}: {code}; {remedy}",
                code=code,
                may_pass=code not in _FOR_ALL and (code in _MAY_PASS or status >= 429 or is_broken_off),
                is_for_all=code in _FOR_ALL,
            ) from error


class _Differs(Exception):  # noqa: N818 (it never leaves this module)
    """The stored object is not as it was asked for."""

    def __init__(self, code: str) -> None:
        super().__init__(code)
        self.code = code


def _refuse_redirect(response: Any = None, operation: Any = None, **_: Any) -> None:
    """Raise a redirect as an error before boto3 follows it.

    boto3 asks a redirecting store for the region of the bucket. A store that redirects this question, too, is asked again
    and again until Python's stack is full. And an object that boto3 finds in another region is not at the address that
    ``report_artifacts`` would have.
    """
    from botocore.exceptions import ClientError

    if response is None:
        return
    answer, parsed = response
    code = parsed.get("Error", {}).get("Code", "")
    is_wrong_region = code in ("AuthorizationHeaderMalformed", "IllegalLocationConstraintException")
    if re.fullmatch("30[0-9]", str(answer.status_code)) or is_wrong_region:
        raise ClientError(
            {**parsed, "Error": {"Code": str(answer.status_code), **parsed.get("Error", {})}}, operation.name
        )
