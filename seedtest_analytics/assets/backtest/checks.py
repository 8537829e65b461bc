"""The checks of the backtest."""

from __future__ import annotations

from seedtest_analytics.assets.framework.checks import WINDOWS_WEEKS, Check

BETTER_THAN_BASELINE = Check(
    "better_than_baseline",
    "Beyond chance, no prediction is worse than its baseline or distorted.",
    needs_weeks=WINDOWS_WEEKS,
)
NO_DRIFT = Check(
    "no_drift", "Observed and predicted shares are as far apart as in the weeks before.", needs_weeks=WINDOWS_WEEKS
)
GROUPS_ALIKE = Check(
    "groups_alike", "No prediction ranks or is calibrated differently by group of DIF_COVARIATE, beyond chance."
)
