"""`seedtest export`: the same values in every format as in the table and its report, with a dictionary, and no formulas."""

import csv
import io
import json
import zipfile
from pathlib import Path
from typing import Any

import openpyxl
import pyarrow.parquet as pq
import pytest
from sqlalchemy import Engine, text

from tests.cli.conftest import Seedtest

KPIS: dict[str, Any] = {
    "I_t": 0.25,
    "E_t": None,
    "R_t": 0.5,
    "A_t": 0.75,
    "P": 0.4,
    "P_lower": 0.3,
    "P_upper": 0.5,
    "S": 0.125,
    "theta": -0.5,
    "theta_se": 0.25,
    "sessions": 3,
    "S_reasons": ["=cmd|' /C calc'!A0"],
    "E_t_reason": "@too few",
}
HOSTILE = '=HYPERLINK("http://x.example","kim")'


@pytest.fixture
def rows(database: Engine, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    monkeypatch.chdir(tmp_path)
    with database.begin() as connection:
        for user, week in ((HOSTILE, "2026-03-02"), ("이", "2026-03-09"), ("kim", "2026-03-02")):
            connection.execute(
                text("INSERT INTO weekly_kpi (user_id, week_start, kpis) VALUES (:user, :week, CAST(:kpis AS jsonb))"),
                {"user": user, "week": week, "kpis": json.dumps(KPIS)},
            )
    return tmp_path


def export(seedtest: Seedtest, database: Engine, *arguments: str) -> str:
    url = database.url.render_as_string(hide_password=False)
    code, output = seedtest("export", *arguments, DATABASE_URL=url)
    assert code == 0, output
    return output


def read(path: Path, format_: str) -> list[dict[str, Any]]:
    if format_ == "csv":
        return list(csv.DictReader(path.read_text(encoding="utf-8-sig").splitlines()))
    if format_ == "parquet":
        return list(pq.read_table(path).to_pylist())
    header, *lines = openpyxl.load_workbook(path)["rows"].iter_rows(values_only=True)
    return [dict(zip(map(str, header), line, strict=True)) for line in lines]


@pytest.mark.parametrize("format_", ["csv", "parquet", "xlsx"])
def test_every_format_has_the_values_of_the_table(
    seedtest: Seedtest, database: Engine, rows: Path, format_: str
) -> None:
    assert "3 rows of weekly_kpi" in export(seedtest, database, "--table", "weekly_kpi", "--format", format_)
    path = rows / f"weekly_kpi.{format_}"
    assert path.stat().st_mode & 0o077 == 0
    found = {row["user_id"].lstrip("'"): row for row in read(path, format_)}
    assert set(found) == {HOSTILE, "이", "kim"}
    row = found["kim"]
    for name in ("I_t", "R_t", "A_t", "P", "P_lower", "S", "theta", "theta_se"):
        assert float(row[name]) == KPIS[name], name
    assert int(row["sessions"]) == 3
    assert row["E_t"] in (None, "")
    assert str(row["week_start"])[:10] == "2026-03-02"


@pytest.mark.parametrize("format_", ["csv", "xlsx"])
def test_no_cell_begins_like_a_formula(seedtest: Seedtest, database: Engine, rows: Path, format_: str) -> None:
    export(seedtest, database, "--table", "weekly_kpi", "--format", format_)
    texts = [
        value
        for row in read(rows / f"weekly_kpi.{format_}", format_)
        for name, value in row.items()
        if isinstance(value, str) and name in ("user_id", "E_t_reason", "S_reasons")
    ]
    assert f"'{HOSTILE}" in texts
    assert "'@too few" in texts
    assert not [value for value in texts if value.startswith(("=", "+", "-", "@"))]


def test_the_dictionary_names_every_column_with_its_meaning(seedtest: Seedtest, database: Engine, rows: Path) -> None:
    export(seedtest, database, "--table", "weekly_kpi")
    meanings = {row["column"]: row for row in read(rows / "weekly_kpi.csv.dictionary.csv", "csv")}
    assert list(meanings) == list(read(rows / "weekly_kpi.csv", "csv")[0])
    assert meanings["S"]["meaning"] == "Churn risk: probability of no attempt within the horizon."
    export(seedtest, database, "--table", "weekly_kpi", "--format", "xlsx")
    sheet = openpyxl.load_workbook(rows / "weekly_kpi.xlsx")["dictionary"]
    assert [row[0] for row in sheet.iter_rows(values_only=True)][1:] == list(meanings)


def test_weeks_limit_the_rows(seedtest: Seedtest, database: Engine, rows: Path) -> None:
    export(seedtest, database, "--table", "weekly_kpi", "--from", "2026-03-09", "--out", "later.csv")
    assert [row["user_id"] for row in read(rows / "later.csv", "csv")] == ["이"]


def test_every_table_can_be_exported(seedtest: Seedtest, database: Engine, rows: Path) -> None:
    from seedtest_analytics.database.table_export import export_columns, export_rows, exportable
    from seedtest_analytics.tables import table_named

    with database.connect() as connection:
        for name in exportable():
            table = table_named(name)
            list(export_rows(connection, table, columns=export_columns(table)))
    code, output = seedtest("export", "--table", "students")
    assert code == 2
    assert "weekly_kpi" in output


def test_oneroster_results_equal_the_table_and_lead_to_their_class(
    seedtest: Seedtest, database: Engine, rows: Path
) -> None:
    with database.begin() as connection:
        for statement in (
            "INSERT INTO classroom (id, org_id, name) VALUES ('c1', 'o1', 'a'), ('c2', 'o1', 'b')",
            "INSERT INTO enrolment (id, classroom_id, user_id, user_source_id, role, is_homeroom, ends_on) VALUES "
            "('e1', 'c1', 'kim', 'source-kim', 'student', false, NULL), "
            "('e2', 'c2', 'kim', 'source-kim', 'student', true, NULL), "
            "('e3', 'c1', '이', 'source-lee', 'student', false, DATE '2026-03-09')",
        ):
            connection.execute(text(statement))
    output = export(seedtest, database, "--format", "oneroster")
    assert "6 results of 6 line items" in output
    assert "2 students have no class" in output
    path = rows / "oneroster.zip"
    assert path.stat().st_mode & 0o077 == 0
    with zipfile.ZipFile(path) as archive:
        files = {
            name.removesuffix(".csv"): list(csv.DictReader(io.StringIO(archive.read(name).decode())))
            for name in archive.namelist()
        }
    declared = {row["propertyName"]: row["value"] for row in files.pop("manifest")}
    assert declared["oneroster.version"] == "1.2"
    assert {name for name, mode in declared.items() if mode == "bulk"} == {f"file.{name}" for name in files}
    items = {row["sourcedId"]: row for row in files["lineItems"]}
    found = {items[row["lineItemSourcedId"]]["title"]: row for row in files["results"]}
    assert {title: float(row["score"]) for title, row in found.items()} == {
        f"{name} 2026-W10": KPIS[name] for name in ("theta", "I_t", "R_t", "A_t", "P", "S")
    }
    theta, goal = found["theta 2026-W10"], found["P 2026-W10"]
    assert (theta["studentSourcedId"], theta["classSourcedId"], theta["scoreDate"]) == (
        "source-kim",
        "c2",
        "2026-03-08",
    )
    assert (theta["metadata.standardError"], theta["comment"]) == ("0.25", "standard error 0.25")
    assert (goal["metadata.lower"], goal["metadata.upper"], goal["metadata.standardError"]) == ("0.3", "0.5", "")
    sessions = {row["sourcedId"] for row in files["academicSessions"]}
    categories = {row["sourcedId"] for row in files["categories"]}
    for item in items.values():
        assert item["academicSessionSourcedId"] in sessions
        assert item["categorySourcedId"] in categories
        assert item["schoolSourcedId"] == "o1"
    first = path.read_bytes()
    export(seedtest, database, "--format", "oneroster", "--from", "2026-03-09")
    assert path.read_bytes() != first
    with zipfile.ZipFile(path) as archive:
        assert len(archive.read("results.csv").splitlines()) == 1


@pytest.mark.parametrize("format_", ["csv", "parquet", "xlsx", "oneroster"])
def test_an_earlier_file_that_all_could_read_becomes_private(
    seedtest: Seedtest, database: Engine, rows: Path, format_: str
) -> None:
    out = rows / f"kpis.{format_}"
    out.touch()
    out.chmod(0o644)
    url = database.url.render_as_string(hide_password=False)
    code, output = seedtest("export", "--format", format_, "--out", str(out), DATABASE_URL=url)
    assert code == 0, output
    assert out.stat().st_mode & 0o077 == 0
