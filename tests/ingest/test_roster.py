"""Rosters in OneRoster CSV: whole and as changes, from a folder and an archive, with hostile names and broken references."""

from __future__ import annotations

import datetime as dt
import zipfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import Engine

from seedtest_analytics.database.sql_files import statement
from seedtest_analytics.ingest import LoadError
from tests._database import execute, rows_of
from tests.ingest.test_commands import run as run_fixture
from tests.ingest.test_files import GOOD, HEADER

run = run_fixture
HOSTILE = "Robert'); DROP TABLE students;--"

FILES = {
    "orgs": "sourcedId,status,dateLastModified,name,type,identifier,parentSourcedId\n"
    "o1,,,서울고등학교,school,,\n"
    "o2,,,Other,school,,\n",
    "classes": "sourcedId,status,dateLastModified,title,grades,courseSourcedId,classCode,classType,location,"
    "schoolSourcedId,termSourcedIds,subjects,subjectCodes,periods\n"
    "c1,,,3-2,09,co1,,homeroom,,o1,t1,,,\n"
    'c2,,,Algebra,"09,10",co1,,scheduled,,o1,t1,,,\n'
    "c3,,,Algebra,KG,co1,,scheduled,,o1,t1,,,\n"
    "c4,,,Lost,09,co1,,scheduled,,o9,t1,,,\n",
    "users": "sourcedId,status,dateLastModified,enabledUser,username,userIds,givenName,familyName,middleName,identifier,"
    "email,sms,phone,agentSourcedIds,grades,password,userMasterIdentifier,resourceSourcedIds,preferredGivenName,"
    "preferredMiddleName,preferredFamilyName,primaryOrgSourcedId,pronouns\n"
    "u1,,,true,ann,,민수,김,,1001,a@x.example,,,,09,S3cret!,,,,,,o1,\n"
    f'u2,,,true,bob,,"{HOSTILE}",O\'Neil,,1002,b@x.example,,,,09,S3cret!,,,Bo,,,o1,\n'
    "u3,,,true,tea,,Terry,Teacher,,1003,t@x.example,,,,,S3cret!,,,,,,o1,\n"
    "u4,,,true,=1+1,,<script>alert(1)</script>,\"=cmd|' /C calc'!A0\",,1004,,,,,,S3cret!,,,,,,o1,\n"
    'u5,,,true,new,,"line\nbreak",Five,,1005,,,,,,S3cret!,,,,,,o1,\n',
    "roles": "sourcedId,status,dateLastModified,userSourcedId,roleType,role,beginDate,endDate,orgSourcedId,"
    "userProfileSourcedId\n"
    "r1,,,u1,primary,student,,,o1,\nr2,,,u2,primary,student,,,o1,\nr3,,,u3,primary,teacher,,,o1,\n"
    "r4,,,u4,primary,student,,,o1,\n",
    "enrollments": "sourcedId,status,dateLastModified,classSourcedId,schoolSourcedId,userSourcedId,role,primary,beginDate,"
    "endDate\n"
    "e1,,,c1,o1,u1,student,,2026-03-01,2027-01-01\ne2,,,c2,o1,u1,student,,,\ne3,,,c1,o1,u3,teacher,true,,\n"
    "e4,,,c1,o1,u2,student,,,\n",
}
NOT_USED = ("academicSessions", "courses")


def write(folder: Path, files: Mapping[str, str], *, mode: str = "bulk", version: str = "1.2") -> Path:
    """A roster's folder with a manifest; files that the platform does not use are declared too."""
    folder.mkdir(exist_ok=True)
    declared = [f"file.{name},{mode if name in files else 'absent'}" for name in FILES]
    declared += [f"file.{name},{mode}" for name in NOT_USED]
    head = f"propertyName,value\nmanifest.version,1.0\noneroster.version,{version}\n"
    (folder / "manifest.csv").write_text(head + "\n".join([*declared, "source.systemName,SIS", ""]))
    for name, content in files.items():
        (folder / f"{name}.csv").write_text(content, encoding="utf-8")
    for name in NOT_USED:
        (folder / f"{name}.csv").write_text("sourcedId\nx1\n")
    return folder


def packed(folder: Path, *, inside: str = "") -> Path:
    path = folder.with_suffix(".zip")
    with zipfile.ZipFile(path, "w") as archive:
        for file in sorted(folder.iterdir()):
            archive.write(file, f"{inside}{file.name}")
    return path


@pytest.fixture
def roster(tmp_path: Path) -> Path:
    return write(tmp_path / "roster", FILES)


def state(engine: Engine) -> dict[str, list[tuple[Any, ...]]]:
    queries = {
        "classroom": "SELECT id, org_id, name, grade FROM classroom ORDER BY 1",
        "student_name": "SELECT user_id, name FROM student_name ORDER BY 1",
        "enrolment": "SELECT id, classroom_id, user_id, role, is_homeroom, begins_on::text, ends_on::text "
        "FROM enrolment ORDER BY 1",
    }
    return {name: [tuple(row.values()) for row in rows_of(engine, query)] for name, query in queries.items()}


WHOLE = {
    "classroom": [("c1", "o1", "3-2", 9), ("c2", "o1", "Algebra (c2)", None), ("c3", "o1", "Algebra (c3)", 0)],
    "student_name": [("u1", "김민수"), ("u2", "Bo O'Neil"), ("u4", "<script>alert(1)</script> =cmd|' /C calc'!A0")],
    "enrolment": [
        ("e1", "c1", "u1", "student", True, "2026-03-01", "2027-01-01"),
        ("e2", "c2", "u1", "student", False, None, None),
        ("e3", "c1", "u3", "teacher", True, None, None),
        ("e4", "c1", "u2", "student", True, None, None),
    ],
}


@pytest.mark.parametrize("form", ["folder", "manifest", "zip", "zip with a folder"])
def test_a_roster_is_recognised_and_loaded_once(run: Any, database: Engine, roster: Path, form: str) -> None:
    path = {
        "folder": lambda: roster,
        "manifest": lambda: roster / "manifest.csv",
        "zip": lambda: packed(roster),
        "zip with a folder": lambda: packed(roster, inside="export/"),
    }[form]()
    result = run("load", str(path))
    assert result.exit_code == 0, repr(result.exception)
    assert state(database) == WHOLE
    for part in ("OneRoster 1.2", "3 new, 0 changed", "not used", "schoolSourcedId_unknown", "givenName_absurd"):
        assert part in result.output
    versions = "SELECT id, xmin::text FROM {}"
    before = {name: rows_of(database, versions.format(name)) for name in ("classroom", "enrolment")}
    again = run("load", str(path))
    assert "4 unchanged" in again.output
    assert {name: rows_of(database, versions.format(name)) for name in before} == before
    assert state(database) == WHOLE


def test_nothing_secret_is_kept_or_shown(run: Any, database: Engine, roster: Path) -> None:
    output = run("load", str(roster)).output
    rejects = rows_of(
        database, "SELECT file_name, row_number, reason, raw_row::text AS raw FROM load_rejects ORDER BY 1, 2"
    )
    assert [tuple(row.values())[:3] for row in rejects] == [
        ("roster/classes.csv", 4, "schoolSourcedId_unknown"),
        ("roster/users.csv", 5, "givenName_absurd"),
    ]
    for secret in ("S3cret!", "@x.example", "DROP TABLE", "Five"):
        assert secret not in output + "".join(row["raw"] for row in rejects)


def test_a_dry_run_tells_the_same_and_writes_nothing(run: Any, database: Engine, roster: Path) -> None:
    output = run("load", str(roster), "--dry-run").output
    assert "nothing was written" in output
    assert "3 new, 0 changed" in output
    assert not any(state(database).values())
    assert rows_of(database, "SELECT FROM load_rejects") == []


def test_changes_add_correct_and_remove(run: Any, database: Engine, roster: Path, tmp_path: Path) -> None:
    run("load", str(roster))
    head = {name: FILES[name].split("\n", 1)[0] + "\n" for name in FILES}
    now = "active,2026-04-01T00:00:00.000Z"
    gone = "tobedeleted,2026-04-01T00:00:00.000Z"
    changes = {
        "classes": head["classes"] + f"c1,{now},3-3,10,co1,,homeroom,,o1,t1,,,\nc3,{gone},,,,,,,,,,,\n",
        "users": head["users"] + f"u1,{now},true,ann,,민호,김,,1001,,,,,,,,,,,,o1,\nu4,{gone}" + "," * 20 + "\n",
        "enrollments": head["enrollments"]
        + f"e2,{gone},,,,,,,\ne9,{now},c1,o1,u8,student,,,\ne10,{now},c7,o1,u1,student,,,\n",
    }
    result = run("load", str(write(tmp_path / "delta", changes, mode="delta")))
    assert result.exit_code == 0, repr(result.exception)
    found = state(database)
    assert found["classroom"] == [("c1", "o1", "3-3", 10), WHOLE["classroom"][1]]
    assert found["student_name"] == [("u1", "김민호"), WHOLE["student_name"][1]]
    kept = [row for row in WHOLE["enrolment"] if row[0] != "e2"]
    assert found["enrolment"] == [*kept, ("e9", "c1", "u8", "student", True, None, None)]
    assert "classSourcedId_unknown" in result.output


def test_a_whole_roster_ends_enrolments_that_it_lacks_unless_a_row_was_rejected(
    run: Any, database: Engine, roster: Path
) -> None:
    run("load", str(roster))
    execute(database, "INSERT INTO classroom (id, org_id, name) VALUES ('other', 'o7', 'of another roster')")
    execute(
        database,
        "INSERT INTO enrolment (id, classroom_id, user_id, user_source_id, role) VALUES ('x', 'other', 'z', 'z', 'student')",
    )
    fewer = FILES["enrollments"].replace("e4,,,c1,o1,u2,student,,,\n", "")
    write(roster, {**FILES, "enrollments": fewer + "e5,,,c1,o1,nobody,student,,,\n"})
    assert "userSourcedId_unknown" in run("load", str(roster)).output
    assert len(state(database)["enrolment"]) == 5, "a row of the file was rejected, so it is not the whole truth"
    write(roster, {**FILES, "enrollments": fewer})
    run("load", str(roster))
    assert [row[0] for row in state(database)["enrolment"]] == ["e1", "e2", "e3", "x"]
    assert [row[0] for row in state(database)["student_name"]] == ["u1", "u2", "u4"], "past weeks keep their names"


def test_ids_of_the_attempts_are_another_column(run: Any, database: Engine, roster: Path, tmp_path: Path) -> None:
    (tmp_path / "log.csv").write_text(HEADER + GOOD)  # of ann
    result = run("load", str(roster), str(tmp_path / "log.csv"))
    assert result.exit_code == 0, repr(result.exception)
    assert "--user-ids username" in result.output
    assert "1 attempts" in result.output
    output = run("load", str(roster), "--user-ids", "username").output
    assert "3 in the roster, 1 of them with attempts" in output
    assert ("ann", "김민수") in state(database)["student_name"]
    delta = {"enrollments": FILES["enrollments"].split("\n", 1)[0] + "\ne9,active,,c2,o1,u2,student,,,\n"}
    run("load", str(write(tmp_path / "delta", delta, mode="delta")), "--user-ids", "username")
    assert ("e9", "c2", "bob", "student", False, None, None) in state(database)["enrolment"]


def test_classes_may_swap_their_names(run: Any, database: Engine, roster: Path) -> None:
    classes = FILES["classes"].replace("c3,,,Algebra", "c3,,,Biology")
    write(roster, {**FILES, "classes": classes})
    run("load", str(roster))
    swapped = (
        classes.replace("c2,,,Algebra", "c2,,,x")
        .replace("c3,,,Biology", "c3,,,Algebra")
        .replace("c2,,,x", "c2,,,Biology")
    )
    write(roster, {**FILES, "classes": swapped})
    assert run("load", str(roster)).exit_code == 0
    assert [row[2] for row in state(database)["classroom"]] == ["3-2", "Biology", "Algebra"]


@pytest.mark.parametrize(
    ("files", "version", "message"),
    [
        ({**FILES}, "2.0", "OneRoster 2.0"),
        (
            {**FILES, "users": "sourcedId,givenName\nu1,a\n", "classes": "sourcedId\nc1\n"},
            "1.2",
            "column missing: title",
        ),
        ({**FILES, "users": 'sourcedId\nu1\n"u2\nu3\n'}, "1.2", "users.csv: line 4"),
    ],
)
def test_an_unusable_roster_is_refused_as_a_whole(
    run: Any, database: Engine, tmp_path: Path, files: dict[str, str], version: str, message: str
) -> None:
    result = run("load", str(write(tmp_path / "roster", files, version=version)))
    assert isinstance(result.exception, LoadError)
    assert message in str(result.exception)
    assert not any(state(database).values())


def test_a_declared_file_that_is_missing_is_named(run: Any, roster: Path) -> None:
    (roster / "classes.csv").unlink()
    assert "classes.csv, which is missing" in str(run("load", str(roster)).exception)


def test_a_folder_with_another_manifest_is_no_roster(run: Any, database: Engine, tmp_path: Path) -> None:
    (tmp_path / "logs").mkdir()
    (tmp_path / "logs" / "log.csv").write_text(HEADER + GOOD)
    (tmp_path / "logs.zip").write_bytes(b"PK\x03\x04 damaged")
    assert "1 attempts" in run("load", str(tmp_path / "logs")).output
    assert "cannot be" in str(run("load", str(tmp_path / "logs.zip")).exception)


def test_an_enrolment_is_the_class_of_students_whose_sessions_have_none(
    run: Any, database: Engine, roster: Path
) -> None:
    """Both for groups of students and for the pages of classes: the homeroom of u1, the only class of u2, none of u8."""
    run("load", str(roster))
    execute(database, "INSERT INTO session (id, classroom_id) VALUES ('su9', 'c2')")
    execute(database, "INSERT INTO enrolment VALUES ('e9', 'c1', 'u9', 'u9', 'student')")
    execute(
        database, "INSERT INTO enrolment VALUES ('e8', 'c1', 'u8', 'u8', 'student', false, NULL, DATE '2026-04-01')"
    )
    execute(
        database,
        "INSERT INTO exam_results (session_id, user_id, result_json, created_at) "
        "SELECT 's' || user_id, user_id, '{}', TIMESTAMPTZ '2026-05-06' "
        "FROM (VALUES ('u1'), ('u2'), ('u8'), ('u9')) AS v (user_id)",
    )
    expected = [("u1", "c1"), ("u2", "c1"), ("u9", "c2")]
    with database.connect() as connection:
        connection.exec_driver_sql(
            "CREATE TEMP VIEW attempt AS SELECT user_id, id AS exam_result_id, session_id, org_id, "
            "created_at AS completed_at FROM exam_results"
        )
        covariate = {"source": "classroom_id", "path": [], "from_at": None, "as_of": "2027-01-01"}
        found = connection.execute(statement("psychometrics/dif.sql", "covariate"), covariate).all()
        assert sorted(tuple(row) for row in found) == expected
        connection.exec_driver_sql(
            "INSERT INTO weekly_kpi (user_id, week_start, kpis) SELECT user_id, DATE '2026-05-04', '{}' FROM exam_results"
        )
        week = {"week_start": dt.date(2026, 5, 4), "member_since": "2026-01-01", "as_of": "2026-05-11"}
        connection.execute(statement("reports/cohorts.sql", "stage_members"), week)
        members = connection.exec_driver_sql("SELECT user_id, class_id FROM cohort_member ORDER BY 1").all()
        assert [tuple(row) for row in members] == [*expected[:2], ("u8", None), expected[2]]
