"""The check of the platform's health."""

from seedtest_analytics.assets.framework.checks import Check

ALL_WELL = Check("all_well", "No asset has failed, and none is stale.")
