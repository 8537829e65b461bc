"""Reports in S3: what an outage leaves, rows without objects, objects without rows, and the commands about them."""

import hashlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import dagster as dg
import pytest
from sqlalchemy import Engine
from typer.testing import CliRunner

from seedtest_analytics.assets.report_store import judge_store
from seedtest_analytics.assets.reports import weekly_report
from seedtest_analytics.cli.app import app
from seedtest_analytics.resources.object_store import ObjectStoreResource
from seedtest_analytics.resources.quarto.resource import QuartoResource
from seedtest_analytics.schedules.report_uploads import upload_waiting_reports, upload_while_reports_wait
from tests._database import rows_of
from tests._faulty_store import FaultyStore, faulty_store
from tests._s3 import REGION
from tests.assets._activity import postgres_of
from tests.assets._reports import lines_instead_of_pages
from tests.assets.test_reports import WEEK, failure_of, store_kpis

USERS = ["anna", "ben", "cleo", "dora"]


@pytest.fixture
def faulty(
    moto_endpoint: str, bucket: Any, database: Engine, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Iterator[FaultyStore]:
    """The environment of a platform whose store is a bucket behind a proxy."""
    with faulty_store(moto_endpoint) as proxy:
        environment = {
            "S3_BUCKET": bucket.name,
            "S3_ENDPOINT_URL": proxy.url,
            "AWS_REGION": REGION,
            "S3_TIMEOUT_SECS": "2",
            "DAGSTER_HOME": str(tmp_path),
            "DATABASE_URL": database.url.render_as_string(hide_password=False),
        }
        for name, value in environment.items():
            monkeypatch.setenv(name, value)
        yield proxy


@pytest.fixture
def renders(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """A line in place of each family's page."""
    monkeypatch.setenv("REPORT_TEACHER_PAGES", "false")
    return lines_instead_of_pages(monkeypatch)


def made(engine: Engine) -> dg.ExecuteInProcessResult:
    with dg.DagsterInstance.ephemeral() as instance:
        return dg.materialize(
            [weekly_report],
            partition_key=WEEK,
            instance=instance,
            resources={
                "postgres": postgres_of(engine),
                "object_store": ObjectStoreResource(),
                "quarto": QuartoResource.having(workers=1, renderer="embedded"),
            },
            raise_on_error=False,
        )


def recorded(engine: Engine) -> dict[str, str]:
    rows = rows_of(engine, "SELECT user_id, sha256 FROM report_artifacts ORDER BY user_id")
    return {row["user_id"]: row["sha256"] for row in rows}


def digests(users: list[str]) -> dict[str, str]:
    return {user: hashlib.sha256(f"<p>{user}</p>".encode()).hexdigest() for user in users}


def command(*arguments: str) -> Any:
    return CliRunner().invoke(app, ["report", *arguments])


def test_reports_of_an_outage_wait_and_are_stored_without_being_rendered_again(
    database: Engine, faulty: FaultyStore, renders: list[str], bucket: Any
) -> None:
    store_kpis(database, USERS)
    faulty.fault = lambda request: "500 InternalError" if "/cleo/" in request.path else None
    result = made(database)
    assert not result.success
    message = failure_of(result)
    assert "1 of 4 reports wait on disk until the store takes them (`seedtest report upload`" in message
    assert f"md5(user_id) = '{hashlib.md5(b'cleo').hexdigest()}'" in message
    assert "cleo" not in message
    assert recorded(database) == digests(["anna", "ben", "dora"])

    faulty.fault = lambda request: None
    renders.clear()
    context = dg.build_schedule_context()
    assert isinstance(upload_while_reports_wait(context), dg.RunRequest)
    resources = {"postgres": postgres_of(database), "object_store": ObjectStoreResource()}
    assert upload_waiting_reports.execute_in_process(resources=resources).success
    assert renders == []
    assert recorded(database) == digests(USERS)
    assert isinstance(upload_while_reports_wait(context), dg.SkipReason)
    assert len(list(bucket.objects.filter(Prefix="reports/"))) == 4
    listed = bucket.Object(f"index/{WEEK}/index.html").get()["Body"].read().decode()
    assert all(f"../../reports/{user}/{WEEK}/report.html" in listed for user in USERS)


def test_a_job_that_still_cannot_store_fails_and_says_why(
    database: Engine, faulty: FaultyStore, renders: list[str]
) -> None:
    store_kpis(database, USERS[:1])
    faulty.fault = lambda request: "403 RequestTimeTooSkewed"
    made(database)
    assert recorded(database) == {}
    resources = {"postgres": postgres_of(database), "object_store": ObjectStoreResource()}
    result = upload_waiting_reports.execute_in_process(resources=resources, raise_on_error=False)
    assert "0 reports stored, 1 still wait; cannot write" in failure_of(result)


def test_rows_of_a_bucket_that_is_gone_are_removed(
    database: Engine, faulty: FaultyStore, renders: list[str], bucket: Any
) -> None:
    store_kpis(database, USERS)
    assert made(database).success
    assert recorded(database) == digests(USERS)
    bucket.objects.all().delete()
    bucket.delete()
    result = made(database)
    message = failure_of(result)
    assert "NoSuchBucket; create the bucket or correct S3_BUCKET" in message
    assert "4 earlier rows had no object any more and were removed" in message
    assert recorded(database) == {}


def test_a_row_of_another_outage_stays_because_nobody_knows(
    database: Engine, faulty: FaultyStore, renders: list[str]
) -> None:
    store_kpis(database, USERS)
    assert made(database).success
    faulty.fault = lambda request: "403 InvalidAccessKeyId"
    result = made(database)
    assert recorded(database) == digests(USERS)
    assert "earlier rows of the week are not verified" in failure_of(result)


def test_orphans_are_found_both_ways(database: Engine, faulty: FaultyStore, renders: list[str], bucket: Any) -> None:
    store_kpis(database, USERS)
    made(database)
    store = ObjectStoreResource().store()
    assert judge_store(database, store)[0]
    answer = command("check")
    assert answer.exit_code == 0
    assert answer.output.endswith("next: seedtest report url USER WEEK   prints the address of a report\n")
    bucket.Object(f"reports/anna/{WEEK}/report.html").delete()
    bucket.Object(f"reports/ben/{WEEK}/report.html").put(Body=b"other")
    bucket.Object(f"reports/zoe/{WEEK}/report.html").put(Body=b"x")
    is_passed, text = judge_store(database, store)
    assert not is_passed
    assert text == (
        "4 rows and 4 objects: 1 rows without an object, 1 objects without a row, 1 objects of another size"
    )
    assert command("check").output.endswith("next: seedtest report check --list   names them\n")
    answer = command("check", "--list")
    assert answer.exit_code == 1
    assert "next: seedtest report render USER WEEK   makes a missing report again" in answer.output
    assert f"row without object: {faulty.url}/{bucket.name}/reports/anna/{WEEK}/report.html" in answer.output
    assert "object without row" in answer.output
    faulty.fault = lambda request: "403 AccessDenied"
    is_passed, text = judge_store(database, store)
    assert not is_passed
    assert text.startswith("not known: cannot list the reports in s3://")


@pytest.mark.parametrize("user", ["anna", "../../etc", "학생"])
def test_one_report_on_demand_and_its_address(
    database: Engine, faulty: FaultyStore, renders: list[str], user: str, tmp_path: Path
) -> None:
    store_kpis(database, [user, "other"])
    missing = command("url", user, "2026-03-04")
    assert missing.exit_code == 2
    assert "there is no report of that student" in " ".join(missing.output.replace("│", " ").split())
    done = command("render", user, "2026-03-04")
    assert done.exit_code == 0, done.output
    assert renders == [user]
    assert recorded(database) == digests([user])
    address = command("url", user, WEEK, "--minutes", "5")
    assert address.exit_code == 0, address.output
    assert "X-Amz-Expires=300" in address.output
    file = tmp_path / "one.html"
    assert command("render", user, WEEK, "--output", str(file)).exit_code == 0
    assert file.read_bytes() == f"<p>{user}</p>".encode()


def test_a_report_on_demand_of_a_student_without_kpis_is_refused(
    database: Engine, faulty: FaultyStore, renders: list[str]
) -> None:
    answer = command("render", "nobody", WEEK)
    assert answer.exit_code == 2
    assert "has no KPIs in the week" in " ".join(answer.output.replace("│", " ").split())


def test_a_report_on_demand_waits_during_an_outage(database: Engine, faulty: FaultyStore, renders: list[str]) -> None:
    store_kpis(database, ["anna"])
    faulty.fault = lambda request: "403 SignatureDoesNotMatch"
    answer = command("render", "anna", WEEK)
    assert answer.exit_code == 1
    assert recorded(database) == {}
    faulty.fault = lambda request: None
    assert "1 reports stored, 0 still wait" in command("upload").output
    assert recorded(database) == digests(["anna"])
    assert "no report waits" in command("upload").output
