"""Standard errors from the observed information, by Louis' identity and one more pass over the answers.

I_observed = I_complete − I_missing, with I_complete minus the Hessian of the expected complete-data log-likelihood and
log prior, and I_missing = Σ_rows Cov(complete-data score | answers). Covariance = I_observed⁻¹.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from seedtest_analytics.stats.irt import louis_kernels
from seedtest_analytics.stats.irt.config import CalibrationConfig
from seedtest_analytics.stats.irt.data import ResponseData, row_blocks
from seedtest_analytics.stats.irt.grid_tables import MASKED_LOG_PRIOR, answer_tables, in_blocks
from seedtest_analytics.stats.irt.objective import FreeParameters, MarginalLikelihood, Parameters, curve_derivatives
from seedtest_analytics.stats.irt.optimiser import DISCRIMINATION_LIMIT, Optimum
from seedtest_analytics.stats.irt.priors import evaluate_priors
from seedtest_analytics.stats.irt.threads import balanced_rows, run_lanes

Floats = NDArray[np.float64]

_SINGULAR_BELOW = 1e-12
"""An item's information is singular if its smallest eigenvalue is below this share of its largest."""
_LANES = 16
_FEW_ANSWERS = 15
"""Rows with fewer answers have a wide posterior."""
_MIN_CHUNK, _MAX_CHUNK = 100_000, 2_000_000


@dataclass(frozen=True, eq=False)
class StandardErrors:
    """Covariances: 0 where a parameter is fixed, NaN where there is no standard error.

    ``item_covariance`` (n_items, 3, 3) of (a, d, logit c); ``group_covariance`` (n_groups, 2, 2) of mean and log SD. With
    method "full", ``free_covariance`` of all free parameters and ``free_index`` (n_free, 2) of position and parameter.
    ``note`` is stored as a warning.
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
    """Inverse of the observed information at the optimum, of all free parameters or block by item."""
    method = config.standard_errors
    if method == "auto":
        method = "full" if free.n <= config.max_full_parameters else "block"
    if method == "none" or free.n == 0:
        return _without(free)
    parameters = optimum.parameters
    at_limit = np.abs(parameters.a) >= DISCRIMINATION_LIMIT
    item_free = free.items & ~at_limit[:, None]
    complete = _complete_information(likelihood, optimum)
    invert = _full if method == "full" else _block
    return invert(likelihood, optimum, used=FreeParameters(item_free, free.groups), free=free, complete=complete)


def _without(
    free: FreeParameters, method: Literal["block", "none"] = "none", *, items: Floats | None = None
) -> StandardErrors:
    """No standard errors but those of ``items``."""
    items = _unknown(free.items) if items is None else items
    groups = _unknown(free.groups)
    return StandardErrors(method, items, group_covariance=groups, free_covariance=None, free_index=None)


def _unknown(free: NDArray[np.bool_]) -> Floats:
    """(n, k, k) NaN for two free parameters, else 0."""
    return np.asarray(np.where(free[:, :, None] & free[:, None, :], np.nan, 0.0))


def _full(
    likelihood: MarginalLikelihood, optimum: Optimum, *, used: FreeParameters, free: FreeParameters, complete: Floats
) -> StandardErrors:
    from scipy.linalg import lapack

    index = _index(used)
    matrix = _missing(likelihood, optimum.parameters, used=used, index=index, is_full=True)
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
        return replace(blocks, note=note)
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
    """(n, k, k) blocks of the covariance: 0 where fixed, NaN where free but not used."""
    blocks = covariance[np.maximum(index, 0)[:, :, None], np.maximum(index, 0)[:, None, :]]
    return np.asarray(np.where(used[:, :, None] & used[:, None, :], blocks, _unknown(free)))


def _block(
    likelihood: MarginalLikelihood, optimum: Optimum, *, used: FreeParameters, free: FreeParameters, complete: Floats
) -> StandardErrors:
    index = _index(used)
    missing = _missing(likelihood, optimum.parameters, used=used, index=index, is_full=False)
    both = used.items[:, :, None] & used.items[:, None, :]
    information = np.where(both, complete - missing, 0.0)
    information[:, [0, 1, 2], [0, 1, 2]] += np.where(used.items, 0.0, 1.0)
    eigenvalues = np.linalg.eigvalsh(information)
    fine = eigenvalues[:, 0] > _SINGULAR_BELOW * eigenvalues[:, -1]
    items = np.full(information.shape, np.nan)
    items[fine] = np.linalg.inv(information[fine])
    return _without(free, "block", items=np.where(both, items, _unknown(free.items)))


def _index(used: FreeParameters) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Position of each free parameter among all: (n_items, 3) and (n_groups, 2), -1 for the others."""
    items = np.full(used.items.shape, -1, dtype=np.int64)
    n = int(used.items.sum())
    items[used.items] = np.arange(n)
    groups = np.full(used.groups.shape, -1, dtype=np.int64)
    groups[used.groups] = n + np.arange(int(used.groups.sum()))
    return items, groups


@dataclass(frozen=True, eq=False)
class _Missing:
    """Missing information, added up chunk by chunk: (n_free, n_free) upper triangle, or (n_items, 3, 3) blocks.

    The other of ``matrix`` and ``blocks`` is empty. The matrix has one more column, which collects fixed parameters.
    """

    likelihood: MarginalLikelihood
    tables: tuple[Any, ...]
    shape: tuple[int, int]
    item_index: NDArray[np.int64]
    group_index: NDArray[np.int64]
    matrix: Floats
    blocks: Floats

    def add(self, rows: slice, *, is_full: bool) -> None:
        """Project the scores of a chunk of rows, then add up their products. No two lanes write to one matrix row."""
        data, threads = self.likelihood.data, self.likelihood.threads
        n_parameters, n_polynomials = self.shape
        first, n_rows, groups = rows.start, rows.stop - rows.start, data.groups()
        starts = data.row_start[first : rows.stop + 1]
        projected = np.empty(int(starts[-1] - starts[0]) * n_parameters * n_polynomials, dtype=np.float32)
        by_group = np.empty((n_rows, 2, n_polynomials), dtype=np.float32)
        bounds = first + balanced_rows(starts - starts[0], _LANES)
        layout = (first, data.row_start, data.answer_code)
        answers = (*layout, groups, *self.tables, projected, by_group)

        def project(lane: int) -> None:
            louis_kernels.project_rows(bounds[lane], bounds[lane + 1], *answers)

        run_lanes(project, _LANES, threads=threads)
        entries = louis_kernels.entries_by_item(first, rows.stop, data.row_start, data.answer_code, data.n_items)
        lanes = np.arange(_LANES + 1) / _LANES
        # Later items have fewer partners after them, so equal numbers of pairs need unequal numbers of items.
        share = 1.0 - np.sqrt(1.0 - lanes) if is_full else lanes
        items = np.round(share * data.n_items).astype(np.int64)
        weights = self.likelihood.row_weight
        longest = int(data.n_answers_by_row[rows].max(initial=1))
        scores = (projected, by_group, self.item_index, self.group_index)
        pairs = (*entries, *layout, weights, groups, *scores, is_full, longest, self.matrix, self.blocks)

        def add(lane: int) -> None:
            louis_kernels.add_pairs(items[lane], items[lane + 1], *pairs)

        run_lanes(add, _LANES, threads=threads)
        if is_full:
            louis_kernels.add_population(first, rows.stop, weights, groups, by_group, self.group_index, self.matrix)


def _missing(
    likelihood: MarginalLikelihood,
    parameters: Parameters,
    *,
    used: FreeParameters,
    index: tuple[NDArray[np.int64], NDArray[np.int64]],
    is_full: bool,
) -> Floats:
    """Missing information: (n_free, n_free) upper triangle, or (n_items, 3, 3) blocks."""
    data, n_free = likelihood.data, used.n
    n_parameters = 3 if bool(used.items[:, 2].any()) else 2
    missing = _Missing(
        likelihood,
        _row_tables(likelihood, parameters, n_parameters=n_parameters),
        shape=(n_parameters, _n_polynomials(data, n_parameters)),
        item_index=np.where(index[0] < 0, n_free, index[0])[:, :n_parameters].copy(),
        group_index=np.where(index[1] < 0, n_free, index[1]),
        matrix=np.zeros((n_free, n_free + 1) if is_full else (0, 1)),
        blocks=np.zeros((0 if is_full else data.n_items, 3, 3)),
    )
    for rows in row_blocks(data.row_start, _answers_per_chunk(data, is_full=is_full)):
        missing.add(rows, is_full=is_full)
    return missing.matrix[:, :n_free] if is_full else missing.blocks


def _row_tables(likelihood: MarginalLikelihood, parameters: Parameters, *, n_parameters: int) -> tuple[Any, ...]:
    """Lookup tables of the projections: answers, log population, scores of the answers and of the population."""
    nodes = likelihood.nodes
    sd = np.exp(parameters.log_sd)[:, None]
    z = (nodes[None, :] - parameters.mean[:, None]) / sd
    score = _score_tables(parameters, nodes, n_parameters=n_parameters)
    return (
        *answer_tables(parameters.a, parameters.d, c=parameters.c, nodes=nodes),
        in_blocks(likelihood.log_population(parameters), MASKED_LOG_PRIOR),
        in_blocks(score.astype(np.float32)),
        in_blocks(np.stack([z / sd, z**2], axis=1).astype(np.float32)),
    )


def _n_polynomials(data: ResponseData, n_parameters: int) -> int:
    """Number of polynomials, a multiple of ``POLYNOMIALS``: wide posteriors and guessing need more.

    With five answers and guessing, 8 miss 3 % of a standard error and 24 less than 0.001 %. With twenty answers and no
    guessing, 8 miss 0.001 %. tests/stats/irt/test_standard_errors.py compares with numerical differences.
    """
    has_guessing, has_few = n_parameters == 3, data.n_answers < _FEW_ANSWERS * data.n_rows
    return louis_kernels.POLYNOMIALS * (1 + has_few + has_guessing)


def _answers_per_chunk(data: ResponseData, *, is_full: bool) -> int:
    """Enough answers to revisit a row of the matrix while it is in the cache."""
    if not is_full:
        return _MIN_CHUNK
    mean_length = max(data.n_answers / data.n_rows, 1.0)
    return int(np.clip(2.0 * data.n_items**2 / mean_length, _MIN_CHUNK, _MAX_CHUNK))


def _score_tables(parameters: Parameters, nodes: Floats, *, n_parameters: int) -> Floats:
    """(2 · n_items, n_parameters, nodes) ∂ log P(x | θ) = (x − p) ∂p / (p (1 − p)), by answer code."""
    _, p, by_z, by_gamma = curve_derivatives(parameters, nodes)
    score = np.empty((2 * len(parameters.a), n_parameters, len(nodes)))
    for x in (0, 1):
        residual = (x - p) / (p * (1.0 - p))
        score[x::2, 1] = residual * by_z
        score[x::2, 0] = score[x::2, 1] * nodes
        if n_parameters == 3:
            score[x::2, 2] = residual * by_gamma
    return score


def _complete_information(likelihood: MarginalLikelihood, optimum: Optimum) -> Floats:
    """(n_items, 3, 3) minus the exact Hessian of the expected complete-data log-likelihood and log prior."""
    parameters, value = optimum.parameters, optimum.evaluation
    _, _, prior_hessian = evaluate_priors(likelihood.priors, parameters.a, d=parameters.d, gamma=parameters.gamma)
    nodes = likelihood.nodes
    curve, p, by_z, by_gamma = curve_derivatives(parameters, nodes)
    if len(value.counts) == len(parameters.a):
        zz = value.counts * by_z
        zg = gg = np.zeros_like(zz)
    else:
        wrong, right = value.counts[0::2], value.counts[1::2]
        c = parameters.c[:, None]
        first = right / p - wrong / (1.0 - p)
        second = right / p**2 + wrong / (1.0 - p) ** 2
        by_zz = by_z * (1.0 - 2.0 * curve)
        by_gg = by_gamma * (1.0 - 2.0 * c)
        by_zg = -curve * (1.0 - curve) * c * (1.0 - c)
        zz = second * by_z**2 - first * by_zz
        zg = second * by_z * by_gamma - first * by_zg
        gg = second * by_gamma**2 - first * by_gg
    information = np.zeros((len(parameters.a), 3, 3))
    information[:, 0, 0] = (zz * nodes**2).sum(axis=1)
    information[:, 0, 1] = information[:, 1, 0] = (zz * nodes).sum(axis=1)
    information[:, 1, 1] = zz.sum(axis=1)
    information[:, 0, 2] = information[:, 2, 0] = (zg * nodes).sum(axis=1)
    information[:, 1, 2] = information[:, 2, 1] = zg.sum(axis=1)
    information[:, 2, 2] = gg.sum(axis=1)
    return information - prior_hessian
