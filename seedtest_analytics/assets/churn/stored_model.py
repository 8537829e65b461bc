"""Stores a fitted churn model as JSON and reads it back, so that scoring needs no new fit."""

from __future__ import annotations

import dataclasses
from typing import Any

import numpy as np

from seedtest_analytics.assets.framework.json_text import json_text
from seedtest_analytics.stats.survival.churn import ChurnModel
from seedtest_analytics.stats.survival.cox import CoxFit
from seedtest_analytics.stats.survival.design import Design, DesignColumn
from seedtest_analytics.stats.survival.weibull import WeibullFit

_INTEGERS = frozenset({"baseline_stratum"})


def model_json(model: ChurnModel) -> str | None:
    """Design, fit and horizon as JSON; None for the heuristic."""
    if model.fit is None or model.design is None:
        return None
    design = {
        "columns": [dataclasses.asdict(column) for column in model.design.columns],
        "typical": dict(model.design.typical),
        "dropped": dict(model.design.dropped),
    }
    return json_text(
        {
            "method": model.method,
            "horizon_days": model.horizon_days,
            "follow_up_days": model.follow_up_days,
            "design": design,
            "fit": {f.name: getattr(model.fit, f.name) for f in dataclasses.fields(model.fit)},
        }
    )


def model_from_json(stored: dict[str, Any]) -> ChurnModel:
    """The model that :func:`model_json` wrote. It predicts the same as the fitted one."""
    design = stored["design"]
    columns = tuple(DesignColumn(**column) for column in design["columns"])
    kind: Any = WeibullFit if stored["method"].startswith("weibull") else CoxFit
    fit = kind(**{name: _array(name, value) for name, value in stored["fit"].items()})
    return ChurnModel(
        stored["method"],
        stored["horizon_days"],
        follow_up_days=stored["follow_up_days"],
        usable=True,
        design=Design(columns, design["typical"], dropped=design["dropped"]),
        fit=fit,
    )


def heuristic_model(horizon_days: int) -> ChurnModel:
    """The contract's heuristic as a model without a fit: it has reasons only."""
    return ChurnModel("heuristic", horizon_days, follow_up_days=horizon_days)


def _array(name: str, value: Any) -> Any:
    if isinstance(value, list):
        return np.array(value, dtype=np.int64 if name in _INTEGERS else np.float64)
    return value
