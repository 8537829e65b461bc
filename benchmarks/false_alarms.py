"""How often ordinary weeks are called anomalies, by kind of series, and how often a still anchor is dropped from a link.

Usage: ``python -m benchmarks.false_alarms [--series 200] [--prophet | --students | --anchors]``. The local level forecasts, or
with ``--prophet`` the better of both, which takes about a second for each series. ``--students`` scores 2,000 students
together, as the expectation of I_t does. ``--anchors`` screens anchors whose parameters differ by their standard errors alone,
or one of which drifted. Seeds begin at 10,000: none of them served to choose a constant.
"""

from __future__ import annotations

import argparse

import numpy as np
from numpy.typing import NDArray

from seedtest_analytics.stats.forecasts.expectation import expect_students
from seedtest_analytics.stats.forecasts.forecast import forecast_series
from seedtest_analytics.stats.forecasts.series import ForecastSettings, weekly_series
from seedtest_analytics.stats.irt.errors import AnchorsDisagreeError
from seedtest_analytics.stats.irt.link_anchors import AnchorRule, CommonItems, screen_anchors

Floats = NDArray[np.float64]

FIRST_SEED = 10_000
WEEKS = 20
SD = 0.05
STUDENTS = 2_000
ANCHORS, DRIFTS = (5, 8, 20, 40, 80), (0.5, 1.0, 1.5)


def values_of(kind: str, rng: np.random.Generator) -> tuple[Floats, str]:
    """(20,) ordinary weeks of a kind, and the metric whose bounds they have."""
    noise = rng.normal(size=WEEKS)
    if kind == "normal":
        return 0.5 + SD * noise, "I_t"
    if kind == "constant for six weeks":
        return np.where(np.arange(WEEKS) < 6, 0.4, 0.4 + SD * noise), "I_t"
    if kind == "clipped":
        return np.clip(0.95 + SD * noise, 0.0, 1.0), "A_t"
    if kind == "heavy-tailed":
        return 0.1 + SD * rng.standard_t(4, WEEKS), "I_t"
    if kind == "autocorrelated":
        for t in range(1, WEEKS):
            noise[t] = 0.7 * noise[t - 1] + np.sqrt(1 - 0.7**2) * noise[t]
        return 0.5 + SD * noise, "I_t"
    if kind == "bounded":
        return rng.binomial(40, 0.9, WEEKS) / 40, "topic:x"
    if kind == "after one bad week":
        noise[9] -= 12.0
        return 0.5 + SD * noise, "I_t"
    raise ValueError(f"unknown kind {kind!r}")


KINDS = (
    "normal",
    "constant for six weeks",
    "clipped",
    "heavy-tailed",
    "autocorrelated",
    "bounded",
    "after one bad week",
)


def false_alarms(kind: str, n_series: int, settings: ForecastSettings) -> tuple[float, int]:
    """Share of the scored ordinary weeks that are anomalies, and their number."""
    weeks = np.datetime64("2026-01-05") + 7 * np.arange(WEEKS)
    far, scored = 0, 0
    for seed in range(n_series):
        values, metric = values_of(kind, np.random.default_rng(FIRST_SEED + seed))
        found = forecast_series(weekly_series(metric, weeks, values=values), settings)
        ordinary = np.isfinite(found.anomaly_score)
        if kind == "after one bad week":
            ordinary &= (np.arange(WEEKS) > 9) & (np.arange(WEEKS) < 13)
        far += int(found.is_anomaly[ordinary].sum())
        scored += int(ordinary.sum())
    return far / scored, scored


def student_values(kind: str, rng: np.random.Generator) -> Floats:
    """(2000, 20) weeks of students whose levels differ, ordinary by kind."""
    level = rng.normal(0.0, 0.1, (STUDENTS, 1))
    noise = rng.normal(size=(STUDENTS, WEEKS))
    if kind == "heavy-tailed":
        noise = rng.standard_t(4, noise.shape)
    elif kind == "autocorrelated":
        for t in range(1, WEEKS):
            noise[:, t] = 0.7 * noise[:, t - 1] + np.sqrt(1 - 0.7**2) * noise[:, t]
    elif kind == "constant for six weeks":
        noise[:, :6] = 0.0
    elif kind == "clipped":
        return np.maximum(level + SD * 2.0 * noise, 0.0)
    elif kind == "bounded":
        return rng.binomial(10, np.clip(0.85 + level, 0.05, 1.0), noise.shape) / 10
    return np.asarray(level + SD * noise)


def students_false_alarms(kind: str, seed: int) -> tuple[float, float]:
    """Share of the scored ordinary student-weeks that are anomalies, and the degrees of freedom of the tails."""
    found = expect_students(student_values(kind, np.random.default_rng(seed)))
    z = found.anomaly[np.isfinite(found.anomaly)]
    return float((np.abs(z) > ForecastSettings().anomaly_threshold).mean()), found.tail_degrees


def common_items(n: int, rng: np.random.Generator, drift: float = 0.0) -> CommonItems:
    """Anchors whose difficulties have standard errors of 0.05 to 0.4 on both sides; the first one moved by ``drift``."""
    a, b = np.exp(rng.normal(0.0, 0.3, n)), rng.normal(0.0, 1.0, n)
    sides = []
    for moved in (0.0, drift):
        se_b = np.exp(rng.uniform(np.log(0.05), np.log(0.4), n))
        se_log_a = np.exp(rng.uniform(np.log(0.08), np.log(0.3), n))
        found = np.column_stack([a * np.exp(se_log_a * rng.normal(size=n)), b + se_b * rng.normal(size=n), np.zeros(n)])
        found[0, 1] += moved
        variance = np.column_stack([(se_log_a * found[:, 0]) ** 2, se_b**2, np.zeros(n)])
        sides.append((found, np.diag(variance.ravel())))
    (old, covariance_old), (new, covariance_new) = sides
    return CommonItems(np.arange(n), new, old=old, covariance_new=covariance_new, covariance_old=covariance_old)


def anchors_dropped(n: int, n_links: int, drift: float = 0.0) -> tuple[float, float]:
    """Share of links that drop a still anchor, and share that drop the first one."""
    still, first = 0, 0
    for seed in range(n_links):
        try:
            kept, _ = screen_anchors(common_items(n, np.random.default_rng(FIRST_SEED + seed), drift), AnchorRule())
        except AnchorsDisagreeError:  # the link is refused, and drops nobody
            continue
        still += int(not kept[1:].all())
        first += int(not kept[0])
    return still / n_links, first / n_links


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--series", type=int, default=200)
    parser.add_argument("--prophet", action="store_true")
    parser.add_argument("--students", action="store_true")
    parser.add_argument("--anchors", action="store_true")
    chosen = parser.parse_args()
    if chosen.students:
        for kind in KINDS[:-1]:
            share, degrees = students_false_alarms(kind, FIRST_SEED)
            print(f"{kind:<24} {share:.4f} of student-weeks; degrees of freedom {degrees:g}", flush=True)
        return
    if chosen.anchors:
        for n in ANCHORS:
            still, _ = anchors_dropped(n, chosen.series)
            drifted = ", ".join(f"{anchors_dropped(n, chosen.series, d)[1]:.2f} of {d:g} logits" for d in DRIFTS)
            print(f"{n:>3} anchors: a still one dropped in {still:.4f} of links; drifted ones: {drifted}", flush=True)
        return
    settings = ForecastSettings() if chosen.prophet else ForecastSettings(min_points=10_000)
    for kind in KINDS:
        share, scored = false_alarms(kind, chosen.series, settings)
        print(f"{kind:<24} {share:.3f} of {scored:,} weeks", flush=True)


if __name__ == "__main__":
    main()
