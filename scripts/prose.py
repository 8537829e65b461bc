"""Finds the phrases of styles/avoid.txt in documents, and in comments and texts of Python and SQL.

    python scripts/prose.py [FILE…]

Without files it reads every file that Git knows, except migrations: their texts are history.
"""

from __future__ import annotations

import re
import subprocess
import sys
import tokenize
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
LINE_BREAK = r"(?:[ \t]+|[ \t]*\n[ \t#>*-]*)"
CODE = re.compile(r"```.*?```|``.+?``|`[^`]+`", re.DOTALL)
TEXT = {tokenize.COMMENT, tokenize.STRING, getattr(tokenize, "FSTRING_MIDDLE", tokenize.STRING)}
"""Python 3.12 splits an f-string into tokens of its own."""
MIGRATIONS = ROOT / "sql" / "migrations"


def avoided() -> dict[re.Pattern[str], str]:
    """What to write instead, by the phrase to avoid."""
    lines = (ROOT / "styles" / "avoid.txt").read_text(encoding="utf-8").splitlines()
    pairs = (line.split("\t") for line in lines if line and not line.startswith("#"))
    return {re.compile(rf"\b{phrase.replace(' ', LINE_BREAK)}\b", re.I): instead for phrase, instead in pairs}


def blank(text: str) -> str:
    """Spaces in place of every character, with the lines kept."""
    return re.sub(r"[^\n]", " ", text)


def markdown(path: Path) -> str:
    """The whole document."""
    return path.read_text(encoding="utf-8")


def python(path: Path) -> str:
    """Comments and strings, each where it is in the file."""
    text = path.read_text(encoding="utf-8")
    kept = [list(blank(line)) for line in text.splitlines(keepends=True)]
    with path.open("rb") as file:
        for token in tokenize.tokenize(file.readline):
            if token.type in TEXT:
                row, column = token.start
                for offset, line in enumerate(token.string.split("\n")):
                    start = column if offset == 0 else 0
                    kept[row - 1 + offset][start : start + len(line)] = line.replace("#", " ")
    return "".join("".join(line) for line in kept)


def sql(path: Path) -> str:
    """Comments and quoted texts, each where it is in the file."""
    text = path.read_text(encoding="utf-8")
    kept = list(blank(text))
    for part in re.finditer(r"--[^\n]*|'[^']*'", text):
        kept[part.start() : part.end()] = part[0]
    return "".join(kept)


READERS: dict[str, Callable[[Path], str]] = {".md": markdown, ".py": python, ".sql": sql}


def findings(path: Path, phrases: dict[re.Pattern[str], str]) -> Iterator[str]:
    """One line for each phrase found in a file."""
    prose = CODE.sub(lambda code: blank(code[0]), READERS[path.suffix](path))
    for phrase, instead in phrases.items():
        for found in phrase.finditer(prose):
            line = prose.count("\n", 0, found.start()) + 1
            yield f"{path.relative_to(ROOT)}:{line}: {' '.join(found[0].split())!r}: write {instead!r}"


def files(names: Iterable[str]) -> list[Path]:
    """The files to read."""
    if names := list(names):
        return [Path(name).resolve() for name in names]
    known = subprocess.run(["git", "ls-files", "-z"], cwd=ROOT, capture_output=True, text=True, check=True).stdout
    found = [ROOT / name for name in known.split("\0") if Path(name).suffix in READERS and (ROOT / name).exists()]
    return [path for path in found if MIGRATIONS not in path.parents]


if __name__ == "__main__":
    phrases = avoided()
    found = sorted(line for path in files(sys.argv[1:]) for line in findings(path, phrases))
    print("\n".join(found) or "prose: nothing to avoid")  # noqa: T201 (the output of a command)
    sys.exit(1 if found else 0)
