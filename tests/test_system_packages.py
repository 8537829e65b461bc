"""scripts/install-system-packages with stand-ins for apt-get, dpkg-query, id and sudo."""

import shutil
import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
SCRIPT = ROOT / "scripts/install-system-packages"
PACKAGES = ["r-base-core", "r-cran-lme4", "r-cran-brms", "dpkg-dev", "g++", "make", "chromium"]
PACKAGES += ["pgbouncer", "poppler-utils", "fonts-nanum"]


@pytest.fixture
def machine(tmp_path):
    """A PATH with the few tools the script uses, and what is put there."""
    for tool in ("sh", "sed", "tr", "env"):
        (tmp_path / tool).symlink_to(shutil.which(tool))
    return tmp_path


def put(machine, name, body):
    (machine / name).write_text(f"#!/bin/sh\n{body}\n")
    (machine / name).chmod(0o755)


def debian(machine, installed, user_id=0):
    names = "|".join(installed) or "none"
    put(machine, "dpkg-query", f'for last; do :; done; case "$last" in {names}) printf installed;; *) exit 1;; esac')
    put(machine, "apt-get", f'echo "apt-get $*" >> {machine}/calls')
    put(machine, "id", f"echo {user_id}")


def run(machine, *options, **environment):
    return subprocess.run(
        [machine / "sh", SCRIPT, *options], env={"PATH": str(machine), **environment}, capture_output=True, text=True
    )


def calls(machine):
    return (machine / "calls").read_text() if (machine / "calls").exists() else ""


def test_nothing_is_done_where_all_is_there(machine):
    debian(machine, PACKAGES, user_id=1000)
    result = run(machine)
    assert (result.returncode, result.stdout) == (0, "system packages: all installed\n")
    assert calls(machine) == ""


def test_only_what_is_missing_is_installed(machine):
    debian(machine, ["r-base-core", "make"])
    result = run(machine)
    assert result.returncode == 0
    assert "installing r-cran-lme4 r-cran-brms dpkg-dev g++ chromium" in result.stdout
    assert calls(machine).splitlines() == [
        "apt-get -o DPkg::Lock::Timeout=120 update -qq",
        "apt-get -o DPkg::Lock::Timeout=120 install -y -qq --no-install-recommends "
        "r-cran-lme4 r-cran-brms dpkg-dev g++ chromium pgbouncer poppler-utils fonts-nanum",
    ]


def test_sudo_is_used_by_others_than_root(machine):
    debian(machine, [], user_id=1000)
    put(machine, "sudo", f'echo sudo >> {machine}/calls; exec "$@"')
    assert run(machine).returncode == 0
    assert calls(machine).splitlines()[0] == "sudo"


def test_without_rights_the_command_is_named(machine):
    debian(machine, ["make"], user_id=1000)
    result = run(machine)
    assert result.returncode == 1
    assert (
        "apt-get install --no-install-recommends r-base-core r-cran-lme4 r-cran-brms dpkg-dev g++ chromium"
        in result.stderr
    )


def test_without_apt_the_packages_are_named(machine):
    result = run(machine)
    assert result.returncode == 1
    assert "there is no apt-get here" in result.stderr
    assert all(package in result.stderr for package in PACKAGES)


def test_can_be_skipped(machine):
    result = run(machine, SEEDTEST_SKIP_SYSTEM_PACKAGES="1")
    assert (result.returncode, calls(machine)) == (0, "")


def test_the_demo_installs_only_r_and_quietly(machine):
    debian(machine, ["make"])
    result = run(machine, "--demo")
    assert (result.returncode, result.stdout) == (0, "system packages: installing r-base-core r-cran-lme4\n")
    assert calls(machine).splitlines()[-1].endswith("--no-install-recommends r-base-core r-cran-lme4")


def test_the_demo_uses_sudo_that_asks_for_no_password(machine):
    debian(machine, [], user_id=1000)
    put(machine, "sudo", f'echo sudo >> {machine}/calls; shift; [ "$1" = true ] || exec "$@"')
    assert run(machine, "--demo").returncode == 0
    assert "apt-get -o DPkg::Lock::Timeout=120 update -qq" in calls(machine)


@pytest.mark.parametrize("case", ["no rights", "no apt", "no network"])
def test_the_demo_says_in_one_line_what_is_left_out(machine, case):
    if case != "no apt":
        debian(machine, [], user_id=0 if case == "no network" else 1000)
    if case == "no network":
        put(machine, "apt-get", "echo E: cannot resolve; exit 100")
    result = run(machine, "--demo")
    assert (result.returncode, result.stderr) == (0, "")
    assert "R is left out" in result.stdout.splitlines()[-1]
    if case == "no network":
        assert "(apt-get says: cannot resolve)" in result.stdout
    assert "apt-get install --no-install-recommends r-base-core r-cran-lme4" in result.stdout


def test_the_demo_is_quiet_where_r_is_there(machine):
    debian(machine, ["r-base-core", "r-cran-lme4"], user_id=1000)
    assert run(machine, "--demo").stdout == ""
