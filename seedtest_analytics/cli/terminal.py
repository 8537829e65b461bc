"""Output on terminals and in files: whose encoding lacks some characters, that are full, or that nobody reads any more."""

from __future__ import annotations

import codecs
import errno
import io
import signal
import sys
import unicodedata
from collections.abc import Iterator, MutableMapping
from contextlib import contextmanager
from typing import IO, TYPE_CHECKING, TextIO

if TYPE_CHECKING:
    from _typeshed import ReadableBuffer

HANDLER = "seedtest_analytics.plain"

_PLAIN = {
    "–": "-",
    "—": "-",
    "−": "-",
    "…": "...",
    "·": "*",
    "≥": ">=",
    "≤": "<=",
    "→": "->",
    "×": "x",
    "θ": "theta",
    "σ": "sigma",
    "Δ": "delta ",
    "“": '"',
    "”": '"',
    "‘": "'",
    "’": "'",
}


def make_printable(*streams: TextIO) -> None:
    """Let the streams replace characters that their encoding lacks, instead of ending the command with an error."""
    codecs.register_error(HANDLER, _replaced)
    for stream in streams:
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors=HANDLER)


def _replaced(error: UnicodeError) -> tuple[str, int]:
    """The text that stands for the characters that cannot be encoded: alike where there is such, else their escape."""
    assert isinstance(error, UnicodeEncodeError)
    return "".join(map(_plain, error.object[error.start : error.end])), error.end


def _plain(character: str) -> str:
    base = unicodedata.normalize("NFKD", character).encode("ascii", "ignore").decode()
    return _PLAIN.get(character) or base or character.encode("ascii", "backslashreplace").decode()


def forget_no_width(environment: MutableMapping[str, str]) -> None:
    """Take a width of zero columns out of the environment. Rich would print nothing."""
    columns = environment.get("COLUMNS", "")
    if columns.isdecimal() and int(columns) == 0:
        del environment["COLUMNS"]


class _Outlet(io.FileIO):
    """A file that takes everything: what it cannot pass on is dropped, and the command goes on.

    A reader that has left stays away. A full disk may have room again, or Dagster had sent the output to a file on it.
    """

    failure: OSError | None = None

    def write(self, data: ReadableBuffer, /) -> int:
        if self.failure is None or self.failure.errno != errno.EPIPE:
            try:
                return super().write(data)
            except OSError as error:
                self.failure = error
        return memoryview(data).nbytes


def lasting(descriptor: int, *, like: IO[str]) -> tuple[io.TextIOWrapper, _Outlet]:
    """A text stream on a descriptor, which stays open, with the encoding of another stream. Writing to it never fails."""
    outlet = _Outlet(descriptor, "w", closefd=False)
    stream = io.TextIOWrapper(
        io.BufferedWriter(outlet),
        encoding=getattr(like, "encoding", "utf-8"),
        errors=getattr(like, "errors", "replace"),
        line_buffering=True,
    )
    return stream, outlet


@contextmanager
def lasting_output() -> Iterator[None]:
    """Let a command finish its work if its output is full or read no further, and end the process as the output requires.

    A reader that leaves, such as ``head``, gives the exit code of SIGPIPE. A full disk gives a message and 1.
    """
    output, errors = sys.stdout, sys.stderr
    if output is not sys.__stdout__ or not isinstance(output, io.TextIOWrapper):  # a test, or a closed descriptor
        yield
        return
    sys.stdout, outlet = lasting(output.fileno(), like=output)
    if errors is not None:
        sys.stderr, _ = lasting(errors.fileno(), like=errors)
    code: str | int | None = 0
    try:
        yield
    except SystemExit as ended:
        code = ended.code
    finally:
        sys.stdout.flush()
        sys.stdout, sys.stderr = output, errors
    sys.exit(code or _code_of(outlet.failure))


def _code_of(failure: OSError | None) -> int:
    """The exit code of a command that did its work and could not print everything."""
    if failure is None:
        return 0
    if failure.errno == errno.EPIPE:
        return 128 + signal.SIGPIPE
    text = f"error: standard output cannot be written: {failure.strerror}. The command has done its work all the same"
    print(text, file=sys.stderr)  # noqa: T201
    return 1
