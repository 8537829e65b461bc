"""The checks of the pages about groups."""

from seedtest_analytics.assets.framework.checks import Check

COHORTS_RENDERED = Check(
    "cohorts_rendered", "Every class, every organisation and the platform has a page of the week in each format."
)
COHORTS_STORED = Check("cohorts_stored", "The store has every page of the week, with the digest of its row.")
