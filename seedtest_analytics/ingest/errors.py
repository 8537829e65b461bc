"""What can go wrong with a log as a whole; a single row is never fatal (see :mod:`.rejects`)."""


class LoadError(ValueError):
    """A log cannot be read or understood; nothing was written. The message names file, cause and remedy."""
