"""Item fit for sparse answers, person fit and test information."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from seedtest_analytics.stats.irt.data import ResponseData, row_blocks
from seedtest_analytics.stats.irt.model import ItemParameters, information, log_tables, logistic
from seedtest_analytics.stats.irt.multiplicity import Adjustment, adjust
from seedtest_analytics.stats.irt.result import Calibration
from seedtest_analytics.stats.irt.scoring import Scores, score
from seedtest_analytics.stats.irt.threads import balanced_rows, run_lanes

Floats = NDArray[np.float64]

_LANES = 16
_N_BINS = 10
_MIN_VARIANCE = 2.0
"""A cell whose answers have less variance than this together joins its neighbour: its z would not be normal."""
_INVERSE_LIMIT = 1e12
_PERSON_BLOCK = 2_000_000
_FREE_BY_MODEL = {"Rasch": 1, "2PL": 2, "3PL": 3}


@dataclass(frozen=True, eq=False)
class ItemFit:
    """Fit of each item, all (n_items,) in the order of ``item_ids``.

    ``chi_square`` with ``df`` and ``p``; ``p_adjusted`` over the items. ``rmsd``: root mean square distance
    of the observed from the predicted curve, sampling noise taken off (probability scale): the size of a
    misfit, where the test only says whether there is one. ``is_misfit``: significant and rmsd of 0.05 or more.
    ``n``: answers used, those of rows with at least one other answer.
    """

    item_ids: NDArray[Any]
    n: NDArray[np.int64]
    chi_square: Floats
    df: NDArray[np.int64]
    p: Floats
    p_adjusted: Floats
    rmsd: Floats
    is_misfit: NDArray[np.bool_]
    adjustment: Adjustment


def item_fit(
    data: ResponseData,
    calibration: Calibration,
    *,
    adjustment: Adjustment = "benjamini-hochberg",
    alpha: float = 0.05,
    rmsd_threshold: float = 0.05,
    n_bins: int = _N_BINS,
) -> ItemFit:
    """Test each item by the answers that the model predicts from the rows' other answers.

    Given the other answers of a row, an answer is Bernoulli with the posterior predictive probability of them;
    answers are binned by the ability that the others give, and residuals summed. Like S-X² (Orlando & Thissen
    2000) it conditions on observed answers and not on an estimate that contains the tested one, but needs no
    complete test and no number-correct score. Case weights are not used. df: bins less estimated parameters.
    """
    from seedtest_analytics.stats.irt import fit_kernels
    from seedtest_analytics.stats.irt.kernels import MASKED_LOG_PRIOR, in_blocks

    items = calibration.parameters
    position = items.positions(data.item_ids)
    used = data.with_items(position >= 0)
    items = items.take(position[position >= 0])
    nodes = calibration.quadrature.nodes
    log_prior = -0.5 * ((nodes - calibration.group_mean[:, None]) / calibration.group_sd[:, None]) ** 2
    right = np.clip(_curves(items, nodes), 1.0 / _INVERSE_LIMIT, 1.0 - 1.0 / _INVERSE_LIMIT)
    inverse = np.empty((2 * len(items), len(nodes)))
    inverse[0::2], inverse[1::2] = 1.0 / (1.0 - right), 1.0 / right
    table, shift, slope, intercept = log_tables(items.a, items.intercept, c=items.c, nodes=nodes)
    shared = (
        used.row_start,
        used.answer_code,
        used.groups(),
        in_blocks(table),
        shift,
        slope,
        intercept,
        in_blocks(nodes),
        in_blocks(log_prior, MASKED_LOG_PRIOR),
        in_blocks(inverse),
        _bin_edges(used, items, calibration=calibration, n_bins=n_bins),
    )
    bounds = balanced_rows(used.row_start, _LANES)

    def work(lane: int) -> Floats:
        sums: Floats = fit_kernels.residual_sums(bounds[lane], bounds[lane + 1], *shared)
        return sums

    sums = np.sum(run_lanes(work, _LANES), axis=0)
    fixed = np.isin(items.item_ids, calibration.items.item_ids[calibration.items.is_anchor])
    n_free = np.where(fixed, 0, _FREE_BY_MODEL[calibration.model])
    return _item_fit(items.item_ids, sums, n_free=n_free, adjustment=adjustment, alpha=alpha, floor=rmsd_threshold)


def _curves(items: ItemParameters, nodes: Floats) -> Floats:
    curve = logistic(items.a[:, None] * nodes + items.intercept[:, None])
    return np.asarray(items.c[:, None] + (1.0 - items.c[:, None]) * curve)


def _bin_edges(used: ResponseData, items: ItemParameters, *, calibration: Calibration, n_bins: int) -> Floats:
    """(n_bins - 1,) quantiles of the abilities, each row counted once an answer."""
    group = used.groups()
    scores = score(
        used,
        items,
        prior_mean=calibration.group_mean[group],
        prior_sd=calibration.group_sd[group],
        quadrature=calibration.quadrature,
    )
    order = np.argsort(scores.theta)
    cumulative = np.cumsum(used.n_answers_by_row[order])
    targets = np.arange(1, n_bins) / n_bins * cumulative[-1]
    return np.asarray(scores.theta[order][np.searchsorted(cumulative, targets)])


def _item_fit(
    item_ids: NDArray[Any],
    sums: Floats,
    *,
    n_free: NDArray[np.int64],
    adjustment: Adjustment,
    alpha: float,
    floor: float,
) -> ItemFit:
    from scipy.stats import chi2

    n_items = len(item_ids)
    chi_square, df, rmsd = (
        np.full(n_items, np.nan),
        np.zeros(n_items, dtype=np.int64),
        np.full(n_items, np.nan),
    )
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
    p_adjusted = adjust(p, adjustment)
    is_misfit = np.nan_to_num(p_adjusted, nan=1.0) < alpha
    is_misfit &= np.nan_to_num(rmsd) >= floor
    return ItemFit(
        item_ids,
        sums[:, :, 0].sum(axis=1).astype(np.int64),
        chi_square=chi_square,
        df=df,
        p=p,
        p_adjusted=p_adjusted,
        rmsd=rmsd,
        is_misfit=is_misfit,
        adjustment=adjustment,
    )


def _merged(cells: Floats) -> Floats:
    """(bins, 4) neighbouring cells joined until each has enough variance for a normal residual."""
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
    """Fit of each row, all (n_rows,): standardised log-likelihood ``l_z`` (Drasgow, Levine & Williams 1985) and
    ``l_z_star``, corrected for the estimated ability (Snijders 2001; for the posterior mode Magis et al. 2012).
    Negative is misfit: answers less likely than the ability explains. ``p``: lower tail of l_z_star. NaN for
    rows with fewer than ``min_answers`` answers.
    """

    row_keys: tuple[NDArray[Any], ...]
    l_z: Floats
    l_z_star: Floats
    p: Floats
    n_answers: NDArray[np.int64]
    min_answers: int


def person_fit(
    data: ResponseData,
    items: ItemParameters,
    *,
    prior_mean: ArrayLike = 0.0,
    prior_sd: ArrayLike = 1.0,
    min_answers: int = 5,
    modes: Scores | None = None,
) -> PersonFit:
    """l_z and l_z* of each row at its posterior mode; ``modes`` of ``score(method="MAP")`` are reused if given."""
    from scipy.special import ndtr

    at = modes or score(data, items, prior_mean=prior_mean, prior_sd=prior_sd, method="MAP")
    position = items.positions(data.item_ids)
    used = data.with_items(position >= 0)
    items = items.take(position[position >= 0])
    mean = np.broadcast_to(np.asarray(prior_mean, dtype=np.float64), (data.n_rows,))
    sd = np.broadcast_to(np.asarray(prior_sd, dtype=np.float64), (data.n_rows,))
    l_z, l_z_star = np.full(data.n_rows, np.nan), np.full(data.n_rows, np.nan)
    for rows in row_blocks(used.row_start, _PERSON_BLOCK):
        pull = (mean[rows] - at.theta[rows]) / sd[rows] ** 2
        l_z[rows], l_z_star[rows] = _person_block(used, items, theta=at.theta, rows=rows, pull=pull)
    few = used.n_answers_by_row < min_answers
    l_z[few], l_z_star[few] = np.nan, np.nan
    return PersonFit(
        data.row_keys,
        l_z,
        l_z_star=l_z_star,
        p=np.asarray(ndtr(l_z_star)),
        n_answers=used.n_answers_by_row,
        min_answers=min_answers,
    )


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
        # Snijders' projection: the part of the weights that estimating θ uses up.
        share = total(slope * weight) / total(slope**2 / variance)
        corrected = weight - share[row] * slope / variance
        l_z_star = (deviation + share * pull) / np.sqrt(total(variance * corrected**2))
    return l_z, l_z_star


@dataclass(frozen=True, eq=False)
class InformationCurve:
    """Information of all items together at ``theta`` (n,), and the standard error 1/sqrt(information)."""

    theta: Floats
    information: Floats
    standard_error: Floats


def information_at(items: ItemParameters, theta: ArrayLike | None = None) -> InformationCurve:
    """Test information on a grid, [-4, 4] in steps of 0.1 unless given."""
    at = np.linspace(-4.0, 4.0, 81) if theta is None else np.asarray(theta, dtype=np.float64)
    total = information(at, items).sum(axis=0)
    with np.errstate(divide="ignore"):
        return InformationCurve(at, total, standard_error=1.0 / np.sqrt(total))
