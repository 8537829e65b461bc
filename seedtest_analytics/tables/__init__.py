"""The contract's tables as SQLAlchemy metadata: columns, types, keys, comments, units, ranges, privacy class.

A module a stage. Nothing here connects to a database.
"""

from seedtest_analytics.tables import (
    attempts,
    backtest,
    churn,
    drift,
    features,
    forecasts,
    growth,
    kpis,
    psychometrics,
    reports,
    segments,
    source,
)
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
    "backtest",
    "churn",
    "contract_of",
    "drift",
    "features",
    "forecasts",
    "growth",
    "kpis",
    "metadata",
    "psychometrics",
    "reports",
    "segments",
    "source",
    "table_named",
    "view_metadata",
]
