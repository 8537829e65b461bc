"""The calibration that scores a week."""

from __future__ import annotations

from dataclasses import dataclass

import pandas as pd
from sqlalchemy import Connection

from seedtest_analytics.assets.psychometrics.scale.items import items_to_score_with
from seedtest_analytics.assets.psychometrics.scale.pool import TopicPool, stored_pool
from seedtest_analytics.assets.psychometrics.statements import SCALE
from seedtest_analytics.database.sql_files import statement
from seedtest_analytics.partitions import Week


@dataclass(frozen=True)
class Scale:
    """A calibration with its item bank and its population, both on the platform scale.

    ``items``: columns item_id, a, b, c, method and age_days, among others. ``pool``: where items with few answers lie.
    """

    run_id: str
    items: pd.DataFrame
    model: str
    group_mean: float
    group_sd: float
    pool: TopicPool | None = None

    @property
    def has_guessing(self) -> bool:
        """Whether an item has a lower asymptote above 0."""
        return bool((self.items["c"].astype(float) > 0).any())


def scale_for(connection: Connection, week: Week) -> Scale | None:
    """The newest usable calibration at or before the week; None if there is none."""
    fit = connection.execute(statement(SCALE, "usable_for"), {"week_start": week.start}).one_or_none()
    if fit is None:
        return None
    result = items_to_score_with(connection, fit.run_id)
    items = pd.DataFrame(result.all(), columns=list(result.keys()))
    metrics = fit.metrics
    return Scale(
        fit.run_id,
        items,
        model=fit.model_spec["model"],
        group_mean=metrics["group_mean"],
        group_sd=metrics["group_sd"],
        pool=stored_pool(metrics),
    )
