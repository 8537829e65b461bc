"""`seedtest backtest --next-answer` on the platform's own log."""

from __future__ import annotations

import numpy as np
from sqlalchemy import Engine

from seedtest_analytics.stats.ability.hyperparameters import Hyperparameters
from tests.assets._ability import store_calibration, store_cohort
from tests.assets._items import week
from tests.cli.conftest import Seedtest
from tests.stats.ability._simulation import simulate

METHODS = ("ability", "Elo", "Best", "PFA", "DAS3H", "static", "item mean", "mixture of")


def test_each_week_is_predicted_with_what_was_known_before_it_and_every_measure_has_limits(
    seedtest: Seedtest, database: Engine
) -> None:
    """With difficulties upside down, no hyperparameters are usable: so the last week is not predicted."""
    cohort = simulate(Hyperparameters(level_walk=0.01), seed=82, n_students=60, n_items=80, weeks=10)
    store_cohort(database, cohort)
    store_calibration(database, week(8), -3 * cohort.difficulty)
    url = database.url.render_as_string(hide_password=False)
    code, output = seedtest("backtest", "--next-answer", "--weeks", "4", DATABASE_URL=url)
    assert code == 0, output
    tested = cohort.answers.take((cohort.answers.day >= 42) & (cohort.answers.day < 63))
    n_students = len(np.unique(tested.student))
    assert f"week by week, 3 weeks: {len(tested):,} answers of {n_students} students" in output
    assert "1 week not predicted" in output
    lines = output.splitlines()
    at = [n for n, line in enumerate(lines) if line.strip().startswith(METHODS)]
    tables = [{lines[n].split("  ")[0].strip(): lines[n : n + 2] for n in rows} for rows in (at[:8], at[8:])]
    assert [len(table) for table in tables] == [8, 9]
    assert max(len(line.rstrip()) for table in tables for row in table.values() for line in row) <= 80
    assert "mixture of all" in tables[1]
    for table in tables:
        areas = []
        for values, limits in table.values():
            numbers = [float(word) for word in values.split()[-5:]]
            bounds = [tuple(map(float, word.split("–"))) for word in limits.split()]
            assert len(bounds) == 5
            assert all(lower < upper for lower, upper in bounds)
            assert all(lower <= value <= upper for value, (lower, upper) in zip(numbers[:4], bounds[:4], strict=True))
            areas.append(numbers[0])
        assert areas == sorted(areas, reverse=True)
        assert next(iter(table)).startswith("ability")
    assert "docs/backtest.md" in output


def test_an_empty_log_says_what_to_do(seedtest: Seedtest, database: Engine) -> None:
    code, output = seedtest(
        "backtest", "--next-answer", DATABASE_URL=database.url.render_as_string(hide_password=False)
    )
    assert code == 2
    assert "the attempt log is empty" in output
