"""Inactive students: recorded once, one run for all, only their P and S change, resumed after a failure."""

import datetime as dt
from typing import Any

import dagster as dg
import numpy as np
import pytest
from sqlalchemy import Engine, create_engine

from seedtest_analytics.assets.inactivity import count_due, notice_inactivity
from seedtest_analytics.partitions import monday_of
from seedtest_analytics.schedules.inactivity import inactivity_catch_up, inactivity_sensor
from tests._database import execute, rows_of, snapshot
from tests.assets._activity import EPOCH, materialize, postgres_of, store_sessions
from tests.schedules._runs import add_run

JOB = "detect_inactivity"
NOW = dt.datetime(2025, 3, 12, 15, 0, tzinfo=dt.UTC)
MONDAY = monday_of(NOW.date())
TODAY = (NOW - EPOCH) / dt.timedelta(days=1)


def silent_for(days: float) -> float:
    return TODAY - days


def store(engine: Engine, **silences: float) -> None:
    """Students by name, with the days since their last session."""
    store_sessions(engine, list(silences), np.array([silent_for(days) for days in silences.values()]))


def notice(engine: Engine, at: dt.datetime = NOW, **config: Any) -> dg.ExecuteInProcessResult:
    run_config = {"ops": {"notice_inactivity": {"config": {"as_of": at.isoformat(), **config}}}}
    return materialize(engine, notice_inactivity, run_config=run_config, raise_on_error=False)


def noticed(engine: Engine) -> list[str]:
    return [row["user_id"] for row in rows_of(engine, "SELECT user_id FROM inactivity_notice ORDER BY 1")]


def test_who_crosses_the_threshold_is_noticed_once_and_the_others_keep_their_rows(database: Engine) -> None:
    store(database, active=2.0, crossing=7.001, almost=6.999, long=30.0, gone=95.0)
    execute(
        database,
        "INSERT INTO weekly_kpi (user_id, week_start, kpis) VALUES "
        "('active', :w, '{\"S\": 0.111, \"P\": 0.222}'), ('long', :w, '{\"S\": 0.111, \"A_t\": 0.5}')",
        {"w": MONDAY},
    )
    assert notice(database).success
    assert noticed(database) == ["crossing", "long"]
    kpis = {row["user_id"]: row["kpis"] for row in rows_of(database, "SELECT * FROM weekly_kpi")}
    assert kpis.keys() == {"active", "crossing", "long"}
    assert kpis["active"] == {"S": 0.111, "P": 0.222}
    assert kpis["long"]["A_t"] == 0.5
    assert kpis["long"]["S_days_silent"] == pytest.approx(30.0)
    assert kpis["long"]["S"] > 0.8
    assert kpis["crossing"]["S_days_silent"] == pytest.approx(7.001)
    assert "P_reason" in kpis["crossing"]
    before = snapshot(database, "inactivity_notice", "weekly_kpi")
    assert notice(database, NOW + dt.timedelta(minutes=1)).success
    assert snapshot(database, "inactivity_notice", "weekly_kpi") == before


def test_the_newest_row_of_a_student_has_all_six_kpis_whoever_writes_it_first(database: Engine) -> None:
    """The sensor fires on Monday before the KPIs of the week: it once wrote rows that only had P and S."""
    store_sessions(database, ["crossing"] * 3, np.array([silent_for(days) for days in (40.0, 20.0, 8.0)]))
    assert notice(database).success
    (newest,) = rows_of(database, "SELECT kpis FROM weekly_kpi WHERE week_start = :w", w=MONDAY)
    for key in ("I_t", "E_t", "R_t", "A_t", "P", "S"):
        assert newest["kpis"].get(key) is not None or newest["kpis"].get(f"{key}_reason"), key
    assert newest["kpis"]["A_t"] > 0
    assert newest["kpis"]["S"] > 0
    before = snapshot(database, "weekly_kpi")
    assert notice(database, NOW + dt.timedelta(minutes=1)).success
    assert snapshot(database, "weekly_kpi") == before


def test_a_new_silence_is_noticed_again(database: Engine) -> None:
    store(database, u=20.0)
    assert notice(database).success
    execute(database, "UPDATE attempt_log SET completed_at = completed_at + interval '12 days' WHERE user_id = 'u'")
    assert notice(database).success
    assert len(rows_of(database, "SELECT * FROM inactivity_notice")) == 2


def test_a_run_that_stops_half_way_leaves_nothing_and_the_next_notices_all(
    database: Engine, monkeypatch: pytest.MonkeyPatch
) -> None:
    store(database, a=8.0, b=9.0)
    module = "seedtest_analytics.assets.inactivity.publish_week"

    def killed(*_: Any, **__: Any) -> None:
        raise dg.Failure("the machine went away", allow_retries=False)

    with monkeypatch.context() as broken:
        broken.setattr(module, killed)
        assert not notice(database).success
    assert noticed(database) == []
    assert rows_of(database, "SELECT * FROM weekly_kpi") == []
    assert notice(database).success
    assert noticed(database) == ["a", "b"]


def test_threshold_and_dry_run_of_the_run_configuration(database: Engine) -> None:
    store(database, a=8.0, b=15.0)
    assert notice(database, dry_run=True).success
    assert noticed(database) == []
    assert notice(database, threshold_days=14).success
    assert noticed(database) == ["b"]


def sensor_result(engine: Engine, instance: dg.DagsterInstance) -> Any:
    resources = {"postgres": postgres_of(engine)}
    with dg.build_sensor_context(instance=instance, resources=resources) as context:
        return inactivity_sensor(context)


def store_now(engine: Engine, user: str, days: float) -> None:
    today = (dt.datetime.now(dt.UTC) - EPOCH) / dt.timedelta(days=1)
    store_sessions(engine, [user], np.array([today - days]))


def test_the_sensor_requests_one_run_for_all_and_none_when_nobody_is_due(
    database: Engine, instance: dg.DagsterInstance
) -> None:
    store_now(database, "u", 8.0)
    request = sensor_result(database, instance)
    assert isinstance(request, dg.RunRequest)
    assert request.tags == {"seedtest/students": "1"}
    with database.connect() as connection:
        assert count_due(connection, dt.datetime.now(dt.UTC)) == 1
    assert notice(database, dt.datetime.now(dt.UTC)).success
    assert isinstance(sensor_result(database, instance), dg.SkipReason)


def test_the_sensor_of_a_database_without_tables_says_what_to_do(
    empty_database: str, instance: dg.DagsterInstance
) -> None:
    answer = sensor_result(create_engine(empty_database), instance)
    assert isinstance(answer, dg.SkipReason)
    assert "seedtest migrate" in str(answer.skip_message)


@pytest.mark.parametrize(
    ("status", "word"), [(dg.DagsterRunStatus.STARTED, "under way"), (dg.DagsterRunStatus.FAILURE, "failed")]
)
def test_the_sensor_waits_for_a_run_and_pauses_after_a_failure(
    database: Engine, instance: dg.DagsterInstance, status: dg.DagsterRunStatus, word: str
) -> None:
    store_now(database, "u", 8.0)
    add_run(instance, JOB, status=status)
    result = sensor_result(database, instance)
    assert isinstance(result, dg.SkipReason)
    assert word in (result.skip_message or "")


def test_the_catch_up_runs_daily_at_five_unless_a_run_is_under_way() -> None:
    assert inactivity_catch_up.cron_schedule == "0 5 * * *"
    with dg.instance_for_test() as instance:
        context = dg.build_schedule_context(instance, scheduled_execution_time=NOW)
        assert isinstance(inactivity_catch_up(context), dg.RunRequest)
        add_run(instance, JOB, status=dg.DagsterRunStatus.STARTED)
        context = dg.build_schedule_context(instance, scheduled_execution_time=NOW)
        assert isinstance(inactivity_catch_up(context), dg.SkipReason)
