"""Cox's proportional hazards model on arrays: Efron or Breslow ties, strata, weights, late entry, clusters.

    h(t | x) = h0(t) exp(β'x)
    log PL(β) = Σ_t [ Σ_{i in D_t} β'x_i - Σ_{l < d_t} log( Σ_{i in R_t} e^{β'x_i} - (l / d_t) Σ_{i in D_t} e^{β'x_i} ) ]

with D_t the d_t rows that have their event at t and R_t the rows at risk (Efron 1977; Breslow drops the l / d_t term).
Estimates, model-based and cluster-robust standard errors, concordance and baseline hazards equal those of R's
``survival::coxph`` (tests/stats/survival). Time is linear in the rows: thirteen million fit in seconds.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from seedtest_analytics.stats.checks import codes, flags, number, numbers, one_of
from seedtest_analytics.stats.survival import partial_likelihood as pl
from seedtest_analytics.stats.survival.concordance import concordance_index
from seedtest_analytics.stats.survival.errors import (
    CollinearityError,
    ConvergenceError,
    NoEventsError,
    SeparationError,
    SurvivalDataError,
)
from seedtest_analytics.stats.survival.kaplan_meier import checked_entries
from seedtest_analytics.stats.survival.separation import columns_of, refuse_collinear, separating_direction

Floats = NDArray[np.float64]
Bools = NDArray[np.bool_]

MAX_ITERATIONS = 60
DECREMENT_TOLERANCE = 1e-9
"""Remaining gain in log likelihood (nats, by the quadratic approximation) at which one last step ends the iterations.

The change of the likelihood itself does not work: on millions of float32 rows its rounding noise exceeds any useful
tolerance, and the search halved steps without end."""


@dataclass(frozen=True)
class SurvivalData:
    """Checked input of a fit: (n, p) covariates, (n,) times, events, weights, entries, and integer codes."""

    X: Floats
    stop_times: Floats
    events: Bools
    weights: Floats
    strata: NDArray[np.int32]
    entry_times: Floats | None
    clusters: NDArray[np.int32] | None
    n_clusters: int


@dataclass(frozen=True)
class CoxFit:
    """A fitted model.

    ``coefficients`` (p,) are changes of the log hazard per unit of each covariate. ``covariance`` (p, p) is the inverse
    information, ``robust_covariance`` the cluster sandwich, None without clusters. ``baseline_*`` are (K,) by stratum
    and distinct event time: the cumulative hazard at ``centre`` (p,), the covariates' weighted means.
    ``hazard_covariance`` (m, p + 1) has for the log cumulative baseline hazard at each of ``hazard_horizons`` (m,) its
    robust covariances with the p coefficients and, last, its variance.
    """

    coefficients: Floats
    covariance: Floats
    robust_covariance: Floats | None
    loglik: float
    loglik_null: float
    concordance: float
    centre: Floats
    baseline_times: Floats
    baseline_stratum: NDArray[np.int64]
    baseline_cumulative_hazard: Floats
    hazard_horizons: Floats
    hazard_covariance: Floats
    ties: str
    ridge: float
    n: int
    n_events: int
    n_clusters: int
    iterations: int

    @property
    def standard_errors(self) -> Floats:
        """(p,), cluster-robust where clusters were given, else model-based."""
        used = self.covariance if self.robust_covariance is None else self.robust_covariance
        return np.asarray(np.sqrt(np.diag(used)))

    def log_cumulative_hazard(self, X: Floats, time: float) -> tuple[Floats, Floats]:
        """(n,) log cumulative hazard of (n, p) covariates at ``time`` and its robust standard error.

        The error is that of the nearest of ``hazard_horizons``, NaN where the fit had none.
        """
        centred = np.asarray(X - self.centre.astype(X.dtype), dtype=X.dtype)
        base = self.cumulative_hazard(time)
        value = np.asarray(centred @ self.coefficients.astype(X.dtype), dtype=np.float64)
        value += np.log(base) if base > 0 else -np.inf
        if self.robust_covariance is None or not len(self.hazard_horizons):
            return value, np.full(len(value), np.nan)
        joint = self.hazard_covariance[int(np.argmin(np.abs(self.hazard_horizons - time)))]
        variance = np.einsum("ij,ij->i", centred @ self.robust_covariance.astype(X.dtype), centred, dtype=np.float64)
        variance += 2.0 * (centred @ joint[:-1].astype(X.dtype)) + joint[-1]
        return value, np.sqrt(np.maximum(variance, 0.0))

    def cumulative_hazard(self, time: float, stratum: int = 0) -> float:
        """Baseline cumulative hazard at ``time`` for covariates at ``centre``."""
        own = self.baseline_stratum == stratum
        position = int(np.searchsorted(self.baseline_times[own], time, side="right")) - 1
        return float(self.baseline_cumulative_hazard[own][position]) if position >= 0 else 0.0


def check_survival_data(
    X: ArrayLike,
    stop_times: ArrayLike,
    *,
    events: ArrayLike,
    weights: ArrayLike | None = None,
    strata: ArrayLike | None = None,
    entry_times: ArrayLike | None = None,
    clusters: ArrayLike | None = None,
) -> SurvivalData:
    """Validate and code the input of a fit. Rows of weight 0 are left out.

    Args:
        X: (n, p) finite covariates.
        stop_times: (n,) finite times from 0.
        events: (n,) booleans, or 0 and 1. Other codes, such as 1 and 2, and missing events are refused.
        weights: (n,) finite weights from 0.
        strata, clusters: (n,) labels of one type, none missing.
        entry_times: (n,) finite times before the stop times.

    Raises:
        SurvivalDataError: for missing or impossible values; the message names the first bad rows.
        NoEventsError: where every row is censored.
    """
    times = numbers(stop_times, "time", low=0, error=SurvivalDataError).astype(np.float64)
    n = len(times)
    matrix = np.ascontiguousarray(numbers(X, "covariate", ndim=2, error=SurvivalDataError))
    if len(matrix) != n or matrix.shape[1] == 0:
        raise SurvivalDataError(f"covariates have shape {matrix.shape}, need ({n}, p) with at least one column")
    died = flags(events, "event", length=n, error=SurvivalDataError)
    weight, entry = np.ones(n), None
    if weights is not None:
        weight = numbers(weights, "weight", like=(n,), low=0, error=SurvivalDataError).astype(np.float64)
    if entry_times is not None:
        entry = checked_entries(entry_times, times)
    stratum_codes, codes_of_clusters = np.zeros(n, dtype=np.int32), None
    if strata is not None:
        stratum_codes, _ = codes(strata, "stratum", length=n, error=SurvivalDataError)
    if clusters is not None:
        codes_of_clusters, _ = codes(clusters, "cluster", length=n, error=SurvivalDataError)
    used = weight > 0
    if not used.all():  # a row of weight 0 does not exist: its event has no risk set, and its covariates no spread
        matrix, times, died = matrix[used], times[used], died[used]
        weight, stratum_codes = weight[used], stratum_codes[used]
        entry = None if entry is None else entry[used]
        codes_of_clusters = None if codes_of_clusters is None else codes_of_clusters[used]
    if not died.any():
        raise NoEventsError(f"none of the {len(died)} rows has an event; a hazard cannot be estimated from them")
    n_clusters = 0
    if codes_of_clusters is not None:
        labels, inverse = np.unique(codes_of_clusters, return_inverse=True)
        codes_of_clusters, n_clusters = inverse.astype(np.int32), len(labels)
    return SurvivalData(
        matrix,
        times,
        events=died,
        weights=weight,
        strata=stratum_codes,
        entry_times=entry,
        clusters=codes_of_clusters,
        n_clusters=n_clusters,
    )


@dataclass(frozen=True)
class _State:
    """One point of the iterations, in standardised units."""

    beta: Floats
    objective: float
    loglik: float
    sums: pl.RiskSums
    scalars: Floats
    linear: Floats


@dataclass(frozen=True)
class _Objective:
    """The log partial likelihood of standardised covariates ``Z`` with the log prior of the ridge."""

    Z: Floats
    data: SurvivalData
    cells: pl.Cells
    is_efron: bool
    ridge: float

    def at(self, beta: Floats) -> _State:
        """Value, sums and linear predictors at a point."""
        linear = np.asarray(self.Z @ beta.astype(self.Z.dtype), dtype=np.float64)
        data = self.data
        sums = pl.risk_sums(self.Z, data.weights, linear=linear, events=data.events, cells=self.cells)
        with np.errstate(invalid="ignore", divide="ignore"):
            scalars = pl.efron_scalars(sums, is_efron=self.is_efron)
        loglik = float(sums.death_x.sum(axis=0) @ beta - scalars[:, 5].sum())
        objective = loglik - 0.5 * self.ridge * float(beta @ beta)
        return _State(beta, objective, loglik=loglik, sums=sums, scalars=scalars, linear=linear)

    def information(self, state: _State) -> Floats:
        """(p, p) negative Hessian at a point."""
        return pl.information(state.sums, state.scalars) + self.ridge * np.eye(len(state.beta))

    def maximise(self, start: Floats) -> tuple[_State, int]:
        """Newton's method with step halving; the maximum and the number of iterations."""
        at_zero = self.information(self.at(np.zeros(len(start))))
        if self.ridge == 0:
            refuse_collinear(at_zero)
        state = self.at(start)
        for iteration in range(1, MAX_ITERATIONS + 1):
            score = pl.cell_scores(state.sums, state.scalars).sum(axis=0) - self.ridge * state.beta
            information = self.information(state)
            if not np.isfinite(information).all():
                raise ConvergenceError("the Cox likelihood overflowed on the way to its maximum")
            step = np.linalg.lstsq(information, score, rcond=None)[0]
            if 0.5 * float(score @ step) <= DECREMENT_TOLERANCE:
                self._refuse_separation(state, information, at_zero=at_zero)
                return self.at(state.beta + step), iteration
            noise = np.finfo(self.Z.dtype).eps * abs(state.objective)
            proposal = self.at(state.beta + step)
            while not proposal.objective >= state.objective - noise:
                if np.abs(step).max() < 1e-9:
                    self._refuse_separation(state, information, at_zero=at_zero)
                    raise ConvergenceError("no step from the current estimate raises the likelihood")
                step = step / 2
                proposal = self.at(state.beta + step)
            state = proposal
        self._refuse_separation(state, self.information(state), at_zero=at_zero)
        raise ConvergenceError(f"the Cox likelihood did not settle in {MAX_ITERATIONS} iterations")

    def _refuse_separation(self, state: _State, information: Floats, *, at_zero: Floats) -> None:
        if self.ridge > 0:  # the prior bounds every direction
            return
        is_at_risk = self.cells.stop >= self.cells.start
        direction = separating_direction(
            information,
            at_zero,
            log_hazards=lambda change: (self.Z @ change.astype(self.Z.dtype))[is_at_risk],
            loglik=lambda change: self.at(state.beta + change).objective,
        )
        if direction is not None:
            raise SeparationError(
                "the likelihood has no maximum: covariates {} separate events from non-events; leave them out or fit "
                "with a ridge",
                columns_of(direction),
            )


def fit_cox(
    data: SurvivalData,
    *,
    ties: str = "efron",
    ridge: float = 0.0,
    hazard_horizons: ArrayLike = (),
    start: Floats | None = None,
) -> CoxFit:
    """Maximise the partial likelihood by Newton's method with step halving.

    Args:
        data: checked rows.
        ties: ``efron`` or ``breslow``.
        ridge: precision of a Normal(0, 1/ridge) prior on each coefficient per standard deviation of its
            covariate; 0 is the plain likelihood.
        hazard_horizons: times at which to estimate the robust uncertainty of the baseline (needs clusters, no strata).
        start: coefficients to start from, in the covariates' units.

    Raises:
        CollinearityError: where a covariate is constant or a combination of others.
        SeparationError: where the likelihood has no maximum; with a ridge above 0 it has one.
        ConvergenceError: after 60 iterations, or where the likelihood overflows.
        ValueError: for other ties, a negative ridge, a horizon below 0, or a start of another length.
    """
    one_of(ties, "ties", choices=("efron", "breslow"))
    number(ridge, "ridge", low=0.0)
    horizons = numbers(hazard_horizons, "hazard horizon", low=0.0)
    null = np.zeros(data.X.shape[1])
    first = null if start is None else numbers(start, "start", like=null.shape)
    centre, spread = _moments(data)
    Z = data.X - centre.astype(data.X.dtype)
    Z /= spread.astype(data.X.dtype)
    cells = pl.cells_of(data.stop_times, data.events, strata=data.strata, entry_times=data.entry_times)
    objective = _Objective(Z, data, cells=cells, is_efron=ties == "efron", ridge=ridge)
    loglik_null = objective.at(null).loglik
    state, iterations = objective.maximise(first * spread)
    covariance = np.linalg.inv(objective.information(state))
    residuals = hazards = None
    if data.clusters is not None:
        scores = pl.clustered_score_residuals(
            Z,
            data.weights,
            linear=state.linear,
            events=data.events,
            cells=cells,
            clusters=data.clusters,
            n_clusters=data.n_clusters,
            sums=state.sums,
            scalars=state.scalars,
        )
        residuals = scores @ covariance
        hazards = _hazard_residuals(data, cells, state=state, residuals=residuals, horizons=horizons)
    del Z, objective  # ranking the rows needs as much memory again
    scale = np.outer(spread, spread)
    robust = None if residuals is None else (residuals.T @ residuals) / scale
    cumulative = np.concatenate(
        [np.cumsum(state.scalars[cells.stratum == code, 0]) for code in np.unique(cells.stratum)]
    )
    return CoxFit(
        coefficients=state.beta / spread,
        covariance=covariance / scale,
        robust_covariance=robust,
        loglik=state.loglik,
        loglik_null=loglik_null,
        concordance=concordance_index(
            data.stop_times, data.events, scores=state.linear, strata=data.strata, entry_times=data.entry_times
        ),
        centre=centre,
        baseline_times=cells.times,
        baseline_stratum=cells.stratum,
        baseline_cumulative_hazard=cumulative,
        hazard_horizons=horizons if hazards is not None else np.empty(0),
        hazard_covariance=_joint_covariance(hazards, residuals, spread=spread),
        ties=ties,
        ridge=ridge,
        n=len(data.stop_times),
        n_events=int(data.events.sum()),
        n_clusters=data.n_clusters,
        iterations=iterations,
    )


def _moments(data: SurvivalData) -> tuple[Floats, Floats]:
    """(p,) weighted means and standard deviations; refuses constant covariates."""
    p = data.X.shape[1]
    total = data.weights.sum()
    centre, squares = np.zeros(p), np.zeros(p)
    origin = data.X[0].astype(np.float64)
    for begin in range(0, len(data.X), 500_000):  # in blocks, so that a float32 panel is not copied whole to float64
        block = data.X[begin : begin + 500_000].astype(np.float64) - origin
        weights = data.weights[begin : begin + 500_000]
        centre += weights @ block
        squares += weights @ block**2
    centre, squares = centre / total, squares / total
    spread = np.sqrt(np.maximum(squares - centre**2, 0.0))
    centre = centre + origin
    constant = np.flatnonzero(spread <= 1e-9 * np.maximum(1.0, np.abs(centre)))
    if len(constant):
        raise CollinearityError(
            f"covariates {{}} are constant over all {len(data.events)} rows; leave them out", tuple(constant.tolist())
        )
    return centre, spread


def _hazard_residuals(
    data: SurvivalData, cells: pl.Cells, *, state: _State, residuals: Floats, horizons: Floats
) -> Floats | None:
    """(n_clusters, m) influence of each cluster on the log cumulative baseline hazard at each horizon."""
    if len(horizons) == 0 or data.clusters is None or len(np.unique(data.strata)) > 1:
        return None
    last = np.searchsorted(cells.times, horizons, side="right") - 1
    direct = pl.clustered_hazard_residuals(
        data.weights,
        state.linear,
        events=data.events,
        cells=cells,
        clusters=data.clusters,
        n_clusters=data.n_clusters,
        sums=state.sums,
        scalars=state.scalars,
        last_cells=last,
    )
    slope = np.cumsum(state.sums.S1 * state.scalars[:, 2:3] - state.sums.D1 * state.scalars[:, 3:4], axis=0)[last]
    cumulative = np.cumsum(state.scalars[:, 0])[last]
    early = last < 0
    influence = (direct - residuals @ slope.T) / np.where(early, np.inf, cumulative)
    return np.asarray(influence)


def _joint_covariance(hazards: Floats | None, residuals: Floats | None, *, spread: Floats) -> Floats:
    if hazards is None or residuals is None:
        return np.empty((0, len(spread) + 1))
    return np.asarray(np.column_stack([(hazards.T @ residuals) / spread, (hazards**2).sum(axis=0)]))
