"""A mail server and a webhook on this machine that keep what they accept, and can fail or kill the sender on the way."""

from __future__ import annotations

import contextlib
import email
import json
import os
import signal
import socketserver
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from email.message import EmailMessage
from email.policy import default
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

Answer = Callable[[str, str], str | None]
"""What happens at a step of a message: None (it goes on), an answer such as '451 later', 'cut', or 'kill'."""


@dataclass
class Receiver:
    """What a receiver has accepted, its behaviour, and the process that it may kill."""

    port: int = 0
    answer: Answer = lambda step, what: None
    mails: list[EmailMessage] = field(default_factory=list)
    posts: list[dict[str, Any]] = field(default_factory=list)
    headers: list[dict[str, str]] = field(default_factory=list)
    victim: int | None = None

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}/messages"

    def mailed(self) -> list[str]:
        """Keys of the accepted mails."""
        return [str(mail["Message-ID"]).strip("<>").partition("@")[0] for mail in self.mails]

    def posted(self) -> list[str]:
        """Keys that were accepted for the first time: a receiver ignores a key that it knows."""
        return list(dict.fromkeys(post["key"] for post in self.posts))

    def at(self, step: str, what: str = "") -> str | None:
        """Decide what happens at a step; kill the sender where that is asked for."""
        found = self.answer(step, what)
        if found == "kill" and self.victim is not None:
            os.kill(self.victim, signal.SIGKILL)
        return found


class _Smtp(socketserver.StreamRequestHandler):
    server: Any

    def handle(self) -> None:
        with contextlib.suppress(OSError):
            self._say("220 here")
            while line := self.rfile.readline():
                command = line.decode("latin-1").strip()
                if not self._command(command[:4].upper(), command):
                    return

    def _command(self, verb: str, command: str) -> bool:
        receiver: Receiver = self.server.receiver
        found = receiver.at(verb.lower(), command)
        if found in ("cut", "kill"):
            return False
        if found is not None:
            self._say(found)
        elif verb in ("EHLO", "HELO", "MAIL", "RCPT", "RSET", "NOOP"):
            self._say("250 fine")
        elif verb == "DATA":
            return self._data()
        else:
            self._say("221 bye" if verb == "QUIT" else "502 unknown")
        return verb != "QUIT"

    def _data(self) -> bool:
        receiver: Receiver = self.server.receiver
        self._say("354 go on")
        lines = []
        while (line := self.rfile.readline()) != b".\r\n":
            if not line:
                return False
            lines.append(line.removeprefix(b".") if line.startswith(b"..") else line)
            if len(lines) == 1 and receiver.at("text") in ("cut", "kill"):
                return False
        found = receiver.at("dot")
        if found in ("cut", "kill"):
            return False
        if found is not None:
            self._say(found)
            return True
        mail = email.message_from_bytes(b"".join(lines), policy=default)
        assert isinstance(mail, EmailMessage)
        receiver.mails.append(mail)
        found = receiver.at("accepted")
        if found in ("cut", "kill"):
            return False
        self._say("250 accepted")
        return receiver.at("answered") not in ("cut", "kill")

    def _say(self, text: str) -> None:
        self.wfile.write(text.encode() + b"\r\n")


class _SmtpServer(socketserver.ThreadingTCPServer):
    daemon_threads = True
    allow_reuse_address = True


class _Webhook(BaseHTTPRequestHandler):
    server: Any
    protocol_version = "HTTP/1.1"

    def do_POST(self) -> None:
        receiver: Receiver = self.server.receiver
        found = receiver.at("asked")
        body = self.rfile.read(int(self.headers["Content-Length"]))
        if found in ("cut", "kill"):
            self.close_connection = True
            return
        if found is None:
            receiver.posts.append(json.loads(body))
            receiver.headers.append(dict(self.headers))
            if receiver.at("accepted") in ("cut", "kill"):
                self.close_connection = True
                return
        self.send_response(int((found or "200").split()[0]))
        self.send_header("Content-Length", "0")
        self.end_headers()
        receiver.at("answered")

    def log_message(self, *_: Any) -> None:
        """Say nothing."""


@contextlib.contextmanager
def _served(server: Any) -> Iterator[Receiver]:
    server.receiver = Receiver(port=server.server_address[1])
    threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True).start()
    try:
        yield server.receiver
    finally:
        server.shutdown()
        server.server_close()


def mail_server() -> contextlib.AbstractContextManager[Receiver]:
    """A mail server."""
    return _served(_SmtpServer(("127.0.0.1", 0), _Smtp))


def webhook() -> contextlib.AbstractContextManager[Receiver]:
    """A webhook."""
    server = ThreadingHTTPServer(("127.0.0.1", 0), _Webhook)
    server.daemon_threads = True
    return _served(server)
