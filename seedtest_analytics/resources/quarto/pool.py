"""Worker processes that each render one document at a time. A crash or a time-out fails one document only.

docs/decisions/0014-report-workers.md says why this is not a library.
"""

from __future__ import annotations

import contextlib
import os
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterable, Iterator
from multiprocessing.connection import Connection, wait
from pathlib import Path
from typing import Generic, TypeVar

from seedtest_analytics.resources.quarto.errors import ReportError
from seedtest_analytics.resources.quarto.worker import Page, WorkerSetup
from seedtest_analytics.scratch import sweep

Key = TypeVar("Key")
START_TIMEOUT_S = 120.0
_PACKAGE_PARENT = Path(__file__).resolve().parents[3]


class Worker:
    """One worker process and the socket to it."""

    def __init__(self, setup: WorkerSetup) -> None:
        """Start the process; raises :class:`ReportError` if it does not get ready."""
        ours, theirs = socket.socketpair()
        with theirs, tempfile.TemporaryFile() as errors:
            self._process = subprocess.Popen(
                [sys.executable, "-P", "-m", f"{__package__}.worker", str(theirs.fileno())],
                pass_fds=(theirs.fileno(),),
                stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL,
                stderr=errors,
                env=_environment(),
                start_new_session=True,
            )
            theirs.close()
            self.connection = Connection(ours.detach())
            self.deadline = float("inf")
            try:
                self._handshake(setup)
            except (ReportError, OSError, EOFError) as error:
                self.kill()
                errors.seek(0)
                printed = errors.read().decode(errors="replace")[-2000:]
                cause = str(error) if isinstance(error, ReportError) else printed.strip()
                raise ReportError(f"a render worker did not start: {cause}") from None

    def _handshake(self, setup: WorkerSetup) -> None:
        self.connection.send(setup)
        if not self.connection.poll(START_TIMEOUT_S):
            raise ReportError(f"no answer within {START_TIMEOUT_S:g} s")
        status, message = self.connection.recv()
        if status != "ready":
            raise ReportError(message)

    def kill(self) -> None:
        """Kill the process and its children."""
        self.connection.close()
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self._process.pid, signal.SIGKILL)
        self._process.wait()
        sweep()  # the student's data that the worker had not removed yet

    def close(self) -> None:
        """Let the process end, or kill it after 5 s."""
        self.connection.close()
        try:
            self._process.wait(timeout=5)
        except subprocess.TimeoutExpired:
            self.kill()

    def exit_reason(self) -> str:
        """How a worker that closed its socket ended."""
        status = self._process.wait()
        return f"signal {signal.Signals(-status).name}" if status < 0 else f"status {status}"


def _environment() -> dict[str, str]:
    """The caller's environment, with this package importable and a fixed hash seed, so that pages repeat exactly."""
    paths = [str(_PACKAGE_PARENT), *filter(None, [os.environ.get("PYTHONPATH")])]
    return {**os.environ, "PYTHONPATH": os.pathsep.join(paths), "PYTHONHASHSEED": "0", "OMP_NUM_THREADS": "1"}


class WorkerPool(Generic[Key]):
    """At most ``size`` workers, started on demand."""

    def __init__(self, setup: WorkerSetup, size: int, *, timeout_s: float) -> None:
        """``timeout_s`` is the time limit of one document."""
        self._setup, self._size, self._timeout_s = setup, size, timeout_s
        self._idle: list[Worker] = []

    def close(self) -> None:
        """End the idle workers."""
        while self._idle:
            self._idle.pop().close()

    def map(self, jobs: Iterable[tuple[Key, bytes]]) -> Iterator[tuple[Key, list[Page] | str]]:
        """Yield the pages or a failure (str) for each job as it finishes.

        Reads ``jobs`` as workers become free, so memory does not grow with their number. Leaving the loop early kills
        the busy workers.
        """
        busy: dict[Connection, tuple[Worker, Key]] = {}
        queue = iter(jobs)
        is_exhausted = False
        try:
            while busy or not is_exhausted:
                while not is_exhausted and len(busy) < self._size:
                    job = next(queue, None)
                    if job is None:
                        is_exhausted = True
                        break
                    worker = self._start(job[1])
                    busy[worker.connection] = (worker, job[0])
                yield from self._finished(busy)
        finally:
            for worker, _ in busy.values():
                worker.kill()

    def _start(self, document: bytes) -> Worker:
        """Give the document to an idle or a new worker."""
        while True:
            worker = self._idle.pop() if self._idle else Worker(self._setup)
            worker.deadline = time.monotonic() + self._timeout_s
            try:
                worker.connection.send_bytes(document)
            except OSError:  # it died while it was idle
                worker.kill()
                continue
            return worker

    def _finished(self, busy: dict[Connection, tuple[Worker, Key]]) -> Iterator[tuple[Key, list[Page] | str]]:
        """Wait until a worker answers, dies or runs out of time."""
        if not busy:
            return
        patience = max(0.0, min(w.deadline for w, _ in busy.values()) - time.monotonic())
        for connection in wait(list(busy), patience):
            assert isinstance(connection, Connection)
            worker, key = busy.pop(connection)
            yield key, self._answer(worker)
        now = time.monotonic()
        for connection in [c for c, (w, _) in busy.items() if w.deadline <= now]:
            worker, key = busy.pop(connection)
            worker.kill()
            yield key, f"it took longer than {self._timeout_s:g} s and was stopped"

    def _answer(self, worker: Worker) -> list[Page] | str:
        try:
            answer: list[Page] | str = worker.connection.recv()[1]
        except (EOFError, OSError):
            reason = worker.exit_reason()
            worker.kill()
            return f"the render worker ended with {reason}"
        self._idle.append(worker)
        return answer
