"""The check of the verdicts."""

from __future__ import annotations

from seedtest_analytics.assets.framework.checks import Check

MODELS_SPEAK = Check(
    "models_speak", "Past outcomes let every model speak: none is replaced by the base rate or withheld."
)
