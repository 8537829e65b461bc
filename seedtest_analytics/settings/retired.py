"""Variables of the legacy jobs that operators may still set but that have no effect."""

from __future__ import annotations

import warnings
from collections.abc import Mapping

UNREAD_VARIABLES = {
    "BATCH_SIZE": "everything is set-based",
    "BF_LOOKBACK_DAYS": "backfill the weeks",
    "KPI_WEEK_START": "the partition is the week",
    "WEEK_START": "the partition is the week",
    "REPORT_WEEK_START": "the partition is the week",
    "TARGET_DATE": "the partition is the day",
    "ENABLE_IRT_ONLINE_UPDATE": "the sensor exam_results_sensor scores new answers",
    "IRT_UPDATE_LOOKBACK_DAYS": "the sensor exam_results_sensor scores new answers",
    "IRT_ETL_MIN_RESPONSES_PER_ITEM": "MIRT_MIN_RESPONSES",
    "IRT_ETL_MIN_VARIANCE": "items with one response category are set aside",
    "MIN_RESPONSES": "MIRT_MIN_RESPONSES",
    "CLUSTER_FEATURES": "the contract fixes the features",
    "COHORT_FILTER": "every student of the week gets a report",
    "MCMC_SAMPLES": "BRMS_N_SAMPLES",
    "TARGET_ACCEPT": "the sampler chooses it",
}
"""Unread variables and their replacements. Names that any program may use (USER_ID, DEBUG, TUNE, CHAINS) are left out."""

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
    """Warn once per process about the retired variables that are set."""
    # Both warnings name a line of this function, not of the caller, so Python shows each once per process.
    unread = [f"{name} ({instead})" for name, instead in UNREAD_VARIABLES.items() if environment.get(name)]
    if unread:
        warnings.warn("these variables are set but not read (replacement): " + ", ".join(unread), stacklevel=1)
    retired = [name for name in RETIRED_VARIABLES if environment.get(name)]
    if retired:
        message = "R runs inside the platform; these variables are set but have no effect: " + ", ".join(retired)
        warnings.warn(message, stacklevel=1)
