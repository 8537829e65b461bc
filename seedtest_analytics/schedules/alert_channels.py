"""How an alert leaves the platform: JSON to a webhook, a message to Slack, a mail.

The addresses are secrets: no log and no error has them.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any
from urllib.parse import unquote, urlsplit

from seedtest_analytics.settings import AlertSettings, Settings

if TYPE_CHECKING:
    from email.message import EmailMessage

TIMEOUT_SECONDS = 10
_SUBJECT_CHARACTERS = 150
_log = logging.getLogger(__name__)
_http_log = logging.getLogger("urllib3")

Message = Mapping[str, str]


def deliver(message: Message, settings: Settings) -> bool:
    """Send to every configured channel; False if one is configured and none has taken the message. Failures are logged."""
    sent = [_sends(name, send) for name, send in channels(message, settings).items()]
    return any(sent) or not sent


def channels(message: Message, settings: Settings) -> dict[str, Callable[[], None]]:
    """What sends the message, by the channel's name."""
    found: dict[str, Callable[[], None]] = {}
    alerts = settings.alerts
    if (webhook := settings.platform.alert_webhook_url) is not None:
        found["webhook"] = lambda: post(webhook.get_secret_value(), message)
    if (slack := alerts.slack_url) is not None:
        found["Slack"] = lambda: post(slack.get_secret_value(), slack_message(message))
    if alerts.smtp_url is not None and alerts.recipients:
        found["mail"] = lambda: send_mail(mail(message, alerts), alerts)
    return found


def _sends(name: str, send: Callable[[], None]) -> bool:
    try:
        send()
    except (OSError, ValueError) as error:  # Only the type: the text of the error has the address.
        _log.error("the alert could not be delivered by %s: %s", name, type(error).__name__)
        return False
    return True


def post(
    url: str, message: Mapping[str, Any], *, headers: Mapping[str, str] | None = None, timeout: float = TIMEOUT_SECONDS
) -> None:
    """POST the message as JSON. Raises OSError or ValueError unless the address answers with success.

    Redirects are refused: the address is a secret, and another server could receive the message.
    """
    if not url.startswith(("http://", "https://")):
        raise ValueError("the address of an alert must be an http or https address")
    import requests  # Loading the definitions needs no client.

    _http_log.propagate = False  # urllib3 logs the address: each request at DEBUG, broken headers at WARNING.
    try:
        with requests.post(
            url, json=dict(message), headers=headers, timeout=timeout, allow_redirects=False, stream=True
        ) as response:
            if not 200 <= response.status_code < 300:
                raise requests.HTTPError(f"status {response.status_code}", response=response)
    finally:
        _http_log.propagate = True


def slack_message(message: Message) -> dict[str, str]:
    """The text with the run's link. Slack reads &, < and > as markup."""
    text = _escaped(message["text"])
    link = f"\n<{_escaped(message['url'])}|run {message['run_id'][:8]}>" if message["url"] else ""
    return {"text": f":red_circle: {text}\nowner: {_escaped(message['owner'])}{link}"}


def _escaped(text: str) -> str:
    return text.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")


def mail(message: Message, settings: AlertSettings) -> EmailMessage:
    """A mail in plain text with every field of the message."""
    from email.message import EmailMessage

    made = EmailMessage()
    made["Subject"] = f"{message['job']} failed: {message['cause']}"[:_SUBJECT_CHARACTERS]
    made["From"] = settings.email_from
    made["To"] = ", ".join(settings.recipients)
    made.set_content(
        "\n".join(f"{name}: {value}" for name, value in message.items() if name != "text" and value) + "\n"
    )
    return made


def send_mail(made: EmailMessage, settings: AlertSettings) -> None:
    """Send by the configured server, encrypted unless it is this machine. Raises OSError or SMTPException."""
    import smtplib
    import ssl

    assert settings.smtp_url is not None
    parts = urlsplit(settings.smtp_url.get_secret_value())
    host, context = parts.hostname or "", ssl.create_default_context()
    if parts.scheme == "smtps":
        server: smtplib.SMTP = smtplib.SMTP_SSL(host, parts.port or 465, timeout=TIMEOUT_SECONDS, context=context)
    else:
        server = smtplib.SMTP(host, parts.port or 587, timeout=TIMEOUT_SECONDS)
    with server:
        if parts.scheme == "smtp" and settings.needs_tls:
            server.starttls(context=context)
        if parts.username and parts.password:
            server.login(unquote(parts.username), unquote(parts.password))
        server.send_message(made)
