"""Log posterior of the gaussian growth model with the student effects integrated out, and its gradient.

    y_i = X_i (α, β)' + X_i b_i + ε_i,   b_i ~ N(0, σ² L L'),   ε_i ~ N(0, σ² W_i⁻¹),   X_i = (1, weeks of student i)
    log p(y) = -½ Σ_i [n_i log 2πσ² - log|W_i| + log|I + L'A_i L| + (e_i'W_i e_i - c_i'M_i c_i) / σ²] with
    A_i = X_i'W_i X_i,  e_i = y_i - X_i (α, β)',  c_i = X_i'W_i e_i,  M_i = L (I + L'A_i L)⁻¹ L'

theta = (Intercept, slope, log tau0, log tau1, atanh rho, log sigma): Intercept is the population's score at
the mean week, tau the students' SDs of intercept (at week 0) and slope, rho their correlation, sigma the
weekly SD. `programs/marginal_loglik.hpp` has the same likelihood for Stan; a test compares the two.
"""

import math
from dataclasses import dataclass

import numpy as np
from numba import prange

from seedtest_analytics.stats.compiled import njit
from seedtest_analytics.stats.growth.data import GrowthData
from seedtest_analytics.stats.growth.priors import GrowthPriors

N_PARAMETERS = 6
HALF_LOG_2PI = 0.5 * math.log(2 * math.pi)
# Beyond this exp() overflows, far outside any posterior.
LOG_LIMIT = 60.0
# As sigma shrinks, the residual sum of squares is a difference of nearly equal numbers. Below this share of them it is
# rounding error, and dividing it by sigma^2 would make a spurious maximum.
MIN_RESIDUAL_SHARE = 1e-11


@dataclass(frozen=True)
class MarginalDensity:
    """The log posterior of `data` under `priors`, as arrays for compiled code.

    Attributes:
        designs: shape (D, 9), see `GrowthData`.
        constants: shape (11,): week mean, reference intercept and slope, constant of the likelihood, and the
            seven totals.
        priors: shape (11,), see `GrowthPriors.as_array`.
    """

    designs: np.ndarray
    constants: np.ndarray
    priors: np.ndarray

    @classmethod
    def of(cls, data: GrowthData, priors: GrowthPriors) -> "MarginalDensity":
        """Pack data and priors."""
        head = [data.week_mean, *data.reference, 0.5 * data.log_weights]
        return cls(
            designs=np.ascontiguousarray(data.designs),
            constants=np.concatenate([head, data.totals]),
            priors=priors.as_array(),
        )

    def value_and_gradient(self, theta: np.ndarray) -> tuple[float, np.ndarray]:
        """Log density at theta (shape (6,)) up to a constant, and its gradient; -inf far outside."""
        gradient = np.empty(N_PARAMETERS)
        point = np.ascontiguousarray(theta, dtype=float)
        value = _log_posterior(point, self.designs, self.constants, self.priors, gradient)
        return float(value), gradient

    def values(self, theta: np.ndarray) -> np.ndarray:
        """Log densities at the rows of theta, shape (K, 6) -> (K,)."""
        return np.asarray(_log_posteriors(np.ascontiguousarray(theta), self.designs, self.constants, self.priors))


@njit(nogil=True, cache=True)
def relative_factor(theta):  # type: ignore[no-untyped-def]
    """(l11, l21, l22, sigma) of theta, with the students' covariance = sigma^2 L L'."""
    sigma = math.exp(theta[5])
    rho = math.tanh(theta[4])
    cosh = math.cosh(theta[4])
    return (
        math.exp(theta[2] - theta[5]),
        math.exp(theta[3] - theta[5]) * rho,
        math.exp(theta[3] - theta[5]) / cosh,
        sigma,
    )


@njit(nogil=True, cache=True)
def shrinkage(l11, l21, l22, A00, A01, A11):  # type: ignore[no-untyped-def]  # noqa: PLR0917
    """det C, K = L C^-1 (row by row) and M = K L' with C = I + L'A L.

    M is a student's posterior covariance given the population, in units of sigma^2.
    """
    h0 = A00 * l11 + A01 * l21
    h1 = A01 * l11 + A11 * l21
    C00 = 1.0 + l11 * h0 + l21 * h1
    C01 = l22 * h1
    C11 = 1.0 + l22 * l22 * A11
    det = C00 * C11 - C01 * C01
    K00 = l11 * C11 / det
    K01 = -l11 * C01 / det
    K10 = (l21 * C11 - l22 * C01) / det
    K11 = (l22 * C00 - l21 * C01) / det
    return det, K00, K01, K10, K11, K00 * l11, K10 * l11, K10 * l21 + K11 * l22


@njit(nogil=True, cache=True, error_model="numpy", fastmath={"contract", "reassoc", "nsz", "arcp"})
def _likelihood(e0, e1, l11, l21, l22, log_sigma, designs, constants, gradient):  # type: ignore[no-untyped-def]  # noqa: PLR0917
    """Log likelihood; `gradient` gets d/d(e0, e1, l11, l21, l22, log sigma). Algebra: marginal_loglik.hpp."""
    inverse_variance = math.exp(-2.0 * log_sigma)
    log_det = 0.0
    det_product = 1.0
    explained = 0.0
    ge0 = 0.0
    ge1 = 0.0
    g11 = 0.0
    g21 = 0.0
    g22 = 0.0
    for d in range(designs.shape[0]):
        m = designs[d, 0]
        A00 = designs[d, 1]
        A01 = designs[d, 2]
        A11 = designs[d, 3]
        c0 = designs[d, 4]
        c1 = designs[d, 5]
        a0 = A00 * e0 + A01 * e1
        a1 = A01 * e0 + A11 * e1
        R0 = c0 - m * a0
        R1 = c1 - m * a1
        Q00 = designs[d, 6] - a0 * (c0 + R0)
        Q01 = designs[d, 7] - a0 * c1 - a1 * R0
        Q11 = designs[d, 8] - a1 * (c1 + R1)
        det, K00, K01, K10, K11, M00, M01, M11 = shrinkage(l11, l21, l22, A00, A01, A11)
        B00 = 1.0 - A00 * M00 - A01 * M01
        B01 = -A00 * M01 - A01 * M11
        B10 = -A01 * M00 - A11 * M01
        B11 = 1.0 - A01 * M01 - A11 * M11
        if m == 1.0 and det < 1e100:  # det >= 1: one logarithm for many lone students
            det_product *= det
            if det_product > 1e200:
                log_det += math.log(det_product)
                det_product = 1.0
        else:
            log_det += m * math.log(det)
        explained += M00 * Q00 + 2.0 * M01 * Q01 + M11 * Q11
        ge0 += B00 * R0 + B01 * R1
        ge1 += B10 * R0 + B11 * R1
        G00 = (B00 * Q00 + B01 * Q01) * inverse_variance - m * A00
        G01 = (B00 * Q01 + B01 * Q11) * inverse_variance - m * A01
        G10 = (B10 * Q00 + B11 * Q01) * inverse_variance - m * A01
        G11 = (B10 * Q01 + B11 * Q11) * inverse_variance - m * A11
        g11 += G00 * K00 + G01 * K10
        g21 += G10 * K00 + G11 * K10
        g22 += G10 * K01 + G11 * K11
    log_det += math.log(det_product)
    n_scores, ee, s0, s1, sA00, sA01, sA11 = constants[4:11]
    rss = ee - 2.0 * (e0 * s0 + e1 * s1) + e0 * e0 * sA00 + 2.0 * e0 * e1 * sA01 + e1 * e1 * sA11
    if not rss - explained > MIN_RESIDUAL_SHARE * rss:
        gradient[:] = 0.0
        return -np.inf
    quadratic = (rss - explained) * inverse_variance
    gradient[0] = ge0 * inverse_variance
    gradient[1] = ge1 * inverse_variance
    gradient[2] = g11
    gradient[3] = g21
    gradient[4] = g22
    gradient[5] = quadratic - n_scores
    return constants[3] - n_scores * (HALF_LOG_2PI + log_sigma) - 0.5 * (log_det + quadratic)


@njit(nogil=True, cache=True)
def _cauchy(x, location, scale):  # type: ignore[no-untyped-def]  # noqa: PLR0917
    """Log density up to a constant, and x times its derivative."""
    z = (x - location) / scale
    return -math.log1p(z * z), -2.0 * z / (1.0 + z * z) * x / scale


@njit(nogil=True, cache=True)
def log_prior(theta, priors, has_sigma, gradient):  # type: ignore[no-untyped-def]  # noqa: PLR0917
    """Log prior of theta with its Jacobian; sets `gradient`. Without sigma theta has five entries."""
    z0 = (theta[0] - priors[0]) / priors[1]
    z1 = (theta[1] - priors[2]) / priors[3]
    value = -0.5 * (z0 * z0 + z1 * z1)
    gradient[0] = -z0 / priors[1]
    gradient[1] = -z1 / priors[3]
    for k in range(2, 4):
        at = 4 if k == 2 else 9
        density, slope = _cauchy(math.exp(theta[k]), priors[at], priors[at + 1])
        value += density + theta[k]
        gradient[k] = slope + 1.0
    size = abs(theta[4])
    value += priors[8] * 2.0 * (math.log(2.0) - size - math.log1p(math.exp(-2.0 * size)))
    gradient[4] = -2.0 * priors[8] * math.tanh(theta[4])
    if has_sigma:
        density, slope = _cauchy(math.exp(theta[5]), priors[6], priors[7])
        value += density + theta[5]
        gradient[5] = slope + 1.0
    return value


@njit(nogil=True, cache=True)
def is_far_outside(theta):  # type: ignore[no-untyped-def]
    """Whether theta would overflow or is NaN."""
    for k in range(theta.shape[0]):
        limit = 1e12 if k < 2 else LOG_LIMIT
        if not abs(theta[k]) < limit:
            return True
    return False


@njit(nogil=True, cache=True)
def _log_posterior(theta, designs, constants, priors, gradient):  # type: ignore[no-untyped-def]  # noqa: PLR0917
    if is_far_outside(theta):
        gradient[:] = 0.0
        return -np.inf
    value = log_prior(theta, priors, has_sigma=True, gradient=gradient)
    l11, l21, l22, _ = relative_factor(theta)
    e0 = theta[0] - theta[1] * constants[0] - constants[1]
    e1 = theta[1] - constants[2]
    g = np.empty(6)
    value += _likelihood(e0, e1, l11, l21, l22, theta[5], designs, constants, g)
    gradient[0] += g[0]
    gradient[1] += g[1] - constants[0] * g[0]
    gradient[2] += g[2] * l11
    gradient[3] += g[3] * l21 + g[4] * l22
    # d l21 / d atanh(rho) = l22^2 / scale and d l22 = -l21 l22 / scale with scale = tau1 / sigma
    scale = math.exp(theta[3] - theta[5])
    gradient[4] += (g[3] * l22 - g[4] * l21) * l22 / scale
    gradient[5] += g[5] - g[2] * l11 - g[3] * l21 - g[4] * l22
    return value


@njit(nogil=True, parallel=True, cache=True)
def _log_posteriors(thetas, designs, constants, priors):  # type: ignore[no-untyped-def]  # noqa: PLR0917
    values = np.empty(thetas.shape[0])
    for i in prange(thetas.shape[0]):
        values[i] = _log_posterior(thetas[i], designs, constants, priors, np.empty(6))
    return values
