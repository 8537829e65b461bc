"""No connection is idle in a transaction while a model computes or reports are rendered."""

import datetime as dt
from collections.abc import Callable
from contextlib import nullcontext
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from sqlalchemy import Engine, text

from seedtest_analytics.assets.churn.fit import fit_week
from seedtest_analytics.assets.forecasts.week import forecast_week
from seedtest_analytics.assets.framework.week_run import WeekRun
from seedtest_analytics.assets.growth.bayesian.week import fit_bayesian_week
from seedtest_analytics.assets.growth.mixed_model.week import fit_mixed_model_week
from seedtest_analytics.assets.psychometrics.calibration.week import calibrate_week
from seedtest_analytics.assets.psychometrics.drift.week import compare_week
from seedtest_analytics.database.sessions import locked_transaction, without_transaction
from seedtest_analytics.resources.quarto.renderer import ReportRenderer
from seedtest_analytics.settings import GrowthSettings, Settings
from tests._database import rows_of
from tests.assets._items import Bank, store_answers, week
from tests.assets._week_runs import week_run
from tests.assets.test_reports import made, store_kpis

ASSETS = "seedtest_analytics.assets"
R = SimpleNamespace(session=lambda log: nullcontext())


class ComputingError(Exception):
    """The model was reached."""


def open_transactions(engine: Engine) -> list[str]:
    """What other connections to the database have open."""
    found = rows_of(
        engine,
        "SELECT query FROM pg_stat_activity WHERE datname = current_database() AND pid <> pg_backend_pid() "
        "AND backend_type = 'client backend' AND state <> 'idle'",
    )
    return [row["query"] for row in found]


def spy(engine: Engine, seen: list[list[str]]) -> Callable[..., Any]:
    def compute(*_: Any, **__: Any) -> Any:
        seen.append(open_transactions(engine))
        raise ComputingError

    return compute


@pytest.mark.parametrize(
    ("model", "compute"),
    [
        ("growth.bayesian.week.fit_growth", lambda run: fit_bayesian_week(run, SimpleNamespace())),  # type: ignore[arg-type]
        ("growth.mixed_model.week.fit_mixed_model", lambda run: fit_mixed_model_week(run, R)),  # type: ignore[arg-type]
        ("forecasts.week.forecast_many", forecast_week),
        ("churn.fit.fit_churn", fit_week),
        ("psychometrics.engine.calibrate", calibrate_week),
        ("psychometrics.engine.calibrate", compare_week),
    ],
)
def test_no_transaction_is_open_while_a_model_computes(
    database: Engine, monkeypatch: pytest.MonkeyPatch, model: str, compute: Callable[[WeekRun], Any]
) -> None:
    bank = Bank.drawn(6, seed=1)
    bank.store(database)
    for number in (-12, 0):
        store_answers(database, bank, week(number), np.zeros(30), prefix=f"w{number}", seed=number + 20)
    seen: list[list[str]] = []
    monkeypatch.setattr(f"{ASSETS}.{model}", spy(database, seen))
    settings = Settings(growth=GrowthSettings(score_source="accuracy"))
    with pytest.raises(ComputingError), week_run(database, week(1), settings=settings) as run:
        compute(run)
    assert seen == [[]]


def test_no_transaction_is_open_while_reports_are_rendered(
    database: Engine, tmp_path: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    store_kpis(database, ["anna", "ben"])
    seen: list[list[str]] = []
    render_many = ReportRenderer.render_many

    def watched(self: ReportRenderer, documents: Any) -> Any:
        for outcome in render_many(self, documents):
            seen.append(open_transactions(database))
            yield outcome

    monkeypatch.setattr(ReportRenderer, "render_many", watched)
    assert made(database, tmp_path).success
    assert seen == [[], []]


def test_the_lock_is_free_while_a_model_computes_and_held_again_afterwards(database: Engine) -> None:
    def is_held() -> bool:
        (row,) = rows_of(database, "SELECT NOT pg_try_advisory_xact_lock(hashtextextended('of a week', 0)) AS held")
        return bool(row["held"])

    with locked_transaction(database, "of a week") as connection:
        assert is_held()
        with without_transaction(connection, "of a week"):
            assert not is_held()
        assert is_held()
        with pytest.raises(ComputingError), without_transaction(connection, "of a week"):
            raise ComputingError
        assert is_held(), "a caller may publish that there is no fit"
    assert not is_held()


@pytest.mark.parametrize("is_dry_run", [True, False])
def test_a_dry_run_writes_nothing_after_a_pause(database: Engine, is_dry_run: bool) -> None:
    with locked_transaction(database, "x", is_dry_run=is_dry_run) as connection:
        with without_transaction(connection, "x"):
            pass
        values = {"u": "u", "w": dt.date(2026, 3, 2)}
        insert = "INSERT INTO weekly_kpi (user_id, week_start, kpis) VALUES (:u, :w, '{}')"

        connection.execute(text(insert), values)
    assert len(rows_of(database, "SELECT FROM weekly_kpi")) == (0 if is_dry_run else 1)
