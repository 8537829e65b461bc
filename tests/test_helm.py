"""The values for Dagster's own chart make the instance and the pods of the manifests.

No package registry has the chart, so `stand_in` restates what its templates make of the values. Where the folder of an
unpacked chart is in `SEEDTEST_DAGSTER_CHART` and `helm` is installed, every test runs on the chart's own output, too.
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest
import yaml
from dagster_postgres import PostgresEventLogStorage

from seedtest_analytics.dagster_private import process_config, resolve_to_config_type
from seedtest_analytics.schedules.run_pods import PlatformK8sRunLauncher
from tests._kustomize import DEPLOY, ROOT, pods_of, rendered, validate
from tests.test_deploy import (
    CODE_PROBE,
    INSTANCE,
    assert_home_is_writable,
    assert_least_rights,
    assert_probes_are_cheap,
    assert_waits_for_the_migration,
    containers_of,
    literals,
)

VALUES: dict[str, Any] = yaml.safe_load((DEPLOY / "helm" / "values.yaml").read_text())
LAUNCHER = VALUES["runLauncher"]["config"]["customRunLauncher"]
USER_CODE = VALUES["dagster-user-deployments"]
NAME = VALUES["global"]["fullnameOverride"]
OWN_NAMES = {"instance_config_map", "env_secrets", "postgres_password_secret", "volumes"}
"""Of the launcher: the chart's ConfigMap, and a password in place of a URL."""
RELEASE = "dagster"
WAVE = "argocd.argoproj.io/sync-wave"
CHARTS_NAMES = {
    "seedtest-code": f"{NAME}-seedtest",
    "seedtest-daemon": f"{NAME}-daemon",
    "seedtest-webserver": f"{RELEASE}-webserver",
}
"""Deployments of the chart by those of the manifests."""
IMMEDIATE = {"module": "dagster.core.run_coordinator", "class": "SyncInMemoryRunCoordinator", "config": {}}
"""What the chart takes where its run coordinator is off: no queue."""


def _snake(values: dict[str, Any]) -> dict[str, Any]:
    return {re.sub(r"(?<!^)(?=[A-Z])", "_", key).lower(): value for key, value in values.items()}


def instance_of(values: dict[str, Any]) -> dict[str, Any]:
    """The chart's dagster.yaml without its storage."""
    daemon = values["dagsterDaemon"]
    coordinator = daemon["runCoordinator"]
    queue = coordinator["config"]["customRunCoordinator"] if coordinator["enabled"] else IMMEDIATE
    retention = {name: _snake(part) for name, part in _snake(values["retention"]).items() if name != "enabled"}
    made = {
        "run_coordinator": queue,
        "run_launcher": LAUNCHER,
        "compute_logs": values["computeLogManager"]["config"]["customComputeLogManager"],
        "run_monitoring": _snake(daemon["runMonitoring"]),
        "sensors": _snake(daemon["sensors"]),
        "schedules": _snake(daemon["schedules"]),
        "telemetry": values["telemetry"],
        "retention": retention,
    }
    assert not daemon["runRetries"]["enabled"]
    assert not made.keys() & values["additionalInstanceConfig"].keys(), "a key would be there twice"
    return made | values["additionalInstanceConfig"]


def _configuration(name: str, data: dict[str, str]) -> dict[str, Any]:
    return {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": name, "namespace": "seedtest"}, "data": data}


def _is_part_of(part: Any, whole: Any) -> bool:
    """Whether the chart only adds keys of its own defaults."""
    if isinstance(part, dict) and isinstance(whole, dict):
        return all(key in whole and _is_part_of(value, whole[key]) for key, value in part.items())
    return bool(part == whole)


def test_the_instance_of_the_chart_is_that_of_the_manifests(made: list[dict[str, Any]]) -> None:
    (text,) = (m["data"]["dagster.yaml"] for m in made if m["metadata"]["name"] == f"{NAME}-instance")
    instance = yaml.safe_load(text)
    wanted = {key: value for key, value in INSTANCE.items() if key != "storage"}
    for key in wanted.keys() - {"run_launcher"}:
        assert _is_part_of(wanted[key], instance[key]), key
    assert instance.keys() - wanted.keys() <= {"run_coordinator", "scheduler"} | {
        f"{name}_storage" for name in ("schedule", "run", "event_log")
    }
    # Limits of the platform's concurrency are those of the queue. Dagster refuses limits at two places.
    assert instance["run_coordinator"]["class"] == "QueuedRunCoordinator"
    assert not instance["run_coordinator"]["config"]
    launcher = instance["run_launcher"]
    own, manifests = launcher["config"], wanted["run_launcher"]["config"]
    assert (launcher["module"], launcher["class"]) == (
        wanted["run_launcher"]["module"],
        PlatformK8sRunLauncher.__name__,
    )
    assert own.keys() - {"postgres_password_secret"} == manifests.keys()
    assert {k: v for k, v in own.items() if k not in OWN_NAMES} == {
        k: v for k, v in manifests.items() if k not in OWN_NAMES
    }
    assert [volume["name"] for volume in own["volumes"]] == [volume["name"] for volume in manifests["volumes"]]


def test_dagster_understands_launcher_and_storage(monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in literals().items():
        monkeypatch.setenv(name, value)
    monkeypatch.setenv("DAGSTER_PG_PASSWORD", "of the secret")
    database = VALUES["postgresql"]
    storage = {
        "postgres_db": {
            "username": database["postgresqlUsername"],
            "password": {"env": "DAGSTER_PG_PASSWORD"},
            "hostname": database["postgresqlHost"],
            "db_name": database["postgresqlDatabase"],
            "port": database["service"]["port"],
            "params": database["postgresqlParams"],
            "scheme": database["postgresqlScheme"],
        }
    }
    for kind, config in ((PlatformK8sRunLauncher, LAUNCHER["config"]), (PostgresEventLogStorage, storage)):
        done = process_config(resolve_to_config_type(kind.config_type()), config)
        assert done.success, done.errors


def test_the_chart_is_of_the_dagster_that_is_installed() -> None:
    (chart,) = yaml.safe_load((DEPLOY / "helm" / "kustomization.yaml").read_text())["helmCharts"]
    locked = re.search(r'name = "dagster"\nversion = "(.*)"', (ROOT / "uv.lock").read_text())
    assert locked is not None
    assert chart["version"] == locked.group(1)


def _deployment(
    name: str, labels: dict[str, str], pod: dict[str, Any], *, pod_labels: dict[str, str]
) -> dict[str, Any]:
    selected = {"app.kubernetes.io/instance": "dagster", "component": name}
    return {
        "apiVersion": "apps/v1",
        "kind": "Deployment",
        "metadata": {"name": name, "namespace": "seedtest", "labels": labels},
        "spec": {
            "selector": {"matchLabels": selected},
            "template": {"metadata": {"labels": {**selected, **pod_labels}}, "spec": pod},
        },
    }


def _pod(values: dict[str, Any], account: str, *, command: list[str], environment: list[Any]) -> dict[str, Any]:
    """One pod of the chart."""
    probes = {}
    for probe in ("readinessProbe", "livenessProbe", "startupProbe"):
        if probe in values:
            probes[probe] = {key: value for key, value in values[probe].items() if key != "enabled"}
            if not {"exec", "httpGet"} & probes[probe].keys():
                probes[probe]["exec"] = {"command": ["dagster", "api", "grpc-health-check", "-p", str(values["port"])]}
    return {
        "serviceAccountName": account,
        "securityContext": values["podSecurityContext"],
        "containers": [
            {
                "name": "dagster",
                "image": "{repository}:{tag}".format(**values["image"]),
                "command": command,
                "securityContext": values["securityContext"],
                "env": environment,
                "envFrom": [
                    *({"configMapRef": one} for one in values["envConfigMaps"]),
                    *({"secretRef": one} for one in values["envSecrets"]),
                ],
                "resources": values["resources"],
                "volumeMounts": values["volumeMounts"],
                **probes,
            }
        ],
        "volumes": values["volumes"],
    }


def _mount_instance(pod: dict[str, Any], home: str) -> None:
    file = {"name": "dagster-instance", "mountPath": f"{home}/dagster.yaml", "subPath": "dagster.yaml"}
    (container,) = pod["containers"]
    container["volumeMounts"] = [file, *container["volumeMounts"]]
    pod["volumes"] = [{"name": "dagster-instance", "configMap": {"name": f"{NAME}-instance"}}, *pod["volumes"]]


def _rights(account: str) -> list[dict[str, Any]]:
    """What the chart and its subchart let an account do."""
    api = "rbac.authorization.k8s.io"
    name = f"{NAME}-{account}"
    rule = {"apiGroups": ["batch"], "resources": ["jobs"], "verbs": ["create", "delete"]}
    return [
        {
            "apiVersion": f"{api}/v1",
            "kind": "Role",
            "metadata": {"name": name, "namespace": "seedtest"},
            "rules": [rule],
        },
        {
            "apiVersion": f"{api}/v1",
            "kind": "RoleBinding",
            "metadata": {"name": name, "namespace": "seedtest"},
            "subjects": [{"kind": "ServiceAccount", "name": account, "namespace": "seedtest"}],
            "roleRef": {"apiGroup": api, "kind": "Role", "name": name},
        },
    ]


def stand_in(values: dict[str, Any]) -> list[dict[str, Any]]:
    """The chart's manifests, as far as the overlay and the tests look at them."""
    password = {"secretKeyRef": {"name": values["global"]["postgresqlSecretName"], "key": "postgresql-password"}}
    environment: list[Any] = [{"name": "DAGSTER_PG_PASSWORD", "valueFrom": password}]
    account = values["serviceAccount"]["name"]
    webserver, daemon, (code,) = values["dagsterWebserver"], values["dagsterDaemon"], USER_CODE["deployments"]
    current = {"name": "DAGSTER_CURRENT_IMAGE", "value": "{repository}:{tag}".format(**code["image"])}
    pods = {
        f"{RELEASE}-{webserver['nameOverride']}": (webserver, account, environment),
        f"{NAME}-daemon": (daemon, account, environment + daemon["env"]),
        f"{NAME}-{code['name']}": (code, USER_CODE["serviceAccount"]["name"], [current, *environment]),
    }
    made = [_configuration(f"{NAME}-instance", {"dagster.yaml": yaml.safe_dump(instance_of(values))})]
    for name, (own, own_account, variables) in pods.items():
        labels = own.get("deploymentLabels", {"deployment": own.get("name", "")})
        pod = _pod(own, own_account, command=["/bin/bash"], environment=variables)
        pod["automountServiceAccountToken"] = True
        if own is not code:
            pod["initContainers"] = [{"name": "check-db-ready", "image": "docker.io/library/postgres:14.6"}]
            _mount_instance(pod, values["global"]["dagsterHome"])
        made.append(_deployment(name, labels, pod, pod_labels=own["labels"]))
    for own, name in ((values, account), (USER_CODE, USER_CODE["serviceAccount"]["name"])):
        made += _rights(name) if own["rbacEnabled"] else []
    return made


def _of_the_chart(folder: str) -> list[dict[str, Any]]:
    """By Helm. Its check of the values needs the schemas of Kubernetes from the network."""
    values = DEPLOY / "helm" / "values.yaml"
    command = ["helm", "template", RELEASE, folder, "--namespace", "seedtest", "--values", values]
    done = subprocess.run([*command, "--skip-schema-validation"], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    return [one for one in yaml.safe_load_all(done.stdout) if one]


@pytest.fixture(params=["stand-in", pytest.param("chart", marks=pytest.mark.slow)])
def made(request: pytest.FixtureRequest) -> list[dict[str, Any]]:
    """The manifests that the chart makes of the values."""
    if request.param == "stand-in":
        return stand_in(VALUES)
    folder = os.environ.get("SEEDTEST_DAGSTER_CHART")
    if not folder or not shutil.which("helm"):
        pytest.skip("needs `helm`, and the folder of Dagster's chart in SEEDTEST_DAGSTER_CHART")
    return _of_the_chart(folder)


@pytest.fixture
def overlay(tmp_path: Path, made: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """The manifests of the overlay."""
    shutil.copytree(DEPLOY / "kubernetes", tmp_path / "kubernetes")
    shutil.copytree(DEPLOY / "helm", tmp_path / "helm")
    path = tmp_path / "helm" / "kustomization.yaml"
    kustomization = yaml.safe_load(path.read_text())
    del kustomization["helmCharts"]
    kustomization["resources"].append("chart.yaml")
    path.write_text(yaml.safe_dump(kustomization))
    (tmp_path / "helm" / "chart.yaml").write_text(yaml.safe_dump_all(made))
    return rendered(tmp_path / "helm")


def test_the_overlay_is_valid_and_the_deployments_are_the_charts(overlay: list[dict[str, Any]]) -> None:
    for manifest in overlay:
        validate(manifest)
    assert set(pods_of(overlay)) == {"seedtest-migrate", "dagster-webserver", f"{NAME}-daemon", f"{NAME}-seedtest"}
    names = {m["metadata"]["name"] for m in overlay}
    assert "seedtest-environment" in names
    assert not names & {"seedtest-workspace", "seedtest-instance", "seedtest-daemon"}


def test_only_the_daemon_launches_and_pods_have_least_rights(overlay: list[dict[str, Any]]) -> None:
    pods = pods_of(overlay)
    assert {name: pod["serviceAccountName"] for name, pod in pods.items()} == {
        "seedtest-migrate": "seedtest",
        "dagster-webserver": "seedtest-webserver",
        f"{NAME}-daemon": "seedtest-launcher",
        f"{NAME}-seedtest": "seedtest",
    }
    assert [name for name, pod in pods.items() if pod.get("automountServiceAccountToken", True)] == [
        "dagster-webserver",
        f"{NAME}-daemon",
    ]
    # The manifests' own rights are all there are.
    wanted = {m["metadata"]["name"] for m in rendered(DEPLOY / "kubernetes") if m["kind"] == "RoleBinding"}
    assert {m["metadata"]["name"] for m in overlay if m["kind"] == "RoleBinding"} == wanted
    images = set()
    for pod in pods.values():
        assert_least_rights(pod)
        assert_home_is_writable(pod)
        images |= {container["image"] for container in containers_of(pod)}
    assert images == {literals()["SEEDTEST_IMAGE"]}
    (code,) = pods[f"{NAME}-seedtest"]["containers"]
    assert {"name": "DAGSTER_CURRENT_IMAGE", "value": literals()["SEEDTEST_IMAGE"]} in code["env"]


def _secrets(pod: dict[str, Any]) -> set[tuple[str, bool]]:
    """Name of each secret whose keys are variables, and whether the pod starts without it."""
    (container,) = pod["containers"]
    sources = [source["secretRef"] for source in container["envFrom"] if "secretRef" in source]
    return {(source["name"], source.get("optional", False)) for source in sources}


def test_pods_read_the_secrets_that_they_read_without_the_chart(overlay: list[dict[str, Any]]) -> None:
    theirs, own = pods_of(overlay), pods_of(rendered(DEPLOY / "kubernetes"))
    of_storage = {("seedtest-dagster-credentials", False)}
    for manifest, chart in CHARTS_NAMES.items():
        assert _secrets(theirs[chart]) | of_storage == _secrets(own[manifest]), chart


def test_the_documentation_has_the_charts_name_of_everything_that_its_commands_name() -> None:
    page = (ROOT / "docs" / "kubernetes.md").read_text()
    table = dict(re.findall(r"^\| `([^`]+)` \| `([^`]+)` \|$", page, re.MULTILINE))
    for manifest, chart in CHARTS_NAMES.items():
        assert table[f"deployment/{manifest}"] == f"deployment/{chart}"
    for document in (ROOT / "docs").glob("*.md"):
        names = r"(?<!/)(?:deployment|service)/[\w-]+|--workspace [\w./-]+|--location \w+"
        named = set(re.findall(names, document.read_text()))
        assert named <= table.keys() | set(table.values()), document.name


def test_new_code_waits_for_the_migration(overlay: list[dict[str, Any]]) -> None:
    pods = pods_of(overlay)
    for name in (f"{NAME}-daemon", f"{NAME}-seedtest"):
        assert_waits_for_the_migration(pods[name])
    assert "initContainers" not in pods[f"{RELEASE}-webserver"]
    waves = {m["metadata"].get("annotations", {}).get(WAVE) for m in overlay if m["kind"] == "Deployment"}
    assert waves == {"1"}


def test_probes_are_cheap(made: list[dict[str, Any]], overlay: list[dict[str, Any]]) -> None:
    """Also where the values are used alone. The chart itself knows no native probe."""
    for pods in (pods_of(made), pods_of(overlay)):
        for pod in pods.values():
            assert_probes_are_cheap(pod)
    (code,) = pods_of(overlay)[f"{NAME}-seedtest"]["containers"]
    assert code["readinessProbe"]["grpc"] == code["startupProbe"]["grpc"] == CODE_PROBE
    assert not {"exec"} & (code["readinessProbe"].keys() | code["startupProbe"].keys())


def test_an_old_daemon_ends_before_the_new_one_starts(overlay: list[dict[str, Any]]) -> None:
    (daemon,) = (m for m in overlay if m["metadata"]["name"] == f"{NAME}-daemon" and m["kind"] == "Deployment")
    assert daemon["spec"]["strategy"] == {"type": "Recreate"}


def test_network_policies_know_the_pods_of_the_chart(overlay: list[dict[str, Any]]) -> None:
    templates = [m["spec"]["template"] for m in overlay if m["kind"] == "Deployment"]
    apps = {template["metadata"]["labels"]["app"] for template in templates}
    policies = {m["metadata"]["name"]: m["spec"] for m in overlay if m["kind"] == "NetworkPolicy"}
    for policy in policies.values():
        assert policy["podSelector"]["matchLabels"]["app"] in apps
    (code,) = USER_CODE["deployments"]
    assert policies["seedtest-code"]["ingress"][0]["ports"] == [{"port": code["port"]}]
    ui = VALUES["dagsterWebserver"]
    assert policies["seedtest-webserver"]["ingress"][0]["ports"] == [{"port": ui["service"]["port"]}]
    for probe in ("readinessProbe", "livenessProbe", "startupProbe"):
        assert ui[probe]["httpGet"]["httpHeaders"] == [{"name": "Host", "value": "localhost"}]


def test_the_migration_reads_the_instance_of_the_chart(overlay: list[dict[str, Any]]) -> None:
    pod = pods_of(overlay)["seedtest-migrate"]
    assert {"name": "instance", "configMap": {"name": f"{NAME}-instance"}} in pod["volumes"]
    (container,) = pod["containers"]
    assert [entry["name"] for entry in container["env"]] == ["DAGSTER_PG_PASSWORD"]
