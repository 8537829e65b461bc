"""A small logistic regression, logit P(y) = X β + offset, for recalibration and the smooth calibration curve."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.special import expit

Floats = NDArray[np.float64]

CLIP = 1e-6
"""Probabilities are clipped this far from 0 and 1 before a logit or a logarithm; a certain and wrong prediction costs 13.8
nats.
"""


@dataclass(frozen=True)
class LogisticFit:
    """Coefficients (p,), their covariance (p, p), and whether the iterations converged."""

    coefficients: Floats
    covariance: Floats
    has_converged: bool


def clipped_logit(probability: Floats) -> Floats:
    """Logit of probabilities clipped to [1e-6, 1 - 1e-6]."""
    inside = np.clip(probability, CLIP, 1.0 - CLIP)
    return np.asarray(np.log(inside) - np.log1p(-inside))


def fit_logistic(
    X: Floats,
    y: Floats,
    *,
    offset: Floats | float = 0.0,
    clusters: NDArray[np.int64] | None = None,
    ridge: float = 1e-9,
) -> LogisticFit:
    """Newton's method on (n, p) columns; with (n,) cluster codes the covariance is the cluster sandwich."""
    p = X.shape[1]
    beta = np.zeros(p)
    has_converged = False
    information = np.eye(p)
    fitted = np.full(len(y), 0.5)
    for _ in range(30):
        fitted = expit(X @ beta + offset)
        weight = fitted * (1.0 - fitted)
        information = (X * weight[:, None]).T @ X + ridge * len(y) * np.eye(p)
        step = np.linalg.solve(information, X.T @ (y - fitted) - ridge * len(y) * beta)
        largest = np.abs(step).max()
        beta = beta + step * min(1.0, 5.0 / max(largest, 1e-300))
        if largest < 1e-9:
            has_converged = bool(np.abs(beta).max() < 50.0)
            break
    covariance = np.linalg.inv(information)
    if clusters is not None:
        residual = y - fitted
        scores = np.column_stack([np.bincount(clusters, weights=X[:, j] * residual) for j in range(p)])
        covariance = covariance @ (scores.T @ scores) @ covariance
    return LogisticFit(beta, np.asarray(covariance), has_converged=has_converged)
