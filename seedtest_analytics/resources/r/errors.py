"""What can go wrong with R, each with its cause and remedy in the message."""

from __future__ import annotations


class RError(RuntimeError):
    """R could not do what was asked."""


class RNotFoundError(RError):
    """R, or its shared library, is not installed or not where ``R_HOME`` says."""


class RPackageMissingError(RError):
    """R packages that a model needs are not installed. ``missing`` names them."""

    def __init__(self, message: str, missing: tuple[str, ...]) -> None:
        super().__init__(message)
        self.missing = missing


class REvaluationError(RError):
    """R signalled an error. ``r_call`` is the call it came from, ``traceback`` its calls, outermost first."""

    def __init__(self, message: str, r_call: str, *, traceback: tuple[str, ...]) -> None:
        super().__init__(message)
        self.r_call = r_call
        self.traceback = traceback


class RTimeoutError(RError, TimeoutError):
    """A call took longer than its time-out; R and everything it had started was ended."""


class RCrashedError(RError):
    """The R process ended in the middle of a call (killed, out of memory, or a fault in compiled code)."""


class RConversionError(RError, TypeError):
    """A value has no faithful counterpart on the other side."""
