"""The parametric alternative: a Weibull accelerated failure time model by lifelines, with cluster-robust errors.

    log T = x'b + b0 + log(E) / shape,  E ~ Exponential(1);   H(t | x) = exp(shape (log t - x'b - b0))

lifelines has no cluster-robust errors for parametric models, so the sandwich is formed here from its estimate.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from seedtest_analytics.stats.survival.concordance import concordance_index
from seedtest_analytics.stats.survival.cox import SurvivalData
from seedtest_analytics.stats.survival.sampling import whole_students

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


def fit_weibull(data: SurvivalData) -> WeibullFit:
    """Fit by maximum likelihood (lifelines ``WeibullAFTFitter``)."""
    import pandas as pd
    from lifelines import WeibullAFTFitter

    rows = _whole_clusters(data)
    X = np.asarray(data.X[rows], dtype=np.float64)
    times, events, weights = data.stop_times[rows], data.events[rows], data.weights[rows]
    centre, spread = X.mean(axis=0), X.std(axis=0)
    Z = (X - centre) / spread
    frame = pd.DataFrame(Z, columns=[f"x{j}" for j in range(Z.shape[1])])
    frame["time"], frame["event"], frame["weight"] = times, events.astype(int), weights
    fitter = WeibullAFTFitter().fit(frame, "time", "event", weights_col="weight")
    b = fitter.params_["lambda_"]
    names = [*(("lambda_", name) for name in (*frame.columns[: Z.shape[1]], "Intercept")), ("rho_", "Intercept")]
    parameters = np.append([b[name] for _, name in names[:-1]], fitter.params_["rho_"]["Intercept"])
    inverse = fitter.variance_matrix_.loc[names, names].to_numpy()
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
