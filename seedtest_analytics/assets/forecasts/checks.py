"""The checks of the forecasts. Assets declare them; the weeks report through them."""

from __future__ import annotations

from seedtest_analytics.assets.framework.checks import HALF_LOOK_BACK_WEEKS, Check

BEATS_BASELINE = Check(
    "beats_baseline",
    "No published forecast is by Prophet with a larger error than the local level's, and intervals hold what they state.",
    needs_weeks=HALF_LOOK_BACK_WEEKS,
)
LAST_WEEK_EXPECTED = Check("last_week_expected", "No series had an anomaly in its last closed week.")
