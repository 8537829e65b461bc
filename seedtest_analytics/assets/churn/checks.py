"""The checks of the churn model. Assets declare them; the weeks report through them."""

from __future__ import annotations

from seedtest_analytics.assets.framework.checks import WINDOWS_WEEKS, Check

ENOUGH_EVENTS = Check(
    "enough_events",
    "There are enough returns, silences and students for a fit. If not, the heuristic scores.",
    needs_weeks=WINDOWS_WEEKS,
)
CALIBRATED = Check(
    "calibrated",
    "Out of fold, the probabilities are at least as good as the base rate, and not distorted.",
    needs_weeks=WINDOWS_WEEKS,
)
CONCORDANCE = Check(
    "concordance", "The model ranks students by return time better than chance.", needs_weeks=WINDOWS_WEEKS
)
PROPORTIONAL_HAZARDS = Check("proportional_hazards", "Hazard ratios are constant over the follow-up.")
BY_MODEL = Check(
    "by_model",
    "The newest fit scores the students: neither an earlier fit nor the heuristic.",
    needs_weeks=WINDOWS_WEEKS,
)
