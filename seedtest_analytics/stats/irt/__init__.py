"""Item response theory over sparse answer logs: calibration, scoring, linking, fit, drift.

    data = ResponseData.from_long(user, item, correct)          # one entry an answer; user may be (user, window)
    calibration = calibrate(data, CalibrationConfig(model="2PL"))
    calibration.verdict                                         # usable, reasons, warnings
    calibration.items.frame()                                   # item_id, a, b, c, se_*, n_responses, status, flag
    scores = score(data, calibration.parameters)                # theta and se by row: EAP, MAP or WLE
    score(by_topic, calibration.parameters, prior_mean=..., prior_sd=...)      # a user's posterior as prior
    CalibrationConfig(anchors=ItemParameters.of(ids, a, b, c))  # anchors fixed, population mean and SD free
    link(new, old, method="stocking-lord")                      # θ_old = A θ_new + B, drifted anchors dropped
    item_drift(baseline.items, recent.items, link)              # changes with standard errors, and alerts
    item_fit(data, calibration); person_fit(data, items); mantel_haenszel(data, theta, is_focal)
    compare_groups(data, items, labels)                     # DIF of every group against a reference
    select_anchor_items(candidates, history)

Parameters are on the logit metric (D = 1): P = c + (1 - c) / (1 + exp(-a (θ - b))). Names are loaded when first
used, so importing this package costs nothing.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from seedtest_analytics.stats.irt.anchors import (
        AnchorCandidates,
        AnchorCriteria,
        AnchorSelection,
        ParameterHistory,
        select_anchor_items,
    )
    from seedtest_analytics.stats.irt.config import (
        Beta,
        CalibrationConfig,
        ItemPriors,
        LogNormal,
        Normal,
        Quadrature,
    )
    from seedtest_analytics.stats.irt.curves import (
        CharacteristicCurves,
        DriftForest,
        ThetaHistogram,
        characteristic_curves,
        drift_forest,
        information_curve,
        theta_histogram,
    )
    from seedtest_analytics.stats.irt.data import ResponseData
    from seedtest_analytics.stats.irt.dif import (
        DifResult,
        mantel_haenszel,
    )
    from seedtest_analytics.stats.irt.dif_groups import GroupDif, Population, compare_groups
    from seedtest_analytics.stats.irt.drift import (
        DriftAlert,
        DriftResult,
        DriftThresholds,
        item_drift,
    )
    from seedtest_analytics.stats.irt.errors import (
        AnchorError,
        DuplicateAnswersError,
        IrtDataError,
        LinkingError,
        UnidentifiedModelError,
    )
    from seedtest_analytics.stats.irt.estimation import calibrate
    from seedtest_analytics.stats.irt.fit import (
        InformationCurve,
        ItemFit,
        PersonFit,
        information_at,
        item_fit,
        person_fit,
    )
    from seedtest_analytics.stats.irt.link_anchors import AnchorRule, DroppedAnchor
    from seedtest_analytics.stats.irt.linking import (
        Link,
        LinkGrid,
        drifted_anchors,
        link,
    )
    from seedtest_analytics.stats.irt.model import ItemParameters, information, probability
    from seedtest_analytics.stats.irt.multiplicity import (
        adjust,
    )
    from seedtest_analytics.stats.irt.result import Calibration, ItemEstimates, Verdict
    from seedtest_analytics.stats.irt.scoring import Scores, plausible_values, score

_MODULE_OF = {
    "Link": "linking",
    "LinkGrid": "linking",
    "AnchorRule": "link_anchors",
    "DroppedAnchor": "link_anchors",
    "drifted_anchors": "linking",
    "link": "linking",
    "ItemFit": "fit",
    "PersonFit": "fit",
    "InformationCurve": "fit",
    "information_at": "fit",
    "item_fit": "fit",
    "person_fit": "fit",
    "DriftAlert": "drift",
    "DriftResult": "drift",
    "DriftThresholds": "drift",
    "item_drift": "drift",
    "DifResult": "dif",
    "mantel_haenszel": "dif",
    "GroupDif": "dif_groups",
    "Population": "dif_groups",
    "compare_groups": "dif_groups",
    "AnchorCandidates": "anchors",
    "AnchorCriteria": "anchors",
    "AnchorSelection": "anchors",
    "ParameterHistory": "anchors",
    "select_anchor_items": "anchors",
    "CharacteristicCurves": "curves",
    "DriftForest": "curves",
    "ThetaHistogram": "curves",
    "characteristic_curves": "curves",
    "drift_forest": "curves",
    "information_curve": "curves",
    "theta_histogram": "curves",
    "adjust": "multiplicity",
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
    "AnchorCandidates",
    "AnchorCriteria",
    "AnchorError",
    "AnchorRule",
    "AnchorSelection",
    "Beta",
    "Calibration",
    "CalibrationConfig",
    "CharacteristicCurves",
    "DifResult",
    "DriftAlert",
    "DriftForest",
    "DriftResult",
    "DriftThresholds",
    "DroppedAnchor",
    "DuplicateAnswersError",
    "GroupDif",
    "InformationCurve",
    "IrtDataError",
    "ItemEstimates",
    "ItemFit",
    "ItemParameters",
    "ItemPriors",
    "Link",
    "LinkGrid",
    "LinkingError",
    "LogNormal",
    "Normal",
    "ParameterHistory",
    "PersonFit",
    "Population",
    "Quadrature",
    "ResponseData",
    "Scores",
    "ThetaHistogram",
    "UnidentifiedModelError",
    "Verdict",
    "adjust",
    "calibrate",
    "characteristic_curves",
    "compare_groups",
    "drift_forest",
    "drifted_anchors",
    "information",
    "information_at",
    "information_curve",
    "item_drift",
    "item_fit",
    "link",
    "mantel_haenszel",
    "person_fit",
    "plausible_values",
    "probability",
    "score",
    "select_anchor_items",
    "theta_histogram",
]


def __getattr__(name: str) -> Any:
    if name not in _MODULE_OF:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f"{__name__}.{_MODULE_OF[name]}"), name)
