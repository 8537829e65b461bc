"""A Kubernetes API on the loopback interface, as far as Dagster's launcher and executor use it.

Each Job's pod is a process of this machine. What matters for faults is as in a cluster: Jobs are checked against the
published schema, a Job that is deleted without a propagation policy orphans its pod, a pod that is deleted gets SIGTERM
and after its grace period SIGKILL, and a pod whose image cannot be pulled stays pending.
"""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlparse

import kubernetes_validate

NAMESPACE = "seedtest"
STARTED = "2026-01-01T00:00:00Z"
_JOBS = re.compile(r"/apis/batch/v1/namespaces/[^/]+/jobs(?:/(?P<name>[^/]+))?(?:/status)?")
_PODS = re.compile(r"/api/v1/namespaces/[^/]+/pods(?:/(?P<name>[^/]+))?(?P<log>/log)?")

Answer = tuple[int, Any]


def failure(code: int, reason: str) -> Answer:
    return code, {"kind": "Status", "apiVersion": "v1", "status": "Failure", "code": code, "reason": reason}


@dataclass
class Pod:
    """A pod of a Job; ``process`` is None while its image cannot be pulled."""

    job: dict[str, Any]
    process: subprocess.Popen[bytes] | None
    log: Path

    @property
    def name(self) -> str:
        return f"{self.job['metadata']['name']}-x"

    @property
    def phase(self) -> str:
        if self.process is None:
            return "Pending"
        code = self.process.poll()
        return "Running" if code is None else "Succeeded" if code == 0 else "Failed"

    def matches(self, selector: Mapping[str, str]) -> bool:
        return selector.items() <= self.labels.items()

    @property
    def labels(self) -> dict[str, str]:
        template = self.job["spec"]["template"]
        return {**template["metadata"].get("labels", {}), "job-name": self.job["metadata"]["name"]}

    def as_manifest(self) -> dict[str, Any]:
        (container,) = self.job["spec"]["template"]["spec"]["containers"]
        states = {
            "Pending": {"waiting": {"reason": "ImagePullBackOff"}},
            "Running": {"running": {"startedAt": STARTED}},
        }
        code = self.process.poll() if self.process is not None else None
        ended = {
            "terminated": {"exitCode": code or 0, "reason": "OOMKilled" if code == -signal.SIGKILL else "Completed"}
        }
        state = states.get(self.phase, ended)
        status = {
            "name": container["name"],
            "ready": "running" in state,
            "restartCount": 0,
            "imageID": "",
            "state": state,
        }
        return {
            "metadata": {"name": self.name, "namespace": NAMESPACE, "labels": self.labels, "uid": self.name},
            "spec": self.job["spec"]["template"]["spec"],
            "status": {"phase": self.phase, "containerStatuses": [{**status, "image": container["image"]}]},
        }

    def delete(self, grace_seconds: float) -> None:
        if self.process is None or self.process.poll() is not None:
            return
        os.killpg(self.process.pid, signal.SIGTERM)
        threading.Timer(grace_seconds, self.kill).start()

    def kill(self) -> None:
        """As the kernel kills the processes of a container that uses too much memory."""
        if self.process is not None and self.process.poll() is None:
            os.killpg(self.process.pid, signal.SIGKILL)
            self.process.wait()


@dataclass
class LoopbackKubernetes:
    """``environment`` stands for what image, ConfigMaps and Secrets give a container."""

    folder: Path
    environment: dict[str, str]
    grace_seconds: float = 30.0
    pulls_images: bool = True
    jobs: dict[str, dict[str, Any]] = field(default_factory=dict)
    pods: dict[str, Pod] = field(default_factory=dict)
    submitted: list[dict[str, Any]] = field(default_factory=list)
    faults: list[tuple[str, int]] = field(default_factory=list)
    """Method and status code of the next requests that fail."""
    started: list[Pod] = field(default_factory=list)
    lock: threading.RLock = field(default_factory=threading.RLock)

    def handle(self, method: str, path: str, *, query: Mapping[str, list[str]], body: Any) -> Answer:
        with self.lock:
            for fault in self.faults:
                if fault[0] == method:
                    self.faults.remove(fault)
                    return failure(fault[1], "injected")
            selector = dict(part.split("=", 1) for part in query.get("labelSelector", [""])[0].split(",") if part)
            if found := _JOBS.fullmatch(path):
                policy = (body or {}).get("propagationPolicy") or query.get("propagationPolicy", [""])[0]
                return self._jobs(method, found["name"], selector=selector, policy=policy, body=body)
            if found := _PODS.fullmatch(path):
                return self._pods(method, found["name"], selector=selector, log=bool(found["log"]))
            if path.endswith("/events"):
                return 200, {"kind": "EventList", "items": []}
            return failure(404, path)

    def _jobs(self, method: str, name: str, *, selector: Mapping[str, str], policy: str, body: Any) -> Answer:
        if method == "POST":
            return self._create(body)
        if name is not None and name not in self.jobs:
            return failure(404, "NotFound")
        named = [name] if name is not None else list(self.jobs)
        chosen = [n for n in named if selector.items() <= self.jobs[n]["metadata"].get("labels", {}).items()]
        if method == "DELETE":
            for one in chosen:
                del self.jobs[one]
                # A client of batch/v1 that names no policy orphans the pods.
                if policy in ("Background", "Foreground"):
                    self.pods.pop(f"{one}-x").delete(self.grace_seconds)
            return 200, {"kind": "Status", "status": "Success"}
        if name is not None:
            return 200, self._with_status(self.jobs[name])
        return 200, {"kind": "JobList", "metadata": {}, "items": [self._with_status(self.jobs[n]) for n in chosen]}

    def _create(self, job: dict[str, Any]) -> Answer:
        kubernetes_validate.validate(job, "1.30", strict=True)
        name = job["metadata"]["name"]
        if name in self.jobs:
            return failure(409, "AlreadyExists")
        self.submitted.append(job)
        self.jobs[name] = job
        log = self.folder / f"{name}.log"
        pod = Pod(job, self._start(job, log) if self.pulls_images else None, log)
        self.pods[pod.name] = pod
        self.started.append(pod)
        return 201, job

    def _start(self, job: dict[str, Any], log: Path) -> subprocess.Popen[bytes]:
        (container,) = job["spec"]["template"]["spec"]["containers"]
        given = {entry["name"]: entry["value"] for entry in container.get("env", []) if "value" in entry}
        environment = {**given, **self.environment, "HOSTNAME": f"{job['metadata']['name']}-x"}
        command = [*container.get("command", []), *container.get("args", [])]
        with log.open("wb") as file:
            return subprocess.Popen(
                command, env=environment, stdout=file, stderr=subprocess.STDOUT, start_new_session=True
            )

    def _with_status(self, job: dict[str, Any]) -> dict[str, Any]:
        pod = self.pods[f"{job['metadata']['name']}-x"]
        count = {"Succeeded": {"succeeded": 1}, "Failed": {"failed": 1}}.get(pod.phase, {"active": 1})
        return {**job, "status": {"startTime": STARTED, **count}}

    def _pods(self, method: str, name: str, *, selector: Mapping[str, str], log: bool) -> Answer:
        if name is not None and name not in self.pods:
            return failure(404, "NotFound")
        if name is None:
            return 200, {"metadata": {}, "items": [p.as_manifest() for p in self.pods.values() if p.matches(selector)]}
        pod = self.pods[name]
        if method == "DELETE":
            self.pods.pop(name).delete(self.grace_seconds)
            return 200, pod.as_manifest()
        return 200, pod.log.read_bytes() if log else pod.as_manifest()

    def pod(self, of: str) -> Pod:
        """The living pod whose Job's name contains ``of``."""
        (found,) = (pod for name, pod in self.pods.items() if of in name and pod.phase in ("Running", "Pending"))
        return found

    def close(self) -> None:
        for pod in self.started:
            pod.kill()


@contextmanager
def serving(cluster: LoopbackKubernetes) -> Iterator[Path]:
    """Serve the API; yield the kubeconfig that leads to it."""

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def answer(self) -> None:
            address = urlparse(self.path)
            length = int(self.headers.get("content-length") or 0)
            body = json.loads(self.rfile.read(length)) if length else None
            try:
                code, content = cluster.handle(self.command, address.path, query=parse_qs(address.query), body=body)
            except Exception as error:  # noqa: BLE001 (the answer has it)
                code, content = failure(422, f"{type(error).__name__}: {error}")
            data = content if isinstance(content, bytes) else json.dumps(content).encode()
            self.send_response(code)
            self.send_header("content-type", "application/json")
            self.send_header("content-length", str(len(data)))
            self.end_headers()
            self.wfile.write(data)

        do_GET = do_POST = do_DELETE = answer  # noqa: N815

        def log_message(self, *_: object) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    context = {"cluster": "loopback", "user": "test", "namespace": NAMESPACE}
    config = cluster.folder / "kubeconfig"
    config.write_text(
        json.dumps(
            {
                "apiVersion": "v1",
                "kind": "Config",
                "current-context": "loopback",
                "clusters": [{"name": "loopback", "cluster": {"server": f"http://127.0.0.1:{server.server_port}"}}],
                "users": [{"name": "test", "user": {"token": "t"}}],
                "contexts": [{"name": "loopback", "context": context}],
            }
        )
    )
    try:
        yield config
    finally:
        server.shutdown()
        server.server_close()
        cluster.close()
