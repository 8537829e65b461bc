"""Item calibration by R's mirt (``MIRT_BACKEND=mirt``)."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Literal, get_args

import numpy as np
import pandas as pd

from seedtest_analytics.resources.r.caller import RCaller
from seedtest_analytics.resources.r.errors import RCrashedError, RTimeoutError
from seedtest_analytics.resources.r.retry import growing_waits, try_repeatedly
from seedtest_analytics.stats.irt.config import Beta, ItemPriors

PACKAGES = ("mirt",)
Model = Literal["Rasch", "2PL", "3PL"]
# Another try may find more memory or a less busy machine; an error that R signals comes again.
RETRIED = (RCrashedError, RTimeoutError)


class CalibrationDataError(ValueError):
    """Answers or anchors that cannot be calibrated; the message says which and why."""


@dataclass(frozen=True)
class MirtSettings:
    """Numerical settings. ``quadrature_points`` are equally spaced on [−``theta_limit``, ``theta_limit``]."""

    quadrature_points: int = 61
    theta_limit: float = 6.0
    tolerance: float = 1e-4
    max_cycles: int = 2000
    standard_errors: bool = True


@dataclass(frozen=True)
class MirtCalibration:
    """P(right) = c + (1 − c) · logistic(a (θ − b)), D = 1.

    Attributes:
        model: Rasch (a = 1, variance free), 2PL or 3PL.
        item_ids: shape (J,), ascending.
        a, b, c: shape (J,); c is 0 without guessing.
        a_se, b_se, c_se: shape (J,), NaN where a parameter is fixed or the information has no inverse.
        is_fixed: shape (J,), items held at their anchors' values.
        group_mean, group_variance: of θ; (0, 1) without anchors (Rasch: the variance is free). Their SEs are
            NaN where they are fixed.
        log_likelihood, log_prior, aic, bic, n_iterations, has_converged: of the fit; the likelihood is without the prior.
        is_maximum: mirt's second-order test; None where it was not made.
        user_ids, theta, theta_sd: shape (N,), EAP and posterior SD.
        set_aside: item and reason of every item that was left out.
        backend: versions of mirt and R.
    """

    model: Model
    item_ids: np.ndarray
    a: np.ndarray
    b: np.ndarray
    c: np.ndarray
    a_se: np.ndarray
    b_se: np.ndarray
    c_se: np.ndarray
    is_fixed: np.ndarray
    group_mean: float
    group_mean_se: float
    group_variance: float
    group_variance_se: float
    log_likelihood: float
    log_prior: float
    aic: float
    bic: float
    n_iterations: int
    has_converged: bool
    is_maximum: bool | None
    user_ids: np.ndarray
    theta: np.ndarray
    theta_sd: np.ndarray
    set_aside: tuple[tuple[Any, str], ...]
    backend: str


@dataclass(frozen=True)
class MirtRequest:
    """What R is asked: answered cells by number, the ids behind the numbers, anchors, what was left out."""

    cells: pd.DataFrame
    user_ids: np.ndarray
    item_ids: np.ndarray
    anchors: pd.DataFrame
    set_aside: tuple[tuple[Any, str], ...]


def mirt_request(
    answers: pd.DataFrame, model: Model, *, anchors: pd.DataFrame | None = None, min_responses: int = 10
) -> MirtRequest:
    """Number persons and items of ``answers`` (``user_id``, ``item_id``, ``is_correct``), and check them.

    Items with fewer than ``min_responses`` answers, or all right, or all wrong, are set aside with the
    reason; ``anchors`` (``item_id``, ``a``, ``b`` and, for 3PL, ``c``) of items without answers are
    ignored. Raises :class:`CalibrationDataError` for an unknown model, a repeated or missing answer and too
    few items.
    """
    if model not in get_args(Model):
        raise CalibrationDataError(f"model {model!r} is not known: {', '.join(get_args(Model))}")
    if answers["is_correct"].isna().any():
        raise CalibrationDataError("an answer is missing: leave unanswered items out, they are not wrong answers")
    repeated = answers.duplicated(["user_id", "item_id"]).to_numpy()
    if repeated.any():
        first = answers[repeated].iloc[0]
        raise CalibrationDataError(
            f"{int(repeated.sum())} answers repeat a user and item (the first: {first['user_id']}, "
            f"{first['item_id']}): keep one of each, such as the first"
        )
    set_aside = _unusable_items(answers, min_responses)
    kept = answers[~answers["item_id"].isin([item for item, _ in set_aside])]
    persons, user_ids = pd.factorize(kept["user_id"], sort=True)
    items, item_ids = pd.factorize(kept["item_id"], sort=True)
    if len(item_ids) < 3:
        raise CalibrationDataError(f"{len(item_ids)} items are left to calibrate and 3 are needed: {set_aside[:5]}")
    correct = kept["is_correct"].to_numpy().astype(np.int32)
    cells = pd.DataFrame({"person": persons + 1, "item": items + 1, "correct": correct})
    return MirtRequest(
        cells,
        np.asarray(user_ids),
        item_ids=np.asarray(item_ids),
        anchors=_anchors(anchors, item_ids, model=model),
        set_aside=set_aside,
    )


def _unusable_items(answers: pd.DataFrame, min_responses: int) -> tuple[tuple[Any, str], ...]:
    counts = answers.groupby("item_id", sort=True)["is_correct"].agg(["size", "sum"])
    reasons = []
    for item, n_answers, n_right in counts.itertuples(name=None):
        if n_answers < min_responses:
            reasons.append((item, f"{n_answers} answers, fewer than {min_responses}"))
        elif n_right in (0, n_answers):
            reasons.append((item, f"all {n_answers} answers are {'right' if n_right else 'wrong'}"))
    return tuple(reasons)


def _anchors(anchors: pd.DataFrame | None, item_ids: Any, *, model: Model) -> pd.DataFrame:
    columns = ["item", "a", "b", "c"]
    if anchors is None or anchors.empty:
        return pd.DataFrame({column: np.array([], dtype=float) for column in columns})
    chosen = anchors[anchors["item_id"].isin(item_ids)].copy()
    chosen["c"] = chosen["c"].fillna(0.0) if "c" in chosen else 0.0
    values = chosen[["a", "b", "c"]].to_numpy(dtype=float)
    bad = ~np.isfinite(values).all(axis=1) | (values[:, 0] <= 0) | (values[:, 2] < 0) | (values[:, 2] >= 1)
    if model == "Rasch":
        bad |= values[:, 0] != 1
    if bad.any():
        raise CalibrationDataError(
            f"anchors {chosen['item_id'][bad].tolist()[:5]} have parameters that {model} does not allow "
            "(a > 0, and 1 for Rasch; b finite; 0 ≤ c < 1)"
        )
    chosen["item"] = pd.Index(item_ids).get_indexer(chosen["item_id"]) + 1
    return chosen[columns].reset_index(drop=True)


def calibrate_with_mirt(  # noqa: PLR0913
    r: RCaller,
    answers: pd.DataFrame,
    *,
    model: Model = "2PL",
    anchors: pd.DataFrame | None = None,
    priors: ItemPriors | None = None,
    min_responses: int = 10,
    settings: MirtSettings | None = None,
    max_tries: int = 3,
    retry_delay_seconds: float = 5.0,
    timeout_seconds: float | None = None,
    logger: logging.Logger | None = None,
    sleep: Callable[[float], None] = time.sleep,
) -> MirtCalibration:
    """Calibrate items and score persons with mirt (arguments of the data: :func:`mirt_request`; ``priors``:
    :func:`mirt_priors`).

    A crash or a time-out of R is tried again, ``max_tries`` times in all with growing waits; data errors,
    R's own errors and a missing package (RPackageMissingError with the install command) are not.
    """
    settings, logger = settings or MirtSettings(), logger or logging.getLogger(__name__)
    if model == "3PL" and (priors is None or priors.c is None):
        logger.warning("3PL without a prior of the guessing parameter seldom converges: give ItemPriors(c=Normal(…))")
    request = mirt_request(answers, model, anchors=anchors, min_responses=min_responses)

    def work() -> Any:
        return r.call(
            "mirt_calibrate.R",
            "calibrate",
            packages=PACKAGES,
            timeout_seconds=timeout_seconds,
            **mirt_arguments(request, model, priors=priors, settings=settings),
        )

    waits = growing_waits(max_tries, retry_delay_seconds)
    reply = try_repeatedly(work, waits, retried=RETRIED, logger=logger, what="calibration by mirt", sleep=sleep)
    return _calibration(reply, request, model=model)


def mirt_priors(priors: ItemPriors | None, model: Model) -> pd.DataFrame:
    """Columns ``parameter``, ``type``, ``first``, ``second`` of mirt's prior table, for the parameters of ``model``.

    mirt's parameters are the slope a1, the intercept d and logit(g). A log-normal prior on a, a normal one on d and
    a normal one on logit(c) are the same in mirt. It knows no difficulty, so a prior on b cannot be asked for; its
    beta prior on g can, but is refused, because mirt (1.47) takes that prior's gradient by g where it moves logit(g),
    and ends beside the maximum. Raises :class:`CalibrationDataError` for both.
    """
    asked = priors or ItemPriors()
    if asked.b is not None or isinstance(asked.c, Beta):
        raise CalibrationDataError(
            "mirt takes priors on a, on the intercept d and on logit(c): give ItemPriors(a=…, d=…, c=Normal(…)), not "
            "priors on b or a beta prior on c"
        )
    rows: list[tuple[str, str, float, float]] = []
    if asked.a is not None and model != "Rasch":
        rows.append(("a1", "lnorm", asked.a.mean_log, asked.a.sd_log))
    if asked.d is not None:
        rows.append(("d", "norm", asked.d.mean, asked.d.sd))
    if asked.c is not None and model == "3PL":
        rows.append(("g", "norm", asked.c.mean, asked.c.sd))
    return pd.DataFrame(rows, columns=["parameter", "type", "first", "second"])


def mirt_arguments(
    request: MirtRequest, model: Model, *, priors: ItemPriors | None, settings: MirtSettings
) -> dict[str, Any]:
    """Arguments of ``calibrate`` in ``mirt_calibrate.R``."""
    return {
        "cells": request.cells,
        "n_persons": len(request.user_ids),
        "n_items": len(request.item_ids),
        "model": model,
        "anchors": request.anchors,
        "priors": mirt_priors(priors, model),
        "quadrature_points": settings.quadrature_points,
        "theta_limit": settings.theta_limit,
        "tolerance": settings.tolerance,
        "max_cycles": settings.max_cycles,
        "standard_errors": settings.standard_errors,
    }


def _calibration(reply: dict[str, Any], request: MirtRequest, *, model: Model) -> MirtCalibration:
    items, persons = reply["items"], reply["persons"]
    fit, versions = reply["fit"].iloc[0], reply["versions"].iloc[0]
    column = {name: items[name].to_numpy(dtype=float) for name in ("a", "b", "c", "a_se", "b_se", "c_se")}
    is_fixed = np.isin(np.arange(1, len(items) + 1), request.anchors["item"])
    return MirtCalibration(
        model=model,
        item_ids=request.item_ids,
        **column,
        is_fixed=is_fixed,
        group_mean=float(fit["group_mean"]),
        group_mean_se=float(fit["group_mean_se"]),
        group_variance=float(fit["group_variance"]),
        group_variance_se=float(fit["group_variance_se"]),
        log_likelihood=float(fit["log_likelihood"]),
        log_prior=float(fit["log_prior"]),
        aic=float(fit["aic"]),
        bic=float(fit["bic"]),
        n_iterations=int(fit["n_iterations"]),
        has_converged=bool(fit["has_converged"]),
        is_maximum=None if pd.isna(fit["is_maximum"]) else bool(fit["is_maximum"]),
        user_ids=request.user_ids,
        theta=persons["theta"].to_numpy(dtype=float),
        theta_sd=persons["theta_sd"].to_numpy(dtype=float),
        set_aside=request.set_aside,
        backend=f"mirt {versions['mirt']}, {versions['r']}",
    )
