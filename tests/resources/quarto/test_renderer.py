"""Rendering: the real template, hostile content, isolation, failures, and the Quarto CLI's command line.

PyPI does not have the CLI; a fake program on the PATH checks how it is called.
"""

from __future__ import annotations

import datetime as dt
import os
import shutil
import stat
import sys
import tempfile
from collections.abc import Iterator, Sequence
from html.parser import HTMLParser
from pathlib import Path

import pytest

from seedtest_analytics.reporting.document import ReportDocument
from seedtest_analytics.resources.quarto.errors import ReportError, TemplateError
from seedtest_analytics.resources.quarto.renderer import (
    RenderedReport,
    RenderFailure,
    ReportRenderer,
    template_folder,
)
from seedtest_analytics.resources.quarto.template import compile_template
from tests.reporting.documents import HOSTILE, WEEK, empty_document, full_document, hostile_document

HEADER = "---\ntitle: T\nformat:\n  html:\n    embed-resources: true\n---\n\n"
LOAD = "from seedtest_analytics.resources.quarto.data_file import load_document\ndocument = load_document()"
VOID = {"meta", "link", "br", "img", "input", "hr", "base"}


class Page(HTMLParser):
    """Elements, attributes and visible text of a page; fails on tags that do not nest."""

    def __init__(self, content: bytes) -> None:
        super().__init__(convert_charrefs=True)
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.words: list[str] = []
        self.headings: list[str] = []
        self.comments: list[str] = []
        self._open: list[str] = []
        self.feed(content.decode())
        self.close()
        assert self._open == []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))
        if tag not in VOID:
            self._open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))

    def handle_endtag(self, tag: str) -> None:
        assert self._open.pop() == tag

    def handle_data(self, data: str) -> None:
        if self._open and self._open[-1] != "style":
            self.words.append(data)
        if self._open and self._open[-1] in {"h1", "h2"}:
            self.headings.append(data)

    def handle_comment(self, data: str) -> None:
        self.comments.append(data)

    @property
    def text(self) -> str:
        return " ".join(" ".join(self.words).split())


@pytest.fixture(scope="module")
def renderer() -> Iterator[ReportRenderer]:
    with ReportRenderer(workers=1, renderer="embedded") as ready:
        yield ready


@pytest.fixture(scope="module")
def teacher() -> Iterator[ReportRenderer]:
    with ReportRenderer(workers=1, renderer="embedded", pages=("family", "teacher")) as ready:
        yield ready


def teachers(renderer: ReportRenderer, document: ReportDocument) -> bytes:
    (page,) = [page for page in renderer.render(document).pages if page.page == "teacher"]
    return page.content


def write_template(folder: Path, *cells: str, header: str = HEADER) -> Path:
    blocks = "\n\n".join(f"```{{python}}\n{cell}\n```" for cell in cells)
    (folder / "weekly_report.qmd").write_text(header + blocks + "\n")
    return folder


def students(*user_ids: str) -> list[ReportDocument]:
    return [ReportDocument.validated({"user_id": u, "week_start": WEEK}) for u in user_ids]


def outcomes(
    folder: Path, documents: list[ReportDocument], workers: int = 1, timeout_s: float = 60.0
) -> list[RenderedReport | RenderFailure]:
    with ReportRenderer(folder, workers, timeout_s=timeout_s, renderer="embedded") as made:
        return list(made.render_many(documents))


# --- the real template --------------------------------------------------------------------------------------


def test_the_familys_page_shows_the_students_own_words_and_no_model(renderer: ReportRenderer) -> None:
    report = renderer.render(full_document().model_copy(update={"student_name": "Kim Minji"}))
    page = Page(report.content)
    assert page.headings == [
        "Weekly learning report",
        "What to do next",
        "Where you stand",
        "Topics",
        "The goal",
        "Practice",
        "How to read this page",
    ]
    assert "Kim Minji" in page.text
    assert "student-0412" not in page.text
    assert "561 points" in page.text
    for word in ("risk", "hazard", "segment", "group", "logit", "percentile", "class", "calibration", "cohort"):
        assert word not in page.text.lower().replace("in the other topics", ""), word
    assert (report.renderer, len(report.pages)) == ("embedded", 1)
    (made,) = report.pages
    assert (made.size_bytes, len(made.sha256)) == (len(report.content), 64)


def test_a_student_without_answers_gets_another_page(renderer: ReportRenderer) -> None:
    page = Page(renderer.render(empty_document()).content)
    assert page.headings == [
        "Weekly learning report",
        "Since when",
        "How to come back",
        "How to read this page",
    ]
    assert "Start with one short session" in page.text


def test_the_teachers_page_shows_every_part(teacher: ReportRenderer) -> None:
    page = Page(teachers(teacher, full_document()))
    assert page.headings == [
        "Weekly report for teachers",
        "What stands out, in the words of the family's page",
        "The week in six numbers",
        "Ability",
        "Practice",
        "Topics",
        "Goals",
        "Where this is heading",
        "Growth beside others and beside the goal",
        "Staying with it",
        "What the models saw",
        "About this report",
    ]
    assert "student-0412" in page.text
    assert "Mon 3 Nov – Sun 9 Nov 2025" in page.text
    assert "Asia/Seoul" in page.text
    assert "Likely 51 to 79%" in page.text


def test_charts_have_title_and_description_and_figures_their_numbers(teacher: ReportRenderer) -> None:
    for made in teacher.render(full_document()).pages:
        page = Page(made.content)
        names = [tag for tag, _ in page.tags]
        assert names.count("svg") == names.count("desc") > 2
        assert names.count("title") == names.count("svg") + 1
        assert names.count("main") == 1
        assert names.count("details") == names.count("figure") > 2
        assert all(attributes.get("role") == "img" for tag, attributes in page.tags if tag == "svg")


def test_empty_report_says_what_is_missing(teacher: ReportRenderer) -> None:
    page = Page(teachers(teacher, empty_document()))
    for sentence in (
        "No answers were recorded in this week.",
        "Not enough data",
        "No ability has been estimated yet",
        "No goal has been set.",
    ):
        assert sentence in page.text
    assert "svg" not in [tag for tag, _ in page.tags]
    for absent in ("Topics", "Where this is heading", "Staying with it", "What the models saw", "The whole group"):
        assert absent not in page.text


@pytest.mark.parametrize("attack", HOSTILE)
def test_hostile_content_is_inert(teacher: ReportRenderer, harmless_pages: tuple[Page, ...], attack: str) -> None:
    for made, harmless in zip(teacher.render(hostile_document(attack)).pages, harmless_pages, strict=True):
        assert_inert(made.content, harmless, attack=attack)


@pytest.fixture(scope="module")
def harmless_pages(teacher: ReportRenderer) -> tuple[Page, ...]:
    return tuple(Page(page.content) for page in teacher.render(hostile_document("harmless")).pages)


def assert_inert(content: bytes, harmless: Page, *, attack: str) -> None:
    page = Page(content)
    assert [tag for tag, _ in page.tags] == [tag for tag, _ in harmless.tags]
    assert [sorted(a) for _, a in page.tags] == [sorted(a) for _, a in harmless.tags]
    for tag, attributes in page.tags:
        assert tag not in {"script", "iframe", "img", "object", "embed", "form", "a", "link", "base"}
        assert not [a for a in attributes if a.startswith("on") or a in {"href", "src", "srcset", "action", "style"}]
    assert page.comments == []
    assert b"{{<" not in content
    assert b"root:" not in content  # the password file was not included
    assert attack.isprintable() is False or attack[:190] in " ".join(page.words)


def test_nothing_is_fetched(renderer: ReportRenderer) -> None:
    content = renderer.render(full_document()).content
    page = Page(content)
    policies = [
        a["content"] for tag, a in page.tags if tag == "meta" and a.get("http-equiv") == "Content-Security-Policy"
    ]
    assert policies
    assert "default-src 'none'" in (policies[0] or "")
    assert content.count(b"http:") == content.count(b'xmlns="http://www.w3.org/1999/xhtml"') == 1
    assert b"https:" not in content
    assert b"@import" not in content
    assert b"url(" not in content


def test_same_document_same_bytes_in_any_process(renderer: ReportRenderer) -> None:
    first = renderer.render(full_document()).content
    assert renderer.render(full_document()).content == first
    with ReportRenderer(workers=2, renderer="embedded") as other:
        assert {o.content for o in other.render_many([full_document()] * 4) if isinstance(o, RenderedReport)} == {first}


@pytest.mark.long
def test_files_depend_on_neither_the_order_nor_the_worker() -> None:
    full, empty = full_document(), empty_document()
    documents = [
        document.model_copy(update={"user_id": f"{document.user_id}-{code}", "language": code})
        for document in (full, empty)
        for code in ("en", "ko")
    ]

    def files(in_order: Sequence[ReportDocument], workers: int) -> dict[tuple[str, str, str], bytes]:
        kinds = {"pages": ("family", "teacher"), "formats": ("html", "pdf")}
        with ReportRenderer(workers=workers, renderer="embedded", **kinds) as made:
            outcomes = [one for one in made.render_many(in_order) if isinstance(one, RenderedReport)]
        return {(one.user_id, page.page, page.format): page.content for one in outcomes for page in one.pages}

    once = files(documents, 1)
    assert len(once) == 3 * len(documents)
    assert files(documents[::-1], 2) == once


def test_changing_the_qmd_changes_the_report(tmp_path: Path) -> None:
    folder = shutil.copytree(template_folder(), tmp_path / "quarto")
    main = folder / "weekly_report.qmd"
    main.write_text(main.read_text() + "\n## Small print\n")
    (outcome,) = outcomes(folder, [empty_document()])
    assert isinstance(outcome, RenderedReport)
    assert "Small print" in Page(outcome.content).text


# --- many students ------------------------------------------------------------------------------------------


def test_each_document_gets_its_own_outcome_while_the_rest_is_not_read_yet(tmp_path: Path) -> None:
    write_template(tmp_path, LOAD, "document.user_id")
    taken: list[int] = []

    def stream() -> Iterator[ReportDocument]:
        for i, document in enumerate(students(*(f"u{i}" for i in range(20)))):
            taken.append(i)
            yield document

    with ReportRenderer(tmp_path, 2, renderer="embedded") as made:
        seen = []
        for outcome in made.render_many(stream()):
            assert isinstance(outcome, RenderedReport)
            assert f"&#x27;{outcome.user_id}&#x27;".encode() in outcome.content
            seen.append(outcome.user_id)
            assert len(taken) <= len(seen) + 2
    assert sorted(seen) == sorted(f"u{i}" for i in range(20))


def test_nothing_of_one_student_is_there_for_the_next(tmp_path: Path) -> None:
    write_template(
        tmp_path,
        "seen = [name for name in globals() if name.startswith('left')]\nseen",
        f"{LOAD}\nleft_by = document.user_id\nprint('told', document.user_id)",
        "import os, pathlib\nfolder = pathlib.Path(os.environ['SEEDTEST_REPORT_DATA']).parent\n"
        "(oct(folder.stat().st_mode & 0o777), [p.name for p in folder.iterdir()])",
    )
    found = outcomes(tmp_path, students("ann", "ben", "cid"))
    for outcome in found:
        assert isinstance(outcome, RenderedReport)
        page = Page(outcome.content)
        assert "[]" in page.text
        assert [u for u in ("ann", "ben", "cid") if u in page.text] == [outcome.user_id]
        assert "('0o700', ['_data.json'])" in page.text


def test_no_data_is_left_behind(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    scratch = tmp_path / "tmp"
    scratch.mkdir()
    monkeypatch.setenv("TMPDIR", str(scratch))
    monkeypatch.setattr(tempfile, "tempdir", None)
    folder = shutil.copytree(template_folder(), tmp_path / "quarto")
    before = sorted(p.name for p in folder.iterdir())
    assert isinstance(outcomes(folder, [full_document()])[0], RenderedReport)
    assert list(scratch.iterdir()) == []
    assert sorted(p.name for p in folder.iterdir()) == before


# --- failures -----------------------------------------------------------------------------------------------


def failing(tmp_path: Path, statement: str, timeout_s: float = 60.0) -> RenderFailure:
    """Outcome for 'bad', which runs ``statement``; the other documents must still be rendered."""
    write_template(
        tmp_path,
        LOAD,
        f"#| label: risky\nimport os, time\nif document.user_id == 'bad':\n    {statement}",
        "'fine'",
    )
    found = outcomes(tmp_path, students("one", "bad", "two", "three"), timeout_s=timeout_s)
    by_user = {o.user_id: o for o in found}
    assert [u for u, o in by_user.items() if isinstance(o, RenderedReport)] == ["one", "two", "three"]
    failure = by_user["bad"]
    assert isinstance(failure, RenderFailure)
    return failure


def test_an_error_costs_one_report_and_tells_the_place_but_no_data(tmp_path: Path) -> None:
    failure = failing(tmp_path, "raise KeyError('secret of ' + document.user_id)")
    assert failure.message.startswith("weekly_report.qmd, cell 'risky' failed with KeyError in ")
    assert "line 3" in failure.message
    assert "secret" not in failure.message


def test_a_crash_costs_one_report(tmp_path: Path) -> None:
    assert failing(tmp_path, "os.kill(os.getpid(), 9)").message == "the render worker ended with signal SIGKILL"


def test_a_hang_costs_one_report(tmp_path: Path) -> None:
    assert failing(tmp_path, "time.sleep(600)", timeout_s=1.5).message == "it took longer than 1.5 s and was stopped"


@pytest.mark.parametrize("ending", ["time.sleep(600)", "os.kill(os.getpid(), 9)"])
def test_no_data_of_a_student_stays_behind(tmp_path: Path, ending: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DAGSTER_HOME", str(tmp_path / "home"))
    monkeypatch.setenv("TMPDIR", str(tmp_path / "temporary"))
    (tmp_path / "temporary").mkdir()
    (tmp_path / "template").mkdir()
    failing(tmp_path / "template", ending, timeout_s=1.5)
    left = [path for name in ("home", "temporary") for path in (tmp_path / name).rglob("*") if path.is_file()]
    assert left == []


def test_leaving_early_leaves_no_process(tmp_path: Path) -> None:
    pids = tmp_path / "pids"
    pids.mkdir()
    note = f"import os, pathlib, time\npathlib.Path({str(pids)!r}, str(os.getpid())).touch()"
    write_template(tmp_path, LOAD, f"{note}\nif document.user_id == 'slow':\n    time.sleep(600)")
    with ReportRenderer(tmp_path, 2, renderer="embedded") as made:
        first = next(iter(made.render_many(students("slow", "quick", "never"))))
        assert (first.user_id, type(first)) == ("quick", RenderedReport)
        assert len(list(made.render_many(students("x", "y")))) == 2
    assert len(list(pids.iterdir())) >= 2
    for pid in pids.iterdir():
        with pytest.raises(ProcessLookupError):
            os.kill(int(pid.name), 0)


@pytest.mark.parametrize(
    ("source", "message"),
    [
        ("no header", "no YAML header"),
        (HEADER + "```{r}\n1\n```\n", "only Python cells"),
        (HEADER + "now `{python} 1+1`\n", "inline code"),
        (HEADER + "{{< video x >}}\n", "shortcode"),
        (HEADER + "{{< include ../secret.md >}}\n", "not a file of the template folder"),
        (HEADER + "{{< include weekly_report.qmd >}}\n", "include each other"),
        (HEADER + "```{python}\n#| output: asis\n1\n```\n", "option 'output'"),
        ("---\nformat:\n  html:\n    css: gone.css\n---\n", "gone.css"),
    ],
)
def test_what_the_embedded_path_cannot_do_is_refused(tmp_path: Path, source: str, message: str) -> None:
    (tmp_path / "weekly_report.qmd").write_text(source)
    with pytest.raises(TemplateError, match=message):
        compile_template(tmp_path)


def test_template_that_is_missing_or_has_a_syntax_error(tmp_path: Path) -> None:
    with pytest.raises(TemplateError, match=r"weekly_report\.qmd is not in"):
        ReportRenderer(tmp_path, 1)
    write_template(tmp_path, "x = (")
    with (
        pytest.raises(ReportError, match=r"cell 'cell 1', line 1"),
        ReportRenderer(tmp_path, 1, renderer="embedded") as made,
    ):
        made.render(empty_document())


# --- the Quarto CLI -----------------------------------------------------------------------------------------

STAND_IN = """#!{python}
import json, os, pathlib, sys
if sys.argv[1:] == ["--version"]:
    sys.exit(print("1.5.57"))
data = pathlib.Path(os.environ["SEEDTEST_REPORT_DATA"])
user_id = json.loads(data.read_text())["user_id"]
if user_id == "bad":
    sys.exit("Traceback: secret of bad")
assert data.parent != pathlib.Path.cwd()
found = dict(argv=sys.argv[1:], files=os.listdir(), python=os.environ["QUARTO_PYTHON"])
pathlib.Path("report.html").write_text(json.dumps(dict(found, user_id=user_id)))
"""


@pytest.fixture
def quarto_on_path(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    program = tmp_path / "bin" / "quarto"
    program.parent.mkdir()
    program.write_text(STAND_IN.format(python=sys.executable))
    program.chmod(program.stat().st_mode | stat.S_IXUSR)
    monkeypatch.setenv("PATH", f"{program.parent}{os.pathsep}{os.environ['PATH']}")
    return program


def test_quarto_renders_in_a_copy_where_it_is_installed(quarto_on_path: Path) -> None:
    import json

    with ReportRenderer(workers=1) as made:
        assert made.renderer == "quarto"
        report, failure = made.render_many(students("ann", "bad"))
    assert isinstance(report, RenderedReport)
    assert report.renderer == "quarto"
    told = json.loads(report.content)
    assert told["argv"] == [
        "render",
        "weekly_report.qmd",
        "--to",
        "html",
        "--output",
        "report.html",
        "--no-execute-daemon",
        "--quiet",
        "--metadata",
        "title=Weekly learning report",
        "--metadata",
        "lang=en",
    ]
    assert told["python"] == sys.executable
    assert {"weekly_report.qmd", "theme.css", "_head.html"} <= set(told["files"])
    assert told["user_id"] == "ann"
    assert isinstance(failure, RenderFailure)
    assert "ended with status 1 and wrote no report.html" in failure.message
    assert "secret" not in failure.message


def test_quarto_can_be_demanded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", "")
    with pytest.raises(ReportError, match="quarto is not on the PATH"):
        ReportRenderer(workers=1, renderer="quarto")


def test_resource_starts_nothing_before_it_is_used() -> None:
    from seedtest_analytics.resources.quarto.resource import QuartoResource

    resource = QuartoResource.having(workers=1, renderer="embedded")
    with resource.open() as made:
        assert isinstance(next(made.render_many([empty_document()])), RenderedReport)


def test_week_and_student_of_an_outcome(renderer: ReportRenderer) -> None:
    report = renderer.render(full_document())
    assert (report.user_id, report.week_start) == ("student-0412", dt.date(2025, 11, 3))
