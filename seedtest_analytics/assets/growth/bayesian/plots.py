"""Plots of a growth fit for the UI. None of them shows a student's id."""

from __future__ import annotations

from typing import Any

import dagster as dg
import numpy as np

from seedtest_analytics.assets.framework.preview import ACCENT, INK, MUTED, Plot, markdown_table, new_figure
from seedtest_analytics.assets.growth.bayesian.fit import GrowthFit
from seedtest_analytics.assets.growth.bayesian.goals import Goals
from seedtest_analytics.assets.growth.bayesian.scores import WeeklyScores
from seedtest_analytics.stats.growth.counts import CountData
from seedtest_analytics.stats.growth.data import GrowthData
from seedtest_analytics.stats.growth.plots import (
    posterior_intervals,
    predictive_check,
    probability_histogram,
    rank_histogram,
    student_fans,
)
from seedtest_analytics.stats.growth.posterior import GrowthPosterior

BAND, CORE = "#cfe3d8", "#8fbfa6"
N_FANS = 6
LABELS = {
    "intercept": "level, first week",
    "intercept_at_mean_week": "level, mean week",
    "week": "gain a week",
    "sd_intercept": "SD of levels",
    "sd_week": "SD of gains",
    "correlation": "correlation",
    "sigma": "SD of a weekly score",
}


def fit_metadata(fit: GrowthFit, scores: WeeklyScores) -> dict[str, Any]:
    """Tables and plots of the population's posterior."""
    posterior = fit.posterior
    metadata: dict[str, Any] = {
        "posterior": _summary_table(posterior),
        "intervals": _intervals(posterior),
        "chains": _chains(posterior),
    }
    if not isinstance(fit.data, CountData):
        metadata["predictive_check"] = _predictive_check(fit, scores)
    return metadata


def prediction_metadata(
    fit: GrowthFit, scores: WeeklyScores, *, goals: Goals, probability: np.ndarray
) -> dict[str, Any]:
    """P's histogram and the lines of a handful of students."""
    metadata: dict[str, Any] = {"P": _probability_histogram(probability)}
    if not isinstance(fit.data, CountData):
        metadata["fans"] = _fans(fit.posterior, fit.data, scores=scores, goals=goals)
    return metadata


def _label(name: str) -> str:
    return LABELS.get(name, name)


def _summary_table(posterior: GrowthPosterior) -> dg.MetadataValue:
    summary = posterior.summary()
    rows = [[_label(name), s["mean"], s["sd"], s["q2.5"], s["q97.5"]] for name, s in summary.items()]
    return markdown_table(["parameter", "mean", "SD", "2.5 %", "97.5 %"], rows)


def _intervals(posterior: GrowthPosterior) -> Plot:
    """One panel for each parameter: they differ by orders of magnitude, so a shared axis would hide the small ones."""
    intervals = posterior_intervals(posterior)
    figure, axes = _panels(len(intervals.names), columns=2, height=0.75)
    for k, panel in enumerate(axes):
        panel.plot([intervals.outer_lower[k], intervals.outer_upper[k]], [0, 0], color=CORE, linewidth=2)
        panel.plot([intervals.inner_lower[k], intervals.inner_upper[k]], [0, 0], color=ACCENT, linewidth=5)
        panel.plot(intervals.median[k], 0, "o", color="white", markeredgecolor=INK, markersize=6)
        panel.set_title(_label(intervals.names[k]), loc="left", fontsize=8, color=INK)
        panel.set_yticks([])
        panel.spines["left"].set_visible(False)
        panel.margins(y=1)
    figure.supxlabel("value", fontsize=8)
    figure.supylabel("parameter", fontsize=8)
    figure.suptitle("Posterior: median, 50 % and 95 %", fontsize=10, color=INK, x=0.01, ha="left")
    return Plot(figure)


def _chains(posterior: GrowthPosterior) -> Plot:
    """Rank plots of the chains; for importance draws their weights."""
    if posterior.weights is not None:
        return _importance_weights(posterior)

    figure, axes = _panels(len(posterior.parameters), columns=3, height=1.3)
    for panel, (name, draws) in zip(axes, posterior.parameters.items(), strict=True):
        ranks = rank_histogram(draws)
        for chain, counts in enumerate(ranks.counts):
            colour = [ACCENT, "#b0562d", "#4a6fa5", "#8a6d3b"][chain % 4]
            panel.stairs(counts, ranks.edges, baseline=None, color=colour, linewidth=1.1, label=f"chain {chain + 1}")
        panel.axhline(ranks.expected, color=MUTED, linewidth=0.8, linestyle=":")
        panel.set_title(_label(name), loc="left", fontsize=8, color=INK)
        panel.set_ylim(0, 2.2 * ranks.expected)
        panel.set_xticks([])
    axes[0].legend(fontsize=6, frameon=False, ncols=2, loc="upper left")
    figure.supxlabel("rank of the draw", fontsize=8)
    figure.supylabel("draws", fontsize=8)
    figure.suptitle("Ranks of the draws by chain: flat where chains agree", fontsize=10, color=INK, x=0.01, ha="left")
    return Plot(figure)


def _importance_weights(posterior: GrowthPosterior) -> Plot:
    assert posterior.weights is not None
    assert posterior.importance is not None
    figure, axes = new_figure()
    relative = np.sort(posterior.weights)[::-1] * len(posterior.weights)
    axes.plot(np.arange(1, len(relative) + 1), relative, color=ACCENT)
    axes.set_xscale("log")
    axes.axhline(1, color=MUTED, linewidth=0.8, linestyle=":")
    k = posterior.importance.pareto_k
    axes.set_title(f"Importance weights, largest first (Pareto k {k:.2f})", loc="left", fontsize=10, color=INK)
    axes.set_xlabel("draw", fontsize=8)
    axes.set_ylabel("weight / mean weight", fontsize=8)
    return Plot(figure)


def _predictive_check(fit: GrowthFit, scores: WeeklyScores) -> Plot:
    weight = scores.weight if fit.is_weighted else None
    check = predictive_check(fit.posterior, scores.student, week=scores.week, score=scores.score, weight=weight)
    figure, axes = _panels(2, columns=2, height=2.2)
    parts = (
        ("Mean score of the week", check.observed_mean, check.mean_lower, check.mean_upper),
        ("SD of the week's scores", check.observed_sd, check.sd_lower, check.sd_upper),
    )
    for panel, (title, observed, lower, upper) in zip(axes, parts, strict=True):
        panel.fill_between(check.weeks, lower, upper, color=BAND, label="95 % of replications")
        panel.plot(check.weeks, observed, "o-", color=INK, markersize=3, linewidth=1, label="observed")
        panel.set_title(title, loc="left", fontsize=9, color=INK)
        panel.set_xlabel("week", fontsize=8)
        panel.set_ylabel(f"score ({scores.unit})", fontsize=8)
    axes[0].legend(fontsize=7, frameon=False)
    return Plot(figure)


def _fans(posterior: GrowthPosterior, data: GrowthData, *, scores: WeeklyScores, goals: Goals) -> Plot:
    """Students from the lowest to the highest level, at even steps among the half with the most information."""
    chosen = _handful(data, goals)
    last = float(max(data.last_week[chosen].max(), goals.week[chosen].max()))
    weeks = np.linspace(float(data.weeks[0]), last, 40)
    figure, axes = _panels(len(chosen), columns=3, height=1.6)
    fans = student_fans(posterior, data, students=list(chosen), weeks=weeks, as_of_week=goals.as_of_week)
    for number, (panel, fan) in enumerate(zip(axes, fans, strict=True), 1):
        row = chosen[number - 1]
        own = scores.student == data.students[row]
        panel.fill_between(fan.weeks, fan.outer_lower, fan.outer_upper, color=BAND)
        panel.fill_between(fan.weeks, fan.inner_lower, fan.inner_upper, color=CORE)
        panel.plot(fan.weeks, fan.mean, color=ACCENT)
        size = 30 * scores.weight[own] / scores.weight.mean()
        panel.scatter(scores.week[own], scores.score[own], s=np.clip(size, 4, 60), color=INK, linewidths=0)
        panel.plot(goals.week[row], goals.target[row], "*", color="#b0562d", markersize=9)
        panel.set_title(f"student {number}", loc="left", fontsize=8, color=INK)
    figure.supxlabel("week", fontsize=8)
    figure.supylabel(f"score ({scores.unit})", fontsize=8)
    figure.suptitle(
        "Lines with 50 % and 95 %; dots: weekly scores, size by precision; star: goal",
        fontsize=10,
        color=INK,
        x=0.01,
        ha="left",
    )
    return Plot(figure)


def _handful(data: GrowthData, goals: Goals) -> np.ndarray:
    near = np.flatnonzero(goals.week <= data.weeks[-1] + 26)
    pool = near if len(near) >= N_FANS else np.arange(data.n_students)
    information = data.statistics[pool, 0]
    rich = pool[information >= np.quantile(information, 0.5)]
    level = data.statistics[rich, 3] / data.statistics[rich, 0]
    ordered = rich[np.argsort(level, kind="stable")]
    return np.asarray(ordered[np.unique(np.linspace(0, len(ordered) - 1, N_FANS).round().astype(int))])


def _probability_histogram(probability: np.ndarray) -> Plot:
    edges, counts = probability_histogram(probability)
    figure, axes = new_figure()
    axes.stairs(counts, edges, fill=True, color=ACCENT)
    axes.set_xlim(0, 1)
    axes.set_title(f"P of {len(probability):,} students", loc="left", fontsize=10, color=INK)
    axes.set_xlabel("probability of reaching the goal", fontsize=8)
    axes.set_ylabel("students", fontsize=8)
    return Plot(figure)


def _panels(n: int, columns: int, *, height: float) -> tuple[Any, list[Any]]:
    from matplotlib.figure import Figure

    rows = -(-n // columns)
    figure = Figure(figsize=(7.2, height * rows + 0.4), layout="constrained", dpi=110)
    axes = figure.subplots(rows, columns, squeeze=False).ravel()
    for panel in axes:
        panel.spines[["top", "right"]].set_visible(False)
        panel.tick_params(colors=INK, labelsize=7)
    for panel in axes[n:]:
        panel.set_visible(False)
    return figure, list(axes[:n])
