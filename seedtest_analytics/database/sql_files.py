"""Finds and reads SQL files, in a checkout and in an installed wheel."""

from __future__ import annotations

import hashlib
import re
from functools import cache
from pathlib import Path

from sqlalchemy import TextClause, text

_NAME = re.compile(r"^-- name: (\w+)\s*$", re.MULTILINE)


class SqlFileError(LookupError):
    """A SQL file or a statement in it does not exist."""


@cache
def top_folder(name: str) -> Path:
    """The folder ``sql`` or ``quarto``: beside the package in a checkout, inside it in a wheel."""
    package = Path(__file__).resolve().parents[1]
    for candidate in (package.parent / name, package / f"_{name}"):
        if candidate.is_dir() and (package.parent / "pyproject.toml").exists() == (candidate.parent == package.parent):
            return candidate
    raise SqlFileError(f"the folder {name}/ is neither beside the package nor inside it; install the package again")


@cache
def read_sql(relative_path: str) -> str:
    """Text of a file below ``sql/``."""
    path = top_folder("sql") / relative_path
    if not path.is_file():
        raise SqlFileError(f"sql/{relative_path} does not exist")
    return path.read_text(encoding="utf-8")


@cache
def statements(relative_path: str) -> dict[str, TextClause]:
    """The statements of a file by their ``-- name:`` lines; without such lines, the file is the statement ``main``."""
    parts = _NAME.split(read_sql(relative_path))
    if len(parts) == 1:
        return {"main": text(parts[0])}
    return {name: text(body.strip().rstrip(";")) for name, body in zip(parts[1::2], parts[2::2], strict=True)}


def statement(relative_path: str, name: str = "main") -> TextClause:
    """One statement of a file."""
    found = statements(relative_path)
    if name not in found:
        raise SqlFileError(f"sql/{relative_path} has no statement {name!r}; it has {sorted(found)}")
    return found[name]


def digest(*relative_paths: str) -> str:
    """Hash over the texts of files, for code versions."""
    joined = "\0".join(read_sql(path) for path in relative_paths)
    return hashlib.sha256(joined.encode()).hexdigest()
