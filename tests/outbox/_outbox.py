"""Messages in the outbox, and one process that sends them."""

from __future__ import annotations

import datetime as dt
import json
from collections import Counter

from sqlalchemy import Engine

from seedtest_analytics.database.engine import engine_for, normalised_url
from seedtest_analytics.outbox.mail import MailSender, MailServer
from seedtest_analytics.outbox.queue import Queue
from seedtest_analytics.outbox.send import Outcome, Sender, send_due
from seedtest_analytics.outbox.webhook import WebhookSender
from tests._database import execute, rows_of

WEEK = dt.date(2026, 3, 2)


def fill(engine: Engine, n: int, *, channel: str, recipient: str = "student") -> list[str]:
    """New messages of students with consent; their keys."""
    users = [f"u{number:03d}" for number in range(n)]
    execute(
        engine,
        "INSERT INTO message_outbox (user_id, week_start, recipient, revision, code, language, text, evidence) "
        "VALUES (:user, :week, :recipient, 1, 'steady', 'ko', :text, CAST(:evidence AS jsonb))",
        [
            {
                "user": user,
                "week": WEEK,
                "recipient": recipient,
                "text": f"지난주에 4일 동안 공부했으니, 이 리듬을 이어 가 봐요. ({user})",
                "evidence": json.dumps({"days": 4}),
            }
            for user in users
        ],
    )
    execute(
        engine,
        "INSERT INTO message_consent (user_id, recipient, channel, address, consented_at) "
        "VALUES (:user, :recipient, :channel, :address, now())",
        [
            {"user": user, "recipient": recipient, "channel": channel, "address": f"{user}@example.org"}
            for user in users
        ],
    )
    return [row["key"] for row in rows_of(engine, "SELECT key::text AS key FROM message_outbox ORDER BY key")]


def states(engine: Engine) -> Counter[str]:
    return Counter(row["state"] for row in rows_of(engine, "SELECT state FROM message_outbox"))


def queue_of(engine: Engine, channel: str, *, max_tries: int = 100) -> Queue:
    return Queue(engine, channel, resends=channel == "webhook", oldest=WEEK, max_tries=max_tries)


def sender_of(channel: str, port: int) -> Sender:
    if channel == "webhook":
        return WebhookSender(f"http://127.0.0.1:{port}/messages", token="a secret", timeout_seconds=5.0)
    server = MailServer("127.0.0.1", port, tls="none", user=None, password=None, timeout_seconds=5.0)
    return MailSender(server, "school@example.com")


def send(engine: Engine, channel: str, port: int, *, limit: int | None = None) -> Counter[Outcome]:
    """Send what is due as fast as it goes."""
    return send_due(
        engine, queue_of(engine, channel), sender=sender_of(channel, port), per_minute=1_000_000, limit=limit
    )


def hurry(engine: Engine) -> None:
    """Let the time of the next try come."""
    execute(engine, "UPDATE message_outbox SET not_before = NULL")


def send_in_process(url: str, channel: str, port: int) -> None:
    """The body of a sender's process."""
    send(engine_for(normalised_url(url)), channel, port)
