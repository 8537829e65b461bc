"""What the documents name, and what exists: names in code spans, commands, links, anchors, messages."""

from __future__ import annotations

import ast
import functools
import importlib
import os
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import typer.main
from typer.core import TyperGroup

from seedtest_analytics.cli.app import app, load_command
from seedtest_analytics.tables import metadata, view_metadata

ROOT = Path(__file__).resolve().parents[1]
PACKAGE = ROOT / "seedtest_analytics"
GENERATED = ("settings.md", "data-dictionary.md", "lineage.md")
SOURCES = ("*.py", "*.sql", "*.R", "*.stan", "*.hpp", "*.cpp", "*.qmd", "*.html", "*.toml", "*.yaml", "*.txt")
SOURCE_FOLDERS = ("seedtest_analytics", "sql", "scripts", "benchmarks", "deploy", "quarto")
TOP_PACKAGES = ("seedtest_analytics", "benchmarks", "scripts", "tests")
PLACEHOLDER = re.compile(r"[{<…*]|NNNN|REPORT")


@dataclass(frozen=True)
class Span:
    """A code span, or one line of a code block."""

    document: str
    text: str
    language: str | None
    """Of its block: None for a span in the text."""


def documents() -> list[Path]:
    """Every document of the repository: README, CHANGELOG, CONTRIBUTING and the pages of docs/."""
    return [*sorted(ROOT.glob("*.md")), *sorted((ROOT / "docs").rglob("*.md"))]


def written() -> list[Path]:
    """Documents that people write."""
    return [document for document in documents() if document.name not in GENERATED]


def prose(document: Path) -> list[str]:
    """Lines of the document outside code blocks."""
    return [line for line, language in _lines(document) if language is None]


def spans(document: Path) -> Iterator[Span]:
    """Code spans of the document and the lines of its code blocks."""
    name = document.relative_to(ROOT).as_posix()
    for line, language in _lines(document):
        if language is not None:
            yield Span(name, line, language)
            continue
        for text in re.findall(r"`([^`]+)`", line):
            yield Span(name, text.replace("\\|", "|"), None)


def _lines(document: Path) -> Iterator[tuple[str, str | None]]:
    language: str | None = None
    for line in document.read_text(encoding="utf-8").splitlines():
        fence = re.match(r"\s*```(\w*)", line)
        if fence:
            language = (fence[1] or "text") if language is None else None
        else:
            yield line, language


def anchors(document: Path) -> set[str]:
    """Fragments that a link to the document may have: headings as GitHub and MkDocs write them, and explicit ids."""
    found = set()
    for line in prose(document):
        found |= set(re.findall(r'id="([^"]+)"', line))
        heading = re.match(r"#+ (.+)", line)
        if heading:
            words = re.sub(r"[^\w\- ]", "", heading[1].replace("`", "").lower())
            found.add(words.strip().replace(" ", "-"))
    return found


@functools.cache
def source_text() -> str:
    """The text of all code, SQL, programs and manifests; tests may keep names that the platform has lost."""
    files = (path for folder in SOURCE_FOLDERS for suffix in SOURCES for path in (ROOT / folder).rglob(suffix))
    names = (ROOT / name for name in ("Makefile", "pyproject.toml", "dagster.yaml", ".importlinter"))
    texts = [path.read_text(encoding="utf-8") for path in (*files, *names) if path.is_file()]
    return "\n".join(texts)


@functools.cache
def source_words() -> frozenset[str]:
    """Every word of the sources, also the parts of joined names."""
    return frozenset(re.findall(r"[A-Za-z_]\w*", source_text()))


@functools.cache
def file_names() -> frozenset[str]:
    """Paths of the repository's files relative to its root, and their bare names."""
    found: set[str] = set()
    for folder, folders, files in os.walk(ROOT):
        folders[:] = [f for f in folders if f not in (".git", ".venv", ".tools", ".dagster", "__pycache__")]
        place = Path(folder).relative_to(ROOT)
        found |= {(place / name).as_posix() for name in (*folders, *files)} | {*folders, *files}
    return frozenset(found)


@functools.cache
def test_names() -> frozenset[str]:
    """Names of all test functions."""
    text = "\n".join(path.read_text(encoding="utf-8") for path in (ROOT / "tests").rglob("test_*.py"))
    return frozenset(re.findall(r"def (test_\w+)", text))


@functools.cache
def make_targets() -> frozenset[str]:
    """Targets of the Makefile."""
    return frozenset(re.findall(r"^([a-z][a-z-]*):", (ROOT / "Makefile").read_text(encoding="utf-8"), re.MULTILINE))


@functools.cache
def command_options() -> dict[str, frozenset[str]]:
    """Options of each subcommand of ``seedtest``, those of the application among them."""
    group = typer.main.get_command(app)
    assert isinstance(group, TyperGroup)

    def options(command: object) -> set[str]:
        parameters = [*getattr(command, "params", [])]
        for single in getattr(command, "commands", {}).values() if command is not group else ():
            parameters += single.params
        return {option for p in parameters for option in (*p.opts, *p.secondary_opts) if option.startswith("-")}

    shared = options(group) | {"--help"}
    return {name: frozenset(options(load_command(name)) | shared) for name in group.commands}


@functools.cache
def messages() -> str:
    """Texts of the package's string literals, a line each; what an f-string fills in is a tab."""
    found = []
    for path in PACKAGE.rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.JoinedStr):
                parts = [str(p.value) if isinstance(p, ast.Constant) else "\t" for p in node.values]
                found.append("".join(parts).replace("\n", " "))
            elif isinstance(node, ast.Constant) and isinstance(node.value, str):
                found.append(node.value.replace("\n", " "))
    return "\n".join(found)


def columns() -> dict[str, frozenset[str]]:
    """Columns of each declared table and view."""
    tables = {**metadata.tables, **view_metadata.tables}
    return {name: frozenset(table.columns.keys()) for name, table in tables.items()}


def exists(dotted: str) -> bool:
    """Whether a dotted name is a module of the repository or something in one."""
    parts = dotted.split(".")
    if parts[0] not in TOP_PACKAGES:
        parts = ["seedtest_analytics", *parts]
    for n in range(len(parts), 0, -1):
        if not (ROOT.joinpath(*parts[:n]).is_dir() or ROOT.joinpath(*parts[:n]).with_suffix(".py").is_file()):
            continue
        target: object = importlib.import_module(".".join(parts[:n]))
        for name in parts[n:]:
            if not hasattr(target, name):
                return False
            target = getattr(target, name)
        return True
    return False
