"""Asset checks as objects: declared once, and every outcome is made by the object that declares it.

A misspelled check is a NameError, and :mod:`seedtest_analytics.assets.framework.report` refuses an outcome that its
asset does not declare as well as a declared check without an outcome.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any


@dataclass(frozen=True)
class Check:
    """A check: what passing means, and whether a failure stops the assets that follow."""

    name: str
    description: str
    is_blocking: bool = False

    def passed(self, text: str, metadata: Mapping[str, Any] | None = None) -> CheckOutcome:
        """The check passes; ``text`` says what was found."""
        return CheckOutcome(self, is_passed=True, description=text, metadata=metadata or {})

    def failed(self, text: str, metadata: Mapping[str, Any] | None = None) -> CheckOutcome:
        """The check fails; ``text`` says what is wrong."""
        return CheckOutcome(self, is_passed=False, description=text, metadata=metadata or {})

    def judged(self, text: str, *, is_passed: bool, metadata: Mapping[str, Any] | None = None) -> CheckOutcome:
        """The check passes or fails with the same text."""
        return CheckOutcome(self, is_passed=is_passed, description=text, metadata=metadata or {})


@dataclass(frozen=True)
class CheckOutcome:
    """What a check found in one partition, or in the whole table."""

    check: Check
    is_passed: bool
    description: str
    metadata: Mapping[str, Any] = field(default_factory=dict)
