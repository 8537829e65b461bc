"""How far a load is: bars on a terminal, and a line every few seconds elsewhere."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

from rich.console import Console

if TYPE_CHECKING:
    from seedtest_analytics.ingest import Progress

SECONDS_BETWEEN_LINES = 10.0


@contextmanager
def progress_bar(console: Console) -> Iterator[Progress]:
    """Take the progress of each stage: share, rows, rate and time left."""
    if not console.is_terminal:
        yield _Lines(console).report
        return
    from rich.progress import BarColumn, Progress, TaskID, TaskProgressColumn, TextColumn, TimeRemainingColumn

    columns = (TextColumn("{task.description}"), BarColumn(20), TaskProgressColumn(), TextColumn("{task.fields[pace]}"))
    with Progress(*columns, TimeRemainingColumn(elapsed_when_finished=True), console=console) as bar:
        tasks: dict[str, TaskID] = {}
        starts: dict[str, float] = {}

        def report(stage: str, share: float, *, rows: int = 0) -> None:
            if stage not in tasks:
                tasks[stage] = bar.add_task(stage, total=1, pace="")
                starts[stage] = time.monotonic()
            bar.update(tasks[stage], completed=share, pace=pace(rows, time.monotonic() - starts[stage]))

        yield report


class _Lines:
    """Prints a stage that takes long; short loads print nothing."""

    def __init__(self, console: Console) -> None:
        self._console = console
        self._stage = ""
        self._start = self._printed = 0.0

    def report(self, stage: str, share: float, *, rows: int = 0) -> None:
        """Print a line if the last one is old enough."""
        now = time.monotonic()
        if stage != self._stage:
            self._stage, self._start, self._printed = stage, now, now
        elif now - self._printed >= SECONDS_BETWEEN_LINES:
            self._printed = now
            left = (now - self._start) * (1 - share) / share if share > 0 else float("inf")
            remaining = f", {left:,.0f} s left" if left < float("inf") else ""
            line = f"{stage}: {share:.0%}, {pace(rows, now - self._start)}{remaining}"
            self._console.print(line, highlight=False, soft_wrap=True)


def pace(rows: int, seconds: float) -> str:
    """Rows so far and per second."""
    return f"{rows:,} rows, {rows / seconds:,.0f}/s" if rows and seconds > 0 else ""
