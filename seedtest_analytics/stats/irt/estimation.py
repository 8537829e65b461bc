"""Calibration: from answers to item parameters with standard errors and a verdict."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from seedtest_analytics.stats.irt.config import CalibrationConfig
from seedtest_analytics.stats.irt.data import ResponseData
from seedtest_analytics.stats.irt.errors import AnchorError, IrtDataError
from seedtest_analytics.stats.irt.objective import FreeParameters, MarginalLikelihood, Parameters
from seedtest_analytics.stats.irt.optimiser import Optimum, maximise
from seedtest_analytics.stats.irt.result import FEW_RESPONSES, ONE_CATEGORY, Calibration
from seedtest_analytics.stats.irt.standard_errors import StandardErrors, standard_errors
from seedtest_analytics.stats.irt.verdict import assemble

Floats = NDArray[np.float64]

_SINGLE_PRECISION_ANSWERS = 200_000
"""From so many answers the search runs on single precision tables; its last passes are double."""
_SINGLE_PRECISION_TOLERANCE = 1e-5
"""Below this a step is rounding of the single precision tables."""
_START_LOGIT_LIMIT = 5.0
_PASSES_BEFORE_HOLDING = 8
"""After so many the posterior of the abilities is near its end, and a wrong key shows."""
_LEAST_START_SLOPE = 0.1
"""Where the prior has no density at a ≤ 0, which an earlier estimate may be."""
_LOGISTIC_VARIANCE_RATIO = 2.89
"""(1.7)²: a logistic item's marginal logit shrinks by sqrt(1 + a² σ² / 2.89) (Camilli 1994)."""


@dataclass(frozen=True, eq=False)
class Screening:
    """Which items of the data are estimated or fixed, and why not. All (n_items,)."""

    keep: NDArray[np.bool_]
    reason: NDArray[np.object_]
    anchor_position: NDArray[np.int64]
    n_responses: NDArray[np.int64]
    n_right: NDArray[np.int64]


def calibrate(data: ResponseData, config: CalibrationConfig | None = None) -> Calibration:
    """Marginal maximum likelihood (with priors: maximum a posteriori) estimates of the items of ``data``.

    Never fails for single items: those with one response category or too few answers are set aside, those
    with odd estimates flagged, with the reason. Want of convergence is in the verdict.

    Raises IrtDataError when no item or fewer than ``config.min_rows`` rows remain, AnchorError for fewer
    than ``config.min_anchors`` anchors in the data.
    """
    config = config or CalibrationConfig()
    screening = screen(data, config)
    used = data.with_items(screening.keep)
    if not bool(screening.keep.any()):
        raise IrtDataError(
            f"none of {data.n_items} items can be calibrated (fewer than {config.min_responses} answers, or "
            "one response category); widen the period or lower min_responses"
        )
    n_rows = int(np.count_nonzero(used.n_answers_by_row))
    if n_rows < config.min_rows:
        raise IrtDataError(f"{n_rows} rows with answers are too few to calibrate on (min_rows={config.min_rows})")
    likelihood = MarginalLikelihood(used, config.quadrature.nodes, priors=config.item_priors, threads=config.threads)
    start, free = _starting_point(used, screening, config=config)
    optimum, held = _search(likelihood, start, free=free, config=config)
    errors = standard_errors(likelihood, optimum, free=free, config=config)
    wants_negative = held | _wants_negative_slope(likelihood, optimum)
    return assemble(
        data,
        used,
        screening=screening,
        config=config,
        free=free,
        optimum=optimum,
        errors=errors,
        wants_negative=wants_negative,
    )


def screen(data: ResponseData, config: CalibrationConfig) -> Screening:
    """Sets items aside; fixed anchors stay whatever their answers, since nothing is estimated for them."""
    n, right = data.answer_counts()
    anchor_position = np.full(data.n_items, -1, dtype=np.int64)
    if config.anchors is not None:
        anchor_position = config.anchors.positions(data.item_ids)
        n_anchors = int(np.count_nonzero(anchor_position >= 0))
        if n_anchors < config.min_anchors:
            raise AnchorError(
                f"{n_anchors} of {len(config.anchors)} anchors have answers and {config.min_anchors} are needed "
                "to fix the scale; calibrate without anchors and link, or widen the period"
            )
    reason = np.full(data.n_items, None, dtype=object)
    reason[(right == 0) | (right == n)] = ONE_CATEGORY
    reason[n < config.min_responses] = FEW_RESPONSES
    reason[anchor_position >= 0] = None
    keep = np.asarray([r is None for r in reason], dtype=bool)
    return Screening(keep, reason, anchor_position=anchor_position, n_responses=n, n_right=right)


def _starting_point(
    used: ResponseData, screening: Screening, *, config: CalibrationConfig
) -> tuple[Parameters, FreeParameters]:
    n, right = used.answer_counts()
    share = (right + 0.5) / (n + 1.0)
    a = np.ones(used.n_items)
    c = np.zeros(used.n_items)
    if config.model == "3PL":
        c = np.minimum(0.2, 0.5 * share)
    above = np.clip((share - c) / (1.0 - c), 1e-3, 1.0 - 1e-3)
    d = np.log(above / (1.0 - above)) * np.sqrt(1.0 + 1.0 / _LOGISTIC_VARIANCE_RATIO)
    d = np.clip(d, -_START_LOGIT_LIMIT, _START_LOGIT_LIMIT)
    free_items = np.tile([config.model != "Rasch", True, config.model == "3PL"], (used.n_items, 1))
    if config.start is not None:
        _overwrite(config.start.positions(used.item_ids), config.start, a=a, d=d, c=c, with_c=config.model == "3PL")
    if config.item_priors.a is not None:
        a = np.maximum(a, _LEAST_START_SLOPE)
    if config.anchors is not None:
        anchored = screening.anchor_position[screening.keep]
        _overwrite(anchored, config.anchors, a=a, d=d, c=c, with_c=True)
        free_items[anchored >= 0] = False
    with np.errstate(divide="ignore"):
        gamma = np.log(c) - np.log1p(-c)
    n_groups = used.n_groups
    is_anchored = config.anchors is not None
    free_groups = np.ones((n_groups, 2), dtype=bool)
    if not is_anchored:
        free_groups[0] = [False, config.model == "Rasch"]
    start = Parameters(a, d, gamma=gamma, mean=np.zeros(n_groups), log_sd=np.zeros(n_groups))
    return start, FreeParameters(free_items, free_groups)


def _overwrite(position: NDArray[np.int64], known: object, *, a: Floats, d: Floats, c: Floats, with_c: bool) -> None:
    from seedtest_analytics.stats.irt.model import ItemParameters

    assert isinstance(known, ItemParameters)
    here = position >= 0
    a[here], d[here] = known.a[position[here]], known.intercept[position[here]]
    if with_c:
        c[here] = known.c[position[here]]


def _search(
    likelihood: MarginalLikelihood, start: Parameters, *, free: FreeParameters, config: CalibrationConfig
) -> tuple[Optimum, NDArray[np.bool_]]:
    """The optimum, and (n_items,) the wrong keys that were held where they were found out.

    Under a prior that forbids the slope which a wrong key asks for, the asymptote of a 3PL item takes the slope's place,
    along a ridge without end. Such an item is not scored with, so it does not matter where on it it is left.
    """
    held, passes = np.zeros(len(start.a), dtype=bool), 0
    if config.model == "3PL" and likelihood.is_discrimination_positive:
        few = min(_PASSES_BEFORE_HOLDING, config.max_iterations)
        first = maximise(likelihood, start, free=free, tolerance=config.tolerance, max_passes=few)
        held = free.items[:, 2] & likelihood.wants_negative_slope(first.evaluation)
        start, passes = first.parameters, first.n_passes
        free = replace(free, items=free.items & ~held[:, None])
    return _maximum(likelihood, start, free=free, config=config, passes_done=passes), held


def _maximum(
    likelihood: MarginalLikelihood,
    start: Parameters,
    *,
    free: FreeParameters,
    config: CalibrationConfig,
    passes_done: int,
) -> Optimum:
    """Single precision to (nearly) the tolerance on large data, then double, mostly to confirm the end."""
    if config.precision == "double" or likelihood.data.n_answers < _SINGLE_PRECISION_ANSWERS:
        return maximise(
            likelihood,
            start,
            free=free,
            tolerance=config.tolerance,
            max_passes=config.max_iterations,
            passes_done=passes_done,
        )
    coarse = maximise(
        likelihood,
        start,
        free=free,
        tolerance=max(config.tolerance, _SINGLE_PRECISION_TOLERANCE),
        max_passes=config.max_iterations,
        dtype=np.float32,
        passes_done=passes_done,
    )
    return maximise(
        likelihood,
        coarse.parameters,
        free=free,
        tolerance=config.tolerance,
        max_passes=max(config.max_iterations + passes_done - coarse.n_passes, 1),
        memory=coarse.memory,
        passes_done=coarse.n_passes,
        em_steps=0,
    )


def _wants_negative_slope(likelihood: MarginalLikelihood, optimum: Optimum) -> NDArray[np.bool_]:
    """(n_items,) the sign of the estimate, or what the answers say where a prior decides that sign."""
    if likelihood.is_discrimination_positive:
        return likelihood.wants_negative_slope(optimum.evaluation)
    return np.asarray(optimum.parameters.a < 0)


__all__ = ["Screening", "StandardErrors", "calibrate", "screen"]
