"""Messages: one true sentence a week for each student and parent."""

from collections.abc import Iterable, Iterator
from functools import reduce
from typing import Any

import dagster as dg

from seedtest_analytics.assets.framework.declare import RunOptions, TableSpec, declared
from seedtest_analytics.assets.framework.report import report
from seedtest_analytics.assets.framework.run_time import now
from seedtest_analytics.assets.framework.shards import Result, Shard, sharded_asset
from seedtest_analytics.assets.framework.week_run import WeeklyStep, WeekOutcomes, WeekRun
from seedtest_analytics.assets.messages import checks
from seedtest_analytics.partitions import WEEKLY
from seedtest_analytics.resources.postgres import PostgresResource
from seedtest_analytics.settings import load_settings
from seedtest_analytics.tables.messages import weekly_message


class MessageOptions(RunOptions):
    """Options of a run of the messages."""


def write_shard(
    context: dg.AssetExecutionContext, config: MessageOptions, *, shard: Shard, postgres: PostgresResource
) -> Result:
    """Write the sentences of a shard's students in each week of the run, oldest first."""
    from seedtest_analytics.assets.messages.week import write_week

    lock = f"weekly_message:{{week}}:{shard.name}/{shard.of}"
    step = WeeklyStep(context, config, postgres=postgres, settings=load_settings(), lock=lock)
    return {week.key: found.as_json() for week, found in step.results(lambda run: write_week(run, shard))}


@sharded_asset(
    write_shard,
    **declared(
        TableSpec(
            weekly_message,
            grain="student_week_recipient",
            description="One true sentence about the week for the student and one for the parent: what to improve first, "
            "else what went well, else nothing. Sentences of the last closed week go into `message_outbox`; one that a "
            "late correction makes untrue is cancelled there before it is sent.",
            checks=(checks.SPOKEN, checks.DELIVERED),
        ),
        group="messages",
        kinds=("postgres", "python"),
        deps=[
            "attempt",
            dg.AssetKey(["weekly_kpi", "R_t"]),
            "mirt_ability",
            "ability_state",
            "ability_topic_state",
            "mirt_item_params",
            "mirt_fit_meta",
        ],
        partitions_def=WEEKLY,
    ),
)
def weekly_messages(
    context: dg.AssetExecutionContext, config: MessageOptions, *, results: Iterable[Result], postgres: PostgresResource
) -> Iterator[Any]:
    """Bring the outbox in line with the sentences of each week of the run, oldest first."""
    from seedtest_analytics.assets.messages.week import WeekMessages, hand_over_week

    step = WeeklyStep(context, config, postgres=postgres, settings=load_settings(), lock="weekly_message:{week}")

    def outcomes() -> Iterator[Any]:
        shards = list(results)

        def hand_over(run: WeekRun) -> WeekOutcomes:
            found = (WeekMessages.from_json(shard[run.week.key]) for shard in shards)
            return hand_over_week(run, reduce(WeekMessages.__add__, found), now=now(config))

        yield from step.each_week(hand_over)

    yield from report(context, outcomes())
