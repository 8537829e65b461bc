"""The reference senders against a mail server and a webhook: consent, answers, retries, bounces, and what no log may have."""

import datetime as dt
import logging
import time
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import Engine
from typer.testing import CliRunner

from seedtest_analytics.cli.app import app
from seedtest_analytics.outbox.bounces import Bounce, bounce_in
from seedtest_analytics.outbox.mail import MailSender
from seedtest_analytics.outbox.queue import Message
from seedtest_analytics.outbox.send import SenderError, send_due
from tests._database import execute, rows_of
from tests.outbox._outbox import fill, hurry, queue_of, send, sender_of, states
from tests.outbox._receivers import Receiver, mail_server, webhook


def at(step: str, found: str) -> Any:
    return lambda here, what: found if here == step else None


def reasons(engine: Engine) -> set[str | None]:
    return {row["reason"] for row in rows_of(engine, "SELECT reason FROM message_outbox")}


def test_a_mail_is_as_the_outbox_has_it(database: Engine) -> None:
    (key,) = fill(database, 1, channel="smtp")
    with mail_server() as receiver:
        assert send(database, "smtp", receiver.port) == {"sent": 1}
        (mail,) = receiver.mails
    assert mail["Message-ID"] == f"<{key}@example.com>"
    assert (mail["From"], mail["To"]) == ("school@example.com", "u000@example.org")
    assert (mail["Subject"], mail["Content-Language"]) == ("이번 주 한 문장", "ko")
    assert mail.get_content().strip() == "지난주에 4일 동안 공부했으니, 이 리듬을 이어 가 봐요. (u000)"


def test_a_webhook_gets_the_message_and_its_key(database: Engine) -> None:
    (key,) = fill(database, 1, channel="webhook")
    with webhook() as receiver:
        send(database, "webhook", receiver.port)
        (post,), (header,) = receiver.posts, receiver.headers
    assert post == {
        "key": key,
        "user_id": "u000",
        "recipient": "student",
        "address": "u000@example.org",
        "week_start": "2026-03-02",
        "language": "ko",
        "code": "steady",
        "text": "지난주에 4일 동안 공부했으니, 이 리듬을 이어 가 봐요. (u000)",
        "evidence": {"days": 4},
    }
    assert header["Idempotency-Key"] == key
    assert header["Authorization"] == "Bearer a secret"


@pytest.mark.parametrize(
    "change",
    [
        "DELETE FROM message_consent",
        "UPDATE message_consent SET withdrawn_at = now()",
        "UPDATE message_consent SET bounced_at = now()",
        "UPDATE message_consent SET consented_at = now() + interval '1 day'",
        "UPDATE message_consent SET channel = 'webhook'",
        "UPDATE message_consent SET recipient = 'parent'",
    ],
)
def test_without_consent_nothing_is_sent(database: Engine, change: str) -> None:
    fill(database, 2, channel="smtp")
    execute(database, change)
    with mail_server() as receiver:
        assert send(database, "smtp", receiver.port) == {}
        assert receiver.mails == []
    assert states(database) == {"new": 2}


@pytest.mark.parametrize(
    "change", ["UPDATE message_consent SET withdrawn_at = now()", "UPDATE message_outbox SET state = 'cancelled'"]
)
def test_a_withdrawal_or_a_correction_counts_until_the_last_dot(database: Engine, change: str) -> None:
    fill(database, 1, channel="smtp")
    with mail_server() as receiver:

        def answer(step: str, what: str) -> None:
            if step == "data":
                execute(database, change)

        receiver.answer = answer
        assert send(database, "smtp", receiver.port) == {"not_claimed": 1}
        assert receiver.mails == []


def test_what_is_too_old_is_cancelled(database: Engine) -> None:
    fill(database, 1, channel="smtp")
    execute(database, "UPDATE message_outbox SET week_start = week_start - 7")
    with mail_server() as receiver:
        assert send(database, "smtp", receiver.port) == {}
    assert states(database) == {"cancelled": 1}
    assert reasons(database) == {"late"}


# Answers of a mail server


@pytest.mark.parametrize(
    ("answer", "outcome", "state", "reason", "is_blocked"),
    [
        (at("rcpt", "550 no such user"), "blocked", "failed", "code 550", True),
        (at("rcpt", "451 greylisted"), "later", "new", "code 451", False),
        (at("mail", "452 full"), "later", "new", "code 452", False),
        (at("data", "451 not now"), "later", "new", "code 451", False),
        (at("dot", "554 spam"), "refused", "failed", "code 554", False),
        (at("dot", "452 full"), "later", "new", "code 452", False),
        (at("rcpt", "cut"), "later", "new", "SMTPServerDisconnected", False),
        (at("accepted", "cut"), "unclear", "sending", None, False),
    ],
)
def test_each_answer_of_a_mail_server(
    database: Engine, answer: Any, outcome: str, state: str, reason: str | None, is_blocked: bool
) -> None:
    fill(database, 1, channel="smtp")
    with mail_server() as receiver:
        receiver.answer = answer
        assert send(database, "smtp", receiver.port) == {outcome: 1}
        assert send(database, "smtp", receiver.port) == {}, "it is not tried again at once"
    (row,) = rows_of(database, "SELECT state, reason, tries, not_before FROM message_outbox")
    assert (row["state"], row["reason"], row["tries"]) == (state, reason, 1)
    assert (row["not_before"] is not None) == (state == "new")
    (consent,) = rows_of(database, "SELECT bounced_at FROM message_consent")
    assert (consent["bounced_at"] is not None) == is_blocked


def test_one_refused_address_does_not_stop_the_others(database: Engine) -> None:
    fill(database, 5, channel="smtp")
    with mail_server() as receiver:
        receiver.answer = lambda step, what: "550 no" if step == "rcpt" and "u002" in what else None
        assert send(database, "smtp", receiver.port) == {"sent": 4, "blocked": 1}


def test_a_server_that_breaks_three_times_in_a_row_is_left_alone(database: Engine) -> None:
    fill(database, 9, channel="smtp")
    with mail_server() as receiver:
        receiver.answer = at("rcpt", "cut")
        with pytest.raises(SenderError, match="3 messages in a row"):
            send(database, "smtp", receiver.port)
    assert states(database) == {"new": 9}


def test_a_message_fails_after_its_last_try(database: Engine) -> None:
    fill(database, 1, channel="smtp")
    queue = queue_of(database, "smtp", max_tries=3)
    with mail_server() as receiver:
        receiver.answer = at("rcpt", "451 later")
        for _ in range(3):
            hurry(database)
            send_due(database, queue, sender=sender_of("smtp", receiver.port), per_minute=1e6)
    assert states(database) == {"failed": 1}
    assert reasons(database) == {"gave up: code 451"}


@pytest.mark.parametrize("address", [None, "", "no address", "a@b\r\nBcc: c@d", "a@b>", "학생@example.org"])
def test_an_address_that_is_none_is_never_tried(database: Engine, address: str | None) -> None:
    fill(database, 1, channel="smtp")
    execute(database, "UPDATE message_consent SET address = :address", {"address": address})
    with mail_server() as receiver:
        assert send(database, "smtp", receiver.port) == {"blocked": 1}
        assert receiver.mails == []
    assert reasons(database) == {"no mail address"}


def test_lines_that_begin_with_a_dot_arrive(database: Engine) -> None:
    fill(database, 1, channel="smtp")
    execute(database, "UPDATE message_outbox SET text = '.' || chr(10) || '..two' || chr(10) || 'three'")
    with mail_server() as receiver:
        send(database, "smtp", receiver.port)
        assert receiver.mails[0].get_content().splitlines() == [".", "..two", "three"]


def test_a_mail_server_that_is_away_is_an_error_with_a_remedy(database: Engine) -> None:
    fill(database, 1, channel="smtp")
    with mail_server() as receiver:
        port = receiver.port
    with pytest.raises(SenderError, match="check MESSAGE_SMTP_HOST"):
        send(database, "smtp", port)
    assert states(database) == {"new": 1}


# Answers of a webhook


@pytest.mark.parametrize(
    ("answer", "outcome", "state"),
    [
        (at("asked", "422 no"), "refused", "failed"),
        (at("asked", "503 busy"), "again", "sending"),
        (at("asked", "429 slow"), "again", "sending"),
        (at("asked", "cut"), "again", "sending"),
        (at("accepted", "cut"), "again", "sending"),
    ],
)
def test_each_answer_of_a_webhook(database: Engine, answer: Any, outcome: str, state: str) -> None:
    (key,) = fill(database, 1, channel="webhook")
    with webhook() as receiver:
        receiver.answer = answer
        assert send(database, "webhook", receiver.port) == {outcome: 1}
        assert states(database) == {state: 1}
        assert send(database, "webhook", receiver.port) == {}
        receiver.answer = lambda step, what: None
        hurry(database)
        send(database, "webhook", receiver.port)
        assert receiver.posted() == ([] if state == "failed" else [key])
    assert states(database) == {"failed" if state == "failed" else "sent": 1}


@pytest.mark.parametrize("status", ["301 elsewhere", "401 who", "404 where"])
def test_a_webhook_with_a_wrong_address_or_token_stops_the_run(database: Engine, status: str) -> None:
    fill(database, 3, channel="webhook")
    with webhook() as receiver:
        receiver.answer = at("asked", status)
        with pytest.raises(SenderError, match="correct MESSAGE_WEBHOOK_URL and MESSAGE_WEBHOOK_TOKEN"):
            send(database, "webhook", receiver.port)
        receiver.answer = lambda step, what: None
        send(database, "webhook", receiver.port)
        assert len(receiver.posts) == 3


def test_the_rate_is_bounded(database: Engine, monkeypatch: pytest.MonkeyPatch) -> None:
    fill(database, 4, channel="webhook")
    slept: list[float] = []
    monkeypatch.setattr(time, "sleep", slept.append)
    monkeypatch.setattr(time, "monotonic", lambda: 100.0)
    with webhook() as receiver:
        send_due(database, queue_of(database, "webhook"), sender=sender_of("webhook", receiver.port), per_minute=30)
    assert slept == [2.0, 4.0, 6.0], "the clock of the test stands still"


# Bounces


def report(key: str, *, action: str = "failed", status: str = "5.1.1", headers_only: bool = False) -> bytes:
    original = f"Message-ID: <{key}@example.com>\r\nTo: u000@example.org\r\nSubject: x\r\n\r\n"
    kind = "text/rfc822-headers" if headers_only else "message/rfc822"
    return (
        "From: MAILER-DAEMON@example.org\r\nTo: school@example.com\r\nMIME-Version: 1.0\r\n"
        'Content-Type: multipart/report; report-type=delivery-status; boundary="b"\r\n\r\n'
        "--b\r\nContent-Type: text/plain\r\n\r\nIt did not arrive.\r\n"
        "--b\r\nContent-Type: message/delivery-status\r\n\r\nReporting-MTA: dns; mx.example.org\r\n\r\n"
        f"Final-Recipient: rfc822; u000@example.org\r\nAction: {action}\r\nStatus: {status}\r\n\r\n"
        f"--b\r\nContent-Type: {kind}\r\n\r\n{original}\r\n--b--\r\n"
    ).encode()


KEY = "0a1b2c3d-0000-4000-8000-000000000001"


@pytest.mark.parametrize("headers_only", [False, True])
def test_a_report_of_a_mail_server_names_the_message(headers_only: bool) -> None:
    assert bounce_in(report(KEY, headers_only=headers_only)) == Bounce(KEY, "5.1.1")


def test_other_mails_are_no_bounce() -> None:
    assert bounce_in(report(KEY, action="delayed", status="4.2.2")) is None
    assert bounce_in(report("someone-elses-message-id-of-36-chars")) is None
    assert bounce_in(b"Subject: hello\r\n\r\nMessage-ID: <0a1b2c3d-0000-4000-8000-000000000001@example.com>") is None
    assert bounce_in(b"\xff\x00 no mail at all") is None


def test_a_bounce_fails_the_message_and_ends_mails_to_that_address(database: Engine, tmp_path: Path, cli: Any) -> None:
    (key,) = fill(database, 1, channel="smtp")
    with mail_server() as receiver:
        send(database, "smtp", receiver.port)
    files = [tmp_path / name for name in ("bounce.eml", "other.eml")]
    files[0].write_bytes(report(key))
    files[1].write_bytes(report(KEY))
    answer = cli("bounces", *map(str, files))
    assert answer.output == "2 mails read, 1 messages have bounced\n"
    (row,) = rows_of(database, "SELECT state, reason FROM message_outbox")
    assert row == {"state": "failed", "reason": "bounced 5.1.1"}
    (consent,) = rows_of(database, "SELECT bounced_at FROM message_consent")
    assert consent["bounced_at"] is not None


# The command


@pytest.fixture
def cli(database: Engine, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Any:
    monkeypatch.setenv("DATABASE_URL", database.url.render_as_string(hide_password=False))
    monkeypatch.setenv("DAGSTER_HOME", str(tmp_path))
    today = dt.datetime.now(dt.UTC).date()
    this_week = today - dt.timedelta(days=today.weekday() + 7)

    def run(*arguments: str, **environment: str) -> Any:
        execute(database, "UPDATE message_outbox SET week_start = :week", {"week": this_week})
        return CliRunner().invoke(app, ["messages", *arguments], env=environment)

    return run


def smtp_environment(receiver: Receiver) -> dict[str, str]:
    return {
        "MESSAGE_SMTP_HOST": "127.0.0.1",
        "MESSAGE_SMTP_PORT": str(receiver.port),
        "MESSAGE_SMTP_TLS": "none",
        "MESSAGE_FROM": "school@example.com",
        "MESSAGE_RATE_PER_MINUTE": "100000",
        "MESSAGE_MAX_AGE_DAYS": "28",
    }


def test_a_dry_run_counts_and_sends_nothing(database: Engine, cli: Any) -> None:
    fill(database, 3, channel="smtp")
    execute(database, "DELETE FROM message_consent WHERE user_id = 'u001'")
    with mail_server() as receiver:
        answer = cli("send", "--channel", "smtp", "--dry-run", **smtp_environment(receiver))
        assert answer.output == (
            "dry run: 2 would be sent, 1 have no consent for smtp, 0 would be cancelled as too late\n"
        )
        assert receiver.mails == []
        assert "dry run" in cli("send", "--channel", "smtp", DRY_RUN="true", **smtp_environment(receiver)).output
    assert states(database) == {"new": 3}


def test_send_status_and_resolve(database: Engine, cli: Any) -> None:
    fill(database, 3, channel="smtp")
    with mail_server() as receiver:
        assert cli("send", "--channel", "smtp", "--limit", "1", **smtp_environment(receiver)).output == "1 sent\n"
        receiver.answer = at("accepted", "cut")
        answer = cli("send", "--channel", "smtp", "--limit", "1", **smtp_environment(receiver))
        assert answer.output.startswith("1 unclear\nnext: seedtest messages status")
        (key,) = [
            row["key"] for row in rows_of(database, "SELECT key::text FROM message_outbox WHERE state = 'sending'")
        ]
        assert f"under way: {key}  smtp" in (shown := cli("status").output)
        assert shown.endswith("next: seedtest messages resolve --sent KEY…   if it has arrived, else with --again\n")
        assert "is not the key of a message" in cli("resolve", "x", "--sent").output
        assert cli("resolve", key, "--sent").output == f"{key}: sent\n"
        assert cli("resolve", key, "--again").output == f"{key}: not under way, unchanged\n"
        receiver.answer = lambda step, what: None
        assert cli("status").output.endswith("next: seedtest messages send --channel smtp\n")
        assert cli("send", "--channel", "smtp", **smtp_environment(receiver)).output == "1 sent\n"
    assert "next: seedtest materialize" in cli("status").output
    assert states(database) == {"sent": 3}


@pytest.mark.parametrize("channel", ["smtp", "webhook"])
def test_missing_settings_are_named(cli: Any, channel: str) -> None:
    answer = cli("send", "--channel", channel)
    assert answer.exit_code == 2
    assert "MESSAGE_" in answer.output


def test_no_log_and_no_output_has_a_text_an_address_or_a_secret(
    database: Engine, cli: Any, caplog: pytest.LogCaptureFixture
) -> None:
    fill(database, 3, channel="smtp")
    fill(database, 3, channel="webhook", recipient="parent")
    caplog.set_level(logging.DEBUG)
    said = ""
    with mail_server() as mails, webhook() as hook:
        mails.answer = lambda step, what: "550 u001@example.org unknown" if step == "rcpt" and "u001" in what else None
        hook.answer = lambda step, what: None
        said += cli("send", "--channel", "smtp", **smtp_environment(mails)).output
        said += cli(
            "send",
            "--channel",
            "webhook",
            MESSAGE_WEBHOOK_URL=hook.url,
            MESSAGE_WEBHOOK_TOKEN="a secret",
            MESSAGE_MAX_AGE_DAYS="28",
            MESSAGE_RATE_PER_MINUTE="100000",
        ).output
        said += cli("status").output
        assert len(mails.mails) == 2
        assert len(hook.posts) == 3
    said += "\n".join(record.getMessage() for record in caplog.records)
    said += " ".join(str(reason) for reason in reasons(database))
    assert not [secret for secret in ("example.org", "u001", "지난주", "a secret", "/messages") if secret in said]


def test_a_message_shows_neither_its_text_nor_its_address() -> None:
    message = Message(
        KEY, "anna", dt.date(2026, 3, 2), "parent", "en", "steady", text="t3xt", evidence={}, tries=0, address="a@b.c"
    )
    assert not [part for part in ("anna", "t3xt", "a@b.c") if part in repr(message)]


def test_a_sender_without_a_proper_address_is_refused() -> None:
    with pytest.raises(SenderError, match="MESSAGE_FROM"):
        MailSender(sender_of("smtp", 1)._server, "School <school>")  # type: ignore[attr-defined]
