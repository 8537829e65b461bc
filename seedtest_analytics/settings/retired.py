"""Variables that operators may still set and that have no effect any more."""

from __future__ import annotations

import warnings
from collections.abc import Mapping

RETIRED_VARIABLES = (
    "R_IRT_BASE_URL",
    "R_IRT_TIMEOUT_SECS",
    "R_IRT_INTERNAL_TOKEN",
    "R_IRT_PLUMBER_URL",
    "R_GLMM_BASE_URL",
    "R_GLMM_INTERNAL_TOKEN",
    "R_BRMS_BASE_URL",
    "R_BRMS_INTERNAL_TOKEN",
    "R_FORECAST_BASE_URL",
    "R_FORECAST_TIMEOUT_SECS",
    "R_FORECAST_INTERNAL_TOKEN",
    "R_ANALYTICS_INTERNAL_TOKEN",
)


def warn_about_retired(environment: Mapping[str, str]) -> None:
    """Name the retired variables that are set, once a process."""
    retired = [name for name in RETIRED_VARIABLES if environment.get(name)]
    if retired:
        message = "R runs inside the platform now; these variables are set and have no effect: " + ", ".join(
            retired
        )
        # At this very line, not the caller's: Python then shows it once a process however often settings are loaded.
        warnings.warn(message, stacklevel=1)
