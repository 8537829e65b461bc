"""A placed calibration as rows of its tables."""

import json
from dataclasses import dataclass
from types import SimpleNamespace
from typing import Any

import numpy as np
import pandas as pd
import pytest

from seedtest_analytics.assets.psychometrics.calibration import rows
from seedtest_analytics.stats.irt.config import Beta, ItemPriors, LogNormal, Normal, Quadrature
from seedtest_analytics.stats.no_result import NoResult
from tests.assets.psychometrics._scale import WEEK

NOTHING = NoResult("no answers")


@dataclass
class Placed:
    """What the rows read of a placed calibration."""

    calibration: Any
    platform_items: pd.DataFrame
    reasons: tuple[str, ...] = ()
    version: str = "2026-W10"
    origin: str = "linked"
    scale: str = "2026-W09"
    group_mean: float = 0.25
    group_sd: float = 1.5
    n_anchors: int = 3
    constants: Any = None
    fitted: Any = None


def placed(**fields: Any) -> Any:
    calibration = SimpleNamespace(
        model="2PL",
        n_rows=40,
        parameters=[1, 2],
        n_answers=400,
        quadrature=Quadrature(points=41, lower=-5.0, upper=5.0),
        log_likelihood=-220.5,
        log_prior=float("nan"),
        aic=449.0,
        bic=float("inf"),
        n_iterations=12,
        converged=True,
        max_gradient=1e-6,
        max_step=1e-5,
        standard_error_method="full",
        n_components=1,
        pool=None,
        set_aside={"all right": 1},
        verdict=SimpleNamespace(warnings=("few answers",)),
    )
    items = pd.DataFrame(
        {
            "item_id": [7, 9],
            "a": [1.0, np.nan],
            "b": [0.5, np.nan],
            "c": [0.0, np.nan],
            "se_a": 0.1,
            "se_b": 0.1,
            "se_c": 0.0,
            "n_responses": [200, 3],
            "p_correct": [0.6, 1.0],
            "is_anchor": [True, False],
            "flag": [None, "few answers"],
            "status": ["fixed", "set_aside"],
        }
    )
    fitted = SimpleNamespace(backend="python", priors=ItemPriors(a=LogNormal(0.1, 0.4), c=Normal(-1.4, 0.5)))
    return Placed(calibration, items, constants={"A": 1.1, "B": -0.2}, fitted=fitted, **fields)


def test_the_history_has_every_item_under_its_run_and_week() -> None:
    frame = rows.history_rows(placed(), WEEK, run_id="r")
    assert "status" not in frame
    first, second = frame.to_dict("records")
    assert (first["item_id"], first["a"], first["b"], first["is_anchor"]) == ("7", 1.0, 0.5, True)
    assert (first["run_id"], first["model"], first["week_start"]) == ("r", "2PL", WEEK.start)
    assert (second["item_id"], second["flag"]) == ("9", "few answers")
    assert np.isnan(second["a"])


def fit_row(found: Any, dif: Any = None, **answers: Any) -> dict[str, Any]:
    given: Any = SimpleNamespace(
        **{"filter": None, "fingerprint": "f", "users": ["x"] * 30, "occasion_days": 28, **answers}
    )
    (row,) = rows.fit_row(found, WEEK, run_id="r", answers=given, dif=dif).to_dict("records")
    return row


def test_a_fit_is_stored_with_what_was_decided_before_it() -> None:
    row = fit_row(placed(), filter={"topic_id": "algebra"})
    assert (row["run_id"], row["version"], row["week_start"]) == ("r", "2026-W10", WEEK.start)
    assert (row["fitted_at"], row["data_fingerprint"], row["is_usable"]) == (WEEK.as_of, "f", True)
    assert json.loads(row["model_spec"]) == {
        "model": "2PL",
        "n_persons": 30,
        "n_abilities": 40,
        "occasion_days": 28,
        "n_items": 2,
        "n_answers": 400,
        "quadrature": {"points": 41, "lower": -5.0, "upper": 5.0},
        "backend": "python",
        "priors": {
            "a": {"dist": "lognormal", "mean_log": 0.1, "sd_log": 0.4},
            "logit_c": {"dist": "normal", "mean": -1.4, "sd": 0.5},
        },
        "scale_origin": "linked",
        "scale": "2026-W09",
        "keeps_parameters": True,
        "n_anchors_tagged": 3,
        "linking_constants": {"A": 1.1, "B": -0.2},
        "filter": {"topic_id": "algebra"},
    }


def test_a_fits_measures_are_stored_and_what_is_not_finite_is_null() -> None:
    metrics = json.loads(fit_row(placed(reasons=("not converged",)), {"tested": 2})["metrics"])
    assert (metrics["log_likelihood"], metrics["log_prior"], metrics["bic"]) == (-220.5, None, None)
    assert (metrics["group_mean"], metrics["group_sd"], metrics["n_iterations"]) == (0.25, 1.5, 12)
    assert (metrics["usable"], metrics["reasons"], metrics["warnings"]) == (False, ["not converged"], ["few answers"])
    assert metrics["dif"] == {"tested": 2}
    assert not fit_row(placed(reasons=("not converged",)))["is_usable"]
    assert "dif" not in json.loads(fit_row(placed())["metrics"])


@pytest.mark.parametrize("found", [NOTHING, placed()])
def test_without_a_fit_or_answers_there_are_no_rows_but_the_columns(found: Any) -> None:
    frame = rows.fit_row(found, WEEK, run_id="r", answers=None, dif=None)
    assert (len(frame), list(frame.columns)) == (0, list(rows._FIT))
    history = rows.history_rows(NOTHING, WEEK, run_id="r")
    assert (len(history), list(history.columns)) == (0, list(rows._HISTORY))


def test_priors_are_named_by_parameter_and_a_normal_of_c_by_its_logit() -> None:
    assert rows.priors_spec(ItemPriors()) == {}
    assert rows.priors_spec(ItemPriors(b=Normal(0, 2), c=Beta(5, 17))) == {
        "b": {"dist": "normal", "mean": 0, "sd": 2},
        "c": {"dist": "beta", "alpha": 5, "beta": 17},
    }
