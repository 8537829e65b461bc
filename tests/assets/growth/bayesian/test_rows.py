"""A growth fit as the row of growth_brms_meta."""

import datetime as dt
import json
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from seedtest_analytics.assets.growth.bayesian.evidence import EarlierFit, Evidence
from seedtest_analytics.assets.growth.bayesian.rows import COLUMNS, meta_row
from seedtest_analytics.stats.growth.priors import GrowthPriors
from seedtest_analytics.stats.no_result import NoResult
from tests.assets.psychometrics._scale import WEEK

EVIDENCE = Evidence(21, 10, GrowthPriors(), earlier=EarlierFit("brms-1", dt.date(2025, 10, 27), weight=0.70711))
SCORES: Any = SimpleNamespace(
    source="theta",
    unit="logit",
    scale=SimpleNamespace(run_id="irt-1"),
    first_monday=dt.date(2026, 1, 5),
    set_aside=4,
    fingerprint="f",
)


def fit(week_mean: float = 3.5) -> Any:
    posterior = SimpleNamespace(
        family="gaussian",
        method="stan",
        toolchain="httpstan",
        priors=GrowthPriors(),
        verdict=SimpleNamespace(usable=False, reasons=("R-hat 1.2",)),
        cautions=("few students",),
        n_students=12,
        n_scores=90,
        seed=7,
        week_mean=week_mean,
        last_week=9.0,
        summary=lambda: {"week": {"mean": 0.1}},
        diagnostics=lambda: {"max_rhat": 1.2},
        hyper_draws=lambda n: np.array([[0.123456789012, 1.0, -1.0, 0.0, 0.5, -0.25]]),
    )
    return SimpleNamespace(posterior=posterior, data=SimpleNamespace(reference=(0.5, 0.125)), is_weighted=True)


def row_of(found: Any, scores: Any = SCORES) -> dict[str, Any]:
    (row,) = meta_row(found, scores, evidence=EVIDENCE, week=WEEK, run_id="r").to_dict("records")
    return row


def test_a_fit_is_stored_with_priors_verdict_and_draws() -> None:
    row = row_of(fit())
    assert (row["run_id"], row["week_start"], row["fitted_at"], row["data_fingerprint"]) == (
        "r",
        WEEK.start,
        WEEK.as_of,
        "f",
    )
    assert row["is_usable"] is False
    assert row["formula"] == "score ~ week + (week | student_id)"
    assert json.loads(row["priors"])["cor"] == {"dist": "lkj", "eta": 1.0}
    assert json.loads(row["diagnostics"]) == {"max_rhat": 1.2, "usable": False, "reasons": ["R-hat 1.2"]}
    assert json.loads(row["posterior_summary"]) == {"week": {"mean": 0.1}}
    draws = json.loads(row["draws"])
    assert draws["theta"] == [[0.12345679, 1.0, -1.0, 0.0, 0.5, -0.25]]
    assert (len(draws["columns"]), draws["week_mean"], draws["last_week"]) == (6, 3.5, 9.0)
    assert draws["reference"] == [0.5, 0.125]


def test_the_specification_says_which_scores_were_fitted() -> None:
    assert json.loads(row_of(fit())["model_spec"]) == {
        "family": "gaussian",
        "method": "stan",
        "toolchain": "httpstan",
        "score_source": "theta",
        "score_unit": "logit",
        "scores_weighted": True,
        "calibration": "irt-1",
        "lookback_weeks": 10,
        "history_weeks": 21,
        "priors_from": {"run_id": "brms-1", "week_start": "2025-10-27", "weight": 0.7071},
        "first_week": "2026-01-05",
        "students": 12,
        "scores": 90,
        "student_weeks_set_aside": 4,
        "seed": 7,
        "warnings": ["few students"],
    }
    without = SimpleNamespace(**{**vars(SCORES), "scale": None})
    assert json.loads(row_of(fit(), without)["model_spec"])["calibration"] is None


def test_a_number_that_is_not_finite_is_refused_before_the_database_sees_it() -> None:
    with pytest.raises(ValueError, match="not JSON compliant"):
        row_of(fit(week_mean=float("nan")))


def test_without_a_fit_there_is_no_row() -> None:
    frame = meta_row(NoResult("no scores"), SCORES, evidence=EVIDENCE, week=WEEK, run_id="r")
    assert (len(frame), tuple(frame.columns)) == (0, COLUMNS)
