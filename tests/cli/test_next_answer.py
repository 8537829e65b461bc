"""`seedtest backtest --next-answer` on the platform's own log."""

from __future__ import annotations

from sqlalchemy import Engine

from seedtest_analytics.stats.ability.hyperparameters import Hyperparameters
from tests.assets._ability import store_cohort
from tests.cli.conftest import Seedtest
from tests.stats.ability._simulation import simulate


def test_one_row_for_each_method_the_best_first(seedtest: Seedtest, database: Engine) -> None:
    store_cohort(database, simulate(Hyperparameters(level_walk=0.01), seed=82, n_students=60, n_items=80, weeks=10))
    code, output = seedtest(
        "backtest", "--next-answer", DATABASE_URL=database.url.render_as_string(hide_password=False)
    )
    assert code == 0, output
    rows = [
        line.strip()
        for line in output.splitlines()
        if line.strip().startswith(("ability", "Elo", "Best", "PFA", "DAS3H", "static", "item", "mixture of"))
    ]
    assert len(rows) == 17
    forward, new_students = rows[:8], rows[8:]
    assert forward[0].startswith("ability")
    assert any(row.startswith("mixture of all") for row in new_students)
    for table in (forward, new_students):
        areas = [float(next(word for word in row.split() if word.startswith("0."))) for row in table]
        assert areas == sorted(areas, reverse=True)
    assert "docs/ability.md" in output


def test_an_empty_log_says_what_to_do(seedtest: Seedtest, database: Engine) -> None:
    code, output = seedtest(
        "backtest", "--next-answer", DATABASE_URL=database.url.render_as_string(hide_password=False)
    )
    assert code == 2
    assert "the attempt log is empty" in output
