"""The checks of the segmentation. Assets declare them; the weeks report through them."""

from __future__ import annotations

from seedtest_analytics.assets.framework.checks import WINDOWS_WEEKS, Check

SEVERAL_SEGMENTS = Check(
    "several_segments",
    "The students form groups, and there are enough students to find them.",
    needs_weeks=WINDOWS_WEEKS,
)
STABLE = Check("stable", "Bootstraps find every segment again (Jaccard).", needs_weeks=WINDOWS_WEEKS)
