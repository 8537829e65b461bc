"""The checks of the segmentation. Assets declare them; the weeks report through them."""

from __future__ import annotations

from seedtest_analytics.assets.framework.checks import Check

SEVERAL_SEGMENTS = Check("several_segments", "The students form groups, and there are enough students to find them.")
STABLE = Check("stable", "Bootstraps find every segment again (Jaccard).")
