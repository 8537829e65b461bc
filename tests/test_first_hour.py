"""What a newcomer does first: install the wheel and run the demo, or open a clone with `dagster dev`."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator
from pathlib import Path

import pytest

from seedtest_analytics.database.embedded_postgres_host import free_port
from tests._waits import LIMIT_SECONDS
from tests.conftest import remove_server

ROOT = Path(__file__).resolve().parents[1]
LOCATIONS = """{ workspaceOrError { ... on Workspace { locationEntries { locationOrLoadError {
  __typename ... on PythonError { message } } } } } }"""
STATES = """{ assetNodes { assetKey { path } hasMaterializePermission
  assetHealth { materializationStatus assetChecksStatus } } }"""
# A load of 20 on two cores slows the start of a webserver by this much.
PATIENCE_SECONDS = 900

pytestmark = [pytest.mark.long, pytest.mark.xdist_group("first_hour"), pytest.mark.timeout(1800)]


def plain_environment(home: Path) -> dict[str, str]:
    """The environment of somebody who has just logged in."""
    kept = {"PATH", "LANG", "TMPDIR", "UV_CACHE_DIR", "XDG_CACHE_HOME"}
    return {name: value for name, value in os.environ.items() if name in kept} | {"HOME": str(home)}


@pytest.fixture
def home() -> Iterator[Path]:
    """An empty home beside the checkout's temporary files, removed with its server."""
    import tempfile

    folder = Path(tempfile.mkdtemp(prefix="seedtest-first-hour-"))
    folder.chmod(0o711)
    yield folder
    remove_server(folder / ".dagster" / "postgres")
    shutil.rmtree(folder, ignore_errors=True)


def uv() -> str:
    found = shutil.which("uv") or str(ROOT / ".tools" / "bin" / "uv")
    if not Path(found).exists():
        pytest.skip("uv is not installed; `make install-dev` installs it")
    return found


def install_wheel(folder: Path) -> Path:
    """An empty environment with the wheel and the locked packages. Returns the `seedtest` command."""
    build = [sys.executable, "-m", "hatchling", "build", "--target", "wheel", "--directory", folder / "dist"]
    subprocess.run(build, cwd=ROOT, check=True, capture_output=True)
    (wheel,) = (folder / "dist").glob("*.whl")
    environment = os.environ | {"RPY2_CFFI_MODE": "ABI", "UV_PROJECT_ENVIRONMENT": str(folder / "venv")}
    locked = [uv(), "sync", "--frozen", "--no-default-groups", "--no-install-project", "--python", sys.executable]
    # By the lock's addresses uv finds in its cache what `make test` has installed, also without a network.
    subprocess.run(locked, cwd=ROOT, env=environment, check=True, capture_output=True)
    install = [uv(), "pip", "install", "--python", folder / "venv", "--no-deps", "--offline", wheel]
    subprocess.run(install, check=True, capture_output=True)
    return folder / "venv" / "bin" / "seedtest"


def ask(port: int, query: str) -> dict[str, object]:
    """Ask the webserver, as soon as it answers."""
    body = json.dumps({"query": query}).encode()
    headers = {"Content-Type": "application/json"}
    deadline = time.monotonic() + PATIENCE_SECONDS
    while True:
        request = urllib.request.Request(f"http://127.0.0.1:{port}/graphql", body, headers)
        try:
            with urllib.request.urlopen(request, timeout=LIMIT_SECONDS) as response:
                return json.load(response)["data"]
        except OSError:
            if time.monotonic() > deadline:
                raise
            time.sleep(0.5)


def test_the_wheel_shows_the_demo_without_the_repository(home: Path) -> None:
    command = install_wheel(home)
    port = free_port()
    try:
        done = subprocess.run(
            [command, "demo", "--students", "60", "--weeks", "10", "--port", str(port)],
            cwd=home,
            env=plain_environment(home),
            capture_output=True,
            text=True,
            check=False,
        )
        assert done.returncode == 0, done.stdout + done.stderr
        assert done.stderr == ""
        lines = done.stdout.splitlines()
        assert len(lines) < 40, done.stdout
        assert "Traceback" not in done.stdout
        assert not [line for line in lines if "failed" in line and not line.startswith("check ")], done.stdout
        assert any("weekly_report " in line for line in lines), done.stdout
        (entry,) = ask(port, LOCATIONS)["workspaceOrError"]["locationEntries"]  # type: ignore[index]
        assert entry["locationOrLoadError"]["__typename"] == "RepositoryLocation"
    finally:
        subprocess.run([command, "down"], cwd=home, env=plain_environment(home), check=False, capture_output=True)


def test_dagster_dev_opens_a_clone(home: Path) -> None:
    """In a copy of the checkout, because it leaves a temporary instance in the folder when it is killed."""
    clone = home / "clone"
    ignored = shutil.ignore_patterns(".git", ".venv", ".tools", ".dagster", ".site", "*_cache", ".tmp_dagster_home_*")
    shutil.copytree(ROOT, clone, ignore=ignored)
    port = free_port()
    dagster = Path(sys.executable).with_name("dagster")
    with (home / "dagster.log").open("w") as log:
        server = subprocess.Popen(
            [dagster, "dev", "--port", str(port)], cwd=clone, env=plain_environment(home), stdout=log, stderr=log
        )
    try:
        (entry,) = ask(port, LOCATIONS)["workspaceOrError"]["locationEntries"]  # type: ignore[index]
        assert entry["locationOrLoadError"]["__typename"] == "RepositoryLocation", entry
        (start,) = [line for line in (clone / "workspace.yaml").read_text().splitlines() if "location_name" in line]
        assert start.strip() == "location_name: seedtest_analytics"
    finally:
        server.terminate()
        server.wait(timeout=PATIENCE_SECONDS)
    assert "Traceback" not in (home / "dagster.log").read_text()
