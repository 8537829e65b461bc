"""Compiled moments, quantiles and goal probabilities of equal mixtures of normals, F(x) = mean over k of Φ((x - m_k)/s_k)."""

import math

import numpy as np

from seedtest_analytics.stats.compiled import njit

QUANTILE_STEPS = 8
QUANTILE_TOLERANCE = 1e-3
TABLE_EDGE = 8.0
TABLE_STEPS = 64


def normal_quantile(probability: np.ndarray) -> np.ndarray:
    """Standard normal quantiles."""
    from scipy import special

    return np.asarray(special.ndtri(probability))


def _normal_table() -> np.ndarray:
    """Distribution and density of the standard normal at -8, -8 + 1/64, …, 8, shape (1025, 2)."""
    x = np.linspace(-TABLE_EDGE, TABLE_EDGE, int(2 * TABLE_EDGE * TABLE_STEPS) + 1)
    cdf = [0.5 * math.erfc(-value / math.sqrt(2)) for value in x]
    return np.column_stack([cdf, np.exp(-0.5 * x * x) / math.sqrt(2 * math.pi)])


NORMAL_TABLE = _normal_table()


@njit(nogil=True, cache=True)
def normal_cdf(x):  # type: ignore[no-untyped-def]
    """Standard normal distribution function to 2e-10 by cubic interpolation, five times as fast as erfc."""
    if x <= -TABLE_EDGE:
        return 0.0
    if x >= TABLE_EDGE:
        return 1.0
    position = (x + TABLE_EDGE) * TABLE_STEPS
    i = int(position)
    t = position - i
    low, high = NORMAL_TABLE[i, 0], NORMAL_TABLE[i + 1, 0]
    slope_low, slope_high = NORMAL_TABLE[i, 1] / TABLE_STEPS, NORMAL_TABLE[i + 1, 1] / TABLE_STEPS
    rise = high - low
    a = slope_low - rise
    b = rise - slope_high
    return low + t * (rise + (1.0 - t) * (a * (1.0 - t) + b * t))


@njit(nogil=True, cache=True)
def mixture_moments(means, sds):  # type: ignore[no-untyped-def]
    """Mean and SD of an equal mixture of normals."""
    shift = means[0]
    first = 0.0
    second = 0.0
    for k in range(means.shape[0]):
        d = means[k] - shift
        first += d
        second += d * d + sds[k] * sds[k]
    n = means.shape[0]
    first /= n
    return shift + first, math.sqrt(max(second / n - first * first, 0.0))


@njit(nogil=True, cache=True)
def mixture_quantile(means, inverse_sds, probability, centre, spread, start):  # type: ignore[no-untyped-def]  # noqa: PLR0917
    """Quantile of an equal mixture of normals by secant steps from `start`, each at most `spread`.

    The first slope is the density of a single normal with the mixture's SD, nearly the mixture in a large cohort.
    """
    n = means.shape[0]
    x = start
    slope = math.exp(-0.5 * ((start - centre) / spread) ** 2) * 0.3989422804014327 / spread
    last_error = 0.0
    step = 0.0
    for trial in range(QUANTILE_STEPS):
        error = -probability
        for k in range(n):
            error += normal_cdf((x - means[k]) * inverse_sds[k]) / n
        if trial > 0 and error != last_error:
            slope = max((last_error - error) / step, 0.1 * slope)
        step = error / slope
        last_error = error
        step = min(max(step, -spread), spread)
        x -= step
        if abs(step) < QUANTILE_TOLERANCE * spread:
            break
    return x


@njit(nogil=True, cache=True)
def _sorted_quantile(ascending, probability):  # type: ignore[no-untyped-def]
    position = probability * (ascending.shape[0] - 1)
    low = int(position)
    high = min(low + 1, ascending.shape[0] - 1)
    return ascending[low] + (position - low) * (ascending[high] - ascending[low])


@njit(nogil=True, cache=True)
def level_probability(means, inverse_sds, goal, quantiles, z, out):  # type: ignore[no-untyped-def]  # noqa: PLR0917
    """P(mu >= goal) and quantiles over draws of its conditional value, into out; z is scratch.

    Where P is tiny, its distribution is so skewed that the mean can pass a quantile; the bound is then the mean.
    """
    total = 0.0
    for k in range(means.shape[0]):
        z[k] = (means[k] - goal) * inverse_sds[k]
        total += normal_cdf(z[k])
    z.sort()
    out[0] = total / means.shape[0]
    out[1] = min(out[0], normal_cdf(_sorted_quantile(z, quantiles[0])))
    out[2] = max(out[0], normal_cdf(_sorted_quantile(z, quantiles[1])))


@njit(nogil=True, cache=True)
def score_probability(means, sds, sigmas, goal, quantiles, normal_quantiles, out):  # type: ignore[no-untyped-def]  # noqa: PLR0917
    """P(y >= goal) and quantiles of Phi((mu - goal) / sigma), into out."""
    n = means.shape[0]
    total = 0.0
    scaled_means = np.empty(n)
    scaled_sds = np.empty(n)
    inverse_sds = np.empty(n)
    for k in range(n):
        scaled_means[k] = (means[k] - goal) / sigmas[k]
        scaled_sds[k] = sds[k] / sigmas[k]
        inverse_sds[k] = 1.0 / scaled_sds[k]
        total += normal_cdf(scaled_means[k] / math.sqrt(1.0 + scaled_sds[k] * scaled_sds[k]))
    out[0] = total / n
    centre, spread = mixture_moments(scaled_means, scaled_sds)
    for side in range(2):
        start = centre + spread * normal_quantiles[side]
        bound = mixture_quantile(scaled_means, inverse_sds, quantiles[side], centre, spread, start)
        out[1 + side] = normal_cdf(bound)
    out[1] = min(out[0], out[1])
    out[2] = max(out[0], out[2])
