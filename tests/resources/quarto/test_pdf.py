"""The PDF of a page: the same words, tagged, with embedded fonts, and no name that is code."""

from __future__ import annotations

import io
import re
import shutil
import subprocess
from collections.abc import Iterator
from html.parser import HTMLParser
from pathlib import Path

import pytest
from pypdf import PdfReader
from pypdf.generic import DictionaryObject

from seedtest_analytics.reporting.document import ReportDocument
from seedtest_analytics.reporting.language import say, speaking
from seedtest_analytics.resources.quarto.pdf import CHART_STYLE, _press, pdf_of
from seedtest_analytics.resources.quarto.renderer import ReportRenderer
from seedtest_analytics.resources.quarto.typst_writer import TypstWriter, read_page
from tests.reporting.documents import HOSTILE, empty_document, full_document, hostile_document

JAMO = "\u1112\u1161\u11ab\u1100\u1173\u11af"


class Numbers(HTMLParser):
    """The numbers of the visible text, outside charts, and those inside tables."""

    def __init__(self, page: bytes) -> None:
        super().__init__(convert_charrefs=True)
        self.text: list[str] = []
        self._hidden = 0
        self.feed(page.decode())

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self._hidden += tag in {"svg", "style", "head", "summary"}

    def handle_endtag(self, tag: str) -> None:
        self._hidden -= tag in {"svg", "style", "head", "summary"}

    def handle_data(self, data: str) -> None:
        if not self._hidden:
            self.text.append(data)


def words(text: str) -> str:
    """Text without spaces, which a PDF does not keep at line ends."""
    return re.sub(r"\s+", "", text)


@pytest.fixture(scope="module")
def both() -> Iterator[ReportRenderer]:
    with ReportRenderer(workers=1, renderer="embedded", formats=("html", "pdf")) as ready:
        yield ready


def made(renderer: ReportRenderer, document: ReportDocument) -> tuple[bytes, bytes]:
    page, pdf = renderer.render(document).pages
    assert (page.format, pdf.format) == ("html", "pdf")
    return page.content, pdf.content


def read(pdf: bytes) -> tuple[PdfReader, str]:
    reader = PdfReader(io.BytesIO(pdf))
    return reader, "".join(page.extract_text() for page in reader.pages)


@pytest.mark.parametrize("code", ["en", "ko"])
def test_the_pdf_says_what_the_page_says(both: ReportRenderer, code: str, tmp_path: Path) -> None:
    named = {"language": code, "student_name": f"김민지 {JAMO}"}
    page, pdf = made(both, full_document().model_copy(update=named))
    reader, text = read(pdf)
    found = words(text)
    assert "김민지한글" in found
    for part in Numbers(page).text:
        assert words(part) in found, part
    with speaking(code):
        title = say("Weekly learning report")
    assert reader.metadata is not None
    assert reader.metadata.title == title
    catalogue = reader.trailer["/Root"]
    assert isinstance(catalogue, DictionaryObject)
    assert str(catalogue["/Lang"]) == code
    assert catalogue["/MarkInfo"]["/Marked"]
    assert len(reader.pages) <= 2
    assert made(both, full_document().model_copy(update=named))[1] == pdf
    if shutil.which("pdftotext"):
        (tmp_path / "report.pdf").write_bytes(pdf)
        for program in (["pdfinfo"], ["pdffonts"], ["pdftotext", "-raw"]):
            done = subprocess.run([*program, str(tmp_path / "report.pdf")], capture_output=True, text=True, check=True)
            assert done.stderr == ""
            if program[0] == "pdffonts":
                assert all(line.split()[-5:-2] == ["yes", "yes", "yes"] for line in done.stdout.splitlines()[2:])


def test_no_line_of_a_korean_paragraph_ends_inside_a_word() -> None:
    sentence = "정답률이 높을수록 문제를 풀수록 수준을 알려면 목표까지 가까워졌습니다. "
    paragraphs = [f"<p>{'가' * number} {sentence * 4}</p>" for number in range(1, 13)]
    page = f'<html lang="ko"><head><title>제목</title></head><body><main>{"".join(paragraphs)}</main></body></html>'
    lines = [line.split() for page in read(pdf_of(page.encode()))[0].pages for line in page.extract_text().splitlines()]
    lines = [line for line in lines if line]
    assert len(lines) > 2 * len(paragraphs)
    known = set(sentence.split()) | {"가" * number for number in range(1, 13)}
    assert {word for line in lines for word in line} <= known


@pytest.mark.parametrize(("kind", "longest"), [("", 5), ("prose", 12)])
def test_no_line_of_a_korean_table_ends_inside_a_word(kind: str, longest: int) -> None:
    """Cells of a table of numbers are narrow, so only words of a date's length stay whole there."""
    whole = ["가" * number for number in range(2, longest + 1)]
    cells = "".join(f"<tr><th>{' '.join(whole)}</th><td>{' '.join(reversed(whole * 3))}</td></tr>" for _ in range(5))
    table = f'<table class="{kind}"><thead><tr><th>단원</th><th>설명</th></tr></thead><tbody>{cells}</tbody></table>'
    page = f'<html lang="ko"><head><title>제목</title></head><body><main>{table}</main></body></html>'
    lines = [line.split() for page in read(pdf_of(page.encode()))[0].pages for line in page.extract_text().splitlines()]
    assert len([line for line in lines if line]) > 10
    assert {word for line in lines for word in line} <= {*whole, "단원", "설명"}


def test_fonts_are_subsets_and_the_file_is_small(both: ReportRenderer) -> None:
    _, pdf = made(both, full_document().model_copy(update={"language": "ko"}))
    assert re.findall(rb"/FontName/(\w{6}\+NanumGothic\w*)", pdf)
    assert len(pdf) < 300_000


@pytest.mark.parametrize(
    "attack", [*HOSTILE, '#read("/etc/passwd")', '"; #panic("x")', "😀 مرحبا", "#[" * 40, "\\u{202e}", "= x\n+ y\n/ z: w"]
)
def test_a_hostile_name_is_text_in_the_pdf(attack: str) -> None:
    page = both_html(attack)
    reader, text = read(pdf_of(page))
    assert "root:" not in text
    assert len(reader.pages) <= 3
    names = [r for r in reader.pages[0].extract_text().splitlines() if r.strip()]
    assert names


def both_html(attack: str) -> bytes:
    """The parts of the page that have names, without the renderer."""
    from seedtest_analytics.reporting import family, views
    from seedtest_analytics.reporting.advice_words import family_advice

    document = hostile_document(attack)
    parts = (views.header, family_advice, family.topics, family.coming_back)
    body = "".join(str(part(document) or "") for part in parts)
    return f'<!DOCTYPE html><html lang="en"><head><title>T</title></head><body><main>{body}</main></body></html>'.encode()


def test_a_character_without_a_glyph_is_shown_by_its_number() -> None:
    writer = TypstWriter({ord("a")}, CHART_STYLE)
    assert writer.string('a"\\b') == '"a[U+0022][U+005C][U+0062]"'
    assert ord("가") in _press().glyphs
    assert ord("م") in _press().glyphs


def test_the_page_of_a_silent_student_is_a_pdf_too(both: ReportRenderer) -> None:
    _, text = read(made(both, empty_document())[1])
    assert "How to come back" in text


def test_elements_that_nest_are_read() -> None:
    root = read_page("<main><p>a <strong>b</strong></p><br><ul><li>c</li></ul></main>")
    written = TypstWriter(frozenset(range(128)), "").document(root)
    assert '#"a ";#strong[#"b";]' in written
    assert '#list([#"c";])' in written
