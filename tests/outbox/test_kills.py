"""Fifty senders are killed while they send: nothing goes out twice, and nothing is lost."""

import multiprocessing
import random
from collections import Counter

from sqlalchemy import Engine

from tests._database import rows_of
from tests.outbox._outbox import fill, hurry, queue_of, send, send_in_process, states
from tests.outbox._receivers import Receiver, mail_server, webhook

KILLS = 50
MESSAGES = 120
STEPS = {
    # before the irrevocable step, in the middle of it, and after it
    "smtp": ("mail", "rcpt", "data", "text", "dot", "accepted", "answered"),
    "webhook": ("asked", "accepted", "answered"),
}


def kill_senders(engine: Engine, receiver: Receiver, channel: str, *, seed: int) -> Counter[str]:
    """Start senders one after the other; the receiver kills each at a step of one of its first messages."""
    rng = random.Random(seed)
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(["tests.outbox._outbox", "psycopg", "sqlalchemy.dialects.postgresql.psycopg"])
    url = engine.url.render_as_string(hide_password=False)
    killed: Counter[str] = Counter()
    for _ in range(KILLS):
        step, countdown = rng.choice(STEPS[channel]), rng.randint(1, 3)
        left = [countdown]

        def answer(at: str, what: str, *, step: str = step, left: list[int] = left) -> str | None:
            left[0] -= at == step
            return "kill" if at == step and left[0] == 0 else None

        receiver.answer = answer
        hurry(engine)
        process = context.Process(target=send_in_process, args=(url, channel, receiver.port))
        process.start()
        receiver.victim = process.pid
        process.join(60)
        killed[step] += process.exitcode == -9
    receiver.answer, receiver.victim = (lambda step, what: None), None
    return killed


def test_mails_are_sent_once_with_fifty_kills(database: Engine) -> None:
    keys = fill(database, MESSAGES, channel="smtp")
    with mail_server() as receiver:
        killed = kill_senders(database, receiver, "smtp", seed=3)
        assert killed.total() == KILLS
        assert set(killed) == set(STEPS["smtp"])
        hurry(database)
        send(database, "smtp", receiver.port)
        assert len(receiver.mailed()) == len(set(receiver.mailed())), "a mail went out twice"
        # The server's log is the only witness of a mail whose sender died after the dot. An operator reads it.
        queue = queue_of(database, "smtp")
        unclear = [key for key, _, _ in queue.unresolved()]
        assert set(keys) - set(receiver.mailed()) <= set(unclear), "a mail was lost"
        assert 0 < len(unclear) <= killed["dot"] + killed["accepted"] + killed["answered"] + killed["text"]
        for key in unclear:
            assert queue.resolve(key, is_sent=key in receiver.mailed())
        send(database, "smtp", receiver.port)
        assert sorted(receiver.mailed()) == sorted(keys)
    assert states(database) == {"sent": MESSAGES}


def test_a_webhook_that_knows_its_keys_gets_each_message_once_with_fifty_kills(database: Engine) -> None:
    keys = fill(database, MESSAGES, channel="webhook")
    with webhook() as receiver:
        killed = kill_senders(database, receiver, "webhook", seed=4)
        assert killed.total() == KILLS
        hurry(database)
        send(database, "webhook", receiver.port)
        assert sorted(receiver.posted()) == sorted(keys)
        assert all(
            header["Idempotency-Key"] == post["key"]
            for header, post in zip(receiver.headers, receiver.posts, strict=True)
        )
        # What came twice came with the same key: only where the sender died before it knew the answer.
        assert len(receiver.posts) - len(keys) <= killed["accepted"] + killed["answered"]
    assert states(database) == {"sent": MESSAGES}


def test_two_senders_at_once_send_each_mail_once(database: Engine) -> None:
    """Also without the lock: only one of them gets a message."""
    keys = fill(database, 12, channel="smtp")
    queue = queue_of(database, "smtp")
    assert [queue.claim(keys[0]), queue.claim(keys[0])] == [True, False]
    with mail_server() as receiver:
        context = multiprocessing.get_context("forkserver")
        url = database.url.render_as_string(hide_password=False)
        senders = [context.Process(target=send_in_process, args=(url, "smtp", receiver.port)) for _ in range(2)]
        for sender in senders:
            sender.start()
        for sender in senders:
            sender.join(60)
        assert sorted(receiver.mailed()) == sorted(keys[1:])
    assert rows_of(database, "SELECT key::text AS key FROM message_outbox WHERE state = 'sending'") == [
        {"key": keys[0]}
    ]
