"""A month of operation with a simulated clock: at its end the tables are what one computation from the start gives.

`make test-month` prints what the databases hold at the start of each week. docs/operations.md explains the comparisons.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import psycopg
import pytest
from psycopg import sql
from sqlalchemy import Engine

from seedtest_analytics.database.embedded_postgres import EmbeddedPostgres
from seedtest_analytics.database.engine import engine_for, normalised_url
from seedtest_analytics.instance_home import STORAGE
from seedtest_analytics.tables import metadata
from seedtest_analytics.tables.source import SOURCE_TABLES
from tests.month._compare import differences, numbers_of, row_count

ROOT = Path(__file__).parents[2]
ZONES = ("UTC", "Asia/Seoul")
WITHOUT_SCORES, READ_ONLY = 4, 21
"""As in ``_month``, which must not be imported here: it reads the time zone."""
RUNNING_WEEK = "2026-03-30"
SETTINGS = {
    "SEEDTEST_START_DATE": "2026-02-09",
    "SEEDTEST_EXECUTOR": "in_process",
    # A month shows what deletes old runs only if they are old after a week.
    "SEEDTEST_RUN_RETENTION_DAYS": "7",
    "MIRT_MIN_RESPONSES": "3",
    "GROWTH_BACKEND": "laplace",
    "PARALLEL": "1",
    "NUMBA_NUM_THREADS": "1",
    "OMP_NUM_THREADS": "1",
}
OUTPUTS = sorted(set(metadata.tables) - set(SOURCE_TABLES))
CALIBRATIONS = ("mirt_item_params", "mirt_item_params_history", "mirt_fit_meta")
OTHER_FITS = (
    "growth_glmm_meta", "growth_brms_meta", "growth_prediction", "survival_fit_meta", "survival_risk_history",
    "survival_risk", "prophet_fit_meta", "prophet_anomalies", "segment_meta", "segment_profile", "user_segment",
    "drift_windows", "item_calibration", "drift_alerts", "prediction_backtest", "fairness_audit", "inactivity_notice",
)  # fmt: skip
"""Fitted, noticed or judged at the time, and read by what follows."""
FOLLOWING = (
    "attempt_log", "attempt_quarantine", "ability_hyperparameters", "ability_state", "ability_topic_state",
    "mirt_ability", "ability_window", "student_topic_theta", "student_topic_theta_history", "features_topic_daily",
    "weekly_kpi", "prediction_verdict", "student_growth",
)  # fmt: skip
"""What answers and stored fits give."""
OF_OPERATION = (
    "attempt_touched_day", "cohort_report", "inactivity_notice", "message_outbox", "platform_health", "report_artifacts",
    "report_pages", "row_quarantine", "weekly_message",
)  # fmt: skip
"""What operation notes, sends and renders; a backfill of numbers does not write it."""
ITERATED = "growth_glmm_meta"
"""Fits of lme4, whose optimiser reaches the same estimates to about seven digits."""

pytestmark = [pytest.mark.slow, pytest.mark.r, pytest.mark.timeout(0)]


@dataclass
class Month:
    """The databases of a month in a time zone, and what its operation told."""

    zone: str
    server: EmbeddedPostgres
    url: str
    folder: Path
    told: dict[str, Any]

    @cached_property
    def engine(self) -> Engine:
        """The platform's tables at the end of the month."""
        return engine_for(normalised_url(self.url))

    def copy(self, name: str, *, without: list[str]) -> str:
        """URL of a copy of the tables as they are now, some of them empty."""
        name = f"{name}_{ZONES.index(self.zone)}"
        # A database that somebody uses cannot be copied.
        self.engine.dispose()
        with psycopg.connect(self.server.url("postgres", driver=""), autocommit=True) as admin:
            original = sql.Identifier(self.url.rsplit("/", 1)[1])
            admin.execute(sql.SQL("CREATE DATABASE {} TEMPLATE {}").format(sql.Identifier(name), original))
        if without:
            with psycopg.connect(self.server.url(name, driver="")) as connection:
                tables = sql.SQL(", ").join(map(sql.Identifier, without))
                connection.execute(sql.SQL("TRUNCATE {} RESTART IDENTITY").format(tables))
        return self.server.url(name)

    def run(self, part: str, url: str) -> dict[str, Any]:
        """Run a part of the month on a database, in a separate process."""
        return run(part, url, zone=self.zone, folder=self.folder / f"{part}-{url.rsplit('/', 1)[1]}")


LAUNCHER = """run_launcher:
  module: seedtest_analytics.schedules.run_processes
  class: PlatformRunLauncher
"""
IN_THIS_PROCESS = """run_launcher:
  module: seedtest_analytics.dagster_private
  class: SyncInMemoryRunLauncher
# Capturing the output of a step starts four processes.
compute_logs:
  module: seedtest_analytics.dagster_private
  class: NoOpComputeLogManager
"""


def instance_file() -> str:
    """The project's dagster.yaml, with runs in the process that requests them."""
    text = (ROOT / "dagster.yaml").read_text()
    assert LAUNCHER in text
    return text.replace(LAUNCHER, IN_THIS_PROCESS)


def run(part: str, url: str, *, zone: str, folder: Path, storage: str = "") -> dict[str, Any]:
    """A part of ``_month`` with a home in ``folder``; Dagster's storage is the given database, or files there."""
    folder.mkdir()
    (folder / "dagster.yaml").write_text(instance_file() + (STORAGE if storage else ""))
    environment = {n: v for n, v in os.environ.items() if not n.startswith(("SEEDTEST", "DAGSTER"))} | SETTINGS
    environment |= {"DATABASE_URL": url, "DAGSTER_HOME": str(folder), "SEEDTEST_TIMEZONE": zone}
    environment |= {"DAGSTER_POSTGRES_URL": storage or "postgresql+psycopg2://localhost/unused"}
    with (folder / "log").open("w") as log:
        command = [sys.executable, "-m", "tests.month._month", part, str(folder / "told.json")]
        done = subprocess.run(command, cwd=ROOT, env=environment, stderr=log, check=False)
    assert done.returncode == 0, (folder / "log").read_text()[-3000:]
    return dict(json.loads((folder / "told.json").read_text()))


@pytest.fixture(scope="module", params=ZONES)
def month(
    request: pytest.FixtureRequest,
    postgres_server: EmbeddedPostgres,
    new_database: Callable[..., str],
    tmp_path_factory: pytest.TempPathFactory,
) -> Month:
    """The month, once for each time zone."""
    folder = tmp_path_factory.mktemp("month")
    url, storage = new_database(migrated=True), new_database().replace("+psycopg", "+psycopg2")
    told = run("operate", url, zone=request.param, folder=folder / "home", storage=storage)
    return Month(request.param, postgres_server, url, folder, told)


def test_runs_fail_only_on_the_failing_days(month: Month) -> None:
    assert month.told["errors"] == []
    assert not [name for name in month.told["ticks"] if "FAILURE" in name]
    failed = {day: {job for other, job in month.told["failed"] if other == day} for day, _ in month.told["failed"]}
    assert failed[WITHOUT_SCORES] >= {"calibrate_irt", "rescore_weeks", "compute_daily_kpis"}
    assert failed[READ_ONLY] >= {"calibrate_irt", "sync_attempts", "generate_weekly_report"}
    others = {day: jobs for day, jobs in failed.items() if day not in (WITHOUT_SCORES, READ_ONLY)}
    # The quick growth model's own verdict may refuse a fit.
    assert set().union(*others.values()) <= {"fit_bayesian_growth"}, others


def test_tables_are_what_answers_and_stored_fits_give(month: Month) -> None:
    """Computed again from all answers, with the calibrations and other fits of the month."""
    # Rows of weekly_kpi keep what the forecasts wrote into them.
    kept = (*CALIBRATIONS, *OTHER_FITS, "weekly_kpi")
    url = month.copy("rescored", without=[name for name in OUTPUTS if name not in kept])
    assert month.run("rescore", url)["failed"] == []
    again = engine_for(normalised_url(url))
    assert [name for name in FOLLOWING if name != "attempt_quarantine" and not row_count(again, name)] == []
    # Rows of the running week are as of the last silence that the sensor noticed, until the next night. Its verdicts name
    # the methods of these rows. Growth percentiles of the running week come with a correction alone.
    but = {
        "weekly_kpi": f",{RUNNING_WEEK},",
        "prediction_verdict": f"({RUNNING_WEEK},",
        "student_growth": f",{RUNNING_WEEK},",
    }
    assert told(differences(month.engine, again, FOLLOWING, but=but)) == {}


def test_tables_after_a_backfill_are_those_of_one_computation(month: Month) -> None:
    """`seedtest materialize` on the tables of the month, and on the source alone."""
    empty, lived = month.copy("computed", without=OUTPUTS), month.copy("backfilled", without=[])
    for url in (empty, lived):
        month.run("compute", url)
    ours, new = (engine_for(normalised_url(url)) for url in (lived, empty))
    assert [name for name in FOLLOWING if name != "attempt_quarantine" and not row_count(new, name)] == []
    compared = [name for name in OUTPUTS if name not in (*OF_OPERATION, ITERATED)]
    assert told(differences(ours, new, compared)) == {}
    assert numbers_of(ours, ITERATED) == pytest.approx(numbers_of(new, ITERATED), rel=1e-4, abs=1e-4)


def told(found: dict[str, str]) -> dict[str, str]:
    """The differences, printed: pytest shortens them."""
    for name, what in found.items():
        sys.stdout.write(f"{name}: {what}\n")
    return found


def test_what_old_runs_leave_does_not_grow(month: Month) -> None:
    """Runs are kept for a week here, so two weeks of them are there at most, when the next pruning comes.

    Ticks that asked for runs are kept for 30 days, so a month does not show that they stop growing.
    """
    first, *_, last = month.told["sizes"][2:]
    for name in ("runs", "events", "checks", "other", "dagster_database", "platform_database"):
        assert last[name] < 1.5 * first[name], name
