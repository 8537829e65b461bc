"""The reference sender by webhook: POSTs each message as JSON with its key, which the receiver must accept once.

After a crash, a time-out or an error of the server nobody knows whether the receiver has the message. It is then sent again
with the same ``Idempotency-Key``. A receiver that ignores a key that it knows gets each message once.
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from typing import Any

import requests

from seedtest_analytics.outbox.queue import Message
from seedtest_analytics.outbox.send import Delivery, SenderError

_http_log = logging.getLogger("urllib3")
_REFUSED = frozenset({400, 410, 413, 422})
_MISCONFIGURED = frozenset({401, 403, 404, 405})


class WebhookSender:
    """A connection to the webhook."""

    channel = "webhook"
    resends = True

    def __init__(self, url: str, *, token: str | None, timeout_seconds: float) -> None:
        self._url, self._timeout_seconds = url, timeout_seconds
        self._session = requests.Session()
        # Variables of the environment could send messages through a foreign proxy, or add an account from a file.
        self._session.trust_env = False
        if token:
            self._session.headers["Authorization"] = f"Bearer {token}"

    def deliver(self, message: Message, claim: Callable[[], bool]) -> Delivery:
        if not claim():
            return Delivery("not_claimed")
        _http_log.propagate = False  # urllib3 logs the address, which is a secret.
        try:
            with self._session.post(
                self._url,
                json=_body(message),
                headers={"Idempotency-Key": message.key},
                timeout=self._timeout_seconds,
                allow_redirects=False,
                stream=True,
            ) as answer:
                status = answer.status_code
        except (requests.RequestException, OSError) as error:
            return Delivery("again", type(error).__name__, is_broken=True)
        finally:
            _http_log.propagate = True
        return _judged(status)

    def close(self) -> None:
        self._session.close()


def _judged(status: int) -> Delivery:
    if 200 <= status < 300:
        return Delivery("sent")
    if status in _REFUSED:
        return Delivery("refused", f"status {status}")
    if status in _MISCONFIGURED or 300 <= status < 400:
        # The message stays under way and goes out again with its key once the settings are right.
        raise SenderError(
            f"the webhook answers with status {status}; correct MESSAGE_WEBHOOK_URL and MESSAGE_WEBHOOK_TOKEN"
        )
    return Delivery("again", f"status {status}", is_broken=status != 429)


def _body(message: Message) -> dict[str, Any]:
    return {
        "key": message.key,
        "user_id": message.user_id,
        "recipient": message.recipient,
        "address": message.address,
        "week_start": message.week_start.isoformat(),
        "language": message.language,
        "code": message.code,
        "text": message.text,
        "evidence": message.evidence,
    }
