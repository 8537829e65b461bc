"""Standard errors from the observed information, by Louis' identity and one more pass over the answers."""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from seedtest_analytics.stats.irt import kernels
from seedtest_analytics.stats.irt.config import CalibrationConfig
from seedtest_analytics.stats.irt.data import ResponseData, row_blocks
from seedtest_analytics.stats.irt.model import log_tables, logistic
from seedtest_analytics.stats.irt.objective import (
    FreeParameters,
    MarginalLikelihood,
    Parameters,
)
from seedtest_analytics.stats.irt.optimiser import DISCRIMINATION_LIMIT, Optimum
from seedtest_analytics.stats.irt.priors import evaluate_priors
from seedtest_analytics.stats.irt.threads import balanced_rows, run_lanes

Floats = NDArray[np.float64]

_SINGULAR_BELOW = 1e-12
"""Ratio of the least to the greatest eigenvalue below which an item's information says nothing about a parameter."""

_SMALL_PROBABILITY = 1e-12
_LANES = 16
_FEW_ANSWERS = 15
"""Answers a row below which its posterior is wide."""
_MIN_CHUNK, _MAX_CHUNK = 100_000, 2_000_000


@dataclass(frozen=True, eq=False)
class StandardErrors:
    """``item_covariance`` (n_items, 3, 3) of (a, d, logit c), zero where fixed, NaN where none could be had;
    ``group_covariance`` (n_groups, 2, 2) of mean and log SD; ``free_covariance`` of everything (method full)
    with ``free_index`` (n_free, 2) of position and parameter.
    """

    method: Literal["full", "block", "none"]
    item_covariance: Floats
    group_covariance: Floats
    free_covariance: Floats | None
    free_index: NDArray[np.int64] | None
    note: str | None = None


def standard_errors(
    likelihood: MarginalLikelihood, optimum: Optimum, *, free: FreeParameters, config: CalibrationConfig
) -> StandardErrors:
    """Inverse observed information at the optimum, of all free parameters or block by item."""
    method = config.standard_errors
    if method == "auto":
        method = "full" if free.n <= config.max_full_parameters else "block"
    if method == "none" or free.n == 0:
        return _without(free)
    parameters = optimum.parameters
    at_limit = np.abs(parameters.a) >= DISCRIMINATION_LIMIT
    item_free = free.items & ~at_limit[:, None]
    complete = _complete_information(likelihood, optimum)
    if method == "full":
        return _full(likelihood, optimum, used=FreeParameters(item_free, free.groups), free=free, complete=complete)
    return _block(likelihood, optimum, used=FreeParameters(item_free, free.groups), free=free, complete=complete)


def _without(free: FreeParameters) -> StandardErrors:
    items = np.full((len(free.items), 3, 3), np.nan)
    items[~(free.items[:, :, None] & free.items[:, None, :])] = 0.0
    groups = np.where(free.groups[:, :, None] & free.groups[:, None, :], np.nan, 0.0)
    return StandardErrors("none", items, group_covariance=groups, free_covariance=None, free_index=None)


def _full(
    likelihood: MarginalLikelihood,
    optimum: Optimum,
    *,
    used: FreeParameters,
    free: FreeParameters,
    complete: Floats,
) -> StandardErrors:
    from scipy.linalg import lapack

    index = _index(used)
    matrix, _ = _missing(likelihood, optimum.parameters, used=used, index=index, is_full=True)
    information = -(np.triu(matrix) + np.triu(matrix, 1).T)
    rows, columns = np.nonzero(used.items)
    for j in range(3):
        own = used.items[rows, j]
        information[index[0][rows[own], columns[own]], index[0][rows[own], j]] += complete[rows[own], columns[own], j]
    for g in range(len(used.groups)):
        own = index[1][g][used.groups[g]]
        block = optimum.evaluation.group_information[g]
        information[np.ix_(own, own)] += block[np.ix_(used.groups[g], used.groups[g])]
    scale = 1.0 / np.sqrt(np.maximum(np.diag(information), 1e-300))
    factor, failed = lapack.dpotrf(information * scale[:, None] * scale[None, :], lower=1)
    if failed or bool(np.any(np.diag(information) <= 0)):
        blocks = _block(likelihood, optimum, used=used, free=free, complete=complete)
        note = "the observed information of all parameters is not positive definite; standard errors are by item"
        return StandardErrors(
            "block",
            blocks.item_covariance,
            group_covariance=blocks.group_covariance,
            free_covariance=None,
            free_index=None,
            note=note,
        )
    inverse, _ = lapack.dpotri(factor, lower=1)
    covariance = (np.tril(inverse) + np.tril(inverse, -1).T) * scale[:, None] * scale[None, :]
    items = _spread(covariance, index[0], used=used.items, free=free.items)
    groups = _spread(covariance, index[1], used=used.groups, free=free.groups)
    position = np.concatenate([rows, -1 - np.nonzero(used.groups)[0]])
    parameter = np.concatenate([columns, 3 + np.nonzero(used.groups)[1]])
    return StandardErrors(
        "full",
        items,
        group_covariance=groups,
        free_covariance=covariance,
        free_index=np.stack([position, parameter], axis=1),
    )


def _spread(
    covariance: Floats, index: NDArray[np.int64], *, used: NDArray[np.bool_], free: NDArray[np.bool_]
) -> Floats:
    """(n, k, k) blocks of the covariance: zero where fixed, NaN where free but left out."""
    blocks = covariance[np.maximum(index, 0)[:, :, None], np.maximum(index, 0)[:, None, :]]
    both_free = free[:, :, None] & free[:, None, :]
    both_used = used[:, :, None] & used[:, None, :]
    return np.asarray(np.where(both_used, blocks, np.where(both_free, np.nan, 0.0)))


def _block(
    likelihood: MarginalLikelihood,
    optimum: Optimum,
    *,
    used: FreeParameters,
    free: FreeParameters,
    complete: Floats,
) -> StandardErrors:
    index = _index(used)
    _, missing = _missing(likelihood, optimum.parameters, used=used, index=index, is_full=False)
    both = used.items[:, :, None] & used.items[:, None, :]
    information = np.where(both, complete - missing, 0.0)
    information[:, [0, 1, 2], [0, 1, 2]] += np.where(used.items, 0.0, 1.0)
    eigenvalues = np.linalg.eigvalsh(information)
    fine = eigenvalues[:, 0] > _SINGULAR_BELOW * eigenvalues[:, -1]
    items = np.full(information.shape, np.nan)
    items[fine] = np.linalg.inv(information[fine])
    items = np.where(both, items, np.where(free.items[:, :, None] & free.items[:, None, :], np.nan, 0.0))
    groups = np.where(free.groups[:, :, None] & free.groups[:, None, :], np.nan, 0.0)
    return StandardErrors("block", items, group_covariance=groups, free_covariance=None, free_index=None)


def _index(used: FreeParameters) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Place of each free parameter among all: (n_items, 3) and (n_groups, 2), -1 for the others."""
    items = np.full(used.items.shape, -1, dtype=np.int64)
    n = int(used.items.sum())
    items[used.items] = np.arange(n)
    groups = np.full(used.groups.shape, -1, dtype=np.int64)
    groups[used.groups] = n + np.arange(int(used.groups.sum()))
    return items, groups


def _missing(
    likelihood: MarginalLikelihood,
    parameters: Parameters,
    *,
    used: FreeParameters,
    index: tuple[NDArray[np.int64], NDArray[np.int64]],
    is_full: bool,
) -> tuple[Floats, Floats]:
    """Missing information: (n_free, n_free) upper triangle, or (n_items, 3, 3) blocks; the other is empty."""
    from seedtest_analytics.stats.irt import louis

    data = likelihood.data
    n_parameters = 3 if bool(used.items[:, 2].any()) else 2
    n_free = used.n
    n_polynomials = _n_polynomials(data, n_parameters)
    item_index = np.where(index[0] < 0, n_free, index[0])[:, :n_parameters].copy()
    group_index = np.where(index[1] < 0, n_free, index[1])
    matrix = np.zeros((n_free, n_free + 1) if is_full else (0, 1))
    blocks = np.zeros((0 if is_full else data.n_items, 3, 3))
    row_tables = _row_tables(likelihood, parameters, n_parameters=n_parameters)
    for rows in row_blocks(data.row_start, _answers_a_chunk(data, is_full)):
        n_answers = int(data.row_start[rows.stop] - data.row_start[rows.start])
        projected = np.empty(n_answers * n_parameters * n_polynomials, dtype=np.float32)
        group_projected = np.empty((rows.stop - rows.start, 2, n_polynomials), dtype=np.float32)
        bounds = rows.start + balanced_rows(
            data.row_start[rows.start : rows.stop + 1] - data.row_start[rows.start], _LANES
        )
        _project_chunk(
            likelihood,
            rows,
            bounds=bounds,
            row_tables=row_tables,
            projected=projected,
            group_projected=group_projected,
        )
        entries = louis.entries_by_item(rows.start, rows.stop, data.row_start, data.answer_code, data.n_items)
        add = partial(
            _add_lane,
            likelihood,
            rows,
            entries,
            projected,
            group_projected,
            item_index,
            group_index,
            matrix,
            blocks,
        )
        run_lanes(add, _LANES, threads=likelihood.threads)
        if is_full:
            louis.add_population(
                rows.start,
                rows.stop,
                likelihood.row_weight,
                data.groups(),
                group_projected,
                group_index,
                matrix,
            )
    return matrix[:, :n_free], blocks


def _project_chunk(
    likelihood: MarginalLikelihood,
    rows: slice,
    *,
    bounds: NDArray[np.int64],
    row_tables: tuple[Any, ...],
    projected: NDArray[np.float32],
    group_projected: NDArray[np.float32],
) -> None:
    from seedtest_analytics.stats.irt import louis

    data = likelihood.data
    given = (rows.start, data.row_start, data.answer_code, data.groups(), *row_tables)

    def project(lane: int) -> None:
        louis.project_rows(bounds[lane], bounds[lane + 1], *given, projected, group_projected)  # type: ignore[call-arg]

    run_lanes(project, _LANES, threads=likelihood.threads)


def _add_lane(  # noqa: PLR0913, PLR0917
    likelihood: MarginalLikelihood,
    rows: slice,
    entries: tuple[NDArray[Any], ...],
    projected: NDArray[np.float32],
    group_projected: NDArray[np.float32],
    item_index: NDArray[np.int64],
    group_index: NDArray[np.int64],
    matrix: Floats,
    blocks: Floats,
    lane: int,
) -> None:
    """One lane's items: each writes to rows of the matrix of its own, so no two lanes meet."""
    from seedtest_analytics.stats.irt import louis

    data = likelihood.data
    is_full = len(blocks) == 0
    # Later items have fewer partners after them: lanes get equal numbers of pairs, about.
    share = 1.0 - np.sqrt(1.0 - np.arange(_LANES + 1) / _LANES) if is_full else np.arange(_LANES + 1) / _LANES
    first, last = np.round(share[lane : lane + 2] * data.n_items).astype(np.int64)
    louis.add_pairs(  # type: ignore[call-arg]
        first,
        last,
        *entries,
        rows.start,
        data.row_start,
        data.answer_code,
        likelihood.row_weight,
        data.groups(),
        projected,
        group_projected,
        item_index,
        group_index,
        is_full,
        int(data.n_answers_by_row[rows].max(initial=1)),
        matrix,
        blocks,
    )


def _row_tables(likelihood: MarginalLikelihood, parameters: Parameters, *, n_parameters: int) -> tuple[Any, ...]:
    """What the projections look up: log tables, nodes, population, scores of answers and of the population."""
    table, shift, slope, intercept = log_tables(parameters.a, parameters.d, c=parameters.c, nodes=likelihood.nodes)
    log_population = likelihood.log_population(parameters)
    sd = np.exp(parameters.log_sd)[:, None]
    z = (likelihood.nodes[None, :] - parameters.mean[:, None]) / sd
    score = _score_tables(parameters, likelihood.nodes, n_parameters=n_parameters)
    return (
        kernels.in_blocks(table),
        shift,
        slope,
        intercept,
        likelihood.node_blocks,
        kernels.in_blocks(log_population, kernels.MASKED_LOG_PRIOR),
        kernels.in_blocks(score.astype(np.float32)),
        kernels.in_blocks(np.stack([z / sd, z**2], axis=1).astype(np.float32)),
    )


def _n_polynomials(data: ResponseData, n_parameters: int) -> int:
    """Degree of the projections: the wider the posterior and the less smooth the scores, the more.

    With five answers and guessing, 8 leave out 3 % of a standard error and 24 less than 0.001 %; with twenty
    answers and none, 8 leave out 0.001 % (tests/stats/irt/test_standard_errors.py compares with differences).
    """
    has_guessing, has_few = n_parameters == 3, data.n_answers < _FEW_ANSWERS * data.n_rows
    return 8 * (1 + has_few + has_guessing)


def _answers_a_chunk(data: ResponseData, is_full: bool) -> int:  # noqa: FBT001
    """So many that a row of the matrix is revisited while it is in the cache."""
    if not is_full:
        return _MIN_CHUNK
    mean_length = max(data.n_answers / data.n_rows, 1.0)
    return int(np.clip(2.0 * data.n_items**2 / mean_length, _MIN_CHUNK, _MAX_CHUNK))


def _score_tables(parameters: Parameters, nodes: Floats, *, n_parameters: int) -> Floats:
    """(2 · n_items, n_parameters, nodes): derivative of the log-likelihood of an answer, by answer code."""
    _, p, by_z, by_gamma = _curve_derivatives(parameters, nodes)
    score = np.empty((2 * len(parameters.a), n_parameters, len(nodes)))
    for x in (0, 1):
        residual = (x - p) / (p * (1.0 - p))
        score[x::2, 1] = residual * by_z
        score[x::2, 0] = score[x::2, 1] * nodes
        if n_parameters == 3:
            score[x::2, 2] = residual * by_gamma
    return score


def _curve_derivatives(parameters: Parameters, nodes: Floats) -> tuple[Floats, Floats, Floats, Floats]:
    """(n_items, nodes) logistic curve, probability, and its derivatives by z = a θ + d and by logit(c)."""
    c = parameters.c[:, None]
    curve = logistic(parameters.a[:, None] * nodes[None, :] + parameters.d[:, None])
    p = np.clip(c + (1.0 - c) * curve, _SMALL_PROBABILITY, 1.0 - _SMALL_PROBABILITY)
    return curve, p, (1.0 - c) * curve * (1.0 - curve), c * (1.0 - c) * (1.0 - curve)


def _complete_information(likelihood: MarginalLikelihood, optimum: Optimum) -> Floats:
    """(n_items, 3, 3) minus the Hessian of expected complete-data log-likelihood and priors, both exact."""
    parameters, value = optimum.parameters, optimum.evaluation
    _, _, prior_hessian = evaluate_priors(likelihood.priors, parameters.a, d=parameters.d, gamma=parameters.gamma)
    nodes = likelihood.nodes
    curve, p, by_z, by_gamma = _curve_derivatives(parameters, nodes)
    if len(value.counts) == len(parameters.a):
        moments = (value.counts * by_z)[:, None, :]
        cross = corner = np.zeros_like(moments)
    else:
        wrong, right = value.counts[0::2], value.counts[1::2]
        c = parameters.c[:, None]
        first = right / p - wrong / (1.0 - p)
        second = right / p**2 + wrong / (1.0 - p) ** 2
        by_zz = by_z * (1.0 - 2.0 * curve)
        by_gg = by_gamma * (1.0 - 2.0 * c)
        by_zg = -curve * (1.0 - curve) * c * (1.0 - c)
        moments = (second * by_z**2 - first * by_zz)[:, None, :]
        cross = (second * by_z * by_gamma - first * by_zg)[:, None, :]
        corner = (second * by_gamma**2 - first * by_gg)[:, None, :]
    information = np.zeros((len(parameters.a), 3, 3))
    information[:, 0, 0] = (moments[:, 0] * nodes**2).sum(axis=1)
    information[:, 0, 1] = information[:, 1, 0] = (moments[:, 0] * nodes).sum(axis=1)
    information[:, 1, 1] = moments[:, 0].sum(axis=1)
    information[:, 0, 2] = information[:, 2, 0] = (cross[:, 0] * nodes).sum(axis=1)
    information[:, 1, 2] = information[:, 2, 1] = cross[:, 0].sum(axis=1)
    information[:, 2, 2] = corner[:, 0].sum(axis=1)
    return information - prior_hessian
