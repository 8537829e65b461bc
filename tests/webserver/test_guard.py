"""The guard before Dagster's own webserver: what a foreign page, a foreign name, a link or a stranger may do."""

from __future__ import annotations

import base64
from collections.abc import Callable, Iterator
from typing import Any

import dagster as dg
import pytest
from starlette.middleware import Middleware
from starlette.testclient import TestClient
from starlette.websockets import WebSocketDisconnect

from seedtest_analytics import dagster_private
from seedtest_analytics.settings import SettingsError, UiSettings, load_settings
from seedtest_analytics.webserver.guard import HEADERS, Guard, is_read_only

DELETE = 'mutation { deletePipelineRun(runId: "%s") { __typename } }'
WRITES = [
    DELETE,
    "mutation { setAutoMaterializePaused(paused: true) }",
    'mutation { freeConcurrencySlots(runId: "x") }',
    'mutation { setConcurrencyLimit(concurrencyKey: "postgres_write", limit: 0) }',
    'mutation { wipeAssets(assetPartitionRanges: [{assetKey: {path: ["attempt"]}}]) { __typename } }',
    'mutation { terminateRuns(runIds: ["%s"]) { ... on TerminateRunsResult { terminateRunResults {'
    " __typename ... on TerminateRunFailure { message } } } } }",
]
EDITOR, READER, PROXY = (
    ("ada", "analytical-engine"),
    ("grace", "first-compiler-1952"),
    ("ada@school", "shared-with-proxy"),
)
ACCOUNTS = {"SEEDTEST_UI_AUTH": ":".join(EDITOR), "SEEDTEST_UI_AUTH_READ_ONLY": ":".join(READER)}

NewClient = Callable[..., TestClient]


@pytest.fixture(scope="module")
def workspace() -> Iterator[Any]:
    with dg.instance_for_test() as instance, dagster_private.empty_workspace(instance) as context:
        yield context


@pytest.fixture
def webserver(workspace: Any, monkeypatch: pytest.MonkeyPatch) -> NewClient:
    """Makes Dagster's webserver over an instance without runs, guarded with the settings of an environment."""
    from dagster_webserver.webserver import DagsterWebserver

    for run in workspace.instance.get_runs():
        workspace.instance.delete_run(run.run_id)
    for name in ("build_middleware", "_make_request_context"):
        monkeypatch.setattr(DagsterWebserver, name, getattr(DagsterWebserver, name))

    def make(**environment: str) -> TestClient:
        settings = load_settings(environment).ui
        dagster_private.put_before_webserver(
            Middleware(Guard, settings=settings), is_read_only=lambda c: is_read_only(c, settings)
        )
        client = TestClient(DagsterWebserver(workspace).create_asgi_app(), base_url="http://localhost:3000")
        client.instance = workspace.instance  # type: ignore[attr-defined]
        return client

    return make


def post(client: TestClient, query: str, **headers: str) -> Any:
    return client.post("/graphql", json={"query": query}, headers=headers)


def with_run(client: TestClient) -> str:
    """The id of a run that hostile requests try to delete."""
    return client.instance.add_run(dg.DagsterRun(job_name="victim")).run_id  # type: ignore[attr-defined]


def runs(client: TestClient) -> list[str]:
    return [run.run_id for run in client.instance.get_runs()]  # type: ignore[attr-defined]


def basic(account: tuple[str, str]) -> dict[str, str]:
    return {"Authorization": "Basic " + base64.b64encode(":".join(account).encode()).decode()}


def test_the_uis_own_page_reads_and_writes(webserver: NewClient) -> None:
    client = webserver()
    run = with_run(client)
    assert post(client, "{ version }").json()["data"]["version"]
    assert client.get("/graphql", params={"query": "{ version }"}).status_code == 200
    assert client.get("/").text.startswith("<!DOCTYPE html>")
    deleted = post(client, DELETE % run, Origin="http://localhost:3000", **{"Sec-Fetch-Site": "same-origin"})
    assert (deleted.status_code, runs(client)) == (200, [])


@pytest.mark.parametrize("method", ["GET", "POST", "HEAD"])
@pytest.mark.parametrize(
    "query",
    [DELETE, "query a { version } " + DELETE, "subscription { a } " + DELETE, "# {\n" + DELETE, "\ufeff" + DELETE],
)
def test_an_address_changes_nothing(webserver: NewClient, method: str, query: str) -> None:
    """An image in a page, or a form without JSON, sends an address."""
    client = webserver()
    run = with_run(client)
    for names in ({}, {"operationName": ""}, {"query ": "{ version }"}):
        answer = client.request(method, "/graphql", params={"query": query % run, **names})
        assert answer.status_code == 405
    assert runs(client) == [run]


def test_the_last_of_several_queries_counts(webserver: NewClient) -> None:
    client = webserver()
    run = with_run(client)
    for queries in (["{ version }", DELETE % run], [DELETE % run, "{ version }"]):
        assert client.get("/graphql", params={"query": queries}).status_code == 405
    assert runs(client) == [run]


@pytest.mark.parametrize(
    "origin",
    [
        "http://evil.example", "https://evil.example:3000", "null", "http://localhost:8080", "http://localhost",
        "http://127.0.0.1:3000", "http://localhost:3000.evil.example", "http://localhost:3000@evil.example",
        "file://", "http://[", "http://evil.example:99999999", "",
    ],
)  # fmt: skip
def test_a_page_of_another_origin_is_refused(webserver: NewClient, origin: str) -> None:
    client = webserver()
    run = with_run(client)
    assert post(client, DELETE % run, Origin=origin).status_code == 403
    assert client.get("/graphql", params={"query": "{ version }"}, headers={"Origin": origin}).status_code == 403
    with (
        pytest.raises(WebSocketDisconnect),
        client.websocket_connect("/graphql", subprotocols=["graphql-ws"], headers={"Origin": origin}),
    ):
        pass
    assert runs(client) == [run]


def test_the_uis_own_page_opens_a_websocket(webserver: NewClient) -> None:
    client = webserver()
    # The client of the test names itself testserver in websockets.
    own = {"Host": "localhost:3000", "Origin": "http://localhost:3000"}
    with client.websocket_connect("/graphql", subprotocols=["graphql-ws"], headers=own) as socket:
        socket.send_json({"type": "connection_init"})
        assert socket.receive_json() == {"type": "connection_ack"}


@pytest.mark.parametrize(
    "host",
    ["evil.example", "evil.example:3000", "localhost.evil.example", "127.0.0.1.evil.example", "", "0.0.0.0:3000"],
)
def test_a_name_that_is_made_to_point_here_is_refused(webserver: NewClient, host: str) -> None:
    """DNS rebinding: to the browser, Origin and Host are the same."""
    client = webserver()
    run = with_run(client)
    foreign = {"Host": host, "Origin": f"http://{host}"}
    assert post(client, "{ version }", Host=host).status_code == 403
    assert post(client, DELETE % run, **foreign).status_code == 403
    assert client.get("/", headers={"Host": host}).status_code == 403
    with pytest.raises(WebSocketDisconnect), client.websocket_connect("/graphql", headers=foreign):
        pass
    assert runs(client) == [run]


@pytest.mark.parametrize(
    "host", ["localhost:3000", "LOCALHOST", "127.0.0.1:3911", "[::1]:3000", "[::1]", "localhost:1"]
)
def test_names_of_this_machine_are_served(webserver: NewClient, host: str) -> None:
    assert webserver().get("/server_info", headers={"Host": host}).status_code == 200


def test_further_names_are_a_setting(webserver: NewClient) -> None:
    client = webserver(SEEDTEST_UI_HOSTS="seedtest.example.com, UI.internal:8443")
    for host, origin in (
        ("seedtest.example.com", "https://seedtest.example.com"),
        ("ui.internal:8443", "https://ui.internal:8443"),
        # A proxy that passes its own name on.
        ("localhost:3000", "https://seedtest.example.com"),
    ):
        assert post(client, "{ version }", Host=host, Origin=origin).status_code == 200
    for host, origin in (
        ("example.com", "https://example.com"),
        ("seedtest.example.com", "https://other.example.com"),
        ("seedtest.example.com", "https://seedtest.example.com:8443"),
    ):
        assert post(client, "{ version }", Host=host, Origin=origin).status_code == 403


@pytest.mark.parametrize(
    ("site", "mode", "status"),
    [
        ("cross-site", "navigate", 200), ("cross-site", "no-cors", 403), ("same-site", "cors", 403),
        ("same-origin", "cors", 200), ("none", "navigate", 200), ("same-site", "websocket", 403),
    ],
)  # fmt: skip
def test_another_page_may_link_but_not_embed(webserver: NewClient, site: str, mode: str, status: int) -> None:
    asked = {"Sec-Fetch-Site": site, "Sec-Fetch-Mode": mode}
    assert webserver().get("/", headers=asked).status_code == status


def test_no_page_frames_the_ui_or_makes_it_load_pictures_from_elsewhere(webserver: NewClient) -> None:
    client = webserver()
    for answer in (client.get("/"), client.get("/graphql"), client.get("/", headers={"Host": "x"})):
        for name, value in HEADERS.items():
            assert value in answer.headers.get_list(name)[-1]


# Log-in


@pytest.mark.parametrize("path", ["/", "/graphql", "/runs", "/download_debug/x", "/logs/a/b/out", "/favicon.ico"])
def test_a_stranger_sees_nothing(webserver: NewClient, path: str) -> None:
    client = webserver(**ACCOUNTS)
    answer = client.get(path)
    assert answer.status_code == 401
    assert answer.headers["www-authenticate"].startswith("Basic ")
    assert post(client, "{ version }").status_code == 401
    with pytest.raises(WebSocketDisconnect), client.websocket_connect("/graphql", headers={"Host": "localhost"}):
        pass
    assert client.get("/server_info").json() == {}, "a probe learns that the server is up, and nothing else"


@pytest.mark.parametrize(
    "header",
    [
        "", "Basic", "Basic !!!", "Basic " + base64.b64encode(b"ada").decode(), "Bearer analytical-engine",
        basic(("ada", "wrong"))["Authorization"], basic(("ada", READER[1]))["Authorization"],
        basic(("", EDITOR[1]))["Authorization"], basic(("Ada", EDITOR[1]))["Authorization"],
        "Basic " + base64.b64encode(b"ada\xff:\xff").decode(),
    ],
)  # fmt: skip
def test_wrong_credentials_are_no_log_in(webserver: NewClient, header: str) -> None:
    assert post(webserver(**ACCOUNTS), "{ version }", Authorization=header).status_code == 401


def test_an_editor_writes_and_a_reader_only_reads(webserver: NewClient) -> None:
    client = webserver(**ACCOUNTS)
    run = with_run(client)
    assert post(client, "{ version }", **basic(READER)).json()["data"]["version"]
    for mutation in WRITES:
        answer = post(client, mutation.replace("%s", run), **basic(READER)).json()
        assert "UnauthorizedError" in str(answer) or "permission" in str(answer), answer
    reported = client.post("/report_asset_materialization/attempt", headers=basic(READER))
    assert reported.status_code == 401
    assert "Not authorized" in reported.text
    assert runs(client) == [run]
    permissions = "{ permissions { permission value } }"
    assert not any(p["value"] for p in post(client, permissions, **basic(READER)).json()["data"]["permissions"])
    assert any(p["value"] for p in post(client, permissions, **basic(EDITOR)).json()["data"]["permissions"])
    post(client, DELETE % run, **basic(EDITOR))
    assert runs(client) == []


def test_in_read_only_mode_nobody_writes(webserver: NewClient) -> None:
    for environment in ({}, ACCOUNTS):
        client = webserver(SEEDTEST_UI_READ_ONLY="true", **environment)
        run = with_run(client)
        assert "UnauthorizedError" in str(post(client, DELETE % run, **basic(EDITOR)).json())
        assert run in runs(client)


def test_a_proxy_logs_in_under_every_name(webserver: NewClient) -> None:
    client = webserver(SEEDTEST_UI_AUTH=f"*:{PROXY[1]}")
    assert post(client, "{ version }", **basic(PROXY)).status_code == 200
    assert post(client, "{ version }", **basic(("ada@school", "guessed-by-ada"))).status_code == 401


@pytest.mark.parametrize(
    "accounts", ["ada", "ada:", "ada:short", ":analytical-engine", "ada:analytical-engine grace:x"]
)
def test_an_incomplete_account_is_refused_and_not_shown(accounts: str) -> None:
    with pytest.raises(
        SettingsError, match=r"SEEDTEST_UI_AUTH = \(hidden\) is not allowed: each account is name:password"
    ) as error:
        UiSettings.from_environment({"SEEDTEST_UI_AUTH": accounts})
    assert "grace" not in str(error.value)
