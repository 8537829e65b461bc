"""The legacy CronJobs as one chain: calibrate, then features, then KPIs, then on Mondays the report.

Each link keeps a time of day, as its CronJob had one, but the clock alone does not order them: a link that comes due
while its upstream is still running waits and follows when that has ended; after a failed upstream it runs at its
time with the last good data. Where an upstream of the date is due later than the link itself, its time is the link's.
Requested twice for one date it runs once.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import dagster as dg
from dagster._core.storage.tags import (
    ASSET_PARTITION_RANGE_END_TAG,
    ASSET_PARTITION_RANGE_START_TAG,
    WILL_RETRY_TAG,
)

from seedtest_analytics.partitions import DAY, PLATFORM, WEEK, monday_of
from seedtest_analytics.schedules import jobs
from seedtest_analytics.settings import load_settings

DUE_TAG = "seedtest/due"
UNDER_WAY = [
    dg.DagsterRunStatus.QUEUED,
    dg.DagsterRunStatus.NOT_STARTED,
    dg.DagsterRunStatus.STARTING,
    dg.DagsterRunStatus.STARTED,
]
GOOD = [*UNDER_WAY, dg.DagsterRunStatus.SUCCESS]

Range = Callable[[dt.date], tuple[dt.date, dt.date]]


FEWEST_JUDGED_WEEKS = 9
"""A month or two is looked at again whatever the settings: goals with a date of their own, answers that came late."""


@dataclass(frozen=True)
class Link:
    """One job of the chain: when it is due, which partitions it computes, what it waits for."""

    job: Any
    name: str
    cron: str
    partitions: Range
    after: str | None
    description: str
    also_after: tuple[str, ...] = ()
    last_call: str | None = None
    """Cron of a second tick, for the days with an upstream that is due later: it may be switched off."""

    @property
    def upstreams(self) -> tuple[str, ...]:
        """Every link that this one waits for."""
        return (*((self.after,) if self.after else ()), *self.also_after)


def weeks_due(today: dt.date) -> tuple[dt.date, dt.date]:
    """The running week; on Mondays the closed week too, so that Sunday's answers enter it."""
    return monday_of(today - DAY), monday_of(today)


def days_due(today: dt.date) -> tuple[dt.date, dt.date]:
    """The last AGG_LOOKBACK_DAYS days up to yesterday."""
    return today - load_settings().features.lookback_days * DAY, today - DAY


def weeks_to_judge(today: dt.date) -> tuple[dt.date, dt.date]:
    """The closed weeks whose outcomes may have become known since last Monday."""
    last = monday_of(today) - WEEK
    first = max(last - _judged_horizon() * WEEK, monday_of(PLATFORM.start_date))
    return min(first, last), last


def _judged_horizon() -> int:
    """Weeks from the end of a week until the outcomes of all that the settings let it predict are known.

    A goal's own date may lie further ahead; it is in no setting.
    """
    settings = load_settings()
    return max(
        FEWEST_JUDGED_WEEKS - 1,
        -(-settings.kpis.churn_horizon_days // 7),
        settings.growth.goal_horizon_weeks,
        settings.backtest.ability_horizon_weeks,
        settings.forecast.forecast_weeks,
    )


def last_week(today: dt.date) -> tuple[dt.date, dt.date]:
    """The last closed week."""
    return monday_of(today) - WEEK, monday_of(today) - WEEK


LINKS = (
    Link(
        jobs.calibrate_irt,
        "calibrate_irt",
        cron="0 3 * * *",
        partitions=weeks_due,
        after=None,
        description="Legacy calibrate-irt-weekly, mirt-calibrate.",
    ),
    Link(
        jobs.aggregate_features_daily,
        "aggregate_features_daily",
        cron="25 3 * * *",
        partitions=days_due,
        after="calibrate_irt",
        description="Legacy aggregate-features-daily (02:25), an hour later: after the calibration that it reads.",
    ),
    Link(
        jobs.fit_growth_glmm,
        "fit_growth_glmm",
        cron="30 3 * * 1",
        partitions=last_week,
        after="calibrate_irt",
        description="Legacy fit-growth-glmm, glmm-fit-progress-weekly: the mixed model of the last closed week.",
    ),
    Link(
        jobs.compute_daily_kpis,
        "compute_daily_kpis",
        cron="10 4 * * *",
        partitions=weeks_due,
        after="aggregate_features_daily",
        description="Legacy compute-daily-kpis (02:10), two hours later: after calibration and features.",
    ),
    Link(
        jobs.fit_bayesian_growth,
        "fit_bayesian_growth",
        cron="30 4 * * 1",
        partitions=last_week,
        after="compute_daily_kpis",
        description="Legacy fit-bayesian-growth: the last closed week, and P by its posterior.",
    ),
    Link(
        jobs.refresh_goal_probability,
        "refresh_goal_probability",
        cron="50 5 * * 1",
        partitions=last_week,
        after="fit_bayesian_growth",
        description="Before the report: where the growth fit fell short its run stopped before P.",
    ),
    Link(
        jobs.fit_survival_churn,
        "fit_survival_churn",
        cron="0 5 * * *",
        partitions=weeks_due,
        after="compute_daily_kpis",
        description="Legacy fit-survival-churn: after the KPIs that are its covariates.",
    ),
    Link(
        jobs.forecast_prophet,
        "forecast_prophet",
        cron="0 5 * * 1",
        partitions=last_week,
        after="compute_daily_kpis",
        description="Legacy forecast-prophet: the last closed week.",
    ),
    Link(
        jobs.cluster_segments,
        "cluster_segments",
        cron="0 7 1,15 * *",
        partitions=last_week,
        after=None,
        description="Legacy cluster-segments: on the 1st and the 15th.",
    ),
    Link(
        jobs.backtest_predictions,
        "backtest_predictions",
        cron="30 5 * * 1",
        partitions=weeks_to_judge,
        after="fit_survival_churn",
        description="New: the weeks whose outcomes have become known.",
    ),
    Link(
        jobs.irt_drift_monitor,
        "irt_drift_monitor",
        cron="0 2 1 * *",
        partitions=last_week,
        after=None,
        description="Legacy irt-drift-monitor: on the 1st, as of the end of the last closed week.",
    ),
    Link(
        jobs.generate_weekly_report,
        "generate_weekly_report",
        cron="0 6 * * 1",
        partitions=last_week,
        after="fit_survival_churn",
        description="Legacy generate-weekly-report-batch (04:00), two hours later: after everything that it reads.",
        also_after=("cluster_segments", "refresh_goal_probability", "forecast_prophet"),
        last_call="30 7 * * 1",
    ),
)


def request_for(instance: dg.DagsterInstance, link: Link, *, today: dt.date) -> dg.RunRequest | dg.SkipReason:
    """What a link that is due for ``today`` does now."""
    due = today.isoformat()
    if _runs(instance, link.name, due=due, statuses=GOOD):
        return dg.SkipReason(f"{link.name} has been requested for {due}")
    # What an upstream itself still waits for counts: else this link would overtake the two of them.
    for upstream in ancestors(link):
        if _runs(instance, upstream, due=due, statuses=UNDER_WAY):
            return dg.SkipReason(f"{upstream} is still running for {due}; {link.name} follows")
    first, last = link.partitions(today)
    return dg.RunRequest(
        job_name=link.name,
        tags={
            DUE_TAG: due,
            ASSET_PARTITION_RANGE_START_TAG: first.isoformat(),
            ASSET_PARTITION_RANGE_END_TAG: last.isoformat(),
        },
    )


def ancestors(link: Link) -> list[str]:
    """Names of the links that this one rests on, its own upstreams first."""
    names = list(link.upstreams)
    for name in names:
        names.extend(other for other in _link(name).upstreams if other not in names)
    return names


def _runs(instance: dg.DagsterInstance, job: str, *, due: str, statuses: list[dg.DagsterRunStatus]) -> bool:
    filters = dg.RunsFilter(job_name=job, tags={DUE_TAG: due}, statuses=statuses)
    return bool(instance.get_runs(filters, limit=1))


def _schedule(link: Link) -> dg.ScheduleDefinition:
    @dg.schedule(
        job=link.job,
        name=f"{link.name}_schedule",
        cron_schedule=[link.cron, link.last_call] if link.last_call else link.cron,
        execution_timezone=PLATFORM.timezone,
        description=link.description,
        default_status=dg.DefaultScheduleStatus.RUNNING,
        tags={"domain": "automation"},
    )
    def evaluate(context: dg.ScheduleEvaluationContext) -> dg.RunRequest | dg.SkipReason:
        instant = context.scheduled_execution_time
        today = instant.astimezone(PLATFORM.zone).date()
        if link.last_call and instant > _own_time(link, today) >= _due_at(link, today):
            return dg.SkipReason(f"{link.name} waited for no later job on {today}")
        # In the hour that a change of the clocks leaves out, the tick may come before the time by the clock.
        return follow(context.instance, link, today=today, now=max(instant, _own_time(link, today)))

    return evaluate


def follow(
    instance: dg.DagsterInstance, link: Link, *, today: dt.date, now: dt.datetime
) -> dg.RunRequest | dg.SkipReason:
    """What a link does at its time, or when a run of an upstream of the same date has ended, well or not.

    Before its time it follows when all its upstreams have succeeded; from its time on it has waited for one that was
    under way, and runs however that ended.
    """
    if not is_due_day(link, today):
        return dg.SkipReason(f"{link.name} is not due on {today}")
    missing = [name for name in link.upstreams if not _has_succeeded(instance, name, day=today)]
    if missing and now < _due_at(link, today):
        return dg.SkipReason(f"{link.name} waits for {', '.join(missing)} of {today}, or for its time")
    return request_for(instance, link, today=today)


def _follower(link: Link, after: str) -> dg.RunStatusSensorDefinition:
    @dg.run_status_sensor(
        run_status=dg.DagsterRunStatus.SUCCESS,
        name=f"{link.name}_after_{after}",
        monitored_jobs=[_link(after).job],
        request_job=link.job,
        description=f"Launches {link.name} as soon as {after} of the same date has succeeded.",
        default_status=dg.DefaultSensorStatus.RUNNING,
        minimum_interval_seconds=30,
    )
    def evaluate(context: dg.RunStatusSensorContext) -> dg.RunRequest | dg.SkipReason:
        due = context.dagster_run.tags.get(DUE_TAG)
        if due is None:
            return dg.SkipReason(f"{context.dagster_run.job_name} was launched by hand")
        return follow(context.instance, link, today=dt.date.fromisoformat(due), now=dt.datetime.now(dt.UTC))

    return evaluate


def _after_failure(status: dg.DagsterRunStatus) -> dg.RunStatusSensorDefinition:
    waiting = [link for link in LINKS if link.upstreams]
    word = status.value.lower()

    @dg.run_status_sensor(
        run_status=status,
        name=f"links_that_waited_for_{word}_runs",
        monitored_jobs=list({name: _link(name).job for link in waiting for name in link.upstreams}.values()),
        request_jobs=[link.job for link in waiting],
        description=f"Launches what had come due and waited for a run that then was {word}, with the last good data.",
        default_status=dg.DefaultSensorStatus.RUNNING,
        minimum_interval_seconds=30,
    )
    def evaluate(context: dg.RunStatusSensorContext) -> Iterator[dg.RunRequest | dg.SkipReason]:
        run = context.dagster_run
        due = run.tags.get(DUE_TAG)
        if due is None or run.tags.get(WILL_RETRY_TAG) == "true":
            yield dg.SkipReason(f"{run.job_name} was launched by hand or is tried again")
            return
        today, now = dt.date.fromisoformat(due), dt.datetime.now(dt.UTC)
        asked = [
            follow(context.instance, link, today=today, now=now) for link in waiting if run.job_name in link.upstreams
        ]
        requests = [answer for answer in asked if isinstance(answer, dg.RunRequest)]
        yield from requests or asked[:1]

    return evaluate


def _has_succeeded(instance: dg.DagsterInstance, name: str, *, day: dt.date) -> bool:
    """The link of that name has succeeded for the day, or the day is none of its days."""
    is_good = _runs(instance, name, due=day.isoformat(), statuses=[dg.DagsterRunStatus.SUCCESS])
    return is_good or not is_due_day(_link(name), day)


def _link(name: str) -> Link:
    return next(link for link in LINKS if link.name == name)


def _own_time(link: Link, day: dt.date) -> dt.datetime:
    minute, hour = (int(part) for part in link.cron.split()[:2])
    return dt.datetime.combine(day, dt.time(hour, minute), PLATFORM.zone)


def _due_at(link: Link, day: dt.date) -> dt.datetime:
    """The link's own time, or that of the last upstream of the day."""
    upstreams = (_link(name) for name in ancestors(link))
    return max(_own_time(other, day) for other in (link, *upstreams) if other is link or is_due_day(other, day))


def is_due_day(link: Link, day: dt.date) -> bool:
    """The day of the month and of the week is one of the link's; no cron of the chain restricts both."""
    days, _, weekdays = link.cron.split()[2:]
    is_day = days == "*" or day.day in map(int, days.split(","))
    return is_day and (weekdays == "*" or day.isoweekday() % 7 in map(int, weekdays.split(",")))


SCHEDULES = [_schedule(link) for link in LINKS]
FOLLOWERS = [
    *(_follower(link, upstream) for link in LINKS for upstream in link.upstreams),
    _after_failure(dg.DagsterRunStatus.FAILURE),
    _after_failure(dg.DagsterRunStatus.CANCELED),
]
