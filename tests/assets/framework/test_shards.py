"""An asset in shards: its steps, what they pass on, and how it goes on after a shard has failed."""

from pathlib import Path

import dagster as dg
import pytest

from seedtest_analytics.assets.framework.sizes import K8S_CONFIG_TAG, SMALL
from tests.assets.framework import _sharded

SHARDS = ["counts.shard_1", "counts.shard_2", "counts.shard_3"]
CONFIG = {"ops": {"counts": {"config": {"students": 11}}}}


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("TEST_FOLDER", str(tmp_path))
    monkeypatch.setenv("SEEDTEST_SHARDS", "3")
    return tmp_path


def ended(result: dg.JobExecutionResult, kind: str = "STEP_SUCCESS") -> list[str | None]:
    return [event.step_key for event in result.all_events if event.event_type_value == kind]


def run(instance: dg.DagsterInstance, **arguments: dg.ReexecutionOptions) -> dg.JobExecutionResult:
    return dg.execute_job(dg.reconstructable(_sharded.job), instance=instance, run_config=CONFIG, **arguments)


@pytest.mark.parametrize("shards", [1, 3])
def test_options_reach_every_shard_and_the_sum_does_not_depend_on_their_number(
    shards: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SEEDTEST_SHARDS", str(shards))
    result = _sharded.job().execute_in_process(run_config=CONFIG)
    steps = [*SHARDS, "counts.publish"] if shards == 3 else ["counts"]
    assert ended(result) == ["before", *steps]
    (event,) = [e.materialization for e in result.get_asset_materialization_events() if e.step_key != "before"]
    assert event.asset_key == dg.AssetKey("weekly_message")
    assert {e.check_name: e.description for e in result.get_asset_check_evaluations()} == {
        "contract": "11 rows keep the contract",
        "counted": "11 of 11",
    }


def test_a_shard_that_failed_goes_on_alone(folder: Path, tmp_path_factory: pytest.TempPathFactory) -> None:
    (folder / "no_shard_2").touch()
    with dg.DagsterInstance.local_temp(str(tmp_path_factory.mktemp("home"))) as instance:
        failed = run(instance)
        assert not failed.success
        assert ended(failed) == ["before", "counts.shard_1", "counts.shard_3"]
        assert ended(failed, "ASSET_MATERIALIZATION") == ["before"]
        (folder / "no_shard_2").unlink()
        again = run(instance, reexecution_options=dg.ReexecutionOptions.from_failure(failed.run_id, instance))
        assert ended(again) == ["counts.shard_2", "counts.publish"]
        checks = {e.check_name: e.description for e in again.get_asset_check_evaluations()}
        assert checks["counted"] == "11 of 11"
    tries = [line.split()[1] for line in (folder / "tries").read_text().splitlines()]
    assert sorted(tries) == ["shard_1", "shard_2", "shard_2", "shard_3"]


def test_shards_wait_for_what_the_asset_needs_and_have_pools_and_sizes(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SEEDTEST_STEP_RESOURCES", '{"counts": {"limits": {"memory": "3Gi"}}}')
    graph = _sharded.total().node_def
    assert isinstance(graph, dg.GraphDefinition)
    ops = {op.name: op for op in graph.node_defs if isinstance(op, dg.OpDefinition)}
    assert {name: op.pool for name, op in ops.items()} == {
        "counts_shard_1": "counting/shard_1",
        "counts_shard_2": "counting/shard_2",
        "counts_shard_3": "counting/shard_3",
        "counts_publish": "counting",
    }
    assert [list(op.ins) for name, op in ops.items() if "shard" in name] == [["before"]] * 3
    sizes = {name: op.tags[K8S_CONFIG_TAG] for name, op in ops.items()}
    assert '"memory": "3Gi"' in sizes["counts_shard_2"]
    assert '"memory": "3Gi"' not in sizes["counts_publish"]
    assert SMALL.memory_limit in sizes["counts_publish"]
