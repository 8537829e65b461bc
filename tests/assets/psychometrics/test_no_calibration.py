"""A week whose answers cannot be calibrated says why; a week without answers passes its checks."""

import logging
from typing import Any

import numpy as np
from sqlalchemy import Engine

from seedtest_analytics.assets.framework.checks import CheckOutcome
from seedtest_analytics.assets.psychometrics.calibration.week import calibrate_week
from seedtest_analytics.settings import CalibrationSettings, Settings
from tests._database import rows_of
from tests.assets._items import Bank, store_answers, week
from tests.assets._week_runs import outcomes_of

LOG: Any = logging.getLogger(__name__)
BANK = Bank.drawn(24, seed=5)


def calibrated(engine: Engine) -> dict[str, CheckOutcome]:
    settings = CalibrationSettings(lookback_days=7)
    outcomes = outcomes_of(
        engine, week(0), compute=calibrate_week, settings=Settings(calibration=settings), is_dry_run=False
    )
    return {check.check.name: check for outcome in outcomes for check in outcome.checks}


def test_answers_that_carry_no_calibration_fail_the_check_with_the_reason(database: Engine) -> None:
    BANK.store(database)
    store_answers(database, BANK, week(0), np.zeros(4), seed=7)
    checks = calibrated(database)
    assert not checks["usable"].is_passed
    assert "cannot calibrate 96 answers: " in checks["usable"].description
    assert "too few to calibrate" in checks["usable"].description
    assert "no answers" not in checks["items_usable"].description
    assert rows_of(database, "SELECT run_id FROM mirt_fit_meta") == []


def test_a_week_without_answers_has_nothing_to_calibrate(database: Engine) -> None:
    checks = calibrated(database)
    assert all(check.is_passed for check in checks.values())
    assert checks["items_usable"].description == "no calibration this week: nothing to calibrate on"
