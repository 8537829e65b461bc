"""Drift in the graph: what moved is found on the common scale, what did not is not."""

import datetime as dt
import logging
from typing import Any

import dagster as dg
import numpy as np
import pytest
from sqlalchemy import Engine

from seedtest_analytics.assets.framework.report import Outcome
from seedtest_analytics.assets.psychometrics.drift.assets import irt_item_drift
from seedtest_analytics.assets.psychometrics.drift.week import compare_week
from seedtest_analytics.assets.psychometrics.drift.windows import windows_of
from seedtest_analytics.settings import CalibrationSettings, DriftSettings, Settings
from tests._database import execute, rows_of, snapshot
from tests.assets._activity import postgres_of
from tests.assets._items import Bank, store_answers, week
from tests.assets._week_runs import outcomes_of

LOG: Any = logging.getLogger(__name__)
BANK = Bank.drawn(20, seed=15)
THETA = np.random.default_rng(16).normal(0.0, 1.0, 1200)
NOW = week(15)
TABLES = ("drift_windows", "item_calibration", "drift_alerts")


def compared(engine: Engine, settings: DriftSettings | None = None, dry: bool = False) -> list[Outcome]:
    calibration, drift = CalibrationSettings(), settings or DriftSettings()
    return outcomes_of(
        engine, NOW, compute=compare_week, settings=Settings(calibration=calibration, drift=drift), is_dry_run=dry
    )


@pytest.fixture
def abler(database: Engine) -> Engine:
    """The recent students are abler by 0.7 and more alike (SD 0.8): no item has moved but 4, by 0.9 logits."""
    store_answers(database, BANK, week(0), THETA, seed=17)
    store_answers(database, BANK.moved({4: 0.9}), week(14), 0.7 + 0.8 * THETA, seed=18, prefix="v")
    return database


def test_the_windows_are_the_contracts() -> None:
    baseline, recent = windows_of(NOW, DriftSettings())
    assert (NOW.as_of - baseline.start_at, NOW.as_of - baseline.end_at) == (
        dt.timedelta(days=120),
        dt.timedelta(days=90),
    )
    assert (NOW.as_of - recent.start_at, recent.end_at) == (dt.timedelta(days=30), NOW.as_of)
    assert recent.id == int(f"{NOW.as_of - dt.timedelta(days=1):%Y%m%d}0030")
    chosen, _ = windows_of(NOW, DriftSettings(baseline_from=dt.date(2025, 3, 1), baseline_to=dt.date(2025, 4, 1)))
    assert chosen.id == 202503310031


def test_only_the_item_that_moved_is_alerted_and_twice_changes_nothing(abler: Engine) -> None:
    outcomes = compared(abler)
    alerts = rows_of(abler, "SELECT * FROM drift_alerts")
    assert {row["item_id"] for row in alerts} == {4}
    moved = next(row for row in alerts if row["metric"] == "delta_b")
    assert moved["value"] == pytest.approx(0.9, abs=0.35)
    assert moved["severity"] == "severe"
    assert moved["p_adjusted"] < 0.05
    assert not outcomes[2].checks[0].is_passed
    assert "1 of 20 items" in outcomes[2].checks[0].description
    assert "forest" in outcomes[1].metadata
    rows = rows_of(abler, "SELECT * FROM item_calibration ORDER BY item_id, window_id")
    assert len(rows) == 40
    for old, new in zip(rows[::2], rows[1::2], strict=True):
        assert old["dif"] is None
        # The legacy table has these NOT NULL.
        assert None not in [row[name] for row in (old, new) for name in ("a_hat", "b_hat", "c_hat")]
        assert new["dif"]["delta_b"] == pytest.approx(new["b_hat"] - old["b_hat"])
        assert old["b_l95"] < old["b_hat"] < old["b_u95"]
        assert -3 <= new["info"]["theta_at_max"] <= 3
        assert old["drift_in_topic"] is None
        assert new["drift_in_topic"]["origin"] == ("item" if new["item_id"] == 4 else None)
        assert new["drift_in_topic"]["n_others"] == sum(i % 3 == new["item_id"] % 3 for i in range(1, 21)) - 1
    execute(abler, "UPDATE drift_alerts SET resolved_at = now()")
    before = snapshot(abler, *TABLES)
    compared(abler)
    assert snapshot(abler, *TABLES) == before


def test_an_alert_that_somebody_resolved_stays_resolved_when_its_week_is_compared_again(abler: Engine) -> None:
    compared(abler)
    (run,) = rows_of(abler, "SELECT DISTINCT run_id FROM drift_alerts")
    execute(abler, "UPDATE drift_alerts SET resolved_at = '2025-07-01 12:00+00' WHERE metric = 'delta_b'")
    # Another week has an alert on the same item, resolved at another time, and of a metric still open in this one.
    execute(
        abler,
        "INSERT INTO drift_alerts (item_id, window_id, metric, threshold, severity, run_id, week_start, resolved_at) "
        "SELECT item_id, window_id, metric, threshold, severity, 'other', week_start - 7, now() FROM drift_alerts",
    )
    said = "SELECT item_id, metric, resolved_at::text AS at FROM drift_alerts WHERE run_id <> 'other' ORDER BY 1, 2"
    before = rows_of(abler, said)
    assert {row["metric"]: row["at"] is not None for row in before} == {"b_ci_separation": False, "delta_b": True}
    execute(abler, "UPDATE attempt_log SET correct = NOT correct WHERE id = (SELECT max(id) FROM attempt_log)")
    stored = snapshot(abler, *TABLES)
    compared(abler, dry=True)
    assert snapshot(abler, *TABLES) == stored
    compared(abler)
    assert run not in rows_of(abler, "SELECT DISTINCT run_id FROM drift_alerts")
    assert rows_of(abler, said) == before
    stored = snapshot(abler, *TABLES)
    compared(abler)
    assert snapshot(abler, *TABLES) == stored


def test_an_item_that_nobody_gets_right_any_more_is_named_though_it_has_no_difficulty(abler: Engine) -> None:
    execute(abler, "UPDATE attempt_log SET correct = false WHERE item_id = 5 AND user_id LIKE 'v%'")
    metadata = compared(abler, dry=True)[1].metadata
    assert metadata["items_without_an_estimate"] == "5 (one_category)"
    assert metadata["items_not_compared"] == 1
    assert metadata["items_compared"] == 19


def test_without_drift_there_is_no_alert(database: Engine) -> None:
    store_answers(database, BANK, week(0), THETA, seed=19)
    store_answers(database, BANK, week(14), 0.7 + 0.8 * THETA, seed=20, prefix="v")
    outcomes = compared(database, dry=True)
    assert outcomes[2].checks[0].is_passed
    assert "0 of 20 items" in outcomes[2].checks[0].description
    assert rows_of(database, "SELECT * FROM item_calibration") == []


@pytest.mark.parametrize(
    ("settings", "reason"),
    [
        ({"baseline_from": "2024-01-01", "baseline_to": "2024-02-01"}, "no answers from 2024-01-01"),
        ({"baseline_from": "2025-06-01", "baseline_to": "2025-06-10"}, "overlaps"),
    ],
)
def test_what_cannot_be_compared_leaves_no_rows_and_says_why(
    abler: Engine, settings: dict[str, Any], reason: str
) -> None:
    compared(abler)
    outcomes = compared(abler, DriftSettings().overridden_by(settings))
    assert outcomes[2].checks[0].is_passed
    assert reason in outcomes[2].checks[0].description
    assert rows_of(abler, "SELECT * FROM item_calibration") == []


def test_items_with_few_answers_cannot_be_judged_also_where_all_have_few(abler: Engine) -> None:
    """An empty table would read as no drift. The selection effect needs no comparison of items."""
    outcomes = compared(abler, DriftSettings(min_sample=5000))
    verdicts = rows_of(abler, "SELECT DISTINCT drift_verdict FROM item_calibration WHERE drift_verdict IS NOT NULL")
    assert verdicts == [{"drift_verdict": "cannot_be_judged"}]
    (check,) = outcomes[2].checks
    assert check.is_passed
    assert "and 20 items, because they have fewer than 5000 answers in a window" in check.description
    assert check.metadata["items_not_judged"] == 20
    metadata = outcomes[1].metadata
    assert (metadata["items_compared"], metadata["items_that_cannot_be_judged"]) == (0, 20)
    assert "selection" in metadata
    assert "forest" not in metadata


def test_a_key_that_was_turned_round_is_an_alert(database: Engine) -> None:
    """With the platform's priors, which have no density where such an item's discrimination is."""
    store_answers(database, BANK, week(0), THETA, seed=17)
    turned = Bank(np.where(np.arange(len(BANK.a)) == 3, -BANK.a, BANK.a), BANK.b)
    store_answers(database, turned, week(14), THETA, seed=18, prefix="v")
    *_, alerts = compared(database)
    (check,) = alerts.checks
    assert not check.is_passed, check.description
    found = rows_of(database, "SELECT item_id, metric, severity FROM drift_alerts")
    assert {row["item_id"] for row in found} == {4}
    assert ("delta_a", "severe") in {(row["metric"], row["severity"]) for row in found}


def test_windows_whose_scales_have_come_apart_are_not_green(database: Engine) -> None:
    """The item ids mean other items than before. No link is trustworthy, so the check must not pass."""
    store_answers(database, BANK, week(0), THETA, seed=17)
    other = Bank(BANK.a, np.random.default_rng(19).permutation(BANK.b))
    store_answers(database, other, week(14), THETA, seed=18, prefix="v")
    *_, alerts = compared(database)
    (check,) = alerts.checks
    assert not check.is_passed
    assert "not compared: " in check.description
    assert rows_of(database, "SELECT item_id FROM drift_alerts") == []


def test_the_asset_runs(abler: Engine, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DRIFT_THRESHOLD_DELTA_B", "3")
    monkeypatch.setenv("DRIFT_THRESHOLD_DELTA_A", "3")
    result = dg.materialize([irt_item_drift], partition_key=NOW.key, resources={"postgres": postgres_of(abler)})
    checks = {e.check_name: e.passed for e in result.get_asset_check_evaluations()}
    assert checks["drift_below_threshold"]
