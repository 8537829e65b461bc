"""Manifests as kubectl renders them."""

from __future__ import annotations

import functools
import subprocess
import sys
from pathlib import Path
from typing import Any

import kubernetes_validate
import yaml

ROOT = Path(__file__).parents[1]
DEPLOY = ROOT / "deploy"
KUBERNETES_VERSIONS = ("1.31", "1.34", "1.37")
"""Two years of releases; the packaged schemas end with the last one."""


@functools.cache
def rendered(folder: Path) -> list[dict[str, Any]]:
    """What `kubectl apply -k` would send."""
    kubectl = Path(sys.executable).with_name("kubectl")
    done = subprocess.run([kubectl, "kustomize", folder], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    return list(yaml.safe_load_all(done.stdout))


def validate(manifest: dict[str, Any]) -> None:
    """Against the schemas of every version; keys that no schema knows are errors."""
    for version in KUBERNETES_VERSIONS:
        kubernetes_validate.validate(manifest, version, strict=True)


def pods_of(manifests: list[dict[str, Any]]) -> dict[str, dict[str, Any]]:
    """The pod of each Deployment and Job by its name."""
    found = {m["metadata"]["name"]: m for m in manifests if m["kind"] in ("Deployment", "Job")}
    return {name: manifest["spec"]["template"]["spec"] for name, manifest in found.items()}
