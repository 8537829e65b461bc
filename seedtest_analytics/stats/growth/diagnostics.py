"""Convergence diagnostics of Markov chains, after Vehtari, Gelman, Simpson, Carpenter, Bürkner (2021).

    R-hat = √((B/W + n - 1) / n)            B/n and W: variance between and within the 2m half chains
    ESS = 2mn / (-1 + 2 Σ_t (ρ_2t + ρ_2t+1))   over Geyer's initial monotone sequence of autocorrelations ρ

"Rank-normalization, folding, and localization: an improved R-hat for assessing convergence of MCMC", Bayesian
Analysis 16(2):667-718. Draws have shape (chains, draws) throughout. A test compares them with `arviz-stats`;
docs/decisions has the reason why it does not replace this module.
"""

import numpy as np
from numpy.typing import ArrayLike

from seedtest_analytics.stats.checks import array_of

MIN_DRAWS = 4


def chains_of(draws: ArrayLike) -> np.ndarray:
    """Shape (chains, draws), as floats; NaN and infinity stay. Raises `ValueError` for other shapes and for text."""
    array = array_of(draws, "draws")
    if array.ndim != 2 or array.size == 0 or array.dtype.kind not in "fiu":
        raise ValueError(
            f"draws have shape {array.shape} and type {array.dtype}, need numbers of shape (chains, draws)"
        )
    return array.astype(float, copy=False)


def rhat(draws: ArrayLike) -> float:
    """Larger of the split R-hats of rank-normalised and of folded draws; NaN if constant, not finite or too few.

    Like the others it raises `ValueError` for what is not numbers of shape (chains, draws).
    """
    draws = chains_of(draws)
    if _cannot_be_judged(draws):
        return float("nan")
    halves = _split(draws)
    folded = np.abs(halves - np.median(halves))
    return max(_split_rhat(_rank_normalise(halves)), _split_rhat(_rank_normalise(folded)))


def ess_bulk(draws: ArrayLike) -> float:
    """Effective sample size of the rank-normalised split draws, for the centre of the distribution."""
    draws = chains_of(draws)
    return float("nan") if _cannot_be_judged(draws) else _ess(_rank_normalise(_split(draws)))


def ess_tail(draws: ArrayLike) -> float:
    """Smaller of the effective sample sizes of the 5 % and 95 % quantiles."""
    draws = chains_of(draws)
    if _cannot_be_judged(draws):
        return float("nan")
    low, high = np.quantile(draws, [0.05, 0.95])
    return min(_ess(_split((draws <= edge).astype(float))) for edge in (low, high))


def ebfmi(energy: ArrayLike) -> np.ndarray:
    """Energy Bayesian fraction of missing information per chain, shape (chains,) (Betancourt 2016).

    NaN where the energy of a chain is constant or not finite.
    """
    energy = chains_of(energy)
    with np.errstate(invalid="ignore", over="ignore", divide="ignore"):
        centred = energy - energy.mean(axis=1, keepdims=True)
        share = (np.diff(energy, axis=1) ** 2).sum(axis=1) / (centred**2).sum(axis=1)
    return np.where(np.isfinite(share), share, np.nan)


def _cannot_be_judged(draws: np.ndarray) -> bool:
    return draws.shape[1] < MIN_DRAWS or not np.isfinite(draws).all() or float(np.ptp(draws)) == 0.0


def _split(draws: np.ndarray) -> np.ndarray:
    """Halve each chain, so that a drift within a chain becomes a difference between two."""
    half = draws.shape[1] // 2
    return np.concatenate([draws[:, :half], draws[:, -half:]])


def _rank_normalise(draws: np.ndarray) -> np.ndarray:
    from scipy import special, stats

    ranks = stats.rankdata(draws, method="average").reshape(draws.shape)
    return np.asarray(special.ndtri((ranks - 0.375) / (draws.size + 0.25)))


def _split_rhat(draws: np.ndarray) -> float:
    n = draws.shape[1]
    between = n * draws.mean(axis=1).var(ddof=1)
    within = draws.var(axis=1, ddof=1).mean()
    return float(np.sqrt((between / within + n - 1) / n))


def _ess(draws: np.ndarray) -> float:
    """Geyer's initial monotone sequence over the chains' mean autocovariance (equations 10-13)."""
    m, n = draws.shape
    autocovariance = _autocovariance(draws)
    chain_variance = autocovariance[:, 0] * n / (n - 1)
    within = chain_variance.mean()
    total = within * (n - 1) / n + (draws.mean(axis=1).var(ddof=1) if m > 1 else 0.0)
    if total == 0.0:
        return float(m * n)
    correlation = 1 - (within - autocovariance.mean(axis=0)) / total
    correlation[0] = 1.0
    time = _integrated_time(correlation)
    return float(m * n / max(time, 1 / np.log10(m * n)))


def _integrated_time(correlation: np.ndarray) -> float:
    """-1 + 2 * sum of the initial positive, then monotone, sums of adjacent pairs."""
    n_pairs = (len(correlation) - 1) // 2
    pairs = correlation[0 : 2 * n_pairs : 2] + correlation[1 : 2 * n_pairs : 2]
    negative = np.flatnonzero(pairs[1:] < 0)
    n_kept = int(negative[0]) + 1 if len(negative) else n_pairs
    kept = np.minimum.accumulate(pairs[:n_kept])
    # For antithetic chains one more even lag, where it is positive, lowers the variance of the estimate.
    rest = correlation[2 * n_kept] if 2 * n_kept < len(correlation) else 0.0
    return float(-1 + 2 * kept.sum() + max(rest, 0.0))


def _autocovariance(draws: np.ndarray) -> np.ndarray:
    """Per chain and lag, divided by n, by fast Fourier transform."""
    from scipy import fft

    n = draws.shape[1]
    size = fft.next_fast_len(2 * n)
    spectrum = fft.rfft(draws - draws.mean(axis=1, keepdims=True), size, axis=1)
    return np.asarray(fft.irfft(np.abs(spectrum) ** 2, size, axis=1)[:, :n] / n)
