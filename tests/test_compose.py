"""deploy/compose.yaml: it is valid, its secrets are made, and what its services run works together.

Its containers are processes here, with the packaged PostgreSQL and moto's S3 server in place of the two foreign images.
"""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
import urllib.error
import urllib.request
from base64 import b64encode
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import boto3
import check_jsonschema
import jsonschema
import psutil
import pytest
import yaml

from seedtest_analytics.database.address import normalised_url
from seedtest_analytics.dev_server import CALM_DAEMON
from seedtest_analytics.settings import GROUPS
from tests._s3 import moto_endpoint
from tests._waits import LIMIT_SECONDS, wait_until
from tests.test_deploy import SECONDS_BETWEEN_PROGRAMS

__all__ = ["moto_endpoint"]

ROOT = Path(__file__).parents[1]
FOLDER = ROOT / "deploy" / "compose"
COMPOSE: dict[str, Any] = yaml.safe_load((ROOT / "deploy" / "compose.yaml").read_text())
SERVICES = COMPOSE["services"]
OURS = ("migrate", "code", "daemon", "webserver")
LAUNCH = """mutation { launchRun(executionParams: {mode: "default", selector: {jobName: "sync_attempts",
 repositoryName: "__repository__", repositoryLocationName: "seedtest_analytics"}}) { __typename
 ... on LaunchRunSuccess { run { runId } } ... on PythonError { message } } }"""
ACCOUNT = "admin:of-the-secret"
STATUS = "{ runsOrError { ... on Runs { results { runId status } } } }"


def defaults(service: str) -> dict[str, str]:
    """The variables of a service where nobody sets another value."""
    return {name: re.sub(r"\$\{\w+:-(.*)\}", r"\1", value) for name, value in SERVICES[service]["environment"].items()}


def test_the_file_is_valid() -> None:
    schemas = Path(check_jsonschema.__file__).parent / "builtin_schemas" / "vendor"
    jsonschema.validate(COMPOSE, json.loads((schemas / "compose-spec.json").read_text()))


def test_foreign_images_are_pinned() -> None:
    (base,) = re.findall(r"^ARG BASE_IMAGE=(.*)$", (ROOT / "deploy" / "Dockerfile").read_text(), re.MULTILINE)
    foreign = {name: service["image"] for name, service in SERVICES.items() if name not in OURS}
    for name, image in {"base": base, **foreign}.items():
        assert re.fullmatch(r"[a-z/]+:[\w.-]+@sha256:[0-9a-f]{64}", image), name


@pytest.mark.parametrize("name", OURS)
def test_our_containers_have_least_rights(name: str) -> None:
    service = SERVICES[name]
    assert (service["read_only"], service["cap_drop"]) == (True, ["ALL"])
    assert service["security_opt"] == ["no-new-privileges:true"]
    assert "privileged" not in service
    assert "user" not in service, "the image's user is not root"


def test_nothing_is_published_beyond_this_machine() -> None:
    published = [port for service in SERVICES.values() for port in service.get("ports", [])]
    assert published
    assert all(port.startswith("127.0.0.1:") for port in published)


def test_the_settings_are_understood_and_no_secret_is_in_the_file() -> None:
    variables = {name: group.model_fields[f] for group in GROUPS.values() for name, f in group.variables().items()}
    secret = {name for name, field in variables.items() if "SecretStr" in str(field.annotation)}
    for name in OURS:
        environment = SERVICES[name]["environment"]
        assert environment.keys() - variables.keys() == CALM_DAEMON.keys()
        assert not environment.keys() & secret
    assert CALM_DAEMON.items() <= SERVICES["daemon"]["environment"].items()


@pytest.mark.parametrize("name", OURS)
def test_a_setting_of_the_operator_reaches_every_service(name: str) -> None:
    """`.env` beside compose.yaml, which Compose reads for the values of compose.yaml, too."""
    assert SERVICES[name]["env_file"] == [{"path": ".env", "required": False}]
    # A value that is fixed here would win over the file's.
    fixed = {key for key, value in SERVICES[name]["environment"].items() if value == defaults(name)[key]}
    of_the_services = {"SEEDTEST_EXECUTOR", "S3_BUCKET", "S3_ENDPOINT_URL", "S3_ENCRYPTION"}
    assert fixed == of_the_services | CALM_DAEMON.keys()
    assert all(f"${{{key}:-" in SERVICES[name]["environment"][key] for key in defaults(name).keys() - fixed)
    assert subprocess.run(["git", "check-ignore", "-q", ROOT / "deploy" / ".env"], cwd=ROOT).returncode == 0


def test_checks_of_health_are_cheap() -> None:
    """Each starts a program of Dagster, except those of the webserver and of the foreign images."""
    for name in ("code", "daemon"):
        check = SERVICES[name]["healthcheck"]
        assert check["interval"].endswith("m")
        assert int(check["interval"][:-1]) * 60 >= SECONDS_BETWEEN_PROGRAMS
        assert check["start_interval"].endswith("s"), "other services wait for the first good answer"


def test_the_instance_is_the_projects_own_with_postgresql() -> None:
    own = yaml.safe_load((FOLDER / "dagster.yaml").read_text())
    storage = own.pop("storage")
    assert storage == {"postgres": {"postgres_url": {"env": "DAGSTER_POSTGRES_URL"}}}
    assert own == yaml.safe_load((ROOT / "dagster.yaml").read_text())


def test_secrets_are_made_once_and_hidden_from_other_users(tmp_path: Path) -> None:
    folder = tmp_path / "secrets"
    for _ in range(2):
        subprocess.run([FOLDER / "make-secrets", folder], check=True)
        made = {path.name: path.read_text() for path in folder.iterdir()}
    wanted = {name: Path(secret["file"]).name for name, secret in COMPOSE["secrets"].items()}
    assert set(made) == set(wanted) == set(wanted.values())
    assert folder.stat().st_mode & 0o777 == 0o700
    # The containers' user is another one than the owner.
    assert {path.stat().st_mode & 0o777 for path in folder.iterdir()} == {0o644}
    assert normalised_url(made["DATABASE_URL"]).password == made["POSTGRES_PASSWORD"]
    (identity,) = json.loads(made["s3.json"])["identities"]
    assert identity["credentials"] == [
        {"accessKey": made["AWS_ACCESS_KEY_ID"], "secretKey": made["AWS_SECRET_ACCESS_KEY"]}
    ]
    again = tmp_path / "again"
    subprocess.run([FOLDER / "make-secrets", again], check=True)
    assert (again / "POSTGRES_PASSWORD").read_text() != made["POSTGRES_PASSWORD"]
    assert subprocess.run(["git", "check-ignore", "-q", FOLDER / "secrets" / "DATABASE_URL"], cwd=ROOT).returncode == 0


def test_the_daemon_sees_the_processes_that_it_watches() -> None:
    """It fails a run whose process is gone, and runs are processes of the code server."""
    assert SERVICES["daemon"]["pid"] == "service:code"
    assert SERVICES["code"]["network_mode"] == "service:store"
    assert "code" in SERVICES["store"]["networks"]["default"]["aliases"]
    (server,) = yaml.safe_load((FOLDER / "workspace.yaml").read_text())["load_from"]
    assert (server["grpc_server"]["host"], str(server["grpc_server"]["port"])) == (
        "code",
        SERVICES["code"]["command"][SERVICES["code"]["command"].index("--port") + 1],
    )


class Here:
    """The services as processes of this machine."""

    def __init__(self, folder: Path, environment: dict[str, str], *, replaced: dict[str, str]) -> None:
        self.folder, self.environment, self.replaced = folder, environment, replaced
        self.running: dict[str, subprocess.Popen[bytes]] = {}

    def command(self, words: list[str]) -> list[str]:
        """With the ports and paths of this machine; Dagster's programs are those of this environment."""
        here = [word for word in words if word != "seedtest-entry-point"]
        for there, own in self.replaced.items():
            here = [word.replace(there, own) for word in here]
        return here

    def _options(self, service: str) -> dict[str, Any]:
        log = (self.folder / f"{service}.log").open("ab")
        return {"env": self.environment, "cwd": self.folder, "stdout": log, "stderr": log}

    def run(self, service: str, words: list[str]) -> int:
        """Run a command to its end."""
        return subprocess.run(self.command(words), **self._options(service)).returncode

    def start(self, service: str) -> None:
        """Start a service in its own session, and wait until it is healthy."""
        command = self.command(SERVICES[service]["command"])
        self.running[service] = subprocess.Popen(command, start_new_session=True, **self._options(service))
        kind, *check = SERVICES[service]["healthcheck"]["test"]
        assert kind == "CMD"
        wait_until(lambda: self._lives(service) and self.run(f"{service}-health", check) == 0)

    def _lives(self, service: str) -> bool:
        assert self.running[service].poll() is None, (self.folder / f"{service}.log").read_text()[-3000:]
        return True

    def stop(self) -> None:
        """End every process and those below it."""
        for process in self.running.values():
            if process.poll() is None:
                below = psutil.Process(process.pid).children(recursive=True)
                for one in (process, *below):
                    one.terminate()
                process.wait(60)


@pytest.fixture
def here(
    tmp_path: Path, new_database: Callable[..., str], moto_endpoint: str, free_port: Callable[[], int]
) -> Iterator[Here]:
    """The services with empty databases and an empty store."""
    home = tmp_path / "dagster"
    home.mkdir()
    (home / "dagster.yaml").write_text((FOLDER / "dagster.yaml").read_text())
    code, ui = str(free_port()), str(free_port())
    workspace = (FOLDER / "workspace.yaml").read_text().replace("host: code", "host: 127.0.0.1").replace("4000", code)
    (tmp_path / "workspace.yaml").write_text(workspace)
    kept = {name: os.environ[name] for name in ("HOME", "LANG", "NUMBA_CACHE_DIR") if name in os.environ}
    environment = (
        kept
        | defaults("code")
        | {
            "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}",
            "APP_ENV": "production",
            "PYTHONPATH": str(ROOT),
            "DAGSTER_HOME": str(home),
            "DATABASE_URL": new_database(),
            "DAGSTER_POSTGRES_URL": new_database().replace("+psycopg:", "+psycopg2:"),
            "AWS_ACCESS_KEY_ID": "seedtest",
            "AWS_SECRET_ACCESS_KEY": "of the secret",
            "S3_ENDPOINT_URL": moto_endpoint,
            "SEEDTEST_UI_AUTH": ACCOUNT,
        }
    )
    replaced = {
        "/etc/seedtest/workspace.yaml": str(tmp_path / "workspace.yaml"),
        "/etc/seedtest/make_bucket.py": str(FOLDER / "make_bucket.py"),
        "0.0.0.0": "127.0.0.1",
        "4000": code,
        "3000": ui,
    }
    services = Here(tmp_path, environment, replaced=replaced)
    try:
        yield services
    finally:
        services.stop()


@pytest.fixture
def free_port() -> Callable[[], int]:
    """Ports that nobody listens at."""
    import socket

    def find() -> int:
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            return int(probe.getsockname()[1])

    return find


def ask(here: Here, query: str, account: str | None = ACCOUNT) -> Any:
    headers = {"Content-Type": "application/json"}
    if account is not None:
        headers["Authorization"] = f"Basic {b64encode(account.encode()).decode()}"
    url = f"http://localhost:{here.replaced['3000']}/graphql"
    request = urllib.request.Request(url, json.dumps({"query": query}).encode(), headers)
    with urllib.request.urlopen(request, timeout=LIMIT_SECONDS) as answer:
        return json.load(answer)["data"]


@pytest.mark.slow
def test_the_services_run_here_and_compute_a_run(here: Here) -> None:
    """One long test, because each service takes seconds to start."""
    for _ in range(2):
        assert here.run("migrate", SERVICES["migrate"]["command"]) == 0, (here.folder / "migrate.log").read_text()
    client = boto3.client(
        "s3",
        endpoint_url=here.environment["S3_ENDPOINT_URL"],
        aws_access_key_id="seedtest",
        aws_secret_access_key="of the secret",
    )
    assert "seedtest-reports" in {bucket["Name"] for bucket in client.list_buckets()["Buckets"]}
    for service in ("code", "daemon", "webserver"):
        here.start(service)
    with pytest.raises(urllib.error.HTTPError, match="401"):
        ask(here, STATUS, account=None)
    launched = ask(here, LAUNCH)["launchRun"]
    assert launched["__typename"] == "LaunchRunSuccess", launched
    own = launched["run"]["runId"]

    def statuses() -> dict[str, str]:
        return {run["runId"]: run["status"] for run in ask(here, STATUS)["runsOrError"]["results"]}

    wait_until(lambda: statuses()[own] in ("SUCCESS", "FAILURE"))
    assert statuses()[own] == "SUCCESS"
