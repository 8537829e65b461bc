"""An identity provider logs people in: a real provider in a thread, and the platform's webserver before it."""

from __future__ import annotations

import json
import os
import shutil
from base64 import b64decode
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from threading import Thread
from typing import Any
from urllib.parse import parse_qs, urlsplit

import httpx2
import pytest
import time_machine
import uvicorn
from oidc_provider_mock import run_server_in_thread
from starlette.testclient import TestClient
from starlette.websockets import WebSocketDisconnect

from scripts.chromium import browser
from seedtest_analytics.database.embedded_postgres_host import free_port
from seedtest_analytics.settings import SettingsError, load_settings
from seedtest_analytics.webserver.oidc import LOG_OUT, role
from tests._waits import wait_until
from tests.webserver._webserver import DELETE, NewClient, post, runs, with_run

# Of the provider that the tests start.
pytestmark = pytest.mark.filterwarnings("ignore::DeprecationWarning:authlib")

GROUPS = {"ada": ["data", "everyone"], "grace": ["analysts"], "mallory": ["kitchen"], "nobody": [], "charles": "data"}
PAGE = {"Accept": "text/html,*/*", "Sec-Fetch-Mode": "navigate", "Sec-Fetch-Site": "none"}
BACK = PAGE | {"Sec-Fetch-Site": "cross-site"}


@pytest.fixture(scope="module")
def issuer() -> Iterator[str]:
    with run_server_in_thread(require_nonce=True) as server:
        address = f"http://localhost:{server.server_port}"
        for name, groups in GROUPS.items():
            httpx2.put(f"{address}/users/{name}", json={"name": name, "groups": groups}).raise_for_status()
        yield address


@pytest.fixture
def ui(webserver: NewClient, issuer: str) -> Callable[..., TestClient]:
    def make(**environment: str) -> TestClient:
        return webserver(**provided(issuer) | environment)

    return make


def provided(issuer: str) -> dict[str, str]:
    return {
        "SEEDTEST_UI_URL": "http://localhost:3000/",
        "SEEDTEST_OIDC_ISSUER": issuer,
        "SEEDTEST_OIDC_CLIENT_ID": "seedtest",
        "SEEDTEST_OIDC_CLIENT_SECRET": "a-secret-of-the-provider",
        "SEEDTEST_OIDC_EDITORS": "data, operators",
        "SEEDTEST_OIDC_READERS": "analysts",
    }


def way_to_the_provider(client: TestClient, page: str = "/") -> str:
    answer = client.get(page, headers=PAGE, follow_redirects=False)
    assert answer.status_code == 302
    return str(answer.headers["location"])


def way_back(provider_page: str, person: str) -> str:
    """Log a person in at the provider; the address to which it sends the browser."""
    answer = httpx2.post(provider_page, data={"sub": person})
    assert answer.status_code == 302, answer.text
    return str(answer.headers["location"])


def log_in(client: TestClient, person: str, page: str = "/") -> Any:
    return client.get(way_back(way_to_the_provider(client, page), person), headers=BACK, follow_redirects=False)


def test_an_editor_comes_back_to_the_page_and_writes(ui: Callable[..., TestClient]) -> None:
    client = ui()
    run = with_run(client)
    answer = log_in(client, "ada", "/runs?view=all")
    assert (answer.status_code, answer.headers["location"]) == (303, "/runs?view=all")
    assert client.get("/runs?view=all", headers=BACK).text.startswith("<!DOCTYPE html>")
    assert post(client, DELETE % run).status_code == 200
    assert runs(client) == []


def test_a_reader_reads_and_changes_nothing(ui: Callable[..., TestClient]) -> None:
    client = ui()
    run = with_run(client)
    assert log_in(client, "grace").status_code == 303
    assert post(client, "{ version }").json()["data"]["version"]
    assert "UnauthorizedError" in post(client, DELETE % run).text
    assert runs(client) == [run]


@pytest.mark.parametrize("person", ["mallory", "nobody"])
def test_a_person_in_no_group_of_the_settings_sees_nothing(ui: Callable[..., TestClient], person: str) -> None:
    client = ui()
    answer = log_in(client, person)
    assert answer.status_code == 403
    assert "SEEDTEST_OIDC_READERS" in answer.text
    assert person not in answer.text
    assert post(client, "{ version }").status_code == 401


def test_a_group_as_a_text_and_everybody(ui: Callable[..., TestClient]) -> None:
    assert log_in(ui(), "charles").status_code == 303
    everybody = ui(SEEDTEST_OIDC_READERS="*")
    assert log_in(everybody, "mallory").status_code == 303
    assert "UnauthorizedError" in post(everybody, DELETE % with_run(everybody)).text


def test_a_stranger_is_sent_to_the_provider_or_refused(ui: Callable[..., TestClient], issuer: str) -> None:
    client = ui()
    address = urlsplit(way_to_the_provider(client))
    asked = parse_qs(address.query)
    assert f"{address.scheme}://{address.netloc}" == issuer
    assert asked["redirect_uri"] == ["http://localhost:3000/oidc/callback"]
    assert (asked["response_type"], asked["code_challenge_method"]) == (["code"], ["S256"])
    assert {"state", "nonce", "code_challenge"} <= set(asked)
    assert "a-secret" not in address.query
    for answer in (post(client, "{ version }"), client.get("/graphql"), client.get("/favicon.ico")):
        assert answer.status_code == 401
    assert client.get("/server_info").json() == {}
    with pytest.raises(WebSocketDisconnect), client.websocket_connect("/graphql", headers={"Host": "localhost"}):
        pass


def test_the_page_after_the_log_in_is_one_of_ours(ui: Callable[..., TestClient]) -> None:
    for page in ("//evil.example/x", "/\\evil.example", "///evil.example"):
        client = ui()
        back = way_back(way_to_the_provider(client, "http://localhost:3000" + page), "ada")
        location = client.get(back, headers=BACK, follow_redirects=False).headers["location"]
        assert location.startswith("/")
        assert not location.startswith(("//", "/\\"))


def test_the_answer_to_another_browsers_log_in_is_refused(ui: Callable[..., TestClient]) -> None:
    """An attacker gives a person a link that logs them in as the attacker."""
    attacker, victim = ui(), ui()
    back = way_back(way_to_the_provider(attacker), "ada")
    way_to_the_provider(victim)
    assert victim.get(back, headers=BACK, follow_redirects=False).status_code == 403
    assert post(victim, "{ version }").status_code == 401


def test_an_answer_is_good_once(ui: Callable[..., TestClient]) -> None:
    client = ui()
    back = way_back(way_to_the_provider(client), "ada")
    assert client.get(back, headers=BACK, follow_redirects=False).status_code == 303
    client.cookies.clear()
    assert client.get(back, headers=BACK, follow_redirects=False).status_code == 403


def test_a_refusal_of_the_provider_is_told(ui: Callable[..., TestClient]) -> None:
    client = ui()
    state = parse_qs(urlsplit(way_to_the_provider(client)).query)["state"][0]
    back = f"/oidc/callback?error=access_denied&error_description=not+today&state={state}"
    answer = client.get(back, headers=BACK, follow_redirects=False)
    assert answer.status_code == 403
    assert "not today" in answer.text
    assert answer.headers["content-type"].startswith("text/plain")


def test_a_forged_session_is_none(ui: Callable[..., TestClient], issuer: str) -> None:
    other = ui(SEEDTEST_OIDC_CLIENT_SECRET="another-secret")
    assert log_in(other, "ada").status_code == 303
    client = ui()
    client.cookies = other.cookies
    assert post(client, "{ version }").status_code == 401


def test_a_session_ends(ui: Callable[..., TestClient]) -> None:
    client = ui(SEEDTEST_OIDC_HOURS="2")
    with time_machine.travel("2026-03-02T08:00:00Z", tick=False) as clock:
        assert log_in(client, "ada").status_code == 303
        clock.shift(7100)
        assert post(client, "{ version }").status_code == 200
        # Using the UI does not prolong the session.
        clock.shift(200)
        assert post(client, "{ version }").status_code == 401


def test_who_logs_out_is_out(ui: Callable[..., TestClient]) -> None:
    client = ui()
    log_in(client, "ada")
    assert client.get(LOG_OUT).status_code == 200
    assert post(client, "{ version }").status_code == 401


def test_the_session_has_no_name_and_no_token(ui: Callable[..., TestClient]) -> None:
    client = ui()
    answer = log_in(client, "ada")
    cookie = answer.headers["set-cookie"]
    assert {"httponly", "samesite=lax"} <= {part.strip() for part in cookie.split(";")}
    held = json.loads(b64decode(cookie.partition("=")[2].split(".")[0]))
    assert set(held) == {"is_reader", "until"}
    secure = ui(SEEDTEST_UI_URL="https://seedtest.example.com", SEEDTEST_UI_HOSTS="seedtest.example.com")
    assert "secure" in secure.get("/", headers=PAGE, follow_redirects=False).headers["set-cookie"]


@contextmanager
def served(client: TestClient, port: int) -> Iterator[str]:
    """The client's application at a port of this machine."""
    server = uvicorn.Server(uvicorn.Config(client.app, host="127.0.0.1", port=port, log_level="warning"))
    thread = Thread(target=server.run)
    thread.start()
    try:
        wait_until(lambda: server.started)
        yield f"http://localhost:{port}"
    finally:
        server.should_exit = True
        thread.join()


@pytest.mark.browser
@pytest.mark.xdist_group("ui")
def test_a_browser_logs_in_and_shows_the_ui(ui: Callable[..., TestClient], issuer: str) -> None:
    if shutil.which("chromium") is None:
        assert os.environ.get("CI") != "true", "CI needs chromium; see deploy/apt-packages.txt"
        pytest.skip("chromium is not installed; see deploy/apt-packages.txt")
    port = free_port()
    with served(ui(SEEDTEST_UI_URL=f"http://localhost:{port}"), port) as address, browser() as page:
        page.open(f"{address}/runs", 1200, height=800)
        assert page.evaluate("location.origin") == issuer
        page.evaluate("""document.querySelector('input[name=sub]').value = 'grace';
          document.querySelector('button[type=submit]').click()""")
        page.wait_for(f"location.href.startsWith('{address}/runs')")
        # Dagster's page asks by GraphQL and by websocket, with the session's cookie.
        page.wait_for("document.body.innerText.includes('Deployment')")
        read_only = "fetch('/graphql', {method: 'POST', headers: {'Content-Type': 'application/json'}, body: "
        query = json.dumps(json.dumps({"query": "{ permissions { value } }"}))
        granted = page.evaluate(f"{read_only}{query}}}).then(a => a.json())")
        assert not any(p["value"] for p in granted["data"]["permissions"])


def test_machines_keep_their_account(ui: Callable[..., TestClient]) -> None:
    client = ui(SEEDTEST_UI_AUTH_READ_ONLY="prometheus:reads-the-metrics")
    assert (
        client.get("/graphql", params={"query": "{ version }"}, auth=("prometheus", "reads-the-metrics")).status_code
        == 200
    )
    assert client.get("/graphql", params={"query": "{ version }"}, auth=("prometheus", "guessed")).status_code == 401


def test_a_provider_that_does_not_answer_is_named(ui: Callable[..., TestClient]) -> None:
    client = ui(SEEDTEST_OIDC_ISSUER="http://localhost:1")
    answer = client.get("/", headers=PAGE, follow_redirects=False)
    assert answer.status_code == 502
    assert "http://localhost:1" in answer.text


def test_a_provider_needs_its_other_settings() -> None:
    with pytest.raises(SettingsError, match=r"it also needs SEEDTEST_OIDC_CLIENT_SECRET and SEEDTEST_UI_URL"):
        load_settings({"SEEDTEST_OIDC_ISSUER": "https://login.example.com", "SEEDTEST_OIDC_CLIENT_ID": "x"})
    with pytest.raises(SettingsError, match="must begin with https://"):
        load_settings(provided("http://login.example.com"))


@pytest.mark.parametrize(
    ("claims", "expected"),
    [({}, None), ({"groups": None}, None), ({"groups": ["data", "analysts"]}, False), ({"groups": [7]}, None)],
)
def test_the_role_of_claims(claims: dict[str, Any], expected: bool | None) -> None:
    assert role(claims, load_settings(provided("https://login.example.com")).ui) is expected
