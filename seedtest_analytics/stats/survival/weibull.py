"""The parametric alternative: a Weibull accelerated failure time model by lifelines, with cluster-robust errors.

    log T = x'b + b0 + log(E) / shape,  E ~ Exponential(1);   H(t | x) = exp(shape (log t - x'b - b0))

lifelines has no cluster-robust errors for parametric models, so the sandwich is formed here from its estimate.
"""

from __future__ import annotations

import warnings
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from seedtest_analytics.stats.checks import number, refuse
from seedtest_analytics.stats.survival.concordance import concordance_index
from seedtest_analytics.stats.survival.cox import SurvivalData
from seedtest_analytics.stats.survival.errors import (
    CollinearityError,
    ConvergenceError,
    SeparationError,
    SurvivalDataError,
)
from seedtest_analytics.stats.survival.sampling import whole_students
from seedtest_analytics.stats.survival.separation import columns_of, flat_directions, separating_direction

Floats = NDArray[np.float64]

MAX_ROWS = 300_000
"""Larger panels are fitted on whole students up to this many rows; the result states the number used."""


@dataclass(frozen=True)
class WeibullFit:
    """A fitted model, on covariates centred at ``centre`` (p,).

    ``coefficients`` (p,) are changes of the log hazard per unit of each covariate (``-shape b``), as in the Cox model.
    ``parameters`` (p + 2,) are b, intercept and log shape; ``covariance`` is their covariance, cluster-robust where
    clusters were given.
    """

    coefficients: Floats
    standard_errors: Floats
    centre: Floats
    parameters: Floats
    covariance: Floats
    concordance: float
    loglik: float
    aic: float
    n: int
    n_events: int

    @property
    def shape(self) -> float:
        """Above 1 the hazard rises with time, below 1 it falls."""
        return float(np.exp(self.parameters[-1]))

    def log_cumulative_hazard(self, X: Floats, time: float) -> tuple[Floats, Floats]:
        """(n,) log cumulative hazard at ``time`` and its standard error by the delta method."""
        p = len(self.coefficients)
        centred = np.asarray(X, dtype=np.float64) - self.centre
        value = self.shape * (np.log(time) - centred @ self.parameters[:p] - self.parameters[p])
        gradient = np.column_stack([-self.shape * centred, np.full(len(centred), -self.shape), value])
        variance = np.einsum("ij,jk,ik->i", gradient, self.covariance, gradient)
        return value, np.sqrt(np.maximum(variance, 0.0))


def fit_weibull(data: SurvivalData, *, ridge: float = 0.0) -> WeibullFit:
    """Fit by maximum likelihood (lifelines ``WeibullAFTFitter``).

    Args:
        data: checked rows with times above 0, without late entry.
        ridge: precision of a Normal(0, 1/ridge) prior on each coefficient per standard deviation of its covariate.

    Raises:
        SurvivalDataError: for times of 0, late entry or strata.
        CollinearityError: where a covariate is constant or a combination of others.
        SeparationError: where the likelihood has no maximum; with a ridge above 0 it has one.
        ConvergenceError: where lifelines finds no maximum.
    """
    import pandas as pd
    from lifelines import WeibullAFTFitter
    from lifelines.exceptions import ConvergenceError as NotConverged

    number(ridge, "ridge", low=0.0)
    refuse(data.stop_times <= 0, "a time of 0", need="a Weibull time is above 0", error=SurvivalDataError)
    if data.entry_times is not None or len(np.unique(data.strata)) > 1:
        raise SurvivalDataError("the Weibull model takes neither late entry nor strata; use the Cox model")
    rows = _whole_clusters(data)
    X = np.asarray(data.X[rows], dtype=np.float64)
    times, events, weights = data.stop_times[rows], data.events[rows], data.weights[rows]
    centre, spread = X.mean(axis=0), X.std(axis=0)
    constant = np.flatnonzero(spread <= 1e-9 * np.maximum(1.0, np.abs(centre)))
    if len(constant):
        raise CollinearityError(
            f"covariates {{}} are constant over all {len(X)} rows; leave them out", tuple(constant.tolist())
        )
    Z = (X - centre) / spread
    flat = flat_directions(Z.T @ Z)
    if flat.shape[1]:
        raise CollinearityError("covariates {} are a combination of others; leave one out", columns_of(flat))
    frame = pd.DataFrame(Z, columns=[f"x{j}" for j in range(Z.shape[1])])
    frame["time"], frame["event"], frame["weight"] = times, events.astype(int), weights
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # weights that are not whole, and overflows on the way to the maximum
        try:
            fitter = WeibullAFTFitter(penalizer=ridge / weights.sum()).fit(
                frame, "time", event_col="event", weights_col="weight"
            )
        except (NotConverged, np.linalg.LinAlgError) as error:
            raise ConvergenceError(
                f"the Weibull likelihood did not settle: {str(error).strip().splitlines()[0]}"
            ) from None
    b = fitter.params_["lambda_"]
    names = [*(("lambda_", name) for name in (*frame.columns[: Z.shape[1]], "Intercept")), ("rho_", "Intercept")]
    parameters = np.append([b[name] for _, name in names[:-1]], fitter.params_["rho_"]["Intercept"])
    inverse = fitter.variance_matrix_.loc[names, names].to_numpy()
    if ridge == 0:
        _refuse_separation(Z, times, events=events, weights=weights, parameters=parameters, covariance=inverse)
    covariance = inverse
    if data.clusters is not None:
        scores = _scores(Z, times, events=events, weights=weights, parameters=parameters)
        codes = np.unique(data.clusters[rows], return_inverse=True)[1]
        by_cluster = np.column_stack([np.bincount(codes, weights=column) for column in scores.T])
        covariance = inverse @ (by_cluster.T @ by_cluster) @ inverse
    units = np.append(1.0 / spread, [1.0, 1.0])
    parameters, covariance = parameters * units, covariance * np.outer(units, units)
    return _result(fitter, data, rows=rows, parameters=parameters, covariance=covariance, centre=centre)


def _result(fitter, data, *, rows, parameters, covariance, centre) -> WeibullFit:  # type: ignore[no-untyped-def]
    p = len(parameters) - 2
    shape = float(np.exp(parameters[-1]))
    coefficients = -shape * parameters[:p]
    gradient = np.zeros((p, p + 2))
    gradient[:, :p] = -shape * np.eye(p)
    gradient[:, -1] = coefficients
    linear = np.asarray(data.X[rows], dtype=np.float64) @ coefficients
    return WeibullFit(
        coefficients=coefficients,
        standard_errors=np.sqrt(np.diag(gradient @ covariance @ gradient.T)),
        centre=centre,
        parameters=parameters,
        covariance=covariance,
        concordance=concordance_index(data.stop_times[rows], data.events[rows], scores=linear),
        loglik=float(fitter.log_likelihood_),
        aic=float(fitter.AIC_),
        n=len(linear),
        n_events=int(data.events[rows].sum()),
    )


def _refuse_separation(
    Z: Floats, times: Floats, *, events: NDArray[np.bool_], weights: Floats, parameters: Floats, covariance: Floats
) -> None:
    """Raise if the likelihood still rises far from the estimate; lifelines stops at a gain of 1e-6 for each row."""
    p = Z.shape[1]
    columns = np.column_stack([Z, np.ones(len(Z))])

    def loglik(change: Floats) -> float:
        moved = parameters + np.append(change, 0.0)
        log_hazard = np.exp(moved[-1]) * (np.log(times) - columns @ moved[:-1])
        with np.errstate(over="ignore"):
            return float(weights @ (events * (moved[-1] + log_hazard) - np.exp(log_hazard)))

    direction = separating_direction(
        np.asarray(np.linalg.inv(covariance[: p + 1, : p + 1]), dtype=np.float64),
        columns.T @ (columns * weights[:, None]),
        log_hazards=lambda change: np.append(np.exp(parameters[-1]) * (columns @ change), 0.0),
        loglik=loglik,
    )
    if direction is not None:
        raise SeparationError(
            "the likelihood has no maximum: covariates {} separate events from non-events; leave them out or fit with "
            "a ridge",
            columns_of(direction[:p]),
        )


def _scores(Z: Floats, times: Floats, *, events: NDArray[np.bool_], weights: Floats, parameters: Floats) -> Floats:
    """(n, p + 2) derivatives of each row's log likelihood by b, intercept and log shape."""
    p = Z.shape[1]
    shape = np.exp(parameters[-1])
    w = shape * (np.log(times) - Z @ parameters[:p] - parameters[p])
    excess = np.exp(w) - events
    location = shape * excess
    return np.asarray(np.column_stack([Z * location[:, None], location, events - w * excess]) * weights[:, None])


def _whole_clusters(data: SurvivalData) -> NDArray[np.intp]:
    codes = np.arange(len(data.events), dtype=np.int32) if data.clusters is None else data.clusters
    return whole_students(codes, MAX_ROWS)
