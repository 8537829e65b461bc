"""Every asset says what it is: a missing declaration fails here and not in the UI."""

import inspect
import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import dagster as dg
import pytest

from seedtest_analytics.build import build_definitions
from seedtest_analytics.partitions import DAILY, WEEKLY, PlatformSettings, daily_partitions, weekly_partitions
from seedtest_analytics.tables import contract_of, table_named

DEFINITIONS = build_definitions()
GRAPH = DEFINITIONS.resolve_asset_graph()
MATERIALISABLE = sorted(GRAPH.materializable_asset_keys, key=str)
EXTERNAL = sorted(GRAPH.get_all_asset_keys() - GRAPH.materializable_asset_keys, key=str)
GROUPS = {
    "sources",
    "attempts",
    "psychometrics",
    "features",
    "growth",
    "health",
    "churn",
    "forecasts",
    "segments",
    "kpis",
    "reports",
    "backtest",
    "drift",
    "messages",
}
HEAVY = (
    "prophet",
    "sklearn",
    "lifelines",
    "rpy2",
    "cmdstanpy",
    "matplotlib",
    "numba",
    "httpstan",
    "scipy",
    "numpy",
    "pandas",
    "pyarrow",
    "plotly",
    "boto3",
    "botocore",
    "kubernetes",
    "dagster_aws",
    "dagster_k8s",
    "alembic",
    "nbclient",
    "nbformat",
    "jupytext",
    "pypandoc",
    "IPython",
    "rich",
    "typer",
)


def each(keys: list[dg.AssetKey]) -> Any:
    return pytest.mark.parametrize("key", keys, ids=lambda key: key.to_user_string())


def definition_of(key: dg.AssetKey) -> dg.AssetsDefinition:
    return DEFINITIONS.resolve_assets_def(key)


def spec_of(key: dg.AssetKey) -> dg.AssetSpec:
    return definition_of(key).get_asset_spec(key)


def test_the_first_slice_is_there() -> None:
    names = {key.to_user_string() for key in GRAPH.get_all_asset_keys()}
    assert names >= {
        "exam_results",
        "question",
        "interest_goal",
        "attempt",
        "attempt_quarantine",
        "mirt_item_params",
        "mirt_ability",
        "mirt_fit_meta",
        "student_topic_theta",
        "features_topic_daily",
        "weekly_kpi/I_t",
        "weekly_kpi/E_t",
        "weekly_kpi/R_t",
        "weekly_kpi/A_t",
        "weekly_kpi/P",
        "weekly_kpi/S",
    }


def test_every_dependency_is_an_asset_of_the_graph() -> None:
    """A mistyped dependency would stand in the graph as an asset without group and description."""
    for key in GRAPH.get_all_asset_keys():
        node = GRAPH.get(key)
        assert node.description, key
        assert node.group_name in GROUPS, key
    assert {key.to_user_string() for key in EXTERNAL} <= {"exam_results", "question", "interest_goal", "session"}


@each([*MATERIALISABLE, *EXTERNAL])
def test_an_asset_has_group_owner_kinds_tags_and_description(key: dg.AssetKey) -> None:
    spec = spec_of(key)
    assert spec.group_name in GROUPS
    assert spec.owners
    assert spec.kinds
    assert len(spec.kinds) <= 3, "the UI shows no more"
    assert {"domain", "grain", "pii"} <= set(spec.tags)
    assert spec.tags["pii"] in ("none", "pseudonymous", "free_text")
    assert spec.description


@each(MATERIALISABLE)
def test_a_step_has_version_pool_retry_and_code_reference(key: dg.AssetKey) -> None:
    assert spec_of(key).code_version
    assert spec_of(key).freshness_policy is not None
    op = definition_of(key).op
    assert op.pool
    assert op.retry_policy is not None
    assert op.retry_policy.max_retries > 0
    (reference,) = spec_of(key).metadata["dagster/code_references"].code_references
    body = inspect.unwrap(op.compute_fn.decorated_fn)
    assert Path(reference.file_path) == Path(inspect.getsourcefile(body) or "")
    assert reference.line_number == body.__code__.co_firstlineno


@each(MATERIALISABLE)
def test_an_asset_has_a_blocking_contract_check_of_its_partitions(key: dg.AssetKey) -> None:
    checks = {check.name: check for check in definition_of(key).check_specs if check.asset_key == key}
    assert checks["contract"].blocking
    for check in checks.values():
        assert check.description
        assert check.partitions_def == definition_of(key).partitions_def


@each([*MATERIALISABLE, *EXTERNAL])
def test_an_asset_shows_its_table_with_every_column_described(key: dg.AssetKey) -> None:
    metadata = spec_of(key).metadata
    table = table_named(metadata["dagster/table_name"])
    schema = metadata["dagster/column_schema"]
    assert [column.name for column in schema.columns] == [column.name for column in table.columns]
    assert all(column.description for column in schema.columns)


@each(MATERIALISABLE)
def test_column_lineage_names_assets_and_columns_that_exist(key: dg.AssetKey) -> None:
    table = table_named(spec_of(key).metadata["dagster/table_name"])
    origins = [origin for column in table.columns for origin in contract_of(column).derived_from]
    assert origins or not spec_of(key).deps  # The health of assets is read from Dagster's storage.
    known = {asset.path[0] for asset in GRAPH.get_all_asset_keys()}
    known |= {spec_of(asset).metadata["dagster/table_name"] for asset in MATERIALISABLE}
    for origin in origins:
        origin_table, origin_column = origin.split(".")
        assert origin_table in known, origin
        assert origin_column in table_named(origin_table).columns, origin


@each(MATERIALISABLE)
def test_a_partitioned_asset_takes_a_range_in_one_run(key: dg.AssetKey) -> None:
    definition = definition_of(key)
    if definition.partitions_def is not None:
        assert definition.backfill_policy == dg.BackfillPolicy.single_run()


def test_owner_and_tags_are_valid_for_dagster() -> None:
    dg.Definitions.validate_loadable(DEFINITIONS)


# ---- partitions ----


def upstream_of(downstream: str, upstream: str, partition: str) -> list[str]:
    definition = definition_of(dg.AssetKey.from_user_string(downstream))
    key = dg.AssetKey.from_user_string(upstream)
    mapping = definition.get_partition_mapping(key) or dg.TimeWindowPartitionMapping()
    downstream_partitions, upstream_partitions = definition.partitions_def, definition_of(key).partitions_def
    assert downstream_partitions is not None
    assert upstream_partitions is not None
    subset = downstream_partitions.subset_with_partition_keys([partition])
    result = mapping.get_upstream_mapped_partitions_result_for_partitions(
        subset, downstream_partitions, upstream_partitions
    )
    return sorted(result.partitions_subset.get_partition_keys())


@pytest.mark.parametrize(
    ("day", "weeks"),
    [
        ("2026-03-02", ["2026-02-23"]),
        ("2026-03-04", ["2026-02-23"]),
        ("2026-03-07", ["2026-02-23"]),
        ("2026-03-08", ["2026-03-02"]),
        ("2026-03-09", ["2026-03-02"]),
    ],
)
def test_a_day_reads_the_ability_of_the_last_week_closed_at_its_end(day: str, weeks: list[str]) -> None:
    assert upstream_of("features_topic_daily", "mirt_ability", day) == weeks


@pytest.mark.parametrize("name", ["I_t", "P"])
def test_a_weeks_kpi_reads_the_same_week(name: str) -> None:
    upstream = {"I_t": "ability_window", "P": "ability_state"}[name]
    assert upstream_of(f"weekly_kpi/{name}", upstream, "2026-03-02") == ["2026-03-02"]


def test_p_reads_what_past_weeks_came_to() -> None:
    weeks = upstream_of("weekly_kpi/P", "mirt_ability", "2026-11-30")
    assert (len(weeks), weeks[0], weeks[-1]) == (27, "2026-06-01", "2026-11-30")
    assert upstream_of("prediction_verdict", "weekly_kpi/P", "2026-11-30") == weeks


def test_the_first_days_have_no_week_to_read_and_can_be_computed() -> None:
    first = DAILY.get_first_partition_key()
    assert first == WEEKLY.get_first_partition_key()
    assert first is not None
    assert upstream_of("features_topic_daily", "mirt_ability", first) == []


@pytest.mark.parametrize("zone", ["UTC", "Asia/Seoul", "America/New_York"])
def test_weeks_begin_on_monday_at_local_midnight(zone: str) -> None:
    platform = PlatformSettings().overridden_by({"timezone": zone, "start_date": "2026-01-01"})
    weekly, daily = weekly_partitions(platform), daily_partitions(platform)
    assert weekly.get_first_partition_key() == daily.get_first_partition_key() == "2025-12-29"
    for key in weekly.get_partition_keys()[:20]:
        window = weekly.time_window_for_partition_key(key)
        assert (window.start.isoweekday(), window.end.isoweekday()) == (1, 1)
        assert (window.start.hour, window.end.hour) == (0, 0)
        assert window.start.date().isoformat() == key
        assert str(window.start.tzinfo) == zone


# ---- jobs, schedules, sensors ----


def test_every_job_schedule_and_sensor_is_described() -> None:
    repository = DEFINITIONS.get_repository_def()
    for made in (*repository.schedule_defs, *repository.sensor_defs):
        assert made.description, made.name
    for job in repository.get_all_jobs():
        if not job.name.startswith("__"):
            assert job.description, job.name


def test_the_sources_are_looked_at_every_day() -> None:
    (schedule,) = (s for s in DEFINITIONS.get_repository_def().schedule_defs if s.name.startswith("observe"))
    steps = {node.name for node in DEFINITIONS.resolve_job_def(schedule.job_name).nodes}
    assert steps == {"observe_sources", "exam_results_fresh"}
    assert schedule.default_status == dg.DefaultScheduleStatus.RUNNING


# ---- loading ----

LOADER = """
import builtins, json, socket, sys, time

def refuse(*_, **__):
    raise AssertionError("loading the definitions opened a socket")

socket.socket.connect = refuse
socket.create_connection = refuse
import psycopg, psycopg2
psycopg.connect = psycopg.Connection.connect = psycopg2.connect = refuse
before = set(sys.modules)
from seedtest_analytics.definitions import defs
defs.resolve_asset_graph()
print(json.dumps(sorted(sys.modules)))
"""


@pytest.fixture(scope="module")
def loaded_modules() -> set[str]:
    """Modules of a process that has loaded the code location and refuses every connection."""
    environment = {
        "PATH": "/usr/bin:/bin",
        "DATABASE_URL": "postgresql://nobody:x@203.0.113.1/none",
        "HOME": "/nonexistent",
    }
    done = subprocess.run(
        [sys.executable, "-W", "ignore", "-c", LOADER], env=environment, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr[-2000:]
    return set(json.loads(done.stdout.splitlines()[-1]))


@pytest.mark.parametrize("module", HEAVY)
def test_loading_imports_nothing_heavy_and_connects_to_nothing(loaded_modules: set[str], module: str) -> None:
    assert module not in loaded_modules
