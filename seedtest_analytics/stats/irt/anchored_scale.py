"""The scale of anchors, found without the priors of the other items.

With fixed anchors and a free population, one change of all other items and the population,

    θ → m + s (θ − μ) / σ,   a → a σ / s,   b → m + s (b − μ) / σ,

leaves every answer to the others as likely as before. Only the answers to anchors contradict it. Priors on the anchors' scale
contradict it too: those of two hundred items outweigh twenty anchors, and abilities are stretched. So the
priors hold on the scale on which the population has mean 0 and SD 1, and move with the population:

1. the other items maximise likelihood and priors for a given mean and SD of the population;
2. mean and SD maximise the likelihood alone, while the other items move along.

The two steps alternate until nothing moves.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Protocol, TypeVar

import numpy as np
from numpy.typing import NDArray

from seedtest_analytics.stats.irt.config import LogNormal, Normal
from seedtest_analytics.stats.irt.objective import Evaluation, MarginalLikelihood, Parameters
from seedtest_analytics.stats.irt.priors import LogNormalByItem, NormalByItem, Priors, PriorsByItem

Floats = NDArray[np.float64]
Bools = NDArray[np.bool_]


class HasParameters(Protocol):
    """The result of a search."""

    @property
    def parameters(self) -> Parameters: ...


_Found = TypeVar("_Found", bound=HasParameters)
_Slope = TypeVar("_Slope", LogNormal, LogNormalByItem)
_Difficulty = TypeVar("_Difficulty", Normal, NormalByItem)

SCALE_TOLERANCE = 1e-3
"""Largest change of mean and log SD, in logits, after which the two steps end."""
MAX_ROUNDS = 15
_WEAK_SD = np.array([2.0, 0.25])
"""SDs of a prior of mean and log SD around 0, which keeps a population finite of which the anchors say next to nothing."""
_GRADIENT_TOLERANCE = 0.05
_MAX_STEPS = 8


@dataclass(frozen=True)
class Population:
    """Mean and SD of the first group of students."""

    mean: float
    sd: float

    @classmethod
    def of(cls, parameters: Parameters) -> Population:
        return cls(float(parameters.mean[0]), float(np.exp(parameters.log_sd[0])))

    def distance(self, other: Population) -> float:
        """Larger change of mean and log SD."""
        return max(abs(self.mean - other.mean), abs(float(np.log(self.sd / other.sd))))


def priors_for(priors: Priors, population: Population) -> Priors:
    """Priors of a and b that hold for mean 0 and SD 1, on the scale on which the population is as given."""
    if isinstance(priors, PriorsByItem):
        return replace(
            priors,
            a=None if priors.a is None else _slope_for(priors.a, population),
            b=_difficulty_for(priors.b, population),
        )
    return replace(
        priors,
        a=None if priors.a is None else _slope_for(priors.a, population),
        b=None if priors.b is None else _difficulty_for(priors.b, population),
    )


def _slope_for(prior: _Slope, population: Population) -> _Slope:
    return replace(prior, mean_log=prior.mean_log - float(np.log(population.sd)))


def _difficulty_for(prior: _Difficulty, population: Population) -> _Difficulty:
    return replace(prior, mean=population.mean + population.sd * prior.mean, sd=population.sd * prior.sd)


def moved(parameters: Parameters, population: Population, *, is_anchor: Bools) -> Parameters:
    """The same answers of the other items with another population. ``is_anchor`` (n_items,)."""
    before = Population.of(parameters)
    factor = population.sd / before.sd
    a = np.where(is_anchor, parameters.a, parameters.a / factor)
    d = np.where(is_anchor, parameters.d, parameters.d + parameters.a * before.mean - a * population.mean)
    mean = population.mean + (parameters.mean - before.mean) * factor
    return replace(parameters, a=a, d=d, mean=mean, log_sd=parameters.log_sd + np.log(factor))


def scale_gradient(parameters: Parameters, at: Evaluation, *, is_anchor: Bools) -> Floats:
    """(2,) derivative of the log-likelihood by the population's mean and log SD along ``moved``; ``at`` has no priors."""
    a, others = parameters.a, ~is_anchor
    by_a, by_d = at.item_gradient[:, 0], at.item_gradient[:, 1]
    by_mean, by_log_sd = at.group_gradient.T
    from_first = parameters.mean - parameters.mean[0]
    return np.array(
        [
            by_mean.sum() - (a * by_d)[others].sum(),
            (by_log_sd + from_first * by_mean).sum() + (a * (parameters.mean[0] * by_d - by_a))[others].sum(),
        ]
    )


def best_population(likelihood: MarginalLikelihood, parameters: Parameters, *, is_anchor: Bools) -> Population:
    """The population that maximises a likelihood without priors of items, while the other items move along."""
    from scipy.optimize import minimize

    def loss(point: Floats) -> tuple[float, Floats]:
        there = moved(parameters, Population(float(point[0]), float(np.exp(point[1]))), is_anchor=is_anchor)
        at = likelihood.evaluate(there)
        value = at.log_likelihood - 0.5 * float(((point / _WEAK_SD) ** 2).sum())
        return -value, point / _WEAK_SD**2 - scale_gradient(there, at, is_anchor=is_anchor)

    start = Population.of(parameters)
    found = minimize(
        loss,
        np.array([start.mean, np.log(start.sd)]),
        jac=True,
        method="BFGS",
        options={"gtol": _GRADIENT_TOLERANCE, "maxiter": _MAX_STEPS},
    )
    return Population(float(found.x[0]), float(np.exp(found.x[1])))


def alternate(
    search: Callable[[Priors, Parameters], _Found],
    likelihood: MarginalLikelihood,
    *,
    priors: Priors,
    start: Parameters,
    is_anchor: Bools,
) -> tuple[_Found, bool]:
    """Steps 1 and 2 in turn: the result of the last search, and whether the population stands still.

    ``search`` maximises for given priors, with the first group's population held. ``likelihood`` has no priors.
    """
    for _ in range(MAX_ROUNDS):
        population = Population.of(start)
        found = search(priors_for(priors, population), start)
        parameters = found.parameters
        better = best_population(likelihood, parameters, is_anchor=is_anchor)
        if better.distance(population) < SCALE_TOLERANCE:
            return found, True
        start = moved(parameters, better, is_anchor=is_anchor)
    return found, False
