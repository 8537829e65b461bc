"""A run of the reports fails when a report is missing, and still publishes the finished ones."""

import datetime as dt
import errno
import html
import json
import os
import re
import stat
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import unquote, urlsplit

import dagster as dg
import numpy as np
import pytest
from sqlalchemy import Engine

from seedtest_analytics.assets.framework.shards import WHOLE
from seedtest_analytics.assets.psychometrics.calibration.week import calibrate_week
from seedtest_analytics.assets.report_work import WeekResult
from seedtest_analytics.assets.reports import _link, problem, weekly_report
from seedtest_analytics.database.sql_files import statement
from seedtest_analytics.resources.object_store import ObjectStoreResource
from seedtest_analytics.resources.quarto.renderer import ReportRenderer
from seedtest_analytics.resources.quarto.resource import QuartoResource
from seedtest_analytics.settings import CalibrationSettings, Settings
from tests._database import execute, rows_of
from tests.assets._activity import postgres_of
from tests.assets._items import Bank, store_answers, week
from tests.assets._week_runs import outcomes_of

WEEK = "2026-03-02"


@pytest.fixture(autouse=True)
def one_page(monkeypatch: pytest.MonkeyPatch) -> None:
    """The family's page alone, which takes half the time."""
    monkeypatch.setenv("REPORT_TEACHER_PAGES", "false")


def made(engine: Engine, folder: Path, **config: Any) -> dg.ExecuteInProcessResult:
    with dg.DagsterInstance.ephemeral() as instance:
        return dg.materialize(
            [weekly_report],
            partition_key=WEEK,
            instance=instance,
            resources={
                "postgres": postgres_of(engine),
                "object_store": ObjectStoreResource.having(folder=folder),
                "quarto": QuartoResource.having(workers=1, renderer="embedded"),
            },
            run_config={"ops": {"weekly_report": {"config": config}}},
            raise_on_error=False,
        )


def failure_of(result: dg.ExecuteInProcessResult) -> str:
    (event,) = [event for event in result.all_events if event.is_step_failure]
    return str(event.step_failure_data.error)


def store_kpis(engine: Engine, users: list[str]) -> None:
    execute(
        engine,
        "INSERT INTO weekly_kpi (user_id, week_start, kpis) VALUES (:user, :week, CAST(:kpis AS jsonb))",
        [{"user": u, "week": dt.date.fromisoformat(WEEK), "kpis": json.dumps({"A_t": 0.5})} for u in users],
    )


@pytest.mark.parametrize(
    ("found_of_week", "expected"),
    [
        (WeekResult(rendered=3), []),
        (WeekResult(unchanged=3), []),
        (WeekResult(), ["no student has KPIs"]),
        (
            WeekResult(rendered=1, failed=1, failures=("cell 'x' failed",)),
            ["1 of 2 reports could not be made; cell 'x' failed"],
        ),
        (WeekResult(rendered=2, refusal="the disk is full"), ["2 reports are stored and recorded"]),
        (
            WeekResult(failed=1, failures=("a",), refusal="b"),
            ["0 reports are stored", "1 of 1 reports could not be made; a"],
        ),
    ],
)
def test_each_way_to_miss_a_report_is_one_problem(found_of_week: WeekResult, expected: list[str]) -> None:
    found = problem(week(0), found_of_week)
    assert len(found) == len(expected)
    for text, part in zip(found, expected, strict=True):
        assert text.startswith(f"week of {week(0).key}: ")
        assert part in text


def test_a_week_without_kpis_is_no_success(database: Engine, tmp_path: Path) -> None:
    result = made(database, tmp_path)
    assert not result.success
    assert "no student has KPIs" in failure_of(result)


def test_a_report_that_fails_leaves_the_others_and_a_red_run(
    database: Engine, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    store_kpis(database, ["anna", "ben", "cleo"])
    render_many = ReportRenderer.render_many

    def without_ben(self: ReportRenderer, documents: Any) -> Any:
        from seedtest_analytics.resources.quarto.renderer import RenderFailure

        for outcome in render_many(self, documents):
            is_ben = outcome.user_id == "ben"
            yield RenderFailure("ben", outcome.week_start, message="cell 'x' failed") if is_ben else outcome

    monkeypatch.setattr(ReportRenderer, "render_many", without_ben)
    result = made(database, tmp_path)
    assert not result.success
    assert "1 of 3 reports could not be made" in failure_of(result)
    stored = rows_of(database, "SELECT user_id FROM report_artifacts ORDER BY user_id")
    assert [row["user_id"] for row in stored] == ["anna", "cleo"]


ODD_KPIS: list[dict[str, Any]] = [
    {"A_t": 1.7531},
    {"S": -0.1},
    {"P": "high"},
    {"I_t": [0.5]},
    {"R_t": True},
    {"A_t": 1e308},
    {"sigma": -1},
]


def test_a_kpi_out_of_range_withholds_that_report_only_and_the_message_names_the_row(
    database: Engine, tmp_path: Path
) -> None:
    odd = [f"odd-{number}" for number in range(len(ODD_KPIS))]
    store_kpis(database, ["anna", *odd, "zoe"])
    for user, kpis in zip(odd, ODD_KPIS, strict=True):
        execute(
            database,
            "UPDATE weekly_kpi SET kpis = CAST(:kpis AS jsonb) WHERE user_id = :user",
            {"user": user, "kpis": json.dumps(kpis)},
        )
    result = made(database, tmp_path)
    assert not result.success
    stored = rows_of(database, "SELECT user_id FROM report_artifacts ORDER BY user_id")
    assert [row["user_id"] for row in stored] == ["anna", "zoe"]
    message = failure_of(result)
    assert f"{len(odd)} of {len(odd) + 2} reports could not be made" in message
    assert "A_t must be null or a number from 0 to 1" in message
    (condition,) = re.findall(r"weekly_kpi where (.* and md5\(user_id\) = '[0-9a-f]{32}')", message)
    assert rows_of(database, f"SELECT user_id FROM weekly_kpi WHERE {condition}") == [{"user_id": "odd-0"}]
    assert "odd-0" not in message
    assert "1.7531" not in message


@pytest.mark.parametrize(
    "kpis",
    [
        {"A_t_n_attempts": "many"},
        {"A_t_n_attempts": 1.5},
        {"A_t_n_attempts": {}},
        {"P_fit_week": "2026-13-45"},
        {"P_fit_week": "NA"},
        {"P_fit_week": ""},
    ],
)
def test_a_key_of_another_type_in_one_row_stops_no_report(
    database: Engine, tmp_path: Path, kpis: dict[str, Any]
) -> None:
    store_kpis(database, ["anna", "odd"])
    statement = "UPDATE weekly_kpi SET kpis = kpis || CAST(:kpis AS jsonb) WHERE user_id = 'odd'"
    execute(database, statement, {"kpis": json.dumps(kpis)})
    assert made(database, tmp_path).success
    assert len(rows_of(database, "SELECT FROM report_artifacts")) == 2


def test_the_page_of_the_asset_links_the_reports_and_a_hostile_name_stays_inside_its_link(
    database: Engine, tmp_path: Path
) -> None:
    names = ["a](javascript:alert(1))", "../../etc/passwd", "<img src=x onerror=alert(1)>", "zoe"]
    store_kpis(database, names)
    result = made(database, tmp_path)
    events = result.asset_materializations_for_node("weekly_report")
    (event,) = [event for event in events if event.asset_key == dg.AssetKey("weekly_report")]
    assert event.metadata["folder"] == dg.MetadataValue.path(str(tmp_path / "reports"))
    for number in (1, 2, 3):
        found = event.metadata[f"example_{number}"]
        assert isinstance(found, dg.PathMetadataValue)
        path = Path(str(found.value))
        assert path.read_bytes().startswith(b"<!DOCTYPE html>")
        assert path.is_relative_to(tmp_path / "reports")
        assert not set("<>()[]:\"' ") & set(str(path.relative_to(tmp_path)))
    assert "example_4" not in event.metadata


@pytest.mark.parametrize(
    ("url", "expected"),
    [
        ("https://s3.example/reports/a~20b/r.html", dg.MetadataValue.url("https://s3.example/reports/a~20b/r.html")),
        ("file:///srv/my%20reports/a~20b/r.html", dg.MetadataValue.path("/srv/my reports/a~20b/r.html")),
    ],
)
def test_a_browser_opens_no_file_from_a_page_so_a_file_is_shown_as_a_path(url: str, expected: Any) -> None:
    assert _link(url) == expected


def test_a_dry_run_stores_nothing(database: Engine, tmp_path: Path) -> None:
    store_kpis(database, ["anna"])
    result = made(database, tmp_path, dry_run=True)
    assert result.success
    assert list(tmp_path.rglob("*.html")) == []
    assert rows_of(database, "SELECT * FROM report_artifacts") == []


def test_a_disk_that_is_full_in_the_middle_keeps_what_was_stored_and_is_gone_on_with(
    database: Engine, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    users = [f"u{number}" for number in range(5)]
    store_kpis(database, users)

    def stored() -> set[str]:
        return {path.parents[1].name for path in tmp_path.rglob("report.html")}

    def recorded() -> set[str]:
        return {row["user_id"] for row in rows_of(database, "SELECT user_id FROM report_artifacts")}

    def fsync(file: int) -> None:
        if len(stored()) == 2 and stat.S_ISREG(os.fstat(file).st_mode):
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    with monkeypatch.context() as patch:
        patch.setattr(os, "fsync", fsync)
        message = failure_of(made(database, tmp_path))
    assert "2 reports are stored and recorded" in message
    assert "the disk is full; free space there" in message
    assert len(stored()) == 2
    assert recorded() == stored()

    assert made(database, tmp_path).success
    assert recorded() == stored() == set(users)


def test_an_old_week_shows_the_items_as_they_were_calibrated_then(database: Engine) -> None:
    bank = Bank.drawn(24, seed=5)
    bank.store(database)
    theta = np.random.default_rng(6).normal(0.0, 1.0, 300)
    store_answers(database, bank, week(0), theta, seed=7)
    store_answers(database, bank.moved({3: 1.5}), week(1), theta, seed=8, prefix="v")
    settings = CalibrationSettings(lookback_days=7)
    for at in (week(0), week(1)):
        outcomes_of(database, at, compute=calibrate_week, settings=Settings(calibration=settings))
    then = week(0)
    execute(
        database,
        "INSERT INTO weekly_kpi (user_id, week_start, kpis) VALUES ('u0', :w, '{\"A_t\": 0.5}')",
        {"w": then.start},
    )
    parameters = {
        "week_start": then.start,
        "as_of": then.as_of,
        "timezone": "UTC",
        "max_users": None,
        "user_id": None,
        **WHOLE.parameters,
    }
    with database.connect() as connection:
        document = json.loads(connection.execute(statement("reports/documents.sql"), parameters).scalar_one())
    shown = {item["item_id"]: item["difficulty"] for item in document["item_params"]}
    (was,) = rows_of(
        database, "SELECT b FROM mirt_item_params_history WHERE item_id = '3' AND week_start = :w", w=then.start
    )
    (current,) = rows_of(database, "SELECT (params ->> 'b')::float8 AS b FROM mirt_item_params WHERE item_id = '3'")
    assert len(shown) == 24
    assert shown["3"] == pytest.approx(was["b"])
    assert current["b"] > was["b"] + 0.5


def store_answers_of_the_week(engine: Engine, user: str) -> None:
    execute(
        engine,
        "INSERT INTO features_topic_daily (user_id, topic_id, date, attempts, correct) VALUES (:user, 't-1', :day, 20, 6)",
        {"user": user, "day": dt.date.fromisoformat(WEEK)},
    )


@pytest.fixture
def users(database: Engine) -> Iterator[Engine]:
    """A database in which a test may create the table users of the web application."""
    yield database
    execute(database, "DROP TABLE IF EXISTS users")


def test_each_reader_gets_the_report_in_the_own_language_with_names(
    database: Engine, users: Engine, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("REPORT_LANGUAGE", "ko")
    monkeypatch.setenv("REPORT_TEACHER_PAGES", "true")
    store_kpis(database, ["anna", "ben", "cleo", "dan"])
    execute(users, "CREATE TABLE users (id text, language text)")
    execute(database, "INSERT INTO users VALUES ('anna', 'en-US'), ('ben', 'KO'), ('cleo', 'tlh'), ('gone', 'en')")
    execute(database, "INSERT INTO student_name VALUES ('anna', 'Anna Kim'), ('ben', '김벤')")
    execute(database, "INSERT INTO topic_name VALUES ('t-1', 'ko', '분수'), ('t-1', 'en', 'Fractions')")
    for user in ("anna", "ben"):
        store_answers_of_the_week(database, user)
    assert made(database, tmp_path).success
    rows = rows_of(database, "SELECT user_id, language, advice, needs_help FROM report_artifacts ORDER BY user_id")
    assert [(row["user_id"], row["language"]) for row in rows] == [
        ("anna", "en"),
        ("ben", "ko"),
        ("cleo", "ko"),
        ("dan", "ko"),
    ]
    assert [one["rule"] for one in rows[0]["advice"]] == ["begun_topic", "low_accuracy"]
    assert [row["needs_help"] for row in rows] == [True] * 4
    for user, words in (("anna", ("Anna Kim", "Fractions", "Where you stand")), ("ben", ("김벤", "분수", "지금 수준"))):
        page = html.unescape((tmp_path / "reports" / user / WEEK / "report.html").read_text())
        assert all(word in page for word in words)
        assert "t-1" not in page
        assert user not in page
    (listed,) = rows_of(database, "SELECT url, language FROM report_pages WHERE page = 'index' AND subject = ''")
    index = html.unescape(Path(unquote(urlsplit(listed["url"]).path)).read_text())
    assert "주간 리포트 목록" in index
    assert "학생 4명 · 도움이 필요한 학생 4명" in index
    links = re.findall(r'href="([^"]+)"', index)
    assert len(links) == 8
    assert all((tmp_path / "index" / WEEK / link).resolve().is_file() for link in links)
    pages = rows_of(
        database, "SELECT page, subject, language, url FROM report_pages WHERE page = 'teacher' ORDER BY subject"
    )
    assert [(row["page"], row["subject"], row["language"]) for row in pages] == [
        ("teacher", "anna", "en"),
        ("teacher", "ben", "ko"),
        ("teacher", "cleo", "ko"),
        ("teacher", "dan", "ko"),
    ]
    for row in pages:
        assert Path(unquote(urlsplit(row["url"]).path)).name == "teacher.html"
        assert Path(unquote(urlsplit(row["url"]).path)).is_file()


@pytest.mark.parametrize("columns", ["id text", "id uuid, region text", "language text"])
def test_a_table_of_users_without_languages_is_passed_over(
    database: Engine, users: Engine, tmp_path: Path, columns: str
) -> None:
    store_kpis(database, ["anna"])
    execute(users, f"CREATE TABLE users ({columns})")
    assert made(database, tmp_path).success
    assert rows_of(database, "SELECT language FROM report_artifacts") == [{"language": "en"}]


def test_a_student_without_answers_gets_no_report_by_the_setting(
    database: Engine, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("REPORT_SILENT_STUDENTS", "none")
    store_kpis(database, ["anna", "silent"])
    store_answers_of_the_week(database, "anna")
    assert made(database, tmp_path).success
    assert rows_of(database, "SELECT user_id FROM report_artifacts") == [{"user_id": "anna"}]


def test_both_formats_have_a_row_and_a_file_each(
    database: Engine, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("REPORT_FORMAT", "both")
    store_kpis(database, ["anna"])
    assert made(database, tmp_path).success
    rows = rows_of(database, "SELECT format, size_bytes FROM report_artifacts ORDER BY format")
    assert [row["format"] for row in rows] == ["html", "pdf"]
    folder = tmp_path / "reports" / "anna" / WEEK
    assert (folder / "report.pdf").read_bytes().startswith(b"%PDF-1.7")
    assert (folder / "report.pdf").stat().st_size == rows[1]["size_bytes"]


def test_a_document_has_the_growth_of_its_own_week(database: Engine) -> None:
    monday = dt.date.fromisoformat(WEEK)
    store_kpis(database, ["anna", "ben"])
    for start, percentile in ((monday, 62.0), (monday - dt.timedelta(days=7), 11.0)):
        execute(
            database,
            "INSERT INTO student_growth (user_id, week_start, level, percentile, target, target_source, horizon_date, "
            "horizon_source, distance, needed_pace, n_reference, method, fitted_at) VALUES ('anna', :week, 0.1, :p, 0.5, "
            "'default', :week, 'configured', 0.4, 0.05, 90, 'm', now())",
            {"week": start, "p": percentile},
        )
    as_of = dt.datetime.combine(monday + dt.timedelta(days=7), dt.time(), dt.UTC)
    parameters: dict[str, Any] = {
        "week_start": monday,
        "as_of": as_of,
        "timezone": "UTC",
        "max_users": None,
        "user_id": None,
    } | WHOLE.parameters
    with database.connect() as connection:
        found = [json.loads(d) for d in connection.execute(statement("reports/documents.sql"), parameters).scalars()]
    assert found[0]["student_growth"]["percentile"] == 62.0
    assert found[0]["student_growth"]["needed_pace"] == 0.05
    assert found[1]["student_growth"] is None
