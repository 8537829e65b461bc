"""Pointers from columns and KPI keys to the code that computes them: each leads to a function or a SQL statement."""

from __future__ import annotations

import functools
import importlib
from typing import Any

import pytest
from sqlalchemy import Table

from seedtest_analytics.database.sql_files import statement
from seedtest_analytics.tables import contract_of, metadata, table_named, view_metadata
from seedtest_analytics.tables.declare import pointers
from seedtest_analytics.tables.kpis import KPI_KEYS
from seedtest_analytics.tables.source import SOURCE_TABLES

OF_THE_WEB_APPLICATION = {*SOURCE_TABLES} - {"load_rejects"}
TABLES = [*metadata.tables.values(), *view_metadata.tables.values()]


def found(pointer: str) -> Any:
    """What the pointer names. Raises LookupError, ImportError or AttributeError."""
    if pointer.startswith("sql/"):
        path, _, name = pointer.removeprefix("sql/").partition(":")
        return statement(path, name or "main")
    parts = pointer.split(".")
    for n in range(len(parts), 1, -1):
        try:
            module = importlib.import_module(".".join(parts[:n]))
        except ModuleNotFoundError as error:
            if not pointer.startswith(str(error.name)):
                raise
            continue
        return functools.reduce(getattr, parts[n:], module)
    raise LookupError(f"no module of {pointer}")


def is_code(pointer: str) -> bool:
    """Whether the pointer names a statement, a function, a method, a property or a class."""
    try:
        value = found(pointer)
    except (AttributeError, ImportError, LookupError):
        return False
    return pointer.startswith("sql/") or callable(value) or isinstance(value, property | functools.cached_property)


@pytest.mark.parametrize("table", TABLES, ids=lambda table: table.name)
def test_every_computed_column_points_to_code_that_exists(table: Table) -> None:
    for column in table.columns:
        given = contract_of(column).computed_by
        if table.name not in OF_THE_WEB_APPLICATION:
            assert given, f"{table.name}.{column.name} does not say what computes it"
        assert [pointer for pointer in given if not is_code(pointer)] == [], f"{table.name}.{column.name}"


@pytest.mark.parametrize("asset", KPI_KEYS)
def test_every_kpi_key_points_to_code_that_exists(asset: str) -> None:
    for key in KPI_KEYS[asset]:
        assert key.computed_by, f"{key.name} does not say what computes it"
        assert [pointer for pointer in key.computed_by if not is_code(pointer)] == [], key.name


@pytest.mark.parametrize(
    "pointer",
    [
        "seedtest_analytics.stats.growth.prediction",
        "seedtest_analytics.stats.growth.prediction.nobody",
        "seedtest_analytics.stats.growth.prediction.BLOCK_STUDENTS",
        "seedtest_analytics.nowhere.predict",
        "sql/kpis/I_t.sql:nothing",
        "sql/kpis/nothing.sql",
        "sql/attempts/sync.sql",
    ],
)
def test_a_pointer_that_leads_nowhere_is_noticed(pointer: str) -> None:
    assert not is_code(pointer)


@pytest.mark.parametrize("names", ["sigma", "mean mean"])
def test_a_part_with_an_unknown_or_a_repeated_name_raises(names: str) -> None:
    with pytest.raises(ValueError, match="unknown or occur twice"):
        pointers(["mean"], "stats.kpi.goal.normal_goal_probability", (names, "sql/kpis/S.sql"))


@pytest.mark.parametrize(
    ("table", "column", "module"),
    [
        ("growth_prediction", "sigma", "seedtest_analytics.stats.growth.prediction"),
        ("prophet_anomalies", "anomaly_score", "seedtest_analytics.stats.forecasts.scores"),
    ],
)
def test_statistics_point_to_the_statistics(table: str, column: str, module: str) -> None:
    assert contract_of(table_named(table).columns[column]).computed_by[0].startswith(f"{module}.")
