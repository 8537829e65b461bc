"""What the contract says about a table, as Dagster shows it: columns, sensitivity, and the origin of each column."""

from __future__ import annotations

from typing import Any

import dagster as dg
from sqlalchemy import Column, Table

from seedtest_analytics.tables import contract_of

_ASSET_OF_TABLE = {
    "attempt_log": ("attempt",),
    "mirt_item_params_history": ("mirt_item_params",),
    "student_topic_theta_history": ("student_topic_theta",),
    "survival_risk_history": ("survival_risk",),
    "report_artifacts": ("weekly_report",),
    "weekly_kpi": ("weekly_kpi", "I_t"),
}
"""Assets whose key is not the name of the table that a column is read from."""


def pii_class(table: Table) -> str:
    """The most sensitive class among the table's columns."""
    classes = {contract_of(column).pii for column in table.columns}
    return next(name for name in ("free_text", "pseudonymous", "none") if name in classes)


def column_schema(table: Table) -> dg.TableSchema:
    """Columns with types, meanings and the code that computes them, for the UI."""
    return dg.TableSchema(
        columns=[
            dg.TableColumn(
                column.name,
                str(column.type).lower(),
                description=_description(column),
                constraints=dg.TableColumnConstraints(nullable=bool(column.nullable)),
                tags={} if contract_of(column).pii == "none" else {"pii": contract_of(column).pii},
            )
            for column in table.columns
        ]
    )


def _description(column: Column[Any]) -> str:
    code = ", ".join(contract_of(column).computed_by)
    return f"{column.comment} Computed by {code}." if code else str(column.comment)


def column_lineage(table: Table) -> dg.TableColumnLineage:
    """The columns from which each column is computed."""
    return dg.TableColumnLineage(
        {
            column.name: [_column_dependency(origin) for origin in dict.fromkeys(contract_of(column).derived_from)]
            for column in table.columns
            if contract_of(column).derived_from
        }
    )


def _column_dependency(origin: str) -> dg.TableColumnDep:
    table_name, column_name = origin.split(".")
    return dg.TableColumnDep(asset_key=asset_key_of(table_name), column_name=column_name)


def asset_key_of(table_name: str) -> dg.AssetKey:
    """The asset that writes a table."""
    return dg.AssetKey(list(_ASSET_OF_TABLE.get(table_name, (table_name,))))
