"""What past outcomes say about a predicted probability: keep it, recalibrate it, replace it by the base rate, or withhold it.

With x = logit p of the model, in each week w:

logit P(y) = a + u_w + (b + v_w) x,   u_w ~ N(0, s_a²), v_w ~ N(0, s_b²)

a and b are estimated by maximum likelihood over all weeks (Cox 1958), s_a² and s_b² by moments of the weeks' deviations
(DerSimonian & Laird 1986), with the prior's variance counting as two weeks. Overlapping outcome windows repeat each other,
so the covariance is multiplied by the number of windows that overlap. The correction is shrunk by the evidence against
(0, 1), k = max(0, 1 - 2 / W) with Wald's W (van Houwelingen & le Cessie 1990; Steyerberg et al. 2004, Stat. Med. 23:2567):

published: a* = k a,  b* = 1 + k (b - 1)

k = 0 keeps the model's number exactly. Intervals add the variance of (a, b), that of a new week, and the model's own.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy import stats
from scipy.special import expit

from seedtest_analytics.stats.checks import flags, number, numbers
from seedtest_analytics.stats.verification.calibration_slope import (
    IDENTITY,
    PRIOR_SD,
    PastRows,
    fit_slope,
    probability_of_outcome,
)
from seedtest_analytics.stats.verification.logistic import clipped_logit
from seedtest_analytics.stats.verification.measured import variance_ratio
from seedtest_analytics.stats.verification.verdict_words import AS_IS, BASE_RATE, RECALIBRATED, TOO_EARLY, WITHHELD

Floats = NDArray[np.float64]

NO_FAULT = "past outcomes do not contradict the model"
MIN_EVENTS = 10
"""Outcomes of either kind below which nothing is decided."""
MIN_COMPARED = 3
"""Weeks that must be predictable from earlier ones before the base rate may replace the model."""
PRIOR_WEEK_SD = (0.25, 0.1)
PRIOR_WEEKS = 2.0
"""Weeks that the prior of the spread between weeks counts for."""


@dataclass(frozen=True)
class Decision:
    """What is published of a prediction, and why.

    Attributes:
        verdict: one of ``verdict_words.VERDICTS``.
        reason: a sentence for readers.
        intercept, slope: what is published is expit(intercept + slope · logit p); (0, 1) keeps p.
        covariance: (2, 2) of intercept and slope around what is published, prior included.
        week_variance: variances of intercept and slope between weeks.
        degrees: of freedom of ``week_variance``.
        base: base rate and its 95 % limits for a new week; NaN if too early.
        briers: forward Brier scores of the model, the recalibrated model and the base rate; NaN if not compared.
        n, n_events, n_weeks: evidence.
    """

    verdict: str
    reason: str
    intercept: float
    slope: float
    covariance: tuple[float, float, float]
    week_variance: tuple[float, float]
    degrees: float
    base: tuple[float, float, float]
    briers: tuple[float, float, float]
    n: int
    n_events: int
    n_weeks: int


def decide(
    probability: ArrayLike,
    outcome: ArrayLike,
    *,
    week: ArrayLike,
    error_ratio: ArrayLike = 0.0,
    overlap: float = 1.0,
    reference: ArrayLike | None = None,
    widest: float = 0.8,
) -> Decision:
    """Decide from (n,) past predictions and their outcomes.

    Args:
        probability: the model's own predictions, before any recalibration.
        outcome: 0 or 1 each.
        week: whole number of the week of each prediction.
        error_ratio: standard error of the outcome's measurement divided by the prediction's standard deviation; 0 for an
            outcome that is seen as it is.
        overlap: weeks that an outcome window lasts, from 1.
        reference: a probability for each row that was known without the model. Where it predicts better, the model is
            withheld. Without one the share of all is the reference, and replaces the model.
        widest: a base rate whose 95 % limits for a new week are further apart is withheld.

    Raises:
        ValueError: for a probability outside 0..1, an outcome other than 0 and 1, a week that is not a whole number, a negative
            ratio, an overlap below 1, ``widest`` outside 0..1, or unequal lengths.
    """
    p = numbers(probability, "probability", low=0.0, high=1.0).astype(np.float64)
    y = flags(outcome, "outcome", length=len(p)).astype(np.float64)
    weeks = numbers(week, "week", like=p.shape)
    if (weeks != np.round(weeks)).any():
        raise ValueError("week must be whole numbers")
    ratio = numbers(error_ratio, "error_ratio", ndim=None, low=0.0)
    if ratio.shape not in ((), p.shape):
        raise ValueError(f"error_ratio has shape {ratio.shape}, need one number or {p.shape}")
    other = None if reference is None else numbers(reference, "reference", like=p.shape, low=0.0, high=1.0)
    number(overlap, "overlap", low=1.0)
    number(widest, "widest", low=0.0, high=1.0)
    calendar, code = np.unique(weeks, return_inverse=True)
    events = int(y.sum())
    if min(events, len(y) - events) < MIN_EVENTS:
        return _too_early(len(y), events, n_weeks=len(calendar))
    rows = PastRows(clipped_logit(p), y, code=code, ratio=np.broadcast_to(ratio, p.shape).astype(np.float64))
    return _decided(rows, calendar, reference=other, overlap=overlap, widest=widest)


def decide_errors(
    decision: Decision,
    *,
    probability: ArrayLike,
    outcome: ArrayLike,
    sensitivity: ArrayLike,
    se: ArrayLike,
    student: ArrayLike,
    week: ArrayLike,
    topic: ArrayLike,
) -> Decision:
    """What is published of abilities that ``decision`` does not withhold: their errors, divided by its slope.

    Errors are widened, and never narrowed, by the evidence that the true ones are larger
    (:func:`~seedtest_analytics.stats.verification.measured.variance_ratio`). Probabilities of answers may be too extreme for
    other reasons, such as errors of items, so ``decision`` corrects them first.

    Args:
        decision: of the next answers against the reference.
        probability, outcome: (n,) of the next answers, as :func:`decide` gets them.
        sensitivity: (n,) derivative of the probability by the ability, per logit.
        se, student, week, topic: as for ``variance_ratio``.

    Raises:
        ValueError: for a probability outside 0..1, an outcome other than 0 and 1, or what ``variance_ratio`` refuses.
    """
    p = numbers(probability, "probability", low=0.0, high=1.0).astype(np.float64)
    y = flags(outcome, "outcome", length=len(p)).astype(np.float64)
    x = clipped_logit(p)
    changed = np.asarray(expit(decision.intercept + decision.slope * x))
    steeper = decision.slope * changed * (1.0 - changed) / (expit(x) * expit(-x))
    by_ability = numbers(sensitivity, "sensitivity", like=p.shape)
    ratio, error = variance_ratio(
        y - changed, sensitivity=steeper * by_ability, se=se, student=student, week=week, topic=topic
    )
    kept = max(0.0, 1.0 - 2.0 * (error / (ratio - 1.0)) ** 2) if ratio > 1.0 else 0.0
    if kept == 0.0:
        return replace(decision, verdict=AS_IS, reason=NO_FAULT, intercept=0.0, slope=1.0)
    wider = 1.0 + kept * (ratio - 1.0)
    reason = f"in past weeks abilities were less certain than their errors said; the errors are multiplied by {wider**0.5:.2f}"
    slope_se = error / (2.0 * wider**1.5)
    return replace(
        decision,
        verdict=RECALIBRATED,
        reason=reason,
        intercept=0.0,
        slope=wider**-0.5,
        covariance=(0.0, 0.0, slope_se**2),
    )


def published(
    decision: Decision, probability: ArrayLike, *, lower: ArrayLike | None = None, upper: ArrayLike | None = None
) -> tuple[Floats, Floats, Floats]:
    """(n,) published probability and 95 % limits; NaN where the number is withheld.

    Args:
        decision: what :func:`decide` decided.
        probability: the model's (n,) numbers.
        lower, upper: the model's own 95 % limits, if it has any; they are never narrowed.

    Raises:
        ValueError: for numbers outside 0..1 or shapes that do not match.
    """
    p = numbers(probability, "probability", low=0.0, high=1.0, is_missing_allowed=True).astype(np.float64)
    own = np.zeros_like(p)
    if lower is not None and upper is not None:
        low = numbers(lower, "lower", like=p.shape, low=0.0, high=1.0, is_missing_allowed=True)
        high = numbers(upper, "upper", like=p.shape, low=0.0, high=1.0, is_missing_allowed=True)
        own = np.nan_to_num((clipped_logit(high) - clipped_logit(low)) / 2.0 / stats.norm.ppf(0.975))
    if decision.verdict == WITHHELD:
        return np.full_like(p, np.nan), np.full_like(p, np.nan), np.full_like(p, np.nan)
    if decision.verdict == BASE_RATE:
        share, lowest, highest = (np.where(np.isnan(p), np.nan, value) for value in decision.base)
        return share, lowest, highest
    x = clipped_logit(p)
    centre = decision.intercept + decision.slope * x
    shown = p if (decision.intercept, decision.slope) == (0.0, 1.0) else np.asarray(expit(centre))
    v0, v01, v1 = decision.covariance
    s0, s1 = decision.week_variance
    of_weeks = s0 + s1 * x**2
    variance = of_weeks + v0 + 2.0 * v01 * x + v1 * x**2 + (decision.slope * own) ** 2
    half = _half_width(variance, of_weeks, degrees=decision.degrees)
    return shown, np.minimum(expit(centre - half), shown), np.maximum(expit(centre + half), shown)


def _between_weeks(deviation: Floats, variance: Floats, *, prior_sd: float, overlap: float) -> float:
    """Variance between weeks by moments of the (K,) deviations, the prior counting as ``PRIOR_WEEKS`` weeks."""
    is_known = np.isfinite(variance) & (variance > 0) & (variance < 1e3)
    d, weight = deviation[is_known], 1.0 / variance[is_known]
    found = 0.0
    if len(d) > 1:
        excess = float((weight * (d - np.average(d, weights=weight)) ** 2).sum()) - (len(d) - 1)
        found = max(0.0, excess / float(weight.sum() - (weight**2).sum() / weight.sum()))
    windows = max(0.0, len(d) / overlap - 1.0)
    return (PRIOR_WEEKS * prior_sd**2 + windows * found) / (PRIOR_WEEKS + windows)


def _half_width(variance: Floats, of_weeks: Floats, *, degrees: float) -> Floats:
    """Half of a 95 % interval of which only the part ``of_weeks`` is estimated with few ``degrees`` (Satterthwaite 1946)."""
    freedom = degrees * np.square(variance / of_weeks)
    return np.asarray(stats.t.ppf(0.975, freedom) * np.sqrt(variance))


def _decided(rows: PastRows, calendar: Floats, *, reference: Floats | None, overlap: float, widest: float) -> Decision:
    beta, score, information = fit_slope(rows)
    total = information.sum(axis=0)
    single = np.array([np.linalg.pinv(one) for one in information])
    deviation = np.einsum("kij,kj->ki", single, score)
    slope_variance = np.where(np.linalg.det(information) > 1e-3, single[:, 1, 1], np.nan)
    between = (
        _between_weeks(
            score[:, 0] / np.maximum(information[:, 0, 0], 1e-12),
            1.0 / np.maximum(information[:, 0, 0], 1e-12),
            prior_sd=PRIOR_WEEK_SD[0],
            overlap=overlap,
        ),
        _between_weeks(deviation[:, 1], slope_variance, prior_sd=PRIOR_WEEK_SD[1], overlap=overlap),
    )
    inverse = np.linalg.inv(total)
    spread = np.einsum("kij,jl,klm->im", information, np.diag(between), information)
    covariance = overlap * inverse @ (total + spread) @ inverse
    away = beta - IDENTITY
    wald = float(away @ np.linalg.solve(covariance, away))
    kept = max(0.0, 1.0 - 2.0 / wald) if wald > 0 else 0.0
    corrected = IDENTITY + kept * away
    with_prior = np.linalg.inv(np.linalg.inv(covariance) + np.diag(1.0 / np.square(PRIOR_SD)))
    degrees = PRIOR_WEEKS + max(0.0, len(calendar) / overlap - 1.0)
    base = _base_rate(rows, overlap=overlap, degrees=degrees)
    known = _Known(calendar, beta, score=score, information=information, overlap=overlap)
    briers = _forward_briers(rows, known, reference=reference)
    n, events = len(rows.y), int(rows.y.sum())
    slope_limit = float(beta[1] + stats.t.ppf(0.975, degrees) * np.sqrt(covariance[1, 1]))
    rival = base if reference is None else None
    verdict, reason = _verdict(corrected, kept, base=rival, briers=briers, slope_limit=slope_limit, widest=widest)
    shown = corrected if verdict == RECALIBRATED else IDENTITY
    # What the evidence says with the prior, and what is shown, differ by the shrinkage.
    missed = IDENTITY + with_prior @ np.linalg.solve(covariance, away) - shown
    around = with_prior + np.outer(missed, missed)
    return Decision(
        verdict,
        reason,
        float(shown[0]),
        float(shown[1]),
        (float(around[0, 0]), float(around[0, 1]), float(around[1, 1])),
        between,
        degrees,
        base,
        briers,
        n,
        events,
        len(calendar),
    )


def _verdict(
    corrected: Floats,
    kept: float,
    *,
    base: tuple[float, float, float] | None,
    briers: tuple[float, float, float],
    slope_limit: float,
    widest: float,
) -> tuple[str, str]:
    model, recalibrated, rival = briers
    is_compared = np.isfinite(rival)
    is_recalibrated = kept > 0 and corrected[1] > 0 and not (is_compared and model < recalibrated)
    best = recalibrated if is_recalibrated else model
    why = None
    if is_compared and rival < best:
        what = "the share of all" if base is not None else "what is known without it"
        why = f"in past weeks {what} predicted better than the model (Brier score {rival:.4f} against {best:.4f})"
    elif slope_limit <= 0 or (kept > 0 and corrected[1] <= 0):
        why = "in past weeks the model ranked students no better than chance"
    if why is None:
        return (RECALIBRATED, _fault(corrected)) if is_recalibrated else (AS_IS, NO_FAULT)
    if base is None:
        return WITHHELD, why
    share, low, high = base
    if high - low > widest:
        return WITHHELD, f"{why}, and that share itself may be {low:.0%} to {high:.0%} in a new week"
    return BASE_RATE, f"{why}; every student is shown that share, {share:.0%}"


def _fault(corrected: Floats) -> str:
    """What was wrong with the model, for readers."""
    said = "too extreme" if corrected[1] < 1 else "too timid"
    shift = "" if abs(corrected[0]) < 0.1 else f" and too {'low' if corrected[0] > 0 else 'high'}"
    return (
        f"in past weeks the model's probabilities were {said}{shift}; corrected by slope {corrected[1]:.2f} and shift "
        f"{corrected[0]:+.2f} logits"
    )


def _too_early(n: int, n_events: int, *, n_weeks: int) -> Decision:
    unknown = (float("nan"),) * 3
    return Decision(
        TOO_EARLY,
        f"not yet checked: {n:,} outcomes of past weeks are known, {n_events:,} of them events; {MIN_EVENTS} of either kind "
        "are needed",
        0.0,
        1.0,
        (PRIOR_SD[0] ** 2, 0.0, PRIOR_SD[1] ** 2),
        (PRIOR_WEEK_SD[0] ** 2, PRIOR_WEEK_SD[1] ** 2),
        PRIOR_WEEKS,
        unknown,
        unknown,
        n,
        n_events,
        n_weeks,
    )


def _base_rate(rows: PastRows, *, overlap: float, degrees: float) -> tuple[float, float, float]:
    """Share of events over all weeks, and 95 % limits for the share of a new week."""
    n = np.bincount(rows.code).astype(np.float64)
    events = np.bincount(rows.code, weights=rows.y)
    share = float(events.sum() / n.sum())
    weight = n * share * (1.0 - share)
    between = _between_weeks((events - n * share) / weight, 1.0 / weight, prior_sd=PRIOR_WEEK_SD[0], overlap=overlap)
    total = weight.sum()
    variance = overlap * (total + between * (weight**2).sum()) / total**2 + between
    centre = np.log(share / (1.0 - share))
    half = _half_width(np.asarray(variance), np.asarray(between), degrees=degrees)
    return share, float(expit(centre - half)), float(expit(centre + half))


@dataclass(frozen=True)
class _Known:
    """The fit of all weeks, from which the recalibration known at each week follows.

    ``calendar`` (K,) week numbers, ``beta`` (2,) of all weeks, and each week's score (K, 2) and information (K, 2, 2) there.
    """

    calendar: Floats
    beta: Floats
    score: Floats
    information: Floats
    overlap: float

    def before(self, week: float) -> NDArray[np.bool_]:
        """(K,) weeks whose outcomes were known at the start of a week."""
        return np.asarray(self.calendar <= week - 1 - self.overlap)

    def beta_at(self, week: float) -> Floats:
        """One Newton step from the fit of all weeks to that of the weeks known at ``week``, with the usual prior."""
        known, prior = self.before(week), np.diag(1.0 / np.square(PRIOR_SD))
        gradient = self.score[known].sum(axis=0) / self.overlap - prior @ (self.beta - IDENTITY)
        return self.beta + np.linalg.solve(self.information[known].sum(axis=0) / self.overlap + prior, gradient)


def _forward_briers(rows: PastRows, known: _Known, *, reference: Floats | None) -> tuple[float, float, float]:
    """Brier scores of the model, recalibrated and reference, each week predicted from what was known at its start."""
    n, events = np.bincount(rows.code).astype(np.float64), np.bincount(rows.code, weights=rows.y)
    n_weeks = len(known.calendar)
    at_week, share, is_compared = np.tile(known.beta, (n_weeks, 1)), np.zeros(n_weeks), np.zeros(n_weeks, np.bool_)
    for k, week in enumerate(known.calendar):
        earlier = known.before(week)
        seen, happened = float(n[earlier].sum()), float(events[earlier].sum())
        is_compared[k] = min(happened, seen - happened) >= MIN_EVENTS
        if is_compared[k]:
            share[k], at_week[k] = happened / seen, known.beta_at(week)
    if is_compared.sum() < MIN_COMPARED:
        return (float("nan"),) * 3
    row = is_compared[rows.code]
    x, y, ratio, code = rows.x[row], rows.y[row], rows.ratio[row], rows.code[row]
    model = probability_of_outcome(x, ratio, beta=IDENTITY)[0]
    changed = probability_of_outcome(x, ratio, beta=at_week[code].T)[0]
    other = share[code] if reference is None else reference[row]
    brier = [float(((said - y) ** 2).mean()) for said in (model, changed, other)]
    return brier[0], brier[1], brier[2]
