"""Item fit for sparse answers, and person fit."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from seedtest_analytics.stats.irt.data import ResponseData, row_blocks
from seedtest_analytics.stats.irt.grid_tables import MASKED_LOG_PRIOR, answer_tables, in_blocks
from seedtest_analytics.stats.irt.model import ItemParameters, logistic
from seedtest_analytics.stats.irt.multiplicity import adjust
from seedtest_analytics.stats.irt.result import Calibration
from seedtest_analytics.stats.irt.scoring import answers_to, by_row, score
from seedtest_analytics.stats.irt.threads import balanced_rows, run_lanes

Floats = NDArray[np.float64]

_LANES = 16
_N_BINS = 10
_MIN_VARIANCE = 2.0
"""A cell joins its neighbour if its answers have less variance than this together, as its z would not be normal."""
_INVERSE_LIMIT = 1e12
_PERSON_BLOCK = 2_000_000
_FREE_BY_MODEL = {"Rasch": 1, "2PL": 2, "3PL": 3}
_ALPHA, _MIN_RMSD = 0.05, 0.05
_MIN_ANSWERS = 5


@dataclass(frozen=True, eq=False)
class ItemFit:
    """Fit of each item, all (n_items,) in the order of ``item_ids``.

    ``n``: answers used, those of rows with at least one other answer. ``p`` of ``chi_square`` with ``df``, and
    ``p_adjusted`` over the items. ``rmsd``: root mean square distance of the observed from the predicted curve
    (probability scale), without sampling noise. It measures the size of a misfit, where the test only detects it.
    ``is_misfit``: adjusted p below 0.05 and rmsd of at least 0.05.
    """

    item_ids: NDArray[Any]
    n: NDArray[np.int64]
    chi_square: Floats
    df: NDArray[np.int64]
    p: Floats
    p_adjusted: Floats
    rmsd: Floats
    is_misfit: NDArray[np.bool_]


def item_fit(data: ResponseData, calibration: Calibration) -> ItemFit:
    """Test each item against the predictions from the rows' other answers.

    Given a row's other answers y, x ~ Bernoulli(p) with p = ∫ P(1 | θ) p(θ | y) dθ. Answers are binned by E(θ | y), and
    χ² = Σ_bins (Σ x − Σ p)² / Σ p (1 − p), with df = bins − estimated parameters.

    Like S-X² (Orlando & Thissen 2000) it conditions on observed answers and not on an ability estimated from the tested
    answer, but it needs no complete test and no number-correct score. Case weights are not used.
    """
    from seedtest_analytics.stats.irt import fit_kernels

    used, items = answers_to(data, calibration.parameters)
    nodes = calibration.quadrature.nodes
    log_prior = -0.5 * ((nodes - calibration.group_mean[:, None]) / calibration.group_sd[:, None]) ** 2
    curve = logistic(items.a[:, None] * nodes + items.intercept[:, None])
    right = items.c[:, None] + (1.0 - items.c[:, None]) * curve
    right = np.clip(right, 1.0 / _INVERSE_LIMIT, 1.0 - 1.0 / _INVERSE_LIMIT)
    inverse = np.empty((2 * len(items), len(nodes)))
    inverse[0::2], inverse[1::2] = 1.0 / (1.0 - right), 1.0 / right
    shared = (
        used.row_start,
        used.answer_code,
        used.groups(),
        *answer_tables(items.a, items.intercept, c=items.c, nodes=nodes),
        in_blocks(log_prior, MASKED_LOG_PRIOR),
        in_blocks(inverse),
        _bin_edges(used, items, calibration=calibration),
    )
    bounds = balanced_rows(used.row_start, _LANES)

    def work(lane: int) -> Floats:
        sums: Floats = fit_kernels.residual_sums(bounds[lane], bounds[lane + 1], *shared)
        return sums

    sums = np.sum(run_lanes(work, _LANES), axis=0)
    fixed = np.isin(items.item_ids, calibration.items.item_ids[calibration.items.is_anchor])
    return _item_fit(items.item_ids, sums, n_free=np.where(fixed, 0, _FREE_BY_MODEL[calibration.model]))


def _bin_edges(used: ResponseData, items: ItemParameters, *, calibration: Calibration) -> Floats:
    """(_N_BINS - 1,) quantiles of the abilities, each row weighted by its number of answers."""
    group = used.groups()
    mean, sd = calibration.group_mean[group], calibration.group_sd[group]
    theta = score(used, items, prior_mean=mean, prior_sd=sd, quadrature=calibration.quadrature).theta
    order = np.argsort(theta)
    cumulative = np.cumsum(used.n_answers_by_row[order])
    targets = np.arange(1, _N_BINS) / _N_BINS * cumulative[-1]
    return np.asarray(theta[order][np.searchsorted(cumulative, targets)])


def _item_fit(item_ids: NDArray[Any], sums: Floats, *, n_free: NDArray[np.int64]) -> ItemFit:
    from scipy.stats import chi2

    n_items = len(item_ids)
    chi_square, rmsd, df = np.full(n_items, np.nan), np.full(n_items, np.nan), np.zeros(n_items, dtype=np.int64)
    for i in range(n_items):
        cells = _merged(sums[i])
        n, observed, expected, variance = cells.T
        residual = observed - expected
        df[i] = len(cells) - n_free[i]
        if df[i] > 0:
            chi_square[i] = float((residual**2 / variance).sum())
        if n.sum() > 0:
            excess = float(((residual**2 - variance) / np.maximum(n, 1.0)).sum())
            rmsd[i] = np.sqrt(max(excess, 0.0) / n.sum())
    with np.errstate(invalid="ignore"):
        p = np.where(df > 0, chi2.sf(chi_square, np.maximum(df, 1)), np.nan)
    p_adjusted = adjust(p)
    is_misfit = (np.nan_to_num(p_adjusted, nan=1.0) < _ALPHA) & (np.nan_to_num(rmsd) >= _MIN_RMSD)
    return ItemFit(
        item_ids,
        sums[:, :, 0].sum(axis=1).astype(np.int64),
        chi_square=chi_square,
        df=df,
        p=p,
        p_adjusted=p_adjusted,
        rmsd=rmsd,
        is_misfit=is_misfit,
    )


def _merged(cells: Floats) -> Floats:
    """(bins, 4) neighbouring cells, joined until each has enough variance for a normal residual."""
    joined: list[Floats] = []
    current = np.zeros(4)
    for cell in cells:
        current = current + cell
        if current[3] >= _MIN_VARIANCE:
            joined.append(current)
            current = np.zeros(4)
    if joined:
        joined[-1] = joined[-1] + current
    return np.array(joined).reshape(-1, 4)


@dataclass(frozen=True, eq=False)
class PersonFit:
    """Fit of each row, all (n_rows,): the standardised log-likelihood l_z = (ℓ − E ℓ) / SD ℓ (Drasgow, Levine & Williams
    1985), ``l_z_star``, which corrects it for the estimated ability (Snijders 2001; for the posterior mode Magis et al.
    2012), and its lower tail ``p``. Negative values are misfit: answers less likely than the ability explains.
    """

    l_z: Floats
    l_z_star: Floats
    p: Floats


def person_fit(
    data: ResponseData, items: ItemParameters, *, prior_mean: ArrayLike = 0.0, prior_sd: ArrayLike = 1.0
) -> PersonFit:
    """l_z and l_z* of each row at its posterior mode; NaN for rows with fewer than five answers.

    Raises IrtDataError for priors of another shape or not finite, or an SD ≤ 0.
    """
    from scipy.special import ndtr

    theta = score(data, items, prior_mean=prior_mean, prior_sd=prior_sd, method="MAP").theta
    used, items = answers_to(data, items)
    mean, sd = by_row(prior_mean, "prior mean", n_rows=data.n_rows), by_row(prior_sd, "prior SD", n_rows=data.n_rows)
    l_z, l_z_star = np.full(data.n_rows, np.nan), np.full(data.n_rows, np.nan)
    for rows in row_blocks(used.row_start, _PERSON_BLOCK):
        pull = (mean[rows] - theta[rows]) / sd[rows] ** 2
        l_z[rows], l_z_star[rows] = _person_block(used, items, theta=theta, rows=rows, pull=pull)
    few = used.n_answers_by_row < _MIN_ANSWERS
    l_z[few], l_z_star[few] = np.nan, np.nan
    return PersonFit(l_z, l_z_star, p=np.asarray(ndtr(l_z_star)))


def _person_block(
    used: ResponseData, items: ItemParameters, *, theta: Floats, rows: slice, pull: Floats
) -> tuple[Floats, Floats]:
    n_rows = rows.stop - rows.start
    lengths = used.n_answers_by_row[rows]
    row = np.repeat(np.arange(n_rows), lengths)
    code = used.answer_code[used.row_start[rows.start] : used.row_start[rows.stop]]
    item = code >> 1
    c = items.c[item]
    curve = logistic(items.a[item] * (np.repeat(theta[rows], lengths) - items.b[item]))
    p = np.clip(c + (1.0 - c) * curve, 1e-12, 1.0 - 1e-12)
    slope = (1.0 - c) * items.a[item] * curve * (1.0 - curve)
    weight = np.log(p / (1.0 - p))
    variance = p * (1.0 - p)

    def total(values: Floats) -> Floats:
        return np.asarray(np.bincount(row, weights=values, minlength=n_rows), dtype=np.float64)

    deviation = total(((code & 1) - p) * weight)
    with np.errstate(divide="ignore", invalid="ignore"):
        l_z = deviation / np.sqrt(total(variance * weight**2))
        # Snijders' projection removes the part of the weights that the estimation of θ uses up.
        share = total(slope * weight) / total(slope**2 / variance)
        corrected = weight - share[row] * slope / variance
        l_z_star = (deviation + share * pull) / np.sqrt(total(variance * corrected**2))
    return l_z, l_z_star
