"""What Dagster shows of a table: columns, sensitivity and origins."""

import dagster as dg
import pytest
from sqlalchemy import Table

from seedtest_analytics.assets.framework.lineage import asset_key_of, column_lineage, column_schema, pii_class
from seedtest_analytics.tables import table_named
from seedtest_analytics.tables.kpis import weekly_kpi
from seedtest_analytics.tables.psychometrics import mirt_ability, mirt_fit_meta
from seedtest_analytics.tables.source import interest_goal


@pytest.mark.parametrize(("table", "expected"), [(mirt_fit_meta, "none"), (mirt_ability, "pseudonymous")])
def test_a_table_is_as_sensitive_as_its_most_sensitive_column(table: Table, expected: str) -> None:
    assert pii_class(table) == expected


def test_the_schema_has_types_meanings_and_marks_of_privacy() -> None:
    columns = {column.name: column for column in column_schema(mirt_ability).columns}
    user = columns["user_id"]
    assert (user.type, user.constraints.nullable, user.tags) == ("text", False, {"pii": "pseudonymous"})
    comment = mirt_ability.columns["theta"].comment
    computed = [f"seedtest_analytics.stats.{name}" for name in ("ability.smoothing.smooth", "irt.scoring.score")]
    assert columns["theta"].description == f"{comment} Computed by {', '.join(computed)}."
    assert columns["theta"].tags == {}
    assert [c.name for c in column_schema(interest_goal).columns] == [c.name for c in interest_goal.columns]


def test_a_column_names_the_assets_that_it_comes_from() -> None:
    lineage = column_lineage(mirt_ability).deps_by_column
    assert "theta" in lineage
    assert {dep.asset_key.to_user_string() for dep in lineage["theta"]} >= {"mirt_item_params"}
    assert len(set(lineage["theta"])) == len(lineage["theta"])
    assert "kpis" in column_lineage(weekly_kpi).deps_by_column


@pytest.mark.parametrize(
    ("table", "asset"),
    [
        ("mirt_item_params_history", "mirt_item_params"),
        ("report_artifacts", "weekly_report"),
        ("weekly_kpi", "weekly_kpi/I_t"),
        ("mirt_ability", "mirt_ability"),
    ],
)
def test_a_table_belongs_to_the_asset_that_writes_it(table: str, asset: str) -> None:
    assert asset_key_of(table) == dg.AssetKey.from_user_string(asset)
    assert table_named(table) is not None
