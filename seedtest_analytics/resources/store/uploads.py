"""Puts reports into the store, each with tries of its own, and all together with a limit on the time that failures take.

A report that cannot be stored does not stop the others. Once failures have taken the run's patience, or the store says
that it takes no report at all, nothing is tried any more, and the rest waits on disk
(:mod:`seedtest_analytics.resources.store.waiting`).
"""

from __future__ import annotations

import contextlib
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any

from seedtest_analytics.resources.store.base import ObjectStore, ObjectStoreError
from seedtest_analytics.resources.store.keys import ReportFile, ReportKey
from seedtest_analytics.resources.store.waiting import WaitingReports

TRIES = 4
_FIRST_WAIT_SECONDS = 0.2
_THREADS = 8
_IN_FLIGHT = 2 * _THREADS
"""Reports in memory at the same time."""


@dataclass(frozen=True)
class Delivery:
    """What became of a report: stored if ``refusal`` is None, else waiting on disk."""

    key: ReportKey
    sha256: str
    size_bytes: int
    renderer: str
    language: str
    note: Mapping[str, Any]
    refusal: ObjectStoreError | None = None

    @property
    def is_stored(self) -> bool:
        """The store has the report with this digest."""
        return self.refusal is None


class Uploads:
    """Stores reports in threads. Use as a context manager; after :meth:`finish` ``deliveries`` are complete.

    ``waiting=None``: a report that cannot be stored is not kept (a folder that refuses files is a full disk).
    """

    def __init__(self, store: ObjectStore, waiting: WaitingReports | None, *, patience_seconds: float) -> None:
        self.deliveries: list[Delivery] = []
        self.refusal: ObjectStoreError | None = None
        """Why the store takes nothing any more."""
        self._store, self._waiting = store, waiting
        self._patience_seconds, self._lost_seconds = patience_seconds, 0.0
        self._guard = threading.Lock()
        self._slots = threading.BoundedSemaphore(_IN_FLIGHT)
        # A disk is not faster with more writers, and the first report that it refuses ends the run.
        self._pool = ThreadPoolExecutor(_THREADS if waiting else 1, thread_name_prefix="upload")
        self._futures: list[Future[None]] = []

    def __enter__(self) -> Uploads:
        return self

    def __exit__(self, *_: object) -> None:
        self._pool.shutdown(wait=False, cancel_futures=True)

    def put(self, file: ReportFile) -> None:
        """Store a report soon; waits while many are under way. Raises what stopped an earlier one for good."""
        self._slots.acquire()
        self._raise_failures()
        self._futures.append(self._pool.submit(self._deliver, file))

    def pretend(self, file: ReportFile) -> None:
        """Count a report as stored without storing it, for a dry run."""
        with self._guard:
            self.deliveries.append(_delivery(file, None))

    def holds(self, key: ReportKey, sha256: str) -> bool:
        """Whether the store has this content; a version that still waits is forgotten then. Raises ObjectStoreError."""
        with self._waiting.uploading() if self._waiting else contextlib.nullcontext():
            is_stored = self._store.digest(key) == sha256
            if is_stored and self._waiting:
                self._waiting.discard(key)
        return is_stored

    def taken(self) -> list[Delivery]:
        """The deliveries since the last call, so that a long run need not keep them all."""
        with self._guard:
            taken, self.deliveries = self.deliveries, []
        return taken

    def finish(self) -> None:
        """Wait for the reports under way. Raises :class:`ObjectStoreError` if one can neither be stored nor kept."""
        self._pool.shutdown(wait=True)
        self._raise_failures()

    def _raise_failures(self) -> None:
        done = [future for future in self._futures if future.done()]
        self._futures = [future for future in self._futures if not future.done()]
        for future in done:
            future.result()

    def _deliver(self, file: ReportFile) -> None:
        try:
            refusal = self.refusal or self._try(file)
            if refusal is not None:
                if self._waiting is None:
                    raise refusal
                self._waiting.add(file)
            with self._guard:
                self.deliveries.append(_delivery(file, refusal))
        finally:
            self._slots.release()

    def _try(self, file: ReportFile) -> ObjectStoreError | None:
        """Store a report; the reason if that fails."""
        for number in range(TRIES):
            started = time.monotonic()
            try:
                with self._waiting.uploading() if self._waiting else contextlib.nullcontext():
                    self._store.put(file.key, file.content, language=file.language)
                    if self._waiting:
                        self._waiting.discard(file.key)
            except ObjectStoreError as error:
                wait = _FIRST_WAIT_SECONDS * 2**number
                is_last = number == TRIES - 1 or not error.may_pass
                if self._gives_up(error, time.monotonic() - started + (0.0 if is_last else wait)) or is_last:
                    return error
                time.sleep(wait)
            else:
                return None
        raise AssertionError("the last try returns")

    def _gives_up(self, error: ObjectStoreError, seconds: float) -> bool:
        """Count lost time; whether nothing is to be tried any more."""
        with self._guard:
            self._lost_seconds += seconds
            if error.is_for_all or self._lost_seconds >= self._patience_seconds:
                self.refusal = self.refusal or error
            return self.refusal is not None


def deliver_waiting(
    store: ObjectStore, waiting: WaitingReports, *, record: Callable[[Delivery], None], patience_seconds: float
) -> Iterator[Delivery]:
    """Store what waits, in the order of the files; ``record`` writes the row of a stored report before its file is removed.

    Ends early if the store refuses every report or failures have taken the patience.
    """
    lost = 0.0
    for name in waiting.names():
        started = time.monotonic()
        with waiting.delivering():
            file = waiting.read(name)
            if file is None:
                continue
            refusal = None
            try:
                store.put(file.key, file.content, language=file.language)
            except ObjectStoreError as error:
                refusal = error
                lost += time.monotonic() - started
            delivery = _delivery(file, refusal)
            if refusal is None:
                record(delivery)
                waiting.discard(file.key)
        yield delivery
        if refusal is not None and (refusal.is_for_all or lost >= patience_seconds):
            return


def stored(file: ReportFile) -> Delivery:
    """The delivery of a file that the store has."""
    return _delivery(file, None)


def _delivery(file: ReportFile, refusal: ObjectStoreError | None) -> Delivery:
    return Delivery(
        file.key,
        file.sha256,
        len(file.content),
        renderer=file.renderer,
        language=file.language,
        note=file.note,
        refusal=refusal,
    )
