"""What a run may be configured with: nobody who launches one chooses code, a server, a folder or a secret."""

from collections.abc import Iterator
from typing import Any, ClassVar

import dagster as dg
import pytest

from seedtest_analytics.assets.framework.options import overrides
from seedtest_analytics.build import build_definitions
from seedtest_analytics.resources.fixed import FixedResource
from seedtest_analytics.resources.no_values import NoValues
from seedtest_analytics.settings import CalibrationSettings, SettingsError, load_settings

SECRET = "hunter2-in-the-url"

REPLACED = [
    {"quarto": {"config": {"template_dir": "/tmp/theirs"}}},
    {"postgres": {"config": {"url_override": "postgresql://theirs/x"}}},
    {"postgres": {"config": {"url": "postgresql://theirs/x"}}},
    {"object_store": {"config": {"folder_override": "/tmp/theirs"}}},
    {"object_store": {"config": {"folder": "/tmp/theirs"}}},
    {"stan": {"config": {"cache_dir": "/tmp/theirs"}}},
    {"r": {"config": {"memory_limit_mb": 1}}},
    {"io_manager": {"config": {"base_dir": "/tmp/theirs"}}},
]


@pytest.fixture(scope="module")
def jobs() -> list[dg.JobDefinition]:
    return list(build_definitions().get_repository_def().get_all_jobs())


def types_below(kind: Any, path: tuple[str, ...] = ()) -> Iterator[tuple[tuple[str, ...], Any]]:
    """Every type of a configuration schema with its path."""
    yield path, kind
    for name, field in (getattr(kind, "fields", None) or {}).items():
        yield from types_below(field.config_type, (*path, name))
    for name in ("inner_type", "scalar_type", "non_scalar_type"):
        if getattr(kind, name, None) is not None:
            yield from types_below(getattr(kind, name), path)


def test_no_resource_has_a_field_in_any_jobs_run_configuration(jobs: list[dg.JobDefinition]) -> None:
    assert len(jobs) > 10
    found = {path for job in jobs for path, _ in types_below(job.run_config_schema.config_type)}
    assert ("resources", "postgres", "config") in found
    assert {path for path in found if path[0:1] == ("resources",) and len(path) > 3} == set()


@pytest.mark.parametrize("executor", ["in_process", "multiprocess", "k8s"])
def test_a_run_chooses_no_process_and_no_pod(executor: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Beside its options, a run sets the level and the name of the log and nothing else."""
    monkeypatch.setenv("SEEDTEST_EXECUTOR", executor)
    for job in build_definitions().get_repository_def().get_all_jobs():
        found = {path for path, _ in types_below(job.run_config_schema.config_type)}
        others = {path for path in found if path[:1] not in ((), ("ops",), ("resources",))}
        assert {path for path in others if len(path) > 2} <= {
            ("loggers", "console", "config"),
            ("loggers", "console", "config", "log_level"),
            ("loggers", "console", "config", "name"),
        }


def test_no_option_reads_the_environment(jobs: list[dg.JobDefinition]) -> None:
    """Dagster offers `{env: NAME}` for texts, numbers and flags; then a run shows any variable of the process."""
    found = {path for job in jobs for path, _ in types_below(job.run_config_schema.config_type)}
    assert {path for path in found if path[-1:] == ("env",)} == set()


@pytest.mark.parametrize("resources", REPLACED, ids=str)
def test_a_run_that_replaces_a_resource_is_refused(jobs: list[dg.JobDefinition], resources: dict[str, Any]) -> None:
    job = next(job for job in jobs if job.name == "sync_attempts")
    dg.validate_run_config(job, {"resources": {}})
    with pytest.raises(dg.DagsterInvalidConfigError, match="Received unexpected config entr"):
        dg.validate_run_config(job, {"resources": resources})


@pytest.mark.parametrize("option", ["model", "topic_id", "lookback_days", "max_observations", "backend", "dry_run"])
def test_a_run_cannot_show_a_variable_of_the_process(option: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """On the old code the run's error quotes the value of DATABASE_URL."""
    monkeypatch.setenv("DATABASE_URL", f"postgresql://seedtest:{SECRET}@db/seedtest")

    @overrides(CalibrationSettings)
    class Options(dg.Config):
        dry_run: bool | None = None

    @dg.asset
    def fit(config: Options) -> None:
        load_settings().overridden("calibration", config.model_dump())

    instance = dg.DagsterInstance.ephemeral()
    config = {"ops": {"fit": {"config": {option: {"env": "DATABASE_URL"}}}}}
    with pytest.raises((dg.DagsterInvalidConfigError, SettingsError)) as caught:
        dg.materialize([fit], instance=instance, run_config=config)
    told = str(caught.value) + "".join(str(run) + str(instance.all_logs(run.run_id)) for run in instance.get_runs())
    assert SECRET not in told
    assert isinstance(caught.value, dg.DagsterInvalidConfigError)


def test_a_resource_for_tests_is_an_object() -> None:
    class Clock(FixedResource):
        zone: ClassVar[str] = "UTC"

    assert (Clock.having(zone="Asia/Seoul").zone, Clock().zone) == ("Asia/Seoul", "UTC")
    with pytest.raises(AttributeError, match="zone_override"):
        Clock.having(zone_override="Asia/Seoul")


def test_a_value_between_steps_is_refused() -> None:
    @dg.op
    def gives() -> int:
        return 1

    @dg.op
    def takes(given: int) -> None:
        pass

    @dg.job(resource_defs={"io_manager": NoValues()})
    def passing() -> None:
        takes(gives())

    with pytest.raises(TypeError, match="gives returns a value; publish it in a table"):
        passing.execute_in_process()
