"""The guard before the UI: ASGI middleware that refuses what a page on another origin, or a stranger, could ask.

Dagster's webserver executes every request that reaches its port. The guard lets a request through if

1. its Host is a name of this UI, so that a foreign name that is made to point here (DNS rebinding) reads nothing,
2. its Origin, if a browser sends one, is this UI, also when it opens a websocket,
3. its address contains no operation that changes something, because an image or a link can send that.

Answers forbid other pages to frame or embed them, and the UI's pages to load pictures from elsewhere.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from urllib.parse import urlsplit

from graphql import GraphQLError, OperationDefinitionNode, OperationType, parse
from starlette.datastructures import Headers, MutableHeaders
from starlette.requests import HTTPConnection
from starlette.responses import PlainTextResponse, Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from seedtest_analytics.settings import UiSettings

LOOPBACK = frozenset(("localhost", "127.0.0.1", "[::1]"))
HEADERS = {
    "Content-Security-Policy": "frame-ancestors 'none'; form-action 'self'; img-src 'self' data: blob:",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
}
_SHOWN_CHARACTERS = 100


@dataclass(frozen=True)
class Refusal:
    """Why a request is refused, for the person who made it."""

    status: int
    reason: str
    headers: Mapping[str, str] = field(default_factory=dict)

    def response(self) -> Response:
        """The answer."""
        return PlainTextResponse(self.reason + "\n", self.status, headers=dict(self.headers))


class Guard:
    """ASGI middleware. Pass it before every other."""

    def __init__(self, app: ASGIApp, settings: UiSettings) -> None:
        self._app = app
        self._settings = settings
        self._names = LOOPBACK | {_without_port(name) for name in settings.names}

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:  # noqa: PLR0917 (ASGI)
        if scope["type"] not in ("http", "websocket"):
            await self._app(scope, receive, send)
            return
        refusal = self._refusal(HTTPConnection(scope))
        if refusal is None:
            await self._app(scope, receive, _with_headers(send))
        else:
            await refuse(refusal.response(), scope, receive, _with_headers(send))

    def _refusal(self, connection: HTTPConnection) -> Refusal | None:
        return (
            self._wrong_host(connection.headers)
            or self._foreign_page(connection.scope, connection.headers)
            or _change_by_address(connection)
        )

    def _wrong_host(self, headers: Headers) -> Refusal | None:
        hosts = headers.getlist("host")
        if len(hosts) == 1 and _without_port(hosts[0].lower()) in self._names:
            return None
        return Refusal(403, f"{_shown(hosts)} is not a name of this UI. SEEDTEST_UI_HOSTS adds names.")

    def _foreign_page(self, scope: Scope, headers: Headers) -> Refusal | None:
        own = {headers["host"].lower(), *self._settings.names}
        for origin in headers.getlist("origin"):
            if _address(origin) not in own:
                return Refusal(403, f"a page of {_shown([origin])} may not use this UI. SEEDTEST_UI_HOSTS adds names.")
        is_link = scope.get("method") == "GET" and headers.get("sec-fetch-mode") == "navigate"
        if headers.get("sec-fetch-site", "none") not in ("none", "same-origin") and not is_link:
            return Refusal(403, "another page may link to this UI, but not embed or ask it.")
        return None


async def refuse(answer: Response, scope: Scope, receive: Receive, send: Send) -> None:  # noqa: PLR0917 (ASGI)
    """Answer a request in place of the webserver. Before it is accepted, a closed websocket is a refused request."""
    if scope["type"] == "websocket":
        await send({"type": "websocket.close", "code": 1008})
    else:
        await answer(scope, receive, send)


def _change_by_address(connection: HTTPConnection) -> Refusal | None:
    if any(_changes(text) for text in connection.query_params.getlist("query")):
        return Refusal(405, "an address may only ask. Send changes as JSON by POST.", {"Allow": "POST"})
    return None


def _changes(document: str) -> bool:
    """Whether a GraphQL document has an operation that is more than a query."""
    try:
        operations = [d for d in parse(document).definitions if isinstance(d, OperationDefinitionNode)]
    except GraphQLError:
        # The webserver reads it with the same parser and refuses it too.
        return False
    return any(operation.operation is not OperationType.QUERY for operation in operations)


def _address(origin: str) -> str:
    """Host and port of an origin, without a default port; empty for the origin "null"."""
    try:
        parts = urlsplit(origin.lower())
        default = {"http": 80, "https": 443}[parts.scheme]
        return (parts.netloc if parts.port != default else _without_port(parts.netloc)) or ""
    except (KeyError, ValueError):
        return ""


def _without_port(host: str) -> str:
    name, colon, port = host.rpartition(":")
    return name if colon and port.isdecimal() else host


def _shown(values: list[str]) -> str:
    return repr(" ".join(values)[:_SHOWN_CHARACTERS])


def _with_headers(send: Send) -> Send:
    async def sending(message: Message) -> None:
        if message["type"] == "http.response.start":
            headers = MutableHeaders(scope=message)
            for name, value in HEADERS.items():
                headers.append(name, value)
        await send(message)

    return sending
