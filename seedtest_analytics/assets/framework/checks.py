"""Asset checks as objects: declared once, and every outcome is made by the object that declares it.

A misspelled check is a NameError, and :mod:`seedtest_analytics.assets.framework.report` refuses an outcome that its
asset does not declare as well as a declared check without an outcome.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

WINDOWS_WEEKS = 8
"""KPIs and covariates compare the last 28 days with the 28 days before."""
HALF_LOOK_BACK_WEEKS = 6
"""Half the look-back of the growth models and of the forecasts."""
SCALE_WEEKS = 4
"""The calibrations of the first month have few answers for each item."""


@dataclass(frozen=True)
class Check:
    """A check: what passing means, and whether a failure stops the assets that follow.

    ``needs_weeks``: a log with fewer weeks of attempts cannot pass. There a failure passes with the text "too early".
    """

    name: str
    description: str
    is_blocking: bool = False
    needs_weeks: int = 0

    def passed(self, text: str, metadata: Mapping[str, Any] | None = None) -> CheckOutcome:
        """The check passes; ``text`` says what was found."""
        return CheckOutcome(self, is_passed=True, description=text, metadata=metadata or {})

    def failed(self, text: str, metadata: Mapping[str, Any] | None = None) -> CheckOutcome:
        """The check fails; ``text`` says what is wrong."""
        return CheckOutcome(self, is_passed=False, description=text, metadata=metadata or {})

    def judged(self, text: str, *, is_passed: bool, metadata: Mapping[str, Any] | None = None) -> CheckOutcome:
        """The check passes or fails with the same text. Dagster refuses NumPy's bool, which comparisons of arrays give."""
        return CheckOutcome(self, is_passed=bool(is_passed), description=text, metadata=metadata or {})


@dataclass(frozen=True)
class CheckOutcome:
    """What a check found in one partition, or in the whole table."""

    check: Check
    is_passed: bool
    description: str
    metadata: Mapping[str, Any] = field(default_factory=dict)

    def as_of_week(self, number: int) -> CheckOutcome:
        """The outcome for a log with ``number`` whole weeks of attempts: not failed if that is too few for the check."""
        if self.is_passed or number >= self.check.needs_weeks:
            return self
        text = f"too early: {number} of {self.check.needs_weeks} weeks of attempts; {self.description}"
        return self.check.passed(text, {**self.metadata, "weeks_of_attempts": number})
