"""A private PostgreSQL under the Dagster home, from the server binaries in a wheel.

This module runs the server's programs itself. The wheel's Python functions offer only a Unix socket, create an OS
user when root runs them, and mistake a reused pid for a running server. ``pg_ctl start`` hands names of files to a shell.

The root folder contains ``cluster/`` (data folder and log, owned by the server's OS user; a link if that user cannot
enter the root folder), ``password`` (0600), ``port`` (chosen at the first start and kept, so that URLs stay valid) and
``lock`` (taken to start or stop).
"""

from __future__ import annotations

import contextlib
import fcntl
import logging
import os
import re
import secrets
import shutil
import subprocess
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import psutil

from seedtest_analytics.database import embedded_postgres_host as host
from seedtest_analytics.database.embedded_postgres_host import Account, EmbeddedPostgresError
from seedtest_analytics.private_files import make_private

__all__ = ["EmbeddedPostgres", "EmbeddedPostgresError", "ServerStatus"]

logger = logging.getLogger(__name__)

USER = "seedtest"
SUPERUSER = "postgres"
"""Nobody knows its password. The platform's role owns its databases and may create more, and nothing else."""
START_TIMEOUT_SECONDS = 120
LOCK_TIMEOUT_SECONDS = 300
LOG_LIMIT_BYTES = 20_000_000

# Only names that libpq and SQLAlchemy read alike in a URL: SQLAlchemy does not decode percent signs there.
_DATABASE_NAME = re.compile(r"[a-z_][a-z0-9_]{0,62}")

_CAUSES = {
    "No space left on device": "the disk is full; free space, then start again",
    "Disk quota exceeded": "the disk quota is used up; free space, then start again",
    "Address already in use": "another program listens on that port; stop it, or delete the file "
    "{port_file} to get another port, and restart the programs that use the old one",
    "Read-only file system": "that file system is read-only; set DAGSTER_HOME to a writable folder",
    "Cannot allocate memory": "there is too little memory; free some, then start again",
}


@dataclass(frozen=True)
class ServerStatus:
    """``absent``: never started; ``unresponsive``: running but not accepting connections (recovering or stuck)."""

    state: Literal["absent", "stopped", "running", "unresponsive"]
    data_folder: Path
    pid: int | None = None
    port: int | None = None


class EmbeddedPostgres:
    """The server of a root folder, shared by all processes that use the folder.

    ``durable=False`` (tests) trades crash safety for speed. Methods are safe to call from several processes and threads.
    All raise :class:`EmbeddedPostgresError`.
    """

    def __init__(self, root: Path | str, *, durable: bool = True) -> None:
        self.root = Path(root).expanduser().resolve()
        self.durable = durable
        self._cluster = self.root / "cluster"
        self._password_file = self.root / "password"
        self._port_file = self.root / "port"

    def start(self) -> ServerStatus:
        """Create the cluster if there is none, start the server unless it is running, and wait until it is ready."""
        with self._locked():
            status = self.status()
            if status.state == "unresponsive":
                status = self._wait_until_responsive()
            if status.state == "running":
                return status
            account = host.server_account(self._data)
            binaries = host.runnable_binaries(account)
            with self._explained():
                self._make_cluster_folder(account)
                if not (self._data / "PG_VERSION").exists():
                    self._initialise(binaries, account)
                self._check_major_version(binaries)
                self._launch(binaries, account)
            return self.status()

    def stop(self) -> None:
        """Stop the server, if it is running, and wait until it has ended."""
        with self._locked():
            status = self.status()
            if status.pid is None:
                return
            account = host.server_account(self._data)
            binaries = host.runnable_binaries(account)
            for mode in ("fast", "immediate"):
                arguments = ("pg_ctl", "stop", "-D", self._data, "-m", mode, "-w", "-t", "30")
                _, output = host.run_tool(binaries, account, command=arguments)
                if self._server_pid() is None:
                    return
                logger.warning("the embedded PostgreSQL did not stop (%s): %s", mode, output.strip())
            raise EmbeddedPostgresError(f"the embedded PostgreSQL (pid {status.pid}) does not stop; kill that process")

    def status(self) -> ServerStatus:
        """The current state; changes nothing."""
        try:
            if not (self._data / "PG_VERSION").exists():
                return ServerStatus("absent", self._data)
            port, pid = self._port(), self._server_pid()
        except (PermissionError, psutil.AccessDenied):
            raise host.other_owner_error(self._cluster) from None
        if pid is None:
            return ServerStatus("stopped", self._data, port=port)
        command = [str(host.wheel_binaries() / "pg_isready"), "-q", "-h", host.HOST, "-p", str(port), "-t", "5"]
        done = subprocess.run(command, check=False, stdin=subprocess.DEVNULL, env=host.TOOL_ENVIRONMENT)
        is_ready = done.returncode == 0
        return ServerStatus("running" if is_ready else "unresponsive", self._data, pid=pid, port=port)

    def url(self, database: str, driver: str = "psycopg") -> str:
        """SQLAlchemy URL with the password; ``driver=""`` gives the libpq form. Needs a first start."""
        port = self._port()
        if port is None or not self._password_file.exists():
            raise EmbeddedPostgresError(f"there is no embedded PostgreSQL under {self.root}; start it first")
        scheme = f"postgresql+{driver}" if driver else "postgresql"
        return f"{scheme}://{USER}:{self._password()}@{host.HOST}:{port}/{database}"

    def ensure_database(self, name: str) -> None:
        """Create the database unless it exists; safe for simultaneous callers."""
        import psycopg
        from psycopg import errors, sql

        if not _DATABASE_NAME.fullmatch(name):
            raise EmbeddedPostgresError(
                f"{name!r} is not a valid database name: at most 63 lower-case letters, digits and _, no digit first"
            )
        url = self.url("postgres", driver="")
        try:
            with psycopg.connect(url, autocommit=True, connect_timeout=30) as connection:
                found = connection.execute("SELECT FROM pg_database WHERE datname = %s", [name]).fetchone()
                if found is None:
                    connection.execute(sql.SQL("CREATE DATABASE {}").format(sql.Identifier(name)))
        except (errors.DuplicateDatabase, errors.UniqueViolation):
            logger.info("another process created the database %s at the same time", name)
        except psycopg.Error as error:
            raise EmbeddedPostgresError(
                f"cannot create the database {name!r} on the embedded PostgreSQL: {str(error).strip()}. If the server has ended, "
                "run the command again, which starts it"
            ) from error

    @property
    def _data(self) -> Path:
        return self._cluster.resolve() / "data"

    @property
    def _log(self) -> Path:
        return self._cluster.resolve() / "server.log"

    def _port(self) -> int | None:
        try:
            return int(self._port_file.read_text())
        except FileNotFoundError:
            return None
        except ValueError:
            raise EmbeddedPostgresError(f"{self._port_file} does not contain a port number; delete the file") from None

    def _password(self) -> str:
        try:
            return self._password_file.read_text().strip()
        except PermissionError:
            raise host.other_owner_error(self._password_file) from None

    @contextlib.contextmanager
    def _locked(self) -> Iterator[None]:
        """Take the lock of the root folder; the system releases it if the process is killed."""
        with self._explained():
            make_private(self.root)
            file = (self.root / "lock").open("a")
        deadline = time.monotonic() + LOCK_TIMEOUT_SECONDS
        with file:
            while not _try_lock(file.fileno()):
                if time.monotonic() > deadline:
                    raise EmbeddedPostgresError(
                        f"another process has locked {file.name} for {LOCK_TIMEOUT_SECONDS} s; end it and start again"
                    )
                time.sleep(0.05)
            yield

    def _server_pid(self) -> int | None:
        """Pid of our server if it is alive; a stale pid file may contain the pid of another program."""
        try:
            pid = int((self._data / "postmaster.pid").read_text().splitlines()[0])
            process = psutil.Process(pid)
            is_ours = "postgres" in process.name() and str(self._data) in process.cmdline()
            return pid if is_ours and process.status() != psutil.STATUS_ZOMBIE else None
        except (FileNotFoundError, ValueError, IndexError, psutil.NoSuchProcess):  # zombies are NoSuchProcess
            return None

    def _wait_until_responsive(self) -> ServerStatus:
        deadline = time.monotonic() + START_TIMEOUT_SECONDS
        while (status := self.status()).state == "unresponsive":
            if time.monotonic() > deadline:
                raise EmbeddedPostgresError(
                    f"the embedded PostgreSQL (pid {status.pid}) accepted no connection for "
                    f"{START_TIMEOUT_SECONDS} s; end of its log:\n{self._log_tail(0)}"
                )
            time.sleep(0.2)
        return status

    def _launch(self, binaries: Path, account: Account | None) -> None:
        pid_file = self._data / "postmaster.pid"
        if pid_file.exists():
            # PostgreSQL would mistake any live process with that pid, even a zombie, for a running server. It detects
            # backends of a killed server that still write by their shared memory (retried below).
            logger.warning("the embedded PostgreSQL did not end cleanly; recovering")
            pid_file.unlink()
        if self._log.exists() and self._log.stat().st_size > LOG_LIMIT_BYTES:
            self._log.replace(self._log.with_suffix(".log.1"))
        deadline = time.monotonic() + START_TIMEOUT_SECONDS
        kept_port = self._port()
        while True:
            port = kept_port or host.free_port()
            host.write_atomically(self._data / "seedtest.conf", self._settings(port), mode=0o600, account=account)
            log_start = self._log.stat().st_size if self._log.exists() else 0
            pid = host.start_server(binaries, account, data=self._data, log=self._log)
            if self._becomes_ready(pid, deadline):
                host.write_atomically(self._port_file, str(port), mode=0o644)
                return
            tail = self._log_tail(log_start)
            was_taken_meanwhile = kept_port is None and "Address already in use" in tail
            is_passing = was_taken_meanwhile or "is still in use" in tail
            if not is_passing or time.monotonic() > deadline:
                raise self._failure(f"did not start on port {port}", tail)
            time.sleep(0.3)

    def _becomes_ready(self, pid: int, deadline: float) -> bool:
        """Wait until the server with this pid accepts connections; False if it ends first, or at the deadline."""
        while host.is_alive(pid) and time.monotonic() < deadline:
            with contextlib.suppress(FileNotFoundError):
                lines = (self._data / "postmaster.pid").read_text().splitlines()
                if lines[:1] == [str(pid)] and lines[-1].strip() == "ready":
                    return True
            time.sleep(0.05)
        return False

    def _settings(self, port: int) -> str:
        """Content of the file that postgresql.conf includes, for analytics by few users on a small machine."""
        settings = {
            "listen_addresses": host.HOST,
            "port": port,
            "unix_socket_directories": "",
            "max_connections": 200,
            "shared_buffers": "256MB",
            "effective_cache_size": "1GB",
            "work_mem": "32MB",
            "maintenance_work_mem": "256MB",
            "max_parallel_workers_per_gather": 2,
            "jit": "off",
            "random_page_cost": 1.1,
            "max_wal_size": "2GB",
            "wal_level": "minimal",
            "max_wal_senders": 0,
            "timezone": "UTC",
            "log_timezone": "UTC",
            "log_checkpoints": "off",
        }
        if host.is_shared_memory_small():
            settings["dynamic_shared_memory_type"] = "mmap"
        if not self.durable:
            settings |= {"fsync": "off", "synchronous_commit": "off", "full_page_writes": "off"}
        return "".join(f"{name} = '{value}'\n" for name, value in settings.items())

    def _make_cluster_folder(self, account: Account | None) -> None:
        if account is None:
            self._cluster.mkdir(mode=0o700, exist_ok=True)
            return
        self.root.chmod(0o711)
        if not self._cluster.exists():
            if host.can_enter(self.root, account):
                self._cluster.mkdir(mode=0o700)
            else:
                self._put_cluster_elsewhere(account)
        if not (self._data / "PG_VERSION").exists():
            self._cluster.resolve().chmod(0o700)
            os.chown(self._cluster.resolve(), account.uid, account.gid)
        if not host.can_enter(self._cluster.resolve(), account):
            closed = host.closed_parent(self._cluster.resolve(), account)
            raise EmbeddedPostgresError(
                f"root runs PostgreSQL as OS user {account.name}, who may not enter {closed}: run chmod o+x {closed}, or "
                "set DAGSTER_HOME to a folder that all users may enter"
            )

    def _put_cluster_elsewhere(self, account: Account) -> None:
        folder = host.system_folder(f"postgres-{secrets.token_hex(6)}")
        self._cluster.unlink(missing_ok=True)
        self._cluster.symlink_to(folder)
        closed = host.closed_parent(self.root, account)
        logger.info("OS user %s may not enter %s; the database is in %s", account.name, closed, folder)

    def _initialise(self, binaries: Path, account: Account | None) -> None:
        """Create the cluster under another name and rename it, so that an unfinished one is never used."""
        new = self._data.with_name("data.new")
        password_copy = self._data.with_name("password.new")
        shutil.rmtree(new, ignore_errors=True)
        if not self._password_file.exists():
            host.write_atomically(self._password_file, secrets.token_urlsafe(24), mode=0o600)
        host.write_atomically(password_copy, secrets.token_urlsafe(24), mode=0o600, account=account)
        options = ["initdb", "-D", new, "-U", SUPERUSER, "-A", "scram-sha-256", "--pwfile", password_copy, "-E", "UTF8"]
        # The builtin locale sorts alike on every machine and needs no locale of the operating system.
        options += ["--locale=C", "--locale-provider=builtin", "--builtin-locale=C.UTF-8"]
        options += [] if self.durable else ["--no-sync"]
        code, output = host.run_tool(binaries, account, command=options)
        password_copy.unlink(missing_ok=True)
        if code == 0:
            # Single-user mode needs no password, and the server is out of reach until the role is there.
            create = (
                f"CREATE ROLE {USER} LOGIN CREATEDB PASSWORD '{self._password()}'\n"
                f"GRANT pg_monitor, pg_signal_backend TO {USER}\n"
            )
            command = (
                "postgres",
                "--single",
                "-D",
                new,
                "-c",
                "log_min_error_statement=panic",
                "-c",
                "exit_on_error=on",
            )
            code, output = host.run_tool(binaries, account, command=(*command, "postgres"), text=create)
        if code != 0:
            shutil.rmtree(new, ignore_errors=True)
            raise self._failure("could not be initialised", output)
        with (new / "postgresql.conf").open("a") as file:
            file.write("include = 'seedtest.conf'\n")
        new.rename(self._data)

    def _check_major_version(self, binaries: Path) -> None:
        data_version = (self._data / "PG_VERSION").read_text().strip()
        done = subprocess.run([binaries / "postgres", "--version"], capture_output=True, text=True, check=True)
        version = done.stdout.split()[-1]
        if version.split(".")[0] != data_version:
            raise EmbeddedPostgresError(
                f"PostgreSQL {data_version} created {self._data}, but the installed binaries are {version}: migrate the "
                f"data with pg_dump of the {host.WHEEL} release that created it, or move {self.root} away"
            )

    def _log_tail(self, start: int, lines: int = 15) -> str:
        if not self._log.exists():
            return ""
        with self._log.open(errors="replace") as file:
            file.seek(start)
            return "\n".join(file.read().splitlines()[-lines:])

    def _failure(self, what: str, output: str) -> EmbeddedPostgresError:
        causes = (text for pattern, text in _CAUSES.items() if pattern in output)
        cause = next(causes, "see the lines below").format(port_file=self._port_file)
        message = f"the embedded PostgreSQL under {self.root} {what}: {cause}\n{output.strip()}"
        return EmbeddedPostgresError(message)

    @contextlib.contextmanager
    def _explained(self) -> Iterator[None]:
        try:
            yield
        except OSError as error:
            if not os.path.isdir(self.root):  # Path.is_dir raises an error for a name that is too long
                raise EmbeddedPostgresError(
                    f"the embedded PostgreSQL under {self.root} cannot be prepared: {error.strerror} ({error.filename}). Choose "
                    "another home with --home or DAGSTER_HOME"
                ) from error
            if isinstance(error, PermissionError) and self.root.stat().st_uid != os.geteuid():
                raise host.other_owner_error(self.root) from error
            raise self._failure("cannot be prepared", str(error)) from error


def _try_lock(descriptor: int) -> bool:
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True
