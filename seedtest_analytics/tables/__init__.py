"""The contract's tables as SQLAlchemy metadata: columns, types, keys, comments, units, ranges, privacy class.

A module a stage. Nothing here connects to a database.
"""

from seedtest_analytics.tables import (
    attempts,
    drift,
    features,
    growth,
    kpis,
    psychometrics,
    reports,
    segments,
    source,
)
from seedtest_analytics.tables import backtest as quality
from seedtest_analytics.tables import churn as risk
from seedtest_analytics.tables import forecasts as trends
from seedtest_analytics.tables.declare import (
    ColumnContract,
    contract_of,
    metadata,
    table_named,
    view_metadata,
)

__all__ = [
    "ColumnContract",
    "attempts",
    "contract_of",
    "drift",
    "features",
    "growth",
    "kpis",
    "metadata",
    "psychometrics",
    "quality",
    "reports",
    "risk",
    "segments",
    "source",
    "table_named",
    "trends",
    "view_metadata",
]
