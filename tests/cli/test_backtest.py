"""The output of `seedtest backtest`."""

from typing import Any

import pytest
from sqlalchemy import Engine
from typer.testing import CliRunner

from seedtest_analytics.cli.app import app
from tests._database import database, execute, shared_database

__all__ = ["database", "shared_database"]

STORE = """
INSERT INTO prediction_backtest
    (judged_until, baseline, week_start, prediction, method, n, cohort_size, observed_share, predicted_share, brier,
     brier_baseline, brier_skill, log_score,
     log_score_baseline, calibration_slope, ici, auc, mae, mae_baseline, coverage, coverage_level, is_credible)
VALUES
    (now(), 'known share', current_date - 21, 'S', 'cox', 1234, 1234, 0.881, 0.874, 0.071, 0.105, 0.324, 0.3,
     0.4, 0.951, 0.012, 0.913, NULL, NULL, NULL, NULL, true),
    (now(), 'known share', current_date - 14, 'S', 'cox', 12350, 12350, 0.882, 0.574, 0.171, 0.105, -0.629, 0.5,
     0.4, -0.251, 0.312, 0.613, NULL, NULL, NULL, NULL, false),
    (now(), 'known share', current_date - 21, 'forecast:I_t', 'prophet', 4, 300, NULL, NULL, NULL, NULL,
     NULL, NULL, NULL, NULL, NULL, NULL, 0.021, 0.034, 0.75, 0.8, true)
"""


@pytest.fixture
def printed(database: Engine, monkeypatch: pytest.MonkeyPatch, tmp_path: Any):
    """The output on a terminal of 80 columns."""
    monkeypatch.setenv("DATABASE_URL", database.url.render_as_string(hide_password=False))
    monkeypatch.setenv("COLUMNS", "80")
    monkeypatch.setenv("DAGSTER_HOME", str(tmp_path))

    def run() -> str:
        result = CliRunner().invoke(app, ["--home", str(tmp_path), "backtest"])
        assert result.exit_code == 0, result.output
        return result.output

    return run


def test_no_cell_is_cut_on_a_terminal_of_80_columns(database: Engine, printed: Any) -> None:
    execute(database, STORE)
    output = printed()
    assert "…" not in output
    assert max(map(len, output.splitlines())) <= 80
    weeks = [line.split()[1:] for line in output.splitlines() if line.strip().startswith("20")]
    assert sorted(weeks) == [
        ["1234", "0.874", "0.881", "0.071", "0.105", "0.324", "0.951", "0.01", "0.91", "yes"],
        ["12350", "0.574", "0.882", "0.171", "0.105", "-0.629", "-0.251", "0.31", "0.61", "no"],
        ["4", "0.021", "0.034", "0.750", "0.800", "yes"],
    ]
    assert {"S, by week", "S, by cohort size", "forecast:I_t, by week"} <= {
        line.strip() for line in output.splitlines()
    }


def test_an_empty_table_says_what_to_type(printed: Any) -> None:
    assert "seedtest materialize" in printed()
