"""Dagster's command line reads the project from a clone, without a database or a Dagster home."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]


@pytest.mark.long
def test_dg_finds_the_definitions(tmp_path: Path) -> None:
    unset = {"DAGSTER_HOME", "DAGSTER_POSTGRES_URL", "DATABASE_URL"}
    environment = {name: value for name, value in os.environ.items() if name not in unset}
    environment |= {"HOME": str(tmp_path), "VIRTUAL_ENV": sys.prefix}
    dg = Path(sys.executable).with_name("dg")
    done = subprocess.run(
        [dg, "list", "defs", "--json"], cwd=ROOT, env=environment, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    assert '"weekly_kpi/P"' in done.stdout
