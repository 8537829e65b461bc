"""Compile the template once, so that rendering a student only runs its cells.

jupytext reads the ``.qmd`` and each code cell leaves a marker. pandoc turns the rest into one self-contained page,
which is cut at the markers. Rendering runs the cells and joins the pieces.

Other features of the Quarto CLI are errors, so that no template silently renders differently: cells in other
languages, inline code, and shortcodes other than ``include`` of a file in the same folder.
"""

from __future__ import annotations

import html
import re
import subprocess
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from seedtest_analytics.reporting.language import say, speaking
from seedtest_analytics.resources.quarto.errors import TemplateError
from seedtest_analytics.scratch import scratch_folder

MAIN_FILE = "weekly_report.qmd"
PAGES: dict[str, str] = {"family": MAIN_FILE, "teacher": "teacher_report.qmd"}
"""The pages of a student and the file of each. A template folder may lack any but the first."""
COHORT = "cohort"
"""The page of a group of students, from another kind of document."""
FILES: dict[str, str] = {**PAGES, COHORT: "cohort_page.qmd"}
_TITLE, _LANGUAGE = "seedtest-report-title", "x-seedtest"
"""Stand for the title and the language in a compiled page, which serves every language."""
PANDOC_TIMEOUT_S = 120
_INCLUDE = re.compile(r"^\{\{<\s*include\s+(\S+)\s*>\}\}[ \t]*$", re.MULTILINE)
_SHORTCODE = re.compile(r"\{\{<.*?>\}\}", re.DOTALL)
_INLINE_CODE = re.compile(r"`\{\w+\}|`r ")
_FOREIGN_CELL = re.compile(r"^ *`{3,} *\{(?!python\b)(\w+)", re.MULTILINE)
_FRONT_MATTER = re.compile(r"\A---\n(.*?)\n---\n", re.DOTALL)
_MARKER = "seedtest-report-cell-"
_MARKED = re.compile(rf"<!--{_MARKER}(\d+)-->")
_OPTION = re.compile(r"^#\|\s?(.*)$")
_MAX_INCLUDE_DEPTH = 5


@dataclass(frozen=True)
class Cell:
    """Python source of a cell, with a label for messages."""

    label: str
    source: str
    is_shown: bool


@dataclass(frozen=True)
class CompiledTemplate:
    """Static HTML pieces around the outputs of ``cells``: piece 0, cell 0, piece 1, …

    ``title`` is a message; a page has it in the reader's language.
    """

    name: str
    title: str
    pieces: tuple[str, ...]
    cells: tuple[Cell, ...]

    def spoken(self, code: str) -> tuple[str, ...]:
        """The pieces with title and language in the language ``code``."""
        with speaking(code):
            title = html.escape(say(self.title))
        return tuple(piece.replace(_TITLE, title).replace(_LANGUAGE, code) for piece in self.pieces)


def template_files(folder: Path) -> tuple[Path, ...]:
    """The files of a template, sorted; raises :class:`TemplateError` if there is none."""
    if not (folder / MAIN_FILE).is_file():
        raise TemplateError(f"{MAIN_FILE} is not in the template folder {folder.name}/")
    suffixes = {".qmd", ".css", ".html", ".yml", ".lua", ".typ"}
    return tuple(sorted(p for p in folder.iterdir() if p.is_file() and p.suffix in suffixes))


def front_matter(source: str, main: str) -> tuple[dict[str, Any], str]:
    """The options of a template file and the rest of it; raises :class:`TemplateError`."""
    import yaml

    header = _FRONT_MATTER.match(source)
    if header is None:
        raise TemplateError(f"{main} has no YAML header between two lines of ---")
    return yaml.safe_load(header[1]) or {}, source[header.end() :]


def compile_template(folder: Path, main: str = MAIN_FILE) -> CompiledTemplate:
    """Read, check and convert a page of the template; raises :class:`TemplateError`."""
    template_files(folder)
    try:
        return _compiled(folder, main)
    except TemplateError as error:
        raise TemplateError(str(error).replace(MAIN_FILE, main)) from None


def _compiled(folder: Path, main: str) -> CompiledTemplate:
    import jupytext

    source = expand_includes(_read(folder / main), folder)
    options, body = front_matter(source, main)
    foreign = _FOREIGN_CELL.search(source)
    if foreign is not None:
        raise TemplateError(f"{MAIN_FILE} has a cell in {foreign[1]}; only Python cells are supported")
    notebook = jupytext.reads(body, fmt="Rmd")  # fmt="qmd" would call the quarto CLI
    markdown, cells = _split(notebook.cells)
    pieces = _MARKED.split(_pandoc(markdown, options, folder=folder))
    order = [int(n) for n in pieces[1::2]]
    if order != list(range(len(cells))):
        raise TemplateError(f"{MAIN_FILE}: pandoc lost or moved a code cell; put each cell in a separate paragraph")
    return CompiledTemplate(main, str(options.get("title", "")), pieces=tuple(pieces[::2]), cells=cells)


def expand_includes(source: str, folder: Path, *, depth: int = 0) -> str:
    """Replace each ``{{< include _part.qmd >}}`` line by the text of the file."""
    if depth > _MAX_INCLUDE_DEPTH:
        raise TemplateError(f"{MAIN_FILE}: files include each other more than {_MAX_INCLUDE_DEPTH} deep")

    def replacement(match: re.Match[str]) -> str:
        path = folder / match[1]
        if Path(match[1]).name != match[1] or not path.is_file():
            raise TemplateError(f"{MAIN_FILE} includes {match[1]}, which is not a file of the template folder")
        return expand_includes(_read(path), folder, depth=depth + 1)

    return _INCLUDE.sub(replacement, source)


def _read(path: Path) -> str:
    return path.read_text(encoding="utf-8")


def _split(notebook_cells: list[Any]) -> tuple[str, tuple[Cell, ...]]:
    """Markdown with a marker for each code cell, and the cells."""
    markdown, cells = list[str](), list[Cell]()
    for cell in notebook_cells:
        if cell.cell_type != "code":
            markdown.append(_checked_markdown(cell.source))
            continue
        cells.append(_code_cell(cell, len(cells)))
        markdown.append(f"```{{=html}}\n<!--{_MARKER}{len(cells) - 1}-->\n```")
    return "\n\n".join(markdown), tuple(cells)


def _checked_markdown(source: str) -> str:
    for pattern, what in ((_SHORTCODE, "shortcode"), (_INLINE_CODE, "inline code")):
        found = pattern.search(source)
        if found:
            raise TemplateError(f"{MAIN_FILE}: {what} {found[0]!r} is not supported; use a code cell")
    return source


def _code_cell(cell: Any, index: int) -> Cell:
    import yaml

    lines = cell.source.splitlines()
    n_options = next((i for i, line in enumerate(lines) if not _OPTION.match(line)), len(lines))
    options = yaml.safe_load("\n".join(_OPTION.sub(r"\1", line) for line in lines[:n_options])) or {}
    label = str(options.get("label", f"cell {index + 1}"))
    unknown = set(options) - {"label", "include"}
    if unknown:
        raise TemplateError(f"{MAIN_FILE}, cell {label!r}: option {sorted(unknown)[0]!r} is not supported")
    return Cell(label, "\n".join(lines[n_options:]), is_shown=bool(options.get("include", True)))


def _pandoc(markdown: str, options: dict[str, Any], *, folder: Path) -> str:
    """The page with a marker in place of each cell's output."""
    import pypandoc
    import yaml

    settings = (options.get("format") or {}).get("html") or {}
    metadata = {"title": _TITLE, "lang": _LANGUAGE, "document-css": False}
    arguments = ["-f", "markdown", "-t", "html5", "--standalone", "--embed-resources", "--section-divs", "--mathml"]
    for option in ("css", "include-in-header", "include-before-body", "include-after-body"):
        arguments += [f"--{option}={path}" for path in _files(settings.get(option), folder)]
    source = f"---\n{yaml.safe_dump(metadata, allow_unicode=True)}---\n\n{markdown}\n"
    with scratch_folder("template") as scratch:
        done = subprocess.run(
            [pypandoc.get_pandoc_path(), *arguments],
            input=source,
            capture_output=True,
            encoding="utf-8",
            cwd=scratch,
            timeout=PANDOC_TIMEOUT_S,
        )
    if done.returncode != 0:
        raise TemplateError(f"{MAIN_FILE}: pandoc failed with status {done.returncode}: {done.stderr.strip()}")
    return done.stdout


def _files(value: Any, folder: Path) -> list[Path]:
    names = [value] if isinstance(value, str) else list(value or [])
    for file_name in names:
        if not (folder / str(file_name)).is_file():
            raise TemplateError(f"{MAIN_FILE} names {file_name}, which is not a file of the template folder")
    return [(folder / str(file_name)).resolve() for file_name in names]
