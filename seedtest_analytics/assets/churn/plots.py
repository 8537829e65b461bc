"""Plots of a churn fit: baseline curve, calibration at the horizon, hazard ratios."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import dagster as dg

from seedtest_analytics.assets.framework.preview import (
    ACCENT,
    INK,
    MUTED,
    Forest,
    Plot,
    forest_plot,
    markdown_table,
    new_figure,
)
from seedtest_analytics.stats.survival.churn import ChurnModel


def fit_plots(model: ChurnModel) -> dict[str, dg.MetadataValue | Plot]:
    """Plots and the table of a fit; empty for the heuristic."""
    if model.fit is None:
        return {}
    plots: dict[str, dg.MetadataValue | Plot] = {
        "coefficients": _table(model),
        "hazard_ratios": _forest(model),
        "baseline": _baseline(model),
    }
    if model.calibration is not None:
        curve = model.calibration.curve
        plots["calibration"] = calibration_plot(
            {
                "predicted": curve.predicted.tolist(),
                "observed": curve.observed.tolist(),
                "observed_lower": curve.observed_lower.tolist(),
                "observed_upper": curve.observed_upper.tolist(),
            },
            f"Silence of {model.horizon_days} days, {model.calibration_how}",
        )
    return plots


def _table(model: ChurnModel) -> dg.MetadataValue:
    rows = [
        [
            name,
            model.coefficients[name],
            model.standard_errors[name],
            *model.hazard_ratios[name],
            model.p_values[name],
            model.proportionality[name].p_value if name in model.proportionality else None,
        ]
        for name in model.coefficients
    ]
    header = ["column", "coefficient", "robust SE", "hazard ratio", "lower", "upper", "p", "p (proportional)"]
    return markdown_table(header, rows)


def _forest(model: ChurnModel) -> Plot:
    ratio, lower, upper = zip(*model.hazard_ratios.values(), strict=True)
    is_clear = [not low <= 1 <= high for low, high in zip(lower, upper, strict=True)]
    return forest_plot(
        Forest(list(model.hazard_ratios), ratio, lower=lower, upper=upper, is_marked=is_clear),
        "Hazard ratios with 95 % limits",
        label="hazard ratio of the return (right: returns sooner)",
        rows_are="covariate",
        limits=(),
        no_effect=1.0,
        is_log=True,
    )


def _baseline(model: ChurnModel) -> Plot:
    figure, axes = new_figure()
    axes.step(
        [point.day for point in model.baseline_curve],
        [point.survival for point in model.baseline_curve],
        where="post",
        color=ACCENT,
    )
    axes.axvline(model.horizon_days, color=MUTED, linewidth=1, linestyle="--")
    axes.set_ylim(0, 1.02)
    axes.set_xlabel("days after the landmark", fontsize=8)
    axes.set_ylabel("share still silent", fontsize=8)
    axes.set_title("Baseline curve (average covariates)", loc="left", fontsize=10, color=INK)
    return Plot(figure)


def calibration_plot(curve: Mapping[str, Any], title: str) -> Plot:
    """Predicted against observed in groups of equal size, with Wilson's 95 % limits."""
    figure, axes = new_figure(4.2, 4.0)
    axes.plot([0, 1], [0, 1], color=MUTED, linewidth=1, linestyle="--")
    axes.vlines(curve["predicted"], curve["observed_lower"], curve["observed_upper"], color=ACCENT)
    axes.plot(curve["predicted"], curve["observed"], "o", color=INK, markersize=4)
    axes.set_xlim(-0.02, 1.02)
    axes.set_ylim(-0.02, 1.02)
    axes.set_xlabel("predicted probability", fontsize=8)
    axes.set_ylabel("observed share", fontsize=8)
    axes.set_title(title, loc="left", fontsize=10, color=INK)
    return Plot(figure)
