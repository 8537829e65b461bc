"""Brings the catalogues of the reports up to date with the messages in the code.

    python scripts/catalogue.py            # every catalogue: adds new messages, removes old ones
    python scripts/catalogue.py ja         # begins a catalogue for Japanese

A message that is new has an empty translation until somebody writes it; a test fails until then.
"""

from __future__ import annotations

import ast
import io
import re
import sys
from collections.abc import Iterator
from pathlib import Path

import yaml
from babel.messages.catalog import Catalog
from babel.messages.pofile import read_po, write_po

ROOT = Path(__file__).resolve().parents[1]
CATALOGUES = ROOT / "seedtest_analytics/reporting/catalogues"
FUNCTIONS = {"say": 1, "marked": 1, "say_n": 2}
"""The functions of `reporting/language.py` that take messages, and how many they take."""
_CELL = re.compile(r"^```\{python\}\n(.*?)^```$", re.MULTILINE | re.DOTALL)
_FRONT_MATTER = re.compile(r"\A---\n(.*?)\n---\n", re.DOTALL)


def messages() -> Catalog:
    """Every message of the code and the templates, without translations."""
    catalogue = Catalog(project="seedtest-analytics", charset="utf-8")
    for path in sorted((ROOT / "seedtest_analytics/reporting").rglob("*.py")):
        _add(catalogue, path, source=path.read_text(encoding="utf-8"))
    for path in sorted((ROOT / "quarto").glob("*.qmd")):
        text = path.read_text(encoding="utf-8")
        for cell in _CELL.findall(text):
            _add(catalogue, path, source=cell)
        for title in _titles(text):
            catalogue.add(title, locations=[(str(path.relative_to(ROOT)), 1)])
    return catalogue


def _titles(text: str) -> Iterator[str]:
    header = _FRONT_MATTER.match(text)
    if header is not None:
        yield str(yaml.safe_load(header[1])["title"])


def _add(catalogue: Catalog, path: Path, *, source: str) -> None:
    """Add the messages of a source; by its syntax tree, so that those inside f-strings are found."""
    for node in ast.walk(ast.parse(source)):
        n = FUNCTIONS.get(node.func.id, 0) if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) else 0
        arguments = node.args[:n] if isinstance(node, ast.Call) else []
        given = [str(a.value) for a in arguments if isinstance(a, ast.Constant)]
        if n and len(given) == n:
            catalogue.add(given[0] if n == 1 else tuple(given), locations=[(str(path.relative_to(ROOT)), 1)])


def updated(path: Path, template: Catalog) -> bytes:
    """The catalogue at ``path`` with the messages of ``template``: old ones leave, new ones come without a translation."""
    with path.open("rb") as file:
        catalogue = read_po(file, locale=path.stem)
    catalogue.update(template, no_fuzzy_matching=True)
    catalogue.obsolete.clear()
    return _written(catalogue)


def begun(language: str, template: Catalog) -> bytes:
    """A catalogue without translations."""
    catalogue = Catalog(locale=language, project="seedtest-analytics", charset="utf-8")
    catalogue.update(template, no_fuzzy_matching=True)
    return _written(catalogue)


def _written(catalogue: Catalog) -> bytes:
    out = io.BytesIO()
    write_po(out, catalogue, width=0, sort_output=True, omit_header=True, no_location=True)
    plural = f'"Plural-Forms: {catalogue.plural_forms}\\n"\n'
    head = f'msgid ""\nmsgstr ""\n"Language: {catalogue.locale}\\n"\n"Content-Type: text/plain; charset=utf-8\\n"\n{plural}\n'
    return head.encode() + out.getvalue()


def main(arguments: list[str]) -> int:
    """Write the catalogues; the messages without a translation are counted."""
    template = messages()
    CATALOGUES.mkdir(exist_ok=True)
    for language in arguments:
        path = CATALOGUES / f"{language}.po"
        if not path.exists():
            path.write_bytes(begun(language, template))
    for path in sorted(CATALOGUES.glob("*.po")):
        path.write_bytes(updated(path, template))
        with path.open("rb") as file:
            missing = [m for m in read_po(file) if m.id and not any(_texts(m.string))]
        sys.stdout.write(f"{path.stem}: {len(template)} messages, {len(missing)} without a translation\n")
    return 0


def _texts(translation: str | tuple[str, ...] | list[str] | None) -> tuple[str, ...]:
    return (translation,) if isinstance(translation, str) else tuple(translation or ())


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
