"""What a caller of the loader handles: its error and its progress. A bad row is not an error (see :mod:`.rejects`)."""

from collections.abc import Callable

Progress = Callable[[str, float], None]
"""Called with a stage (``simulating``, ``reading``, ``writing``) and the share of it that is done."""


class LoadError(ValueError):
    """A log cannot be read; nothing was written. The message names the file, the cause and the remedy."""
