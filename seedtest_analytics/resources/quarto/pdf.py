"""A rendered page as PDF, by Typst: tagged (PDF/UA-1), with its language and title, and subsets of its fonts.

The fonts are Nanum Gothic for Korean and Latin, and DejaVu Sans for other scripts. Both come with Python packages, so no
font of the machine is used. The same page gives the same bytes.
"""

from __future__ import annotations

import html
import re
from dataclasses import dataclass
from functools import lru_cache
from importlib.util import find_spec
from pathlib import Path

import typst

from seedtest_analytics.database.sql_files import top_folder
from seedtest_analytics.resources.quarto.errors import CellError, TemplateError
from seedtest_analytics.resources.quarto.typst_writer import TypstWriter, read_page

DESIGN = "report.typ"
_SUSPECTS = b"/Suspects false"
_FONTS = (
    ("koreanize_matplotlib", "fonts/NanumGothic.ttf"),
    ("koreanize_matplotlib", "fonts/NanumGothicBold.ttf"),
    ("matplotlib", "mpl-data/fonts/ttf/DejaVuSans.ttf"),
    ("matplotlib", "mpl-data/fonts/ttf/DejaVuSans-Bold.ttf"),
)
CHART_STYLE = """
text{fill:#51606e;font-family:NanumGothic,"DejaVu Sans";font-size:12px}
.value-label{fill:#17212b;font-weight:700}.share-label{font-size:11px}.reference-label{fill:#8a4b00;font-weight:700}
.grid{stroke:#e6ebef;stroke-width:1}.grid.zero,.zero-mark{stroke:#76838f}.line{fill:none;stroke:#1d5c99;stroke-width:2}
.dot{fill:#1d5c99}.band{fill:#cfe0f0}.whisker{stroke:#1d5c99;stroke-width:2}
.interval{stroke:#8db4d8;stroke-width:8;stroke-linecap:round}
.reference{stroke:#8a4b00;stroke-width:1.5;stroke-dasharray:5 4}.mark{fill:#fff;stroke:#8a4b00;stroke-width:2}
.beside{fill:none;stroke:#8a4b00;stroke-width:2.5;stroke-dasharray:2 4}
.right{fill:#1d5c99}.wrong{fill:#d9a441}.bin,.fill{fill:#8db4d8}.track{fill:#e3e8ed}
.reached{fill:#1d5c99;stroke:#1d5c99;stroke-width:1}.missed{fill:none;stroke:#76838f;stroke-width:1.3}
"""
"""The rules of ``theme.css`` for charts, without variables, which SVG in a PDF does not know."""


@dataclass(frozen=True)
class _Press:
    """What every page shares: the fonts, their glyphs and the design."""

    fonts: typst.Fonts
    glyphs: frozenset[int]
    design: str


@lru_cache(maxsize=1)
def _press() -> _Press:
    paths = [_font(package, name) for package, name in _FONTS]
    folders = sorted({str(path.parent) for path in paths})
    fonts = typst.Fonts(include_system_fonts=False, include_embedded_fonts=False, font_paths=folders)
    if missing := {"NanumGothic", "DejaVu Sans"} - set(fonts.families()):
        raise TemplateError(f"Typst finds no font {', '.join(sorted(missing))}; install the packages of the fonts again")
    design = (top_folder("quarto") / DESIGN).read_text(encoding="utf-8")
    return _Press(fonts, frozenset().union(*map(_glyphs, paths[::2])), design=design)


def _font(package: str, name: str) -> Path:
    found = find_spec(package)
    folders = (found.submodule_search_locations or []) if found else []
    for folder in folders:
        if (path := Path(folder) / name).is_file():
            return path
    raise TemplateError(f"the font {Path(name).name} of the package {package} is missing; install the package again")


def _glyphs(path: Path) -> set[int]:
    from fontTools.ttLib import TTFont

    with TTFont(path, lazy=True) as font:
        return set(font.getBestCmap())


def pdf_of(page: bytes) -> bytes:
    """The PDF of a rendered page. Raises :class:`CellError` without the page's text where Typst refuses it."""
    press, text = _press(), page.decode()
    writer = TypstWriter(press.glyphs, CHART_STYLE)
    body = writer.document(read_page(text))
    title, language = _found(r"<title>(.*?)</title>", text), _found(r'<html[^>]* lang="([\w-]+)"', text)
    head = f"#let title = {writer.string(title)}\n#let language = {writer.string(language)}\n"
    source = f"{head}{press.design}\n{body}"
    try:
        made = typst.compile(source.encode(), format="pdf", pdf_standards="ua-1", font_paths=press.fonts)
    except Exception as error:  # noqa: BLE001  # Typst's own errors; they quote the source, which is the student's
        raise CellError(f"the PDF could not be made: Typst failed with {type(error).__name__}") from None
    assert isinstance(made, bytes)
    # Poppler warns of any value of this key, which says what its absence says. As many bytes keep every offset.
    return made.replace(_SUSPECTS, b" " * len(_SUSPECTS))


def _found(pattern: str, text: str) -> str:
    found = re.search(pattern, text, re.DOTALL)
    return html.unescape(found[1]).strip() if found else ""
