"""Old runs leave a real instance on PostgreSQL, and every partition stays materialised."""

import datetime as dt
from collections.abc import Iterator
from pathlib import Path

import dagster as dg
import pytest
from sqlalchemy import create_engine, text

from seedtest_analytics.dagster_private import delete_superseded_checks
from seedtest_analytics.schedules import run_history
from seedtest_analytics.schedules.run_history import Pruned, prune_run_history, prune_runs, prune_weekly

UTC = dt.UTC
NOW = dt.datetime.now(UTC)
DAYS = dg.DailyPartitionsDefinition("2026-01-01")


@dg.asset(partitions_def=DAYS)
def daily() -> None: ...


@dg.asset
def whole() -> None: ...


@dg.asset
def failing() -> None:
    raise ValueError("always")


@dg.asset_check(asset=daily, partitions_def=DAYS)
def judged() -> dg.AssetCheckResult:
    return dg.AssetCheckResult(passed=True)


@pytest.fixture
def instance(empty_database: str, tmp_path: Path) -> Iterator[dg.DagsterInstance]:
    url = empty_database.replace("+psycopg", "+psycopg2")
    storage = {"storage": {"postgres": {"postgres_url": url}}}
    with dg.instance_for_test(overrides=storage, temp_dir=str(tmp_path)) as made:
        yield made


@pytest.fixture
def old(empty_database: str, instance: dg.DagsterInstance) -> "Ages":
    return Ages(empty_database)


class Ages:
    def __init__(self, url: str) -> None:
        self.engine = create_engine(url)

    def __call__(self, run_id: str, days: int) -> str:
        """Make a run ``days`` old."""
        with self.engine.begin() as connection:
            created = (NOW - dt.timedelta(days=days)).replace(tzinfo=None)
            statement = text("UPDATE runs SET create_timestamp = :created WHERE run_id = :run_id")
            connection.execute(statement, {"created": created, "run_id": run_id})
        return run_id

    def of_results(self, *run_ids: str, days: int) -> None:
        """Make the results of these runs' checks ``days`` old."""
        with self.engine.begin() as connection:
            statement = text("UPDATE asset_check_executions SET create_timestamp = :at WHERE run_id = ANY(:run_ids)")
            at = (NOW - dt.timedelta(days=days)).replace(tzinfo=None)
            connection.execute(statement, {"at": at, "run_ids": list(run_ids)})

    def runs_with_results(self) -> set[str]:
        with self.engine.connect() as connection:
            return set(connection.execute(text("SELECT run_id FROM asset_check_executions")).scalars())


def run(instance: dg.DagsterInstance, asset: dg.AssetsDefinition, partition: str | None = None) -> str:
    result = dg.materialize([asset], instance=instance, partition_key=partition, raise_on_error=False)
    return result.run_id


def prune(instance: dg.DagsterInstance, days: int = 100, is_dry_run: bool = False) -> Pruned:
    log = dg.build_op_context().log
    return prune_runs(instance, NOW - dt.timedelta(days=days), log=log, is_dry_run=is_dry_run)


def runs(instance: dg.DagsterInstance) -> set[str]:
    return set(instance.get_run_ids())


def test_a_run_goes_with_its_events_and_its_output_when_newer_ones_replaced_it(
    instance: dg.DagsterInstance, old: Ages
) -> None:
    replaced = old(run(instance, daily, "2026-01-01"), 200)
    newer = old(run(instance, daily, "2026-01-01"), 150)
    failed = old(run(instance, failing), 150)
    young = run(instance, failing)
    output = Path(instance.compute_log_manager.get_captured_local_path([replaced, "compute_logs", "x"], "out"))
    output.parent.mkdir(parents=True, exist_ok=True)
    output.write_text("printed")
    assert prune(instance) == Pruned(deleted=2, kept=1)
    assert runs(instance) == {newer, young}
    assert not output.exists()
    for gone in (replaced, failed):
        assert instance.get_records_for_run(gone).records == []
    assert prune(instance) == Pruned(deleted=0, kept=1)


def test_no_partition_forgets_that_it_is_materialised(instance: dg.DagsterInstance, old: Ages) -> None:
    for day in ("2026-01-01", "2026-01-02", "2026-01-01"):
        old(run(instance, daily, day), 300)
    for _ in range(2):
        old(run(instance, whole), 300)
    assert prune(instance) == Pruned(deleted=2, kept=3)
    assert instance.get_materialized_partitions(daily.key) == {"2026-01-01", "2026-01-02"}
    assert instance.get_latest_materialization_event(whole.key) is not None


def test_of_the_results_of_checks_the_newest_of_each_partition_stay(instance: dg.DagsterInstance, old: Ages) -> None:
    def judge(day: str) -> str:
        return dg.materialize([daily, judged], instance=instance, partition_key=day).run_id  # type: ignore[list-item]

    superseded = [judge("2026-01-01"), judge("2026-01-01")]
    newest = [judge("2026-01-01"), judge("2026-01-02")]
    old.of_results(*superseded, *newest, days=150)
    young = [judge("2026-01-03"), judge("2026-01-03")]
    before = NOW - dt.timedelta(days=100)
    assert delete_superseded_checks(instance, before, is_dry_run=True) == 2
    assert old.runs_with_results() == {*superseded, *newest, *young}
    assert delete_superseded_checks(instance, before) == 2
    assert old.runs_with_results() == {*newest, *young}


def test_a_run_under_way_stays_however_old(instance: dg.DagsterInstance, old: Ages) -> None:
    stuck = instance.create_run_for_job(dg.Definitions(assets=[whole]).resolve_implicit_global_asset_job_def())
    old(stuck.run_id, 400)
    assert prune(instance) == Pruned(0, 0)
    assert runs(instance) == {stuck.run_id}


def test_a_dry_run_counts_and_deletes_nothing(instance: dg.DagsterInstance, old: Ages) -> None:
    old(run(instance, failing), 150)
    assert prune(instance, is_dry_run=True) == Pruned(deleted=1, kept=0)
    assert len(runs(instance)) == 1


def test_killed_in_the_middle_the_next_run_goes_on(
    instance: dg.DagsterInstance, old: Ages, monkeypatch: pytest.MonkeyPatch
) -> None:
    for _ in range(3):
        old(run(instance, failing), 150)
    calls = []

    def killed(self: dg.DagsterInstance, run_id: str) -> None:
        calls.append(run_id)
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(dg.DagsterInstance, "delete_run", killed)
        with pytest.raises(KeyboardInterrupt):
            prune(instance)
    assert calls[0] in runs(instance)
    assert prune(instance) == Pruned(deleted=3, kept=0)
    assert runs(instance) == set()


def test_the_job_deletes_by_the_setting_and_leaves_its_own_run(
    instance: dg.DagsterInstance, old: Ages, monkeypatch: pytest.MonkeyPatch
) -> None:
    run_150 = old(run(instance, failing), 150)
    assert prune_run_history.execute_in_process(instance=instance).success
    assert run_150 in runs(instance)  # The default is 180 days.
    monkeypatch.setenv("SEEDTEST_RUN_RETENTION_DAYS", "0")
    assert prune_run_history.execute_in_process(instance=instance).success
    assert run_150 in runs(instance)
    monkeypatch.setenv("SEEDTEST_RUN_RETENTION_DAYS", "100")
    last = prune_run_history.execute_in_process(instance=instance)
    assert run_150 not in runs(instance)
    assert last.run_id in runs(instance)


def test_the_schedule_skips_where_every_run_is_kept(monkeypatch: pytest.MonkeyPatch) -> None:
    assert isinstance(prune_weekly(dg.build_schedule_context()), dg.RunRequest)
    monkeypatch.setenv("SEEDTEST_RUN_RETENTION_DAYS", "0")
    assert isinstance(prune_weekly(dg.build_schedule_context()), dg.SkipReason)
    assert [prune_weekly] == run_history.SCHEDULES
