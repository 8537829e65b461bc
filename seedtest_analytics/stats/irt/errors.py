"""Errors of the IRT engine. Each message names the cause and the remedy."""

from __future__ import annotations


class IrtDataError(ValueError):
    """The answers or parameters do not support the analysis."""


class DuplicateAnswersError(IrtDataError):
    """A row has two answers to one item."""


class AnchorError(IrtDataError):
    """Too few anchors have answers to fix the scale."""


class LinkingError(IrtDataError):
    """Two scales cannot be linked through the items that they share."""


class AnchorsDisagreeError(LinkingError):
    """The shared items have moved too far apart to tell which side is right."""


class UnidentifiedModelError(IrtDataError):
    """The model has no unique maximum on any data of this kind."""
