"""Accounts of the settings: a stranger sees nothing, a reader changes nothing."""

from __future__ import annotations

import base64

import pytest
from starlette.websockets import WebSocketDisconnect

from seedtest_analytics.settings import SettingsError, UiSettings
from tests.webserver._webserver import DELETE, NewClient, post, runs, with_run

WRITES = [
    DELETE,
    "mutation { setAutoMaterializePaused(paused: true) }",
    'mutation { freeConcurrencySlots(runId: "x") }',
    'mutation { setConcurrencyLimit(concurrencyKey: "postgres_write", limit: 0) }',
    'mutation { wipeAssets(assetPartitionRanges: [{assetKey: {path: ["attempt"]}}]) { __typename } }',
    'mutation { terminateRuns(runIds: ["%s"]) { ... on TerminateRunsResult { terminateRunResults {'
    " __typename ... on TerminateRunFailure { message } } } } }",
]
EDITOR, READER = ("ada", "analytical-engine"), ("grace", "first-compiler-1952")
ACCOUNTS = {"SEEDTEST_UI_AUTH": ":".join(EDITOR), "SEEDTEST_UI_AUTH_READ_ONLY": ":".join(READER)}


def basic(account: tuple[str, str]) -> dict[str, str]:
    return {"Authorization": "Basic " + base64.b64encode(":".join(account).encode()).decode()}


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


@pytest.mark.parametrize(
    "accounts", ["ada", "ada:", "ada:short", ":analytical-engine", "ada:analytical-engine grace:x"]
)
def test_an_incomplete_account_is_refused_and_not_shown(accounts: str) -> None:
    with pytest.raises(
        SettingsError, match=r"SEEDTEST_UI_AUTH = \(hidden\) is not allowed: each account is name:password"
    ) as error:
        UiSettings.from_environment({"SEEDTEST_UI_AUTH": accounts})
    assert "grace" not in str(error.value)
