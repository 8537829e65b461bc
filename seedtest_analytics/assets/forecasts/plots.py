"""Tables and plots of forecasts for the UI."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import dagster as dg

from seedtest_analytics.assets.framework.preview import ACCENT, INK, MUTED, Plot, markdown_table, new_figure
from seedtest_analytics.assets.framework.untrusted import plain_label
from seedtest_analytics.stats.forecasts.series import SeriesForecast


def forecast_table(forecasts: Sequence[SeriesForecast]) -> dg.MetadataValue:
    """One row for each series: method, anomalies and errors."""
    header = ["metric", "method", "reason", "weeks", "anomalies", "error", "naive error", "coverage", "warnings"]
    rows: list[list[Any]] = []
    for f in forecasts:
        score = (None,) * 3 if f.score is None else (f.score.mae, f.score.mae_baseline, f.score.coverage)
        weeks_known = len(f.weeks)
        rows.append([f.metric, f.method, f.reason, weeks_known, int(f.is_anomaly.sum()), *score, "; ".join(f.warnings)])
    return markdown_table(header, rows)


def forecast_plots(forecasts: Sequence[SeriesForecast]) -> dict[str, Plot]:
    """A plot for each of the first eight series that have a forecast."""
    return {f"plot_{f.metric}": _plot(f) for f in forecasts[:8] if f.method != "none"}


def _plot(found: SeriesForecast) -> Plot:
    figure, axes = new_figure(6.4, 3.0)
    axes.plot(found.weeks, found.values, "o-", color=INK, markersize=3, linewidth=1, label="value")
    axes.plot(found.weeks, found.expected, color=MUTED, linewidth=1, label="expected from the weeks before")
    axes.fill_between(found.forecast_weeks, found.forecast_lower, found.forecast_upper, color=ACCENT, alpha=0.2)
    axes.plot(found.forecast_weeks, found.forecast, color=ACCENT, label="forecast")
    far = found.is_anomaly
    axes.plot(found.weeks[far], found.values[far], "D", color="#c1121f", markersize=6, label="anomaly")
    axes.legend(fontsize=7, frameon=False)
    axes.tick_params(axis="x", labelrotation=30)
    axes.set_xlabel("week", fontsize=8)
    axes.set_ylabel(plain_label(found.metric), fontsize=8)
    axes.set_title(f"{plain_label(found.metric)}, by {found.method}", loc="left", fontsize=10, color=INK)
    return Plot(figure)
