"""Stores draws of a growth fit and reads them back, for predictions on demand."""

from __future__ import annotations

import datetime as dt
from dataclasses import dataclass
from typing import Any

import numpy as np
from sqlalchemy import Connection, text

from seedtest_analytics.assets.growth.bayesian.fit import GrowthFit
from seedtest_analytics.stats.growth.counts import CountData
from seedtest_analytics.stats.growth.posterior import GrowthPosterior, Thresholds
from seedtest_analytics.stats.growth.prediction import hyper_draws_needed
from seedtest_analytics.stats.growth.priors import GrowthPriors

LEAST_DRAWS, DIGITS = 400, 8
COLUMNS = ("intercept_at_week_mean", "week", "log_sd_intercept", "log_sd_week", "atanh_correlation", "log_sigma")

_NEWEST_USABLE = text("""
SELECT run_id, week_start, priors, model_spec, draws
FROM growth_brms_meta
WHERE is_usable AND draws IS NOT NULL AND model_spec ->> 'family' = 'gaussian'
    AND (CAST(:week_start AS date) IS NULL OR week_start = :week_start)
ORDER BY week_start DESC
LIMIT 1
""")


class NoGrowthFitError(LookupError):
    """There is no usable growth fit to predict from; the message says what to run."""


@dataclass(frozen=True)
class StoredFit:
    """A usable fit as read back. ``score_unit`` is the unit of its scores."""

    run_id: str
    week_start: dt.date
    score_unit: str
    posterior: GrowthPosterior


def draws_to_json(fit: GrowthFit) -> dict[str, Any]:
    """Equally weighted draws, no fewer than predictions use, and the line that the stored sums are residuals from."""
    posterior = fit.posterior
    theta = posterior.hyper_draws(max(LEAST_DRAWS, hyper_draws_needed(posterior.n_students)))
    rounded = [[float(f"{value:.{DIGITS}g}") for value in row] for row in theta]
    return {
        "columns": list(COLUMNS[: theta.shape[1]]),
        "theta": rounded,
        "week_mean": posterior.week_mean,
        "last_week": posterior.last_week,
        "reference": None if isinstance(fit.data, CountData) else list(fit.data.reference),
    }


def stored_fit(connection: Connection, week_start: dt.date | None = None) -> StoredFit:
    """The newest usable gaussian fit, or that of a week. Raises :class:`NoGrowthFitError`."""
    row = connection.execute(_NEWEST_USABLE, {"week_start": week_start}).one_or_none()
    if row is None:
        which = f"for the week of {week_start}" if week_start else "yet"
        raise NoGrowthFitError(
            f"there is no usable gaussian growth fit {which}; materialise growth_brms_meta for a closed week first"
        )
    spec = row.model_spec
    # The verdict used all draws when the fit was stored. A thinned sample cannot be judged again.
    judged = Thresholds(max_rhat=np.inf, min_ess=0.0)
    posterior = GrowthPosterior(
        family="gaussian",
        method=spec["method"],
        theta=np.array(row.draws["theta"])[None],
        weights=None,
        priors=GrowthPriors.from_json(row.priors),
        seed=spec["seed"],
        week_mean=row.draws["week_mean"],
        last_week=row.draws["last_week"],
        n_students=spec["students"],
        n_scores=spec["scores"],
        thresholds=judged,
    )
    return StoredFit(row.run_id, row.week_start, score_unit=spec["score_unit"], posterior=posterior)
