"""The binomial growth likelihood with the student effects integrated out by adaptive Gauss-Hermite quadrature.

    p(right_i) = ∫ Π_j Binomial(right_ij | answered_ij, logit⁻¹((1, t_ij) · ((e0, e1)' + L z))) N(z | 0, I) dz

A 5 x 5 grid around the mode of z, scaled by the curvature there, integrates the product (Pinheiro and Bates 1995,
J. Comput. Graph. Stat. 4:12-35). One point would be the Laplace approximation, which is biased for weeks with single
answers. The gradient comes from the same pass by Fisher's identity, as the posterior mean of the complete-data
gradient.
"""

import math

import numpy as np
from numba import prange

from seedtest_analytics.stats.compiled import njit

POINTS = 5
NEWTON_STEPS = 50
NEWTON_TOLERANCE = 1e-7
# In units of prior SDs; longer steps overshoot where the counts are one-sided.
LONGEST_STEP = 2.0


def _grid() -> np.ndarray:
    """Nodes (two columns) and log weights, with exp(t't) folded in, shape (25, 3)."""
    nodes, weights = np.polynomial.hermite.hermgauss(POINTS)
    a, b = (axis.ravel() for axis in np.meshgrid(nodes, nodes))
    wa, wb = (axis.ravel() for axis in np.meshgrid(weights, weights))
    return np.column_stack([a, b, np.log(wa * wb) + a * a + b * b])


GRID = _grid()


@njit(nogil=True, cache=True)
def _mode(week, answered, right, e0, e1, l11, l21, l22, z):  # type: ignore[no-untyped-def]  # noqa: PLR0917
    """Newton to the mode of one student's z, in place; returns the negative Hessian there."""
    H00 = 1.0
    H01 = 0.0
    H11 = 1.0
    for _ in range(NEWTON_STEPS):
        c0 = e0 + l11 * z[0]
        c1 = e1 + l21 * z[0] + l22 * z[1]
        s0 = 0.0
        s1 = 0.0
        v0 = 0.0
        v1 = 0.0
        v2 = 0.0
        for j in range(week.shape[0]):
            p = 1.0 / (1.0 + math.exp(-(c0 + c1 * week[j])))
            residual = right[j] - answered[j] * p
            v = answered[j] * p * (1.0 - p)
            s0 += residual
            s1 += residual * week[j]
            v0 += v
            v1 += v * week[j]
            v2 += v * week[j] * week[j]
        g0 = -z[0] + l11 * s0 + l21 * s1
        g1 = -z[1] + l22 * s1
        H00 = 1.0 + l11 * l11 * v0 + 2.0 * l11 * l21 * v1 + l21 * l21 * v2
        H01 = l22 * (l11 * v1 + l21 * v2)
        H11 = 1.0 + l22 * l22 * v2
        det = H00 * H11 - H01 * H01
        step0 = (H11 * g0 - H01 * g1) / det
        step1 = (H00 * g1 - H01 * g0) / det
        size = max(abs(step0), abs(step1))
        share = min(1.0, LONGEST_STEP / max(size, 1e-300))
        z[0] += share * step0
        z[1] += share * step1
        if size < NEWTON_TOLERANCE:
            break
    return H00, H01, H11


@njit(nogil=True, cache=True)
def _log_joint(week, answered, right, c0, c1, z0, z1, residuals):  # type: ignore[no-untyped-def]  # noqa: PLR0917
    """log p(counts, z) without constants; `residuals` gets the sums of right - answered p, plain and times week."""
    value = -0.5 * (z0 * z0 + z1 * z1)
    residuals[0] = 0.0
    residuals[1] = 0.0
    for j in range(week.shape[0]):
        eta = c0 + c1 * week[j]
        small = math.exp(-abs(eta))
        p = 1.0 / (1.0 + small) if eta >= 0.0 else small / (1.0 + small)
        value += right[j] * eta - answered[j] * (max(eta, 0.0) + math.log1p(small))
        residual = right[j] - answered[j] * p
        residuals[0] += residual
        residuals[1] += residual * week[j]
    return value


@njit(nogil=True, cache=True)
def integrate_student(week, answered, right, e0, e1, l11, l21, l22, z, out):  # type: ignore[no-untyped-def]  # noqa: PLR0913, PLR0917
    """Log marginal likelihood of one student.

    Newton starts at `z`, shape (2,), and leaves it at the mode. `out`, shape (10,), gets the gradient with
    respect to (e0, e1, l11, l21, l22) and the posterior moments of z: means, then second moments 00, 01, 11.
    """
    H00, H01, H11 = _mode(week, answered, right, e0, e1, l11, l21, l22, z)
    R00 = math.sqrt(H00)
    R10 = H01 / R00
    R11 = math.sqrt(H11 - R10 * R10)
    residuals = np.empty(2)
    at_mode = _log_joint(week, answered, right, e0 + l11 * z[0], e1 + l21 * z[0] + l22 * z[1], z[0], z[1], residuals)
    total = 0.0
    out[:] = 0.0
    for i in range(GRID.shape[0]):
        x1 = 1.4142135623730951 * GRID[i, 1] / R11
        z0 = z[0] + (1.4142135623730951 * GRID[i, 0] - R10 * x1) / R00
        z1 = z[1] + x1
        value = _log_joint(week, answered, right, e0 + l11 * z0, e1 + l21 * z0 + l22 * z1, z0, z1, residuals)
        weight = math.exp(value - at_mode + GRID[i, 2])
        total += weight
        out[0] += weight * residuals[0]
        out[1] += weight * residuals[1]
        out[2] += weight * residuals[0] * z0
        out[3] += weight * residuals[1] * z0
        out[4] += weight * residuals[1] * z1
        out[5] += weight * z0
        out[6] += weight * z1
        out[7] += weight * z0 * z0
        out[8] += weight * z0 * z1
        out[9] += weight * z1 * z1
    out /= total
    return at_mode + math.log(total) - math.log(R00 * R11) - math.log(math.pi)


@njit(nogil=True, parallel=True, cache=True)
def integrate_everyone(  # type: ignore[no-untyped-def]  # noqa: PLR0913, PLR0917
    starts, week, answered, right, e0, e1, l11, l21, l22, modes, n_blocks
):
    """Sum of log marginals and of their gradients, shape (6,); `modes`, shape (J, 2), speeds up the next call."""
    n_students = starts.shape[0] - 1
    parts = np.zeros((n_blocks, 6))
    for block in prange(n_blocks):
        out = np.empty(10)
        for i in range(block * n_students // n_blocks, (block + 1) * n_students // n_blocks):
            rows = slice(starts[i], starts[i + 1])
            parts[block, 0] += integrate_student(
                week[rows], answered[rows], right[rows], e0, e1, l11, l21, l22, modes[i], out
            )
            parts[block, 1:] += out[:5]
    return parts.sum(axis=0)
