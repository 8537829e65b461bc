"""What a calibration looks like, for the metadata of `mirt_item_params`."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from seedtest_analytics.assets.preview import ACCENT, INK, MUTED, figure_metadata, markdown_table, new_figure

if TYPE_CHECKING:
    from seedtest_analytics.assets.scale import PlacedCalibration

_CURVES = 12


def calibration_metadata(placed: PlacedCalibration) -> dict[str, Any]:
    """Characteristic curves, test information and a table of the parameters' quartiles."""
    items = placed.items.loc[placed.items["a"].notna()]
    metadata: dict[str, Any] = {"items": len(items), "scale": placed.description}
    if len(items):
        a, b, c = (items[name].to_numpy(np.float64) for name in ("a", "b", "c"))
        metadata["curves_and_information"] = _curves(a, b, np.nan_to_num(c))
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


def _curves(a: np.ndarray, b: np.ndarray, c: np.ndarray) -> Any:
    theta = np.linspace(-4, 4, 161)
    order = np.argsort(b)
    shown = order[np.linspace(0, len(order) - 1, min(_CURVES, len(order))).astype(int)]
    figure, axes = new_figure(7.5, 3.0)
    logistic = 1 / (1 + np.exp(-a[:, None] * (theta - b[:, None])))
    probability = c[:, None] + (1 - c[:, None]) * logistic
    for position in shown:
        axes.plot(theta, probability[position], color=MUTED, linewidth=0.9)
    axes.set_xlabel("θ (logit)", fontsize=8)
    axes.set_ylabel("P(right)", fontsize=8)
    axes.set_title(
        f"{len(shown)} of {len(a)} item characteristic curves, test information",
        loc="left",
        fontsize=10,
        color=INK,
    )
    information = (a[:, None] ** 2 * (1 - probability) / probability * logistic**2).sum(axis=0)
    right = axes.twinx()
    right.plot(theta, information, color=ACCENT, linewidth=2)
    right.set_ylabel("information", fontsize=8, color=ACCENT)
    right.tick_params(labelsize=8, colors=ACCENT)
    right.spines[["top"]].set_visible(False)
    return figure_metadata(figure)
