"""Hostile data in Dagster's own page, looked at by somebody who is logged in."""

from __future__ import annotations

import json
import os
import shutil
import time
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from scripts.chromium import Page, browser
from seedtest_analytics.database.embedded_postgres_host import free_port
from seedtest_analytics.dev_server import DevServer
from seedtest_analytics.settings import load_settings
from tests._waits import LIMIT_SECONDS
from tests.conftest import remove_server

pytestmark = [pytest.mark.browser, pytest.mark.xdist_group("ui")]

EDITOR, READER = "ada:analytical-engine", "grace:first-compiler-1952"
LAUNCH = """mutation($job: String!) { launchRun(executionParams: {selector: {repositoryLocationName: "hostile",
  repositoryName: "__repository__", jobName: $job}, runConfigData: {}}) {
    __typename ... on LaunchRunSuccess { run { runId } } ... on PythonError { message } } }"""
STATUS = "query($id: ID!) { runOrError(runId: $id) { __typename ... on Run { status } } }"
MARKUP = """[...document.querySelectorAll('img, a, strong, b')].filter(e => /graphql|evil/.test(e.src || e.href || '')
  || /^(topic|item|group|heading|cell|reason)$/.test(e.textContent)).map(e => e.outerHTML)"""
ASSET = "/assets/mirt_ability"


class Ui:
    """A running UI over the hostile code location, and what was launched in it."""

    def __init__(self, url: str, home: Path) -> None:
        self.url = url
        self.victim = self.finished("victim")
        (home / "victim").write_text(self.victim, encoding="utf-8")
        self.run = self.finished("fit")

    def ask(self, query: str, **variables: Any) -> Any:
        body = json.dumps({"query": query, "variables": variables}).encode()
        headers = {"Content-Type": "application/json", **load_settings().ui.authorization}
        request = urllib.request.Request(f"{self.url}/graphql", body, headers)
        with urllib.request.urlopen(request, timeout=LIMIT_SECONDS) as answer:
            return json.load(answer)["data"]

    def finished(self, job: str) -> str:
        """The id of a run that has succeeded."""
        launched = self.ask(LAUNCH, job=job)["launchRun"]
        assert launched["__typename"] == "LaunchRunSuccess", launched
        run: str = launched["run"]["runId"]
        deadline = time.monotonic() + LIMIT_SECONDS
        while (status := self.ask(STATUS, id=run)["runOrError"]["status"]) != "SUCCESS":
            assert status not in ("FAILURE", "CANCELED"), status
            assert time.monotonic() < deadline
            time.sleep(1)
        return run


LINK = "[...document.querySelectorAll('*')].find(e => !e.children.length && e.innerText === '[Show Markdown]')"


@pytest.fixture(scope="module")
def ui(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Ui]:
    folder = tmp_path_factory.mktemp("hostile")
    folder.chmod(0o711)
    location = Path(__file__).with_name("hostile_location.py")
    (folder / "workspace.yaml").write_text(
        f"load_from:\n  - python_file: {{relative_path: {location}, location_name: hostile}}\n"
    )
    server = DevServer(folder / "home", port=free_port(), workspace=folder / "workspace.yaml")
    with pytest.MonkeyPatch.context() as environment:
        for name in ("DATABASE_URL", "DAGSTER_POSTGRES_URL", "DAGSTER_HOME"):
            environment.delenv(name, raising=False)
        environment.setenv("SEEDTEST_UI_AUTH", EDITOR)
        environment.setenv("SEEDTEST_UI_AUTH_READ_ONLY", READER)
        try:
            yield Ui(server.up().url, server.home)
        finally:
            server.down()
            remove_server(server.home / "postgres")


@pytest.fixture
def page(ui: Ui) -> Iterator[Page]:
    if shutil.which("chromium") is None:
        assert os.environ.get("CI") != "true", "CI needs chromium; see deploy/apt-packages.txt"
        pytest.skip("chromium is not installed; see deploy/apt-packages.txt")
    with browser() as opened:
        yield opened


def log_in(page: Page, ui: Ui, account: str) -> None:
    """Give the browser the credentials, as a person does in its window."""
    page.open(ui.url.replace("://", f"://{account}@") + "/favicon.ico", 1600, height=1400)


@pytest.mark.parametrize(
    ("path", "kinds"),
    [
        (f"{ASSET}?view=events", ["topic", "item", "group", "heading"]),
        (f"{ASSET}?view=checks&checkDetail=fitted", ["reason", "cell"]),
        ("/runs/{run}", []),
    ],
)
def test_what_data_says_is_shown_as_text(ui: Ui, page: Page, path: str, kinds: list[str]) -> None:
    log_in(page, ui, EDITOR)
    page.open(ui.url + path.format(run=ui.run), 1600, height=2400)
    page.wait_for("document.body.innerText.includes('mirt_ability')")
    for kind in kinds:
        if kind == "cell":  # longer than the UI shows at once
            page.wait_for(f"{LINK} !== undefined")
            page.evaluate(f"{LINK}.click()")
        page.wait_for(f"document.body.innerText.includes('![{kind}](/graphql?query=mutation')")
        page.wait_for(f"document.body.innerText.includes('**{kind}** <b>{kind}</b>')")
    assert page.evaluate(MARKUP) == []
    assert ui.ask(STATUS, id=ui.victim)["runOrError"]["__typename"] == "Run", "opening a page deleted a run"


def test_an_image_that_deletes_a_run_is_refused(ui: Ui, page: Page) -> None:
    """Also where Markdown is not the platform's: the guard lets no address change anything."""
    log_in(page, ui, EDITOR)
    page.open(ui.url + ASSET, 1600, height=1400)
    delete = f'mutation{{deletePipelineRun(runId:"{ui.victim}"){{__typename}}}}'
    ended = page.evaluate(
        "new Promise(done => { const image = new Image(); image.onload = image.onerror = e => done(e.type);"
        f" image.src = '/graphql?query=' + encodeURIComponent({json.dumps(delete)}); document.body.append(image); }})"
    )
    assert ended == "error"
    assert ui.ask(STATUS, id=ui.victim)["runOrError"]["__typename"] == "Run"


def test_a_page_of_another_origin_cannot_ask(ui: Ui, page: Page) -> None:
    """The browser knows the credentials and would send them."""
    log_in(page, ui, EDITOR)
    page.open("data:text/html,<title>evil</title>", 800, height=600)
    delete = f'mutation{{deletePipelineRun(runId:"{ui.victim}"){{__typename}}}}'
    for way in ("{method: 'POST', body: ''}", "{}"):
        page.evaluate(
            f"fetch('{ui.url}/graphql?query=' + encodeURIComponent({json.dumps(delete)}),"
            f" {{...{way}, mode: 'no-cors', credentials: 'include'}}).catch(() => null).then(() => null)"
        )
    opened = page.evaluate(
        f"new Promise(done => {{ const s = new WebSocket('{ui.url.replace('http', 'ws')}/graphql', 'graphql-ws');"
        " s.onopen = s.onerror = e => done(e.type); })"
    )
    assert opened == "error"
    assert ui.ask(STATUS, id=ui.victim)["runOrError"]["__typename"] == "Run"


def test_a_reader_has_the_page_and_no_buttons(ui: Ui, page: Page) -> None:
    log_in(page, ui, READER)
    page.open(f"{ui.url}{ASSET}", 1600, height=1400)
    page.wait_for("[...document.querySelectorAll('button')].some(b => b.textContent.includes('Materialize'))")
    page.wait_for("[...document.querySelectorAll('button')].find(b => b.textContent.includes('Materialize')).disabled")


def test_a_stranger_has_nothing(ui: Ui, page: Page) -> None:
    page.open(f"{ui.url}{ASSET}", 1600, height=1400)
    assert "Materialize" not in page.evaluate("document.body.innerText")
