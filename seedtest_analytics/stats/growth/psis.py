"""Pareto-smoothed importance sampling (Vehtari, Simpson, Gelman, Yao, Gabry 2024, JMLR 25:1-58).

    r_k = p(θ_k | y) / q(θ_k);   the M = min(K/5, 3√K) largest r_k become the expected order statistics of a
    generalised Pareto distribution F(x) = 1 - (1 + k x / σ)^(-1/k) fitted to their exceedances

Above k = 0.7 importance weights are unreliable. A test compares with `arviz-stats`; docs/decisions has the reason why
it does not replace this module.
"""

from dataclasses import dataclass

import numpy as np

MIN_TAIL = 5


@dataclass(frozen=True)
class SmoothedWeights:
    """Weights (K,) that sum to one, and their quality.

    `pareto_k` is the shape of the tail, infinite where it cannot be estimated; `effective_draws` is 1 / Σ weights².
    """

    weights: np.ndarray
    pareto_k: float
    effective_draws: float


def smooth_weights(log_ratios: np.ndarray) -> SmoothedWeights:
    """Smooth the largest importance ratios by a generalised Pareto distribution.

    Args:
        log_ratios: log target minus log proposal, up to a constant, shape (K,); -inf is a weight of zero.
    """
    log_weights = log_ratios - log_ratios.max()
    n_tail = int(np.ceil(min(0.2 * len(log_weights), 3 * np.sqrt(len(log_weights)))))
    order = np.argsort(log_weights, kind="stable")
    tail, cutoff = order[-n_tail:], log_weights[order[-n_tail - 1]]
    # Smaller ratios would underflow; the paper's implementations cut there too.
    cutoff = max(cutoff, np.log(np.finfo(float).tiny))
    exceedances = np.exp(log_weights[tail]) - np.exp(cutoff)
    if n_tail < MIN_TAIL or exceedances[-1] <= 0:
        is_flat = bool(np.ptp(log_weights) < 1e-12)
        return _normalised(log_weights, 0.0 if is_flat else np.inf)
    k, scale = fit_generalised_pareto(exceedances[exceedances > 0])
    if np.isfinite(k):
        probabilities = (np.arange(n_tail) + 0.5) / n_tail
        quantiles = _pareto_quantile(probabilities, k, scale=scale)
        log_weights[tail] = np.minimum(np.log(quantiles + np.exp(cutoff)), 0.0)
    return _normalised(log_weights, k)


def fit_generalised_pareto(exceedances: np.ndarray) -> tuple[float, float]:
    """Shape and scale by Zhang and Stephens (2009); a prior worth ten observations shrinks the shape towards 0.5.

    Args:
        exceedances: positive, ascending, shape (M,).
    """
    x = np.asarray(exceedances, dtype=float)
    if len(x) < MIN_TAIL:
        return float("inf"), float("nan")
    n_grid = 30 + int(np.sqrt(len(x)))
    quartile = x[int(len(x) / 4 + 0.5) - 1]
    grid = 1 - np.sqrt(n_grid / (np.arange(1, n_grid + 1) - 0.5))
    grid = grid / (3 * quartile) + 1 / x[-1]
    shapes = np.log1p(-grid[:, None] * x).mean(axis=1)
    profile = len(x) * (np.log(-grid / shapes) - shapes - 1)
    weights = np.exp(profile - profile.max())
    weights /= weights.sum()
    theta = float(grid @ weights)
    shape = float(np.log1p(-theta * x).mean())
    scale = -shape / theta
    return (shape * len(x) + 0.5 * 10) / (len(x) + 10), scale


def _pareto_quantile(probability: np.ndarray, shape: float, *, scale: float) -> np.ndarray:
    if abs(shape) < 1e-12:
        return np.asarray(-scale * np.log1p(-probability))
    return np.asarray(scale * np.expm1(-shape * np.log1p(-probability)) / shape)


def _normalised(log_weights: np.ndarray, k: float) -> SmoothedWeights:
    weights = np.exp(log_weights - log_weights.max())
    weights /= weights.sum()
    return SmoothedWeights(weights, float(k), effective_draws=float(1 / (weights @ weights)))
