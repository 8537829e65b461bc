"""The same tests for both stores: a real folder, and S3 through moto's server over HTTP."""

import base64
import datetime as dt
import errno
import hashlib
import hmac
import os
import re
import stat
import subprocess
import tempfile
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any
from urllib.parse import unquote, urlsplit
from urllib.request import urlopen

import pytest
from hypothesis import given
from hypothesis import strategies as st

from seedtest_analytics.resources.object_store import ObjectStoreResource
from seedtest_analytics.resources.store.base import ObjectStore, ObjectStoreError, StoredObject
from seedtest_analytics.resources.store.folder import FolderStore
from seedtest_analytics.resources.store.keys import ReportKey, user_prefix
from seedtest_analytics.resources.store.s3 import MULTIPART_BYTES, S3Store
from tests._s3 import REGION

WEEK = dt.date(2024, 3, 4)
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
    keys = [ReportKey(f"u{number}", WEEK) for number in range(8)]
    with ThreadPoolExecutor(8) as pool:
        list(pool.map(store.put, keys, contents))
    assert [store.get(key) for key in keys] == contents


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


def test_objects_are_encrypted_and_have_their_language(s3: S3Store, bucket: Any, moto_endpoint: str) -> None:
    key = ReportKey("u", WEEK)
    s3.put(key, b"content", language="ko")
    found = bucket.Object(key.path)
    assert (found.server_side_encryption, found.content_language) == ("AES256", "ko")
    by_kms = S3Store(bucket.name, REGION, endpoint_url=moto_endpoint, encryption="aws:kms", kms_key_id="alias/reports")
    assert by_kms.put(key, b"content"), "an object without the wanted encryption is written again"
    found = bucket.Object(key.path)
    assert (found.server_side_encryption, found.ssekms_key_id) == ("aws:kms", "alias/reports")


def test_the_store_gets_a_digest_to_check_the_body_against(s3: S3Store) -> None:
    key = ReportKey("u", WEEK)
    sent: dict[str, Any] = {}
    s3._client.meta.events.register("before-send.s3.PutObject", lambda request, **_: sent.update(request.headers))
    s3.put(key, b"content")
    digest = base64.b64encode(hashlib.sha256(b"content").digest())
    assert sent["x-amz-checksum-sha256"] in (digest, digest.decode())


def test_an_object_that_is_not_as_it_was_asked_for_is_an_error(s3: S3Store, monkeypatch: pytest.MonkeyPatch) -> None:
    """A store that ignores the header of encryption, and one that loses what it has acknowledged."""
    put_object = s3._client.put_object
    with monkeypatch.context() as patch:
        patch.setattr(
            s3._client,
            "put_object",
            lambda **options: put_object(**{n: v for n, v in options.items() if n != "ServerSideEncryption"}),
        )
        with pytest.raises(ObjectStoreError, match="NotEncrypted; the store ignores S3_ENCRYPTION") as caught:
            s3.put(ReportKey("u", WEEK), b"x")
        assert caught.value.is_for_all
    monkeypatch.setattr(s3._client, "put_object", lambda **_: {})
    with pytest.raises(ObjectStoreError, match="lacks or differs in the object") as caught:
        s3.put(ReportKey("v", WEEK), b"x")
    assert caught.value.may_pass


def test_a_large_report_is_sent_in_parts(s3: S3Store, bucket: Any) -> None:
    key, content = ReportKey("u", WEEK), os.urandom(MULTIPART_BYTES + 1)
    s3.put(key, content)
    assert s3.get(key) == content
    assert s3.digest(key) == hashlib.sha256(content).hexdigest()
    assert bucket.Object(key.path).e_tag.strip('"').endswith("-2"), "two parts"
    assert bucket.Object(key.path).server_side_encryption == "AES256"
    assert s3.put(key, content) is False


def test_a_shared_address_opens_one_report_for_some_time(s3: S3Store) -> None:
    key = ReportKey("u", WEEK)
    s3.put(key, b"<p>here</p>")
    address = s3.shared_url(key, 60)
    with urlopen(address) as answer:
        assert answer.read() == b"<p>here</p>"
    assert "X-Amz-Expires=60" in address
    assert "X-Amz-Signature=" in address


# Hidden ids


def test_a_secret_hides_the_id_in_every_key(store: ObjectStore, folder: FolderStore, s3: S3Store) -> None:
    secret = b"a secret of the school"
    key = ReportKey("anna@example.org", WEEK)
    hidden: ObjectStore = (
        FolderStore(folder.folder, key_secret=secret)
        if store is folder
        else S3Store(s3.bucket, REGION, endpoint_url=s3.endpoint_url, key_secret=secret)
    )
    store.put(key, b"older, with the id")
    hidden.put(key, b"hidden")
    assert hidden.get(key) == b"hidden"
    expected = hmac.new(secret, b"anna@example.org", "sha256").hexdigest()
    assert hidden.url(key).endswith(f"/reports/{expected}/2024-03-04/report.html")
    assert key.path_with(b"another secret of theirs") != key.path_with(secret)
    assert hidden.delete_user("anna@example.org") == 2, "the reports from before the secret go, too"
    assert list(hidden.objects()) == []


def test_every_object_is_listed_with_the_address_of_its_row(store: ObjectStore) -> None:
    keys = [ReportKey(user, WEEK) for user in ("a", "학생", "b/../c")]
    for key in keys:
        store.put(key, b"four")
    assert sorted(store.objects(), key=lambda found: found.url) == sorted(
        (StoredObject(store.url(key), 4) for key in keys), key=lambda found: found.url
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
