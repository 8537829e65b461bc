"""Log prior densities of item parameters with their first and second derivatives.

The parameters are those of the search: slope a, intercept d = −a b, γ = logit(c). Densities are

    log a ~ N(m, s²), b = −d / a ~ N(m, s²) or d ~ N(m, s²), c ~ Beta(α, β) or γ ~ N(m, s²).
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from seedtest_analytics.stats.irt.config import Beta, ItemPriors, LogNormal, Normal

Floats = NDArray[np.float64]

_LOG_2PI = float(np.log(2.0 * np.pi))


@dataclass(frozen=True, eq=False)
class NormalByItem:
    """A ``Normal`` prior whose mean and SD differ between items; (n_items,)."""

    mean: Floats
    sd: Floats


@dataclass(frozen=True, eq=False)
class LogNormalByItem:
    """A ``LogNormal`` prior whose numbers differ between items; (n_items,)."""

    mean_log: Floats
    sd_log: Floats


@dataclass(frozen=True, eq=False)
class PriorsByItem:
    """Priors that differ between items, on the calibration's own scale; ``a`` is None for Rasch, ``c`` without asymptotes."""

    a: LogNormalByItem | None
    b: NormalByItem
    c: Beta | Normal | None
    d: None = None


Priors = ItemPriors | PriorsByItem


def evaluate_priors(priors: Priors, a: Floats, *, d: Floats, gamma: Floats) -> tuple[Floats, Floats, Floats]:
    """(n,) log density, (n, 3) gradient and (n, 3, 3) Hessian at the parameters of n items."""
    n = len(a)
    value, gradient, hessian = np.zeros(n), np.zeros((n, 3)), np.zeros((n, 3, 3))
    if priors.a is not None:
        _add_lognormal(priors.a, a, value=value, gradient=gradient, hessian=hessian)
    if priors.d is not None:
        value += _normal(priors.d, d)
        gradient[:, 1] -= (d - priors.d.mean) / priors.d.sd**2
        hessian[:, 1, 1] -= 1.0 / priors.d.sd**2
    if priors.b is not None:
        _add_difficulty(priors.b, a, d=d, value=value, gradient=gradient, hessian=hessian)
    if priors.c is not None:
        _add_asymptote(priors.c, gamma, value=value, gradient=gradient, hessian=hessian)
    return value, gradient, hessian


def _normal(prior: Normal | NormalByItem, x: Floats) -> Floats:
    return np.asarray(-0.5 * ((x - prior.mean) / prior.sd) ** 2 - np.log(prior.sd) - 0.5 * _LOG_2PI)


def _add_lognormal(
    prior: LogNormal | LogNormalByItem, a: Floats, *, value: Floats, gradient: Floats, hessian: Floats
) -> None:
    # A step may propose a ≤ 0, where the density is 0. With the floor the proposal loses and is taken back.
    slope = np.maximum(a, 1e-6)
    standard = (np.log(slope) - prior.mean_log) / prior.sd_log**2
    value += -np.log(slope) - 0.5 * standard**2 * prior.sd_log**2 - np.log(prior.sd_log) - 0.5 * _LOG_2PI
    gradient[:, 0] -= (1.0 + standard) / slope
    hessian[:, 0, 0] += (1.0 + standard - 1.0 / prior.sd_log**2) / slope**2


def _add_difficulty(
    prior: Normal | NormalByItem, a: Floats, *, d: Floats, value: Floats, gradient: Floats, hessian: Floats
) -> None:
    slope = np.where(np.abs(a) < 1e-6, 1e-6, a)
    b = -d / slope
    value += _normal(prior, b)
    residual = (b - prior.mean) / prior.sd**2
    first = np.stack([-b / slope, -1.0 / slope], axis=1)
    gradient[:, :2] -= residual[:, None] * first
    hessian[:, :2, :2] -= first[:, :, None] * first[:, None, :] / np.asarray(prior.sd**2)[..., None, None]
    hessian[:, 0, 0] -= residual * 2.0 * b / slope**2
    hessian[:, 0, 1] -= residual / slope**2
    hessian[:, 1, 0] -= residual / slope**2


def _add_asymptote(prior: Beta | Normal, gamma: Floats, *, value: Floats, gradient: Floats, hessian: Floats) -> None:
    if isinstance(prior, Normal):
        value += _normal(prior, gamma)
        gradient[:, 2] -= (gamma - prior.mean) / prior.sd**2
        hessian[:, 2, 2] -= 1.0 / prior.sd**2
        return
    from scipy.special import betaln, expit

    c = expit(gamma)
    left, right = prior.alpha - 1.0, prior.beta - 1.0
    value += -left * np.logaddexp(0.0, -gamma) - right * np.logaddexp(0.0, gamma)
    value -= betaln(prior.alpha, prior.beta)
    gradient[:, 2] += left * (1.0 - c) - right * c
    hessian[:, 2, 2] -= (left + right) * c * (1.0 - c)
