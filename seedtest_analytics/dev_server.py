"""Starts and stops Dagster's webserver and daemon on this machine, together with their PostgreSQL.

``up`` prepares the Dagster home and starts a supervisor (this module run as a program) in a new session. The supervisor
restarts ``dagster dev`` and the embedded PostgreSQL when they die. ``down`` interrupts the supervisor, waits, and kills
the rest of its session, also after a crash. State, lock and log are in the home's folder ``dev_server``.
"""

from __future__ import annotations

import contextlib
import fcntl
import json
import logging
import os
import re
import signal
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from http import HTTPStatus
from pathlib import Path
from types import FrameType
from typing import Any, Literal

import psutil

from seedtest_analytics import interruption
from seedtest_analytics.database.embedded_postgres import EmbeddedPostgres, EmbeddedPostgresError
from seedtest_analytics.instance_home import PROJECT_FOLDER, DevServerError, prepare_home
from seedtest_analytics.private_files import make_private
from seedtest_analytics.settings import load_settings

logger = logging.getLogger(__name__)

HOST = "127.0.0.1"
READY_TIMEOUT_SECONDS = 180
STOP_TIMEOUT_SECONDS = 45
LOG_LIMIT_BYTES = 20_000_000

CALM_DAEMON = {
    # Freshness windows are hours long; Dagster looks every 30 s.
    "FRESHNESS_DAEMON_INTERVAL_SECONDS": "600",
    # Retries of crashed runs; Dagster looks every 5 s.
    "DAGSTER_EVENT_LOG_CONSUMER_DAEMON_INTERVAL_SECONDS": "30",
}
"""Environment of the daemon: how often it looks for what is rare."""

_WATCH_SECONDS = 1.0
_QUICK_ENDS = 5
_CALM_SECONDS = 60.0
"""A server that ran for this long had started. Only a server that ends before that, time after time, is given up."""
_END_SECONDS = 10.0
_SERVERS = {"dagster", "dagster_webserver"}
"""Packages whose programs serve: webserver, daemon and code servers. Runs are other programs, and go on."""
_LOCATIONS = """{ workspaceOrError { ... on PythonError { message } ... on Workspace { locationEntries {
  name locationOrLoadError { ... on PythonError { message errorChain { error { message } } } } } } } }"""


@dataclass(frozen=True)
class DevServerStatus:
    """``unresponsive``: the process lives but the webserver does not answer (it is starting or stuck)."""

    state: Literal["stopped", "running", "unresponsive"]
    url: str
    log: Path
    pid: int | None = None


@dataclass(frozen=True)
class _Started:
    """The supervisor that was started last; another program may have its pid by now."""

    pid: int
    port: int


class DevServer:
    """The server of one Dagster home. Several processes may call its methods at the same time."""

    def __init__(
        self, home: Path, *, port: int = 3000, workspace: Path | None = None, project_folder: Path = PROJECT_FOLDER
    ) -> None:
        self.home = home.resolve()
        self.port = port
        self.project_folder = project_folder
        self.workspace = workspace or project_folder / "workspace.yaml"
        # Not in the home's folder `logs`: Dagster's telemetry deletes files there, even when it is disabled.
        self._folder = self.home / "dev_server"
        self.log = self._folder / "server.log"
        self._state_file = self._folder / "state.json"

    def up(self) -> DevServerStatus:
        """Start unless it is running; return when the webserver answers and the code is loaded."""
        with self._locked():
            status = self.status()
            if status.state != "running":
                self._end_session(is_crashed=True)
                status = self._wait_until_ready(self._start())
            return status

    def down(self) -> None:
        """Stop webserver, daemon, runs and the embedded PostgreSQL of the home, if they are running."""
        with self._locked():
            self._end_session(is_crashed=False)
            if (self.home / "postgres").exists():
                EmbeddedPostgres(self.home / "postgres").stop()

    def status(self) -> DevServerStatus:
        """The current state; changes nothing."""
        started = self._started()
        url = f"http://{HOST}:{started.port if started else self.port}"
        if started is None or not self._is_alive(started):
            return DevServerStatus("stopped", url, log=self.log)
        state: Literal["running", "unresponsive"] = "running" if _answers(url) else "unresponsive"
        return DevServerStatus(state, url, log=self.log, pid=started.pid)

    def _start(self) -> subprocess.Popen[bytes]:
        """Start the supervisor and note it in the state file."""
        if _is_taken(self.port):
            raise DevServerError(f"another program listens on {HOST}:{self.port}; stop it or choose another port")
        environment = {**CALM_DAEMON, **os.environ, **prepare_home(self.home, self.project_folder)}
        if self.log.exists() and self.log.stat().st_size > LOG_LIMIT_BYTES:
            self.log.replace(self.log.with_suffix(".log.1"))
        command = [sys.executable, "-m", __name__, str(self.home), str(self.port), str(self.workspace)]
        with self.log.open("ab") as log:
            supervisor = subprocess.Popen(
                command,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                start_new_session=True,
                env=environment,
                cwd=self.workspace.parent,
            )
        interruption.spare(supervisor.pid)
        self._state_file.write_text(json.dumps(asdict(_Started(supervisor.pid, self.port))))
        return supervisor

    def _wait_until_ready(self, supervisor: subprocess.Popen[bytes]) -> DevServerStatus:
        # Asks the child and not `status`: right after the start, the kernel shows an empty command line, as it does for a
        # process that has ended.
        url = f"http://{HOST}:{self.port}"
        deadline = time.monotonic() + READY_TIMEOUT_SECONDS
        while supervisor.poll() is None and not (is_ready := _answers(url)) and time.monotonic() < deadline:
            time.sleep(0.3)
        problem: str | None = f"did not answer within {READY_TIMEOUT_SECONDS} s"
        if supervisor.returncode is not None:
            problem = f"ended with exit code {supervisor.returncode}"
        elif is_ready:
            problem = self._guard_problem(url) or _load_problem(url)
        if problem is None:
            return DevServerStatus("running", url, log=self.log, pid=supervisor.pid)
        self._end_session(is_crashed=False)
        raise DevServerError(f"the Dagster server {problem}; end of {self.log}:\n{_tail(self.log)}")

    def _guard_problem(self, url: str) -> str | None:
        """Why strangers could use the UI; None if the guard refuses a foreign name."""
        request = urllib.request.Request(f"{url}/server_info", headers={"Host": "not-a-name-of-this-ui"})  # noqa: S310
        try:
            with urllib.request.urlopen(request, timeout=60):  # noqa: S310 (our own http URL)
                return f"has no guard; copy `instance_class` of {self.project_folder}/dagster.yaml into that of {self.home}"
        except urllib.error.HTTPError as refused:
            return None if refused.code == HTTPStatus.FORBIDDEN else f"answers {refused.code} for a foreign name"

    def _started(self) -> _Started | None:
        try:
            return _Started(**json.loads(self._state_file.read_text()))
        except (FileNotFoundError, ValueError, TypeError):
            return None

    def _end_session(self, *, is_crashed: bool) -> None:
        """Interrupt the supervisor, kill the rest of its session, and delete the state file."""
        started = self._started()
        if started is None:
            return
        if self._is_alive(started) and not is_crashed:
            supervisor = psutil.Process(started.pid)
            with contextlib.suppress(psutil.NoSuchProcess, psutil.TimeoutExpired):
                supervisor.send_signal(signal.SIGINT)
                supervisor.wait(STOP_TIMEOUT_SECONDS + 10)
        left = self._session(started)
        for process in left:
            with contextlib.suppress(psutil.NoSuchProcess):
                process.kill()
        psutil.wait_procs(left, timeout=10)
        self._state_file.unlink(missing_ok=True)

    def _is_alive(self, started: _Started) -> bool:
        try:
            # Empty for a process that has just started; empty or an error for a zombie.
            command = psutil.Process(started.pid).cmdline()
        except psutil.Error:
            return False
        return __name__ in command and str(self.home) in command

    def _session(self, started: _Started) -> list[psutil.Process]:
        """Live processes of the supervisor's session; DAGSTER_HOME excludes a later session with the same number."""
        found = []
        for process in psutil.process_iter():
            with contextlib.suppress(psutil.Error, OSError):
                is_member = os.getsid(process.pid) == started.pid
                if is_member and process.environ().get("DAGSTER_HOME") == str(self.home):
                    found.append(process)
        return found

    @contextlib.contextmanager
    def _locked(self) -> Iterator[None]:
        try:
            make_private(self._folder)
            file = (self._folder / "lock").open("a")
        except OSError as error:
            raise DevServerError(f"{self.home} cannot be a Dagster home: {error.strerror}") from error
        with file:
            fcntl.flock(file, fcntl.LOCK_EX)
            yield


class _Supervisor:
    """Keeps ``dagster dev`` and the embedded PostgreSQL running until it is interrupted."""

    def __init__(self, home: Path, port: int, *, workspace: Path) -> None:
        self._postgres = None if os.environ.get("DATABASE_URL") else EmbeddedPostgres(home / "postgres")
        self._command = [sys.executable, "-m", "dagster", "dev", "-h", HOST, "-p", str(port), "-w", str(workspace)]
        self._is_stopping = False

    def run(self) -> int:
        """Return 0 after an interruption and 1 if ``dagster dev`` keeps dying as soon as it starts."""
        # A shell starts background jobs with SIGINT ignored. Dagster copies that to SIGTERM, and without these handlers
        # nothing could stop its processes.
        for number in (signal.SIGINT, signal.SIGTERM):
            signal.signal(number, self._stop)
        quick_ends = 0
        while quick_ends < _QUICK_ENDS:
            started = time.monotonic()
            dagster = subprocess.Popen(self._command)
            self._watch(dagster)
            end_servers()
            if self._is_stopping:
                return 0
            lived = time.monotonic() - started
            quick_ends = quick_ends + 1 if lived < _CALM_SECONDS else 1
            logger.error("dagster dev ended with exit code %s after %.0f s", dagster.returncode, lived)
            time.sleep(quick_ends)
        return 1

    def _stop(self, number: int, frame: FrameType | None) -> None:
        self._is_stopping = True

    def _watch(self, dagster: subprocess.Popen[bytes]) -> None:
        while dagster.poll() is None:
            if self._is_stopping:
                dagster.send_signal(signal.SIGINT)
                with contextlib.suppress(subprocess.TimeoutExpired):
                    dagster.wait(STOP_TIMEOUT_SECONDS)
                dagster.kill()
                dagster.wait()
                return
            self._revive_postgres()
            time.sleep(_WATCH_SECONDS)

    def _revive_postgres(self) -> None:
        try:
            if self._postgres is not None and self._postgres.status().state == "stopped":
                logger.warning("the embedded PostgreSQL is not running; starting it again")
                self._postgres.start()
        except EmbeddedPostgresError:
            logger.exception("cannot restart the embedded PostgreSQL; trying again")


def end_servers() -> None:
    """End webserver, daemon and code servers of this process's session.

    A killed `dagster dev` leaves them alive, and the next one would start others beside them. Runs are in the same
    session and go on: their results are in the database.
    """
    left = []
    for process in psutil.process_iter():
        with contextlib.suppress(psutil.Error, OSError):
            command = process.cmdline()
            if (
                command[1:2] == ["-m"]
                and command[2].split(".")[0] in _SERVERS
                and os.getsid(process.pid) == os.getsid(0)
            ):
                process.terminate()
                left.append(process)
    _, stuck = psutil.wait_procs(left, timeout=_END_SECONDS)
    for process in stuck:
        with contextlib.suppress(psutil.NoSuchProcess):
            process.kill()
    psutil.wait_procs(stuck, timeout=_END_SECONDS)


def _is_taken(port: int) -> bool:
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((HOST, port))
        except OSError:
            return True
    return False


def _answers(url: str) -> bool:
    try:
        with urllib.request.urlopen(f"{url}/server_info", timeout=5) as answer:  # noqa: S310 (our own http URL)
            return bool(answer.status == 200)
    except (OSError, ValueError):
        return False


def _load_problem(url: str) -> str | None:
    """Why a code location is not loaded; None if all are."""
    request = urllib.request.Request(  # noqa: S310 (our own http URL)
        f"{url}/graphql",
        json.dumps({"query": _LOCATIONS}).encode(),
        {"Content-Type": "application/json", **load_settings().ui.authorization},
    )
    try:
        with urllib.request.urlopen(request, timeout=60) as answer:  # noqa: S310
            workspace: dict[str, Any] = json.load(answer)["data"]["workspaceOrError"]
    except (OSError, ValueError, KeyError) as failure:
        return f"does not answer GraphQL ({failure})"
    entries = workspace.get("locationEntries")
    if entries is None:
        return f"has no workspace: {workspace.get('message')}"
    for entry in entries:
        error = entry["locationOrLoadError"] or {}
        if "message" in error:
            causes = [error["message"], *(link["error"]["message"] for link in error["errorChain"])]
            return f"cannot load {entry['name']}: {causes[-1].strip()}"
    return None


def _tail(path: Path, lines: int = 25) -> str:
    if not path.exists():
        return ""
    plain = re.sub(r"\x1b\[[0-9;]*m", "", path.read_text(errors="replace"))
    return "\n".join(plain.splitlines()[-lines:])


def _main(arguments: list[str]) -> int:
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(levelname)s %(message)s")
    home, port, workspace = arguments
    return _Supervisor(Path(home), int(port), workspace=Path(workspace)).run()


if __name__ == "__main__":
    sys.exit(_main(sys.argv[1:]))
