"""What can be wrong with a calibration's input, said with its cause and its remedy."""

from __future__ import annotations


class IrtDataError(ValueError):
    """The answers or parameters cannot carry what was asked for."""


class DuplicateAnswersError(IrtDataError):
    """A row has two answers to one item and no rule says which counts."""


class AnchorError(IrtDataError):
    """The anchors are too few or not usable for a scale to rest on them."""


class LinkingError(IrtDataError):
    """Two scales cannot be linked through the items they share."""


class AnchorsDisagreeError(LinkingError):
    """The shared items have moved too far apart for any of them to be trusted."""


class UnidentifiedModelError(IrtDataError):
    """The model asked for has no unique maximum on any data of this kind."""
