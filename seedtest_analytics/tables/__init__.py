"""The contract's tables as SQLAlchemy metadata: columns, types, keys, comments, units, ranges, privacy class.

Each stage has one module. Nothing here connects to a database; `sql/migrations/` creates the tables.
"""

# Imported for their effect: they add their tables to the metadata.
from seedtest_analytics.tables import (  # noqa: F401
    ability,
    attempts,
    backtest,
    churn,
    drift,
    features,
    forecasts,
    growth,
    health,
    kpis,
    messages,
    psychometrics,
    reports,
    segments,
    source,
)
from seedtest_analytics.tables.declare import ColumnContract, contract_of, metadata, table_named, view_metadata

__all__ = ["ColumnContract", "contract_of", "metadata", "table_named", "view_metadata"]
