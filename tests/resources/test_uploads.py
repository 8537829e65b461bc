"""Uploads through a real S3 server behind a proxy that injects faults: each report by itself, the whole within limits."""

import datetime as dt
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from seedtest_analytics.resources.store.base import ObjectStoreError
from seedtest_analytics.resources.store.folder import FolderStore
from seedtest_analytics.resources.store.keys import ReportFile, ReportKey
from seedtest_analytics.resources.store.s3 import MULTIPART_BYTES, S3Store
from seedtest_analytics.resources.store.uploads import Delivery, Uploads, deliver_waiting
from seedtest_analytics.resources.store.waiting import WaitingReports
from tests._faulty_store import FaultyStore, Request, faulty_store
from tests._s3 import REGION

WEEK = dt.date(2024, 3, 4)
REPORTS = [
    ReportFile(ReportKey(f"u{number:02d}", WEEK), b"<p>%d</p>" % number, renderer="embedded", language="en")
    for number in range(24)
]


@pytest.fixture
def faulty(moto_endpoint: str) -> Iterator[FaultyStore]:
    with faulty_store(moto_endpoint) as proxy:
        yield proxy


@pytest.fixture
def store(bucket: Any, faulty: FaultyStore) -> S3Store:
    return S3Store(bucket.name, REGION, endpoint_url=faulty.url, timeout_seconds=0.4)


@pytest.fixture
def waiting(tmp_path: Path) -> WaitingReports:
    return WaitingReports(tmp_path / "waiting")


def uploaded(
    store: S3Store, waiting: WaitingReports, *, reports: list[ReportFile] | None = None, patience_seconds: float = 600.0
) -> Uploads:
    with Uploads(store, waiting, patience_seconds=patience_seconds) as uploads:
        for report in REPORTS if reports is None else reports:
            uploads.put(report)
        uploads.finish()
    return uploads


def stored(bucket: Any) -> dict[str, bytes]:
    return {found.key: found.get()["Body"].read() for found in bucket.objects.all()}


EVERYTHING = {report.key.path: report.content for report in REPORTS}


@pytest.mark.parametrize(
    "fault", ["500 InternalError", "503 SlowDown", "403 AccessDenied", "400 RequestTimeout", "cut", "hang"]
)
def test_with_every_third_request_failing_every_report_is_stored(
    store: S3Store, bucket: Any, faulty: FaultyStore, waiting: WaitingReports, fault: str
) -> None:
    faulty.fault = lambda request: fault if request.number % 3 == 0 else None
    uploads = uploaded(store, waiting)
    assert [delivery.refusal for delivery in uploads.deliveries] == [None] * 24
    assert stored(bucket) == EVERYTHING
    assert waiting.names() == []


def test_a_report_that_is_always_refused_waits_and_the_rest_goes_on(
    store: S3Store, bucket: Any, faulty: FaultyStore, waiting: WaitingReports
) -> None:
    faulty.fault = lambda request: "500 InternalError" if "/u07/" in request.path else None
    uploads = uploaded(store, waiting)
    (refused,) = [delivery for delivery in uploads.deliveries if not delivery.is_stored]
    assert refused.key == REPORTS[7].key
    assert "InternalError" in str(refused.refusal) or "500" in str(refused.refusal)
    assert uploads.refusal is None
    assert len(stored(bucket)) == 23
    (name,) = waiting.names()
    assert waiting.read(name) == REPORTS[7]


def test_a_store_that_does_not_answer_costs_its_patience_and_nothing_is_lost(
    store: S3Store, faulty: FaultyStore, waiting: WaitingReports
) -> None:
    faulty.fault = lambda request: "hang"
    uploads = uploaded(store, waiting, patience_seconds=1.0)
    assert uploads.refusal is not None
    assert "ReadTimeoutError; check the store, or raise S3_TIMEOUT_SECS" in str(uploads.refusal)
    assert len(waiting.names()) == 24
    # The reports that were under way when the patience ended, three tries each.
    assert len(faulty.seen) <= 8 * 3


@pytest.mark.parametrize(
    ("fault", "remedy"),
    [
        ("301 PermanentRedirect", "set AWS_REGION to the region of the bucket"),
        ("307 TemporaryRedirect", "set AWS_REGION to the region of the bucket"),
        ("403 RequestTimeTooSkewed", "correct the clock of this machine"),
        ("403 InvalidAccessKeyId", "correct AWS_ACCESS_KEY_ID"),
    ],
)
def test_what_concerns_every_report_ends_the_tries_at_once(
    store: S3Store, faulty: FaultyStore, waiting: WaitingReports, fault: str, remedy: str
) -> None:
    """A redirect that boto3 followed ended in a RecursionError."""
    faulty.fault = lambda request: fault
    uploads = uploaded(store, waiting)
    assert uploads.refusal is not None
    assert remedy in str(uploads.refusal)
    assert len(waiting.names()) == 24
    assert len(faulty.seen) <= 8 * 2, "no report was tried twice"


def test_a_bucket_that_is_gone_ends_the_tries_at_once(
    moto_endpoint: str, aws_environment: None, waiting: WaitingReports
) -> None:
    uploads = uploaded(S3Store("gone", REGION, endpoint_url=moto_endpoint), waiting)
    assert uploads.refusal is not None
    assert uploads.refusal.code == "NoSuchBucket"
    assert len(waiting.names()) == 24


LARGE = ReportFile(ReportKey("large", WEEK), os.urandom(MULTIPART_BYTES + 1), renderer="embedded", language="en")


def part(request: Request, number: int) -> bool:
    return request.method == "PUT" and f"partNumber={number}" in request.path


def test_a_connection_cut_during_a_part_sends_that_part_again(
    store: S3Store, bucket: Any, faulty: FaultyStore, waiting: WaitingReports
) -> None:
    cut: list[Request] = []

    def fault(request: Request) -> str | None:
        if part(request, 1) and not cut:
            cut.append(request)
            return "cut"
        return None

    faulty.fault = fault
    assert uploaded(store, waiting, reports=[LARGE]).deliveries[0].is_stored
    assert cut
    assert stored(bucket) == {LARGE.key.path: LARGE.content}
    assert sum(part(request, 2) for request in faulty.seen) == 1


def test_an_upload_in_parts_that_fails_leaves_no_part_behind(
    store: S3Store, bucket: Any, faulty: FaultyStore, waiting: WaitingReports
) -> None:
    faulty.fault = lambda request: "500 InternalError" if part(request, 2) else None
    uploads = uploaded(store, waiting, reports=[LARGE], patience_seconds=0.0)
    assert not uploads.deliveries[0].is_stored
    assert stored(bucket) == {}
    assert list(bucket.multipart_uploads.all()) == []
    assert len(waiting.names()) == 1


# What waits


def delivered(store: S3Store, waiting: WaitingReports) -> tuple[list[Delivery], list[str]]:
    recorded: list[str] = []
    deliveries = deliver_waiting(
        store, waiting, record=lambda delivery: recorded.append(delivery.key.user_id), patience_seconds=60.0
    )
    return list(deliveries), sorted(recorded)


def test_what_waited_is_stored_later_and_recorded(
    store: S3Store, bucket: Any, faulty: FaultyStore, waiting: WaitingReports
) -> None:
    faulty.fault = lambda request: "503 ServiceUnavailable"
    uploaded(store, waiting, patience_seconds=0.0)
    deliveries, recorded = delivered(store, waiting)
    assert recorded == []
    assert deliveries
    assert len(waiting.names()) == 24
    faulty.fault = lambda request: None
    deliveries, recorded = delivered(store, waiting)
    assert recorded == [report.key.user_id for report in REPORTS]
    assert stored(bucket) == EVERYTHING
    assert waiting.names() == []
    assert delivered(store, waiting) == ([], [])


def test_a_file_waits_until_its_row_is_written(store: S3Store, waiting: WaitingReports) -> None:
    waiting.add(REPORTS[0])

    def fail(_: Delivery) -> None:
        raise ConnectionError("the database is away")

    with pytest.raises(ConnectionError):
        list(deliver_waiting(store, waiting, record=fail, patience_seconds=60.0))
    assert len(waiting.names()) == 1
    assert delivered(store, waiting)[1] == ["u00"]


def test_a_newer_version_is_not_replaced_by_the_one_that_waited(
    store: S3Store, bucket: Any, waiting: WaitingReports
) -> None:
    older = ReportFile(REPORTS[0].key, b"older", renderer="embedded", language="en")
    waiting.add(older)
    uploaded(store, waiting, reports=[REPORTS[0]])
    assert waiting.names() == []
    assert delivered(store, waiting) == ([], [])
    assert stored(bucket) == {REPORTS[0].key.path: REPORTS[0].content}


def test_waiting_files_are_private_and_no_name_has_an_id(waiting: WaitingReports) -> None:
    waiting.add(ReportFile(ReportKey("anna@example.org", WEEK), b"x", renderer="embedded", language="ko"))
    for path in waiting.folder.rglob("*"):
        assert path.stat().st_mode & 0o077 == 0
        assert "anna" not in path.name


def test_a_folder_that_refuses_a_report_ends_the_run(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with Uploads(FolderStore(tmp_path / "file"), None, patience_seconds=60.0) as uploads:
        uploads.put(REPORTS[0])
        with pytest.raises(ObjectStoreError, match="SEEDTEST_REPORT_DIR"):
            uploads.finish()
    assert uploads.deliveries == []
