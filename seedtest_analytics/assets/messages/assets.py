"""Messages: one true sentence a week for each student and parent."""

from collections.abc import Iterator
from functools import partial
from typing import Any

import dagster as dg

from seedtest_analytics.assets.framework.declare import RunOptions, TableSpec, declared
from seedtest_analytics.assets.framework.report import report
from seedtest_analytics.assets.framework.run_time import now
from seedtest_analytics.assets.framework.week_run import WeeklyStep
from seedtest_analytics.assets.messages import checks
from seedtest_analytics.partitions import WEEKLY
from seedtest_analytics.resources.postgres import PostgresResource
from seedtest_analytics.settings import load_settings
from seedtest_analytics.tables.messages import weekly_message


class MessageOptions(RunOptions):
    """Options of a run of the messages."""


@dg.multi_asset(
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
        ],
        partitions_def=WEEKLY,
    )
)
def weekly_messages(
    context: dg.AssetExecutionContext, config: MessageOptions, *, postgres: PostgresResource
) -> Iterator[Any]:
    """Write the sentences of each week of the run, oldest first."""
    from seedtest_analytics.assets.messages.week import write_week

    step = WeeklyStep(context, config, postgres=postgres, settings=load_settings(), lock="weekly_message:{week}")
    yield from report(context, step.each_week(partial(write_week, now=now(config))))
