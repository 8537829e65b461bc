"""Calibration: from answers to item parameters with standard errors and a verdict."""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import partial

import numpy as np
from numpy.typing import NDArray

from seedtest_analytics.stats.irt.anchored_scale import Population, alternate
from seedtest_analytics.stats.irt.config import CalibrationConfig, ItemPriors
from seedtest_analytics.stats.irt.data import ResponseData
from seedtest_analytics.stats.irt.errors import IrtDataError
from seedtest_analytics.stats.irt.objective import FreeParameters, MarginalLikelihood, Parameters
from seedtest_analytics.stats.irt.optimiser import Optimum, maximise
from seedtest_analytics.stats.irt.pool_fit import ROUGH_SLOPE, pool_of
from seedtest_analytics.stats.irt.pooling import LOGISTIC_VARIANCE_RATIO, ItemPool, pooled_priors, rough_pool
from seedtest_analytics.stats.irt.priors import Priors
from seedtest_analytics.stats.irt.result import Calibration
from seedtest_analytics.stats.irt.screening import Screening, screen
from seedtest_analytics.stats.irt.standard_errors import standard_errors
from seedtest_analytics.stats.irt.verdict import FinishedFit, assemble

_SINGLE_PRECISION_ANSWERS = 200_000
"""From this many answers on, the search uses single precision tables; its last passes use double precision."""
_SINGLE_PRECISION_TOLERANCE = 1e-5
"""A smaller step is rounding of the single precision tables."""
_START_LOGIT_LIMIT = 5.0
_PASSES_BEFORE_HOLDING = 8
"""After this many passes the posterior of the abilities has nearly converged, and a wrong key shows."""


def calibrate(data: ResponseData, config: CalibrationConfig | None = None) -> Calibration:
    """Item parameters that maximise the marginal log-likelihood plus the log prior (MML; MAP with priors).

    ℓ(a, b, c, μ, σ) = Σ_rows w log ∫ Π_items P(x | θ) φ(θ; μ, σ) dθ + log p(a, b, c), on a fixed grid of θ.

    The result is on the calibration's own scale, or with ``config.anchors`` on the scale of the anchors. Single items
    never fail a calibration: unusable ones are set aside and odd ones flagged, with the reason. A lack of convergence
    is part of the verdict.

    With ``config.pool_below`` the answers are fitted twice. The first fit takes a rough difficulty for each topic; its
    abilities give the pool of the rare items (``fit_pool``), which is their prior in the second.

    Raises IrtDataError when no item or fewer than ``config.min_rows`` rows remain, and AnchorError when fewer than
    ``config.min_anchors`` anchors have answers.
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
        raise IrtDataError(f"{n_rows} rows with answers are too few to calibrate (min_rows={config.min_rows})")
    start, free = _starting_point(used, screening, config=config)
    is_rare = screening.is_rare[screening.keep]
    found = _fit(used, start, free=free, config=config, is_rare=is_rare)
    fit = FinishedFit(
        screening,
        config,
        free=free,
        optimum=found.optimum,
        errors=standard_errors(found.likelihood, found.optimum, free=free, config=config),
        # The score test of a slope is normal only with more answers than rare items have.
        wants_negative=(found.held | _negative_slopes(found.likelihood, found.optimum)) & ~is_rare,
        pool=found.pool,
    )
    return assemble(data, used, fit=fit)


@dataclass(frozen=True, eq=False)
class _Found:
    """The maximum of a likelihood. ``held`` (n_items,): items with a wrong key that were held."""

    likelihood: MarginalLikelihood
    optimum: Optimum
    held: NDArray[np.bool_]
    pool: ItemPool | None = None

    @property
    def parameters(self) -> Parameters:
        return self.optimum.parameters


def _fit(
    used: ResponseData,
    start: Parameters,
    *,
    free: FreeParameters,
    config: CalibrationConfig,
    is_rare: NDArray[np.bool_],
) -> _Found:
    """The maximum, with a pool where there are rare items (n_items,)."""
    priors, topic = config.item_priors, used.topics()
    has_anchored_scale = config.anchors is not None and priors.a is not None and priors.b is not None
    fitted = _on_anchored_scale if has_anchored_scale else _maximum_of
    if not bool(is_rare.any()):
        return fitted(priors, start, used=used, free=free, config=config)
    code = used.answer_code
    rough = rough_pool(code >> 1, (code & 1).astype(np.float64), topic=topic, slope=ROUGH_SLOPE)
    rough_priors = pooled_priors(priors, rough, topic=topic, is_rare=is_rare)
    first = fitted(rough_priors, start, used=used, free=free, config=config)
    is_standard = has_anchored_scale or not free.groups[0].any()
    pool = pool_of(used, first.parameters, is_rare=is_rare, model=config.model, is_standard=bool(is_standard))
    final_priors = pooled_priors(priors, pool, topic=topic, is_rare=is_rare)
    final = fitted(final_priors, first.parameters, used=used, free=free, config=config)
    if has_anchored_scale:
        population = Population.of(final.parameters)
        pool = pool.on_scale(population.mean, population.sd)
    return replace(final, held=first.held | final.held, pool=pool)


def _maximum_of(
    priors: Priors, start: Parameters, *, used: ResponseData, free: FreeParameters, config: CalibrationConfig
) -> _Found:
    likelihood = MarginalLikelihood(used, config.quadrature.nodes, priors=priors, threads=config.threads)
    optimum, held = _search(likelihood, start, free=free, config=config)
    return _Found(likelihood, optimum, held)


def _on_anchored_scale(
    priors: Priors, start: Parameters, *, used: ResponseData, free: FreeParameters, config: CalibrationConfig
) -> _Found:
    """The maximum with priors that hold on the population's scale and do not move it (``anchored_scale``)."""
    groups = free.groups.copy()
    groups[0] = False
    search = partial(_maximum_of, used=used, free=replace(free, groups=groups), config=config)
    found, is_still = alternate(
        search,
        MarginalLikelihood(used, config.quadrature.nodes, priors=ItemPriors(), threads=config.threads),
        priors=priors,
        start=start,
        is_anchor=~free.items[:, 1],
    )
    return replace(found, optimum=replace(found.optimum, converged=found.optimum.converged and is_still))


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
    d = np.log(above / (1.0 - above)) * np.sqrt(1.0 + 1.0 / LOGISTIC_VARIANCE_RATIO)
    d = np.clip(d, -_START_LOGIT_LIMIT, _START_LOGIT_LIMIT)
    free_items = np.tile([config.model != "Rasch", True, config.model == "3PL"], (used.n_items, 1))
    free_groups = np.ones((used.n_groups, 2), dtype=bool)
    if config.anchors is None:
        free_groups[0] = [False, config.model == "Rasch"]
    else:
        anchor = screening.anchor_position[screening.keep]
        here = anchor >= 0
        known = config.anchors.take(anchor[here])
        a[here], d[here], c[here] = known.a, known.intercept, known.c
        free_items[here] = False
    with np.errstate(divide="ignore"):
        gamma = np.log(c) - np.log1p(-c)
    start = Parameters(a, d, gamma=gamma, mean=np.zeros(used.n_groups), log_sd=np.zeros(used.n_groups))
    return start, FreeParameters(free_items, free_groups)


def _search(
    likelihood: MarginalLikelihood, start: Parameters, *, free: FreeParameters, config: CalibrationConfig
) -> tuple[Optimum, NDArray[np.bool_]]:
    """The optimum, and (n_items,) the items with a wrong key that are held at an early estimate.

    A prior on log a forbids the negative slope that a wrong key asks for. Under 3PL the asymptote then takes its place,
    along a ridge without an end. Such an item is never scored, so the point on the ridge does not matter.
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
    """On large data single precision until nearly converged, then double precision, mostly to confirm the end."""
    search = partial(maximise, likelihood, free=free)
    tolerance, limit = config.tolerance, config.max_iterations
    if config.precision == "double" or likelihood.data.n_answers < _SINGLE_PRECISION_ANSWERS:
        return search(start, tolerance=tolerance, max_passes=limit, passes_done=passes_done)
    coarse_tolerance = max(tolerance, _SINGLE_PRECISION_TOLERANCE)
    coarse = search(start, tolerance=coarse_tolerance, max_passes=limit, dtype=np.float32, passes_done=passes_done)
    return search(
        coarse.parameters,
        tolerance=tolerance,
        max_passes=max(limit + passes_done - coarse.n_passes, 1),
        memory=coarse.memory,
        passes_done=coarse.n_passes,
        em_steps=0,
    )


def _negative_slopes(likelihood: MarginalLikelihood, optimum: Optimum) -> NDArray[np.bool_]:
    """(n_items,) whether a < 0, or where a prior forbids that, whether the answers ask for it."""
    if likelihood.is_discrimination_positive:
        return likelihood.wants_negative_slope(optimum.evaluation)
    return np.asarray(optimum.parameters.a < 0)
