"""The pages of a report in Chromium: no finding of axe-core, no request, reflow at 400%, and how long a page is."""

from __future__ import annotations

from collections.abc import Iterator
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import pytest

from scripts.chromium import Page, browser
from seedtest_analytics.reporting.document import ReportDocument
from seedtest_analytics.resources.quarto.renderer import ReportRenderer
from tests.reporting.cohorts import FULL, cohort, hostile, too_small
from tests.reporting.documents import empty_document, full_document, hostile_document

pytestmark = pytest.mark.browser
SCREEN = 844
STUDENTS: dict[str, ReportDocument] = {
    "full": full_document(),
    "silent": empty_document(),
    "hostile": hostile_document("<script>alert(1)</script> " + "x" * 300),
}


@pytest.fixture(scope="module")
def tab() -> Iterator[Page]:
    with browser() as page:
        yield page


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("pages")
    with ReportRenderer(workers=1, renderer="embedded", pages=("family", "teacher")) as renderer:
        for student, document in STUDENTS.items():
            for code in ("en", "ko"):
                report = renderer.render(document.model_copy(update={"language": code}))
                for page in report.pages:
                    (folder / f"{student}-{page.page}-{code}.html").write_bytes(page.content)
    with ReportRenderer(workers=1, renderer="embedded", pages=("cohort",)) as renderer:
        documents = {f"full-{scope}": cohort(data()) for scope, data in FULL.items()}
        documents["hostile-class"] = hostile("class", "<script>alert(1)</script> " + "x" * 300)
        documents["small-class"] = too_small("class")
        for name, document in documents.items():
            spoken = [(code, document.model_copy(update={"language": code}).to_json()) for code in ("en", "ko")]
            for code, pages in renderer.render_data(spoken):
                assert not isinstance(pages, str)
                (folder / f"{name}-{code}.html").write_bytes(pages[0].content)
    return folder


def axe() -> str:
    found = find_spec("axe_core_python")
    assert found is not None
    assert found.origin is not None
    (script,) = Path(found.origin).parent.rglob("axe.min.js")
    return script.read_text(encoding="utf-8")


def coloured(tab: Page, scheme: str) -> None:
    tab.ask("Emulation.setEmulatedMedia", features=[{"name": "prefers-color-scheme", "value": scheme}])


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("width", [390, 860])
def test_axe_finds_nothing(tab: Page, folder: Path, scheme: str, width: int) -> None:
    script = axe()
    coloured(tab, scheme)
    for path in sorted(folder.glob("*-en.html") if width == 390 else folder.glob("*-ko.html")):
        tab.open(path.as_uri(), width, height=SCREEN)
        tab.evaluate(script + ";0")
        found: list[dict[str, Any]] = tab.evaluate(
            "axe.run().then(r => r.violations.map(v => ({id: v.id, nodes: v.nodes.map(n => n.html).slice(0, 3)})))"
        )
        assert found == [], path.name
    coloured(tab, "light")


def test_a_page_reflows_at_four_hundred_percent(tab: Page, folder: Path) -> None:
    for path in sorted(folder.glob("*.html")):
        tab.open(path.as_uri(), 320, height=256)
        assert tab.evaluate("document.documentElement.scrollWidth") <= 320, path.name


@pytest.mark.parametrize("code", ["en", "ko"])
def test_the_familys_page_has_three_phone_screens_at_most(tab: Page, folder: Path, code: str) -> None:
    tab.open((folder / f"full-family-{code}.html").as_uri(), 390, height=SCREEN)
    assert tab.page_height() <= 3 * SCREEN


def test_the_familys_page_prints_on_two_sheets(tab: Page, folder: Path, tmp_path: Path) -> None:
    from pypdf import PdfReader

    for code in ("en", "ko"):
        tab.open((folder / f"full-family-{code}.html").as_uri(), 860, height=SCREEN)
        tab.pdf(tmp_path / "printed.pdf")
        assert len(PdfReader(tmp_path / "printed.pdf").pages) <= 2


def test_a_page_requests_nothing(tab: Page, folder: Path) -> None:
    for path in sorted(folder.glob("*.html")):
        tab.open(path.as_uri(), 860, height=SCREEN)
        assert tab.evaluate("performance.getEntriesByType('resource').length") == 0
