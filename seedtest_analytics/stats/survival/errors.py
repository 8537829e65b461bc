"""What can be wrong with survival data, said with its cause and its remedy."""

from __future__ import annotations


class SurvivalDataError(ValueError):
    """The rows cannot carry the model that was asked for."""


class NoEventsError(SurvivalDataError):
    """Nothing happened: every row is censored."""


class CollinearityError(SurvivalDataError):
    """A covariate is constant or a combination of others."""


class SeparationError(SurvivalDataError):
    """The likelihood has no maximum: a covariate separates events from non-events."""


class ConvergenceError(SurvivalDataError):
    """The iterations ended before the estimate settled."""
