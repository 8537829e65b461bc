"""Intercept and slope of the line that turns a model's logits into the right ones, from outcomes measured with an error.

logit P(truth) = a + b x;   measured outcome: Phi(Phi⁻¹(p) / sqrt(1 + b² ratio²))
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.special import log_expit, ndtr, ndtri_exp

from seedtest_analytics.stats.verification.logistic import CLIP

Floats = NDArray[np.float64]

PRIOR_SD = (0.4, 0.4)
"""Standard deviations of intercept and slope before there are outcomes: models that were judged here had slopes of 0.3 to
1.5 in their first weeks.
"""
IDENTITY = np.array([0.0, 1.0])
FLAT_PRIOR = np.diag(1.0 / (16.0 * np.square(PRIOR_SD)))
"""Precision of a prior of sixteen times the usual variance, which keeps separated outcomes finite."""
_MOST_STEPS, _TOLERANCE = 200, 1e-8


@dataclass(frozen=True)
class PastRows:
    """Logits (n,) of the model, outcomes, codes of weeks in order of time, and error ratios."""

    x: Floats
    y: Floats
    code: NDArray[np.intp]
    ratio: Floats

    def height(self, beta: Floats) -> float:
        """Log-likelihood plus the log of the flat prior."""
        m, away = probability_of_outcome(self.x, self.ratio, beta=beta)[0], beta - IDENTITY
        return float(np.log(np.where(self.y > 0, m, 1.0 - m)).sum() - away @ FLAT_PRIOR @ away / 2.0)

    def at(self, beta: Floats) -> tuple[Floats, Floats, Floats]:
        """Probability (n,) of the measured outcome, and each week's score (K, 2) and information (K, 2, 2)."""
        m, slope_a, slope_b = probability_of_outcome(self.x, self.ratio, beta=beta)
        weight = 1.0 / np.maximum(m * (1.0 - m), CLIP)
        jacobian = np.column_stack([slope_a, slope_b])
        n_weeks = int(self.code.max()) + 1
        score = np.column_stack([self._sum(jacobian[:, j] * weight * (self.y - m), n_weeks) for j in range(2)])
        information = np.empty((n_weeks, 2, 2))
        for i in range(2):
            for j in range(2):
                information[:, i, j] = self._sum(jacobian[:, i] * jacobian[:, j] * weight, n_weeks)
        return m, score, information

    def _sum(self, values: Floats, n_weeks: int) -> Floats:
        return np.bincount(self.code, weights=values, minlength=n_weeks).astype(np.float64)


def probability_of_outcome(x: Floats, ratio: Floats, *, beta: Floats) -> tuple[Floats, Floats, Floats]:
    """P(measured outcome) and its derivatives by intercept and slope.

    The recalibrated truth has probability p = expit(a + b x) and, on the Normal scale, the model's spread divided by b. So
    an error of ``ratio`` times the model's spread gives Phi(Phi⁻¹(p) / sqrt(1 + b² ratio²)); without error it is p.
    """
    a, b = beta
    z = a + b * x
    tail = log_expit(-np.abs(z))
    # Of both signs from the lower tail, where the quantile is exact.
    q = np.sign(z) * -ndtri_exp(tail)
    spread = np.sqrt(1.0 + (b * ratio) ** 2)
    m = ndtr(q / spread)
    density = np.exp(-0.5 * (q / spread) ** 2)
    slope_a = np.exp(tail + log_expit(np.abs(z)) + 0.5 * (q**2 - (q / spread) ** 2)) / spread
    slope_b = slope_a * x - density * q * b * ratio**2 / spread**3 / np.sqrt(2.0 * np.pi)
    return np.clip(m, CLIP, 1.0 - CLIP), slope_a, slope_b


def fit_slope(rows: PastRows) -> tuple[Floats, Floats, Floats]:
    """Intercept and slope of the highest mode, with the score and information of each week there.

    With errors of measurement the likelihood may have two modes: near the model, and near the share of all.
    """
    share = rows.y.mean()
    beta = max((_climbed(rows, start) for start in (IDENTITY, [np.log(share / (1.0 - share)), 0.0])), key=rows.height)
    return beta, *rows.at(beta)[1:]


def _climbed(rows: PastRows, start: ArrayLike) -> Floats:
    """(2,) the mode that Fisher scoring reaches; a step that lowers the height is halved."""
    beta = np.asarray(start, np.float64)
    here = rows.height(beta)
    for _ in range(_MOST_STEPS):
        score, information = rows.at(beta)[1:]
        step = np.linalg.solve(information.sum(axis=0) + FLAT_PRIOR, score.sum(axis=0) - FLAT_PRIOR @ (beta - IDENTITY))
        step = step * min(1.0, 1.0 / max(float(np.abs(step).max()), 1e-300))
        while (there := rows.height(beta + step)) < here and np.abs(step).max() >= _TOLERANCE:
            step = step / 2.0
        if np.abs(step).max() < _TOLERANCE:
            break
        beta, here = beta + step, there
    return beta
