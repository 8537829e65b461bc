"""Which look-back and which priors a week's fit has: from the history, from earlier fits, or from the settings."""

import datetime as dt
import json
from typing import Any

import numpy as np
import pytest
from sqlalchemy import Engine

from seedtest_analytics.assets.growth.bayesian.evidence import Evidence, evidence_of
from seedtest_analytics.settings import GrowthSettings, Settings
from seedtest_analytics.stats.growth.priors import GrowthPriors, HalfCauchy, Normal
from tests._database import execute, rows_of
from tests.assets._growth import FIRST_MONDAY, LAST_WEEK, store_cohort, week_of
from tests.assets._growth_runs import LAPLACE, fit
from tests.assets._week_runs import week_run

WEEK = dt.timedelta(days=7)
BEFORE = FIRST_MONDAY - WEEK


def store_earlier(engine: Engine, week: dt.date, *, usable: bool = True, unit: str = "logit", gain: float = 0.3) -> str:
    """A fit of 40 draws with a mean gain of `gain` and SDs of gains about 0.2."""
    theta = np.zeros((40, 6))
    theta[:, 1] = gain + np.linspace(-0.01, 0.01, 40)
    theta[:, 3] = np.log(0.2) + np.linspace(-0.2, 0.2, 40)
    execute(
        engine,
        "INSERT INTO growth_brms_meta (run_id, formula, fitted_at, week_start, is_usable, model_spec, draws) VALUES "
        "(:run, 'f', :at, :week, :usable, CAST(:spec AS jsonb), CAST(:draws AS jsonb))",
        {
            "run": f"earlier-{week}",
            "at": week_of(week).as_of,
            "week": week,
            "usable": usable,
            "spec": json.dumps({"family": "gaussian", "score_unit": unit}),
            "draws": json.dumps({"theta": theta.tolist()}),
        },
    )
    return f"earlier-{week}"


def known(engine: Engine, week: dt.date = LAST_WEEK, **growth: Any) -> Evidence:
    with week_run(engine, week_of(week), settings=Settings(growth=GrowthSettings(**growth))) as run:
        return evidence_of(run)


def test_at_the_start_the_priors_and_the_look_back_are_the_contracts(database: Engine) -> None:
    store_cohort(database, n_students=3)
    assert known(database) == Evidence(8, 8, GrowthPriors(), earlier=None)


def test_the_look_back_grows_with_the_history_unless_it_is_set(database: Engine) -> None:
    store_cohort(database, n_students=3)
    later = FIRST_MONDAY + 19 * WEEK
    found = known(database, later)
    assert (found.history_weeks, found.lookback_weeks) == (20, 10)
    assert known(database, later, lookback_weeks=5).lookback_weeks == 5


def test_priors_of_gains_come_from_the_newest_usable_fit_that_shares_no_answer(database: Engine) -> None:
    store_cohort(database, n_students=3)
    store_earlier(database, BEFORE - WEEK)
    newest = store_earlier(database, BEFORE)
    for week, faults in ((FIRST_MONDAY, {}), (LAST_WEEK, {}), (LAST_WEEK + WEEK, {})):
        store_earlier(database, week, **faults, gain=9.0)
    found = known(database)
    assert found.earlier is not None
    assert (found.earlier.run_id, found.earlier.week_start) == (newest, BEFORE)
    assert found.earlier.weight == pytest.approx(2 ** (-8 / 26))
    assert found.priors.week.mean == pytest.approx(0.3)
    assert found.priors.sd_week is not None
    assert found.priors.sd_week.location == pytest.approx(0.2, rel=0.02)


@pytest.mark.parametrize("fault", [{"usable": False}, {"unit": "share right"}])
def test_a_fit_that_fell_short_or_has_another_unit_gives_no_priors(database: Engine, fault: dict[str, Any]) -> None:
    store_cohort(database, n_students=3)
    store_earlier(database, BEFORE, **fault)
    assert known(database).priors == GrowthPriors()


def test_what_the_operator_sets_stays(database: Engine) -> None:
    store_cohort(database, n_students=3)
    store_earlier(database, BEFORE)
    assert known(database, prior_source="contract").priors == GrowthPriors()
    gain = {"week": {"dist": "normal", "mean": 0.0, "sd": 0.2}}
    found = known(database, priors=gain)
    assert (found.priors.week, found.priors.sd_week is not None) == (Normal(0.0, 0.2), True)
    spread = {"sd": {"dist": "cauchy", "location": 0.0, "scale": 0.5}}
    found = known(database, priors=spread)
    assert (found.priors.sd, found.priors.sd_week) == (HalfCauchy(0.0, 0.5), None)
    assert found.priors.week.mean == pytest.approx(0.3)
    both = known(database, priors=gain | spread)
    assert (both.earlier, both.priors.sd_week) == (None, None)


def test_a_fit_stores_what_it_knew_and_its_id_depends_on_it(database: Engine) -> None:
    store_cohort(database)
    fit(database, LAPLACE)
    (alone,) = rows_of(database, "SELECT run_id, priors, model_spec FROM growth_brms_meta")
    assert (alone["model_spec"]["history_weeks"], alone["model_spec"]["lookback_weeks"]) == (8, 8)
    assert alone["model_spec"]["priors_from"] is None
    earlier = store_earlier(database, BEFORE)
    fit(database, LAPLACE)
    query = "SELECT run_id, priors, model_spec FROM growth_brms_meta WHERE week_start = :week"
    (found,) = rows_of(database, query, week=LAST_WEEK)
    assert found["model_spec"]["priors_from"] == {"run_id": earlier, "week_start": "2025-12-29", "weight": 0.8079}
    assert set(found["priors"]) == {"intercept", "week", "sd", "sigma", "cor", "sd_week"}
    assert found["run_id"] != alone["run_id"]
