"""Scores of predicted probabilities (P, S, the next answer given an ability) against outcomes.

Brier = mean (p - y)²                               (Brier 1950)
log score = -mean [y log p + (1 - y) log(1 - p)]    in nats
logit P(y) = a + b logit p                          calibration slope b; intercept a at b = 1 (Cox 1958)
ICI = mean |p - smooth calibration curve(p)|        (Austin & Steyerberg 2019, Stat. Med. 38:4051)
AUC = P(p of an event > p of a non-event)           with the standard error of DeLong et al. (1988)
skill = 1 - score / score of the baseline           above 0 is better than the baseline
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy import stats

from seedtest_analytics.stats.checks import codes as label_codes
from seedtest_analytics.stats.checks import count, flags, numbers
from seedtest_analytics.stats.splines import spline_basis
from seedtest_analytics.stats.verification.logistic import CLIP, clipped_logit, fit_logistic

Floats = NDArray[np.float64]
Z95 = 1.959963984540054
CURVE_RIDGE = 1e-7
"""Ridge of the smooth calibration curve, whose spline may have columns that are nearly alike."""


@dataclass(frozen=True)
class ReliabilityCurve:
    """Predictions in B groups of equal size, ascending; the limits are Wilson's at 95 %."""

    predicted: Floats
    observed: Floats
    observed_lower: Floats
    observed_upper: Floats
    n: NDArray[np.int64]


@dataclass(frozen=True)
class ProbabilityScore:
    """Scores of (n,) probabilities; NaN where a score is not defined, with the reason in ``notes``.

    ``brier_gain`` is the baseline's mean Brier loss minus the model's (positive: the model is better), and ``auc_gain`` the
    model's AUC minus the baseline's, with standard errors by cluster where clusters were given. ``deviation_z`` is the
    standardised difference of observed and expected events.
    """

    n: int
    n_events: int
    observed_share: float
    predicted_share: float
    brier: float
    brier_baseline: float
    brier_skill: float
    brier_gain: float
    brier_gain_se: float
    log_score: float
    log_score_baseline: float
    log_skill: float
    calibration_intercept: float
    calibration_intercept_se: float
    calibration_slope: float
    calibration_slope_se: float
    ici: float
    auc: float
    auc_se: float
    auc_baseline: float
    auc_gain: float
    auc_gain_se: float
    deviation_z: float
    curve: ReliabilityCurve
    baseline: str
    notes: tuple[str, ...]


def score_probabilities(
    probability: ArrayLike,
    outcome: ArrayLike,
    *,
    baseline: ArrayLike | None = None,
    clusters: ArrayLike | None = None,
    n_groups: int = 10,
) -> ProbabilityScore:
    """Score (n,) probabilities against (n,) outcomes of 0 or 1.

    Args:
        probability: predictions within 0..1.
        outcome: 0 or 1 each.
        baseline: a probability, or one for each row, that was available without the model. None takes the share of
            these outcomes, which was not known in advance: the hardest constant to beat.
        clusters: (n,) codes of dependent rows (a student's weeks), for the standard errors.
        n_groups: points of the reliability curve.

    Raises:
        ValueError: without rows, for unequal lengths, a probability or baseline outside 0..1, an outcome other than 0
            and 1, or a missing cluster.
    """
    p, y = _checked(probability, outcome)
    codes = None if clusters is None else label_codes(clusters, "cluster", length=len(y))[0].astype(np.int64)
    count(n_groups, "n_groups", low=1, high=10_000)
    share = float(y.mean())
    reference = np.full(len(y), share) if baseline is None else _baseline(baseline, y.shape)
    losses, losses_baseline = (p - y) ** 2, (reference - y) ** 2
    log_loss, log_loss_baseline = _log_loss(p, y), _log_loss(reference, y)
    gain = losses_baseline - losses
    notes: list[str] = []
    intercept, slope = _recalibration(p, y, codes=codes, notes=notes)
    spread = np.sqrt(float((p * (1.0 - p)).sum()))
    area, area_se = auc(p, y)
    return ProbabilityScore(
        n=len(y),
        n_events=int(y.sum()),
        observed_share=share,
        predicted_share=float(p.mean()),
        brier=float(losses.mean()),
        brier_baseline=float(losses_baseline.mean()),
        brier_skill=_skill(float(losses.mean()), float(losses_baseline.mean())),
        brier_gain=float(gain.mean()),
        brier_gain_se=_clustered_se(gain, codes),
        log_score=log_loss,
        log_score_baseline=log_loss_baseline,
        log_skill=_skill(log_loss, log_loss_baseline),
        calibration_intercept=intercept[0],
        calibration_intercept_se=intercept[1],
        calibration_slope=slope[0],
        calibration_slope_se=slope[1],
        ici=_ici(p, y) if 0.0 < share < 1.0 else float("nan"),
        auc=area,
        auc_se=area_se,
        **_auc_gain(p, reference, y=y, codes=codes),
        deviation_z=float((y - p).sum() / spread) if spread > 0 else float("nan"),
        curve=reliability_curve(p, y, n_groups=n_groups),
        baseline="share of these outcomes" if baseline is None else "given",
        notes=tuple(notes),
    )


def _checked(probability: ArrayLike, outcome: ArrayLike) -> tuple[Floats, Floats]:
    p = numbers(probability, "probability", low=0.0, high=1.0).astype(np.float64)
    y = numbers(outcome, "outcome").astype(np.float64)
    if len(p) == 0 or p.shape != y.shape:
        raise ValueError(f"{p.shape} probabilities for {y.shape} outcomes: give one for each, and at least one")
    bad = np.flatnonzero(~((p >= 0) & (p <= 1)) | ((y != 0) & (y != 1)))
    if len(bad):
        raise ValueError(
            f"{len(bad)} rows need a probability within 0..1 and an outcome of 0 or 1: rows {bad[:5].tolist()}"
        )
    return p, y


def _baseline(baseline: ArrayLike, shape: tuple[int, ...]) -> Floats:
    given = numbers(baseline, "baseline", ndim=None, low=0.0, high=1.0)
    if given.shape not in ((), shape):
        raise ValueError(f"baseline has shape {given.shape}, need one number or {shape}")
    return np.broadcast_to(given, shape)


def _log_loss(p: Floats, y: Floats) -> float:
    inside = np.clip(p, CLIP, 1.0 - CLIP)
    return float(-(y * np.log(inside) + (1.0 - y) * np.log1p(-inside)).mean())


def _auc_gain(p: Floats, reference: Floats, *, y: Floats, codes: NDArray[np.int64] | None) -> dict[str, float]:
    area, influence = auc_influence(p, y)
    base, of_base = auc_influence(reference, y)
    difference = influence - of_base
    sums = difference if codes is None else np.bincount(codes, weights=difference)
    error = float(np.sqrt((sums**2).sum()))
    return {"auc_baseline": base, "auc_gain": area - base, "auc_gain_se": error}


def _skill(loss: float, baseline: float) -> float:
    return 1.0 - loss / baseline if baseline > 0 else float("nan")


def _clustered_se(values: Floats, codes: NDArray[np.int64] | None) -> float:
    deviations = values - values.mean()
    sums = deviations if codes is None else np.bincount(codes, weights=deviations)
    return float(np.sqrt((sums**2).sum()) / len(values))


def _recalibration(
    p: Floats, y: Floats, *, codes: NDArray[np.int64] | None, notes: list[str]
) -> tuple[tuple[float, float], tuple[float, float]]:
    """(intercept, se) at slope 1 and (slope, se)."""
    unknown = (float("nan"), float("nan"))
    if y.min() == y.max():
        notes.append("all outcomes are alike: no calibration line and no AUC")
        return unknown, unknown
    logit = clipped_logit(p)
    ones = np.ones((len(y), 1))
    large = fit_logistic(ones, y, offset=logit, clusters=codes)
    intercept = (float(large.coefficients[0]), float(np.sqrt(large.covariance[0, 0])))
    if np.ptp(logit) < 1e-9:
        notes.append("all predictions are alike: no calibration slope")
        return intercept, unknown
    line = fit_logistic(np.column_stack([ones, logit]), y, offset=0.0, clusters=codes)
    happened, not_happened = logit[y == 1], logit[y == 0]
    is_separated = happened.min() >= not_happened.max() or happened.max() <= not_happened.min()
    if is_separated or not line.has_converged:
        notes.append("the predictions separate the outcomes: no calibration slope")
        return intercept, unknown
    return intercept, (float(line.coefficients[1]), float(np.sqrt(line.covariance[1, 1])))


def _ici(p: Floats, y: Floats) -> float:
    """Mean |p - smooth curve(p)|; the curve is a logistic regression on ``calibration_basis``."""
    basis = calibration_basis(p)
    linear = basis @ fit_logistic(basis, y, ridge=CURVE_RIDGE).coefficients
    return float(np.abs(p - 1.0 / (1.0 + np.exp(-linear))).mean())


def calibration_basis(p: Floats) -> Floats:
    """(n, K) restricted cubic spline of the logit of (n,) probabilities.

    Five knots at Harrell's quantiles (5, 27.5, 50, 72.5, 95 %); fewer where predictions coincide, a line below 3.
    """
    logit = clipped_logit(p)
    return spline_basis(logit, np.unique(np.round(np.quantile(logit, [0.05, 0.275, 0.5, 0.725, 0.95]), 9)))


def auc(score: ArrayLike, outcome: ArrayLike) -> tuple[float, float]:
    """Area under the ROC curve and its standard error (DeLong; midranks, so ties count one half).

    NaN where all outcomes are alike.

    Raises:
        ValueError: for missing or infinite scores, outcomes other than 0 and 1, or unequal lengths.
    """
    area, influence = auc_influence(score, outcome)
    positive = flags(outcome, "outcome", length=len(influence))
    m, n = int(positive.sum()), int((~positive).sum())
    if min(m, n) < 2:
        return area, float("nan")
    of_positive, of_negative = (influence[positive] ** 2).sum(), (influence[~positive] ** 2).sum()
    return area, float(np.sqrt(of_positive * m / (m - 1) + of_negative * n / (n - 1)))


def auc_influence(score: ArrayLike, outcome: ArrayLike) -> tuple[float, Floats]:
    """AUC and (n,) what each row adds to its error (DeLong's components); NaN where all outcomes are alike.

    Raises:
        ValueError: for missing or infinite scores, outcomes other than 0 and 1, or unequal lengths.
    """
    score = numbers(score, "score")
    positive = flags(outcome, "outcome", length=len(score))
    m, n = int(positive.sum()), int((~positive).sum())
    if m == 0 or n == 0:
        return float("nan"), np.full(len(score), np.nan)
    ranks = stats.rankdata(score)
    area = (ranks[positive].sum() - m * (m + 1) / 2) / (m * n)
    influence = np.empty(len(score))
    influence[positive] = ((ranks[positive] - stats.rankdata(score[positive])) / n - area) / m
    influence[~positive] = (1.0 - (ranks[~positive] - stats.rankdata(score[~positive])) / m - area) / n
    return float(area), influence


def clustered_auc(score: ArrayLike, outcome: ArrayLike, *, clusters: ArrayLike) -> tuple[float, float]:
    """AUC and its standard error where the rows of one cluster depend on each other (Obuchowski 1997).

    Raises:
        ValueError: as :func:`auc_influence`, or for a missing cluster.
    """
    area, influence = auc_influence(score, outcome)
    codes, n = label_codes(clusters, "cluster", length=len(influence))
    sums = np.bincount(codes, weights=influence, minlength=n)
    return area, float(np.sqrt(n / (n - 1) * (sums**2).sum())) if n > 1 else float("nan")


def reliability_curve(p: ArrayLike, y: ArrayLike, *, n_groups: int = 10) -> ReliabilityCurve:
    """Mean prediction and observed share in groups of equal size; equal predictions stay in one group.

    Raises:
        ValueError: without rows, for a probability outside 0..1, an outcome other than 0 and 1, or unequal lengths.
    """
    p, y = _checked(p, y)
    count(n_groups, "n_groups", low=1, high=10_000)
    edges = np.unique(np.quantile(p, np.linspace(0, 1, n_groups + 1)[1:-1]))
    group = np.searchsorted(edges, p, side="left")
    n = np.bincount(group, minlength=len(edges) + 1)
    kept = n > 0
    sizes = n[kept].astype(np.float64)
    predicted = np.bincount(group, weights=p, minlength=len(n))[kept] / sizes
    observed = np.bincount(group, weights=y, minlength=len(n))[kept] / sizes
    lower, upper = wilson_interval(observed, sizes)
    return ReliabilityCurve(predicted, observed, observed_lower=lower, observed_upper=upper, n=n[kept].astype(np.int64))


def wilson_interval(share: ArrayLike, n: ArrayLike) -> tuple[Floats, Floats]:
    """Wilson's 95 % limits of a share of ``n`` (Wilson 1927), within 0..1 and of positive width.

    Raises:
        ValueError: for a share outside 0..1, or ``n`` of 0 or less.
    """
    s = numbers(share, "share", ndim=None, low=-1e-9, high=1.0 + 1e-9)
    size = numbers(n, "n", ndim=None, low=np.finfo(float).tiny)
    if size.shape not in ((), s.shape):
        raise ValueError(f"n has shape {size.shape}, need one number or {s.shape}")
    s = np.clip(s, 0.0, 1.0)
    centre = (s + Z95**2 / (2 * size)) / (1 + Z95**2 / size)
    half = Z95 * np.sqrt(s * (1 - s) / size + Z95**2 / (4 * size**2)) / (1 + Z95**2 / size)
    return np.asarray(np.maximum(centre - half, 0.0)), np.asarray(np.minimum(centre + half, 1.0))
