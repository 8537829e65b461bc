"""`seedtest run`: the command that `seedtest health` prints, on one machine and in the pod of the daemon."""

import json
import shlex
import subprocess
from pathlib import Path
from types import SimpleNamespace

import pytest

from seedtest_analytics.schedules.jobs import range_tags
from tests.cli.conftest import Seedtest


@pytest.mark.long
def test_the_printed_repair_lasts_on_one_machine(
    seedtest: Seedtest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fails(*_: object, **__: object) -> None:
        raise ValueError("the disk is full")

    home = ["--home", str(tmp_path / "home")]
    with monkeypatch.context() as broken:
        broken.setattr("seedtest_analytics.assets.attempts.assets.sync_attempts", fails)
        code, output = seedtest(*home, "run", "sync_attempts")
        assert (code, "the disk is full" in output) == (1, True)
    code, output = seedtest(*home, "health")
    repair = f"seedtest --home {tmp_path / 'home'} run sync_attempts"
    assert code == 1
    assert f"attempt: failed\n  {repair}\n" in output
    code, output = seedtest(*shlex.split(repair)[1:])
    assert code == 0, output
    code, output = seedtest(*home, "health")
    assert (code, "attempt: ok" in output) == (0, True), output


@pytest.mark.parametrize(
    ("words", "refusal"),
    [
        (["calibrate"], "unknown job: calibrate. The jobs are aggregate_features_daily"),
        (["sync_attempts", "2026-03-02"], "has no partitions"),
        (["calibrate_irt", "2026-03-03"], "the job calibrate_irt has no partition 2026-03-03; they begin 20"),
        (["calibrate_irt", "2026-03-09", "2026-03-02"], "is after the last one"),
    ],
)
def test_what_cannot_run_is_refused_before_any_work(seedtest: Seedtest, words: list[str], refusal: str) -> None:
    code, output = seedtest("run", *words)
    assert code == 2
    assert refusal in " ".join(output.replace("│", " ").split())


@pytest.fixture
def launches(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> list[list[str]]:
    """The commands that a pod starts, which has a workspace file."""
    found: list[list[str]] = []
    workspace = tmp_path / "workspace.yaml"
    workspace.touch()

    def started(command: list[str], **_: object) -> SimpleNamespace:
        found.append(command)
        return SimpleNamespace(returncode=0)

    monkeypatch.setattr("seedtest_analytics.cli.run.WORKSPACES", (workspace,))
    monkeypatch.setattr(subprocess, "run", started)
    monkeypatch.setenv("KUBERNETES_SERVICE_HOST", "10.0.0.1")
    return found


def test_in_a_pod_a_range_of_partitions_is_queued(seedtest: Seedtest, launches: list[list[str]]) -> None:
    code, output = seedtest("run", "calibrate_irt", "2026-03-02", "2026-03-09")
    assert code == 0, output
    ((*_, tags, _, config),) = launches
    assert (json.loads(tags), json.loads(config)) == (range_tags("2026-03-02", "2026-03-09"), {})


@pytest.mark.parametrize(
    ("words", "refusal"),
    [
        (["--set", "MIRT_LOOKBACK_DAYS=90", "run", "calibrate_irt"], "does not reach the pods of a run"),
        (["--set", "DRY_RUN=true", "run", "upload_waiting_reports"], "has no dry run on Kubernetes"),
    ],
)
def test_in_a_pod_a_setting_that_the_run_would_not_have_is_refused(
    seedtest: Seedtest, launches: list[list[str]], words: list[str], refusal: str
) -> None:
    code, output = seedtest(*words)
    assert (code, launches) == (2, [])
    assert refusal in output
