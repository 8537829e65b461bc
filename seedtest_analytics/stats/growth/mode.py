"""Posterior mode and curvature: the proposal of the Laplace backend, and the coordinates that Stan samples in."""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from seedtest_analytics.stats.growth.data import GrowthData

Density = Callable[[np.ndarray], tuple[float, np.ndarray]]

MAX_NEWTON_STEPS = 30
NEWTON_TOLERANCE = 1e-4
# The curvature at the mode says little far from it, so no direction may be wider than this many units (logs of SDs,
# atanh of a correlation).
MAX_WHITENING_SD = 4.5


@dataclass(frozen=True)
class Mode:
    """Where the log density is highest, and how sharply it falls.

    Attributes:
        location: the mode, shape (P,).
        hessian: of minus the log density at the mode, shape (P, P).
        has_converged: whether the last Newton step was negligible and the Hessian positive definite.
        evaluations: gradients computed.
    """

    location: np.ndarray
    hessian: np.ndarray
    has_converged: bool
    evaluations: int

    def scale(self) -> np.ndarray:
        """S of shape (P, P) with S S' the inverse Hessian, widths capped."""
        return scale_of(self.hessian)


def scale_of(hessian: np.ndarray) -> np.ndarray:
    """S with S S' the inverse of `hessian`, widths capped.

    It uses eigenvectors: where a cohort's noise is a thousandth of its spread, the covariance is too ill-conditioned for
    a Cholesky factor.
    """
    curvature, directions = np.linalg.eigh(hessian)
    return np.asarray(directions / np.sqrt(np.maximum(curvature, MAX_WHITENING_SD**-2)))


def starting_point(data: GrowthData) -> tuple[np.ndarray, np.ndarray]:
    """Theta from moments, and a typical width of each entry, both of shape (6,)."""
    spread = np.sqrt(max(data.totals[1] / data.totals[4], 1e-12))
    noise = _within_student_sd(data.statistics, fallback=0.6 * spread)
    week_spread = np.sqrt(max(data.totals[6] / data.totals[4], 1e-12))
    level = data.reference[0] + data.reference[1] * data.week_mean
    sds = np.log([0.6 * spread, 0.3 * spread / week_spread])
    theta = np.array([level, data.reference[1], *sds, 0.0, np.log(noise)])
    root = np.sqrt(max(data.n_students, 4))
    steps = np.array([np.exp(theta[2]), np.exp(theta[3]), 1.0, 1.0, 1.0, 1.0]) / root
    return theta, steps


def _within_student_sd(statistics: np.ndarray, fallback: float) -> float:
    """Pooled residual SD about each student's least-squares line, over students with three scores or more."""
    n, w, ww, e, we, ee = statistics.T
    determinant = n * ww - w * w
    enough = (n > 2) & (determinant > 1e-9 * n * ww)
    if not enough.any():
        return fallback
    n, w, ww, e, we, ee, determinant = (column[enough] for column in (n, w, ww, e, we, ee, determinant))
    explained = (ww * e * e - 2 * w * e * we + n * we * we) / determinant
    variance = float(np.sum(ee - explained) / np.sum(n - 2))
    return float(np.sqrt(variance)) if variance > 1e-12 * fallback**2 else fallback


def find_mode(density: Density, start: np.ndarray, *, steps: np.ndarray) -> Mode:
    """Maximise a log density: BFGS into the neighbourhood, then damped Newton steps.

    Args:
        density: theta -> value and gradient.
        start: shape (P,).
        steps: a typical width of each entry, shape (P,); the scale of the search and of the differences.
    """
    from scipy import optimize

    evaluations = 0

    def negative(z: np.ndarray) -> tuple[float, np.ndarray]:
        nonlocal evaluations
        evaluations += 1
        value, gradient = density(start + steps * z)
        return (-value, -gradient * steps) if np.isfinite(value) else (1e300, np.zeros_like(z))

    found = optimize.minimize(negative, np.zeros(len(start)), jac=True, method="L-BFGS-B", options={"maxiter": 300})
    z = found.x
    has_converged = False
    for _ in range(MAX_NEWTON_STEPS):
        curvature = _curvature(negative, z)
        value, slope = negative(z)
        move = _newton_move(curvature, slope)
        z = _line_search(negative, z, move=move, value=value)
        if np.abs(move).max() < NEWTON_TOLERANCE:
            has_converged = bool(np.linalg.eigvalsh(curvature)[0] > 0)
            break
    hessian = _curvature(negative, z) / np.outer(steps, steps)
    return Mode(start + steps * z, hessian, has_converged=has_converged, evaluations=evaluations)


def _curvature(negative: Density, z: np.ndarray) -> np.ndarray:
    """Hessian by central differences of the gradient."""
    size = 1e-2
    rows = []
    for k in range(len(z)):
        shift = np.zeros_like(z)
        shift[k] = size
        rows.append((negative(z + shift)[1] - negative(z - shift)[1]) / (2 * size))
    hessian = np.array(rows)
    return np.asarray(0.5 * (hessian + hessian.T))


def _newton_move(curvature: np.ndarray, slope: np.ndarray) -> np.ndarray:
    """Downhill Newton step; the absolute curvature is used, so that a negative one does not lead uphill."""
    values, directions = np.linalg.eigh(curvature)
    return np.asarray(-directions @ ((directions.T @ slope) / np.maximum(np.abs(values), 1e-3)))


def _line_search(negative: Density, z: np.ndarray, *, move: np.ndarray, value: float) -> np.ndarray:
    share = 1.0
    while share > 1e-4:
        if negative(z + share * move)[0] <= value + 1e-9 * abs(value):
            return z + share * move
        share *= 0.5
    return z
