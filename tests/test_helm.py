"""The values for Dagster's own chart make the instance and the pods of the manifests.

The chart itself is not here. What its templates make of the values is restated in `instance_of` and `chart`.
"""

from __future__ import annotations

import re
import shutil
from pathlib import Path
from typing import Any

import pytest
import yaml
from dagster_postgres import PostgresEventLogStorage

from seedtest_analytics.dagster_private import process_config, resolve_to_config_type
from seedtest_analytics.schedules.run_pods import PlatformK8sRunLauncher
from tests._kustomize import DEPLOY, ROOT, pods_of, rendered, validate
from tests.test_deploy import INSTANCE, assert_least_rights, literals

VALUES: dict[str, Any] = yaml.safe_load((DEPLOY / "helm" / "values.yaml").read_text())
LAUNCHER = VALUES["runLauncher"]["config"]["customRunLauncher"]
USER_CODE = VALUES["dagster-user-deployments"]
NAME = VALUES["global"]["fullnameOverride"]
OWN_NAMES = {"instance_config_map", "env_secrets", "postgres_password_secret", "volumes"}
"""Of the launcher: the chart's ConfigMap, and a password in place of a URL."""


def _snake(values: dict[str, Any]) -> dict[str, Any]:
    return {re.sub(r"(?<!^)(?=[A-Z])", "_", key).lower(): value for key, value in values.items()}


def instance_of(values: dict[str, Any]) -> dict[str, Any]:
    """The chart's dagster.yaml without its storage."""
    daemon = values["dagsterDaemon"]
    retention = {name: _snake(part) for name, part in _snake(values["retention"]).items() if name != "enabled"}
    made = {
        "run_launcher": LAUNCHER,
        "compute_logs": values["computeLogManager"]["config"]["customComputeLogManager"],
        "run_monitoring": _snake(daemon["runMonitoring"]),
        "sensors": _snake(daemon["sensors"]),
        "schedules": _snake(daemon["schedules"]),
        "telemetry": values["telemetry"],
        "retention": retention,
    }
    assert not daemon["runCoordinator"]["enabled"]
    assert not daemon["runRetries"]["enabled"]
    assert not made.keys() & values["additionalInstanceConfig"].keys(), "a key would be there twice"
    return made | values["additionalInstanceConfig"]


def test_the_instance_of_the_chart_is_that_of_the_manifests() -> None:
    made = instance_of(VALUES)
    wanted = {key: value for key, value in INSTANCE.items() if key != "storage"}
    assert {k: v for k, v in made.items() if k != "run_launcher"} == {
        k: v for k, v in wanted.items() if k != "run_launcher"
    }
    own, manifests = LAUNCHER["config"], wanted["run_launcher"]["config"]
    assert (LAUNCHER["module"], LAUNCHER["class"]) == (
        wanted["run_launcher"]["module"],
        PlatformK8sRunLauncher.__name__,
    )
    assert own.keys() - {"postgres_password_secret"} == manifests.keys()
    assert {k: v for k, v in own.items() if k not in OWN_NAMES} == {
        k: v for k, v in manifests.items() if k not in OWN_NAMES
    }


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


def chart(values: dict[str, Any]) -> list[dict[str, Any]]:
    """The chart's Deployments, as far as the overlay patches them."""
    password = {"secretKeyRef": {"name": values["global"]["postgresqlSecretName"], "key": "postgresql-password"}}
    environment: list[Any] = [{"name": "DAGSTER_PG_PASSWORD", "valueFrom": password}]
    account = values["serviceAccount"]["name"]
    webserver, daemon, (code,) = values["dagsterWebserver"], values["dagsterDaemon"], USER_CODE["deployments"]
    current = {"name": "DAGSTER_CURRENT_IMAGE", "value": "{repository}:{tag}".format(**code["image"])}
    pods = {
        "dagster-webserver": (webserver, account, environment),
        f"{NAME}-daemon": (daemon, account, environment + daemon["env"]),
        f"{NAME}-{code['name']}": (code, USER_CODE["serviceAccount"]["name"], [current, *environment]),
    }
    made = []
    for name, (own, own_account, variables) in pods.items():
        labels = own.get("deploymentLabels", {"deployment": own.get("name", "")})
        pod = _pod(own, own_account, command=["/bin/bash"], environment=variables)
        if own is webserver:
            pod["automountServiceAccountToken"] = True
        made.append(_deployment(name, labels, pod, pod_labels=own["labels"]))
    return made


@pytest.fixture
def overlay(tmp_path: Path) -> list[dict[str, Any]]:
    """The manifests of the overlay with the stand-in for the chart."""
    shutil.copytree(DEPLOY / "kubernetes", tmp_path / "kubernetes")
    shutil.copytree(DEPLOY / "helm", tmp_path / "helm")
    path = tmp_path / "helm" / "kustomization.yaml"
    kustomization = yaml.safe_load(path.read_text())
    del kustomization["helmCharts"]
    kustomization["resources"].append("chart.yaml")
    path.write_text(yaml.safe_dump(kustomization))
    (tmp_path / "helm" / "chart.yaml").write_text(yaml.safe_dump_all(chart(VALUES)))
    return rendered(tmp_path / "helm")


def test_the_overlay_is_valid_and_the_deployments_are_the_charts(overlay: list[dict[str, Any]]) -> None:
    for manifest in overlay:
        validate(manifest)
    assert set(pods_of(overlay)) == {"seedtest-migrate", "dagster-webserver", f"{NAME}-daemon", f"{NAME}-seedtest"}
    assert [m["metadata"]["name"] for m in overlay if m["kind"] in ("Service", "ConfigMap")] == ["seedtest-environment"]


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
    images = set()
    for pod in pods.values():
        assert_least_rights(pod)
        images |= {container["image"] for container in pod["containers"]}
    assert images == {literals()["SEEDTEST_IMAGE"]}
    (code,) = pods[f"{NAME}-seedtest"]["containers"]
    assert {"name": "DAGSTER_CURRENT_IMAGE", "value": literals()["SEEDTEST_IMAGE"]} in code["env"]


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
