"""The checks of the KPIs."""

from __future__ import annotations

from seedtest_analytics.assets.framework.checks import WINDOWS_WEEKS, Check

COVERAGE = Check(
    "coverage",
    "At least one student of the week has a number. If none has, an upstream is usually missing.",
    needs_weeks=WINDOWS_WEEKS,
)
SILENT_P_STAYS = Check(
    "silent_p_stays", "P of a student without a new answer moves by the time to the goal alone, within 20 points."
)
