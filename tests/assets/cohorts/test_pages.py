"""The pages of a week from the tables: every figure is that of its table, rows are of stored objects, odd data stops nothing."""

from __future__ import annotations

import datetime as dt
import html
import io
import json
import math
import re
from collections.abc import Iterator
from html.parser import HTMLParser
from pathlib import Path
from statistics import fmean, stdev
from typing import Any

import dagster as dg
import pytest
from pypdf import PdfReader
from scipy import stats
from sqlalchemy import Engine, text

from seedtest_analytics.assets.cohorts.assets import cohort_report
from seedtest_analytics.assets.cohorts.documents import cohort_documents
from seedtest_analytics.assets.report_readers import load_readers
from seedtest_analytics.assets.report_store import judge_store
from seedtest_analytics.partitions import Week
from seedtest_analytics.reporting import wording
from seedtest_analytics.reporting.cohort_document import CohortDocument
from seedtest_analytics.reporting.language import say, speaking
from seedtest_analytics.resources.object_store import ObjectStoreResource
from seedtest_analytics.resources.quarto.renderer import RenderedPage, ReportRenderer
from seedtest_analytics.resources.quarto.resource import QuartoResource
from seedtest_analytics.settings import ReportSettings, load_settings
from tests._database import execute, rows_of
from tests.assets._activity import postgres_of
from tests.assets.cohorts._school import AS_OF, ITEMS, TOPICS, WEEK, Answer, School, drawn, monday, needs_help, store

THE_WEEK = Week(WEEK, AS_OF, timezone="UTC")


class Tables(HTMLParser):
    """The tables of a page as rows of cell texts, and the paragraphs."""

    def __init__(self, page: str) -> None:
        super().__init__(convert_charrefs=True)
        self.tables: list[list[list[str]]] = []
        self.paragraphs: list[str] = []
        self._in: list[str] | None = None
        self._svg = 0
        self.feed(page)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self._svg += tag == "svg"
        if tag == "table":
            self.tables.append([])
        elif tag == "tr":
            self.tables[-1].append([])
        elif tag in ("th", "td", "p"):
            self._in = []

    def handle_endtag(self, tag: str) -> None:
        self._svg -= tag == "svg"
        if self._in is None:
            return
        found = re.sub(r"\s+", " ", "".join(self._in)).strip()
        if tag in ("th", "td"):
            self.tables[-1][-1].append(found)
            self._in = None
        elif tag == "p":
            self.paragraphs.append(found)
            self._in = None

    def handle_data(self, data: str) -> None:
        if self._in is not None and not self._svg:
            self._in.append(data)

    def with_heading(self, *headings: str) -> list[list[str]]:
        """The rows of the first table whose first headings are these."""
        return next(table[1:] for table in self.tables if table[0][: len(headings)] == list(headings))


def documents(engine: Engine, minimum: int = 5, before: str = "") -> list[CohortDocument]:
    with engine.connect() as connection:
        if before:
            connection.execute(text(before))
        readers = load_readers(connection, THE_WEEK, settings=ReportSettings.model_construct(language="en"))
        return list(cohort_documents(connection, THE_WEEK, readers=readers, minimum=minimum))


def made(engine: Engine, folder: Path, **config: Any) -> dg.ExecuteInProcessResult:
    with dg.DagsterInstance.ephemeral() as instance:
        return dg.materialize(
            [cohort_report],
            partition_key=WEEK.isoformat(),
            instance=instance,
            resources={
                "postgres": postgres_of(engine),
                "object_store": ObjectStoreResource.having(folder=folder),
                "quarto": QuartoResource.having(workers=1, renderer="embedded"),
            },
            run_config={"ops": {"cohort_report": {"config": config}}},
            raise_on_error=False,
        )


@pytest.fixture
def school(database: Engine) -> School:
    found = drawn()
    store(database, found)
    return found


@pytest.fixture
def renders(monkeypatch: pytest.MonkeyPatch) -> None:
    """Render a line instead of a page."""

    def render_data(self: ReportRenderer, jobs: Any) -> Iterator[tuple[Any, Any]]:
        for key, data in jobs:
            yield (
                key,
                [RenderedPage("cohort", f, content=data[:80] + f.encode()) for f in load_settings().reports.formats],
            )

    monkeypatch.setattr(ReportRenderer, "render_data", render_data)


@pytest.fixture(scope="module")
def renderer() -> Iterator[ReportRenderer]:
    with ReportRenderer(workers=1, renderer="embedded", pages=("cohort",), formats=("html", "pdf")) as ready:
        yield ready


def pages_of(renderer: ReportRenderer, document: CohortDocument) -> tuple[str, bytes]:
    ((_, pages),) = renderer.render_data([("key", document.to_json())])
    assert not isinstance(pages, str), pages
    return pages[0].content.decode(), pages[1].content


def expected_right(school: School, answer: Answer) -> float:
    """1 / (1 + exp(-a (θ - b))) with what was known of the student a week before."""
    start = answer.at.date() - dt.timedelta(days=answer.at.weekday())
    level = school.levels[answer.user, start - dt.timedelta(days=7)] + 0.3 * (answer.topic == "Angles")
    a, b = ITEMS[answer.item]
    return 1 / (1 + math.exp(-a * (level - b)))


@pytest.mark.parametrize("code", ["en", "ko"])
def test_every_figure_of_a_class_is_that_of_the_tables(
    database: Engine, school: School, renderer: ReportRenderer, code: str
) -> None:
    (document,) = [d for d in documents(database) if d.subject == "c-1"]
    page, pdf = pages_of(renderer, document.model_copy(update={"language": code}))
    found, users = Tables(page), school.classes["c-1"]
    with speaking(code):
        week, month = school.of(users, days=7), school.of(users, days=28)
        share = wording.percent(sum(a.is_right for a in week) / len(week))
        lead = next(p for p in found.paragraphs if share in p)
        assert wording.answers(len(week)) in lead
        assert {"7", "6", "2"} <= set(re.findall(r"\d+", lead))  # students, of whom practised, of whom need help
        steps = found.with_heading(say("Next step"), say("Students"))
        assert [row[1] for row in steps] == ["6", "1"]
        assert [row[2] for row in steps] == ["one-0", "one-6"]
        assert steps[0][3] == ", ".join(f"one-{n}" for n in range(1, 6))
        (stopped,) = found.with_heading(say("Student"), say("Last session"))
        silence = (AS_OF - max(a.at for a in school.answers if a.user == "one-6")).total_seconds() / 86_400
        assert stopped[:3] == ["one-6", say("{days} ago", days=wording.days(int(silence))), "18"]
        check_growth(found, school, users=users)
        check_topics(found, month, week=week)
        check_curves(found, school, users=users)
        check_items(found, school, users=users)
    check_pdf(found, pdf)


def check_pdf(found: Tables, pdf: bytes) -> None:
    """The PDF has every cell and paragraph of the page."""
    words = re.sub(r"\s+", "", "".join(p.extract_text() for p in PdfReader(io.BytesIO(pdf)).pages))
    for cell in [cell for table in found.tables for row in table for cell in row] + found.paragraphs:
        assert re.sub(r"\s+", "", cell) in words, cell


def check_growth(found: Tables, school: School, *, users: tuple[str, ...]) -> None:
    rows = found.with_heading(say("Week of"), say("Gain in points"))
    assert len(rows) == 9
    for row, weeks_ago in zip(rows, range(8, -1, -1), strict=True):
        gains = [100 * (school.levels[u, monday(weeks_ago)] - school.levels[u, monday(8)]) for u in users]
        half = stats.t.ppf(0.975, len(gains) - 1) * stdev(gains) / math.sqrt(len(gains)) if any(gains) else 0.0
        mean = fmean(gains)
        assert row[1] == wording.signed(mean, 0)
        low, high = wording.signed(mean - half, 0), wording.signed(mean + half, 0)
        assert row[2] == say("{low} to {high}", low=low, high=high)


def check_topics(found: Tables, month: list[Answer], *, week: list[Answer]) -> None:
    rows = {row[0]: row for row in found.with_heading(say("Topic"), say("Students"))}
    assert set(rows) == set(TOPICS)
    for topic, row in rows.items():
        answers = [a for a in month if a.topic == topic]
        right = sum(a.is_right for a in answers)
        assert row[1] == str(len({a.user for a in answers}))
        assert row[2] == str(sum(a.topic == topic for a in week))
        assert row[3] == say("{right} of {answers}", right=right, answers=len(answers))
        assert row[4] == wording.percent(right / len(answers))


def check_curves(found: Tables, school: School, *, users: tuple[str, ...]) -> None:
    curves = [table[1:] for table in found.tables if table[0][-1] == say("Expected right")]
    assert len(curves) == len(TOPICS)
    by_size = sorted(TOPICS, key=lambda t: (-sum(a.topic == t for a in school.of(users, days=56)), t))
    for topic, rows in zip(by_size, curves, strict=True):
        for row, weeks_ago in zip(rows, range(7, -1, -1), strict=True):
            answers = [
                a
                for a in school.answers
                if a.user in users and a.topic == topic and 0 <= (a.at.date() - monday(weeks_ago)).days < 7
            ]
            expected = sum(expected_right(school, a) for a in answers)
            assert row[1:] == [str(len(answers)), str(sum(a.is_right for a in answers)), wording.decimal(expected, 1)]


def check_items(found: Tables, school: School, *, users: tuple[str, ...]) -> None:
    rows = {row[0]: row for row in found.with_heading(say("Question"), say("Topic"))}
    month = school.of(users, days=28)
    assert set(rows) == {str(a.item) for a in month}
    for item, row in rows.items():
        answers = [a for a in month if str(a.item) == item]
        everybody = [(a.is_right, expected_right(school, a)) for a in school.answers if str(a.item) == item]
        infit = sum((x - p) ** 2 for x, p in everybody) / sum(p * (1 - p) for _, p in everybody)
        expected = wording.decimal(sum(expected_right(school, a) for a in answers), 1)
        right, n = sum(a.is_right for a in answers), len(answers)
        a, b = ITEMS[int(item)]
        assert row[2:7] == [
            say("{right} of {answers}", right=right, answers=n),
            say("{right} of {answers}", right=expected, answers=n),
            wording.score(b),
            wording.decimal(a),
            wording.decimal(infit) if len(everybody) >= 50 else "–",
        ]


def test_the_newest_drift_of_each_question_stands_in_the_item_report(
    database: Engine, school: School, renderer: ReportRenderer
) -> None:
    """The first three questions; a comparison of an earlier week says that all moved."""
    items = sorted({a.item for a in school.of(school.classes["c-1"], days=28)}, key=str)[:3]
    newest = (
        {"v": "moved", "change": -0.62, "least": 0.4, "power": 0.95, "topic": {"origin": "who_answers"}},
        {"v": "no_drift", "change": 0.1, "least": 0.44, "power": 0.9, "topic": {"origin": None}},
        {"v": "cannot_be_judged", "change": 0.4, "least": 1.2, "power": 0.16, "topic": None},
    )
    earlier = {"v": "moved", "change": 0.9, "least": 0.4, "power": 0.95, "topic": {"origin": "item"}}
    for item, row in zip(items, newest, strict=True):
        for week, values in ((monday(3), earlier), (monday(0), row)):
            execute(
                database,
                "INSERT INTO item_calibration (item_id, window_id, run_id, week_start, drift_verdict, dif, "
                "minimum_detectable_b, power_b, drift_in_topic) VALUES (:item, 1, :run, :week, :v, "
                "jsonb_build_object('delta_b', CAST(:change AS float8)), :least, :power, CAST(:topic AS jsonb))",
                {**values, "item": item, "week": week, "run": str(week), "topic": json.dumps(values["topic"])},
            )
    (document,) = [d for d in documents(database) if d.subject == "c-1"]
    rows = {row[0]: row for row in Tables(pages_of(renderer, document)[0]).with_heading("Question", "Topic")}
    assert [rows[str(item)][7] for item in items] == [
        "−62 points",
        "none; 44 points or more would show",
        "cannot be judged: only 120 points or more would show, and a severe change in 16% of cases",
    ]
    assert rows[str(items[0])][8] == "It looks easier or harder because other students answer its topic than before."


@pytest.mark.parametrize("code", ["en", "ko"])
def test_every_figure_of_an_organisation_is_that_of_its_classes(
    database: Engine, school: School, renderer: ReportRenderer, code: str
) -> None:
    (document,) = [d for d in documents(database) if d.scope == "organisation"]
    page, pdf = pages_of(renderer, document.model_copy(update={"language": code}))
    found = Tables(page)
    groups = [school.classes["c-1"], school.classes["c-2"], None, school.without_class]
    with speaking(code):
        rows = found.with_heading(say("Class"), say("Students"))
        assert [row[0][:7] for row in rows[:3]] == ["Class 1", "Class 2", "Class 3"]
        assert rows[2][1:] == [say("fewer than {n}", n=5), *["–"] * 6]
        for row, users in zip(rows, groups, strict=True):
            if users is None:
                continue
            week = school.of(users, days=7)
            gains = [100 * (school.levels[u, WEEK] - school.levels[u, monday(8)]) for u in users]
            half = stats.t.ppf(0.975, len(gains) - 1) * stdev(gains) / math.sqrt(len(gains))
            low, high = (wording.signed(fmean(gains) + side * half, 0) for side in (-1, 1))
            assert row[1:] == [
                str(len(users)),
                str(len({a.user for a in week})),
                str(len(week)),
                wording.percent(sum(a.is_right for a in week) / len(week)),
                str(sum(map(needs_help, users))),
                str(len(users) - len({a.user for a in week})),
                f"{wording.signed(fmean(gains), 0)} ({say('{low} to {high}', low=low, high=high)})",
            ]
        # The student of the class that is too small is in no number of the organisation.
        everybody = tuple(user for users in groups if users for user in users)
        week = school.of(everybody, days=7)
        lead = next(p for p in found.paragraphs if wording.answers(len(week)) in p)
        assert {str(len(everybody)), "3"} <= set(re.findall(r"\d+", lead))
        assert wording.percent(sum(a.is_right for a in week) / len(week)) in lead
        check_growth(found, school, users=everybody)
        check_topics(found, school.of(everybody, days=28), week=week)
        check_curves(found, school, users=everybody)
    check_pdf(found, pdf)
    assert "lone" not in page


_WEEK = f"'{WEEK}'"
OPERATORS = {
    "attempt_quarantine": {
        "exam_result_id": "gen_random_uuid()",
        "question_ordinal": "1",
        "reason": "'no_item'",
        "is_excluded": "true",
        "detail": "'d'",
    },
    "prediction_verdict": {
        "week_start": _WEEK,
        "prediction": "'P'",
        "method": "'normal'",
        "students": "19",
        "verdict": "'as_is'",
        "reason": "'fine'",
        "n": "310",
        "n_events": "9",
        "n_weeks": "8",
        "brier_model": "0.1259",
    },
    "fairness_audit": {
        "week_start": _WEEK,
        "prediction": "'S'",
        "group_name": "'17'",
        "covariate": "'org_id'",
        "reference": "'16'",
        "n_students": "41",
        "n": "200",
        "n_events": "60",
        "auc_gap": "-0.114",
        "abroca": "0.127",
        "ranking_verdict": "'gap'",
        "calibration_gap": "0.31",
        "calibration_verdict": "'cannot_be_judged'",
    },
    "drift_alerts": {
        "item_id": "5",
        "window_id": "1",
        "metric": "'delta_b'",
        "value": "0.71",
        "threshold": "0.5",
        "severity": "'severe'",
        "run_id": "'d'",
        "week_start": _WEEK,
    },
    "item_calibration": {
        "item_id": "5",
        "window_id": "1",
        "run_id": "'d'",
        "week_start": _WEEK,
        "drift_verdict": "'moved'",
    },
    "segment_meta": {
        "run_id": "'g'",
        "week_start": _WEEK,
        "method": "'kmeans'",
        "n_clusters": "2",
        "centers": "'{}'",
        "n_users": "19",
        "fitted_at": "now()",
    },
    "segment_profile": {
        "run_id": "'g'",
        "segment_id": "1",
        "week_start": _WEEK,
        "segment_label": "'many_hints'",
        "segment_description": "'x'",
        "centre": "'{}'",
        "scaled_centre": "'{}'",
        "n": "12",
        "share": "0.63",
        "jaccard": "0.41",
        "is_new": "true",
    },
}


def test_the_operators_page_counts_what_the_tables_hold(
    database: Engine, school: School, renderer: ReportRenderer
) -> None:
    for table, values in OPERATORS.items():
        execute(database, f"INSERT INTO {table} ({', '.join(values)}) VALUES ({', '.join(values.values())})")
    document = documents(database)[-1]
    found = Tables(pages_of(renderer, document)[0])
    assert found.with_heading("Reason", "Elements") == [["no_item", "1", "1", "0"]]
    assert found.with_heading("Number", "Verdict") == [
        ["Goal probability (normal)", "published as it is", "19", "310 in 8 weeks", "0.126", "–", "fine"]
    ]
    assert found.with_heading("Question", "Parameter") == [["5", "difficulty", "+0.71", "severe"]]
    assert found.with_heading("Number", "Group") == [
        ["Risk of a pause", "17", "41", "−0.11", "0.13", "a gap", "0.31", "cannot be judged"]
    ]
    page = pages_of(renderer, document)[0]
    assert "by org_id, compared with 16" in html.unescape(page)
    assert found.with_heading("Segment")[0][1:] == ["12", "63%", "0.41", "not stable"]
    # No student has I_t, E_t, R_t, P or S.
    assert {(row[0], row[2]) for row in found.with_heading("Number", "Reason")} == {
        (title, "19") for title in ("Improvement", "Efficiency", "Recovery", "Goal probability", "Risk of a pause")
    }
    assert any("1 questions moved, 0 did not, and 0 cannot" in p for p in found.paragraphs)


def test_rows_are_of_stored_objects_and_the_list_links_them(
    database: Engine, school: School, renders: None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("REPORT_FORMAT", "both")
    execute(database, "DELETE FROM report_artifacts WHERE user_id <> 'one-0'")
    assert made(database, tmp_path).success
    rows = rows_of(
        database, "SELECT scope, subject, format, status, students, name FROM cohort_report ORDER BY 1, 2, 3"
    )
    assert [tuple(row.values()) for row in rows if row["format"] == "html"] == [
        ("class", "c-1", "html", "shown", 7, "Class 1"),
        ("class", "c-2", "html", "shown", 6, "Class 2"),
        ("class", "c-3", "html", "too_small", None, "Class 3"),
        ("organisation", "17", "html", "shown", 18, None),
        ("platform", "", "html", "shown", 19, None),
    ]
    assert len(rows) == 10
    found, said = judge_store(database, ObjectStoreResource.having(folder=tmp_path).store())
    assert not found, "the row of the report of one-0 has no object here"
    assert said.startswith("11 rows and 10 objects: 1 rows without an object, 0 objects without a row")
    index = (tmp_path / "index" / WEEK.isoformat() / "index.html").read_text()
    links = [html.unescape(link) for link in re.findall(r'href="([^"]+)"', index)]
    assert len(links) == 11
    there = [link for link in links if (tmp_path / "index" / WEEK.isoformat() / link).resolve().is_file()]
    assert len(there) == 10
    assert "Work on <bdi>Angles</bdi> first." in html.unescape(index)
    # The file of a page that is gone is found, and a run that is whole replaces the rows of the week.
    (tmp_path / "cohorts" / "class" / "c-1" / WEEK.isoformat() / "report.html").unlink()
    assert "2 rows without an object" in judge_store(database, ObjectStoreResource.having(folder=tmp_path).store())[1]
    execute(database, "UPDATE session SET classroom_id = 'c-1' WHERE classroom_id = 'c-3'")
    monkeypatch.setenv("REPORT_FORMAT", "html")
    assert made(database, tmp_path).success
    assert len(rows_of(database, "SELECT FROM cohort_report")) == 4


def test_a_dry_run_stores_nothing(database: Engine, school: School, renders: None, tmp_path: Path) -> None:
    assert made(database, tmp_path, dry_run=True).success
    assert list(tmp_path.rglob("*.html")) == []
    assert rows_of(database, "SELECT FROM cohort_report") == []


def test_a_page_that_fails_leaves_the_others_and_a_red_run(
    database: Engine, school: School, renders: None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    render_data = ReportRenderer.render_data

    def without_one(self: ReportRenderer, jobs: Any) -> Any:
        for document, answer in render_data(self, jobs):
            yield document, "cell 'x' failed" if document.subject == "c-1" else answer

    monkeypatch.setattr(ReportRenderer, "render_data", without_one)
    result = made(database, tmp_path)
    assert not result.success
    (event,) = [event for event in result.all_events if event.is_step_failure]
    assert "1 of 5 pages could not be made; the page of one class could not be made" in str(
        event.step_failure_data.error
    )
    assert len(rows_of(database, "SELECT FROM cohort_report")) == 4
    assert "c-1" not in str(event.step_failure_data.error)


NO_CLASSES = "DROP TABLE session, classroom CASCADE"


def test_without_tables_of_classes_there_are_organisations_and_the_platform(database: Engine, school: School) -> None:
    found = documents(database, before=NO_CLASSES)
    assert [(d.scope, d.subject, d.is_shown) for d in found] == [("organisation", "17", True), ("platform", "", True)]
    assert found[0].summary is not None
    assert found[0].summary.students == len(school.users)
    assert [part.class_id for part in found[0].classes] == [None]


def test_empty_tables_give_the_operators_page_alone(database: Engine) -> None:
    (document,) = documents(database)
    assert document.scope == "platform"
    assert document.summary is not None
    assert document.summary.students == 0


def test_null_everywhere_and_odd_rows_stop_no_page(database: Engine, school: School, renderer: ReportRenderer) -> None:
    for statement in (
        "UPDATE classroom SET grade = NULL",
        "UPDATE weekly_kpi SET kpis = '{}'",
        """UPDATE weekly_kpi SET kpis = '{"S_days_silent": "x", "S_reason_codes": {"a": 1}}' WHERE user_id = 'one-6'""",
        "UPDATE report_artifacts SET advice = NULL, needs_help = NULL",
        """UPDATE report_artifacts SET advice = '{"rule": 1}' WHERE user_id = 'one-1'""",
        """UPDATE report_artifacts SET advice = '["x"]' WHERE user_id = 'one-2'""",
        """UPDATE report_artifacts SET advice = '[{"rule": 1, "values": []}]' WHERE user_id = 'one-3'""",
        "UPDATE mirt_item_params_history SET a = NULL, b = NULL, flag = 'one_category'",
        "UPDATE mirt_fit_meta SET model_spec = '{\"scale_origin\": \"own\"}', metrics = '[]'",
        "UPDATE attempt_log SET topic_id = NULL, org_id = NULL",
        "DELETE FROM ability_state",
        "DELETE FROM ability_topic_state",
    ):
        execute(database, statement)
    for document in documents(database):
        page, _ = pages_of(renderer, document)
        assert "None" not in page.partition("<main>")[2]
    (document,) = [d for d in documents(database) if d.subject == "c-1"]
    assert document.curves == ()
    assert {item.expected for item in document.items} == {None}


def test_hostile_names_of_classes_organisations_and_topics_are_text(
    database: Engine, school: School, tmp_path: Path
) -> None:
    attack = "<script>alert(1)</script>/../{{< include x >}}"
    execute(database, "UPDATE classroom SET name = :x || id, org_id = :x", {"x": attack})
    execute(database, "UPDATE session SET classroom_id = :x || classroom_id WHERE classroom_id = 'c-2'", {"x": attack})
    execute(database, "UPDATE features_topic_daily SET topic_id = :x WHERE topic_id = 'Angles'", {"x": attack})
    execute(database, "INSERT INTO student_name VALUES ('one-1', :x)", {"x": attack})
    assert made(database, tmp_path).success
    pages = [path for path in tmp_path.rglob("*.html") if path.is_file()]
    assert len(pages) == 7
    for path in pages:
        page = path.read_text()
        assert "<script" not in page
        assert "{{<" not in page
        assert path.is_relative_to(tmp_path)
        assert not set("<>{} ") & set(path.relative_to(tmp_path).as_posix())
    assert sum(attack in html.unescape(path.read_text()) for path in pages) >= 5


def test_an_older_class_does_not_count_and_the_newest_session_does(database: Engine, school: School) -> None:
    execute(database, "INSERT INTO session (id, user_id, classroom_id) VALUES ('new', 'one-0', 'c-2')")
    newest = "(SELECT id FROM attempt_log WHERE user_id = 'one-0' ORDER BY completed_at DESC LIMIT 1)"
    execute(database, f"UPDATE attempt_log SET session_id = 'new' WHERE id = {newest}")
    sizes = {d.subject: len(d.students) for d in documents(database) if d.scope == "class"}
    assert sizes == {"c-1": 6, "c-2": 7, "c-3": 0}
    execute(
        database, "UPDATE attempt_log SET completed_at = completed_at - INTERVAL '30 weeks' WHERE user_id = 'one-1'"
    )
    sizes = {d.subject: len(d.students) for d in documents(database) if d.scope == "class"}
    assert sizes == {"c-1": 5, "c-2": 7, "c-3": 0}


def test_the_minimum_is_a_setting(database: Engine, school: School) -> None:
    shown = {d.subject: d.is_shown for d in documents(database, minimum=7)}
    assert shown == {"c-1": True, "c-2": False, "c-3": False, "17": True, "": True}
    (organisation,) = [d for d in documents(database, minimum=7) if d.scope == "organisation"]
    assert organisation.summary is not None
    assert organisation.summary.students == 7
    assert all(not d.is_shown for d in documents(database, minimum=50) if d.scope != "platform")
