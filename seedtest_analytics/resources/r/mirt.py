"""Item calibration by R's mirt (``MIRT_BACKEND=mirt``): what R receives and what its answer means.

What the platform makes of the result is in ``assets.psychometrics.engine``.
"""

from __future__ import annotations

import logging
from dataclasses import dataclass
from typing import Any, Literal, get_args

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from seedtest_analytics.resources.r.caller import RCaller
from seedtest_analytics.stats.irt.config import Beta, ItemPriors

PACKAGES = ("mirt",)
Model = Literal["Rasch", "2PL", "3PL"]


class CalibrationDataError(ValueError):
    """Answers, anchors or priors that mirt cannot use; the message says which and why."""


@dataclass(frozen=True)
class MirtOptions:
    """How to calibrate.

    Attributes:
        model: Rasch, 2PL or 3PL.
        priors: see :func:`mirt_priors`.
        min_responses: items with fewer answers are set aside.
        quadrature_points: number of equally spaced points on [−``theta_limit``, ``theta_limit``].
        tolerance, max_cycles: of the EM algorithm.
        standard_errors: whether mirt inverts the information matrix (Oakes).
        timeout_seconds: time limit.
    """

    model: Model = "2PL"
    priors: ItemPriors | None = None
    min_responses: int = 10
    quadrature_points: int = 61
    theta_limit: float = 6.0
    tolerance: float = 1e-4
    max_cycles: int = 2000
    standard_errors: bool = True
    timeout_seconds: float = 600.0


@dataclass(frozen=True)
class MirtCalibration:
    """P(right) = c + (1 − c) · logistic(a (θ − b)), D = 1.

    Attributes:
        model: Rasch (a = 1, variance free), 2PL or 3PL.
        item_ids: shape (J,), ascending.
        a, b, c: shape (J,); c is 0 without guessing.
        a_se, b_se, c_se: shape (J,), NaN where a parameter is fixed or the information matrix is singular.
        is_fixed: shape (J,), items fixed at the values of their anchors.
        group_mean, group_variance: of θ; (0, 1) without anchors (Rasch: the variance is free). Their SEs are NaN
            where the parameters are fixed.
        log_likelihood, log_prior, aic, n_iterations, has_converged: of the fit; the likelihood excludes the prior.
        is_maximum: mirt's second-order test; None where mirt did not run it.
        backend: versions of mirt and R.
    """

    model: Model
    item_ids: NDArray[Any]
    a: NDArray[np.float64]
    b: NDArray[np.float64]
    c: NDArray[np.float64]
    a_se: NDArray[np.float64]
    b_se: NDArray[np.float64]
    c_se: NDArray[np.float64]
    is_fixed: NDArray[np.bool_]
    group_mean: float
    group_mean_se: float
    group_variance: float
    group_variance_se: float
    log_likelihood: float
    log_prior: float
    aic: float
    n_iterations: int
    has_converged: bool
    is_maximum: bool | None
    backend: str


@dataclass(frozen=True)
class MirtRequest:
    """What R receives: answers with numbered persons and items, the ids behind the numbers, and anchors.

    ``set_aside`` pairs each item that is left out with the reason.
    """

    cells: pd.DataFrame
    user_ids: NDArray[Any]
    item_ids: NDArray[Any]
    anchors: pd.DataFrame
    set_aside: tuple[tuple[Any, str], ...]


def mirt_request(answers: pd.DataFrame, options: MirtOptions, *, anchors: pd.DataFrame | None = None) -> MirtRequest:
    """Number persons and items of ``answers`` (``user_id``, ``item_id``, ``is_correct``), and check them.

    Items with too few answers, or with only right or only wrong ones, are set aside. ``anchors`` has ``item_id``,
    ``a``, ``b`` and, for 3PL, ``c``; anchors without answers are ignored. Raises :class:`CalibrationDataError` for an
    unknown model, a repeated or missing answer, an impossible anchor and too few items.
    """
    if options.model not in get_args(Model):
        raise CalibrationDataError(f"unknown model {options.model!r}; use one of {', '.join(get_args(Model))}")
    if answers["is_correct"].isna().any():
        raise CalibrationDataError("an answer is missing; leave unanswered items out, do not count them as wrong")
    repeated = answers.duplicated(["user_id", "item_id"]).to_numpy()
    if repeated.any():
        first = answers[repeated].iloc[0]
        raise CalibrationDataError(
            f"{int(repeated.sum())} answers repeat a user and item (the first: {first['user_id']}, "
            f"{first['item_id']}); keep one of each"
        )
    set_aside = _unusable_items(answers, options.min_responses)
    kept = answers[~answers["item_id"].isin([item for item, _ in set_aside])]
    persons, user_ids = pd.factorize(kept["user_id"], sort=True)
    items, item_ids = pd.factorize(kept["item_id"], sort=True)
    if len(item_ids) < 3:
        raise CalibrationDataError(f"only {len(item_ids)} items can be calibrated, need 3; set aside: {set_aside[:5]}")
    correct = kept["is_correct"].to_numpy().astype(np.int32)
    return MirtRequest(
        pd.DataFrame({"person": persons + 1, "item": items + 1, "correct": correct}),
        np.asarray(user_ids),
        item_ids=np.asarray(item_ids),
        anchors=_anchors(anchors, item_ids, model=options.model),
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


def calibrate_with_mirt(
    r: RCaller,
    answers: pd.DataFrame,
    *,
    options: MirtOptions,
    anchors: pd.DataFrame | None = None,
    logger: logging.Logger | None = None,
) -> MirtCalibration:
    """Calibrate items with mirt by marginal maximum likelihood; for the data see :func:`mirt_request`.

    Nothing is tried again here; ``MIRT_MAX_RETRIES`` is the caller's.
    """
    logger = logger or logging.getLogger(__name__)
    if options.model == "3PL" and (options.priors is None or options.priors.c is None):
        logger.warning("3PL without a prior on the guessing parameter seldom converges: set ItemPriors(c=Normal(…))")
    request = mirt_request(answers, options, anchors=anchors)
    arguments = mirt_arguments(request, options)
    reply = r.call(
        "mirt_calibrate.R", "calibrate", packages=PACKAGES, timeout_seconds=options.timeout_seconds, **arguments
    )
    return _calibration(reply, request, model=options.model)


def mirt_priors(priors: ItemPriors | None, model: Model) -> pd.DataFrame:
    """Columns ``parameter``, ``type``, ``first``, ``second`` of mirt's prior table, for the parameters of ``model``.

    mirt's parameters are the slope a1, the intercept d and logit(g). It supports the same log-normal prior on a and
    normal priors on d and logit(c). It has no difficulty parameter, so a prior on b is refused. So is a beta prior on
    c: mirt (1.47) computes its gradient with respect to g while it optimises logit(g), and misses the maximum. Raises
    :class:`CalibrationDataError` for both.
    """
    asked = priors or ItemPriors()
    if asked.b is not None or isinstance(asked.c, Beta):
        raise CalibrationDataError(
            "mirt takes priors on a, on the intercept d and on logit(c): use ItemPriors(a=…, d=…, c=Normal(…)), not "
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


def mirt_arguments(request: MirtRequest, options: MirtOptions) -> dict[str, Any]:
    """Arguments of ``calibrate`` in ``mirt_calibrate.R``."""
    return {
        "cells": request.cells,
        "n_persons": len(request.user_ids),
        "n_items": len(request.item_ids),
        "model": options.model,
        "anchors": request.anchors,
        "priors": mirt_priors(options.priors, options.model),
        "quadrature_points": options.quadrature_points,
        "theta_limit": options.theta_limit,
        "tolerance": options.tolerance,
        "max_cycles": options.max_cycles,
        "standard_errors": options.standard_errors,
    }


def _calibration(reply: dict[str, Any], request: MirtRequest, *, model: Model) -> MirtCalibration:
    items, fit, versions = reply["items"], reply["fit"].iloc[0], reply["versions"].iloc[0]
    numbers = (
        "group_mean",
        "group_mean_se",
        "group_variance",
        "group_variance_se",
        "log_likelihood",
        "log_prior",
        "aic",
    )
    estimates: dict[str, Any] = {
        **{name: items[name].to_numpy(dtype=float) for name in ("a", "b", "c", "a_se", "b_se", "c_se")},
        **{name: float(fit[name]) for name in numbers},
    }
    return MirtCalibration(
        model=model,
        item_ids=request.item_ids,
        is_fixed=np.isin(np.arange(1, len(items) + 1), request.anchors["item"]),
        n_iterations=int(fit["n_iterations"]),
        has_converged=bool(fit["has_converged"]),
        is_maximum=None if pd.isna(fit["is_maximum"]) else bool(fit["is_maximum"]),
        backend=f"mirt {versions['mirt']}, {versions['r']}",
        **estimates,
    )
