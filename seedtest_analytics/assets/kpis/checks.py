"""The check of the KPIs."""

from __future__ import annotations

from seedtest_analytics.assets.framework.checks import WINDOWS_WEEKS, Check

COVERAGE = Check(
    "coverage",
    "At least one student of the week has a number. If none has, an upstream is usually missing.",
    needs_weeks=WINDOWS_WEEKS,
)
