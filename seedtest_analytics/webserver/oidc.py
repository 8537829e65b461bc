"""People whom an identity provider logs in: OpenID Connect's authorization code flow with PKCE, by Authlib.

The session is a signed cookie with the role and its end, and no name. Its key comes from the client's secret, so every
webserver of the platform accepts it, and a new secret ends all sessions.
"""

from __future__ import annotations

import hmac
import logging
import time
from collections.abc import Mapping
from typing import Any

import httpx2
from authlib.common.errors import AuthlibBaseError
from authlib.integrations.starlette_client import OAuth
from joserfc.errors import JoseError
from starlette.middleware.sessions import SessionMiddleware
from starlette.requests import HTTPConnection, Request
from starlette.responses import PlainTextResponse, RedirectResponse, Response
from starlette.types import ASGIApp

from seedtest_analytics.settings import UiSettings
from seedtest_analytics.settings.ui import EVERYBODY

CALLBACK = "/oidc/callback"
LOG_OUT = "/oidc/log-out"
_TIMEOUT_SECONDS = 10.0
_log = logging.getLogger(__name__)


class Provider:
    """The identity provider of ``SEEDTEST_OIDC_ISSUER``. It is asked when somebody logs in, not before."""

    def __init__(self, settings: UiSettings) -> None:
        assert settings.oidc_issuer
        assert settings.oidc_client_secret
        assert settings.url
        self._settings = settings
        self._seconds = settings.oidc_hours * 3600
        self._secret = settings.oidc_client_secret.get_secret_value()
        self._callback = settings.url.rstrip("/") + CALLBACK
        self._is_https = settings.url.startswith("https://")
        self._client: Any = OAuth().register(
            "provider",
            client_id=settings.oidc_client_id,
            client_secret=self._secret,
            server_metadata_url=settings.oidc_issuer.rstrip("/") + "/.well-known/openid-configuration",
            client_kwargs={"scope": settings.oidc_scope, "code_challenge_method": "S256", "timeout": _TIMEOUT_SECONDS},
        )

    def with_session(self, app: ASGIApp) -> ASGIApp:
        """The application with the session of each request."""
        return SessionMiddleware(
            app,
            secret_key=hmac.digest(self._secret.encode(), b"session of the UI", "sha256").hex(),
            session_cookie="seedtest_session",
            max_age=int(self._seconds),
            same_site="lax",
            https_only=self._is_https,
        )

    def is_reader(self, connection: HTTPConnection) -> bool | None:
        """Whether the person who is logged in may only read; None if nobody is."""
        session = connection.session
        if session.get("until", 0.0) <= time.time():
            return None
        return bool(session["is_reader"])

    async def begin(self, request: Request) -> Response:
        """Send the browser to the provider; it comes back to the page that it asked for."""
        # Two leading slashes would name another host.
        path = "/" + request.url.path.lstrip("/\\")
        request.session["next"] = f"{path}?{request.url.query}" if request.url.query else path
        try:
            redirect: Response = await self._client.authorize_redirect(request, self._callback)
        except _FAULTS as error:
            return self._failed(error)
        return redirect

    async def answer(self, request: Request) -> Response | None:
        """The answer to the provider's call, or to a log-out; None if the request is for the webserver."""
        if request.url.path == CALLBACK:
            return await self._finish(request)
        if request.url.path == LOG_OUT:
            request.session.clear()
            return PlainTextResponse("You are logged out of this UI. The identity provider may still know you.\n")
        return None

    async def _finish(self, request: Request) -> Response:
        try:
            token = await self._client.authorize_access_token(request)
            claims = token.get("userinfo")
            if claims is None:
                return self._failed(ValueError("the identity provider sent no id_token"))
            if self._settings.oidc_claim not in claims:
                claims = await self._client.userinfo(token=token)
        except _FAULTS as error:
            return self._failed(error)
        is_reader = role(claims, self._settings)
        next_page = request.session.get("next", "/")
        request.session.clear()
        if is_reader is None:
            return PlainTextResponse(
                "You are logged in, but SEEDTEST_OIDC_EDITORS and SEEDTEST_OIDC_READERS name none of your groups "
                f"(claim {self._settings.oidc_claim!r}). Ask the operator of this UI.\n",
                403,
            )
        request.session.update(is_reader=is_reader, until=time.time() + self._seconds)
        return RedirectResponse(next_page, 303)

    def _failed(self, error: Exception) -> Response:
        is_silent = isinstance(error, httpx2.HTTPError)
        what = (
            f"the identity provider {self._settings.oidc_issuer} cannot be asked" if is_silent else "the log-in failed"
        )
        reason = str(error) or type(error).__name__
        _log.warning("%s: %s", what, reason)
        return PlainTextResponse(f"{what.capitalize()}: {reason}.\nOpen the UI again.\n", 502 if is_silent else 403)


_FAULTS = (AuthlibBaseError, JoseError, httpx2.HTTPError, KeyError, RuntimeError, ValueError)
"""What Authlib raises for answers that are refused, forged, incomplete or missing."""


def role(claims: Mapping[str, Any], settings: UiSettings) -> bool | None:
    """Whether a person with these claims may only read; None if the settings name none of the person's groups."""
    found = claims.get(settings.oidc_claim) or []
    groups = {found} if isinstance(found, str) else {str(group) for group in found}
    groups.add(EVERYBODY)
    if groups & settings.oidc_editor_groups:
        return False
    return True if groups & settings.oidc_reader_groups else None
