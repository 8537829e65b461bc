"""What runs of the graph show on the terminal: a bar while one runs, and a summary of several.

Computing and ordering the runs belongs to :mod:`.materialize`.
"""

from __future__ import annotations

import os
import re
import time
from collections import defaultdict
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from itertools import chain
from typing import Any

from rich.console import Console
from rich.markup import escape
from rich.table import Table

from seedtest_analytics.assets.framework.untrusted import as_text
from seedtest_analytics.cli.progress import pace
from seedtest_analytics.cli.terminal import lasting

SHOWN_CHECKS = 5
LEFT_OUT = "not computed: "
"""How the checks of an asset begin that a run left out."""

_COUNTED = re.compile(r"([\d,]+) of ([\d,]+) ")
"""How the messages of a step begin that tell how far it is, such as the sync's."""


@contextmanager
def run_bar(console: Console, title: str, *, n_steps: int, n_weeks: int) -> Iterator[Callable[[Any], None]]:
    """A bar on a terminal, and nothing elsewhere. The yielded function takes the events of the run."""
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, SpinnerColumn, TextColumn, TimeElapsedColumn

    columns = (SpinnerColumn(), TextColumn("{task.description}"), BarColumn(20), MofNCompleteColumn())
    done: dict[str, set[str]] = defaultdict(set)
    finished: set[str] = set()
    with Progress(
        *columns, TimeElapsedColumn(), console=console, transient=True, disable=not console.is_terminal
    ) as bar:
        task = bar.add_task(escape(title), total=n_steps * n_weeks)
        started = time.monotonic()

        def on_event(entry: Any) -> None:
            event, step = entry.dagster_event, entry.step_key
            if event is None and (counted := _COUNTED.match(entry.user_message)):
                rows, total = (int(number.replace(",", "")) for number in counted.groups())
                bar.update(
                    task, description=f"{escape(title)} · {how_far(rows, total, seconds=time.monotonic() - started)}"
                )
            if event is None or step is None:
                return
            if event.event_type_value == "ASSET_CHECK_EVALUATION" and event.event_specific_data.partition:
                done[step].add(event.event_specific_data.partition)
            if event.is_step_success:
                finished.add(step)
            counts = (min(len(weeks), n_weeks) for key, weeks in done.items() if key not in finished)
            completed = len(finished) * n_weeks + sum(counts)
            bar.update(task, completed=completed, description=f"{escape(title)} · {escape(step)}")

        yield on_event


def how_far(rows: int, total: int, *, seconds: float) -> str:
    """Rows of all, rate and time left."""
    left = seconds * (total - rows) / max(rows, 1)
    return f"{rows:,} of {total:,} {pace(rows, seconds).partition(' ')[2]}, {left:,.0f} s left"


@contextmanager
def outside_capture(console: Console) -> Iterator[Console]:
    """A console on its own descriptor of the output: during a step Dagster sends standard output to a file."""
    output = console.file
    try:
        descriptor = os.dup(output.fileno())
    except (OSError, ValueError):  # not a file
        yield console
        return
    visible, _ = lasting(descriptor, like=output)
    try:
        with visible:
            yield Console(file=visible, emoji=False)
    finally:
        os.close(descriptor)


class Summary:
    """Rows, checks and time of all runs so far, by step. Assets of one step share its time."""

    def __init__(self) -> None:
        self._seconds: dict[tuple[str, ...], float] = defaultdict(float)
        self._rows: dict[str, dict[str | None, int]] = defaultdict(dict)
        self._checks: dict[tuple[str, str], Any] = {}

    def add(self, result: Any) -> None:
        """Add the result of a run."""
        assets: dict[str, list[str]] = defaultdict(list)
        seconds: dict[str, float] = {}
        for event in result.all_events:
            if event.event_type_value == "ASSET_MATERIALIZATION":
                materialization = event.step_materialization_data.materialization
                count = materialization.metadata.get("dagster/partition_row_count")
                of_asset = self._rows[event.asset_key.to_user_string()]
                rows = int(count.value) if count is not None else 0
                # The attempt log is synced twice; the second time there is nothing new.
                of_asset[event.partition] = max(rows, of_asset.get(event.partition, 0))
            if event.event_type_value == "ASSET_CHECK_EVALUATION":
                found = event.event_specific_data
                name = found.asset_key.to_user_string()
                self._checks[name, found.check_name] = found
                if name not in assets[event.step_key]:
                    assets[event.step_key].append(name)
            if event.is_step_success:
                seconds[event.step_key] = event.step_success_data.duration_ms / 1000
        for step, names in assets.items():
            self._seconds[tuple(sorted(names))] += seconds.get(step, 0.0)

    @property
    def left_out(self) -> dict[str, list[str]]:
        """Assets that were left out, by reason."""
        found: dict[str, list[str]] = defaultdict(list)
        for (asset, name), check in self._checks.items():
            text = as_text(check.description or "")
            if name == "contract" and text.startswith(LEFT_OUT):
                found[text.removeprefix(LEFT_OUT)].append(asset)
        return dict(found)

    def _seconds_by_group(self) -> dict[tuple[str, ...], float]:
        """Seconds of the assets that steps compute together; a step that only checks counts with them."""
        found: dict[tuple[str, ...], float] = {}
        for assets, seconds in self._seconds.items():
            wider = (other for other in self._seconds if set(assets) < set(other))
            group = next(wider, assets)
            found[group] = found.get(group, 0.0) + seconds
        return found

    def show(self, console: Console) -> None:
        """Print the table, the assets that were left out and the checks that found something."""
        table = Table(box=None, pad_edge=False)
        table.add_column("assets")
        for heading in ("rows", "checks", "seconds"):
            table.add_column(heading, justify="right")
        # The tables of the web application are only looked at.
        shown = {*self._rows, *chain.from_iterable(self.left_out.values())}
        for assets, seconds in self._seconds_by_group().items():
            if not any(asset in shown for asset in assets):
                continue
            counts = [sum(self._rows[asset].values()) for asset in assets]
            checks = [check for (asset, _), check in self._checks.items() if asset in assets]
            passed = sum(check.passed for check in checks)
            table.add_row(_named(assets), _counted(counts), f"{passed} of {len(checks)}", f"{seconds:.1f}")
        console.print(table)
        for reason, names in self.left_out.items():
            _say(console, f"left out: {', '.join(names)}: {reason}")
        failed = [(key, check) for key, check in self._checks.items() if not check.passed]
        for (asset, name), check in failed[:SHOWN_CHECKS]:
            _say(console, f"check {asset} · {name}: {as_text(check.description or '')}")
        if len(failed) > SHOWN_CHECKS:
            _say(console, f"and {len(failed) - SHOWN_CHECKS} more; the page Checks of the asset shows them")


def _named(assets: Sequence[str]) -> str:
    """The names, with a folder that all share once: ``weekly_kpi/A_t, E_t``."""
    folder, slash, _ = assets[0].rpartition("/")
    if not slash or not all(asset.startswith(f"{folder}/") for asset in assets):
        return ", ".join(assets)
    return f"{folder}/{', '.join(asset.removeprefix(f'{folder}/') for asset in assets)}"


def _counted(counts: Sequence[int]) -> str:
    if len(counts) > 1 and len(set(counts)) == 1:
        return f"{len(counts)} × {counts[0]:,}"
    return " + ".join(f"{count:,}" for count in counts)


def _say(console: Console, text: str) -> None:
    console.print(escape(text), highlight=False, soft_wrap=True)
