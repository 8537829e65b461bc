"""OpenLineage events: what they say, that they keep the specification, what they leave out, and an address that fails."""

from __future__ import annotations

import json
import socket
import stat
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from typing import Any

import dagster as dg
import pytest
from jsonschema import Draft202012Validator, FormatChecker
from referencing import Registry, Resource
from sqlalchemy import make_url

from seedtest_analytics.build import build_definitions
from seedtest_analytics.database.address import normalised_url
from seedtest_analytics.schedules import open_lineage
from seedtest_analytics.schedules.lineage_events import Database, materialisations
from seedtest_analytics.schedules.open_lineage import lineage_sensor
from seedtest_analytics.settings import SettingsError, load_settings

SECRETS = ("hunter2", "hunter3", "alice", "sk-lineage", "verify-full")
HOSTILE_URL = "postgresql://alice:p%40ss%2Fhunter2%3F@db.example.com:6543/learning?sslmode=verify-full&password=hunter3"
ROW = "student-4711"
DATABASE = "postgres://db.example.com:6543"
SCHEMAS = Path(__file__).parent / "openlineage"


class Collector:
    """A local server that keeps what is posted to it and answers with the next status."""

    def __init__(self, *statuses: int) -> None:
        self.received: list[tuple[str | None, dict[str, Any]]] = []
        answers = [*statuses]
        received = self.received

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                event = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
                status = answers.pop(0) if answers else 201
                if status < 300:
                    received.append((self.headers["Authorization"], event))
                self.send_response(status)
                self.end_headers()

            def log_message(self, *_: object) -> None:
                return

        self.server = HTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self.server.server_port}/api/v1/lineage?token=hunter2"
        self.thread = threading.Thread(target=self.server.serve_forever)

    @property
    def events(self) -> list[dict[str, Any]]:
        return [event for _, event in self.received]

    def __enter__(self) -> Collector:
        self.thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.server.shutdown()
        self.thread.join()
        self.server.server_close()


@pytest.fixture(scope="module")
def repository() -> dg.RepositoryDefinition:
    return build_definitions().get_repository_def()


@pytest.fixture
def instance(monkeypatch: pytest.MonkeyPatch) -> Iterator[dg.DagsterInstance]:
    monkeypatch.setenv("DATABASE_URL", HOSTILE_URL)
    monkeypatch.setenv("SEEDTEST_OPENLINEAGE_API_KEY", "sk-lineage")
    with dg.DagsterInstance.ephemeral() as made:
        yield made


@dg.asset(key="attempt")
def attempt() -> dg.MaterializeResult[Any]:
    return dg.MaterializeResult(metadata={"seen": ROW})


@dg.asset(key="mirt_ability", deps=[attempt], partitions_def=dg.WeeklyPartitionsDefinition("2026-02-02", day_offset=1))
def mirt_ability() -> None:
    raise dg.Failure(f"the row of {ROW} is wrong, and the password is hunter2")


@dg.asset(key="ability_window", deps=[mirt_ability])
def never_started() -> None:
    return


@dg.multi_asset(specs=[dg.AssetSpec("weekly_message", skippable=True)])
def dry_run() -> Iterator[Any]:
    yield from ()


def run(instance: dg.DagsterInstance, *assets: Any, partition: str | None = None) -> dg.DagsterRun:
    result = dg.materialize([*assets], instance=instance, raise_on_error=False, partition_key=partition)
    return result.dagster_run


def look(
    instance: dg.DagsterInstance, repository: dg.RepositoryDefinition, url: str, cursor: str = '{"until": 1.0}'
) -> tuple[str, str]:
    """What one look says, and the cursor that it leaves."""
    with pytest.MonkeyPatch.context() as environment:
        environment.setenv("SEEDTEST_OPENLINEAGE_URL", url)
        context = dg.build_sensor_context(instance=instance, repository_def=repository, cursor=cursor)
        found = lineage_sensor(context)
    assert isinstance(found, dg.SensorResult)
    assert isinstance(found.skip_reason, dg.SkipReason)
    return str(found.skip_reason.skip_message), str(found.cursor)


@pytest.fixture
def events(instance: dg.DagsterInstance, repository: dg.RepositoryDefinition) -> list[dict[str, Any]]:
    run(instance, attempt)
    run(instance, attempt, mirt_ability, never_started, partition="2026-03-02")
    run(instance, dry_run)
    with Collector() as collector:
        message, _ = look(instance, repository, collector.url)
    assert message == "events of 3 of 3 runs were sent"
    assert {key for key, _ in collector.received} == {"Bearer sk-lineage"}
    return collector.events


def test_every_asset_whose_step_began_has_a_start_and_an_end(events: list[dict[str, Any]]) -> None:
    assert [(event["eventType"], event["job"]["name"]) for event in events] == [
        ("START", "attempt"),
        ("COMPLETE", "attempt"),
        ("START", "attempt"),
        ("COMPLETE", "attempt"),
        ("START", "mirt_ability"),
        ("FAIL", "mirt_ability"),
    ]
    ids = [event["run"]["runId"] for event in events]
    assert ids[::2] == ids[1::2]
    assert len(set(ids)) == 3
    assert [event["eventTime"] for event in events] == sorted(event["eventTime"] for event in events)


def test_an_event_names_tables_columns_and_their_origins(events: list[dict[str, Any]]) -> None:
    failed = events[-1]
    assert {(d["namespace"], d["name"]) for d in failed["outputs"]} == {(DATABASE, "learning.public.mirt_ability")}
    assert (DATABASE, "learning.public.attempt") in {(d["namespace"], d["name"]) for d in failed["inputs"]}
    (output,) = failed["outputs"]
    assert {"name": "theta", "type": "double precision", "description": "Ability, by method. [logit]"} in output[
        "facets"
    ]["schema"]["fields"]
    origins = output["facets"]["columnLineage"]["fields"]["theta"]["inputFields"]
    assert {"namespace": DATABASE, "name": "learning.public.attempt", "field": "correct"} in origins
    assert failed["run"]["facets"]["nominalTime"]["nominalStartTime"] == "2026-03-02T00:00:00+00:00"
    assert failed["run"]["facets"]["parent"]["run"]["runId"] != failed["run"]["runId"]


def validator(schema: dict[str, Any]) -> Draft202012Validator:
    resources = [json.loads(path.read_text(encoding="utf-8")) for path in SCHEMAS.glob("*.json")]
    registry = Registry().with_resources([(one["$id"], Resource.from_contents(one)) for one in resources])
    return Draft202012Validator(schema, registry=registry, format_checker=FormatChecker())


def facets_of(event: dict[str, Any]) -> Iterator[dict[str, Any]]:
    for part in (event["run"], event["job"], *event["inputs"], *event["outputs"]):
        yield from part["facets"].values()


def test_events_and_facets_keep_the_specification(events: list[dict[str, Any]]) -> None:
    kinds = set()
    for event in events:
        validator({"$ref": event["schemaURL"]}).validate(event)
        for facet in facets_of(event):
            validator({"$ref": facet["_schemaURL"]}).validate(facet)
            kinds.add(facet["_schemaURL"].rpartition("/")[2])
    assert kinds == {path.stem for path in SCHEMAS.glob("*Facet.json")}


def test_an_event_has_no_secret_and_nothing_of_a_row(events: list[dict[str, Any]]) -> None:
    text = json.dumps(events)
    assert [secret for secret in (*SECRETS, ROW) if secret in text] == []


@pytest.mark.parametrize(
    ("url", "schema", "namespace", "prefix"),
    [
        ("postgresql://u:p@h/d", None, "postgres://h:5432", "d.public"),
        ("postgresql://u:p@one:5433,two:5434/d", "learning", "postgres://one:5433", "d.learning"),
        ("postgresql:///d?host=/run/postgresql&password=hunter2", None, "postgres://localhost:5432", "d.public"),
        ("postgresql://u:p@[::1]:5433/d", None, "postgres://[::1]:5433", "d.public"),
    ],
)
def test_a_database_is_named_by_place_and_schema(url: str, schema: str | None, namespace: str, prefix: str) -> None:
    assert Database.of(make_url(normalised_url(url)), schema) == Database(namespace, prefix)


def test_a_run_is_sent_once(instance: dg.DagsterInstance, repository: dg.RepositoryDefinition) -> None:
    run(instance, attempt)
    with Collector() as collector:
        _, cursor = look(instance, repository, collector.url)
        message, cursor = look(instance, repository, collector.url, cursor)
        assert message == "events of 0 of 0 runs were sent"
        run(instance, attempt)
        look(instance, repository, collector.url, cursor)
    assert len(collector.events) == 4


def test_an_address_that_fails_gets_the_events_later(
    instance: dg.DagsterInstance, repository: dg.RepositoryDefinition
) -> None:
    runs = [run(instance, attempt) for _ in range(2)]
    with Collector(201, 201, 503) as collector:
        message, cursor = look(instance, repository, collector.url)
        assert message == "events of 1 of 2 runs were sent; the next look tries again: status 503"
        look(instance, repository, collector.url, cursor)
    parents = [event["run"]["facets"]["parent"]["run"]["runId"] for event in collector.events]
    assert parents == [run.run_id for run in runs for _ in range(2)]


def test_an_event_that_is_refused_does_not_stop_the_others(
    instance: dg.DagsterInstance, repository: dg.RepositoryDefinition, caplog: pytest.LogCaptureFixture
) -> None:
    run(instance, attempt)
    with Collector(422) as collector:
        message, _ = look(instance, repository, collector.url)
    assert message == "events of 1 of 1 runs were sent"
    assert [event["eventType"] for event in collector.events] == ["COMPLETE"]
    assert "an event of attempt was refused with status 422" in caplog.text
    assert [secret for secret in SECRETS if secret in caplog.text] == []


def test_a_server_that_hangs_ends_the_look_and_harms_no_run(
    instance: dg.DagsterInstance, repository: dg.RepositoryDefinition, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(open_lineage, "TIMEOUT_SECONDS", 0.2)
    with socket.create_server(("127.0.0.1", 0)) as silent:
        url = f"http://127.0.0.1:{silent.getsockname()[1]}/hunter2"
        monkeypatch.setenv("SEEDTEST_OPENLINEAGE_URL", url)
        done = [run(instance, attempt) for _ in range(3)]
        message, cursor = look(instance, repository, url)
    assert [one.status for one in done] == [dg.DagsterRunStatus.SUCCESS] * 3
    assert message == "events of 0 of 3 runs were sent; the next look tries again: ReadTimeout"
    with Collector() as collector:
        look(instance, repository, collector.url, cursor)
    assert len(collector.events) == 6


def test_a_look_ends_at_its_time(
    instance: dg.DagsterInstance, repository: dg.RepositoryDefinition, monkeypatch: pytest.MonkeyPatch
) -> None:
    for _ in range(2):
        run(instance, attempt)
    monkeypatch.setattr(open_lineage, "LOOK_SECONDS", -1.0)
    with Collector() as collector:
        message, _ = look(instance, repository, collector.url)
    assert message == "events of 0 of 2 runs were sent"


def test_a_file_gets_one_event_a_line_and_is_private(
    instance: dg.DagsterInstance, repository: dg.RepositoryDefinition, tmp_path: Path
) -> None:
    run(instance, attempt)
    target = tmp_path / "events.jsonl"
    look(instance, repository, str(target))
    assert [json.loads(line)["eventType"] for line in target.read_text().splitlines()] == ["START", "COMPLETE"]
    assert stat.S_IMODE(target.stat().st_mode) == 0o600
    message, _ = look(instance, repository, str(tmp_path / "none" / "events.jsonl"))
    assert message.endswith("the file could not be written: No such file or directory")


@pytest.mark.parametrize(("status", "state"), [("CANCELED", "ABORT"), ("FAILURE", "FAIL")])
def test_an_asset_ends_as_its_run_did(instance: dg.DagsterInstance, status: str, state: str) -> None:
    """Its step began and did not end, as after a kill."""
    ended = run(instance, dry_run).with_status(dg.DagsterRunStatus[status])
    (found,) = materialisations(instance, ended, ended_at=2e9)
    assert (found.asset.to_user_string(), found.state, found.ended_at) == ("weekly_message", state, 2e9)


def test_the_sensor_is_there_where_the_setting_is_on(
    monkeypatch: pytest.MonkeyPatch, repository: dg.RepositoryDefinition
) -> None:
    assert not repository.has_sensor_def("lineage_sensor")
    monkeypatch.setenv("SEEDTEST_OPENLINEAGE_URL", "https://lineage.example.com/api/v1/lineage")
    assert build_definitions().get_repository_def().has_sensor_def("lineage_sensor")


@pytest.mark.parametrize("url", ["http://lineage.example.com/x", "events.jsonl", "ftp://localhost/x"])
def test_an_address_without_encryption_is_refused(url: str) -> None:
    with pytest.raises(SettingsError, match="SEEDTEST_OPENLINEAGE_URL") as error:
        load_settings({"SEEDTEST_OPENLINEAGE_URL": url})
    assert url not in str(error.value)
