"""Carries the results of shards to the step that reports them: as metadata of the shard's own event.

A shard may run in its own pod, so nothing on disk reaches the next step. Dagster's storage does, also for a run that
goes on where another one failed, and what is kept goes with the history of runs.
"""

from __future__ import annotations

from typing import Any

import dagster as dg

from seedtest_analytics.dagster_private import handled_output_metadata

SHARD_RESULTS = "shard_results"
_VALUE = "result"


class ShardResults(dg.ConfigurableIOManager):
    """Keeps small JSON values in Dagster's event log."""

    def handle_output(self, context: dg.OutputContext, obj: Any) -> None:
        """Keep the value with the event of the output."""
        context.add_output_metadata({_VALUE: dg.MetadataValue.json(obj)})

    def load_input(self, context: dg.InputContext) -> Any:
        """The value that the step's newest try kept."""
        upstream = context.upstream_output
        assert upstream is not None
        found = handled_output_metadata(context.instance, upstream.run_id, step=upstream.step_key)
        return found[_VALUE].value
