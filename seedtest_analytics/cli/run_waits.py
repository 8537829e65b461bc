"""What a run of `seedtest materialize` waits for: says it at once, and ends dead runs that are in the way."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

from seedtest_analytics.database.work import WAITING
from seedtest_analytics.schedules.run_processes import end_dead_runs, holders

LOOK_SECONDS = 5.0
"""A run that waits for a pool looks this often whether the process of another run has died."""


@contextmanager
def told_waits(instance: Any, say: Callable[[str], None]) -> Iterator[Callable[[Any], None]]:
    """The yielded function takes the events of a run and tells what it waits for."""
    proceeds = threading.Event()
    threads: list[threading.Thread] = []

    def on_event(entry: Any) -> None:
        pool = blocked_by(entry)
        if pool is not None:
            say(f"{WAITING}the pool {pool}: {'; '.join(holders(instance, pool)) or 'another run'} has it")
            if not threads:
                threads.append(
                    threading.Thread(target=_end_dead_runs, args=(instance, proceeds), kwargs={"say": say}, daemon=True)
                )
                threads[0].start()
        elif entry.dagster_event is None and str(entry.user_message).startswith(WAITING):
            say(str(entry.user_message))

    try:
        yield on_event
    finally:
        proceeds.set()


def blocked_by(entry: Any) -> str | None:
    """The pool whose slots are taken, if the event says that a step waits for one."""
    event = entry.dagster_event
    if event is None or event.event_type_value != "ENGINE_EVENT" or event.step_key is None:
        return None
    pool = event.engine_event_data.metadata.get("pool")
    return str(pool.value) if pool is not None else None


def _end_dead_runs(instance: Any, proceeds: threading.Event, *, say: Callable[[str], None]) -> None:
    while not proceeds.wait(LOOK_SECONDS):
        tell_dead_runs(instance, say)


def tell_dead_runs(instance: Any, say: Callable[[str], None]) -> None:
    """End the runs whose process was killed, and say which."""
    for run in end_dead_runs(instance):
        say(f"run {run.run_id[:8]} of {run.job_name} was killed: marked as failed, its pool slots are free")
