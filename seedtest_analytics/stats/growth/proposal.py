"""The proposal of the Laplace backend: a mixture of multivariate t along the SD of the students' slopes.

    q(φ) = Σ_g w_g [0.7 t_5(φ; m_g, S_g S_g') + 0.3 t_5(φ; m_g, 2.5² S_g S_g')]
    m_g the mode given log tau1 = x_g,   w_g ∝ p(m_g | y) |S_g|
    φ = theta with Φ⁻¹((1 + rho) / 2) in place of atanh rho

Where the scores hardly tell the slopes apart, log tau1 has a tail of e^x to the left, the other parameters shift along
it, and the prior decides rho. One t around the joint mode misses all three. The w_g are the nested Laplace approximation
of the marginal of log tau1 (Tierney and Kadane 1986, JASA 81:82-86; Rue, Martino and Chopin 2009, JRSS B 71:319-392). A
uniform rho is a standard normal in φ, where atanh has tails of e^-2|x|. The wide components bound the weights.
"""

import math
from dataclasses import dataclass

import numpy as np

from seedtest_analytics.stats.growth.mode import Density, Mode, find_mode, scale_of

LOG_TAU1, RHO = 3, 4
# Heavier tails than the posterior has: a proposal with lighter tails has importance weights of infinite variance.
PROPOSAL_DF = 5
# In units of the SD of log tau1 at the mode. Components this far apart, and this wide, add up to a smooth density.
SPACING = 0.75
LARGEST_SPACING = 0.5
# A correlation of one in double precision is infinite in φ.
FURTHEST_RHO = 6.0
WIDE, WIDE_SHARE = 2.5, 0.3
# The walk along log tau1 ends where the density has fallen by e^-10.
WALK_ENDS_BELOW = 10.0
MAX_STEPS = 80


@dataclass(frozen=True)
class Proposal:
    """A mixture of G multivariate t in P dimensions.

    Attributes:
        weights: that sum to one, shape (G,).
        locations: shape (G, P).
        scales: S_g of shape (G, P, P).
    """

    weights: np.ndarray
    locations: np.ndarray
    scales: np.ndarray

    def draw(self, n_draws: int, *, rng: np.random.Generator) -> np.ndarray:
        """Draws, shape (K, P); each component gets its share of them, up to rounding."""
        n_parameters = self.locations.shape[1]
        strata = (np.arange(n_draws) + rng.random()) / n_draws
        component = np.searchsorted(np.cumsum(self.weights)[:-1], strata, side="right")
        z = rng.standard_normal((n_draws, n_parameters))
        z /= np.sqrt(rng.chisquare(PROPOSAL_DF, n_draws) / PROPOSAL_DF)[:, None]
        return np.asarray(self.locations[component] + np.einsum("kij,kj->ki", self.scales[component], z))

    def log_density(self, phi: np.ndarray) -> np.ndarray:
        """Up to a constant, at the rows of φ, shape (K, P) -> (K,)."""
        from scipy import special

        n_parameters = phi.shape[1]
        terms = np.empty((len(self.weights), len(phi)))
        for g, (location, scale) in enumerate(zip(self.locations, self.scales, strict=True)):
            z = np.linalg.solve(scale, (phi - location).T)
            terms[g] = -0.5 * (PROPOSAL_DF + n_parameters) * np.log1p((z**2).sum(axis=0) / PROPOSAL_DF)
            terms[g] -= np.linalg.slogdet(scale)[1]
        return np.asarray(special.logsumexp(terms, axis=0, b=self.weights[:, None]))


def proposal_around(mode: Mode, density: Density) -> Proposal:
    """The mixture for a log density of φ with this mode."""
    spread = float(np.sqrt((mode.scale() @ mode.scale().T)[LOG_TAU1, LOG_TAU1]))
    width = min(SPACING * spread, LARGEST_SPACING)
    at_mode = _given(density, mode.location[LOG_TAU1], start=mode.location, hessian=mode.hessian)
    below = _walk(density, at_mode, step=-width, hessian=mode.hessian)
    above = _walk(density, at_mode, step=width, hessian=mode.hessian)
    points = [*reversed(below), at_mode, *above]
    locations = np.array([point.location for point in points])
    scales = np.zeros((len(points), *mode.hessian.shape))
    others = np.arange(mode.hessian.shape[0]) != LOG_TAU1
    # In a component the other parameters follow log tau1 on a line.
    scales[:, :, LOG_TAU1] = width * (np.gradient(locations, width, axis=0) if len(points) > 1 else 1.0 * ~others)
    scales[:, LOG_TAU1, LOG_TAU1] = width
    at = np.flatnonzero(others)
    scales[:, at[:, None], at] = [point.scale for point in points]
    log_mass = np.array([point.log_mass for point in points])
    mass = np.exp(log_mass - log_mass.max())
    mass /= mass.sum()
    return Proposal(
        np.concatenate([(1 - WIDE_SHARE) * mass, WIDE_SHARE * mass]),
        np.concatenate([locations, locations]),
        scales=np.concatenate([scales, WIDE * scales]),
    )


def theta_of(phi: np.ndarray) -> np.ndarray:
    """theta of φ, shape (…, P)."""
    from scipy import special

    theta = np.array(phi)
    theta[..., RHO] = 0.5 * (special.log_ndtr(phi[..., RHO]) - special.log_ndtr(-phi[..., RHO]))
    return theta


def log_jacobian(phi: np.ndarray) -> np.ndarray:
    """log |dtheta / dφ|, shape (…, P) -> (…)."""
    from scipy import special

    z = phi[..., RHO]
    log_normal = -0.5 * z * z - 0.5 * math.log(2 * math.pi)
    return np.asarray(log_normal - math.log(2) - special.log_ndtr(z) - special.log_ndtr(-z))


def density_of_phi(density: Density) -> Density:
    """The log density of φ, with its gradient, from that of theta."""
    from scipy import special

    def of_phi(phi: np.ndarray) -> tuple[float, np.ndarray]:
        value, gradient = density(theta_of(phi))
        jacobian, z = float(log_jacobian(phi)), phi[RHO]
        log_normal = -0.5 * z * z - 0.5 * math.log(2 * math.pi)
        hazard_below, hazard_above = np.exp(log_normal - special.log_ndtr([z, -z]))
        moved = gradient.copy()
        moved[RHO] = gradient[RHO] * math.exp(jacobian) - z - hazard_below + hazard_above
        return value + jacobian, moved

    return of_phi


def mode_of_phi(mode: Mode, density: Density) -> Mode:
    """The mode of φ from that of theta; `density` is that of φ."""
    from scipy import special

    start = mode.location.copy()
    start[RHO] = special.ndtri(0.5 * (1 + math.tanh(start[RHO])))
    start[RHO] = min(max(start[RHO], -FURTHEST_RHO), FURTHEST_RHO)
    scale = mode.scale()
    return find_mode(density, start, steps=np.sqrt(np.diag(scale @ scale.T)))


@dataclass(frozen=True)
class _Point:
    """The mode given log tau1, the scale of the other parameters there, and the log of their Laplace mass."""

    location: np.ndarray
    scale: np.ndarray
    log_mass: float


def _walk(density: Density, start: _Point, *, step: float, hessian: np.ndarray) -> list[_Point]:
    """Points at distance `step` from each other, until the mass is negligible."""
    points = [start]
    highest = start.log_mass
    while len(points) <= MAX_STEPS and points[-1].log_mass > highest - WALK_ENDS_BELOW:
        before, last = points[max(len(points) - 2, 0)].location, points[-1].location
        points.append(_given(density, last[LOG_TAU1] + step, start=2 * last - before, hessian=hessian))
        highest = max(highest, points[-1].log_mass)
    return [point for point in points[1:] if np.isfinite(point.log_mass)]


def _given(density: Density, log_tau1: float, *, start: np.ndarray, hessian: np.ndarray) -> _Point:
    others = np.arange(len(start)) != LOG_TAU1

    def conditional(part: np.ndarray) -> tuple[float, np.ndarray]:
        phi = np.empty(len(start))
        phi[others], phi[LOG_TAU1] = part, log_tau1
        value, gradient = density(phi)
        return value, gradient[others]

    scale = scale_of(hessian[np.ix_(others, others)])
    widths = np.sqrt(np.diag(scale @ scale.T))
    mode = find_mode(conditional, start[others], steps=widths)
    location = np.empty(len(start))
    location[others], location[LOG_TAU1] = mode.location, log_tau1
    scale = mode.scale()
    return _Point(location, scale, log_mass=conditional(mode.location)[0] + np.linalg.slogdet(scale)[1])
