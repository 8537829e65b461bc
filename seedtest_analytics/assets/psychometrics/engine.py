"""Fits a calibration by the platform's engine or by R's mirt (``MIRT_BACKEND``), with the same kind of result."""

from __future__ import annotations

import logging
import math
import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import pandas as pd

from seedtest_analytics.assets.framework.week_run import WeekRun
from seedtest_analytics.resources.r.caller import RCaller
from seedtest_analytics.resources.r.errors import RCrashedError, RTimeoutError
from seedtest_analytics.resources.r.mirt import CalibrationDataError, MirtCalibration, MirtOptions, calibrate_with_mirt
from seedtest_analytics.settings import CalibrationSettings
from seedtest_analytics.stats.irt import result as flags
from seedtest_analytics.stats.irt.config import Beta, CalibrationConfig, ItemPriors, LogNormal, Normal, Quadrature
from seedtest_analytics.stats.irt.data import ResponseData
from seedtest_analytics.stats.irt.errors import IrtDataError
from seedtest_analytics.stats.irt.estimation import calibrate
from seedtest_analytics.stats.irt.model import ItemParameters
from seedtest_analytics.stats.irt.objective import MarginalLikelihood, Parameters
from seedtest_analytics.stats.irt.priors import evaluate_priors
from seedtest_analytics.stats.irt.result import Calibration, ItemEstimates, Verdict
from seedtest_analytics.stats.irt.verdict import judge

NATIVE = "native"
MAY_PASS = (RCrashedError, MemoryError, OSError)
WAIT_GROWTH = 2.0
MIN_SHORTFALL = 2.0
MAX_RELATIVE_SHORTFALL = 1e-4
"""mirt's EM stops a little before the maximum. Two units of the log-likelihood, or a ten-thousandth of it, do not matter."""


@dataclass(frozen=True, eq=False)
class Fitted:
    """A calibration with its priors and its backend, such as ``native`` or ``mirt 1.44, R 4.4.1``."""

    calibration: Calibration
    backend: str
    priors: ItemPriors


Fit = Callable[[ResponseData, ItemParameters | None], Fitted]
"""Fits answers, with anchors held fixed if there are any."""


def fit_by(settings: CalibrationSettings, r: RCaller | None, *, log: logging.Logger) -> Fit:
    """The fit that the settings ask for, tried again as they say. ``r`` is needed by ``MIRT_BACKEND=mirt`` only."""
    if settings.backend == NATIVE:
        return with_tries(
            lambda data, anchors: native_fit(calibrate_natively(data, anchors, settings=settings), settings),
            settings,
            log=log,
        )
    if r is None:
        raise ValueError("MIRT_BACKEND=mirt needs the R resource")
    return with_tries(lambda data, anchors: _by_mirt(data, anchors, settings=settings, r=r, log=log), settings, log=log)


def with_tries(fit: Fit, settings: CalibrationSettings, *, log: logging.Logger) -> Fit:
    """The same fit, tried up to ``MIRT_MAX_RETRIES`` times with growing waits; each try is logged with its number.

    Only what may pass is tried again: a killed R, too little memory, an error of the system. A time-out or answers
    that cannot be calibrated would only repeat.
    """

    def tried(data: ResponseData, anchors: ItemParameters | None) -> Fitted:
        number, wait = 1, settings.retry_delay_secs
        while True:
            log.info("calibration by %s: try %d of %d", settings.backend, number, settings.max_retries)
            try:
                return fit(data, anchors)
            except RTimeoutError:  # an OSError too
                raise
            except MAY_PASS as error:
                if number >= settings.max_retries:
                    raise
                text = "calibration by %s: try %d of %d failed, next in %g s: %s"
                log.warning(text, settings.backend, number, settings.max_retries, wait, error or type(error).__name__)
            time.sleep(wait)
            number, wait = number + 1, WAIT_GROWTH * wait

    return tried


def between_transactions(fit: Fit, run: WeekRun) -> Fit:
    """The same fit, during which the run has no open transaction."""

    def fitted(data: ResponseData, anchors: ItemParameters | None) -> Fitted:
        with run.without_transaction():
            return fit(data, anchors)

    return fitted


def native_fit(calibration: Calibration, settings: CalibrationSettings) -> Fitted:
    """A calibration by the platform's engine with its priors."""
    return Fitted(calibration, NATIVE, priors=item_priors(settings))


def item_priors(settings: CalibrationSettings) -> ItemPriors:
    """Weak priors keep items with few answers finite, whose likelihood has no maximum. 3PL always has a prior on c.

    The mode of a is exp(0.25 - 0.5²) = 1.
    """
    c = Beta() if settings.model == "3PL" else None
    if settings.priors == "none":
        return ItemPriors(c=c)
    return ItemPriors(a=None if settings.model == "Rasch" else LogNormal(0.25, 0.5), b=Normal(0.0, 2.0), c=c)


def priors_for_mirt(priors: ItemPriors) -> ItemPriors:
    """The nearest priors that mirt offers: the same on a, on the intercept instead of the difficulty, and on logit(c).

    b ~ N(0, s²) independent of log a ~ N(m, t²) gives d = -a b the mean 0 and the SD s exp(m + t²), which the normal
    prior on d gets. For Rasch (a = 1) the two are equal. The normal prior on logit(c) has the mode of Beta(α, β) on c and
    its curvature there.
    """
    d, c = priors.d, priors.c
    if priors.b is not None:
        root_mean_square_a = 1.0 if priors.a is None else math.exp(priors.a.mean_log + priors.a.sd_log**2)
        d = Normal(0.0, priors.b.sd * root_mean_square_a)
    if isinstance(c, Beta):
        left, right = c.alpha - 1.0, c.beta - 1.0
        c = Normal(math.log(left / right), math.sqrt((left + right) / (left * right)))
    return ItemPriors(a=priors.a, d=d, c=c)


def calibrate_natively(
    data: ResponseData,
    anchors: ItemParameters | None,
    *,
    settings: CalibrationSettings,
    priors: ItemPriors | None = None,
) -> Calibration:
    """Calibrate by the platform's engine; ``priors``: None for those of the settings.

    Raises IrtDataError for answers that cannot be calibrated.
    """
    return calibrate(
        data,
        CalibrationConfig(
            model=settings.model,
            min_responses=settings.answers_needed,
            priors=priors or item_priors(settings),
            pool_below=settings.pool_below,
            anchors=anchors,
            min_anchors=settings.min_anchors,
        ),
    )


def _by_mirt(
    data: ResponseData,
    anchors: ItemParameters | None,
    *,
    settings: CalibrationSettings,
    r: RCaller,
    log: logging.Logger,
) -> Fitted:
    """Raises IrtDataError for answers that mirt cannot take, and RError if R fails."""
    held = None
    if anchors is not None:
        held = pd.DataFrame({"item_id": anchors.item_ids, "a": anchors.a, "b": anchors.b, "c": anchors.c})
    priors = priors_for_mirt(item_priors(settings))
    options = MirtOptions(
        model=settings.model,
        priors=priors,
        min_responses=settings.answers_needed,
        timeout_seconds=settings.timeout_secs,
    )
    try:
        found = calibrate_with_mirt(r, answers_frame(data), options=options, anchors=held, logger=log)
    except CalibrationDataError as error:
        raise IrtDataError(str(error)) from error
    calibration = calibration_from_mirt(found, data, priors=priors)
    native = calibrate_natively(data, anchors, settings=settings, priors=priors)
    shortfall = shortfall_of(calibration, native, data=data, priors=priors)
    if shortfall is not None:
        log.warning(shortfall)
        verdict = calibration.verdict
        reasons = (*verdict.reasons, shortfall)
        calibration = replace(calibration, verdict=replace(verdict, usable=False, reasons=reasons))
    return Fitted(calibration, found.backend, priors=priors)


def shortfall_of(
    calibration: Calibration, native: Calibration, *, data: ResponseData, priors: ItemPriors
) -> str | None:
    """Why mirt's estimates are not the maximum that the platform's engine finds on the same answers; None if they are.

    Both are measured by the platform's likelihood plus the log prior, because mirt may report one that its estimates do
    not have.
    """
    common = (calibration.items.status != "set_aside") & (native.items.status != "set_aside")
    mirts, ours = (log_posterior_at(fit, data, kept=common, priors=priors) for fit in (calibration, native))
    if ours - mirts <= max(MIN_SHORTFALL, MAX_RELATIVE_SHORTFALL * abs(ours)):
        return None
    return (
        f"mirt's estimates have the log-likelihood {mirts:,.1f} (with the priors) by the platform's quadrature, and the "
        f"platform's engine finds {ours:,.1f} on the same answers: mirt stopped short of the maximum; set MIRT_BACKEND=native"
    )


def log_posterior_at(calibration: Calibration, data: ResponseData, *, kept: np.ndarray, priors: ItemPriors) -> float:
    """Marginal log-likelihood of the answers to the kept items plus the log prior of those that were estimated.

    ``kept`` (n_items,): items of ``data`` that have parameters.
    """
    items = calibration.items
    a, b, c = items.a, items.b, items.c
    with np.errstate(divide="ignore", invalid="ignore"):
        gamma = np.log(c) - np.log1p(-c)
    at = Parameters(
        a[kept], (-a * b)[kept], gamma=gamma[kept], mean=calibration.group_mean, log_sd=np.log(calibration.group_sd)
    )
    likelihood = MarginalLikelihood(data.with_items(kept), calibration.quadrature.nodes, priors=ItemPriors())
    free = kept & ~items.is_anchor
    log_prior, _, _ = evaluate_priors(priors, a[free], d=(-a * b)[free], gamma=gamma[free])
    return float(likelihood.evaluate(at).log_likelihood + log_prior.sum())


def answers_frame(data: ResponseData) -> pd.DataFrame:
    """Columns user_id (number of the row), item_id, is_correct; one row for each answer."""
    return pd.DataFrame(
        {
            "user_id": np.repeat(np.arange(data.n_rows), data.n_answers_by_row),
            "item_id": data.item_ids[data.answer_code >> 1],
            "is_correct": (data.answer_code & 1).astype(bool),
        }
    )


def calibration_from_mirt(
    found: MirtCalibration, data: ResponseData, *, priors: ItemPriors = ItemPriors()
) -> Calibration:
    """mirt's estimates as the engine's result, judged with the priors of the fit.

    mirt reports no covariances between the parameters of an item; they are 0.
    """
    items = _items(found, data)
    is_anchored = bool(found.is_fixed.any())
    sd = float(np.sqrt(found.group_variance))
    used = data.with_items(np.isin(data.item_ids, found.item_ids))
    calibration = Calibration(
        items=items,
        model=found.model,
        scale="anchored" if is_anchored else "rasch" if found.model == "Rasch" else "standard",
        quadrature=Quadrature(),
        group_ids=None,
        group_mean=np.array([found.group_mean]),
        group_sd=np.array([sd]),
        group_mean_se=np.nan_to_num([found.group_mean_se]),
        group_sd_se=np.nan_to_num([found.group_variance_se / (2 * sd)]),
        log_likelihood=found.log_likelihood,
        log_prior=found.log_prior,
        n_rows=int(np.count_nonzero(used.n_answers_by_row)),
        n_answers=used.n_answers,
        n_free_parameters=round((found.aic + 2 * found.log_likelihood) / 2),
        n_iterations=found.n_iterations,
        converged=found.has_converged,
        max_gradient=float("nan"),
        max_step=float("nan"),
        standard_error_method="full",
        free_covariance=None,
        free_index=None,
        n_components=int(items.component.max()) + 1,
        edge_mass=0.0,
        verdict=Verdict(usable=False),
    )
    verdict = judge(calibration, priors=priors)
    reasons = verdict.reasons
    if found.is_maximum is False:
        reasons = (*reasons, "mirt's second-order test: the solution is not a maximum")
    return replace(calibration, verdict=replace(verdict, usable=not reasons, reasons=reasons))


def _items(found: MirtCalibration, data: ResponseData) -> ItemEstimates:
    """Every item of the data; items that mirt did not get have their reason."""
    place = np.searchsorted(data.item_ids, found.item_ids)
    n, right = data.answer_counts()

    def everywhere(values: np.ndarray, fill: Any = np.nan) -> np.ndarray:
        out = np.full(data.n_items, fill, dtype=values.dtype)
        out[place] = values
        return out

    se = np.stack([everywhere(np.where(found.is_fixed, 0.0, s)) for s in (found.a_se, found.b_se, found.c_se)], axis=1)
    # mirt reports no standard error for what the model fixes. Its error is 0.
    se[place, 2] = np.nan_to_num(se[place, 2])
    if found.model == "Rasch":
        se[place, 0] = 0.0
    status = np.full(data.n_items, "set_aside", dtype=object)
    status[place] = np.where(found.is_fixed, "fixed", "estimated")
    flag = np.where((right == 0) | (right == n), flags.ONE_CATEGORY, flags.FEW_RESPONSES).astype(object)
    estimated = np.full(len(place), None, dtype=object)
    estimated[~np.isfinite(se[place, :2]).all(axis=1)] = flags.NO_STANDARD_ERROR
    estimated[found.a < 0] = flags.NEGATIVE_DISCRIMINATION
    flag[place] = estimated
    component = np.full(data.n_items, -1, dtype=np.int64)
    keep = np.isin(data.item_ids, found.item_ids)
    component[keep] = data.with_items(keep).components()
    return ItemEstimates(
        data.item_ids,
        everywhere(found.a),
        b=everywhere(found.b),
        c=everywhere(found.c),
        se_a=se[:, 0],
        se_b=se[:, 1],
        se_c=se[:, 2],
        covariance=se[:, :, None] ** 2 * np.eye(3),
        n_responses=n,
        p_correct=right / np.maximum(n, 1),
        status=status,
        flag=flag,
        component=component,
    )
