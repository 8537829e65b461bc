"""Which report a file is, and under which key it is stored.

A report's key is ``reports/{user_id}/{week_start}/report.{html|pdf}``; the teacher's page is ``teacher.html`` beside it,
and the list of a week is ``index/{week_start}/index.html``. The page of a class or an organisation is
``cohorts/{class|organisation}/{id}/{week_start}/report.html``, that of the platform
``cohorts/platform/{week_start}/report.html``. In ``user_id``, ``A-Z a-z 0-9 - _ @`` and a ``.`` that is not
the first character stay; each UTF-8 byte of any other character becomes ``~XX``. If the result is too long for a file
name, ``~~`` and a digest replace its end. So two ids never share a key (on a case-sensitive file system), no id leaves
its folder, and the key is the same text in S3, in the URL and as a file name. The escape is ``~`` because S3 and browsers
decode ``%`` in URLs.

The contract puts the student's id into the key. With a secret (``REPORT_KEY_SECRET``), an HMAC of the id stands there
instead, so a key says nothing to somebody who does not know the secret.
"""

from __future__ import annotations

import datetime as dt
import hashlib
import hmac
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

CONTENT_TYPES = {"html": "text/html", "pdf": "application/pdf"}
ROOT = "reports/"
COHORT_ROOT = "cohorts/"
ROOTS = (ROOT, COHORT_ROOT)
"""The prefixes of everything that has a row."""
COHORTS = ("class", "organisation", "platform")
"""The names of pages about groups of students."""

_ESCAPED = re.compile(rb"^\.|[^A-Za-z0-9._@-]")
_LONGEST_SEGMENT = 150


@dataclass(frozen=True)
class ReportKey:
    """Identifies a report. ``week_start`` is the Monday of the reported week.

    ``user_id`` is the subject: the student, the class or the organisation; empty for the list and for the platform.
    """

    user_id: str
    week_start: dt.date
    format: Literal["html", "pdf"] = "html"
    name: Literal["report", "teacher", "index", "class", "organisation", "platform"] = "report"
    """'index' is the list of a week; the last three are pages about a group of students."""

    def __post_init__(self) -> None:
        if self.format not in CONTENT_TYPES:
            raise ValueError(f"unknown report format {self.format!r}; use html or pdf")
        if isinstance(self.week_start, dt.datetime):
            raise ValueError("week_start must be a date without a time")

    @property
    def path(self) -> str:
        """The contract's key, which contains the student's id."""
        return self.path_with(None)

    def path_with(self, secret: bytes | None) -> str:
        """The key: the same text in S3, in URLs and below the folder. A ``secret`` hides the student's id."""
        if self.name == "index":
            return f"index/{self.week_start.isoformat()}/index.{self.format}"
        if self.name in COHORTS:
            subject = "" if self.name == "platform" else f"{_segment(self.user_id, secret)}/"
            return f"{COHORT_ROOT}{self.name}/{subject}{self.week_start.isoformat()}/report.{self.format}"
        return f"{user_prefix(self.user_id, secret)}{self.week_start.isoformat()}/{self.name}.{self.format}"

    @property
    def content_type(self) -> str:
        """Media type of the format."""
        return CONTENT_TYPES[self.format]


@dataclass(frozen=True)
class ReportFile:
    """A rendered page: its key, its bytes and what is recorded of it; ``note`` are further columns of its row."""

    key: ReportKey
    content: bytes = field(repr=False)
    renderer: str
    language: str
    note: Mapping[str, Any] = field(default_factory=dict)

    @property
    def sha256(self) -> str:
        """Digest of the content, hexadecimal."""
        return hashlib.sha256(self.content).hexdigest()


def user_prefix(user_id: str, secret: bytes | None = None) -> str:
    """Prefix of the keys of a student's reports, and of no other student's."""
    return f"{ROOT}{_segment(user_id, secret)}/"


def _segment(subject: str, secret: bytes | None) -> str:
    raw = subject.encode("utf-8", "surrogatepass")
    if secret is not None:
        return hmac.new(secret, raw, hashlib.sha256).hexdigest()
    segment = _ESCAPED.sub(lambda found: b"~%02X" % found.group()[0], raw).decode("ascii")
    if not 0 < len(segment) <= _LONGEST_SEGMENT:
        segment = f"{segment[:80]}~~{hashlib.sha256(raw).hexdigest()}"
    return segment
