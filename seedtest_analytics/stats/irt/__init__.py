"""Item response theory over sparse answer logs: calibration, scoring, linking, fit, drift.

    data = ResponseData.from_long(user, item, correct)          # one entry an answer; user may be (user, window)
    calibration = calibrate(data, CalibrationConfig(model="2PL"))
    calibration.verdict                                         # usable, reasons, warnings
    calibration.items.frame()                                   # item_id, a, b, c, se_*, n_responses, status, flag
    scores = score(data, calibration.parameters)                # theta and se by row: EAP, MAP or WLE
    score(by_topic, calibration.parameters, prior_mean=..., prior_sd=...)      # a user's posterior as prior
    CalibrationConfig(anchors=ItemParameters.of(ids, a, b, c))  # anchors fixed, population mean and SD free

Parameters are on the logit metric (D = 1): P = c + (1 - c) / (1 + exp(-a (θ - b))). Names are loaded when first
used, so importing this package costs nothing.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from seedtest_analytics.stats.irt.config import (
        Beta,
        CalibrationConfig,
        ItemPriors,
        LogNormal,
        Normal,
        Quadrature,
    )
    from seedtest_analytics.stats.irt.data import ResponseData
    from seedtest_analytics.stats.irt.errors import (
        AnchorError,
        DuplicateAnswersError,
        IrtDataError,
        LinkingError,
        UnidentifiedModelError,
    )
    from seedtest_analytics.stats.irt.estimation import calibrate
    from seedtest_analytics.stats.irt.model import ItemParameters, information, probability
    from seedtest_analytics.stats.irt.result import Calibration, ItemEstimates, Verdict
    from seedtest_analytics.stats.irt.scoring import Scores, plausible_values, score

_MODULE_OF = {
    "AnchorError": "errors",
    "Beta": "config",
    "Calibration": "result",
    "CalibrationConfig": "config",
    "DuplicateAnswersError": "errors",
    "IrtDataError": "errors",
    "ItemEstimates": "result",
    "ItemParameters": "model",
    "ItemPriors": "config",
    "LinkingError": "errors",
    "LogNormal": "config",
    "Normal": "config",
    "Quadrature": "config",
    "ResponseData": "data",
    "Scores": "scoring",
    "UnidentifiedModelError": "errors",
    "Verdict": "result",
    "calibrate": "estimation",
    "information": "model",
    "plausible_values": "scoring",
    "probability": "model",
    "score": "scoring",
}

__all__ = [
    "AnchorError",
    "Beta",
    "Calibration",
    "CalibrationConfig",
    "DuplicateAnswersError",
    "IrtDataError",
    "ItemEstimates",
    "ItemParameters",
    "ItemPriors",
    "LinkingError",
    "LogNormal",
    "Normal",
    "Quadrature",
    "ResponseData",
    "Scores",
    "UnidentifiedModelError",
    "Verdict",
    "calibrate",
    "information",
    "plausible_values",
    "probability",
    "score",
]


def __getattr__(name: str) -> Any:
    if name not in _MODULE_OF:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f"{__name__}.{_MODULE_OF[name]}"), name)
