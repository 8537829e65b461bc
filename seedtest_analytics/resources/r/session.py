"""R in a separate process, reached over a socket."""

from __future__ import annotations

import contextlib
import logging
import os
import re
import selectors
import signal
import socket
import subprocess
import sys
import threading
import time
from collections import deque
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any, NoReturn, Self

from seedtest_analytics.resources.r import wire
from seedtest_analytics.resources.r.errors import (
    RConversionError,
    RCrashedError,
    REvaluationError,
    RNotFoundError,
    RPackageMissingError,
    RTimeoutError,
)
from seedtest_analytics.resources.r.installation import find_r, install_command, r_environment
from seedtest_analytics.scratch import scratch_folder

SCRIPTS = Path(__file__).with_name("scripts")
START_SECONDS = 120.0
READ_BYTES = 1 << 20
POLL_SECONDS = 0.25
LEVELS = {
    "print": logging.INFO,
    "message": logging.INFO,
    "error": logging.WARNING,
    "warning": logging.WARNING,
    "output": logging.INFO,
}
# R prints the cause of a fault before it ends; RCrashedError shows these lines.
LAST_LINES = 15
_FUNCTION_NAME = re.compile(r"[A-Za-z.][A-Za-z0-9._]*")


class RSession:
    """R in a process that leads its own process group.

    The first call starts the process, and so does the first one after a time-out or a crash. :meth:`close`, or leaving
    the ``with`` block, kills the group and removes R's temporary files. Output, messages and warnings of R go to
    ``logger`` line by line. Threads wait for each other: one call runs at a time.

    ``timeout_seconds`` limits each call, ``threads`` the threads of BLAS and OpenMP. ``memory_limit_mb`` is the address
    space of R and of each of its child processes; 0 leaves the limit to the container.
    """

    def __init__(
        self,
        timeout_seconds: float = 600.0,
        logger: logging.Logger | None = None,
        *,
        threads: int = 1,
        memory_limit_mb: int = 0,
        environment: Mapping[str, str] | None = None,
    ) -> None:
        self.timeout_seconds = timeout_seconds
        self._logger = logger or logging.getLogger(__name__)
        self._threads = threads
        self._memory_limit_mb = memory_limit_mb
        self._environment = dict(os.environ if environment is None else environment)
        self._lock = threading.RLock()
        self._process: _Process | None = None

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    @property
    def pid(self) -> int | None:
        """Process and process group of R; None if it is not running."""
        return self._process.pid if self._process else None

    def r_version(self) -> str:
        """R's version string; starts R."""
        with self._lock:
            return self._started().r_version

    def package_versions(self, packages: Iterable[str]) -> dict[str, str | None]:
        """Installed version of each package; None for a missing one."""
        request = {"type": "packages", "packages": list(packages)}
        reply = self._exchange(request, START_SECONDS, what="looking for R packages")
        versions = reply["versions"]
        assert isinstance(versions, dict)
        return versions

    def require(self, packages: Iterable[str], purpose: str = "this call") -> dict[str, str]:
        """Installed versions; raises :class:`RPackageMissingError` with the install command."""
        versions = self.package_versions(packages)
        missing = tuple(p for p, version in versions.items() if version is None)
        if missing:
            raise RPackageMissingError(
                f"{purpose} needs the R package{'s' if len(missing) > 1 else ''} {', '.join(missing)}, "
                f"not installed in {self.r_version()}. Install: {install_command(missing)}",
                missing,
            )
        return {p: str(v) for p, v in versions.items()}

    def call(
        self,
        script: str | Path,
        function: str,
        *,
        packages: Iterable[str] = (),
        timeout_seconds: float | None = None,
        **arguments: Any,
    ) -> Any:
        """Call a function of an R script with named arguments; return its result.

        ``script`` is a file name in the package's ``scripts`` folder, or a path. :mod:`.wire` lists how values are
        converted. Raises the errors of :mod:`.errors`.
        """
        # Late: it imports pandas, which slows loading the definitions.
        from seedtest_analytics.resources.r import frames

        path = script.absolute() if isinstance(script, Path) else SCRIPTS / script
        if not path.is_file():
            raise FileNotFoundError(f"there is no R script {path.name} in {path.parent}")
        if not _FUNCTION_NAME.fullmatch(function):
            raise ValueError(f"{function!r} is not the name of an R function")
        request = {
            "type": "call",
            "script": str(path),
            "function": function,
            "arguments": {name: frames.to_wire(value, name) for name, value in arguments.items()},
        }
        what = f"{function} of {path.name}"
        with self._lock:
            packages = tuple(packages)
            if packages:
                self.require(packages, what)
            reply = self._exchange(request, timeout_seconds or self.timeout_seconds, what=what)
        return frames.from_wire(_checked(reply, what)["value"])

    def close(self) -> None:
        """End R and its child processes."""
        with self._lock:
            if self._process is not None:
                self._process.end()
                self._process = None

    def _started(self) -> _Process:
        if self._process is not None and not self._process.is_alive():
            self._logger.warning("R process %d ended after the last call; starting a new one", self.pid)
            self.close()
        if self._process is None:
            self._process = _Process(
                self._environment, self._threads, memory_limit_mb=self._memory_limit_mb, logger=self._logger
            )
            try:
                self._process.wait_until_ready()
            except BaseException:
                self.close()
                raise
        return self._process

    def _exchange(self, request: dict[str, Any], timeout_seconds: float, *, what: str) -> dict[str, Any]:
        with self._lock:
            try:
                return self._started().exchange(request, timeout_seconds, what=what)
            except BaseException:  # an interrupt too: R must not continue a call whose caller is gone
                self.close()
                raise


def _checked(reply: dict[str, Any], what: str) -> dict[str, Any]:
    if reply["type"] == "conversion_error":
        raise RConversionError(f"{what}: {reply['error']}")
    if reply["type"] == "r_error":
        origin = f" (in {reply['call']})" if reply["call"] else ""
        raise REvaluationError(
            f"{what} failed in R: {reply['error']}{origin}", reply["call"], traceback=tuple(reply["traceback"])
        )
    return reply


class _Process:
    """A running R with its socket and its output."""

    def __init__(
        self, environment: Mapping[str, str], threads: int, *, memory_limit_mb: int, logger: logging.Logger
    ) -> None:
        self.r_version = ""
        self._logger = logger
        self._partial: dict[str, str] = {}
        self._last_lines: deque[str] = deque(maxlen=LAST_LINES)
        self._unpacker = wire.Unpacker()
        self._scratch = contextlib.ExitStack()
        temporary = self._scratch.enter_context(scratch_folder("r"))
        self._socket, theirs = socket.socketpair()
        try:
            child_environment = r_environment(
                environment, find_r(environment), threads=threads, temporary_folder=temporary
            )
            self._child = subprocess.Popen(
                [sys.executable, "-P", "-m", f"{__package__}.worker", str(theirs.fileno()), str(memory_limit_mb)],
                env=child_environment,
                cwd=temporary,
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=subprocess.STDOUT,
                pass_fds=(theirs.fileno(),),
                start_new_session=True,
            )
        except BaseException:
            self._socket.close()
            self._scratch.close()
            raise
        finally:
            theirs.close()
        assert self._child.stdout is not None
        self._output = self._child.stdout
        os.set_blocking(self._output.fileno(), False)
        self.pid = self._child.pid

    def is_alive(self) -> bool:
        return self._child.poll() is None

    def wait_until_ready(self) -> None:
        reply = self._receive(time.monotonic() + START_SECONDS, START_SECONDS, what="starting R")
        if reply["type"] == "failed_to_start":
            raise RNotFoundError(f"R was found but did not start: {reply['error']}")
        self.r_version = reply["version"]

    def exchange(self, request: dict[str, Any], timeout_seconds: float, *, what: str) -> dict[str, Any]:
        deadline = time.monotonic() + timeout_seconds
        try:
            for part in wire.pack(request):
                self._socket.settimeout(max(deadline - time.monotonic(), 0.001))
                self._socket.sendall(part)
        except TimeoutError:
            self._time_out(timeout_seconds, what)
        except OSError:
            self._crashed(what)
        return self._receive(deadline, timeout_seconds, what=what)

    def _receive(self, deadline: float, timeout_seconds: float, *, what: str) -> dict[str, Any]:
        with selectors.DefaultSelector() as selector:
            selector.register(self._socket, selectors.EVENT_READ)
            selector.register(self._output, selectors.EVENT_READ)
            while True:
                for message in self._unpacker.messages():
                    if message["type"] != "log":
                        self._flush_logs()
                        return message
                    self._log(message["stream"], message["text"])
                remaining = deadline - time.monotonic()
                if remaining <= 0:
                    self._time_out(timeout_seconds, what)
                ready = [key.fileobj for key, _ in selector.select(min(remaining, POLL_SECONDS))]
                self._read(selector, ready, what=what)

    def _read(self, selector: selectors.BaseSelector, ready: list[Any], *, what: str) -> None:
        if self._output in ready and not self._drain_output():
            selector.unregister(self._output)
        if self._socket in ready:
            try:
                chunk = self._socket.recv(READ_BYTES)
            except ConnectionError:
                chunk = b""
            if not chunk:
                self._crashed(what)
            self._unpacker.feed(chunk)
        # Forked children keep the socket open after R is gone, so end-of-file alone does not show it.
        elif not ready and not self.is_alive():
            self._crashed(what)

    def _drain_output(self) -> bool:
        """Log the output of R's child processes; False once all of them have closed it."""
        while True:
            try:
                chunk = os.read(self._output.fileno(), READ_BYTES)
            except BlockingIOError:
                return True
            if not chunk:
                return False
            self._log("output", chunk.decode(errors="replace"))

    def _log(self, stream: str, text: str) -> None:
        *lines, rest = re.split(r"[\r\n]+", self._partial.get(stream, "") + text)
        self._partial[stream] = rest
        for line in filter(str.strip, lines):
            self._last_lines.append(line)
            self._logger.log(LEVELS[stream], "R: %s", line)

    def _flush_logs(self) -> None:
        for stream in list(self._partial):
            self._log(stream, "\n")

    def _time_out(self, timeout_seconds: float, what: str) -> NoReturn:
        raise RTimeoutError(
            f"{what} took longer than its time-out of {timeout_seconds:g} s, so R was stopped. Set a longer time-out, or "
            "use less data"
        )

    def _crashed(self, what: str) -> NoReturn:
        try:
            code = self._child.wait(timeout=5)
        except subprocess.TimeoutExpired:
            code = 0
        self._drain_output()
        self._flush_logs()
        last = "\n  ".join(self._last_lines)
        raise RCrashedError(
            f"R ended during {what}: {_why_ended(code)}. The next call starts a new R."
            + (f" Its last lines:\n  {last}" if last else "")
        )

    def end(self) -> None:
        """Kill the process group: R, its chains and its compilers."""
        with contextlib.suppress(ProcessLookupError):  # already gone
            os.killpg(self.pid, signal.SIGKILL)
        self._child.wait()
        self._socket.close()
        self._output.close()
        self._scratch.close()


def _why_ended(code: int) -> str:
    if code >= 0:
        return f"exit status {code}"
    name = signal.Signals(-code).name
    hint = " (killed, probably because memory ran out)" if -code == signal.SIGKILL else ""
    return f"signal {name}{hint}"
