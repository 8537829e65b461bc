"""The reference sender by SMTP: one plain-text mail for each message.

A mail is accepted with the last dot of its text. Before the dot, a mail server forgets a mail whose sender vanishes. After
it, only the server's answer says that the mail was accepted. So the message is claimed between the text and the dot. If
the answer does not come, nobody but the server's log knows, and the message stays under way until an operator decides.
"""

from __future__ import annotations

import contextlib
import re
import smtplib
import ssl
from collections.abc import Callable
from dataclasses import dataclass
from email.message import EmailMessage
from email.policy import SMTP
from email.utils import formatdate

from seedtest_analytics.outbox.queue import Message
from seedtest_analytics.outbox.send import Delivery, Outcome, SenderError
from seedtest_analytics.reporting.message_sentences import subject

_ADDRESS = re.compile(r"[!-;=?-~]+@[A-Za-z0-9.-]+")
"""Printable ASCII without angle brackets."""
_ACCEPTED, _START = (250, 251), 354


@dataclass(frozen=True)
class MailServer:
    """Where and how mails are handed over."""

    host: str
    port: int
    tls: str
    user: str | None
    password: str | None
    timeout_seconds: float


class MailSender:
    """A connection to a mail server, opened with the first message and again after an error."""

    channel = "smtp"
    resends = False

    def __init__(self, server: MailServer, sender: str) -> None:
        """Raises :class:`SenderError` if ``sender`` is not a mail address."""
        if not _ADDRESS.fullmatch(sender):
            raise SenderError("MESSAGE_FROM is not a mail address")
        self._server, self._sender = server, sender
        self._smtp: smtplib.SMTP | None = None

    def deliver(self, message: Message, claim: Callable[[], bool]) -> Delivery:
        if message.address is None or not _ADDRESS.fullmatch(message.address):
            return Delivery("blocked", "no mail address", is_claimed=False)
        smtp = self._connected()
        is_claimed = False
        try:
            refusal = _offered(smtp, self._sender, to=message.address)
            if refusal is not None:
                return refusal
            smtp.send(_dotted(mail_of(message, self._sender)))
            is_claimed = claim()
            if not is_claimed:
                # Closing the connection before the dot is how a mail is taken back.
                self.close()
                return Delivery("not_claimed")
            smtp.send(b".\r\n")
            code, _ = smtp.getreply()
        except (smtplib.SMTPException, OSError) as error:
            self.close()
            outcome: Outcome = "unclear" if is_claimed else "later"
            return Delivery(outcome, type(error).__name__, is_claimed=is_claimed, is_broken=True)
        return _judged(code)

    def close(self) -> None:
        if self._smtp is not None:
            with contextlib.suppress(smtplib.SMTPException, OSError):
                self._smtp.close()
            self._smtp = None

    def _connected(self) -> smtplib.SMTP:
        if self._smtp is None:
            self._smtp = _connect(self._server)
        return self._smtp


def mail_of(message: Message, sender: str) -> EmailMessage:
    """The mail. Its Message-ID is the message's key, so that mail servers and clients can recognise it."""
    mail = EmailMessage(policy=SMTP)
    mail["From"] = sender
    mail["To"] = message.address
    mail["Subject"] = subject(message.language)
    mail["Date"] = formatdate(usegmt=True)
    mail["Message-ID"] = f"<{message.key}@{sender.rpartition('@')[2]}>"
    mail["Auto-Submitted"] = "auto-generated"
    mail.set_content(message.text + "\n", charset="utf-8", cte="base64")
    mail["Content-Language"] = message.language  # set_content removes earlier headers of the content
    return mail


def _connect(server: MailServer) -> smtplib.SMTP:
    try:
        if server.tls == "tls":
            smtp: smtplib.SMTP = smtplib.SMTP_SSL(
                server.host, server.port, timeout=server.timeout_seconds, context=ssl.create_default_context()
            )
        else:
            smtp = smtplib.SMTP(server.host, server.port, timeout=server.timeout_seconds)
            if server.tls == "starttls":
                smtp.starttls(context=ssl.create_default_context())
        smtp.ehlo()
        if server.user is not None:
            smtp.login(server.user, server.password or "")
    except (smtplib.SMTPException, OSError) as error:
        raise SenderError(
            f"the mail server does not let us in ({type(error).__name__}); check MESSAGE_SMTP_HOST, MESSAGE_SMTP_PORT, "
            "MESSAGE_SMTP_TLS, MESSAGE_SMTP_USER and MESSAGE_SMTP_PASSWORD"
        ) from None
    return smtp


def _offered(smtp: smtplib.SMTP, sender: str, *, to: str) -> Delivery | None:
    """Offer a mail up to its text; the refusal if the server does not want it."""
    code, _ = smtp.mail(sender)
    if code not in _ACCEPTED:
        smtp.rset()
        if code >= 500:
            raise SenderError(f"the mail server refuses mails from MESSAGE_FROM (code {code})")
        return Delivery("later", f"code {code}", is_claimed=False)
    code, _ = smtp.rcpt(to)
    if code not in _ACCEPTED:
        smtp.rset()
        return Delivery("blocked" if code >= 500 else "later", f"code {code}", is_claimed=False)
    code, _ = smtp.docmd("DATA")
    if code != _START:
        smtp.rset()
        return Delivery("later", f"code {code}", is_claimed=False)
    return None


def _judged(code: int) -> Delivery:
    if code in _ACCEPTED:
        return Delivery("sent")
    return Delivery("refused" if code >= 500 else "later", f"code {code}")


def _dotted(mail: EmailMessage) -> bytes:
    """The text without its last dot; a line that begins with a dot gets another one (RFC 5321, 4.5.2)."""
    return re.sub(rb"(?m)^\.", b"..", mail.as_bytes())
