"""Mails that came back: reports of a mail server that a mail could not be delivered (RFC 3464)."""

from __future__ import annotations

import email
import re
import uuid
from dataclasses import dataclass
from email.message import EmailMessage
from email.policy import default

_KEY = re.compile(r"<([0-9a-fA-F-]{36})@")


@dataclass(frozen=True)
class Bounce:
    """A mail that will never arrive: its key, and the status of the report, such as 5.1.1."""

    key: str
    status: str


def bounce_in(report: bytes) -> Bounce | None:
    """The bounce that a report is about; None for another mail, a delay, or a report without one of our Message-IDs."""
    mail = email.message_from_bytes(report, policy=default)
    status = _failed_status(mail)
    keys = _KEY.findall(_original_headers(mail))
    if status is None or not keys:
        return None
    try:
        return Bounce(str(uuid.UUID(keys[0])), status)
    except ValueError:
        return None


def _failed_status(mail: EmailMessage) -> str | None:
    for part in mail.walk():
        if part.get_content_type() != "message/delivery-status":
            continue
        for block in part.iter_parts() if part.is_multipart() else ():
            status = str(block.get("Status", ""))
            if str(block.get("Action", "")).strip().lower() == "failed" and status.startswith("5"):
                return status.split()[0]
    return None


def _original_headers(mail: EmailMessage) -> str:
    """Message-ID of the mail that came back, which the report contains whole or as headers."""
    for part in mail.walk():
        kind = part.get_content_type()
        if kind == "message/rfc822" and part.is_multipart():
            return str(next(iter(part.iter_parts())).get("Message-ID", ""))
        if kind == "text/rfc822-headers":
            found = re.search(r"(?im)^Message-ID:\s*(\S+)", str(part.get_content()))
            return found[1] if found else ""
    return ""
