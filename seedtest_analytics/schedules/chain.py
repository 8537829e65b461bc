"""The legacy CronJobs as one chain: calibration, features, KPIs, the models and, on Mondays, the report.

Each link has a time of day, as its CronJob had, but the clock alone does not order them. Before its time a link starts
when all its upstreams of the date have succeeded. At its time it starts with the last good data, unless an upstream is
still running: then it starts when that run has ended, well or not. A link runs once for each date.

After a failure or an outage a link computes everything since its last success. The scheduler makes up for the newest of
the missed ticks only, and for all links at once: a late tick counts as one of today and waits for the upstreams. A weekly
link whose day was missed follows its upstreams on any other day.
Why these are not automation conditions: docs/decisions/0015-why-not-declarative-automation.md.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import dagster as dg

from seedtest_analytics.dagster_private import cron_string_iterator
from seedtest_analytics.partitions import DAY, PLATFORM, WEEK, instant_of, monday_of
from seedtest_analytics.schedules import jobs
from seedtest_analytics.schedules.ended_runs import EndedRuns
from seedtest_analytics.settings import load_settings

DUE_TAG = "seedtest/due"
CATCH_UP_WEEKS = 8
"""How far back a link looks for its last success, and so the most that it computes after an outage. A longer gap is a
backfill, which somebody should decide on."""

LATE = dt.timedelta(minutes=15)
"""From then on a tick counts as missed; the scheduler itself is at most a minute behind."""


@dataclass(frozen=True, eq=False)
class Link:
    """A job of the chain: when it is due, which partitions it computes and which links it waits for."""

    job: Any
    cron: str
    partitions: Callable[[dt.date, dt.date], tuple[dt.date, dt.date]]
    """First and last partition on a day, given the day of the last success (the day itself if there is none)."""
    replaces: str = "no CronJob"
    after: tuple[Link, ...] = ()
    last_call: str | None = None
    """Cron of a second tick, for days on which an upstream is due later: its schedule may be switched off."""

    @property
    def name(self) -> str:
        """The job's name."""
        return str(self.job.name)

    @property
    def ancestors(self) -> set[Link]:
        """Every link that this one depends on."""
        return set(self.after).union(*(link.ancestors for link in self.after))

    def tick(self, day: dt.date) -> dt.datetime | None:
        """The link's time on a day, exactly as its schedule ticks; None on days without a tick."""
        midnight = instant_of(day, PLATFORM.zone).timestamp()
        first = next(cron_string_iterator(midnight, self.cron, PLATFORM.timezone))
        return first if first.date() == day else None

    def due_at(self, day: dt.date) -> dt.datetime | None:
        """As ``tick``, but no earlier than the ticks of the ancestors on that day."""
        return self.tick(day) and max(filter(None, (link.tick(day) for link in {self, *self.ancestors})))


def weeks_due(today: dt.date, since: dt.date) -> tuple[dt.date, dt.date]:
    """The running week and the weeks that have ended since ``since``: on Mondays the closed week, with Sunday's answers."""
    return monday_of(min(since, today - DAY)), monday_of(today)


def days_due(today: dt.date, since: dt.date) -> tuple[dt.date, dt.date]:
    """The days since ``since``, at least AGG_LOOKBACK_DAYS of them, up to yesterday."""
    return min(since, today - load_settings().features.lookback_days * DAY), today - DAY


def closed_weeks(today: dt.date, since: dt.date) -> tuple[dt.date, dt.date]:
    """The last closed week and those before it that have ended since ``since``."""
    last = monday_of(today) - WEEK
    return min(last, monday_of(since)), last


def last_week(today: dt.date, _since: dt.date) -> tuple[dt.date, dt.date]:
    """The last closed week, for what is a picture of that week alone."""
    return monday_of(today) - WEEK, monday_of(today) - WEEK


def weeks_to_judge(today: dt.date, _since: dt.date) -> tuple[dt.date, dt.date]:
    """The closed weeks whose outcomes may be newly known: one more than the longest horizon that the settings allow."""
    settings = load_settings()
    horizon_weeks = max(
        8,  # In any case: goals have dates of their own, and answers arrive late.
        -(-settings.kpis.churn_horizon_days // 7),
        settings.growth.goal_horizon_weeks,
        settings.backtest.ability_horizon_weeks,
        settings.forecast.forecast_weeks,
    )
    last = monday_of(today) - WEEK
    return min(max(last - horizon_weeks * WEEK, monday_of(PLATFORM.start_date)), last), last


CALIBRATION = Link(jobs.calibrate_irt, "0 3 * * *", weeks_due, "calibrate-irt-weekly, mirt-calibrate")
FEATURES = Link(jobs.aggregate_features_daily, "25 3 * * *", days_due, "aggregate-features-daily", after=(CALIBRATION,))
MIXED_MODEL = Link(jobs.fit_growth_glmm, "30 3 * * 1", closed_weeks, "fit-growth-glmm", after=(CALIBRATION,))
KPIS = Link(jobs.compute_daily_kpis, "10 4 * * *", weeks_due, "compute-daily-kpis", after=(FEATURES,))
GROWTH = Link(jobs.fit_bayesian_growth, "30 4 * * 1", closed_weeks, "fit-bayesian-growth", after=(KPIS,))
GOALS = Link(jobs.refresh_goal_probability, "50 5 * * 1", closed_weeks, after=(GROWTH,))
CHURN = Link(jobs.fit_survival_churn, "0 5 * * *", weeks_due, "fit-survival-churn", after=(KPIS,))
MESSAGES = Link(jobs.write_weekly_messages, "40 4 * * 1", last_week, after=(KPIS,))
FORECASTS = Link(jobs.forecast_prophet, "0 5 * * 1", closed_weeks, "forecast-prophet", after=(KPIS,))
SEGMENTS = Link(jobs.cluster_segments, "0 7 1,15 * *", last_week, "cluster-segments")
BACKTEST = Link(jobs.backtest_predictions, "30 5 * * 1", weeks_to_judge, after=(CHURN,))
DRIFT = Link(jobs.irt_drift_monitor, "0 2 1 * *", last_week, "irt-drift-monitor")
REPORT = Link(
    jobs.generate_weekly_report,
    "0 6 * * 1",
    closed_weeks,
    "generate-weekly-report-batch",
    after=(CHURN, SEGMENTS, GOALS, FORECASTS),
    last_call="30 7 * * 1",
)
# Also after reports of which some failed: teachers of the other classes need their pages.
COHORTS = Link(
    jobs.generate_cohort_reports, "30 6 * * 1", closed_weeks, after=(REPORT, BACKTEST, DRIFT), last_call="0 8 * * 1"
)
LINKS = (
    CALIBRATION,
    FEATURES,
    MIXED_MODEL,
    KPIS,
    GROWTH,
    GOALS,
    CHURN,
    MESSAGES,
    FORECASTS,
    SEGMENTS,
    BACKTEST,
    DRIFT,
    REPORT,
    COHORTS,
)


def clock() -> dt.datetime:
    """The present instant; tests replace it."""
    return dt.datetime.now(dt.UTC)


def days_of_runs(
    instance: dg.DagsterInstance, link: Link, *, before: dt.date, statuses: tuple[dg.DagsterRunStatus, ...] = ()
) -> list[dt.date]:
    """Days for which the chain has requested the link, of the CATCH_UP_WEEKS weeks before a day."""
    days = [(before - number * DAY).isoformat() for number in range(1, 7 * CATCH_UP_WEEKS + 1)]
    runs = instance.get_runs(dg.RunsFilter(job_name=link.name, statuses=list(statuses), tags={DUE_TAG: days}))
    return sorted(dt.date.fromisoformat(run.tags[DUE_TAG]) for run in runs)


def overdue_at(instance: dg.DagsterInstance, link: Link, *, day: dt.date) -> dt.datetime | None:
    """When a link may run on a day that is not its own, because the chain missed its last tick; else None."""
    requested = days_of_runs(instance, link, before=day)
    if not requested or not any(link.tick(missed) for missed in _days_between(requested[-1], day)):
        return None
    ticks = filter(None, (ancestor.tick(day) for ancestor in link.ancestors))
    return max(ticks, default=instant_of(day, PLATFORM.zone))


def _days_between(first: dt.date, last: dt.date) -> list[dt.date]:
    """The days after ``first`` and before ``last``."""
    return [first + number * DAY for number in range(1, (last - first).days)]


def follow(
    instance: dg.DagsterInstance, link: Link, *, day: dt.date, now: dt.datetime, is_late: bool = False
) -> dg.RunRequest | dg.SkipReason:
    """What a link does for ``day`` at its time, and whenever a run of one of its upstreams has ended.

    A late tick starts nothing before its upstreams: they are late too, and the end of their runs asks again.
    """
    runs = instance.get_runs(dg.RunsFilter(tags={DUE_TAG: day.isoformat()}))
    succeeded = {run.job_name for run in runs if run.is_success}
    under_way = {run.job_name for run in runs if jobs.is_under_way(run)}
    missing = [upstream.name for upstream in link.after if upstream.tick(day) and upstream.name not in succeeded]
    # An upstream may itself be waiting, so all ancestors count: else this link would overtake it.
    awaited = sorted(ancestor.name for ancestor in link.ancestors if ancestor.name in under_way)
    due_at = link.due_at(day) or overdue_at(instance, link, day=day)
    if due_at is None:
        return dg.SkipReason(f"{link.name} is not due on {day}")
    if link.name in succeeded | under_way:
        return dg.SkipReason(f"{link.name} has already been requested for {day}")
    if awaited:
        return dg.SkipReason(f"{', '.join(awaited)} is still running for {day}; {link.name} follows")
    if missing and (is_late or now < due_at):
        return dg.SkipReason(f"{link.name} waits for {', '.join(missing)} of {day}, or for its time")
    succeeded_on = days_of_runs(instance, link, before=day, statuses=(dg.DagsterRunStatus.SUCCESS,))
    first, last = (end.isoformat() for end in link.partitions(day, succeeded_on[-1] if succeeded_on else day))
    return dg.RunRequest(job_name=link.name, tags={DUE_TAG: day.isoformat(), **jobs.range_tags(first, last)})


def _schedule(link: Link) -> dg.ScheduleDefinition:
    @dg.schedule(
        job=link.job,
        name=f"{link.name}_schedule",
        cron_schedule=[link.cron, link.last_call] if link.last_call else link.cron,
        execution_timezone=PLATFORM.timezone,
        description=f"{link.job.description} Replaces {link.replaces}.",
        default_status=dg.DefaultScheduleStatus.RUNNING,
        tags={"domain": "automation"},
    )
    def evaluate(context: dg.ScheduleEvaluationContext) -> dg.RunRequest | dg.SkipReason:
        now = context.scheduled_execution_time
        is_late = clock() - now > LATE
        day = (clock() if is_late else now).astimezone(PLATFORM.zone).date()
        if link.last_call and not is_late and link.due_at(day) == link.tick(day) != now:
            return dg.SkipReason(f"{link.name} has not waited for a later job on {day}")
        return follow(context.instance, link, day=day, now=now, is_late=is_late)

    return evaluate


def following(
    instance: dg.DagsterInstance, run: dg.DagsterRun, *, now: dt.datetime
) -> list[dg.RunRequest | dg.SkipReason]:
    """What the links do that wait for a run that has ended, well or not."""
    if DUE_TAG not in run.tags:
        return [dg.SkipReason(f"{run.job_name} was launched by hand")]
    day = dt.date.fromisoformat(run.tags[DUE_TAG])
    followers = [link for link in LINKS if run.job_name in {upstream.name for upstream in link.after}]
    return [follow(instance, link, day=day, now=now) for link in followers]


@dg.sensor(
    jobs=[link.job for link in LINKS if link.after],
    minimum_interval_seconds=60,
    default_status=dg.DefaultSensorStatus.RUNNING,
    description="Launches links of the chain when a run that they wait for has ended, well or not.",
    tags={"domain": "automation"},
)
def chain_sensor(context: dg.SensorEvaluationContext) -> dg.SensorResult:
    """One sensor for every end of a run: each evaluation costs the idle daemon processor time."""
    now = clock()
    seen = EndedRuns.of(context.cursor, now)
    ends = seen.later(context.instance)
    requests: dict[tuple[str | None, str], dg.RunRequest] = {}
    for run in ends.runs:
        for answer in following(context.instance, run, now=now):
            if isinstance(answer, dg.RunRequest):
                requests.setdefault((answer.job_name, answer.tags[DUE_TAG]), answer)
    return dg.SensorResult(
        run_requests=list(requests.values()), cursor=seen.with_seen(ends, [run.run_id for run in ends.runs]).cursor
    )


SCHEDULES = [_schedule(link) for link in LINKS]
SENSORS = [chain_sensor]
