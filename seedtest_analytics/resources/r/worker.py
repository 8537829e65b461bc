"""The R process: R embedded by rpy2, reached over a socket. Run as ``python -m …worker FD LIMIT_MB``.

A thread reads the socket, so that the process notices while R computes that the platform's process has ended. It then
kills its process group, R's children (chains, compilers) included. The session enforces time-outs from outside,
because R swallows exceptions of Python signal handlers.
"""

from __future__ import annotations

import fcntl
import os
import queue
import resource
import shutil
import signal
import socket
import sys
import threading
from pathlib import Path
from typing import Any, cast

import numpy as np
from numpy.typing import NDArray

from seedtest_analytics.resources.r import wire
from seedtest_analytics.resources.r.errors import RConversionError

# Start-up files and a saved workspace of the user must not change a fit.
R_OPTIONS = ("rpy2", "--quiet", "--no-save", "--no-restore", "--no-init-file", "--no-site-file")
READ_BYTES = 1 << 20


class Channel:
    """The worker's end of the socket."""

    def __init__(self, connection: socket.socket) -> None:
        self._connection = connection
        self._sending = threading.Lock()
        # R forks (brms samples its chains this way), and the children print through this same socket. A record lock belongs
        # to a process, so it keeps their messages apart where a thread's lock cannot.
        self._among_forks = (Path(os.environ["TMPDIR"]) / "channel.lock").open("w", encoding="utf-8")
        self.requests: queue.SimpleQueue[dict[str, Any]] = queue.SimpleQueue()
        threading.Thread(target=self._read, name="requests", daemon=True).start()

    def send(self, message: dict[str, Any]) -> None:
        """Write one message."""
        with self._sending:
            fcntl.lockf(self._among_forks, fcntl.LOCK_EX)
            try:
                for part in wire.pack(message):
                    self._connection.sendall(part)
            finally:
                fcntl.lockf(self._among_forks, fcntl.LOCK_UN)

    def log(self, stream: str, text: str) -> None:
        """Send text that R wrote; the session splits it into lines."""
        self.send({"type": "log", "stream": stream, "text": text})

    def _read(self) -> None:
        unpacker = wire.Unpacker()
        while chunk := self._connection.recv(READ_BYTES):
            unpacker.feed(chunk)
            for message in unpacker.messages():
                self.requests.put(message)
        shutil.rmtree(os.environ["TMPDIR"], ignore_errors=True)  # made by the session for this process
        os.killpg(os.getpgid(0), signal.SIGKILL)


class EmbeddedR:
    """R in this process."""

    def __init__(self, channel: Channel) -> None:
        from rpy2.rinterface_lib import callbacks, embedded

        embedded.set_initoptions(cast(Any, R_OPTIONS))
        import rpy2.rinterface

        ri = cast(Any, rpy2.rinterface)  # its annotations are incomplete

        callbacks.consolewrite_print = lambda s: channel.log("print", s)
        callbacks.consolewrite_warnerror = lambda s: channel.log("error", s)
        callbacks.showmessage = lambda s: channel.log("error", s + "\n")
        ri.initr(interactive=False)
        self._ri = ri
        ri.evalr(Path(__file__).with_name("worker.R").read_text(encoding="utf-8"))

        def on_message(kind: Any, text: Any) -> Any:
            channel.log(str(kind[0]), str(text[0]).rstrip("\n") + "\n")
            return kind

        self._on_message = ri.rternalize(on_message)

    @property
    def version(self) -> str:
        """R's version string."""
        return str(self._ri.evalr("R.version.string")[0])

    def package_versions(self, packages: list[str]) -> dict[str, str | None]:
        """Installed version of each package; None for a missing one."""
        found = self._ri.globalenv["seedtest_package_versions"](self._ri.StrSexpVector(packages))
        missing = self._ri.NA_Character
        return {p: None if v is missing else str(v) for p, v in zip(packages, found, strict=True)}

    def call(self, script: str, function: str, *, arguments: dict[str, Any]) -> dict[str, Any]:
        """Source ``script``, call ``function`` and return the result or R's error as a message."""
        ri = self._ri
        given = ri.ListSexpVector([self._to_r(v) for v in arguments.values()])
        given.names = ri.StrSexpVector(list(arguments))
        reply = ri.globalenv["seedtest_call"](
            ri.StrSexpVector([script]), ri.StrSexpVector([function]), given, self._on_message
        )
        if "error" in reply.names:
            error, call, traceback = (reply[i] for i in range(3))
            return {"type": "r_error", "error": error[0], "call": call[0], "traceback": list(traceback)}
        return {"type": "value", "value": self._from_r(reply[0], "the result")}

    def _to_r(self, value: Any) -> Any:
        ri = self._ri
        if isinstance(value, wire.Frame):
            return self._frame_to_r(value)
        if isinstance(value, wire.Vector):
            return self._vector_to_r(value)
        if isinstance(value, dict):
            items = ri.ListSexpVector([self._to_r(v) for v in value.values()])
            items.names = ri.StrSexpVector(list(value))
            return items
        if isinstance(value, list):
            return ri.ListSexpVector([self._to_r(v) for v in value])
        return self._scalar_to_r(value)

    def _scalar_to_r(self, value: Any) -> Any:
        ri = self._ri
        if value is None:
            return ri.NULL
        if isinstance(value, bool):
            return ri.BoolSexpVector([value])
        if isinstance(value, int):
            return self._vector_to_r(wire.integer(np.array([value]), "a number"))
        if isinstance(value, float):
            return self._vector_to_r(wire.double(np.array([value])))
        return ri.StrSexpVector([value])

    def _vector_to_r(self, vector: wire.Vector) -> Any:
        ri = self._ri
        data = vector.data
        if vector.kind == "double":
            r = ri.FloatSexpVector.from_memoryview(data.data)
        elif vector.kind == "integer":
            r = ri.IntSexpVector.from_memoryview(data.data)
        elif vector.kind == "logical":
            r = ri.baseenv["as.logical"](ri.IntSexpVector.from_memoryview(data.data))
        else:
            r = self._coded_to_r(vector)
        if vector.dim is not None:
            r.do_slot_assign("dim", ri.IntSexpVector(vector.dim))
        return r

    def _coded_to_r(self, vector: wire.Vector) -> Any:
        ri = self._ri
        codes = np.where(vector.data < 0, wire.NA_INTEGER, vector.data + 1).astype(np.int32)
        r_codes = ri.IntSexpVector.from_memoryview(codes.data)
        levels = ri.StrSexpVector(vector.levels or [])
        if vector.kind == "character":
            return ri.baseenv["["](levels, r_codes)
        r_codes.do_slot_assign("levels", levels)
        r_codes.rclass = ri.StrSexpVector(["factor"])
        return r_codes

    def _frame_to_r(self, frame: wire.Frame) -> Any:
        ri = self._ri
        r = ri.ListSexpVector([self._vector_to_r(v) for v in frame.columns.values()])
        n_rows = len(next(iter(frame.columns.values())).data) if frame.columns else 0
        r.names = ri.StrSexpVector(list(frame.columns))
        r.do_slot_assign("row.names", ri.IntSexpVector([wire.NA_INTEGER, -n_rows]))
        r.rclass = ri.StrSexpVector(["data.frame"])
        return r

    def _from_r(self, value: Any, name: str) -> Any:
        ri = self._ri
        if value is ri.NULL:
            return None
        if isinstance(value, ri.ListSexpVector):
            return self._list_from_r(value, name)
        if isinstance(value, ri.FloatSexpVector):
            return wire.Vector("double", _copied(value, np.float64), dim=self._dim(value))
        if isinstance(value, ri.BoolSexpVector):
            return wire.Vector("logical", _copied(ri.baseenv["as.integer"](value)), dim=self._dim(value))
        if isinstance(value, ri.IntSexpVector):
            return self._integers_from_r(value)
        if isinstance(value, ri.StrSexpVector):
            return self._text_from_r(value)
        raise RConversionError(
            f"{name} is an R object of class {'/'.join(value.rclass)}: "
            "a script may return only data frames, vectors, arrays and lists of these"
        )

    def _integers_from_r(self, value: Any) -> wire.Vector:
        codes = _copied(value)
        if "factor" not in value.rclass:
            return wire.Vector("integer", codes, dim=self._dim(value))
        levels = [str(level) for level in self._ri.baseenv["levels"](value)]
        return wire.Vector("factor", np.where(codes == wire.NA_INTEGER, -1, codes - 1).astype(np.int32), levels)

    def _text_from_r(self, value: Any) -> wire.Vector:
        base, missing = self._ri.baseenv, self._ri.NA_Character
        unique = base["unique"](value)
        codes = _copied(base["match"](value, unique)) - 1
        is_known = np.array([level is not missing for level in unique], dtype=bool)
        renumbered = np.where(is_known, np.cumsum(is_known) - 1, -1).astype(np.int32)
        known = [str(level) for level in unique if level is not missing]
        return wire.Vector("character", renumbered[codes], known, self._dim(value))

    def _list_from_r(self, value: Any, name: str) -> Any:
        names = value.names
        if "data.frame" in value.rclass:
            return wire.Frame({n: self._from_r(v, f"column {n}") for n, v in zip(names, value, strict=True)})
        if names is self._ri.NULL:
            return [self._from_r(v, f"{name}[[{i + 1}]]") for i, v in enumerate(value)]
        return {n: self._from_r(v, f"{name}${n}") for n, v in zip(names, value, strict=True)}

    def _dim(self, value: Any) -> tuple[int, ...] | None:
        dim = self._ri.baseenv["dim"](value)
        return None if dim is self._ri.NULL else tuple(int(d) for d in dim)


def _copied(value: Any, dtype: Any = np.int32) -> NDArray[Any]:
    # rpy2 keeps the dimensions of an R array; the wire has it flat, in R's order.
    return np.array(value.memoryview(), dtype=dtype).ravel(order="F")


def answer(r: EmbeddedR, request: dict[str, Any]) -> dict[str, Any]:
    """Answer a request; a value that cannot be converted is an answer too and does not end the worker."""
    try:
        if request["type"] == "packages":
            return {"type": "packages", "versions": r.package_versions(request["packages"])}
        return r.call(request["script"], request["function"], arguments=request["arguments"])
    except RConversionError as error:
        return {"type": "conversion_error", "error": str(error)}


def main(descriptor: int, memory_limit_mb: int) -> None:
    """Serve calls until the platform closes the socket."""
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))  # a core dump would contain students' data
    if memory_limit_mb:
        resource.setrlimit(resource.RLIMIT_AS, (memory_limit_mb << 20, memory_limit_mb << 20))
    # When memory runs out, the kernel must kill R and not the platform's step.
    Path("/proc/self/oom_score_adj").write_text("800", encoding="ascii") if sys.platform == "linux" else None
    channel = Channel(socket.socket(fileno=descriptor))
    try:
        r = EmbeddedR(channel)
    except Exception as error:  # noqa: BLE001  # the session reports every cause
        channel.send({"type": "failed_to_start", "error": f"{type(error).__name__}: {error}"})
        return
    channel.send({"type": "ready", "version": r.version})
    while True:
        channel.send(answer(r, channel.requests.get()))


if __name__ == "__main__":
    main(int(sys.argv[1]), int(sys.argv[2]))
