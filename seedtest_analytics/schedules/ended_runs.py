"""Which runs have ended since a sensor last looked."""

from __future__ import annotations

import datetime as dt
import json
from collections.abc import Collection
from dataclasses import asdict, dataclass

import dagster as dg

from seedtest_analytics.schedules.jobs import FINISHED

LATE_COMMIT_SECONDS = 60.0
"""How far a sensor looks behind the newest end that it has seen: an end may be committed late."""


@dataclass(frozen=True)
class Ends:
    """Runs with the instants of their ends, in this order."""

    at: dict[str, float]
    runs: tuple[dg.DagsterRun, ...]
    """Those that the sensor has not seen."""


@dataclass(frozen=True)
class EndedRuns:
    """What a sensor has seen: the newest end of a run, and the runs that ended shortly before it."""

    until: float
    seen: tuple[str, ...] = ()

    @classmethod
    def of(cls, cursor: str | None, now: dt.datetime) -> EndedRuns:
        """What a cursor says; without one, the sensor begins now."""
        return cls(**json.loads(cursor)) if cursor else cls(now.timestamp())

    @property
    def cursor(self) -> str:
        """The form that a sensor keeps."""
        return json.dumps(asdict(self))

    def later(self, instance: dg.DagsterInstance) -> Ends:
        """Runs that have ended and were not seen yet, in the order of their ends."""
        since = self.until - LATE_COMMIT_SECONDS
        updated_after = dt.datetime.fromtimestamp(since, dt.UTC)
        records = instance.get_run_records(dg.RunsFilter(statuses=FINISHED, updated_after=updated_after))
        # A tag that a run gets later updates its record, and does not end the run again.
        ends = {r.dagster_run.run_id: r.end_time or r.update_timestamp.timestamp() for r in records}
        runs = sorted((record.dagster_run for record in records), key=lambda run: ends[run.run_id])
        return Ends(ends, tuple(run for run in runs if run.run_id not in self.seen and ends[run.run_id] > since))

    def with_seen(self, ends: Ends, run_ids: Collection[str]) -> EndedRuns:
        """The same after some of the later runs, from the first on."""
        until = max([self.until, *(ends.at[id_] for id_ in run_ids)])
        known = {*self.seen, *run_ids}
        return EndedRuns(
            until, tuple(i for i, end in ends.at.items() if i in known and end > until - LATE_COMMIT_SECONDS)
        )
