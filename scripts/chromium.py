"""Headless Chromium by its DevTools protocol: what a picture of a page that must be clicked needs."""

from __future__ import annotations

import base64
import contextlib
import json
import re
import shutil
import subprocess
import tempfile
import time
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from websockets.sync.client import ClientConnection, connect  # comes with dagster-webserver

FLAGS = (
    "--headless", "--no-sandbox", "--disable-gpu", "--no-first-run", "--hide-scrollbars", "--disable-quic",
    "--disable-background-networking", "--disable-component-update", "--disable-sync", "--remote-debugging-port=0",
)  # fmt: skip
WAIT_SECONDS = 600


class Page:
    """One tab."""

    def __init__(self, socket: ClientConnection) -> None:
        self._socket = socket
        self._last = 0
        self.ask("Page.enable")

    def ask(self, method: str, **parameters: Any) -> dict[str, Any]:
        """The answer to a command of the protocol; RuntimeError where Chromium refuses it."""
        self._last += 1
        self._socket.send(json.dumps({"id": self._last, "method": method, "params": parameters}))
        while (answer := json.loads(self._socket.recv(WAIT_SECONDS))).get("id") != self._last:
            pass
        if "error" in answer:
            raise RuntimeError(f"{method}: {answer['error']['message']}")
        result: dict[str, Any] = answer["result"]
        return result

    def evaluate(self, script: str) -> Any:
        """The value of a JavaScript expression."""
        answer = self.ask("Runtime.evaluate", expression=script, returnByValue=True, awaitPromise=True)
        if "exceptionDetails" in answer:
            raise RuntimeError(answer["exceptionDetails"]["exception"].get("description", script))
        return answer["result"].get("value")

    def open(self, url: str, width: int, *, height: int, scale: float = 1) -> None:
        """Load a page in a window of this size in CSS pixels; narrow ones are phones."""
        self.ask(
            "Emulation.setDeviceMetricsOverride",
            width=width, height=height, deviceScaleFactor=scale, mobile=width < 600,
        )  # fmt: skip
        self.ask("Page.navigate", url=url)
        self.wait_for("document.readyState === 'complete'")

    def wait_for(self, script: str) -> None:
        """Wait until an expression holds; TimeoutError names it."""
        deadline = time.monotonic() + WAIT_SECONDS
        while not self.evaluate(script):
            if time.monotonic() > deadline:
                raise TimeoutError(f"still not so after {WAIT_SECONDS} s: {script}")
            time.sleep(0.2)

    def click(self, x: float, y: float) -> None:
        """Press and release the mouse there."""
        for kind in ("mouseMoved", "mousePressed", "mouseReleased"):
            self.ask("Input.dispatchMouseEvent", type=kind, x=x, y=y, button="left", clickCount=1)

    def settle(self, seconds: float = 2.0) -> None:
        """Wait for animations and lazy parts."""
        time.sleep(seconds)

    def press(self, key: str, code: int, *, alt: bool = False) -> None:
        """Press and release a key; ``code`` is the number that JavaScript calls keyCode."""
        for kind in ("keyDown", "keyUp"):
            self.ask(
                "Input.dispatchKeyEvent", type=kind, key=key, windowsVirtualKeyCode=code, modifiers=1 if alt else 0
            )

    def picture(self, target: Path, clip: tuple[float, float, float, float] | None = None) -> None:
        """PNG of the window, or of x, y, width and height of it."""
        names = ("x", "y", "width", "height")
        part = {"clip": {**dict(zip(names, clip, strict=True)), "scale": 1}} if clip else {}
        shot = self.ask("Page.captureScreenshot", format="png", **part)
        target.write_bytes(base64.b64decode(shot["data"]))

    def page_height(self) -> int:
        """Height of the content in CSS pixels."""
        return int(self.evaluate("document.documentElement.scrollHeight"))

    def pdf(self, target: Path) -> None:
        """The page as it prints, with its own page size."""
        made = self.ask("Page.printToPDF", preferCSSPageSize=True, printBackground=True)
        target.write_bytes(base64.b64decode(made["data"]))


@contextlib.contextmanager
def browser() -> Iterator[Page]:
    """A Chromium that lives for the block. Raises FileNotFoundError where none is installed."""
    program = shutil.which("chromium") or shutil.which("google-chrome")
    if program is None:
        raise FileNotFoundError("chromium is not installed; see deploy/apt-packages.txt")
    with tempfile.TemporaryDirectory(prefix="chromium-", ignore_cleanup_errors=True) as profile:
        process = subprocess.Popen(
            [program, *FLAGS, f"--user-data-dir={profile}"],
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
            text=True,
        )
        try:
            with connect(_tab_address(process), max_size=None) as socket:
                yield Page(socket)
        finally:
            process.terminate()
            process.wait(timeout=20)


def _tab_address(process: subprocess.Popen[str]) -> str:
    assert process.stderr is not None
    for line in process.stderr:
        found = re.search(r"ws://([\d.:]+)/devtools/browser", line)
        if found:
            request = urllib.request.Request(f"http://{found[1]}/json/new?about:blank", method="PUT")
            with urllib.request.urlopen(request, timeout=20) as answer:  # noqa: S310 (127.0.0.1)
                address: str = json.load(answer)["webSocketDebuggerUrl"]
            return address
    raise RuntimeError("Chromium ended before it listened")
