"""Segments of students."""

from __future__ import annotations

import warnings
from typing import Any, Literal

from pydantic import field_validator

from seedtest_analytics.settings.group import MOST_ROWS, MOST_WEEKS, SettingsGroup, option, variable

RETIRED_METHODS = ("hierarchical", "dbscan")
"""Methods of the legacy job. Neither has centres that identify a segment from month to month."""


class SegmentSettings(SettingsGroup):
    """Segments of students (contract 4.12)."""

    lookback_weeks: int = option(
        12, "CLUSTER_LOOKBACK_WEEKS", ge=1, le=MOST_WEEKS, description="Weeks of KPIs that the features average."
    )
    n_clusters: int | None = option(
        None, "CLUSTER_N_CLUSTERS", ge=1, le=50, description="Number of segments; if unset, it is estimated."
    )
    method: Literal["kmeans", "gmm"] = option(
        "kmeans", "CLUSTER_METHOD", description="'kmeans' or 'gmm' (Gaussian mixture)."
    )

    @field_validator("method", mode="before")
    @classmethod
    def _kmeans_for_retired(cls, value: Any) -> Any:
        if value not in RETIRED_METHODS:
            return value
        warnings.warn(f"CLUSTER_METHOD={value} is retired; kmeans is used instead", stacklevel=1)
        return "kmeans"

    min_weeks: int = variable(
        4, "CLUSTER_MIN_WEEKS", ge=1, le=MOST_WEEKS, description="Weeks with A_t that a student needs."
    )
    min_users: int = variable(
        10, "CLUSTER_MIN_USERS", ge=2, le=MOST_ROWS, description="With fewer students there is one segment."
    )
