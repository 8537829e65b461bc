"""Linear quantile regression by a primal-dual interior-point method.

    b(τ) = argmin Σ_i ρ_τ(y_i - x_i'b),   ρ_τ(r) = r (τ - [r < 0])
    dual:  max y'a   with X'a = (1 - τ) X'1 and 0 <= a <= 1

Koenker and Bassett (1978, Econometrica 46:33-50); the dual and its interior-point solution are those of Portnoy and
Koenker (1997, Statist. Sci. 12:279-300), with Mehrotra's (1992) correction. The time grows with the rows.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike

from seedtest_analytics.stats.checks import floats, number, numbers
from seedtest_analytics.stats.growth.errors import GrowthDataError

MAX_STEPS = 100
# Mean duality gap a row, in units of the mean absolute residual of the least-squares fit.
TOLERANCE = 1e-8
# A step stays this far inside the bounds.
INSIDE = 0.9995


def quantile_regression(x: ArrayLike, y: ArrayLike, *, probability: float) -> np.ndarray:
    """Coefficients of the quantile of `y` given `x`.

    Args:
        x: shape (n, p), with a column of ones for an intercept; columns are linearly independent.
        y: shape (n,).
        probability: τ, strictly between 0 and 1.

    Returns:
        Shape (p,).

    Raises:
        GrowthDataError: shapes do not fit, a value is missing or infinite, the columns are dependent, there are fewer rows
            than columns, or the probability is out of range.
    """
    rows = floats(x, "x", error=GrowthDataError)
    if rows.ndim != 2 or rows.size == 0 or rows.shape[0] < rows.shape[1]:
        raise GrowthDataError(f"x has shape {rows.shape}, need (n, p) with n >= p >= 1")
    numbers(rows.ravel(), "x", error=GrowthDataError)
    values = numbers(y, "y", like=(len(rows),), error=GrowthDataError)
    tau = number(probability, "probability", error=GrowthDataError)
    if not 0 < tau < 1:
        raise GrowthDataError(f"a quantile needs a probability between 0 and 1, not {tau}")
    if np.linalg.matrix_rank(rows) < rows.shape[1]:
        raise GrowthDataError("the columns of x are linearly dependent")
    return _interior_point(rows, values, tau=tau)


@dataclass(frozen=True)
class _Point:
    """a and s = 1 - a, the coefficients b, and the multipliers z of a >= 0 and w of s >= 0; w - z is the residual."""

    a: np.ndarray
    s: np.ndarray
    b: np.ndarray
    z: np.ndarray
    w: np.ndarray

    @property
    def parts(self) -> tuple[np.ndarray, ...]:
        """In the order of the constructor."""
        return self.a, self.s, self.b, self.z, self.w

    @property
    def gap(self) -> float:
        """Duality gap, 0 at the optimum."""
        return float(self.a @ self.z + self.s @ self.w)

    def newton(self, x: np.ndarray, *, on_z: np.ndarray, on_w: np.ndarray) -> "_Point":
        """Newton's step that adds `on_z` to a z and `on_w` to s w."""
        weight = 1 / (self.z / self.a + self.w / self.s)
        pull = on_z / self.a - on_w / self.s
        b = np.linalg.solve((x * weight[:, None]).T @ x, x.T @ (weight * pull))
        a = weight * (pull - x @ b)
        return _Point(a, -a, b, (on_z - self.z * a) / self.a, (on_w + self.w * a) / self.s)

    def moved(self, step: "_Point") -> "_Point":
        """As far along the step as all bounds allow, at most as long as it is."""
        primal = min(_longest(self.a, step.a), _longest(self.s, step.s))
        dual = min(_longest(self.z, step.z), _longest(self.w, step.w))
        shares = (primal, primal, dual, dual, dual)
        pairs = zip(self.parts, step.parts, shares, strict=True)
        return _Point(*(value + share * change for value, change, share in pairs))


def _interior_point(x: np.ndarray, y: np.ndarray, *, tau: float) -> np.ndarray:
    """From least squares, by Mehrotra's predictor and corrector."""
    n = len(y)
    b = np.linalg.lstsq(x, y, rcond=None)[0]
    residual = y - x @ b
    size = float(np.abs(residual).mean())
    if size <= 1e-12 * max(float(np.abs(y).max()), 1e-300):
        return np.asarray(b)
    away = 0.1 * size
    at = _Point(
        np.full(n, 1 - tau), np.full(n, tau), b, z=np.maximum(-residual, 0) + away, w=np.maximum(residual, 0) + away
    )
    for _ in range(MAX_STEPS):
        gap = at.gap
        if gap <= TOLERANCE * size * n:
            break
        predicted = at.newton(x, on_z=-at.a * at.z, on_w=-at.s * at.w)
        target = gap / (2 * n) * (at.moved(predicted).gap / gap) ** 3
        on_z = target - at.a * at.z - predicted.a * predicted.z
        on_w = target - at.s * at.w - predicted.s * predicted.w
        at = at.moved(at.newton(x, on_z=on_z, on_w=on_w))
    return at.b


def _longest(value: np.ndarray, step: np.ndarray) -> float:
    """The longest share of a step, at most 1, that keeps `value` above 0."""
    falling = step < 0
    return min(1.0, INSIDE * float(np.min(-value[falling] / step[falling], initial=np.inf)))
