"""A proxy before a real S3 server that answers single requests wrongly, slowly or not at all."""

from __future__ import annotations

import contextlib
import http.client
import socket
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import urlsplit

HANG_SECONDS = 30.0


@dataclass(frozen=True)
class Request:
    """A request as the proxy sees it; ``number`` counts from 1."""

    number: int
    method: str
    path: str


Fault = Callable[[Request], str | None]
"""What happens to a request: None (it passes), 'hang', 'cut', or an answer such as '500 InternalError'."""


@dataclass
class FaultyStore:
    """The proxy: its address, its fault and what it has seen."""

    url: str
    fault: Fault = lambda request: None
    seen: list[Request] = field(default_factory=list)


class _Proxy(ThreadingHTTPServer):
    daemon_threads = True

    def __init__(self, upstream: str) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.place = urlsplit(upstream)
        self.guard = threading.Lock()
        self.is_over = threading.Event()
        self.store = FaultyStore(f"http://127.0.0.1:{self.server_port}")


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server: _Proxy

    def _handle(self) -> None:
        store = self.server.store
        with self.server.guard:
            request = Request(len(store.seen) + 1, self.command, self.path)
            store.seen.append(request)
        fault = store.fault(request)
        if fault == "cut":
            self.rfile.read(min(1000, int(self.headers.get("Content-Length", 0))))
            self._close()
            return
        body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
        if fault == "hang":
            self.server.is_over.wait(HANG_SECONDS)
            self._close()
        elif fault is None:
            self._pass(body)
        else:
            self._refuse(*fault.split(" "))

    do_GET = do_PUT = do_POST = do_HEAD = do_DELETE = _handle  # noqa: N815 (names of the library)

    def _pass(self, body: bytes) -> None:
        upstream = http.client.HTTPConnection(self.server.place.hostname or "", self.server.place.port)
        upstream.request(self.command, self.path, body, dict(self.headers))
        answer = upstream.getresponse()
        content = answer.read()
        self.send_response(answer.status)
        for name, value in answer.getheaders():
            if name.lower() not in ("transfer-encoding", "content-length", "connection"):
                self.send_header(name, value)
        length = answer.getheader("Content-Length") if self.command == "HEAD" else str(len(content))
        self.send_header("Content-Length", length or "0")
        self.end_headers()
        self.wfile.write(content)
        upstream.close()

    def _refuse(self, status: str, code: str) -> None:
        content = f"<Error><Code>{code}</Code><Message>injected</Message></Error>".encode()
        self.send_response(int(status))
        if status.startswith("3"):
            self.send_header("Location", f"{self.server.store.url}{self.path}")
        self.send_header("Content-Type", "application/xml")
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(content)

    def _close(self) -> None:
        self.close_connection = True
        with contextlib.suppress(OSError):
            self.connection.shutdown(socket.SHUT_RDWR)

    def log_message(self, *_: Any) -> None:
        """Say nothing."""


@contextlib.contextmanager
def faulty_store(upstream: str) -> Iterator[FaultyStore]:
    """A proxy before the server at ``upstream``."""
    server = _Proxy(upstream)
    threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True).start()
    try:
        yield server.store
    finally:
        server.is_over.set()
        server.shutdown()
        server.server_close()
