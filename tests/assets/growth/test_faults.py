"""Growth where something is missing, wrong or killed: clear words, and nothing half written."""

import datetime as dt
import os
import re
import signal
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import dagster as dg
import numpy as np
import psutil
import pytest
from sqlalchemy import Engine

from seedtest_analytics.assets.growth.assets import glmm_growth
from seedtest_analytics.assets.growth.bayesian import week as growth_week
from seedtest_analytics.resources.stan.executables import default_cache_dir
from seedtest_analytics.settings import GrowthSettings
from tests._database import execute, rows_of, snapshot
from tests.assets._growth import LAST_WEEK, store_calibration, store_cohort, store_goal
from tests.assets._growth_runs import STAN, TABLES, checks_of, fit, fit_glmm, materialise, store_fit


@pytest.mark.parametrize(
    ("n_students", "n_weeks", "said"), [(1, 8, "1; it needs at least 2"), (20, 1, "1 distinct week")]
)
def test_too_little_to_fit_is_said_and_nothing_is_left_of_an_earlier_fit(
    database: Engine, n_students: int, n_weeks: int, said: str
) -> None:
    store_cohort(database, n_students=n_students, n_weeks=n_weeks)
    store_fit(database, LAST_WEEK)
    fits, predictions = fit(database)
    outcome = {outcome.check.name: outcome for outcome in fits.checks}
    assert not outcome["fitted"].is_passed
    assert said in outcome["fitted"].description
    assert outcome["diagnostics"].is_passed
    assert (fits.published.deleted, predictions.published.deleted) == (1, 1)
    assert rows_of(database, "SELECT 1 FROM growth_brms_meta UNION ALL SELECT 1 FROM growth_prediction") == []


@pytest.mark.parametrize("source", ["theta", "accuracy"])
def test_without_any_answer_there_is_no_fit(database: Engine, source: str) -> None:
    store_calibration(database, np.zeros(3))
    fits, predictions = fit(database, GrowthSettings(score_source=source))
    assert "no scores to fit" in fits.checks[0].description
    assert (fits.published.staged, predictions.published.staged) == (0, 0)


@pytest.mark.parametrize("family", ["gaussian", "binomial"])
def test_constant_scores_are_said(database: Engine, family: str) -> None:
    store_cohort(database, n_students=10)
    execute(database, "UPDATE attempt_log SET correct = true")
    fits, predictions = fit(database, GrowthSettings(backend="laplace", score_source="accuracy", family=family))
    assert not fits.checks[0].is_passed
    assert re.search("all 68 scores equal 1|every answer is right", fits.checks[0].description)
    assert (fits.published.staged, predictions.published.staged) == (0, 0)


def test_targets_beyond_every_score_give_certainties(database: Engine) -> None:
    truth = store_cohort(database, n_students=20)
    store_goal(database, truth.users[0], "a", 999.999)
    store_goal(database, truth.users[1], "a", -999.999, target_date=dt.date(9999, 12, 31))
    fit(database, STAN)
    rows = {r["user_id"]: r for r in rows_of(database, "SELECT user_id, p, p_lower, p_upper FROM growth_prediction")}
    assert set(rows[truth.users[0]].values()) == {truth.users[0], 0.0}
    assert set(rows[truth.users[1]].values()) == {truth.users[1], 1.0}


def test_without_a_calibration_there_is_no_growth_of_abilities(database: Engine) -> None:
    store_cohort(database, n_students=5)
    execute(database, "UPDATE mirt_fit_meta SET is_usable = false")
    fits, _ = fit(database)
    assert "no usable calibration" in fits.checks[0].description


def test_without_a_compiler_the_message_says_what_to_install(
    database: Engine, monkeypatch: pytest.MonkeyPatch, tmp_path: Any
) -> None:
    store_cohort(database, n_students=10)
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.delenv("CXX", raising=False)
    monkeypatch.setenv("SEEDTEST_CACHE_DIR", str(tmp_path))
    before = snapshot(database, *TABLES)
    with pytest.raises(dg.Failure, match=r"(?s)apt-get install g\+\+.*GROWTH_BACKEND=laplace") as failure:
        fit(database, GrowthSettings())
    assert failure.value.allow_retries is False
    assert snapshot(database, *TABLES) == before


def hide_r(monkeypatch: pytest.MonkeyPatch, empty_folder: Any) -> None:
    monkeypatch.setenv("PATH", str(empty_folder))
    monkeypatch.delenv("R_HOME", raising=False)


def test_without_r_brms_says_what_to_install(database: Engine, monkeypatch: pytest.MonkeyPatch, tmp_path: Any) -> None:
    store_cohort(database, n_students=10)
    hide_r(monkeypatch, tmp_path)
    before = snapshot(database, *TABLES)
    with pytest.raises(dg.Failure, match="install") as failure:
        fit(database, GrowthSettings(backend="brms"))
    assert failure.value.allow_retries is False
    assert snapshot(database, *TABLES) == before


def test_without_r_the_mixed_model_is_left_out_with_the_reason(
    database: Engine, monkeypatch: pytest.MonkeyPatch, tmp_path: Any
) -> None:
    store_cohort(database, n_students=10)
    hide_r(monkeypatch, tmp_path)
    before = snapshot(database, *TABLES)
    result, _ = materialise(database, [glmm_growth])
    assert result.success
    assert result.get_asset_materialization_events() == []
    for check in checks_of(result).values():
        assert check.passed
        assert check.description.startswith("not computed: R is not installed")
    assert snapshot(database, *TABLES) == before


@pytest.mark.r
def test_a_fit_of_r_that_takes_too_long_is_ended_and_writes_nothing(database: Engine) -> None:
    store_cohort(database, n_students=60)
    before = snapshot(database, *TABLES)
    with pytest.raises(dg.Failure, match=r"time-out of 0\.2 s.*R_GLMM_TIMEOUT_SECS"):
        fit_glmm(database, timeout_seconds=0.2)
    assert snapshot(database, *TABLES) == before


def test_two_runs_of_a_week_wait_for_each_other(database: Engine) -> None:
    store_cohort(database, n_students=40)
    errors: list[BaseException] = []

    def run() -> None:
        try:
            fit(database, STAN)
        except BaseException as error:  # noqa: BLE001 (handed to the test's thread)
            errors.append(error)

    threads = [threading.Thread(target=run) for _ in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    assert errors == []
    assert rows_of(database, "SELECT count(*) AS n FROM growth_brms_meta") == [{"n": 1}]
    assert rows_of(database, "SELECT count(*) AS n FROM growth_prediction") == [{"n": 40}]


def test_ended_in_the_middle_nothing_is_half_written(database: Engine, monkeypatch: pytest.MonkeyPatch) -> None:
    store_cohort(database, n_students=10)
    before = snapshot(database, *TABLES)

    def ends(*_: Any) -> Any:
        raise KeyboardInterrupt

    # Both tables have been written when the report of the run is made.
    monkeypatch.setattr(growth_week, "fit_metadata", ends)
    with pytest.raises(KeyboardInterrupt):
        fit(database)
    assert snapshot(database, *TABLES) == before


# Sampling for minutes, so that there is a middle to be killed in.
ENDLESS = """
from sqlalchemy import create_engine
from tests.assets._growth_runs import bayesian_growth, materialise
materialise(create_engine({url!r}), [bayesian_growth], bayesian_growth={{"n_samples": 100_000}})
"""


def contents(engine: Engine) -> dict[str, list[dict[str, Any]]]:
    """Rows of the fit and its predictions but for when they were computed."""
    query = "SELECT to_jsonb(t) - 'computed_at' AS row FROM {} AS t ORDER BY 1"
    return {table: rows_of(engine, query.format(table)) for table in ("growth_brms_meta", "growth_prediction")}


def test_killed_in_the_middle_of_sampling_nothing_is_left_and_the_next_run_gives_the_same(
    database: Engine, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """A run of the graph in a separate process group, ended by SIGKILL while its chains write draws."""
    store_cohort(database, n_students=30)
    fit(database, STAN)
    clean = contents(database)
    execute(database, "TRUNCATE growth_brms_meta, growth_prediction")
    before = snapshot(database, *TABLES)

    url = database.url.render_as_string(hide_password=False)
    environment = {
        **os.environ,
        "TMPDIR": str(tmp_path),
        "SEEDTEST_CACHE_DIR": str(default_cache_dir()),
        "PYTHONPATH": os.pathsep.join([os.getcwd(), os.environ.get("PYTHONPATH", "")]),
    }
    with subprocess.Popen(
        [sys.executable, "-c", ENDLESS.format(url=url)], env=environment, start_new_session=True
    ) as run:
        try:
            draws = wait_for(lambda: list(tmp_path.glob("seedtest-scratch-sampling-*/output/*.csv")), run)
            wait_for(lambda: any(path.stat().st_size > 100_000 for path in draws), run)
        finally:
            os.killpg(run.pid, signal.SIGKILL)
    assert wait_for(lambda: not chains_in(tmp_path))
    assert snapshot(database, *TABLES) == before
    assert list(tmp_path.glob("seedtest-scratch-sampling-*"))

    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    fit(database, STAN)
    assert contents(database) == clean
    assert list(tmp_path.glob("seedtest-scratch-*")) == []


def wait_for(condition: Callable[[], Any], process: subprocess.Popen[bytes] | None = None) -> Any:
    """What ``condition`` gives once it gives something; the process must not end before."""
    deadline = time.monotonic() + 120
    while not (found := condition()):
        assert process is None or process.poll() is None, "the run ended by itself"
        assert time.monotonic() < deadline, "nothing in two minutes"
        time.sleep(0.05)
    return found


def chains_in(folder: Path) -> list[psutil.Process]:
    """Chains that sample into a folder."""
    found = []
    for process in psutil.process_iter(["cmdline"]):
        if any(str(folder) in part for part in process.info["cmdline"] or []):
            found.append(process)
    return found


@pytest.mark.r
def test_r_killed_in_the_middle_of_a_fit_writes_nothing_and_the_next_run_does(
    database: Engine, monkeypatch: pytest.MonkeyPatch
) -> None:
    """SIGKILL once lme4 has been loaded into R and computes; a binomial fit takes seconds from there."""
    store_cohort(database, n_students=60)
    before = snapshot(database, *TABLES)
    killed: list[int] = []

    def kill() -> None:
        worker = wait_for(fitting_r)
        time.sleep(0.3)
        killed.append(worker.pid)
        worker.kill()

    killer = threading.Thread(target=kill)
    killer.start()
    with pytest.raises(dg.Failure, match=r"R ended during .*: signal SIGKILL") as failure:
        fit_glmm(database, family="binomial")
    killer.join()
    assert len(killed) == 1
    assert failure.value.allow_retries
    assert snapshot(database, *TABLES) == before
    (outcome,) = fit_glmm(database)
    assert (outcome.published.inserted, outcome.checks[0].is_passed) == (1, True)


def fitting_r() -> psutil.Process | None:
    """The R of this process, once the library of lme4 is in its memory."""
    for child in psutil.Process().children():
        try:
            if any("lme4.so" in region.path for region in child.memory_maps()):
                return child
        except psutil.Error:
            continue
    return None


@pytest.mark.parametrize(("n_students", "said"), [(0, "no rows"), (1, "one level")])
def test_a_mixed_model_of_nobody_or_one_student_is_said(database: Engine, n_students: int, said: str) -> None:
    if n_students:
        store_cohort(database, n_students=n_students)
    (outcome,) = fit_glmm(database)
    fitted = outcome.checks[0]
    assert not fitted.is_passed
    assert said in fitted.description
    assert rows_of(database, "SELECT 1 FROM growth_glmm_meta") == []


def test_a_formula_that_is_none_stops_before_r(database: Engine) -> None:
    store_cohort(database, n_students=5)
    with pytest.raises(dg.Failure, match="GLMM_FORMULA"):
        fit_glmm(database, formula="score ~ system('id')")
