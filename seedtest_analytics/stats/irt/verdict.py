"""From an optimum to a calibration: parameters with errors, flags by item, and the verdict."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from seedtest_analytics.stats.irt import result as flags
from seedtest_analytics.stats.irt.config import CalibrationConfig, ItemPriors
from seedtest_analytics.stats.irt.data import ResponseData
from seedtest_analytics.stats.irt.objective import FreeParameters
from seedtest_analytics.stats.irt.optimiser import DISCRIMINATION_LIMIT, Optimum
from seedtest_analytics.stats.irt.pooling import ItemPool
from seedtest_analytics.stats.irt.result import Calibration, ItemEstimates, Verdict
from seedtest_analytics.stats.irt.screening import Screening
from seedtest_analytics.stats.irt.standard_errors import StandardErrors

Floats = NDArray[np.float64]

MIN_USABLE_ITEMS = 3
"""Two items do not identify a 2PL: it has four parameters, and their table three free cells."""
MIN_SHARE_USABLE = 0.5
MAX_EDGE_MASS = 1e-3
MAX_RELATIVE_ERROR = 1.0
"""Standard error of a slope, or of the population's SD, in units of itself: above it not even the order of size is known."""
MAX_SE_DIFFICULTY = 2.0
"""In logits; it is twice the SD of an ordinary population."""
MIN_ANSWERS_A_ROW = 1.1
"""One answer of a row says nothing about a slope or the spread of the abilities: they show in answers that go together."""
MIN_SHARE_INFORMED = 0.1
"""Share of the information on a slope that must come from the answers and not from the prior, on average over answers."""
LOW_DISCRIMINATION_BELOW = 0.2
EXTREME_DIFFICULTY_ABOVE = 6.0


@dataclass(frozen=True, eq=False)
class FinishedFit:
    """The end of a search. ``wants_negative`` (items used,): items that abler students answer wrong more often."""

    screening: Screening
    config: CalibrationConfig
    free: FreeParameters
    optimum: Optimum
    errors: StandardErrors
    wants_negative: NDArray[np.bool_]
    pool: ItemPool | None = None


def assemble(data: ResponseData, used: ResponseData, *, fit: FinishedFit) -> Calibration:
    """The calibration of ``data`` from a fit to the ``used`` items; items set aside get NaN and their reason."""
    items = _item_estimates(data, used.components(), fit=fit)
    config, optimum, errors = fit.config, fit.optimum, fit.errors
    population = optimum.evaluation.population
    sd = np.exp(optimum.parameters.log_sd)
    group_se = np.sqrt(np.einsum("gii->gi", errors.group_covariance))
    calibration = Calibration(
        items=items,
        model=config.model,
        scale="anchored" if config.anchors is not None else "rasch" if config.model == "Rasch" else "standard",
        quadrature=config.quadrature,
        group_ids=data.group_ids,
        group_mean=optimum.parameters.mean,
        group_sd=sd,
        group_mean_se=group_se[:, 0],
        group_sd_se=group_se[:, 1] * sd,
        log_likelihood=optimum.evaluation.log_likelihood,
        log_prior=optimum.evaluation.log_prior,
        n_rows=int(np.count_nonzero(used.n_answers_by_row)),
        n_answers=used.n_answers,
        n_free_parameters=fit.free.n,
        n_iterations=optimum.n_passes,
        converged=optimum.converged,
        max_gradient=optimum.gradient,
        max_step=optimum.step,
        standard_error_method=errors.method,
        free_covariance=errors.free_covariance,
        free_index=_index_in_data(errors.free_index, fit.screening.keep),
        n_components=int(items.component.max()) + 1,
        edge_mass=float((population[:, 0] + population[:, -1]).sum() / population.sum()),
        verdict=Verdict(usable=False),
        pool=fit.pool,
    )
    return replace(
        calibration, verdict=judge(calibration, errors.note, priors=config.item_priors, pool_below=config.pool_below)
    )


def _index_in_data(index: NDArray[np.int64] | None, keep: NDArray[np.bool_]) -> NDArray[np.int64] | None:
    if index is None:
        return None
    place = index.copy()
    is_item = place[:, 0] >= 0
    place[is_item, 0] = np.flatnonzero(keep)[place[is_item, 0]]
    return place


def _item_estimates(data: ResponseData, component: NDArray[np.int64], *, fit: FinishedFit) -> ItemEstimates:
    """(a, b, c) from (a, d, logit c), with b = −d / a and covariances by the delta method."""
    screening, errors, parameters = fit.screening, fit.errors, fit.optimum.parameters
    a, d, c = parameters.a, parameters.d, parameters.c
    with np.errstate(divide="ignore", invalid="ignore"):
        b = np.where(a != 0, -d / a, np.nan)
        jacobian = np.zeros((len(a), 3, 3))
        jacobian[:, 0, 0] = 1.0
        jacobian[:, 1, 0], jacobian[:, 1, 1] = -b / a, -1.0 / a
        jacobian[:, 2, 2] = c * (1.0 - c)
        covariance = jacobian @ errors.item_covariance @ jacobian.transpose(0, 2, 1)
        se = np.sqrt(np.einsum("nii->ni", covariance))

    def everywhere(values: NDArray[Any], fill: Any = np.nan) -> NDArray[Any]:
        out = np.full((data.n_items, *values.shape[1:]), fill, dtype=values.dtype)
        out[screening.keep] = values
        return out

    is_fixed = np.asarray(~fit.free.items.any(axis=1))
    reason = screening.reason.copy()
    reason[screening.keep] = _flags(a, b, se=se, is_fixed=is_fixed, component=component, fit=fit)
    status = np.full(data.n_items, "set_aside", dtype=object)
    status[screening.keep] = np.where(is_fixed, "fixed", "estimated")
    n = screening.n_responses
    return ItemEstimates(
        item_ids=data.item_ids,
        a=everywhere(a),
        b=everywhere(b),
        c=everywhere(c),
        se_a=everywhere(se[:, 0]),
        se_b=everywhere(se[:, 1]),
        se_c=everywhere(se[:, 2]),
        covariance=everywhere(covariance),
        n_responses=n,
        p_correct=screening.n_right / np.maximum(n, 1),
        status=status,
        flag=reason,
        component=everywhere(component, -1),
    )


def _flags(
    a: Floats, b: Floats, *, se: Floats, is_fixed: NDArray[np.bool_], component: NDArray[np.int64], fit: FinishedFit
) -> NDArray[np.object_]:
    """(n_items,) the most serious finding about each item: later assignments win."""
    flag = np.full(len(a), None, dtype=object)
    flag[np.abs(b) > EXTREME_DIFFICULTY_ABOVE] = flags.EXTREME_DIFFICULTY
    flag[a < LOW_DISCRIMINATION_BELOW] = flags.LOW_DISCRIMINATION
    if fit.errors.method != "none":
        flag[~np.isfinite(se[:, :2]).all(axis=1)] = flags.NO_STANDARD_ERROR
    flag[~np.isin(component, _linked_components(component, is_fixed))] = flags.UNLINKED
    flag[fit.wants_negative] = flags.NEGATIVE_DISCRIMINATION
    flag[np.abs(a) >= DISCRIMINATION_LIMIT] = flags.DISCRIMINATION_AT_LIMIT
    flag[is_fixed] = None
    return flag


def _linked_components(component: NDArray[np.int64], is_fixed: NDArray[np.bool_]) -> NDArray[np.int64]:
    """Parts on the scale of the calibration: those with an anchor, or without anchors the largest part."""
    if bool(is_fixed.any()):
        return np.unique(component[is_fixed])
    return np.array([np.bincount(component).argmax()])


def judge(
    calibration: Calibration, note: str | None = None, *, priors: ItemPriors = ItemPriors(), pool_below: int = 0
) -> Verdict:
    """Reasons that forbid scoring with the calibration, and warnings that do not. Both texts are stored.

    ``priors``: those of the fit. A prior keeps standard errors small where the answers say nothing.
    ``pool_below``: items with fewer answers took their prior from the pool.
    """
    reasons = _gaps_of_information(calibration, priors, pool_below=pool_below)
    if not calibration.converged:
        reasons.append(
            f"not converged after {calibration.n_iterations} passes: the next step is {calibration.max_step:.2g} logits"
        )
    n_items, n_usable = len(calibration.items.item_ids), len(calibration.parameters)
    if n_usable < MIN_USABLE_ITEMS:
        reasons.append(f"{n_usable} usable items are fewer than {MIN_USABLE_ITEMS}")
    elif calibration.share_usable < MIN_SHARE_USABLE:
        reasons.append(
            f"{calibration.share_usable:.0%} of the answers are to the {n_usable} of {n_items} usable items, "
            f"less than {MIN_SHARE_USABLE:.0%}"
        )
    if calibration.edge_mass > MAX_EDGE_MASS:
        reasons.append(
            f"{calibration.edge_mass:.2%} of the population lies at the ends of the quadrature "
            f"[{calibration.quadrature.lower}, {calibration.quadrature.upper}]; widen it"
        )
    return Verdict(not reasons, tuple(reasons), warnings=tuple(_warnings(calibration, note)))


def _gaps_of_information(calibration: Calibration, priors: ItemPriors, *, pool_below: int) -> list[str]:
    """What the answers leave open, by their number and by the standard errors; nothing if there are none."""
    items = calibration.items
    rows = (items.status == "estimated") & np.isin(items.item_ids, calibration.parameters.item_ids)
    total = int(items.n_responses[rows].sum())
    if calibration.standard_error_method == "none" or not total:
        return []
    found = []
    answers_a_row = calibration.n_answers / calibration.n_rows
    if answers_a_row < MIN_ANSWERS_A_ROW:
        found.append(
            f"students have {answers_a_row:.2f} answers on average, fewer than {MIN_ANSWERS_A_ROW}: single answers "
            "determine neither slopes nor the spread of the abilities"
        )
    weight = items.n_responses[rows] / total
    relative = items.se_a[rows] / items.a[rows]
    is_known = (relative <= MAX_RELATIVE_ERROR) & (items.se_b[rows] <= MAX_SE_DIFFICULTY)
    if weight[is_known].sum() < MIN_SHARE_USABLE:
        found.append(
            f"the answers do not determine the items: {weight[is_known].sum():.0%} of them are to items whose slope is "
            f"known to {MAX_RELATIVE_ERROR:.0%} and whose difficulty to {MAX_SE_DIFFICULTY:g} logits"
        )
    if priors.a is not None and calibration.model != "Rasch":
        informed = 1.0 - np.minimum(np.nan_to_num(relative, nan=np.inf) / priors.a.sd_log, 1.0) ** 2
        if calibration.pool is not None:
            # Rare items share one slope, which all their answers determine together.
            shared = 1.0 - min(calibration.pool.slope_se / priors.a.sd_log, 1.0) ** 2
            informed = np.where(items.n_responses[rows] < pool_below, shared, informed)
        if weight @ informed < MIN_SHARE_INFORMED:
            found.append(
                f"the slopes come from their prior: the answers give {weight @ informed:.0%} of the information on them, "
                f"less than {MIN_SHARE_INFORMED:.0%}"
            )
    if bool((calibration.group_sd_se > MAX_RELATIVE_ERROR * calibration.group_sd).any()):
        found.append("the answers do not determine the spread of the abilities: its standard error is above itself")
    return found


def _warnings(calibration: Calibration, note: str | None) -> list[str]:
    found = [] if note is None else [note]
    flag = calibration.items.flag
    texts = {
        flags.NEGATIVE_DISCRIMINATION: "items have negative discrimination (wrong key?) and are not scored with",
        flags.DISCRIMINATION_AT_LIMIT: "items have discrimination at the limit and are not scored with",
        flags.LOW_DISCRIMINATION: f"items discriminate less than {LOW_DISCRIMINATION_BELOW}",
        flags.EXTREME_DIFFICULTY: f"items have |b| above {EXTREME_DIFFICULTY_ABOVE}",
        flags.NO_STANDARD_ERROR: "items have no standard error",
        flags.FEW_RESPONSES: "items were set aside for too few answers",
        flags.ONE_CATEGORY: "items were set aside for one response category",
    }
    for name, text in texts.items():
        count = int(np.count_nonzero(flag == name))
        if count:
            found.append(f"{count} {text}")
    if calibration.pool is not None:
        pool = calibration.pool
        found.append(
            f"rare items borrow from their topic: difficulties differ by {pool.spread:.2f} logits (SD) within a topic and "
            f"by {pool.topic_sd:.2f} between topics, and the slope is {pool.slope:.2f}"
        )
    unlinked = int(np.count_nonzero(flag == flags.UNLINKED))
    if unlinked:
        found.append(
            f"the items fall into {calibration.n_components} parts that share no row; the scale of {unlinked} items "
            "is tied to the others' only by the assumption that their students are equally able"
        )
    return found
