"""Pictures of growth percentiles: the curves, and the share of students at each percentile."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd

from seedtest_analytics.assets.framework.preview import ACCENT, INK, MUTED, Plot, histogram, new_figure
from seedtest_analytics.stats.growth.percentiles import PROBABILITIES, GrowthCurves

SHOWN = (0.05, 0.25, 0.5, 0.75, 0.95)
MAX_DOTS = 400


def percentile_metadata(rows: pd.DataFrame, curves: GrowthCurves, *, weeks: float) -> dict[str, Any]:
    """Curves with students around them, and the histogram of the percentiles."""
    compared = rows[rows["percentile"].notna()]
    title = f"Growth percentiles of {len(compared):,} students"
    return {
        "curves": _curves(compared, curves, weeks=weeks),
        "percentiles": histogram(compared["percentile"].tolist(), title, label="growth percentile"),
    }


def _curves(compared: pd.DataFrame, curves: GrowthCurves, *, weeks: float) -> Plot:
    figure, axes = new_figure(height=3.2)
    earlier, level = (compared[name].to_numpy(np.float64) for name in ("earlier_level", "level"))
    order = np.argsort(earlier, kind="stable")
    dots = order[np.unique(np.linspace(0, len(order) - 1, min(MAX_DOTS, len(order))).round().astype(np.int64))]
    axes.scatter(earlier[dots], level[dots], s=6, color=MUTED, linewidths=0)
    grid = np.linspace(float(np.quantile(earlier, 0.01)), float(np.quantile(earlier, 0.99)), 60)
    quantiles = curves.quantiles(grid)
    for probability in SHOWN:
        at = int(np.argmin(np.abs(PROBABILITIES - probability)))
        axes.plot(grid, quantiles[:, at], color=ACCENT, linewidth=2 if probability == 0.5 else 0.9)
        axes.annotate(f"{100 * probability:.0f}", (grid[-1], quantiles[-1, at]), fontsize=7, color=INK)
    axes.set_title(
        f"Growth over {weeks:g} weeks: percentiles given the level before", loc="left", fontsize=10, color=INK
    )
    axes.set_xlabel(f"level {weeks:g} weeks ago (logit)", fontsize=8)
    axes.set_ylabel("level now (logit)", fontsize=8)
    return Plot(figure)
