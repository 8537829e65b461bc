"""The marginal log-likelihood, its gradient and the complete-data information, from one pass over the answers.

ℓ = Σ_rows w log Σ_q g(θ_q) Π_items P(x | θ_q), with g the normal density normalised on the nodes θ_q.

By Fisher's identity ∇ℓ equals the gradient of the expected complete-data log-likelihood (Bock & Aitkin 1981), so one
E-step gives everything that a quasi-Newton iteration needs. Parameters are on the calibration's own scale.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import DTypeLike, NDArray

from seedtest_analytics.stats.irt import grid_tables, kernels
from seedtest_analytics.stats.irt.data import ResponseData
from seedtest_analytics.stats.irt.model import logistic
from seedtest_analytics.stats.irt.priors import Priors, evaluate_priors
from seedtest_analytics.stats.irt.threads import balanced_rows, run_lanes

Floats = NDArray[np.float64]
Bools = NDArray[np.bool_]

_MAX_LANES = 16
_ANSWERS_PER_ITEM = 8
"""A separate lane pays off from this many answers per item, because it needs its own table of counts."""
_SMALL_PROBABILITY = 1e-12
_WRONG_KEY_Z = -3.0
"""An item whose answers do not depend on the ability falls below this z value once in 700 times."""


@dataclass(frozen=True, eq=False)
class Parameters:
    """A point of the search: a, d and gamma = logit(c), −inf for c = 0, (n_items,); mean and log_sd (n_groups,)."""

    a: Floats
    d: Floats
    gamma: Floats
    mean: Floats
    log_sd: Floats

    @property
    def c(self) -> Floats:
        return logistic(self.gamma)


@dataclass(frozen=True, eq=False)
class FreeParameters:
    """Which parameters are estimated: items (n_items, 3) of a, d, gamma; groups (n_groups, 2) of mean, log SD."""

    items: Bools
    groups: Bools

    @property
    def n(self) -> int:
        return int(self.items.sum() + self.groups.sum())

    def pack(self, items: Floats, groups: Floats) -> Floats:
        """One vector of the free entries of (n_items, 3) and (n_groups, 2)."""
        return np.concatenate([items[self.items], groups[self.groups]])

    def unpack(self, vector: Floats) -> tuple[Floats, Floats]:
        """(n_items, 3) and (n_groups, 2), zero where fixed."""
        items, groups = np.zeros(self.items.shape), np.zeros(self.groups.shape)
        n = int(self.items.sum())
        items[self.items], groups[self.groups] = vector[:n], vector[n:]
        return items, groups


@dataclass(frozen=True, eq=False)
class Evaluation:
    """One pass: log-likelihood and log prior; gradients (n_items, 3) and (n_groups, 2) of their sum; complete-data
    information (n_items, 3, 3) and (n_groups, 2, 2); posterior masses of the answers, for M-steps.
    """

    log_likelihood: float
    log_prior: float
    item_gradient: Floats
    group_gradient: Floats
    item_information: Floats
    group_information: Floats
    counts: Floats
    right_mean: Floats
    population: Floats

    @property
    def objective(self) -> float:
        return self.log_likelihood + self.log_prior


class MarginalLikelihood:
    """The objective of one data set, its quadrature nodes and its priors."""

    def __init__(self, data: ResponseData, nodes: Floats, *, priors: Priors, threads: int | None = None) -> None:
        self.data = data
        self.threads = threads
        self.row_weight = data.weights()
        self.nodes = nodes
        self.priors = priors
        self.n_points = len(nodes)
        self.right = self._weighted_right_answers()
        self.lane_start = _lanes(data)

    @property
    def is_discrimination_positive(self) -> bool:
        """Whether the prior leaves no density at a ≤ 0."""
        return self.priors.a is not None

    def _weighted_right_answers(self) -> Floats:
        code = self.data.answer_code
        per_answer = None
        if self.data.row_weight is not None:
            per_answer = np.repeat(self.data.row_weight, self.data.n_answers_by_row)
        counts = np.bincount(code, weights=per_answer, minlength=2 * self.data.n_items)
        return np.asarray(counts[1::2], dtype=np.float64)

    def log_population(self, parameters: Parameters) -> Floats:
        """(n_groups, n_points) log of the population weights, normalised to sum 1."""
        sd = np.exp(parameters.log_sd)[:, None]
        log_density = -0.5 * ((self.nodes[None, :] - parameters.mean[:, None]) / sd) ** 2
        top = log_density.max(axis=1, keepdims=True)
        return np.asarray(log_density - top - np.log(np.exp(log_density - top).sum(axis=1, keepdims=True)))

    def evaluate(self, parameters: Parameters, dtype: DTypeLike = np.float64) -> Evaluation:
        """One pass over the answers at these parameters, with tables of type ``dtype``."""
        log_population = self.log_population(parameters)
        tables = grid_tables.answer_tables(parameters.a, parameters.d, c=parameters.c, nodes=self.nodes, dtype=dtype)
        shared = (
            self.data.row_start,
            self.data.answer_code,
            self.row_weight,
            self.data.groups(),
            *tables,
            grid_tables.in_blocks(log_population, grid_tables.MASKED_LOG_PRIOR),
        )
        lanes = run_lanes(
            lambda lane: kernels.expected_counts(self.lane_start[lane], self.lane_start[lane + 1], *shared),
            len(self.lane_start) - 1,
            threads=self.threads,
        )
        log_likelihood = sum(lane[0] for lane in lanes)
        counts, right_mean, population = (np.sum([lane[k] for lane in lanes], axis=0) for k in (1, 2, 3))
        counts, population = (grid_tables.points(values, self.n_points) for values in (counts, population))
        item_gradient, item_information = item_derivatives(
            parameters, counts, right=self.right, right_mean=right_mean, nodes=self.nodes
        )
        group_gradient, group_information = _group_derivatives(
            parameters, population, weights=np.exp(log_population), nodes=self.nodes
        )
        value, gradient, hessian = evaluate_priors(self.priors, parameters.a, d=parameters.d, gamma=parameters.gamma)
        return Evaluation(
            float(log_likelihood),
            float(value.sum()),
            item_gradient=item_gradient + gradient,
            group_gradient=group_gradient,
            item_information=add_prior_information(item_information, hessian),
            group_information=group_information,
            counts=counts,
            right_mean=right_mean,
            population=population,
        )

    def wants_negative_slope(self, at: Evaluation) -> Bools:
        """(n_items,) whether the answers ask for a < 0 beyond chance, even where a prior forbids it."""
        return np.asarray(self.slope_score(at) < _WRONG_KEY_Z)

    def slope_score(self, at: Evaluation) -> Floats:
        """(n_items,) score test of a = 0: z = ∂ℓ/∂a at a = 0, divided by its SD when answers ignore the ability.

        The SD includes the spread of each posterior, which makes |z| a little too small. NaN for items whose answers
        are all the same.
        """
        all_answers, right_mean = at.counts, at.right_mean
        if len(at.counts) != self.data.n_items:
            all_answers = at.counts[0::2] + at.counts[1::2]
            right_mean = at.counts[1::2] @ self.nodes
        n = all_answers.sum(axis=1)
        with np.errstate(divide="ignore", invalid="ignore"):
            share, centre = self.right / n, all_answers @ self.nodes / n
            spread = all_answers @ self.nodes**2 - n * centre**2
            return np.asarray((right_mean - self.right * centre) / np.sqrt(share * (1.0 - share) * spread))


def _lanes(data: ResponseData) -> NDArray[np.int64]:
    """Row boundaries of the lanes. They depend only on the data, so sums do not depend on the number of threads."""
    n_lanes = int(np.clip(data.n_answers // (_ANSWERS_PER_ITEM * data.n_items), 1, _MAX_LANES))
    return balanced_rows(data.row_start, n_lanes)


def item_derivatives(
    parameters: Parameters, counts: Floats, *, right: Floats, right_mean: Floats, nodes: Floats
) -> tuple[Floats, Floats]:
    """(n_items, 3) gradient and (n_items, 3, 3) information of the expected complete-data log-likelihood.

    With posterior counts n(θ) of answers and r(θ) of right ones, and p = P(1 | θ):
    gradient Σ_θ (r − n p) ∂p / (p (1 − p)), information Σ_θ n ∂p ∂pᵀ / (p (1 − p)).
    """
    n_items = len(parameters.a)
    curve, p, by_z, by_gamma = curve_derivatives(parameters, nodes)
    powers = np.stack([nodes**2, nodes, np.ones_like(nodes)], axis=1)
    gradient, information = np.zeros((n_items, 3)), np.zeros((n_items, 3, 3))
    if len(counts) == n_items:
        expected = counts * curve
        gradient[:, 0] = right_mean - expected @ nodes
        gradient[:, 1] = right - expected.sum(axis=1)
        moments = (expected * (1.0 - curve)) @ powers
    else:
        total, seen_right = counts[0::2] + counts[1::2], counts[1::2]
        variance = p * (1.0 - p)
        residual = (seen_right - total * p) / variance
        gradient[:, 0] = (residual * by_z) @ nodes
        gradient[:, 1] = (residual * by_z).sum(axis=1)
        gradient[:, 2] = (residual * by_gamma).sum(axis=1)
        moments = (total * by_z**2 / variance) @ powers
        crossed = (total * by_z * by_gamma / variance) @ powers[:, 1:]
        information[:, 0, 2] = information[:, 2, 0] = crossed[:, 0]
        information[:, 1, 2] = information[:, 2, 1] = crossed[:, 1]
        information[:, 2, 2] = (total * by_gamma**2 / variance).sum(axis=1)
    information[:, 0, 0] = moments[:, 0]
    information[:, 0, 1] = information[:, 1, 0] = moments[:, 1]
    information[:, 1, 1] = moments[:, 2]
    return gradient, information


def curve_derivatives(parameters: Parameters, nodes: Floats) -> tuple[Floats, Floats, Floats, Floats]:
    """(n_items, nodes) logistic curve, P(1 | θ), and its derivatives by z = a θ + d and by logit(c)."""
    c = parameters.c[:, None]
    curve = logistic(parameters.a[:, None] * nodes[None, :] + parameters.d[:, None])
    p = np.clip(c + (1.0 - c) * curve, _SMALL_PROBABILITY, 1.0 - _SMALL_PROBABILITY)
    return curve, p, (1.0 - c) * curve * (1.0 - curve), c * (1.0 - c) * (1.0 - curve)


def _group_derivatives(
    parameters: Parameters, population: Floats, *, weights: Floats, nodes: Floats
) -> tuple[Floats, Floats]:
    """(n_groups, 2) gradient and (n_groups, 2, 2) information of mean and log SD of the discrete normal on the nodes."""
    sd = np.exp(parameters.log_sd)[:, None]
    z = (nodes[None, :] - parameters.mean[:, None]) / sd
    statistics = np.stack([z / sd, z**2], axis=1)
    size = population.sum(axis=1)
    expected = np.einsum("gkq,gq->gk", statistics, weights)
    gradient = np.einsum("gkq,gq->gk", statistics, population) - size[:, None] * expected
    centred = statistics - expected[:, :, None]
    information = size[:, None, None] * np.einsum("gkq,glq,gq->gkl", centred, centred, weights)
    return gradient, information


def add_prior_information(information: Floats, prior_hessian: Floats) -> Floats:
    """Information plus the concave part of the log prior's curvature."""
    if not bool(np.any(prior_hessian)):
        return information
    values, vectors = np.linalg.eigh(-prior_hessian)
    curved = np.einsum("nij,nj,nkj->nik", vectors, np.maximum(values, 0.0), vectors)
    return np.asarray(information + curved)
