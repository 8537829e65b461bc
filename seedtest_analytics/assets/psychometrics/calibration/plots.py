"""Plots of a calibration on the platform scale, for the metadata of `mirt_item_params`."""

from __future__ import annotations

from typing import Any

import numpy as np

from seedtest_analytics.assets.framework.preview import ACCENT, INK, MUTED, Plot, markdown_table, new_figures
from seedtest_analytics.assets.framework.untrusted import plain_label
from seedtest_analytics.assets.psychometrics.scale.placement import PlacedCalibration
from seedtest_analytics.stats.irt.curves import characteristic_curves
from seedtest_analytics.stats.irt.model import ItemParameters, information

_CURVES = 12


def calibration_metadata(placed: PlacedCalibration, n_students: int) -> dict[str, Any]:
    """Characteristic curves, information where the students are, and a table of the parameters' quartiles."""
    items = placed.platform_items.loc[placed.platform_items["a"].notna()]
    metadata: dict[str, Any] = {"items": len(items), "scale": placed.description}
    if len(items):
        if len(placed.platform_parameters):
            metadata["curves_and_information"] = _curves_and_information(placed, n_students)
        a, b = (items[name].to_numpy(np.float64) for name in ("a", "b"))
        metadata["parameters"] = _quartiles(
            {"discrimination a": a, "difficulty b": b, "SE of b": items["se_b"].to_numpy()}
        )
    return metadata


def _quartiles(columns: dict[str, np.ndarray]) -> Any:
    rows = []
    for name, values in columns.items():
        finite = values[np.isfinite(values.astype(np.float64))]
        quantiles = np.quantile(finite, [0, 0.25, 0.5, 0.75, 1]).tolist() if len(finite) else [None] * 5
        rows.append([name, *quantiles])
    return markdown_table(["", "minimum", "quarter", "median", "three quarters", "maximum"], rows)


def _curves_and_information(placed: PlacedCalibration, n_students: int) -> Any:
    """Left: curves of some items, from the easiest to the hardest. Right: the information of a test of ordinary length,
    and the distribution of the students. Information far from the students is useless.
    """
    figure, (left, right) = new_figures(2, 9.0, height=3.2)
    _curves(left, placed.platform_parameters)
    _information(right, placed, n_students=n_students)
    return Plot(figure)


def _curves(axes: Any, items: ItemParameters) -> None:
    from matplotlib import colormaps

    curves = characteristic_curves(items, _CURVES, theta=np.linspace(-4, 4, 161))
    b = items.b[items.positions(curves.item_ids)]
    n = len(curves.item_ids)
    colours = colormaps["viridis"](np.linspace(0.0, 0.9, n))
    for item, difficulty, row, colour in zip(curves.item_ids, b, curves.probability, colours, strict=True):
        axes.plot(curves.theta, row, color=colour, linewidth=1.3, label=f"{plain_label(item)} ({difficulty:.1f})")
    axes.set_ylim(0, 1)
    axes.set_xlabel("θ (logit)", fontsize=8)
    axes.set_ylabel("P(right)", fontsize=8)
    axes.set_title(f"{n} of {len(items)} items, by difficulty", loc="left", fontsize=10, color=INK)
    axes.legend(
        title="item (b)", title_fontsize=7, fontsize=6, frameon=False, loc="center left", bbox_to_anchor=(1.0, 0.5)
    )


def _information(axes: Any, placed: PlacedCalibration, *, n_students: int) -> None:
    fit, items = placed.calibration, placed.platform_parameters
    n_answers = fit.n_answers / max(n_students, 1)
    theta = np.linspace(-4, 4, 161)
    measured = information(theta, items).sum(axis=0) * n_answers / len(items)
    density = np.exp(-0.5 * ((theta - placed.group_mean) / placed.group_sd) ** 2)
    top = float(measured.max())
    axes.fill_between(theta, density * top, color=MUTED, alpha=0.35, linewidth=0, label="students")
    axes.plot(theta, measured, color=ACCENT, linewidth=2, label="information")
    axes.set_ylim(0, 1.08 * top)
    axes.set_xlabel("θ (logit)", fontsize=8)
    axes.set_ylabel("information (1/logit²)", fontsize=8)
    axes.set_title(
        f"{n_answers:.0f} answers, a student's average, and the students", loc="left", fontsize=10, color=INK
    )
    axes.legend(fontsize=7, frameon=False, loc="upper left")
