"""What the benchmarks share: the machine's name, a migrated database, and functions measured in a fresh process."""

from __future__ import annotations

import contextlib
import multiprocessing
import os
import platform
import resource
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ProcessPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psutil


@dataclass(frozen=True)
class Measured:
    """A result with its wall time, imports included, and the peak memory of its process and that process's children."""

    result: Any
    seconds: float
    megabytes: float


def in_own_process(function: Callable[..., Any], *arguments: Any) -> Measured:
    """Call the function in a fresh process, so that its peak memory is its own. Raises what the function raises."""
    with ProcessPoolExecutor(1, mp_context=multiprocessing.get_context("spawn")) as pool:
        return pool.submit(_measured, function, arguments).result()


def _measured(function: Callable[..., Any], arguments: tuple[Any, ...]) -> Measured:
    done, peak = threading.Event(), [0.0]
    watcher = threading.Thread(target=_watch_memory, args=(done, peak))
    watcher.start()
    start = time.perf_counter()
    try:
        result = function(*arguments)
    finally:
        seconds = time.perf_counter() - start
        done.set()
        watcher.join()
    own = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    return Measured(result, seconds, megabytes=max(own, peak[0]))


def _watch_memory(done: threading.Event, peak: list[float]) -> None:
    """Keep the most megabytes that this process and its children hold at once."""
    me = psutil.Process()
    while not done.wait(0.1):
        total = me.memory_info().rss
        for child in me.children(recursive=True):
            with contextlib.suppress(psutil.Error):  # gone, or a fork that shares this one's pages until it is a chain
                total += child.memory_info().rss if child.exe() != me.exe() else 0
        peak[0] = max(peak[0], total / 2**20)


def machine() -> str:
    """Processor, cores, memory, versions."""
    model = platform.processor() or platform.machine()
    cpuinfo = Path("/proc/cpuinfo")
    if cpuinfo.exists():
        names = [
            line.split(":", 1)[1].strip() for line in cpuinfo.read_text().splitlines() if line.startswith("model name")
        ]
        model = names[0] if names else model
    memory_gb = psutil.virtual_memory().total / 2**30
    return f"{model}, {os.cpu_count()} cores, {memory_gb:.0f} GB; Python {platform.python_version()}"


@contextmanager
def database(folder: Path) -> Iterator[str]:
    """URL of a migrated database."""
    from sqlalchemy import create_engine

    from seedtest_analytics.database.embedded_postgres import EmbeddedPostgres
    from seedtest_analytics.database.engine import normalised_url
    from seedtest_analytics.database.migrations import migrate

    given = os.environ.get("DATABASE_URL")
    server = None
    if given is None:
        server = EmbeddedPostgres(folder / "postgres")
        os.chmod(folder, 0o755)
        server.start()
        server.ensure_database("bench")
    try:
        url = given or (server.url("bench") if server else "")
        engine = create_engine(normalised_url(url))
        migrate(engine)
        engine.dispose()
        yield url
    finally:
        if server is not None:
            server.stop()
