"""Finds the phrases of styles/avoid.txt in documents, in docstrings and comments, and in SQL comments.

    python scripts/prose.py [FILE…]

Without files it reads every file that Git knows.
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
STARTS_STATEMENT = {tokenize.NEWLINE, tokenize.INDENT, tokenize.DEDENT, tokenize.ENCODING}


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
    """Docstrings and comments, each where it stands in the file."""
    text = path.read_text(encoding="utf-8")
    kept = [list(blank(line)) for line in text.splitlines(keepends=True)]
    before = tokenize.ENCODING
    with path.open("rb") as file:
        for token in tokenize.tokenize(file.readline):
            if token.type == tokenize.COMMENT or (token.type == tokenize.STRING and before in STARTS_STATEMENT):
                row, column = token.start
                for offset, line in enumerate(token.string.split("\n")):
                    start = column if offset == 0 else 0
                    kept[row - 1 + offset][start : start + len(line)] = line.replace("#", " ")
            if token.type not in (tokenize.COMMENT, tokenize.NL):
                before = token.type
    return "".join("".join(line) for line in kept)


def sql(path: Path) -> str:
    """Comments, each where it stands in the file."""
    return re.sub(
        r"^(.*?)(--.*)?$", lambda line: blank(line[1]) + (line[2] or ""), path.read_text(encoding="utf-8"), flags=re.M
    )


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
    return [ROOT / name for name in known.split("\0") if Path(name).suffix in READERS and (ROOT / name).exists()]


if __name__ == "__main__":
    phrases = avoided()
    found = sorted(line for path in files(sys.argv[1:]) for line in findings(path, phrases))
    print("\n".join(found) or "prose: nothing to avoid")  # noqa: T201 (the output of a command)
    sys.exit(1 if found else 0)
