"""The columns of an attempt log, and the mapping of a file's names to them."""

from __future__ import annotations

import difflib
from collections.abc import Mapping, Sequence

from seedtest_analytics.ingest.errors import LoadError

REQUIRED = ("user_id", "item_id", "correct", "completed_at")
OPTIONAL = ("session_id", "topic_id", "response_time_ms", "hints_used", "rescored_at")
COLUMNS = (*REQUIRED, *OPTIONAL)

USUAL_NAMES = {
    "user_id": ("student_id", "studentid", "user", "userid", "learner_id"),
    "item_id": ("question_id", "problem_id", "problemid", "questionid", "item"),
    "correct": ("is_correct", "answer_correct", "outcome", "result"),
    "completed_at": ("answered_at", "timestamp", "time", "created_at", "date"),
}


def parse_mapping(pairs: Sequence[str]) -> dict[str, str]:
    """``["user_id=student"]`` → ``{"user_id": "student"}``; raises :class:`LoadError` for anything else."""
    mapping: dict[str, str] = {}
    for pair in pairs:
        name, separator, column = pair.partition("=")
        if not separator or not name.strip() or not column.strip():
            raise LoadError(f"--map {pair!r} is not valid; use name=column, e.g. --map user_id=student")
        if name.strip() in mapping:
            raise LoadError(f"--map names {name.strip()!r} twice; name it once")
        mapping[name.strip()] = column.strip()
    check_mapping(mapping)
    return mapping


def check_mapping(mapping: Mapping[str, str]) -> None:
    """Raise :class:`LoadError` if a mapping names an unknown column."""
    unknown = sorted(set(mapping) - set(COLUMNS))
    if unknown:
        close = difflib.get_close_matches(unknown[0], COLUMNS, 1)
        meant = f" (did you mean {close[0]!r}?)" if close else ""
        raise LoadError(
            f"--map {unknown[0]!r}{meant} is not a column of an attempt log. The columns are {', '.join(COLUMNS)}. "
            "Use --map name=column, with one of these names first and the name in the file second."
        )


def resolve_columns(found: Sequence[str], mapping: Mapping[str, str], *, file_name: str) -> dict[str, str]:
    """Our name → the name in the file, for every column that the file has.

    Raises :class:`LoadError` if a required or mapped column is missing, or if a used name occurs twice.
    """
    resolved = {name: mapping.get(name, name) for name in COLUMNS}
    missing = [
        name for name, column in resolved.items() if column not in found and (name in REQUIRED or name in mapping)
    ]
    listed = ", ".join(repr(column) for column in found) or "none"
    if missing:
        wanted = ", ".join(f"{name} (mapped to {resolved[name]!r})" if name in mapping else name for name in missing)
        raise LoadError(
            f"{file_name}: column missing: {wanted}. Columns found: {listed}. "
            f"Rename or map: {' '.join(_suggestion(name, found) for name in missing)}"
        )
    doubled = sorted({column for column in resolved.values() if list(found).count(column) > 1})
    if doubled:
        raise LoadError(f"{file_name}: the column {doubled[0]!r} occurs twice. Columns found: {listed}. Rename one.")
    return {name: column for name, column in resolved.items() if column in found}


def _suggestion(name: str, found: Sequence[str]) -> str:
    by_lower = {column.strip().lower(): column for column in found}
    usual = [by_lower[other] for other in (name, *USUAL_NAMES.get(name, ())) if other in by_lower]
    close = usual or [by_lower[c] for c in difflib.get_close_matches(name, list(by_lower), 1)]
    return f"--map {name}={close[0] if close else 'COLUMN'}"
