"""`seedtest messages`: send the weekly sentences, look at the outbox, and decide what nobody else can know."""

from __future__ import annotations

import datetime as dt
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.console import Console

from seedtest_analytics.cli.home import command
from seedtest_analytics.cli.migrate import migrated_engine
from seedtest_analytics.cli.plain_text import plain
from seedtest_analytics.settings import MessageSettings, load_settings

if TYPE_CHECKING:
    from seedtest_analytics.outbox.queue import Queue
    from seedtest_analytics.outbox.send import Sender

messages_app = typer.Typer(
    add_completion=False,
    pretty_exceptions_show_locals=False,
    no_args_is_help=True,
    help="The weekly sentences: send them, see the outbox, record what came back.",
)


class Channel(StrEnum):
    """How messages are sent."""

    smtp = "smtp"
    webhook = "webhook"


ChannelOption = Annotated[Channel, typer.Option("--channel", help="How to send.")]


@messages_app.command("send")
def send_command(
    *,
    channel: ChannelOption,
    limit: Annotated[int | None, typer.Option(min=1, help="Messages at most; default: all that are due.")] = None,
    dry_run: Annotated[bool | None, typer.Option(help="Count what would be sent; default: DRY_RUN.")] = None,
) -> None:
    """Send the messages that are due to recipients who have consented. The exit code is 1 if the channel fails."""
    from seedtest_analytics.outbox.send import SenderError, send_due

    settings = load_settings()
    queue = _queue(channel)
    if settings.platform.dry_run if dry_run is None else dry_run:
        counts = queue.counts()
        typer.echo(
            f"dry run: {counts['with_consent']:,} would be sent, {counts['without_consent']:,} have no consent for "
            f"{channel.value}, {counts['late']:,} would be cancelled as too late"
        )
        return
    try:
        done = send_due(
            migrated_engine(),
            queue,
            sender=_sender(channel, settings.messages),
            per_minute=settings.messages.per_minute,
            limit=limit,
        )
    except SenderError as error:
        Console(stderr=True, emoji=False).print(f"[red]error:[/] {plain(str(error))}", highlight=False, soft_wrap=True)
        raise typer.Exit(1) from None
    found = ", ".join(f"{count:,} {outcome}" for outcome, count in sorted(done.items()))
    typer.echo(found or "nothing is due")
    if done["unclear"]:
        typer.echo(f"next: {command('messages status')}   names the messages that need a decision")


@messages_app.command("status")
def status_command(*, channel: ChannelOption = Channel.smtp) -> None:
    """Count the messages by state, and name those that were handed over and are not known to have arrived."""
    queue = _queue(channel)
    counts, unresolved = queue.counts(), queue.unresolved()
    for state, count in counts.items():
        typer.echo(f"{state.replace('_', ' ')}: {count:,}")
    for key, found, at in unresolved:
        typer.echo(f"under way: {key}  {found}  since {at:%Y-%m-%d %H:%M:%S %Z}")
    if unresolved:
        following = f"{command('messages resolve --sent KEY…')}   if it has arrived, else with --again"
    elif counts["with_consent"]:
        following = f"{command(f'messages send --channel {channel.value}')}"
    else:
        following = f"{command('materialize')}   writes the messages of the next closed week"
    typer.echo(f"next: {following}")


@messages_app.command("resolve")
def resolve_command(
    keys: Annotated[
        list[str], typer.Argument(help="Keys of messages under way, as `status` shows them.", metavar="KEY…")
    ],
    *,
    sent: Annotated[
        bool,
        typer.Option("--sent/--again", help="It has arrived (the mail server's log has its key), or send it again."),
    ],
) -> None:
    """Decide about messages that were handed over when the sender died or the connection broke."""
    import uuid

    queue = _queue(Channel.smtp)
    for key in keys:
        try:
            uuid.UUID(key)
        except ValueError:
            raise typer.BadParameter(f"{plain(key)} is not the key of a message") from None
    for key in keys:
        done = queue.resolve(key, is_sent=sent)
        typer.echo(f"{key}: {('sent' if sent else 'to be sent again') if done else 'not under way, unchanged'}")


@messages_app.command("bounces")
def bounces_command(
    files: Annotated[list[Path], typer.Argument(help="Mails that came back to MESSAGE_FROM, one a file.", exists=True)],
) -> None:
    """Record mails that came back for good: the message has failed, and nothing is sent to that address any more."""
    from seedtest_analytics.outbox.bounces import bounce_in

    queue = _queue(Channel.smtp)
    found = [bounce_in(file.read_bytes()) for file in files]
    recorded = sum(queue.bounced(bounce.key, f"bounced {bounce.status}") for bounce in found if bounce is not None)
    typer.echo(f"{len(files):,} mails read, {recorded:,} messages have bounced")


def _queue(channel: Channel) -> Queue:
    from seedtest_analytics.outbox.queue import Queue
    from seedtest_analytics.partitions import oldest_week_within

    settings = load_settings()
    oldest = oldest_week_within(dt.datetime.now(dt.UTC), settings.messages.max_age_days)
    return Queue(
        migrated_engine(),
        channel.value,
        resends=channel is Channel.webhook,
        oldest=oldest,
        max_tries=settings.messages.tries,
    )


def _sender(channel: Channel, settings: MessageSettings) -> Sender:
    """The sender of a channel. Raises typer.BadParameter if a setting is missing."""
    from seedtest_analytics.outbox.mail import MailSender, MailServer
    from seedtest_analytics.outbox.webhook import WebhookSender

    if channel is Channel.webhook:
        if settings.webhook_url is None:
            raise typer.BadParameter("set MESSAGE_WEBHOOK_URL first")
        token = settings.webhook_token.get_secret_value() if settings.webhook_token else None
        url = settings.webhook_url.get_secret_value()
        return WebhookSender(url, token=token, timeout_seconds=settings.timeout_secs)
    if settings.smtp_host is None or settings.sender is None:
        raise typer.BadParameter("set MESSAGE_SMTP_HOST and MESSAGE_FROM first")
    server = MailServer(
        settings.smtp_host,
        settings.smtp_port,
        tls=settings.smtp_tls,
        user=settings.smtp_user,
        password=settings.smtp_password.get_secret_value() if settings.smtp_password else None,
        timeout_seconds=settings.timeout_secs,
    )
    return MailSender(server, settings.sender)
