"""Errors of the ability model. Each message names the cause and the remedy."""

from __future__ import annotations


class AbilityDataError(ValueError):
    """The answers, parameters or dates do not support the computation."""
