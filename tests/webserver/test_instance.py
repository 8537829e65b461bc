"""Every webserver of the platform's instance is guarded, and `seedtest up` notices one that is not."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path

import dagster as dg
import pytest
import sqlalchemy
import yaml
from dagster_webserver.webserver import DagsterWebserver

from seedtest_analytics.dev_server import DevServer
from seedtest_analytics.instance_home import PROJECT_FOLDER
from seedtest_analytics.settings import SettingsError
from seedtest_analytics.webserver.guard import Guard
from seedtest_analytics.webserver.instance import GuardedInstance

INSTANCE_CLASS = yaml.safe_load((PROJECT_FOLDER / "dagster.yaml").read_text())["instance_class"]


@pytest.fixture(autouse=True)
def unpatched(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("build_middleware", "_make_request_context"):
        monkeypatch.setattr(DagsterWebserver, name, getattr(DagsterWebserver, name))


def guards() -> list[object]:
    return [m.cls for m in DagsterWebserver.build_middleware(DagsterWebserver.__new__(DagsterWebserver))]


def test_the_instance_of_dagster_yaml_puts_the_guard_before_the_webserver() -> None:
    with dg.instance_for_test(overrides={"instance_class": INSTANCE_CLASS}) as instance:
        assert isinstance(instance, GuardedInstance)
        # As it reaches the webserver of `dagster dev`: by its reference.
        with dg.DagsterInstance.from_ref(instance.get_ref()) as passed:
            assert isinstance(passed, GuardedInstance)
            assert Guard not in guards()
            passed.optimize_for_webserver(statement_timeout=1, pool_recycle=1, max_overflow=1)
    assert guards()[0] is Guard


def test_a_wrong_account_ends_the_webserver(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SEEDTEST_UI_AUTH", "ada")
    with (
        dg.instance_for_test(overrides={"instance_class": INSTANCE_CLASS}) as instance,
        pytest.raises(SettingsError, match="SEEDTEST_UI_AUTH"),
    ):
        instance.optimize_for_webserver(statement_timeout=1, pool_recycle=1, max_overflow=1)
    assert Guard not in guards()


@pytest.fixture
def unguarded() -> Iterator[str]:
    """The address of a server that answers to every name."""

    class Answering(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(200)
            self.end_headers()

        def log_message(self, *_: object) -> None:
            pass

    server = HTTPServer(("127.0.0.1", 0), Answering)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield f"http://127.0.0.1:{server.server_port}"
    server.shutdown()
    server.server_close()


def test_an_operators_own_instance_without_the_guard_is_named(unguarded: str, tmp_path: Path) -> None:
    problem = DevServer(tmp_path)._guard_problem(unguarded)
    assert problem == f"has no guard; copy `instance_class` of {PROJECT_FOLDER}/dagster.yaml into that of {tmp_path}"


def storage_in(database_url: str) -> dict[str, object]:
    address = sqlalchemy.make_url(database_url).set(drivername="postgresql+psycopg2")
    return {"postgres": {"postgres_url": address.render_as_string(hide_password=False)}}


END_OTHERS = sqlalchemy.text(
    "SELECT pg_terminate_backend(pid) FROM pg_stat_activity "
    "WHERE datname = current_database() AND pid <> pg_backend_pid()"
)


def test_connections_to_dagsters_storage_are_kept_and_replaced_when_the_server_ends_them(database_url: str) -> None:
    opened: list[object] = []
    overrides = {"instance_class": INSTANCE_CLASS, "storage": storage_in(database_url)}
    with dg.instance_for_test(overrides=overrides) as instance:
        assert isinstance(instance, GuardedInstance)
        (engine,) = instance._engines
        sqlalchemy.event.listen(engine, "connect", lambda connection, _: opened.append(connection))
        for _ in range(20):
            instance.report_runless_asset_event(dg.AssetMaterialization("attempt"))
        assert 1 <= len(opened) <= 2
        with engine.connect() as connection:
            connection.execute(END_OTHERS)
            instance.report_runless_asset_event(dg.AssetMaterialization("attempt"))
        instance.report_runless_asset_event(dg.AssetMaterialization("attempt"))
        assert len(instance.fetch_materializations(dg.AssetKey("attempt"), limit=100).records) == 22


def test_the_webserver_answers_after_the_server_has_ended_its_connections(database_url: str) -> None:
    overrides = {"instance_class": INSTANCE_CLASS, "storage": storage_in(database_url)}
    with dg.instance_for_test(overrides=overrides) as instance:
        instance.optimize_for_webserver(statement_timeout=4321, pool_recycle=3600, max_overflow=20)
        assert instance.get_runs() == []
        other = sqlalchemy.create_engine(database_url)
        with other.connect() as connection:
            ended = connection.execute(END_OTHERS).all()
        other.dispose()
        assert ended
        assert instance.get_runs() == []
        assert instance.all_instigator_state() == []
        assert instance.get_asset_keys() == []
        with instance.run_storage.connect() as connection:  # type: ignore[attr-defined]
            assert connection.execute(sqlalchemy.text("SHOW statement_timeout")).scalar_one() == "4321ms"
