"""How often a week's KPIs write a row, and what a run of a part of them does."""

import datetime as dt
import random
from collections import Counter
from collections.abc import Iterator

import dagster as dg
import pytest
from sqlalchemy import Engine

from seedtest_analytics.assets.kpis import assets as kpis
from tests._database import execute, rows_of, snapshot
from tests.assets._cohort import random_cohort, store_attempts
from tests.assets.kpis.test_assets import ASSETS, LATER, WEEK, compute, materialise, materialise_selection, stored

WEDNESDAY = dt.datetime(2026, 3, 4, 12, tzinfo=dt.UTC)
OF_ATTEMPTS = ("I_t", "E_t", "R_t", "A_t")
COUNT_WRITES = """
CREATE TABLE written (user_id text NOT NULL, operation text NOT NULL);
CREATE FUNCTION note_write() RETURNS trigger LANGUAGE plpgsql AS
'BEGIN INSERT INTO written VALUES (NEW.user_id, TG_OP); RETURN NULL; END';
CREATE TRIGGER note_write AFTER INSERT OR UPDATE ON weekly_kpi FOR EACH ROW EXECUTE FUNCTION note_write();
"""
FORGET_WRITES = "DROP TRIGGER note_write ON weekly_kpi; DROP FUNCTION note_write; DROP TABLE written"


@pytest.fixture
def cohort(database: Engine) -> Engine:
    """A cohort with attempts on both sides of every edge."""
    store_attempts(database, random_cohort(random.Random(11), dt.datetime(2026, 3, 9, tzinfo=dt.UTC), "UTC"))
    return database


@pytest.fixture
def counted(cohort: Engine) -> Iterator[Engine]:
    """A cohort whose row versions are counted by a trigger: the server's statistics arrive late."""
    execute(cohort, COUNT_WRITES)
    yield cohort
    execute(cohort, FORGET_WRITES)


def versions(engine: Engine) -> Counter[str]:
    """Row versions written of each student since the last call."""
    found = Counter(row["user_id"] for row in rows_of(engine, "SELECT user_id FROM written"))
    execute(engine, "TRUNCATE written")
    return found


@pytest.mark.parametrize("as_of", [LATER, WEDNESDAY], ids=["closed", "running"])
def test_a_weeks_kpis_write_a_row_at_most_three_times_and_a_second_run_none(
    counted: Engine, as_of: dt.datetime
) -> None:
    assert materialise(counted, as_of=as_of.isoformat()).success
    first = versions(counted)
    assert set(first) == set(stored(counted))
    assert max(first.values()) <= 3
    assert materialise(counted, as_of=as_of.isoformat()).success
    assert versions(counted) == Counter()


def test_the_four_kpis_of_attempts_write_a_row_once(counted: Engine) -> None:
    compute(counted, names=OF_ATTEMPTS)
    assert set(versions(counted).values()) == {1}
    execute(counted, 'UPDATE weekly_kpi SET kpis = kpis || \'{"I_t_n_recent": 99, "sessions": 99}\'')
    versions(counted)
    compute(counted, names=OF_ATTEMPTS)
    assert set(versions(counted).values()) == {1}


def test_each_of_the_four_counts_the_rows_that_its_own_keys_changed(cohort: Engine) -> None:
    materialise(cohort)
    execute(cohort, "UPDATE weekly_kpi SET kpis = kpis || '{\"I_t_n_recent\": 99}' WHERE user_id = 'kim'")
    execute(cohort, "UPDATE weekly_kpi SET kpis = kpis - 'A_t_reason' || '{\"A_t_n_attempts\": 99}'")
    result = materialise(cohort, OF_ATTEMPTS)
    n_students = len(stored(cohort))
    found = {
        event.asset_key.path[-1]: event.materialization.metadata["rows_updated"].value
        for event in result.get_asset_materialization_events()
    }
    assert found == {"I_t": 1, "E_t": 0, "R_t": 0, "A_t": n_students}


@pytest.mark.parametrize("name", OF_ATTEMPTS)
def test_one_of_the_four_can_be_selected_alone(cohort: Engine, name: str) -> None:
    result = materialise(cohort, (name,))
    assert result.success
    assert [event.asset_key.path for event in result.get_asset_materialization_events()] == [["weekly_kpi", name]]
    checks = {(check.asset_key.path[-1], check.check_name) for check in result.get_asset_check_evaluations()}
    assert checks == {(name, "contract"), (name, "coverage")}
    for keys in stored(cohort).values():
        assert [other for other in ASSETS if keys[other] is not None or f"{other}_reason" in keys] == [name]


def test_a_check_that_is_selected_alone_is_judged_and_nothing_is_written(cohort: Engine) -> None:
    compute(cohort)
    execute(cohort, "UPDATE weekly_kpi SET kpis = kpis || '{\"E_t_n_recent\": 99}'")
    before = snapshot(cohort, "weekly_kpi")
    selection = dg.AssetSelection.checks(dg.AssetCheckKey(dg.AssetKey(["weekly_kpi", "E_t"]), "coverage"))
    result = materialise_selection(
        cohort, selection, [kpis.weekly_kpi_of_attempts.op.name], None, {"dagster/partition": WEEK.isoformat()}
    )
    assert result.success
    (check,) = result.get_asset_check_evaluations()
    assert (check.asset_key.path[-1], check.check_name, check.passed) == ("E_t", "coverage", True)
    assert snapshot(cohort, "weekly_kpi") == before


def test_a_broken_contract_names_its_asset_and_none_of_the_four_is_written(
    cohort: Engine, monkeypatch: pytest.MonkeyPatch
) -> None:
    compute(cohort)
    before = snapshot(cohort, "weekly_kpi")
    broken = (
        "CREATE TEMP TABLE staged_kpi ON COMMIT DROP AS SELECT user_id, '{\"E_t\": 7}'::jsonb AS kpis FROM population"
    )
    monkeypatch.setitem(kpis.STAGES, "E_t", lambda run: run.connection.exec_driver_sql(broken))
    result = materialise(cohort, OF_ATTEMPTS)
    assert not result.success
    (check,) = result.get_asset_check_evaluations()
    assert (check.asset_key.path[-1], check.check_name, check.passed) == ("E_t", "contract", False)
    assert snapshot(cohort, "weekly_kpi") == before


def test_only_the_kpis_that_a_row_of_the_running_week_lacks_are_added(cohort: Engine) -> None:
    """Rows that lack different KPIs are completed together, and no KPI that is there is replaced."""
    compute(cohort, now=WEDNESDAY)
    complete = stored(cohort)
    kim, lee, *_ = sorted(complete)
    mark = "UPDATE weekly_kpi SET kpis = kpis - CAST(:gone AS text[]) || CAST(:mark AS jsonb) WHERE user_id = :user"
    execute(cohort, mark, {"user": kim, "gone": ["E_t", "E_t_reason"], "mark": '{"R_t_n_wrong": 99}'})
    execute(cohort, mark, {"user": lee, "gone": ["R_t", "R_t_reason"], "mark": '{"E_t_n_recent": 99}'})
    compute(cohort, now=WEDNESDAY, names=("I_t",))
    assert stored(cohort) == complete | {
        kim: complete[kim] | {"R_t_n_wrong": 99},
        lee: complete[lee] | {"E_t_n_recent": 99},
    }
