"""Maximisation of the marginal likelihood: a few EM steps, then quasi-Newton steps in EM's metric.

The direction is H ∇ℓ, with H the limited-memory BFGS matrix (Nocedal & Wright 2006, algorithm 7.4) that starts from the
inverse complete-data information, block by item. Without memory this is an EM gradient step (Lange 1995). It needs 8 to
20 passes over the answers, plain EM 40 to 90.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import DTypeLike, NDArray

from seedtest_analytics.stats.irt.objective import (
    Evaluation,
    FreeParameters,
    MarginalLikelihood,
    Parameters,
    add_prior_information,
    item_derivatives,
)
from seedtest_analytics.stats.irt.priors import evaluate_priors

Floats = NDArray[np.float64]

DISCRIMINATION_LIMIT = 20.0
"""Beyond this |a| a curve is a step function for all practical purposes; the estimate stops here and is flagged."""
_INTERCEPT_LIMIT = 60.0
_GAMMA_LIMITS = (-8.0, 4.0)
_STEP_LIMIT = np.array([0.7, 1.0, 1.0])
_GROUP_STEP_LIMIT = np.array([0.5, 0.5])
_LARGEST_FALL = 0.7
"""Under a prior on log a, one step may take away at most this share of a. A wrong key pulls towards a < 0, where the prior
has no density and from where no later step returns."""
_SHORT_STEPS = (1 / 4, 1 / 16, 1 / 64)
_SURE_LOSS = 10.0
"""A drop of more than this many rounding errors is a real loss; three extra passes cost more than a smaller one."""
_EM_STEPS = 2
_NEWTON_STEPS_IN_M = 4
_MEMORY = 8
_SCALE_LIMITS = (1.0, 1.5)
"""EM's metric makes steps too short, never too long, but one pair must not stretch them too far."""
_RIDGE = 1e-9
_OBJECTIVE_ROUNDING = {np.dtype(np.float32): 1e-7, np.dtype(np.float64): 1e-12}
"""Relative rounding error of the objective by the type of the tables."""

Pair = tuple[Floats, Floats]
"""A step s and the decrease y of the gradient along it."""


@dataclass(frozen=True, eq=False)
class Optimum:
    """The end of a search. ``step``: largest component (logits) of the remaining EM and quasi-Newton steps;
    ``gradient``: largest |derivative|.
    """

    parameters: Parameters
    evaluation: Evaluation
    n_passes: int
    converged: bool
    step: float
    gradient: float
    memory: tuple[Pair, ...]


def maximise(
    likelihood: MarginalLikelihood,
    start: Parameters,
    *,
    free: FreeParameters,
    tolerance: float,
    max_passes: int,
    dtype: DTypeLike = np.float64,
    em_steps: int = _EM_STEPS,
    memory: tuple[Pair, ...] = (),
    passes_done: int = 0,
) -> Optimum:
    """The maximum nearest to ``start``. The result says whether the search converged; it does not raise if not.

    ``memory`` and ``passes_done`` continue a search in another precision.
    """
    rounding = _OBJECTIVE_ROUNDING[np.dtype(dtype)]
    point, value = start, likelihood.evaluate(start, dtype)
    pairs, passes = list(memory), 1
    is_positive = likelihood.is_discrimination_positive
    while True:
        gradient = free.pack(value.item_gradient, value.group_gradient)
        direction = _direction(gradient, pairs, value=value, free=free)
        step = max(_largest(direction), _largest(_solve_blocks(value, free, vector=gradient)))
        if step < tolerance or passes >= max_passes:
            break
        is_em = passes <= em_steps
        if is_em:
            proposed = _m_step(likelihood, point, value=value, free=free)
        else:
            proposed = _moved(point, free.unpack(direction), is_discrimination_positive=is_positive)
        new_value = likelihood.evaluate(proposed, dtype)
        passes += 1
        least = value.objective - rounding * abs(value.objective)
        if new_value.objective < least and not is_em:
            pairs.clear()
            proposed = _m_step(likelihood, point, value=value, free=free)
            new_value = likelihood.evaluate(proposed, dtype)
            passes += 1
        if new_value.objective < value.objective - _SURE_LOSS * rounding * abs(value.objective):
            # The expected log-likelihood of a 3PL item is not concave, so Newton steps can overshoot. A short enough
            # step along the gradient cannot; if none helps, the loss is rounding after all.
            pairs.clear()
            for share in _SHORT_STEPS:
                ascent = share * _solve_blocks(value, free, vector=gradient)
                shorter = _moved(point, free.unpack(ascent), is_discrimination_positive=is_positive)
                shorter_value = likelihood.evaluate(shorter, dtype)
                passes += 1
                if shorter_value.objective >= least:
                    proposed, new_value = shorter, shorter_value
                    break
        moved = _difference(proposed, point, free=free)
        change = gradient - free.pack(new_value.item_gradient, new_value.group_gradient)
        if float(moved @ change) > 1e-10 * float(np.linalg.norm(moved) * np.linalg.norm(change)):
            pairs.append((moved, change))
            del pairs[:-_MEMORY]
        point, value = proposed, new_value
    return Optimum(
        point,
        value,
        n_passes=passes + passes_done,
        converged=step < tolerance,
        step=step,
        gradient=_largest(gradient),
        memory=tuple(pairs),
    )


def _largest(vector: Floats) -> float:
    return float(np.max(np.abs(vector), initial=0.0))


def _direction(gradient: Floats, pairs: list[Pair], *, value: Evaluation, free: FreeParameters) -> Floats:
    """H · gradient by the two-loop recursion over the pairs (s, y)."""
    q = gradient.copy()
    weights = []
    for s, y in reversed(pairs):
        rho = 1.0 / float(s @ y)
        alpha = rho * float(s @ q)
        weights.append((alpha, rho))
        q -= alpha * y
    direction = _solve_blocks(value, free, vector=q)
    if pairs:
        s, y = pairs[-1]
        scale = float(s @ y) / float(y @ _solve_blocks(value, free, vector=y))
        direction *= float(np.clip(scale, *_SCALE_LIMITS))
    for (s, y), (alpha, rho) in zip(pairs, reversed(weights), strict=True):
        direction += s * (alpha - rho * float(y @ direction))
    return direction


def _m_step(
    likelihood: MarginalLikelihood, point: Parameters, *, value: Evaluation, free: FreeParameters
) -> Parameters:
    """argmax of the expected complete-data log-likelihood plus log prior, by a few Newton steps on the counts."""
    proposed = point
    items, groups = value.item_gradient, value.group_gradient
    information = value.item_information
    for _ in range(_NEWTON_STEPS_IN_M):
        step = _block_steps(information, items, free=free.items)
        group_step = _block_steps(value.group_information, groups, free=free.groups)
        is_positive = likelihood.is_discrimination_positive
        proposed = _moved(proposed, (step, group_step), is_discrimination_positive=is_positive)
        if float(np.max(np.abs(step), initial=0.0)) < 1e-5:
            break
        groups = np.zeros_like(groups)
        gradient, complete = item_derivatives(
            proposed, value.counts, right=likelihood.right, right_mean=value.right_mean, nodes=likelihood.nodes
        )
        priors = likelihood.priors
        _, prior_gradient, prior_hessian = evaluate_priors(priors, proposed.a, d=proposed.d, gamma=proposed.gamma)
        items, information = gradient + prior_gradient, add_prior_information(complete, prior_hessian)
    return proposed


def _solve_blocks(value: Evaluation, free: FreeParameters, *, vector: Floats) -> Floats:
    items, groups = free.unpack(vector)
    return free.pack(
        _block_steps(value.item_information, items, free=free.items),
        _block_steps(value.group_information, groups, free=free.groups),
    )


def _block_steps(information: Floats, gradient: Floats, *, free: NDArray[np.bool_]) -> Floats:
    """(n, k) solution of each (k, k) block over its free parameters; zero where fixed."""
    both = free[:, :, None] & free[:, None, :]
    blocks = np.where(both, information, 0.0)
    diagonal = np.einsum("nii->ni", blocks)
    diagonal += np.where(free, _RIDGE * (1.0 + diagonal), 1.0)
    return np.asarray(np.linalg.solve(blocks, np.where(free, gradient, 0.0)[:, :, None])[:, :, 0])


def _moved(point: Parameters, step: tuple[Floats, Floats], *, is_discrimination_positive: bool) -> Parameters:
    """The point after a step; an item's step that exceeds a limit is shortened as a whole."""
    items, groups = step
    excess = np.max(np.abs(items) / _STEP_LIMIT, axis=1)
    if is_discrimination_positive:
        excess = np.maximum(excess, np.maximum(-items[:, 0], 0.0) / (_LARGEST_FALL * np.abs(point.a)))
    items = items / np.maximum(1.0, excess)[:, None]
    groups = groups / np.maximum(1.0, np.max(np.abs(groups) / _GROUP_STEP_LIMIT, axis=1))[:, None]
    gamma = point.gamma + items[:, 2]
    return replace(
        point,
        a=np.clip(point.a + items[:, 0], -DISCRIMINATION_LIMIT, DISCRIMINATION_LIMIT),
        d=np.clip(point.d + items[:, 1], -_INTERCEPT_LIMIT, _INTERCEPT_LIMIT),
        gamma=np.where(np.isfinite(gamma), np.clip(gamma, *_GAMMA_LIMITS), gamma),
        mean=point.mean + groups[:, 0],
        log_sd=point.log_sd + groups[:, 1],
    )


def _difference(new: Parameters, old: Parameters, *, free: FreeParameters) -> Floats:
    with np.errstate(invalid="ignore"):
        gamma = np.nan_to_num(new.gamma - old.gamma)
    items = np.stack([new.a - old.a, new.d - old.d, gamma], axis=1)
    groups = np.stack([new.mean - old.mean, new.log_sd - old.log_sd], axis=1)
    return free.pack(items, groups)
