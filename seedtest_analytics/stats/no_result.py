"""The one way to say that a computation has no result: a value with the reason, in place of None and a text beside it."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class NoResult:
    """There is no result; ``reason`` says why, in words for the reader of a table or a check."""

    reason: str
