"""Separation: a direction of the coefficients in which the likelihood rises without end.

    separated along d:   the best log hazard d'x is unbounded, although d'x differs between rows at risk

A log partial likelihood is concave. So its curvature at β = 0 tells two causes of a singular information apart:

* no curvature along d at β = 0: d'x is the same for all rows of each risk set. The covariates are *collinear*, and the
  likelihood is flat along d everywhere.
* curvature along d at β = 0 that is lost on the way: the likelihood rises along d without a maximum. The covariates
  *separate* events from non-events (Bryson & Johnson 1981, Technometrics 23:381).

Both judgements use d'x, the log hazards of rows. The size of a coefficient per standard deviation of its covariate
does not work: a covariate that few rows have needs a log hazard ratio of -20 for one standard deviation of -1.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from seedtest_analytics.stats.survival.errors import CollinearityError

Floats = NDArray[np.float64]

NO_CURVATURE = 1e-10
"""A direction with less of the largest curvature than this has none: rounding makes the rest."""
DOUBTFUL_ERROR = 3.0
"""Only a difference of log hazards with a larger standard error is looked at: most fits need no further pass."""
FURTHER = 10.0
LEAST_COST = 0.1
"""The likelihood rises without end along a direction if ten units of log hazard further cost less than this many nats.
With a maximum and the standard error above they cost more than five."""


def flat_directions(information: Floats) -> Floats:
    """(p, k) directions in which the (p, p) information of standardised covariates has no curvature; k is 0 for none."""
    values, vectors = np.linalg.eigh(information)
    return np.asarray(vectors[:, values <= NO_CURVATURE * max(float(values[-1]), 1e-300)])


def refuse_collinear(at_zero: Floats) -> None:
    """Raise CollinearityError if the (p, p) information at β = 0 has a flat direction."""
    flat = flat_directions(at_zero)
    if flat.shape[1]:
        raise CollinearityError(
            "covariates {} are constant or a combination of others among the rows at risk; leave one out",
            columns_of(flat),
        )


def separating_direction(
    information: Floats, at_zero: Floats, *, log_hazards: Callable[[Floats], Floats], loglik: Callable[[Floats], float]
) -> Floats | None:
    """(p,) direction without a maximum, or None where the data bound every log hazard.

    Args:
        information: (p, p) at the estimate.
        at_zero: (p, p) of full rank. The curvature left is relative to it, so the covariates' units do not matter.
        log_hazards: (n,) change of the rows' log hazards by a (p,) change of the parameters.
        loglik: log likelihood after a (p,) change of the estimate.
    """
    scale = np.linalg.inv(np.linalg.cholesky(at_zero))
    left, vectors = np.linalg.eigh(scale @ information @ scale.T)
    direction = np.asarray(scale.T @ vectors[:, 0])
    if left[0] <= NO_CURVATURE * max(float(left[-1]), 1e-300):
        return direction
    contrast = float(np.ptp(log_hazards(direction)))
    if contrast <= DOUBTFUL_ERROR * np.sqrt(left[0]):
        return None
    best = loglik(np.zeros(len(direction)))
    further = direction * (FURTHER / contrast)
    return direction if max(loglik(further), loglik(-further)) > best - LEAST_COST else None


def columns_of(directions: Floats) -> tuple[int, ...]:
    """Positions of the covariates that take part in (p,) or (p, k) directions of standardised covariates."""
    size = np.abs(directions.reshape(len(directions), -1)).max(axis=1)
    return tuple(np.flatnonzero(size > 0.1 * size.max()).tolist())
