"""A small sharded asset in a job that a test runs and goes on with after a failure."""

import os
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

import dagster as dg

from seedtest_analytics.assets.framework.checks import Check
from seedtest_analytics.assets.framework.declare import RunOptions, TableSpec, declared
from seedtest_analytics.assets.framework.report import Outcome, report
from seedtest_analytics.assets.framework.shards import Result, Shard, sharded_asset
from seedtest_analytics.database.publish import Published
from seedtest_analytics.resources.no_values import NoValues
from seedtest_analytics.resources.shard_results import SHARD_RESULTS, ShardResults
from seedtest_analytics.tables.messages import weekly_message

COUNTED = Check("counted", "Everybody is counted.")


class Options(RunOptions):
    """What the run says to every shard."""

    students: int = 10


def count(context: dg.AssetExecutionContext, config: Options, *, shard: Shard) -> Result:
    """Count every nth number, unless a file forbids it to this shard."""
    folder = Path(os.environ["TEST_FOLDER"])
    with (folder / "tries").open("a") as file:
        file.write(f"{context.run.run_id} {shard.name}\n")
    if (folder / f"no_{shard.name}").exists():
        raise dg.Failure("forbidden", allow_retries=False)
    return {"counted": len(range(shard.number, config.students, shard.of))}


def total() -> dg.AssetsDefinition:
    """The asset as the present SEEDTEST_SHARDS makes it."""

    @sharded_asset(
        count,
        **declared(
            TableSpec(weekly_message, grain="one", description="Counts.", checks=(COUNTED,)),
            group="messages",
            deps=["before"],
            pool="counting",
        ),
    )
    def counts(context: dg.AssetExecutionContext, config: Options, *, results: Iterable[Result]) -> Iterator[Any]:
        """Report the sum."""

        def outcomes() -> Iterator[Outcome]:
            n = sum(result["counted"] for result in results)
            published = Published("weekly_message", n, inserted=n, updated=0, deleted=0)
            yield Outcome(published, checks=[COUNTED.passed(f"{n} of {config.students}")])

        yield from report(context, outcomes())

    return counts


@dg.asset
def before() -> None:
    """Something that the shards need."""


def job() -> dg.JobDefinition:
    """The job over both assets."""
    definitions = dg.Definitions(
        [total(), before],
        jobs=[dg.define_asset_job("counting", dg.AssetSelection.all())],
        resources={"io_manager": NoValues(), SHARD_RESULTS: ShardResults()},
        executor=dg.in_process_executor,
    )
    return definitions.resolve_job_def("counting")
