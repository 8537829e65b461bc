"""Errors of R. Each message names the cause and the remedy."""

from __future__ import annotations


class RError(RuntimeError):
    """A call of R failed."""


class RNotFoundError(RError):
    """R or its shared library is not installed, or ``R_HOME`` is wrong."""


class RPackageMissingError(RError):
    """R packages that a model needs (``missing``) are not installed."""

    def __init__(self, message: str, missing: tuple[str, ...]) -> None:
        super().__init__(message)
        self.missing = missing


class REvaluationError(RError):
    """R signalled an error in the call ``r_call``; ``traceback`` lists the calls, outermost first."""

    def __init__(self, message: str, r_call: str, *, traceback: tuple[str, ...]) -> None:
        super().__init__(message)
        self.r_call = r_call
        self.traceback = traceback


class RTimeoutError(RError, TimeoutError):
    """A call exceeded its time-out; R and its child processes were killed."""


class RCrashedError(RError):
    """The R process ended during a call (killed, out of memory, or a fault in compiled code)."""


class RConversionError(RError, TypeError):
    """A value cannot be converted between Python and R without loss."""
