"""The guard before Dagster's own webserver: what a foreign page, a foreign name or a link may do."""

from __future__ import annotations

import pytest
from starlette.websockets import WebSocketDisconnect

from seedtest_analytics.webserver.guard import HEADERS
from tests.webserver._webserver import DELETE, NewClient, post, runs, with_run


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
