"""What a week's fit knows before it sees scores: the look-back, and priors from the platform's own earlier fits.

The fit of a week reads stored fits of earlier weeks alone, and only one whose week ended before the look-back begins. So
weeks that are computed oldest first, as a run does, give the same fits whether they run week by week or all at once.
"""

from __future__ import annotations

import datetime as dt
from dataclasses import dataclass
from typing import Any

import numpy as np
from sqlalchemy import Connection, text

from seedtest_analytics.assets.framework.week_run import WeekRun
from seedtest_analytics.assets.growth.bayesian.fit import priors_of
from seedtest_analytics.assets.growth.bayesian.scores import are_shares
from seedtest_analytics.assets.growth.lookback import first_monday_of
from seedtest_analytics.database.sql_files import statement
from seedtest_analytics.partitions import WEEK, Week
from seedtest_analytics.settings import GrowthSettings
from seedtest_analytics.stats.growth.evidence import lookback_weeks, narrowed, weight_of
from seedtest_analytics.stats.growth.priors import GrowthPriors

_EARLIER = text("""
SELECT run_id, week_start, draws
FROM growth_brms_meta
WHERE is_usable AND draws IS NOT NULL AND week_start < :before
    AND model_spec ->> 'family' = :family AND model_spec ->> 'score_unit' = :unit
ORDER BY week_start DESC
LIMIT 1
""")


@dataclass(frozen=True)
class EarlierFit:
    """The fit that the priors of gains come from, and what it counts; 1 would be all of its students."""

    run_id: str
    week_start: dt.date
    weight: float

    def to_json(self) -> dict[str, Any]:
        """For model_spec."""
        return {"run_id": self.run_id, "week_start": self.week_start.isoformat(), "weight": round(self.weight, 4)}


@dataclass(frozen=True)
class Evidence:
    """Look-back and priors of a week's fit.

    Attributes:
        history_weeks: calendar weeks from the first attempt to the end of the week.
        lookback_weeks: calendar weeks of scores.
        priors: of the fit.
        earlier: where the priors of gains come from; None: the contract or BRMS_PRIORS.
    """

    history_weeks: int
    lookback_weeks: int
    priors: GrowthPriors
    earlier: EarlierFit | None


def evidence_of(run: WeekRun) -> Evidence:
    """Look-back and priors as the settings and the stored fits give them. Raises SettingsError for BRMS_PRIORS."""
    settings = run.settings.growth
    history = history_weeks(run.connection, run.week)
    lookback = settings.lookback_weeks or lookback_weeks(history)
    priors, earlier = priors_of(settings), None
    if settings.prior_source == "history":
        priors, earlier = _narrowed(run.connection, run.week, priors=priors, lookback=lookback, settings=settings)
    if earlier is not None:
        run.log.info(
            f"week of {run.week.key}: priors of gains from growth fit {earlier.run_id}, which counts {earlier.weight:.2f}"
        )
    return Evidence(history, lookback, priors, earlier=earlier)


def history_weeks(connection: Connection, week: Week) -> int:
    """Weeks from the first attempt to the end of the week, the first one counted whole."""
    first: dt.datetime | None = connection.execute(
        statement("attempts/report.sql", "first_at"), {"as_of": week.as_of}
    ).scalar_one()
    return 0 if first is None else -((first - week.as_of) // WEEK)


def _narrowed(
    connection: Connection, week: Week, *, priors: GrowthPriors, lookback: int, settings: GrowthSettings
) -> tuple[GrowthPriors, EarlierFit | None]:
    """The priors that BRMS_PRIORS does not give, from the newest usable fit that shares no answer with the look-back."""
    parameters = {
        "before": first_monday_of(week, lookback),
        "family": settings.family,
        "unit": "share right" if are_shares(settings) else "logit",
    }
    row = connection.execute(_EARLIER, parameters).one_or_none()
    keeps_gain, keeps_sd = "week" in settings.priors, bool({"sd", "sd_week"} & set(settings.priors))
    if row is None or (keeps_gain and keeps_sd):
        return priors, None
    distance = (week.start - row.week_start) / WEEK
    found = narrowed(priors, np.array(row.draws["theta"]), distance_weeks=distance)
    chosen = GrowthPriors(
        priors.intercept,
        priors.week if keeps_gain else found.week,
        sd=priors.sd,
        sigma=priors.sigma,
        lkj_eta=priors.lkj_eta,
        sd_week=priors.sd_week if keeps_sd else found.sd_week,
    )
    return chosen, EarlierFit(row.run_id, row.week_start, weight_of(distance))
