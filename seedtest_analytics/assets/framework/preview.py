"""Small tables and plots of a result, for the metadata of a materialisation."""

from __future__ import annotations

import base64
import io
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import dagster as dg
from sqlalchemy import Connection, TextClause

from seedtest_analytics.assets.framework.thumbnail import thumbnail
from seedtest_analytics.assets.framework.untrusted import escaped, plain_label

if TYPE_CHECKING:
    from matplotlib.figure import Figure

INK = "#1d2733"
ACCENT = "#1f6f4a"
MUTED = "#9aa8b5"
ROUND_RATIOS = (0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1, 2, 5, 10, 20, 50, 100)
TITLE_CHARACTERS_PER_INCH = 13
LONGEST_CELL = 200
WIDEST_ROW = 4
"""A single row with more columns than this does not fit on an asset's page."""


def table_preview(
    connection: Connection, statement: TextClause, *, parameters: Mapping[str, Any] | None = None
) -> dg.MetadataValue:
    """A Markdown table of the statement's rows. For counts and summaries; never for rows of students."""
    result = connection.execute(statement, dict(parameters or {}))
    return markdown_table(list(result.keys()), [list(row) for row in result])


def markdown_table(header: Sequence[str], rows: Sequence[Sequence[Any]]) -> dg.MetadataValue:
    """A Markdown table; numbers are shortened to four significant digits.

    A single row of many columns is shown upright, because the page would cut it off.
    """
    if len(rows) == 1 and len(header) > WIDEST_ROW:
        header, rows = ["", ""], [[name, value] for name, value in zip(header, rows[0], strict=True)]
    lines = ["| " + " | ".join(_cell(name) for name in header) + " |", "|" + "---|" * len(header)]
    lines += ["| " + " | ".join(_cell(value) for value in row) + " |" for row in rows]
    return dg.MetadataValue.md("\n".join(lines))


def _cell(value: Any) -> str:
    if value is None:
        return "–"
    if isinstance(value, float):
        return f"{value:.4g}"
    if isinstance(value, int) and not isinstance(value, bool):
        return f"{value:,}"
    return escaped(value, LONGEST_CELL)


def new_figure(width: float = 6.0, height: float = 2.8) -> tuple[Figure, Any]:
    """A figure and its axes in the platform's style, without pyplot's global state."""
    figure, (axes,) = new_figures(1, width, height=height)
    return figure, axes


def new_figures(n: int, width: float, *, height: float) -> tuple[Figure, list[Any]]:
    """A figure with ``n`` axes side by side."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(width, height), layout="constrained", dpi=110)
    all_axes = list(figure.subplots(1, n, squeeze=False)[0])
    for axes in all_axes:
        axes.spines[["top", "right"]].set_visible(False)
        axes.tick_params(colors=INK, labelsize=8)
    return figure, all_axes


@dataclass(frozen=True)
class Plot:
    """A figure for an asset's page. The week's outcome draws it, so that every title names its week."""

    figure: Figure

    def of_week(self, name: str, week: str) -> dict[str, dg.MetadataValue]:
        """The figure as an inline image, and its thumbnail, which the UI shows without a click.

        Raises ValueError if an axis has no label.
        """
        self._require_labels()
        self._name_week(f"week of {week}")
        buffer = io.BytesIO()
        self.figure.savefig(buffer, format="png", metadata={"Software": None})
        encoded = base64.b64encode(buffer.getvalue()).decode()
        full = dg.MetadataValue.md(f"![plot](data:image/png;base64,{encoded})")
        return {name: thumbnail(self.figure, f"week of {week}"), f"{name}_in_full": full}

    def _require_labels(self) -> None:
        shared = {"x": self.figure.get_supxlabel(), "y": self.figure.get_supylabel()}
        for axes in filter(lambda axes: axes.get_visible(), self.figure.axes):
            own = {"x": axes.get_xlabel(), "y": axes.get_ylabel()}
            is_scale = hasattr(axes, "_colorbar")
            if missing := [name for name in own if not own[name] and not shared[name] and not is_scale]:
                raise ValueError(f"the plot {axes.get_title(loc='left')!r} has no label of axis {missing[0]}")

    def _name_week(self, week: str) -> None:
        titled = [axes for axes in self.figure.axes if axes.get_title(loc="left")]
        if len(titled) == 1 and not self.figure.get_suptitle():
            title = self._with_week(titled[0].get_title(loc="left"), week)
            titled[0].set_title(title, loc="left", fontsize=10, color=INK)
        else:
            title = self._with_week(self.figure.get_suptitle(), week)
            self.figure.suptitle(title, fontsize=10, color=INK, x=0.01, ha="left")

    def _with_week(self, title: str, week: str) -> str:
        """The week on the title's line if it fits there."""
        if not title:
            return week.capitalize()
        fits = len(f"{title}, {week}") <= (self.figure.get_figwidth() - 0.7) * TITLE_CHARACTERS_PER_INCH
        separator = ", " if fits else "\n"
        return f"{title}{separator}{week}"


def histogram(values: Sequence[float], title: str, *, label: str, bins: int = 40) -> Plot:
    """A histogram of finite values."""
    figure, axes = new_figure()
    axes.hist(values, bins=bins, color=ACCENT)
    axes.set_title(title, loc="left", fontsize=10, color=INK)
    axes.set_xlabel(label, fontsize=8)
    axes.set_ylabel("students", fontsize=8)
    return Plot(figure)


@dataclass(frozen=True)
class Forest:
    """Estimates with their intervals, one row each from top to bottom.

    ``is_marked`` rows are drawn in green. ``is_open`` rows cannot be judged: hollow, with a dashed interval.
    """

    labels: Sequence[str]
    estimate: Sequence[float]
    lower: Sequence[float]
    upper: Sequence[float]
    is_marked: Sequence[bool]
    is_open: Sequence[bool] = ()


_DASHED: dict[bool, Any] = {False: "solid", True: (0, (2, 2))}


def _legend(axes: Any, entries: Mapping[str, tuple[str, bool]]) -> None:
    """Below the axes, so that it hides no row. Each entry: a colour, and whether it is open."""
    from matplotlib.lines import Line2D

    lines = [
        Line2D([], [], color=c, marker="o", markersize=4, markerfacecolor="white" if o else c, linestyle=_DASHED[o])
        for c, o in entries.values()
    ]
    axes.figure.legend(lines, list(entries), loc="outside lower right", ncols=len(lines), fontsize=7, frameon=False)


def forest_plot(
    forest: Forest,
    title: str,
    *,
    label: str,
    rows_are: str,
    limits: Sequence[float],
    no_effect: float = 0.0,
    is_log: bool = False,
    marked: str = "",
    unmarked: str = "",
) -> Plot:
    """A forest plot. ``limits`` are dotted lines; ``no_effect`` is the solid line. ``is_log``: ratios on a log axis.

    ``marked`` and ``unmarked`` say what the rows found, in a legend that is drawn with them and for open rows.
    """
    n = len(forest.labels)
    figure, axes = new_figure(6.5, 1.2 + 0.2 * n)
    rows = range(n - 1, -1, -1)
    colours = [ACCENT if is_marked else MUTED for is_marked in forest.is_marked]
    is_open = forest.is_open or [False] * n
    axes.hlines(rows, forest.lower, forest.upper, color=colours, linewidth=1.6, linestyle=[_DASHED[o] for o in is_open])
    faces = ["white" if o else colour for o, colour in zip(is_open, colours, strict=True)]
    axes.scatter(forest.estimate, rows, color=faces, edgecolor=colours, s=14, zorder=3)
    if marked or unmarked:
        _legend(axes, {marked: (ACCENT, False), unmarked: (MUTED, False), "cannot be judged": (MUTED, True)})
    for limit in limits:
        axes.axvline(limit, color=INK, linewidth=0.7, linestyle=":")
    axes.axvline(no_effect, color=INK, linewidth=0.7)
    axes.set_yticks(rows, [plain_label(name) for name in forest.labels], fontsize=7)
    if is_log:
        axes.set_xscale("log")
        low, high = axes.get_xlim()
        ratios = [ratio for ratio in ROUND_RATIOS if low <= ratio <= high]
        axes.set_xticks(ratios, [f"{ratio:g}" for ratio in ratios])
        axes.minorticks_off()
    axes.set_xlabel(label, fontsize=8)
    axes.set_ylabel(rows_are, fontsize=8)
    axes.set_title(title, loc="left", fontsize=10, color=INK)
    return Plot(figure)
