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

from seedtest_analytics.stats.survival import partial_likelihood as pl
from seedtest_analytics.stats.survival.concordance import concordance_index
from seedtest_analytics.stats.survival.errors import (
    CollinearityError,
    ConvergenceError,
    NoEventsError,
    SeparationError,
    SurvivalDataError,
)

Floats = NDArray[np.float64]
Bools = NDArray[np.bool_]

MAX_ITERATIONS = 40
DECREMENT_TOLERANCE = 1e-9
"""Remaining gain in log likelihood (nats, by the quadratic approximation) at which one last step ends the iterations.

The change of the likelihood itself does not work: on millions of float32 rows its rounding noise exceeds any useful
tolerance, and the search halved steps without end."""
STEP_OF_A_RUNAWAY = 0.05
"""A last step longer than this, in standard deviations of a covariate, means that there is no maximum."""


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
    """Validate and code the input of a fit.

    Raises:
        SurvivalDataError: for missing or impossible values; the message names the first bad rows.
        NoEventsError: where every row is censored.
    """
    matrix = np.ascontiguousarray(np.atleast_2d(np.asarray(X)))
    if matrix.dtype != np.float32:
        matrix = matrix.astype(np.float64, copy=False)
    times = np.asarray(stop_times, dtype=np.float64)
    died = np.asarray(events).astype(bool)
    n = len(times)
    weight = np.ones(n) if weights is None else np.asarray(weights, dtype=np.float64)
    entry = None if entry_times is None else np.asarray(entry_times, dtype=np.float64)
    if matrix.shape[0] != n or len(died) != n or len(weight) != n:
        raise SurvivalDataError(f"covariates {matrix.shape}, times ({n},), events ({len(died)},) differ in rows")
    _refuse(
        ~np.isfinite(matrix).all(axis=1), "a missing or infinite covariate", remedy="impute or leave out those rows"
    )
    _refuse(~(np.isfinite(times) & (times >= 0)), "a missing or negative time", remedy="check how durations were made")
    _refuse(~(np.isfinite(weight) & (weight >= 0)), "a missing or negative weight", remedy="use weights of 0 or more")
    if entry is not None:
        _refuse(~(entry < times), "an entry that is not before its end", remedy="leave out rows of no length")
    if not died.any():
        raise NoEventsError(f"none of the {n} rows has an event; a hazard cannot be estimated from them")
    stratum_codes = np.zeros(n, dtype=np.int32)
    if strata is not None:
        stratum_codes = np.unique(np.asarray(strata), return_inverse=True)[1].astype(np.int32)
    codes, n_clusters = None, 0
    if clusters is not None:
        labels, inverse = np.unique(np.asarray(clusters), return_inverse=True)
        codes, n_clusters = inverse.astype(np.int32), len(labels)
    return SurvivalData(
        matrix,
        times,
        events=died,
        weights=weight,
        strata=stratum_codes,
        entry_times=entry,
        clusters=codes,
        n_clusters=n_clusters,
    )


def _refuse(bad: Bools, what: str, *, remedy: str) -> None:
    if bad.any():
        rows = np.flatnonzero(bad)
        raise SurvivalDataError(f"{len(rows)} rows have {what} (first rows: {rows[:5].tolist()}); {remedy}")


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

    def maximise(self, beta: Floats) -> tuple[_State, int]:
        """Newton's method with step halving; the maximum and the number of iterations."""
        state = self.at(beta)
        for iteration in range(1, MAX_ITERATIONS + 1):
            score = pl.cell_scores(state.sums, state.scalars).sum(axis=0) - self.ridge * state.beta
            step = _solve(self.information(state), score, beta=state.beta)
            if 0.5 * float(score @ step) <= DECREMENT_TOLERANCE:
                _refuse_runaway(step)
                return self.at(state.beta + step), iteration
            noise = np.finfo(self.Z.dtype).eps * abs(state.objective)
            proposal = self.at(state.beta + step)
            while not proposal.objective >= state.objective - noise:
                if np.abs(step).max() < 1e-9:
                    raise ConvergenceError("no step from the current estimate raises the likelihood")
                step = step / 2
                proposal = self.at(state.beta + step)
            state = proposal
        raise ConvergenceError(f"the Cox likelihood did not settle in {MAX_ITERATIONS} iterations")


def fit_cox(
    data: SurvivalData,
    *,
    ties: str = "efron",
    ridge: float = 0.0,
    hazard_horizons: tuple[float, ...] = (),
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
        ConvergenceError: after 40 iterations.
    """
    if ties not in ("efron", "breslow"):
        raise ValueError(f"ties must be 'efron' or 'breslow', not {ties!r}")
    centre, spread = _moments(data)
    Z = data.X - centre.astype(data.X.dtype)
    Z /= spread.astype(data.X.dtype)
    cells = pl.cells_of(data.stop_times, data.events, strata=data.strata, entry_times=data.entry_times)
    objective = _Objective(Z, data, cells=cells, is_efron=ties == "efron", ridge=ridge)
    null = np.zeros(Z.shape[1])
    loglik_null = objective.at(null).loglik
    state, iterations = objective.maximise(null if start is None else np.asarray(start) * spread)
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
        hazards = _hazard_residuals(data, cells, state=state, residuals=residuals, horizons=hazard_horizons)
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
        hazard_horizons=np.asarray(hazard_horizons if hazards is not None else (), dtype=np.float64),
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
            f"covariates {constant.tolist()} are constant over all {len(data.events)} rows; leave them out"
        )
    return centre, spread


def _solve(information: Floats, score: Floats, *, beta: Floats) -> Floats:
    eigenvalues = np.linalg.eigvalsh(information)
    if not np.isfinite(eigenvalues).all() or eigenvalues[0] <= 1e-10 * max(eigenvalues[-1], 1e-300):
        if np.abs(beta).max() > 5.0:
            raise SeparationError(_separation_message(np.flatnonzero(np.abs(beta) > 5.0)))
        raise CollinearityError(
            "the information matrix is singular: a covariate is a combination of others; leave it out"
        )
    return np.asarray(np.linalg.solve(information, score), dtype=np.float64)


def _refuse_runaway(step: Floats) -> None:
    runaway = np.flatnonzero(np.abs(step) > STEP_OF_A_RUNAWAY)
    if len(runaway):
        raise SeparationError(_separation_message(runaway))


def _separation_message(columns: NDArray[np.intp]) -> str:
    return (
        f"the likelihood has no maximum: covariates {columns.tolist()} separate events from non-events; "
        "leave them out or fit with a ridge"
    )


def _hazard_residuals(
    data: SurvivalData, cells: pl.Cells, *, state: _State, residuals: Floats, horizons: tuple[float, ...]
) -> Floats | None:
    """(n_clusters, m) influence of each cluster on the log cumulative baseline hazard at each horizon."""
    if not horizons or data.clusters is None or len(np.unique(data.strata)) > 1:
        return None
    last = np.searchsorted(cells.times, np.asarray(horizons), side="right") - 1
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
