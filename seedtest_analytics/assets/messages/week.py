"""One week of messages: load the evidence, choose and write the sentences, and bring the outbox in line with them."""

from __future__ import annotations

import datetime as dt
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any, Self
from zoneinfo import ZoneInfo

from sqlalchemy import Connection

from seedtest_analytics.assets.framework.preview import markdown_table
from seedtest_analytics.assets.framework.report import Outcome
from seedtest_analytics.assets.framework.shards import WHOLE, Shard
from seedtest_analytics.assets.framework.week_run import WeekRun, publish_week
from seedtest_analytics.assets.messages import checks
from seedtest_analytics.assets.messages.rows import COLUMNS, message_rows
from seedtest_analytics.assets.report_readers import load_topic_names
from seedtest_analytics.database.publish import Published
from seedtest_analytics.database.sql_files import statement
from seedtest_analytics.partitions import WEEK, Week, instant_of
from seedtest_analytics.tables.messages import weekly_message

EVIDENCE, OUTBOX, QUEUE = "messages/evidence.sql", "messages/outbox.sql", "messages/queue.sql"


@dataclass(frozen=True)
class WeekMessages:
    """What a shard wrote of a week. The results of shards add up."""

    published: Published
    students: int
    active: int
    sentences: Mapping[str, int]
    """Students by rule."""

    def __add__(self, other: WeekMessages) -> WeekMessages:
        return WeekMessages(
            self.published + other.published,
            self.students + other.students,
            active=self.active + other.active,
            sentences=dict(Counter(self.sentences) + Counter(other.sentences)),
        )

    def as_json(self) -> dict[str, Any]:
        """The result as it passes from step to step."""
        return asdict(self)

    @classmethod
    def from_json(cls, value: dict[str, Any]) -> Self:
        """The result that :meth:`as_json` gave."""
        return cls(**value | {"published": Published(**value["published"])})


def write_week(run: WeekRun, shard: Shard) -> WeekMessages:
    """Publish the sentences of a shard's students."""
    import pandas as pd

    parameters = evidence_parameters(run.week, shard)
    found_rows = run.connection.execute(statement(EVIDENCE, "evidence"), parameters).mappings()
    evidence = [dict(row) for row in found_rows]
    rows = message_rows(
        evidence,
        run.week.start,
        default_language=run.settings.reports.language,
        of_users=languages_of_users(run.connection, run.week),
        of_recipients=languages_of_recipients(run.connection, run.week),
        topics=load_topic_names(run.connection),
    )
    published = publish_week(run, weekly_message, rows=pd.DataFrame(rows, columns=COLUMNS), shard=shard)
    return WeekMessages(
        published,
        len(evidence),
        active=sum(row["answers"] > 0 for row in evidence),
        sentences=dict(Counter(row["code"] for row in rows if row["recipient"] == "student")),
    )


def hand_over_week(run: WeekRun, found: WeekMessages, *, now: dt.datetime) -> Sequence[Outcome]:
    """Bring the outbox in line. Only the sentences of a closed week that is young enough go into it."""
    cancelled = run.connection.execute(statement(OUTBOX, "cancel"), {"week_start": run.week.start}).rowcount
    issued = 0
    if is_due(run.week, now, max_age_days=run.settings.messages.max_age_days):
        issued = run.connection.execute(statement(OUTBOX, "issue"), {"week_start": run.week.start}).rowcount
    codes = Counter(found.sentences)
    metadata = {
        "sentences": markdown_table(["rule", "students"], [[code, n] for code, n in codes.most_common()]),
        "put_into_outbox": issued,
        "cancelled": cancelled,
    }
    counts = run.connection.execute(statement(QUEUE, "health"), {"now": now, "week_start": run.week.start}).one()
    judged = [
        checks.spoken(found.students, found.active, n_spoken=codes.total()),
        checks.delivered(counts.sent, counts.failed, n_stuck=counts.stuck),
    ]
    return [run.outcome(found.published, metadata, checks=judged)]


def is_due(week: Week, now: dt.datetime, *, max_age_days: int) -> bool:
    """Whether sentences of the week may be sent: it is over, and not for longer than ``max_age_days``."""
    end = instant_of(week.start + WEEK, ZoneInfo(week.timezone))
    return not week.is_running and dt.timedelta(0) <= now - end <= dt.timedelta(days=max_age_days)


def evidence_parameters(week: Week, shard: Shard = WHOLE) -> dict[str, Any]:
    """Parameters of the statement `evidence`: a shard, and four weeks that end with the reported one."""
    zone = ZoneInfo(week.timezone)
    return {
        "week_start": week.start,
        "since": instant_of(week.start - 3 * WEEK, zone),
        "week_at": instant_of(week.start, zone),
        "as_of": week.as_of,
        "timezone": week.timezone,
        **shard.parameters,
    }


def languages_of_users(connection: Connection, week: Week) -> dict[str, str]:
    """Languages by student, where the web application has a table `users` with that column."""
    if not connection.execute(statement(EVIDENCE, "has_languages")).scalar_one():
        return {}
    rows = connection.execute(statement(EVIDENCE, "languages_of_users"), {"week_start": week.start})
    return {row.user_id: row.language for row in rows}


def languages_of_recipients(connection: Connection, week: Week) -> dict[tuple[str, str], str]:
    """Languages by student and recipient, where the consent states one."""
    rows = connection.execute(statement(EVIDENCE, "languages_of_recipients"), {"week_start": week.start})
    return {(row.user_id, row.recipient): row.language for row in rows}
