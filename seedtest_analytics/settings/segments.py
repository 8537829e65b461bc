"""Segments of students."""

from __future__ import annotations

from typing import Literal

from seedtest_analytics.settings.group import SettingsGroup, variable


class SegmentSettings(SettingsGroup):
    """Segments of students (contract 4.12)."""

    lookback_weeks: int = variable(
        12,
        "CLUSTER_LOOKBACK_WEEKS",
        ge=1,
        description="Weeks of KPIs that a student's features are means of.",
    )
    n_clusters: int | None = variable(
        None, "CLUSTER_N_CLUSTERS", ge=1, le=50, description="Number of segments; unset: chosen."
    )
    method: Literal["kmeans", "gmm"] = variable(
        "kmeans", "CLUSTER_METHOD", description="'kmeans' or 'gmm' (Gaussian mixture)."
    )
    min_weeks: int = variable(
        4, "CLUSTER_MIN_WEEKS", ge=1, description="Weeks with A_t that a student needs to be in a segment."
    )
    min_users: int = variable(
        10, "CLUSTER_MIN_USERS", ge=2, description="Below so many students there is one segment."
    )
