"""The commands `seedtest goal-probability` and `seedtest goal-calibration`."""

import datetime as dt
import json
from typing import Any

import numpy as np
import pytest
from sqlalchemy import Engine
from typer.testing import CliRunner

from seedtest_analytics.cli.app import app
from seedtest_analytics.database.sql_files import statement
from seedtest_analytics.stats.growth.goal import goal_probability
from seedtest_analytics.stats.growth.posterior import GrowthPosterior, Thresholds
from seedtest_analytics.stats.growth.priors import GrowthPriors
from tests._database import database, execute, shared_database

__all__ = ["database", "shared_database"]

QUESTION = ["goal-probability", "--current-score", "0.3", "--trend", "0.05", "--target-score", "0.6"]


@pytest.fixture
def command(database: Engine, monkeypatch: pytest.MonkeyPatch, tmp_path: Any):
    """Run the command on the test's database."""
    monkeypatch.setenv("DATABASE_URL", database.url.render_as_string(hide_password=False))
    monkeypatch.setenv("COLUMNS", "200")
    # The command sets it; monkeypatch restores it.
    monkeypatch.setenv("DAGSTER_HOME", str(tmp_path))

    def run(*arguments: str) -> Any:
        return CliRunner().invoke(app, ["--home", str(tmp_path), *arguments])

    return run


def draws() -> np.ndarray:
    rng = np.random.default_rng(5)
    centre = np.array([0.2, 0.03, np.log(0.9), np.log(0.05), 0.0, np.log(0.5)])
    return centre + rng.normal(0, 0.05, (400, 6))


def store_fit(engine: Engine, week: str, is_usable: bool = True) -> None:
    values = {"theta": draws().tolist(), "columns": [], "week_mean": 3.5, "last_week": 7.0}
    spec = {"family": "gaussian", "method": "stan", "seed": 1, "students": 60, "scores": 400, "score_unit": "logit"}
    execute(
        engine,
        "INSERT INTO growth_brms_meta (run_id, formula, priors, fitted_at, week_start, is_usable, model_spec, "
        "draws) VALUES (:run, 'f', CAST(:priors AS jsonb), CAST(:week AS date), CAST(:week AS date), :usable, "
        "CAST(:spec AS jsonb), CAST(:draws AS jsonb))",
        {
            "run": f"brms-{week}",
            "week": week,
            "usable": is_usable,
            "priors": json.dumps(GrowthPriors().to_json()),
            "spec": json.dumps(spec),
            "draws": json.dumps(values),
        },
    )


def test_the_answer_is_the_functions_as_json(database: Engine, command: Any) -> None:
    store_fit(database, "2026-02-23")
    store_fit(database, "2026-03-02", is_usable=False)
    result = command(*QUESTION, "--weeks-remaining", "8", "--credible-interval", "0.9")
    assert result.exit_code == 0, result.output
    posterior = GrowthPosterior(
        family="gaussian",
        method="stan",
        theta=draws()[None],
        weights=None,
        priors=GrowthPriors(),
        seed=1,
        week_mean=3.5,
        last_week=7.0,
        n_students=60,
        n_scores=400,
        thresholds=Thresholds(max_rhat=np.inf, min_ess=0),
    )
    expected = goal_probability(
        0.3, 0.05, weeks_remaining=8, target_score=0.6, credible_interval=0.9, posterior=posterior
    )
    answer = json.loads(result.stdout)
    assert list(answer) == ["probability", "lower", "upper", "uncertainty"]
    assert answer == pytest.approx(expected)
    assert 0 <= answer["lower"] <= answer["probability"] <= answer["upper"] <= 1
    # The newest usable fit, not the newest.
    assert "brms-2026-02-23" in result.stderr


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["--weeks-remaining", "8"], "no usable gaussian growth fit yet"),
        (["--weeks-remaining", "8", "--week", "2026-02-16"], "for the week of 2026-02-16"),
    ],
)
def test_without_a_usable_fit_it_says_what_to_run(command: Any, arguments: list[str], said: str) -> None:
    result = command(*QUESTION, *arguments)
    assert result.exit_code == 2
    assert said in result.output
    assert "materialise growth_brms_meta" in result.output


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["--weeks-remaining", "-1"], "between 0 and 260"),
        (["--weeks-remaining", "261"], "between 0 and 260"),
        (["--weeks-remaining", "8", "--credible-interval", "1"], "between 0 and 1"),
        (["--weeks-remaining", "nan"], "between 0 and 260"),
        (["--weeks-remaining", "8", "--week", "2026-13-23"], "--week '2026-13-23' is not a date; use YYYY-MM-DD"),
    ],
)
def test_numbers_out_of_range_are_named(database: Engine, command: Any, arguments: list[str], said: str) -> None:
    store_fit(database, "2026-02-23")
    result = command(*QUESTION, *arguments)
    assert result.exit_code == 2
    assert said in result.output


def test_calibration_scores_p_against_the_true_lines(database: Engine, command: Any) -> None:
    refused = command("goal-calibration")
    assert refused.exit_code == 2
    assert "seedtest simulate --load" in refused.output
    for name in ("schema", "cohort", "student", "student_topic", "student_week"):
        execute(database, statement("load/cohort.sql", f"create_{name}").text)
    assert "seedtest materialize" in command("goal-calibration").output
    store_fit(database, "2026-02-23")
    # Ten students on lines 0.1 * week from 2026-01-05; half of them have a target above their line in the middle of
    # the week of 2026-03-23, which is week 11, and are said to have a chance of 0.2. Their topics raise them by 0.1.
    for number in range(10):
        is_reached = number < 5
        execute(
            database, "INSERT INTO simulation.student VALUES (:u, -0.1, 0.1, 0, NULL, NULL, 0)", {"u": f"s{number}"}
        )
        execute(
            database,
            "INSERT INTO simulation.student_topic VALUES (:u, 't1', 0.4), (:u, 't2', -0.2)",
            {"u": f"s{number}"},
        )
        execute(
            database,
            "INSERT INTO simulation.student_week VALUES (:u, '2026-01-05', 0, 'active', 0, 0)",
            {"u": f"s{number}"},
        )
        execute(
            database,
            "INSERT INTO growth_prediction VALUES (:u, '2026-02-23', 'brms-2026-02-23', 0, 1, 0.1, 0.1, 1, :low, 2, "
            "0.4, :p, 0, 1, :target, 0.2, 'default', :day, 'configured', 5, 50)",
            {
                "u": f"s{number}",
                "p": 0.8 if is_reached else 0.2,
                "target": 1.09 if is_reached else 1.11,
                "low": 0.0 if number else 1.9,
                "day": dt.date(2026, 3, 27),
            },
        )
    result = command("goal-calibration")
    assert result.exit_code == 0, result.output
    assert "brms-2026-02-23" in result.output
    row = next(line for line in result.output.splitlines() if line.startswith("│       10"))
    cells = [cell.strip() for cell in row.strip("│").split("│")]
    # Brier: every probability is 0.2 off.
    assert cells[:5] == ["10", "0.500", "0.500", "0.040", "0.250"]
    assert "contain 90.0% of the true levels" in result.output
