"""Where a student is heading: the goal, the projection, and the pace that the goal needs beside the student's own."""

from __future__ import annotations

import datetime as dt
from dataclasses import dataclass
from statistics import NormalDist
from typing import Literal

from seedtest_analytics.reporting.document import BayesianGrowth, ReportDocument
from seedtest_analytics.reporting.levels import newest_ability
from seedtest_analytics.reporting.summary import Z_95
from seedtest_analytics.stats.verification.verdict_words import BASE_RATE

DOTS = 50
Verdict = Literal["reached", "near", "ahead", "on_the_way", "open", "out_of_reach"]
LIKELY, UNLIKELY = 0.8, 0.2
"""Words about the pace agree with P: a goal is reached or out of reach only beyond these."""


@dataclass(frozen=True)
class Outlook:
    """The goal and the projection that P is about, in logits or in shares right."""

    p: float
    target: float
    expected: float | None
    sd: float | None
    date: dt.date | None
    is_share: bool
    is_own_goal: bool
    assumes_practice: bool
    n_weeks: int | None = None
    """Weeks of the growth fit whose line the projection follows."""

    @property
    def filled(self) -> int:
        """Of DOTS possible outcomes, those that reach the goal; 0 and all only where P is 0 or 1 to three digits."""
        n = round(DOTS * self.p)
        return min(DOTS - 1, max(1, n)) if 0.0005 < self.p < 0.9995 else n

    def quantiles(self) -> list[float]:
        """DOTS equally likely outcomes of the projected score; empty where the projection is not known."""
        if self.expected is None or not self.sd:
            return []
        projected = NormalDist(self.expected, self.sd)
        return [projected.inv_cdf((i + 0.5) / DOTS) for i in range(DOTS)]


@dataclass(frozen=True)
class PaceNeeded:
    """The pace that reaches the goal in time beside the student's own with its 95% limits; logits a week."""

    needed: float
    own: float
    low: float
    high: float
    verdict: Verdict


def assumes_practice(document: ReportDocument) -> bool:
    """Whether P projects the student's own growth, so that its sentences say "if practice continues".

    An ability of today grows by nothing, and the share of all (by its verdict) is about no student.
    """
    is_projected = document.kpi_text("P_method") == "bayesian" or document.kpi_text("P_assumption") is not None
    return is_projected and document.kpi_text("P_verdict") != BASE_RATE


def outlook(document: ReportDocument) -> Outlook | None:
    """The outlook behind P of the week; None without P or a target."""
    p, fit = document.kpi("P"), document.bayesian_growth
    if p is None:
        return None
    is_own, assumes = document.kpi_text("P_target_source") == "interest_goal", assumes_practice(document)
    if document.kpi_text("P_method") == "bayesian" and fit is not None and fit.target is not None:
        return _of_fit(p, fit, is_own=is_own, assumes=assumes)
    target, expected = document.kpi("P_target"), document.kpi("P_projected")
    if target is None:
        return None
    return Outlook(
        p,
        target,
        expected=document.kpi("theta") if expected is None else expected,
        sd=document.kpi("sigma"),
        date=_date(document.kpi_text("P_horizon_date")),
        is_share=False,
        is_own_goal=is_own,
        assumes_practice=assumes,
    )


def _of_fit(p: float, fit: BayesianGrowth, *, is_own: bool, assumes: bool) -> Outlook:
    assert fit.target is not None
    return Outlook(
        p,
        fit.target,
        expected=fit.projected,
        sd=fit.sigma,
        date=fit.horizon_date,
        is_share=fit.is_share,
        is_own_goal=is_own,
        assumes_practice=assumes,
        n_weeks=fit.n_weeks,
    )


def _date(value: str | None) -> dt.date | None:
    try:
        return dt.date.fromisoformat(value or "")
    except ValueError:
        return None


def pace(document: ReportDocument) -> PaceNeeded | None:
    """The needed and the own pace; None where the goal's day, the ability or the own pace is not known."""
    found, ability, own = outlook(document), newest_ability(document), _own_pace(document)
    if found is None or found.is_share or found.date is None or ability is None or own is None:
        return None
    # From the instant that ends the week, as in `student_growth`.
    weeks = ((found.date - document.week_end).days - 1) / 7
    if weeks < 1:
        return None
    needed = (found.target - ability.theta) / weeks
    per_week, se = own
    low, high = per_week - Z_95 * se, per_week + Z_95 * se
    return PaceNeeded(needed, per_week, low=low, high=high, verdict=_verdict(needed, low, high=high, p=found.p))


def _verdict(needed: float, low: float, *, high: float, p: float) -> Verdict:
    """The pace against what the goal needs, as far as the goal probability ``p`` says the same."""
    if needed <= 0:
        return "reached" if p >= LIKELY else "near"
    if high < needed:
        return "out_of_reach" if p < UNLIKELY else "open"
    if p < 0.5 or (low + high) / 2 < needed:
        return "open"
    return "ahead" if low >= needed else "on_the_way"


def _own_pace(document: ReportDocument) -> tuple[float, float] | None:
    """Pace and standard error in logits a week: of the growth fit behind P, else of ability over time."""
    fit, own = document.bayesian_growth, document.ability_pace
    is_of_fit = document.kpi_text("P_method") == "bayesian" and fit is not None and not fit.is_share
    if is_of_fit and fit is not None and fit.slope_per_week is not None and fit.slope_sd is not None:
        return fit.slope_per_week, fit.slope_sd
    return None if own is None or own.se is None else (own.per_week, own.se)
