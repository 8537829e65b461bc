"""Observations and freshness of the web application's tables."""

from __future__ import annotations

import datetime as dt

import dagster as dg
import pytest
from sqlalchemy import Engine, text

from seedtest_analytics.assets.sources import exam_results_fresh, observe_sources
from seedtest_analytics.dagster_private import observe
from seedtest_analytics.resources.postgres import PostgresResource


def store(engine: Engine, *ages: dt.timedelta) -> None:
    now = dt.datetime.now(dt.UTC)
    with engine.begin() as connection:
        for number, age in enumerate(ages):
            connection.execute(
                text(
                    "INSERT INTO exam_results (id, session_id, user_id, status, result_json, created_at, updated_at) "
                    "VALUES (gen_random_uuid(), :session, 'u', 'ready', '{}', :at, :at)"
                ),
                {"session": f"s{number}", "at": now - age},
            )


def resource(engine: Engine) -> PostgresResource:
    return PostgresResource.having(url=engine.url.render_as_string(hide_password=False))


@pytest.mark.parametrize(
    ("ages", "passed", "told"),
    [
        ([], False, "there is no exam result yet"),
        ([dt.timedelta(hours=35), dt.timedelta(days=90)], True, "the newest is 35 hours old"),
        ([dt.timedelta(hours=50)], False, "the newest is 50 hours old"),
        # A row dated in the future does not count.
        ([dt.timedelta(days=-3000), dt.timedelta(hours=50)], False, "the newest is 50 hours old"),
    ],
)
def test_exam_results_are_fresh_or_not(database: Engine, ages: list[dt.timedelta], passed: bool, told: str) -> None:
    store(database, *ages)
    result = exam_results_fresh(resource(database))
    assert isinstance(result, dg.AssetCheckResult)
    assert (result.passed, result.description) == (passed, told)
    assert result.severity == dg.AssetCheckSeverity.WARN


def test_a_time_without_a_date_is_no_change(database: Engine) -> None:
    store(database, dt.timedelta(hours=1))
    with database.begin() as connection:
        connection.execute(text("UPDATE exam_results SET updated_at = '-infinity'"))
    result = exam_results_fresh(resource(database))
    assert isinstance(result, dg.AssetCheckResult)
    assert not result.passed


def test_rows_and_newest_change_are_observed(database: Engine) -> None:
    store(database, dt.timedelta(hours=1), dt.timedelta(days=-3000))
    with dg.DagsterInstance.ephemeral() as instance:
        result = observe([observe_sources], instance=instance, resources={"postgres": resource(database)})
    assert result.success
    seen = {
        o.asset_key.path[-1]: o.metadata
        for o in result.get_asset_observation_events()
        for o in [o.asset_observation_data.asset_observation]
    }
    assert seen["exam_results"]["dagster/row_count"].value == 2
    newest = seen["exam_results"]["dagster/last_updated_timestamp"].value
    assert newest == pytest.approx((dt.datetime.now(dt.UTC) - dt.timedelta(hours=1)).timestamp(), abs=600)
    assert seen["question"]["dagster/row_count"].value == 0
