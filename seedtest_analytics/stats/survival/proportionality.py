"""Score test of proportional hazards, as R's ``cox.zph`` (survival 3).

    h(t | x) = h0(t) exp((β + θ g(t))'x),   g(t) = 1 - KM(t-),   null hypothesis θ = 0

Grambsch & Therneau (1994), with the exact variance.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import stats

from seedtest_analytics.stats.survival import partial_likelihood as pl
from seedtest_analytics.stats.survival.cox import CoxFit, SurvivalData
from seedtest_analytics.stats.survival.kaplan_meier import kaplan_meier

Floats = NDArray[np.float64]


@dataclass(frozen=True)
class ProportionalityTest:
    """One row a covariate and, last, the global test.

    ``chi_square``, ``p_value`` (p + 1,); ``trend`` (p,) is the one-step estimate of θ, the change of the coefficient
    from the first event to the last. Rows of one cluster are treated as independent, so with many landmarks per student
    the p-value is too small; read the trend with it.
    """

    chi_square: Floats
    p_value: Floats
    trend: Floats


def proportionality_test(data: SurvivalData, fit: CoxFit) -> ProportionalityTest:
    """Test a time trend in each coefficient, and in all of them."""
    cells = pl.cells_of(data.stop_times, data.events, strata=data.strata, entry_times=data.entry_times)
    spread = np.std(data.X, axis=0, dtype=np.float64)
    Z = np.ascontiguousarray((data.X - fit.centre) / spread)
    linear = Z @ (fit.coefficients * spread)
    sums = pl.risk_sums(Z, data.weights, linear=linear, events=data.events, cells=cells)
    scalars = pl.efron_scalars(sums, is_efron=fit.ties == "efron")
    times, survival = kaplan_meier(data.stop_times, data.events, entry_times=data.entry_times)
    before = np.concatenate([[1.0], survival[:-1]])
    g = (1.0 - before)[np.searchsorted(times, cells.times)]
    plain = pl.information(sums, scalars) + fit.ridge * np.eye(Z.shape[1])
    cross = pl.information(sums, scalars, cell_weights=g)
    squared = pl.information(sums, scalars, cell_weights=g**2)
    score = (pl.cell_scores(sums, scalars) * g[:, None]).sum(axis=0)
    within = squared - cross @ np.linalg.solve(plain, cross)
    single = np.diag(within)
    chi_square = np.append(score**2 / single, score @ np.linalg.solve(within, score))
    p = len(score)
    p_value = stats.chi2.sf(chi_square, np.append(np.ones(p), p))
    return ProportionalityTest(chi_square, p_value, trend=score / single / spread)
