"""Rosters in OneRoster CSV (1.1 and 1.2): what a manifest declares, and rows of its files, each valid or with its reasons.

Columns that the platform does not use, such as passwords and telephone numbers, are never kept.
"""

from __future__ import annotations

import csv
import datetime as dt
import io
import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Literal
from zipfile import BadZipFile, ZipFile, is_zipfile

from seedtest_analytics.ingest.encodings import guessed_encoding
from seedtest_analytics.ingest.errors import LoadError
from seedtest_analytics.ingest.expansion import Allowance
from seedtest_analytics.ingest.text_rule import FORBIDDEN_CHARACTERS, MAX_TEXT_CHARACTERS

Mode = Literal["bulk", "delta"]
UserIds = Literal["sourcedId", "username", "identifier", "email", "userMasterIdentifier"]
Values = dict[str, str]

MANIFEST = "manifest.csv"
ACTIVE, REMOVED = "active", "tobedeleted"
NAMES = ("givenName", "familyName", "preferredGivenName", "preferredFamilyName")
USED: Mapping[str, tuple[tuple[str, ...], tuple[str, ...]]] = {
    "orgs": (("sourcedId",), ("name",)),
    "classes": (("sourcedId", "title", "schoolSourcedId"), ("grades", "classType")),
    "users": (("sourcedId",), (*NAMES, "username", "identifier", "email", "userMasterIdentifier", "role")),
    "roles": (("sourcedId", "userSourcedId", "role"), ()),
    "enrollments": (("sourcedId", "classSourcedId", "userSourcedId", "role"), ("beginDate", "endDate")),
}
"""Of each file that is read: the columns that every row fills, and the others that are used."""
REMEDIES = {
    "missing": "fill the column in every row",
    "absurd": f"at most {MAX_TEXT_CHARACTERS} characters, no control character or line break, valid UTF-8",
    "unknown": "use a value of the standard, or the sourcedId of a record that is in the roster or was loaded before",
    "twice": "give every record its own value",
    "not_date": "a date such as 2026-03-02",
    "malformed": "the row has more fields than the header; quote fields that contain a comma",
}
"""Reasons are a column and one of these words: classSourcedId_unknown."""
_STATUSES = {"": ACTIVE, "active": ACTIVE, "inactive": REMOVED, "tobedeleted": REMOVED}
_FORBIDDEN = re.compile(FORBIDDEN_CHARACTERS)


@dataclass(frozen=True)
class RosterRow:
    """A row with the values of the used columns, and why it cannot be used. ``number`` counts from 1 below the header."""

    number: int
    values: Values
    reasons: tuple[str, ...] = ()

    @property
    def is_removed(self) -> bool:
        """The record is to be deleted."""
        return self.values["status"] == REMOVED


@dataclass(frozen=True)
class RosterFile:
    """A file of a roster. A bulk file is the whole truth about its records; a delta file has changes."""

    name: str
    mode: Mode
    rows: tuple[RosterRow, ...]

    @property
    def good(self) -> Iterator[RosterRow]:
        """Rows without a reason."""
        return (row for row in self.rows if not row.reasons)


@dataclass(frozen=True)
class Roster:
    """Files by their name without ``.csv``; ``ignored`` are declared files that the platform does not use."""

    name: str
    version: str
    files: Mapping[str, RosterFile]
    ignored: tuple[str, ...] = ()


def is_roster(path: Path) -> bool:
    """Whether a folder, an archive or a manifest is a roster: its manifest names a version of OneRoster."""
    try:
        return b"oneroster.version" in _reader(path)(MANIFEST)
    except (LoadError, OSError, KeyError, BadZipFile):
        return False


def read_roster(path: Path, *, user_ids: UserIds) -> Roster:
    """Read a roster. Raises :class:`LoadError` for a file that is missing or cannot be taken apart; bad rows have reasons."""
    read = _reader(path)
    declared = {
        row.get("propertyName", ""): row.get("value", "").strip()
        for _, row in _records(read(MANIFEST), MANIFEST, needs=("propertyName", "value"))
    }
    version = declared.get("oneroster.version", "")
    if not re.fullmatch(r"1\.[12](\.\d+)?", version):
        raise LoadError(f"{path.name}: OneRoster {version or 'without a version'}; the platform reads 1.1 and 1.2")
    files: dict[str, RosterFile] = {}
    ignored = []
    for key, mode in declared.items():
        name = key.removeprefix("file.")
        if name == key or mode in ("absent", ""):
            continue
        if mode not in ("bulk", "delta"):
            raise LoadError(f"{path.name}: {key} is {mode!r} in the manifest; it is bulk, delta or absent")
        if name not in USED:
            ignored.append(name)
            continue
        required, others = USED[name]
        needed = (*required, user_ids) if name == "users" and user_ids not in required else required
        try:
            content = read(f"{name}.csv")
        except (KeyError, FileNotFoundError):
            raise LoadError(f"{path.name}: the manifest declares {name}.csv, which is missing; export again") from None
        rows = _rows(content, f"{name}.csv", required=needed, others=others)
        files[name] = RosterFile(name, "bulk" if mode == "bulk" else "delta", tuple(rows))
    if not files:
        raise LoadError(f"{path.name}: the manifest declares no file that the platform reads ({', '.join(USED)})")
    return Roster(path.name, version, files, tuple(ignored))


def _reader(path: Path) -> Callable[[str], bytes]:
    """A function from a file's name to its bytes. An archive may have its files in one folder."""
    if path.is_file() and path.name == MANIFEST:
        path = path.parent
    if path.is_dir():
        return lambda name: (path / name).read_bytes()
    if not (path.is_file() and is_zipfile(path)):
        raise LoadError(f"{path.name}: neither a folder nor an archive")
    with ZipFile(path) as archive:
        inside = {entry.filename.rsplit("/", 1)[-1]: entry for entry in reversed(archive.infolist())}

    def read(name: str) -> bytes:
        entry = inside[name]
        Allowance(path, path.name).take(entry.file_size)
        with ZipFile(path) as archive:
            return archive.read(entry)

    return read


def _records(content: bytes, name: str, *, needs: Iterable[str]) -> Iterator[tuple[int, dict[str, str]]]:
    """Number and fields of each row; the field ``""`` is there if the row has more fields than the header."""
    text = content.decode(guessed_encoding(content[: 1 << 20]), "replace").removeprefix("\ufeff")
    reader = csv.reader(io.StringIO(text, newline=""), strict=True)
    try:
        header = [column.strip() for column in next(reader, [])]
        if missing := [column for column in needs if column not in header]:
            raise LoadError(
                f"{name}: column missing: {', '.join(missing)}. Columns found: {', '.join(header) or 'none'}"
            )
        for number, fields in enumerate((fields for fields in reader if fields), 1):
            record = dict(zip(header, fields, strict=False))
            yield number, {**record, "": "more"} if len(fields) > len(header) else record
    except csv.Error as error:
        raise LoadError(
            f"{name}: line {reader.line_num}: {error}. Nothing was loaded; check its quotation marks"
        ) from None


def _rows(content: bytes, name: str, *, required: tuple[str, ...], others: tuple[str, ...]) -> Iterator[RosterRow]:
    seen: set[str] = set()
    for number, record in _records(content, name, needs=required):
        values = {column: record.get(column, "").strip() for column in ("sourcedId", "status", *required, *others)}
        status = _STATUSES.get(values["status"].lower())
        is_removed = status == REMOVED
        reasons = [] if "" not in record else ["row_malformed"]
        reasons += [] if status else ["status_unknown"]
        needed = ("sourcedId",) if is_removed else required
        reasons += [f"{column}_missing" for column in needed if not values[column]]
        reasons += [f"{column}_absurd" for column, value in values.items() if not _is_plain(value)]
        reasons += [f"{c}_not_date" for c in ("beginDate", "endDate") if values.get(c) and not as_date(values[c])]
        if values["sourcedId"] in seen:
            reasons.append("sourcedId_twice")
        seen.add(values["sourcedId"])
        yield RosterRow(number, {**values, "status": status or values["status"]}, tuple(dict.fromkeys(reasons)))


def _is_plain(value: str) -> bool:
    return len(value) <= MAX_TEXT_CHARACTERS and not _FORBIDDEN.search(value) and "\ufffd" not in value


def as_date(value: str) -> dt.date | None:
    """A date of the standard, also as the beginning of a time."""
    try:
        return dt.date.fromisoformat(value[:10])
    except ValueError:
        return None


def shown_name(values: Mapping[str, str]) -> str:
    """The name of a person: preferred names first. Korean and Chinese names have the family name first, without a blank."""
    given = values["preferredGivenName"] or values["givenName"]
    family = values["preferredFamilyName"] or values["familyName"]
    if re.fullmatch(r"[가-힣\u4e00-\u9fff]*", given + family):
        return family + given
    return f"{given} {family}".strip()


def grade_of(grades: str) -> int | None:
    """One grade from kindergarten (0) to 12; None for several and for others."""
    found = {"0" if part.strip().upper() in ("KG", "K") else part.strip() for part in grades.split(",")} - {""}
    grade = next(iter(found)) if len(found) == 1 else ""
    return int(grade) if re.fullmatch(r"0?\d|1[0-2]", grade) else None
