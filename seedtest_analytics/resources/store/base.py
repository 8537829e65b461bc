"""What every store of reports can do, and the one error that it raises."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Protocol

from seedtest_analytics.resources.store.keys import ReportKey


class ObjectStoreError(RuntimeError):
    """A report cannot be stored, read or removed; the message names the place, the cause and the remedy.

    ``may_pass``: another try may succeed. ``is_for_all``: no other report can be stored either before an operator acts.
    ``code`` is the store's own name of the cause.
    """

    def __init__(self, message: str, *, code: str = "", may_pass: bool = False, is_for_all: bool = False) -> None:
        super().__init__(message)
        self.code, self.may_pass, self.is_for_all = code, may_pass, is_for_all


@dataclass(frozen=True)
class StoredObject:
    """An object in the store. ``url`` is what ``report_artifacts`` has of it."""

    url: str
    size_bytes: int


class ObjectStore(Protocol):
    """A store of reports. Methods are thread-safe and raise :class:`ObjectStoreError`."""

    def url(self, key: ReportKey) -> str:
        """Where the report is or would be."""

    def shared_url(self, key: ReportKey, seconds: int) -> str:
        """An address that opens the report without an account for some time."""

    def put(self, key: ReportKey, content: bytes, *, language: str = "en") -> bool:
        """Store the report completely or not at all; False if the same bytes were already there."""

    def get(self, key: ReportKey) -> bytes | None:
        """The report; None if there is none."""

    def digest(self, key: ReportKey) -> str | None:
        """SHA-256 of the stored report; None if there is none."""

    def objects(self) -> Iterator[StoredObject]:
        """Every object below ``reports/``."""

    def delete_user(self, user_id: str) -> int:
        """Remove all reports of a student; return how many there were."""
