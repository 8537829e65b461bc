"""Plots of a segmentation: the map of students and the profiles of segments."""

from __future__ import annotations

import math

import dagster as dg

from seedtest_analytics.assets.framework.preview import INK, Plot, markdown_table, new_figure
from seedtest_analytics.stats.segments.segments import Segmentation

_COLOURS = ("#1f6f4a", "#b5651d", "#2b5f9e", "#8a3ffc", "#c1121f", "#5f6b76", "#d4a017", "#008b8b")
_DRAWN_STUDENTS = 3_000


def segment_plots(found: Segmentation) -> dict[str, dg.MetadataValue | Plot]:
    """Table, map and profiles."""
    rows = [
        [s.segment_id, s.label, s.n, s.share, None if math.isnan(s.jaccard) else s.jaccard, s.is_new, s.description]
        for s in found.segments
    ]
    header = ["segment", "label", "students", "share", "Jaccard", "new", "description"]
    plots: dict[str, dg.MetadataValue | Plot] = {"segments": markdown_table(header, rows), "map": _map(found)}
    if found.scale.names:
        plots["profiles"] = _profiles(found)
    return plots


def _map(found: Segmentation) -> Plot:
    figure, axes = new_figure(5.6, 4.2)
    step = max(1, len(found.segment_id) // _DRAWN_STUDENTS)
    drawn, ids = found.coordinates[::step], found.segment_id[::step]
    for position, segment in enumerate(found.segments):
        own = drawn[ids == segment.segment_id]
        colour = _COLOURS[position % len(_COLOURS)]
        axes.scatter(own[:, 0], own[:, 1], s=6, alpha=0.5, color=colour, label=segment.label, linewidths=0)
    axes.legend(fontsize=7, frameon=False, markerscale=3)
    axes.set_xlabel("first principal component, in robust SDs", fontsize=8)
    axes.set_ylabel("second principal component, in robust SDs", fontsize=8)
    title = f"Students on the segment map ({found.explained:.0%} of the variance)"
    axes.set_title(title, loc="left", fontsize=10, color=INK)
    return Plot(figure)


def _profiles(found: Segmentation) -> Plot:
    names = found.scale.names
    figure, axes = new_figure(6.4, 0.9 + 0.4 * len(found.segments))
    grid = [[segment.scaled_centre[name] for name in names] for segment in found.segments]
    image = axes.imshow(grid, cmap="PRGn", vmin=-2, vmax=2, aspect="auto")
    axes.set_xticks(range(len(names)), names, fontsize=7, rotation=30, ha="right")
    axes.set_yticks(range(len(grid)), [segment.label for segment in found.segments], fontsize=7)
    axes.set_xlabel("feature", fontsize=8)
    axes.set_ylabel("segment", fontsize=8)
    figure.colorbar(image, ax=axes, shrink=0.8).ax.tick_params(labelsize=7)
    axes.set_title("Centres, in robust SDs from the middle student", loc="left", fontsize=10, color=INK)
    return Plot(figure)
