"""Who may use the UI: accounts of the settings by HTTP Basic, and people whom an identity provider logs in.

ASGI middleware, after the guard. Without accounts and without a provider everybody may do everything.
"""

from __future__ import annotations

import base64
import binascii
import hmac

from starlette.requests import HTTPConnection, Request
from starlette.responses import JSONResponse, PlainTextResponse, Response
from starlette.types import ASGIApp, Receive, Scope, Send

from seedtest_analytics.settings import UiSettings
from seedtest_analytics.webserver.guard import refuse
from seedtest_analytics.webserver.oidc import Provider

_READER = "seedtest.reader"


class LogIn:
    """Lets only those through who have an account or are logged in, and notes in ``scope`` who may only read."""

    def __init__(self, app: ASGIApp, settings: UiSettings) -> None:
        self._app = app
        self._settings = settings
        self._provider = Provider(settings) if settings.oidc_issuer else None
        self._entrance: ASGIApp = self._enter
        if self._provider:
            self._entrance = self._provider.with_session(self._enter)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:  # noqa: PLR0917 (ASGI)
        is_open = not (self._settings.editors or self._settings.readers or self._provider)
        if is_open or scope["type"] not in ("http", "websocket"):
            await self._app(scope, receive, send)
        else:
            await self._entrance(scope, receive, send)

    async def _enter(self, scope: Scope, receive: Receive, send: Send) -> None:  # noqa: PLR0917 (ASGI)
        connection = HTTPConnection(scope)
        if scope["type"] == "http" and self._provider:
            answer = await self._provider.answer(Request(scope, receive))
            if answer is not None:
                await answer(scope, receive, send)
                return
        is_reader = self._account(connection.headers.get("authorization", ""))
        if is_reader is None and self._provider:
            is_reader = self._provider.is_reader(connection)
        if is_reader is None:
            await refuse(await self._invitation(scope, receive), scope, receive, send)
        else:
            scope[_READER] = is_reader
            await self._app(scope, receive, send)

    async def _invitation(self, scope: Scope, receive: Receive) -> Response:
        """What a stranger gets."""
        connection = HTTPConnection(scope)
        if scope["type"] == "http" and connection.url.path == "/server_info":
            # Probes and `seedtest status` ask whether the server is up, not which version it is.
            return JSONResponse({})
        if self._provider is None:
            challenge = {"WWW-Authenticate": 'Basic realm="seedtest", charset="UTF-8"'}
            return PlainTextResponse("Log in with an account of SEEDTEST_UI_AUTH.\n", 401, headers=challenge)
        if scope.get("method") == "GET" and "text/html" in connection.headers.get("accept", ""):
            return await self._provider.begin(Request(scope, receive))
        return PlainTextResponse("You are not logged in. Open the UI again.\n", 401)

    def _account(self, authorization: str) -> bool | None:
        """Whether the account may only read; None if the header names none."""
        given = _credentials(authorization)
        found = None
        # Every account is compared, so that the time tells nothing about names.
        for accounts, is_reader in ((self._settings.readers, True), (self._settings.editors, False)):
            for name, password in accounts.items():
                is_name = hmac.compare_digest(name.encode(), given[0])
                if hmac.compare_digest(password.encode(), given[1]) and is_name:
                    found = is_reader
        return found


def is_read_only(connection: HTTPConnection, settings: UiSettings) -> bool:
    """Whether the webserver may only look things up for this request."""
    return settings.read_only or bool(connection.scope.get(_READER))


def _credentials(authorization: str) -> tuple[bytes, bytes]:
    scheme, _, encoded = authorization.partition(" ")
    if scheme.lower() != "basic":
        return b"", b""
    try:
        name, _, password = base64.b64decode(encoded, validate=True).partition(b":")
    except binascii.Error:
        return b"", b""
    return name, password
