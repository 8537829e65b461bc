"""The steps of `seedtest materialize`: which jobs run over which range, in which order."""

from __future__ import annotations

import datetime as dt
from collections.abc import Collection, Iterable, Iterator
from dataclasses import dataclass, replace

import typer


@dataclass(frozen=True)
class Step:
    """One run: a job and the range of its partitions (None: not partitioned).

    If an optional step fails (no R, an unusable fit), the other steps continue. ``without`` names assets of the job that
    a later step computes.
    """

    job: str
    title: str
    first: dt.date | None = None
    last: dt.date | None = None
    is_optional: bool = False
    without: tuple[str, ...] = ()

    @property
    def n_weeks(self) -> int:
        """Weeks in the range."""
        return 1 + (self.last - self.first).days // 7 if self.first and self.last else 1

    @property
    def tags(self) -> dict[str, str]:
        """Tags that select the whole range in one run."""
        if self.first is None or self.last is None:
            return {}
        return {
            "dagster/asset_partition_range_start": self.first.isoformat(),
            "dagster/asset_partition_range_end": self.last.isoformat(),
        }


SOURCE_STEPS = (Step("observe_source_tables", "source tables"), Step("sync_attempts", "attempts"))
"""The steps that need no range of days. They fill the attempt log, which gives the range of the others."""


def plan(
    first: dt.date,
    last: dt.date,
    *,
    today: dt.date,
    reports: bool,
    includes_running_week: bool = False,
    fits_every_week: bool = True,
) -> Iterator[Step]:
    """The steps after the sync of attempts, in the order of the graph.

    ``fits_every_week=False`` fits growth, forecasts, segments and drift, and audits predictions by group, in the newest
    closed week alone; no other asset needs the earlier ones.
    """
    from seedtest_analytics.partitions import WEEK, monday_of

    weeks = monday_of(first), monday_of(today if includes_running_week else last)
    yield Step("calibrate_irt", f"calibration and abilities, {weeks[0]} to {weeks[1]}", *weeks)
    day = today if includes_running_week else last
    yield Step("aggregate_features_daily", f"daily features, {first} to {day}", first=first, last=day)
    newest = min(monday_of(today) - WEEK, weeks[1])
    has_closed = newest >= weeks[0]
    closed = (weeks[0] if fits_every_week else newest), newest
    if has_closed:
        yield Step("fit_growth_glmm", f"mixed model, {closed[0]} to {newest}", *closed, is_optional=True)
        growth = closed[0], weeks[1] if includes_running_week else newest
        yield Step("fit_bayesian_growth", f"Bayesian growth, {growth[0]} to {growth[1]}", *growth, is_optional=True)
    # S needs the churn fits, and these need the other KPIs of earlier weeks: the churn job computes S.
    yield Step("compute_daily_kpis", f"weekly KPIs, {weeks[0]} to {weeks[1]}", *weeks, without=("weekly_kpi/S",))
    yield Step("fit_survival_churn", f"churn fits and risks, {weeks[0]} to {weeks[1]}", *weeks)
    if has_closed:
        yield Step("write_weekly_messages", f"messages, week of {newest}", first=newest, last=newest)
        yield Step("forecast_prophet", f"forecasts and anomalies, {closed[0]} to {newest}", *closed)
        yield Step("cluster_segments", f"segments, {closed[0]} to {newest}", *closed)
        yield Step("irt_drift_monitor", f"item drift, {closed[0]} to {newest}", *closed)
    audited = () if fits_every_week else ("fairness_audit",)
    yield Step("backtest_predictions", f"backtest, {weeks[0]} to {weeks[1]}", *weeks, without=audited)
    if audited and has_closed:
        judged = ("prediction_backtest",)
        yield Step("backtest_predictions", f"audit by group, week of {newest}", *closed, without=judged)
    if reports and has_closed:
        yield Step("generate_weekly_report", f"reports, week of {newest}", first=newest, last=newest)
        yield Step("generate_cohort_reports", f"pages of classes, week of {newest}", first=newest, last=newest)


def chosen(steps: Iterable[Step], only: Collection[str]) -> list[Step]:
    """The steps of the named jobs, each as a whole. Raises typer.BadParameter for an unknown job."""
    found = list(steps)
    names = [step.job for step in (*SOURCE_STEPS, *found)]
    unknown = sorted(set(only) - set(names))
    if unknown:
        raise typer.BadParameter(f"unknown job: {', '.join(unknown)}. The jobs of these days are {', '.join(names)}")
    return [replace(step, without=()) for step in found if step.job in only]
