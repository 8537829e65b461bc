"""The same tests for both stores: a real folder, and S3 through moto's server over HTTP."""

import datetime as dt
import errno
import hashlib
import itertools
import os
import re
import stat
import subprocess
import tempfile
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any
from urllib.parse import unquote, urlsplit
from urllib.request import urlopen

import boto3
import pytest
from hypothesis import given
from hypothesis import strategies as st
from moto.server import ThreadedMotoServer

from seedtest_analytics.resources.object_store import (
    FolderStore,
    ObjectStore,
    ObjectStoreError,
    ObjectStoreResource,
    ReportKey,
    S3Store,
    user_prefix,
)

WEEK = dt.date(2024, 3, 4)
REGION = "ap-northeast-2"
HOSTILE_USER_IDS = [
    "../../etc/passwd",
    "..",
    ".",
    "",
    "/absolute",
    "a/b",
    "a\\b",
    "nul\0byte",
    "line\nbreak",
    "x" * 300,
    "x" * 299 + "y",
    "학생" * 100,
    "é",
    "e\u0301",
    "percent%2e%2e",
    "~2E~2E",
    "~",
    "~~" + "0" * 64,
    "a b+c&d=e?f#g",
    "<script>alert(1)</script>",
    "-" * 36,
    "CON",
    ".hidden",
    "\ud800",
]


@pytest.fixture(scope="session")
def moto_endpoint() -> Iterator[str]:
    server = ThreadedMotoServer(ip_address="127.0.0.1", port=0)
    server.start()
    host, port = server.get_host_and_port()
    yield f"http://{host}:{port}"
    server.stop()


@pytest.fixture
def aws_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("AWS_PROFILE", "AWS_SESSION_TOKEN", "AWS_ENDPOINT_URL"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "test")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "test")
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")


_bucket_numbers = itertools.count()


@pytest.fixture
def bucket(moto_endpoint: str, aws_environment: None) -> Any:
    """A new bucket with a separate client, which sees the store's effects from outside."""
    resource = boto3.resource("s3", region_name=REGION, endpoint_url=moto_endpoint)
    return resource.create_bucket(
        Bucket=f"reports-{next(_bucket_numbers)}", CreateBucketConfiguration={"LocationConstraint": REGION}
    )


@pytest.fixture
def s3(bucket: Any, moto_endpoint: str) -> S3Store:
    return S3Store(bucket.name, REGION, endpoint_url=moto_endpoint)


@pytest.fixture
def folder(tmp_path: Path) -> FolderStore:
    return FolderStore(tmp_path / "reports")


@pytest.fixture(params=["folder", "s3"])
def store(request: pytest.FixtureRequest) -> ObjectStore:
    found: ObjectStore = request.getfixturevalue(request.param)
    return found


def files_below(folder: Path) -> set[str]:
    return {str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file()}


def test_the_key_is_the_contracts() -> None:
    key = ReportKey("8f14e45f-ceea-467f-a1a5-4b1b0d3c2e11", WEEK, format="pdf")
    assert key.path == "reports/8f14e45f-ceea-467f-a1a5-4b1b0d3c2e11/2024-03-04/report.pdf"
    assert S3Store("seedtest-reports", REGION).url(key) == (
        "https://seedtest-reports.s3.ap-northeast-2.amazonaws.com/"
        "reports/8f14e45f-ceea-467f-a1a5-4b1b0d3c2e11/2024-03-04/report.pdf"
    )


@pytest.mark.parametrize(
    ("user_id", "segment"),
    [
        ("student_1.b-C", "student_1.b-C"),
        ("anna@example.org", "anna@example.org"),
        ("..", "~2E."),
        ("a/b c", "a~2Fb~20c"),
        ("é", "~C3~A9"),
        ("~", "~7E"),
        ("a%2e", "a~252e"),
    ],
)
def test_how_ids_are_written_in_keys(user_id: str, segment: str) -> None:
    assert user_prefix(user_id) == f"reports/{segment}/"


@pytest.mark.parametrize("format_", ["docx", "HTML", "../html"])
def test_other_formats_are_refused(format_: Any) -> None:
    with pytest.raises(ValueError, match="use html or pdf"):
        ReportKey("u", WEEK, format=format_)


def test_the_teachers_page_and_the_list_of_a_week_have_their_own_keys() -> None:
    assert ReportKey("u", WEEK, name="teacher").path == f"reports/u/{WEEK}/teacher.html"
    assert ReportKey("", WEEK, name="index").path == f"index/{WEEK}/index.html"
    assert ReportKey("index", WEEK).path == f"reports/index/{WEEK}/report.html"


def test_a_time_is_refused_as_week() -> None:
    with pytest.raises(ValueError, match="without a time"):
        ReportKey("u", dt.datetime(2024, 3, 4, tzinfo=dt.UTC))


@given(st.lists(st.text(max_size=400) | st.sampled_from(HOSTILE_USER_IDS), min_size=2, max_size=20, unique=True))
def test_ids_never_share_a_key_nor_leave_their_place(user_ids: list[str]) -> None:
    prefixes = [user_prefix(user_id) for user_id in user_ids]
    assert len(set(prefixes)) == len(user_ids)
    for prefix in prefixes:
        assert re.fullmatch(r"reports/[A-Za-z0-9_@~-][A-Za-z0-9._@~-]{0,149}/", prefix)
    assert not any(a != b and a.startswith(b) for a in prefixes for b in prefixes)


@given(st.text(max_size=400))
def test_a_key_is_the_same_text_in_its_url(user_id: str) -> None:
    key = ReportKey(user_id, WEEK)
    for url in (
        S3Store("bucket", REGION).url(key),
        S3Store("bucket", REGION, endpoint_url="http://localhost:9000/").url(key),
        FolderStore(Path("/reports")).url(key),
    ):
        path = urlsplit(url).path
        assert path.endswith(f"/{key.path}")
        assert unquote(path) == path


def test_put_get_and_put_again(store: ObjectStore) -> None:
    key = ReportKey("student", WEEK)
    assert store.get(key) is None
    assert store.put(key, b"<p>one</p>") is True
    assert store.get(key) == b"<p>one</p>"
    assert store.put(key, b"<p>one</p>") is False
    assert store.put(key, b"<p>two</p>") is True
    assert store.get(key) == b"<p>two</p>"
    assert store.get(ReportKey("student", WEEK, format="pdf")) is None
    assert store.get(ReportKey("student", WEEK + dt.timedelta(7))) is None


def test_hostile_ids_are_stored_apart(store: ObjectStore) -> None:
    for number, user_id in enumerate(HOSTILE_USER_IDS):
        assert store.put(ReportKey(user_id, WEEK), b"%d" % number)
    for number, user_id in enumerate(HOSTILE_USER_IDS):
        assert store.get(ReportKey(user_id, WEEK)) == b"%d" % number


def test_all_reports_of_a_student_are_removed_and_no_other(store: ObjectStore) -> None:
    for user_id in ("u1", "u10", "u1/../u10", "u"):
        for week in range(3):
            store.put(ReportKey(user_id, WEEK + dt.timedelta(7 * week)), b"x")
    assert store.delete_user("u1") == 3
    assert store.delete_user("u1") == 0
    assert store.get(ReportKey("u1", WEEK)) is None
    assert all(store.get(ReportKey(user_id, WEEK)) == b"x" for user_id in ("u10", "u1/../u10", "u"))


def test_many_threads(store: ObjectStore) -> None:
    contents = [bytes([65 + number]) * 100_000 for number in range(8)]
    keys = [ReportKey(f"u{number % 4}", WEEK) for number in range(8)]
    with ThreadPoolExecutor(8) as pool:
        list(pool.map(store.put, keys, contents))
    for number in range(4):
        assert store.get(keys[number]) in (contents[number], contents[number + 4])


# The folder


def test_the_folder_holds_the_reports_and_nothing_else(folder: FolderStore, tmp_path: Path) -> None:
    for user_id in HOSTILE_USER_IDS:
        folder.put(ReportKey(user_id, WEEK), b"x")
    assert files_below(tmp_path) == {f"reports/{ReportKey(u, WEEK).path}" for u in HOSTILE_USER_IDS}


def test_a_file_url_opens_the_report(folder: FolderStore) -> None:
    key = ReportKey("a b/../학생", WEEK)
    folder.put(key, b"<p>here</p>")
    with urlopen(folder.url(key)) as answer:
        assert answer.read() == b"<p>here</p>"


def test_only_the_owner_can_look_into_the_folder(folder: FolderStore) -> None:
    previous = os.umask(0)
    try:
        folder.put(ReportKey("u", WEEK), b"x")
    finally:
        os.umask(previous)
    for path in [folder.folder, *folder.folder.rglob("*")]:
        assert stat.S_IMODE(path.stat().st_mode) & 0o077 == 0, path


def test_the_same_bytes_leave_the_file_alone(folder: FolderStore) -> None:
    key = ReportKey("u", WEEK)
    folder.put(key, b"x")
    before = (folder.folder / key.path).stat()
    folder.put(key, b"x")
    after = (folder.folder / key.path).stat()
    assert (after.st_ino, after.st_mtime_ns) == (before.st_ino, before.st_mtime_ns)


@pytest.mark.parametrize("failing", ["fsync", "rename"])
def test_a_write_that_fails_leaves_the_old_report(
    folder: FolderStore, failing: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    key = ReportKey("u", WEEK)
    folder.put(key, b"old")

    def fail(*_: object) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    if failing == "fsync":
        monkeypatch.setattr(os, "fsync", fail)
    else:
        monkeypatch.setattr(Path, "rename", fail)
    with pytest.raises(ObjectStoreError, match="the disk is full; free space there"):
        folder.put(key, b"new")
    assert folder.get(key) == b"old"
    assert files_below(folder.folder) == {key.path}


def test_a_full_disk(tmp_path: Path) -> None:
    """On a real small file system, if the test may mount one."""
    mount = ["mount", "-t", "tmpfs", "-o", "size=200k", "tmpfs", str(tmp_path)]
    if os.geteuid() != 0 or subprocess.run(mount, capture_output=True, check=False).returncode != 0:
        pytest.skip("a small file system can be mounted by root only")
    try:
        store, key = FolderStore(tmp_path), ReportKey("u", WEEK)
        store.put(key, b"old" * 10_000)
        with pytest.raises(
            ObjectStoreError, match=f"write the report of week 2024-03-04 to {tmp_path}: the disk is full"
        ):
            store.put(key, b"new" * 100_000)
        assert store.get(key) == b"old" * 10_000
        assert files_below(tmp_path) == {key.path}
    finally:
        subprocess.run(["umount", "-l", str(tmp_path)], check=True)


def test_a_folder_that_cannot_be_used_is_named_without_the_student(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(ObjectStoreError, match=r"file: .*SEEDTEST_REPORT_DIR") as caught:
        FolderStore(tmp_path / "file").put(ReportKey("anna@example.org", WEEK), b"x")
    assert "anna" not in str(caught.value)


def test_what_a_killed_writer_left_is_removed_after_a_day(folder: FolderStore) -> None:
    partial = folder.folder / ".partial"
    partial.mkdir(parents=True)
    for name in ("old", "new"):
        (partial / name).write_text("")
    os.utime(partial / "old", (0, 0))
    folder.put(ReportKey("u", WEEK), b"x")
    assert [path.name for path in partial.iterdir()] == ["new"]


# S3


def test_content_type_and_digest_in_s3(s3: S3Store, bucket: Any) -> None:
    for format_, content_type in (("html", "text/html"), ("pdf", "application/pdf")):
        key = ReportKey("u", WEEK, format=format_)  # type: ignore[arg-type]
        s3.put(key, b"content")
        found = bucket.Object(f"reports/u/2024-03-04/report.{format_}")
        assert (found.content_type, found.metadata) == (
            content_type,
            {"sha256": hashlib.sha256(b"content").hexdigest()},
        )


def test_the_same_bytes_leave_the_object_alone(s3: S3Store, bucket: Any) -> None:
    bucket.Versioning().enable()
    key = ReportKey("u", WEEK)
    for content in (b"one", b"one", b"two", b"two"):
        s3.put(key, content)
    assert len(list(bucket.object_versions.filter(Prefix=key.path))) == 2


def test_an_object_of_the_legacy_jobs_is_replaced(s3: S3Store, bucket: Any) -> None:
    key = ReportKey("u", WEEK)
    bucket.put_object(Key=key.path, Body=b"same")
    assert s3.put(key, b"same")
    assert bucket.Object(key.path).content_type == "text/html"


def test_more_reports_than_a_page_of_s3_are_removed(s3: S3Store, bucket: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MOTO_S3_DEFAULT_MAX_KEYS", "3")
    for number in range(8):
        s3.put(ReportKey("u", WEEK + dt.timedelta(7 * number)), b"x")
    assert s3.delete_user("u") == 8
    assert list(bucket.objects.all()) == []


def test_a_missing_bucket_is_named_with_its_remedy(moto_endpoint: str, aws_environment: None) -> None:
    store = S3Store("no-such-bucket", REGION, endpoint_url=moto_endpoint)
    for action in (lambda: store.put(ReportKey("u", WEEK), b"x"), lambda: store.delete_user("u")):
        with pytest.raises(ObjectStoreError, match=r"s3://no-such-bucket .*NoSuchBucket; .*S3_BUCKET"):
            action()


def test_missing_credentials_are_named(
    moto_endpoint: str, aws_environment: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        monkeypatch.delenv(name)
    for name in ("AWS_SHARED_CREDENTIALS_FILE", "AWS_CONFIG_FILE"):
        monkeypatch.setenv(name, os.devnull)
    with pytest.raises(ObjectStoreError, match="NoCredentialsError; set AWS_ACCESS_KEY_ID"):
        S3Store("bucket", REGION, endpoint_url=moto_endpoint).put(ReportKey("u", WEEK), b"x")


def test_an_unreachable_endpoint_is_named(aws_environment: None) -> None:
    with pytest.raises(ObjectStoreError, match=r"http://127\.0\.0\.1:9.*check S3_ENDPOINT_URL"):
        S3Store("bucket", REGION, endpoint_url="http://127.0.0.1:9").put(ReportKey("u", WEEK), b"x")


# The resource


def test_the_environment_chooses_the_store(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    for name in ("S3_BUCKET", "S3_ENDPOINT_URL", "AWS_REGION", "SEEDTEST_REPORT_DIR"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("DAGSTER_HOME", str(tmp_path))
    key = ReportKey("u", WEEK)
    assert ObjectStoreResource().store().url(key) == f"{tmp_path.as_uri()}/reports/{key.path}"
    monkeypatch.setenv("SEEDTEST_REPORT_DIR", str(tmp_path / "elsewhere"))
    assert ObjectStoreResource().store().url(key) == f"{tmp_path.as_uri()}/elsewhere/{key.path}"
    monkeypatch.setenv("S3_BUCKET", "b")
    assert ObjectStoreResource().store().url(key).startswith("https://b.s3.ap-northeast-2.amazonaws.com/")
    monkeypatch.setenv("AWS_REGION", "eu-west-1")
    assert ObjectStoreResource().store().url(key).startswith("https://b.s3.eu-west-1.amazonaws.com/")
    monkeypatch.setenv("S3_ENDPOINT_URL", "http://localhost:9000")
    assert ObjectStoreResource().store().url(key).startswith("http://localhost:9000/b/reports/u/")
    with tempfile.TemporaryDirectory() as folder:
        assert isinstance(ObjectStoreResource.having(folder=Path(folder)).store(), FolderStore)
