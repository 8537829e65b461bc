"""What can be wrong with survival data; each message gives the cause and the remedy."""

from __future__ import annotations


class SurvivalDataError(ValueError):
    """The requested model cannot be fitted to the rows."""


class NoEventsError(SurvivalDataError):
    """Every row is censored."""


class CollinearityError(SurvivalDataError):
    """A covariate is constant or a combination of others."""


class SeparationError(SurvivalDataError):
    """The likelihood has no maximum: a covariate separates events from non-events."""


class ConvergenceError(SurvivalDataError):
    """The iterations ended before the estimate converged."""
