"""What a caller of the loader handles: its error and its progress. A bad row is not an error (see :mod:`.rejects`)."""

from typing import Protocol


class Progress(Protocol):
    """Called with a stage (``simulating``, ``reading``, ``writing``), the share of it that is done, and the rows so far."""

    def __call__(self, stage: str, share: float, *, rows: int = 0) -> None:
        """Show the progress."""


class LoadError(ValueError):
    """A log cannot be read; nothing was written. The message names the file, the cause and the remedy."""
