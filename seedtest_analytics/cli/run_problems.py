"""What went wrong in the runs of `seedtest materialize`, collected: failed jobs, skipped assets, and warnings by kind."""

from __future__ import annotations

import logging
import re
from dataclasses import dataclass, field
from typing import Any

from rich.console import Console
from rich.markup import escape

from seedtest_analytics.assets.framework.untrusted import as_text
from seedtest_analytics.cli.run_progress import LEFT_OUT

_WEEK = re.compile(r"\d{4}-\d{2}-\d{2}")
_PREFIX = re.compile(r"^week of \d{4}-\d{2}-\d{2}: ")
_VARYING = re.compile(r"'[^']*'|\"[^\"]*\"|\d+(?:[.,:-]\d+)*")


@dataclass
class _Kind:
    text: str
    count: int = 0
    weeks: set[str] = field(default_factory=set)


class Problems:
    """Collects the problems of runs and prints them: one line per failed job, skipped asset and kind of warning."""

    def __init__(self) -> None:
        self.failed: dict[str, str] = {}
        """Cause of each optional job that failed."""
        self._skipped: dict[str, str] = {}
        self._warnings: dict[str, _Kind] = {}

    def fail(self, job: str, cause: str) -> None:
        """Note that an optional job failed."""
        self.failed.setdefault(job, cause)

    def warn(self, text: str) -> None:
        """Count a warning. The words before the first colon name its kind; the last text of a kind is shown."""
        shown = _PREFIX.sub("", text)
        kind = self._warnings.setdefault(_VARYING.sub("…", shown.split(": ")[0]), _Kind(shown))
        kind.text = shown
        kind.count += 1
        kind.weeks.update(_WEEK.findall(text)[:1])

    def collect(self, instance: Any, result: Any) -> None:
        """Add the warnings of a run and the assets that it left out."""
        for entry in instance.all_logs(result.run_id):
            if entry.level == logging.WARNING and not entry.is_dagster_event:
                self.warn(str(entry.user_message))
        for check in result.get_asset_check_evaluations():
            if (check.description or "").startswith(LEFT_OUT):
                self._skipped[check.asset_key.to_user_string()] = as_text(check.description).removeprefix(LEFT_OUT)

    def show(self, console: Console) -> None:
        """Print what was collected; nothing if there was no problem."""
        for kind in self._warnings.values():
            console.print(f"[yellow]warning[/]: {escape(kind.text)}{_times(kind)}", highlight=False, soft_wrap=True)
        for asset, reason in self._skipped.items():
            console.print(f"[yellow]skipped[/]: {escape(asset)}: {escape(reason)}", highlight=False, soft_wrap=True)
        for job, cause in self.failed.items():
            console.print(f"[red]failed[/]: {escape(job)}: {escape(cause)}", highlight=False, soft_wrap=True)


def _times(kind: _Kind) -> str:
    weeks = sorted(kind.weeks)
    where = f"weeks {weeks[0]} to {weeks[-1]}" if len(weeks) > 1 else f"week {weeks[0]}" if weeks else ""
    if kind.count == 1:
        return f" ({where})" if where else ""
    return f" ({kind.count:,} times{', ' + where if where else ''})"
