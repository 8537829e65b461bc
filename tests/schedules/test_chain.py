"""The chain of schedules: order, waiting, following, failures, one run per date, weeks that begin on Monday."""

import datetime as dt
import json
import time
from collections.abc import Iterator
from typing import Any

import dagster as dg
import pytest

from seedtest_analytics.build import build_definitions
from seedtest_analytics.dagster_private import (
    ASSET_PARTITION_RANGE_END_TAG,
    ASSET_PARTITION_RANGE_START_TAG,
    WILL_RETRY_TAG,
)
from seedtest_analytics.partitions import DAY, PLATFORM, monday_of
from seedtest_analytics.schedules import chain
from seedtest_analytics.schedules.chain import (
    DUE_TAG,
    LINKS,
    SCHEDULES,
    Link,
    chain_sensor,
    follow,
    following,
    weeks_to_judge,
)
from seedtest_analytics.schedules.ended_runs import LATE_COMMIT_SECONDS
from tests.schedules import _runs

MONDAY, TUESDAY = dt.date(2026, 3, 9), dt.date(2026, 3, 10)
LINK = {link.name: link for link in LINKS}
CALIBRATE, FEATURES, KPIS, SEGMENTS, REPORT = (
    "calibrate_irt",
    "aggregate_features_daily",
    "compute_daily_kpis",
    "cluster_segments",
    "generate_weekly_report",
)
RUNNING, SUCCESS, FAILURE = (dg.DagsterRunStatus.STARTED, dg.DagsterRunStatus.SUCCESS, dg.DagsterRunStatus.FAILURE)


def add_run(
    instance: dg.DagsterInstance, name: str, day: dt.date, status: dg.DagsterRunStatus, **tags: str
) -> dg.DagsterRun:
    return _runs.add_run(instance, name, status=status, tags={DUE_TAG: day.isoformat(), **tags})


def request_for(instance: dg.DagsterInstance, link: Link, *, today: dt.date) -> dg.RunRequest | dg.SkipReason:
    """What a link does when its time has come, and that of everything that it waits for."""
    return follow(instance, link, day=today, now=at(today, 12))


def at(day: dt.date, hour: int, minute: int = 0) -> dt.datetime:
    return dt.datetime.combine(day, dt.time(hour, minute), dt.UTC)


def is_request(answer: Any) -> bool:
    return isinstance(answer, dg.RunRequest)


def test_times_and_order_of_the_legacy_jobs() -> None:
    """Contract section 6, except for jobs whose legacy time was before that of what they read (fault 67)."""
    assert {name: LINK[name].cron for name in (CALIBRATE, FEATURES, KPIS, SEGMENTS, REPORT)} == {
        SEGMENTS: "0 7 1,15 * *",
        CALIBRATE: "0 3 * * *",
        FEATURES: "25 3 * * *",
        KPIS: "10 4 * * *",
        REPORT: "0 6 * * 1",
    }
    assert LINK[FEATURES].after == (LINK[CALIBRATE],)
    assert LINK[KPIS].after == (LINK[FEATURES],)
    assert {LINK[CALIBRATE], LINK[FEATURES], LINK[KPIS]} <= LINK[REPORT].ancestors
    for link in LINKS:
        assert all(LINKS.index(upstream) < LINKS.index(link) for upstream in link.after)


def test_an_upstream_is_due_before_what_waits_for_it() -> None:
    """The segments may be later than the report: on a Monday that is the 1st or the 15th."""
    for day in (MONDAY, TUESDAY):
        for link in LINKS:
            own, upstreams = link.tick(day), [upstream.tick(day) for upstream in link.after]
            assert own is None or all(time < own for time in upstreams if time)


@pytest.fixture
def stored() -> Iterator[dg.DagsterInstance]:
    """An instance that a schedule accepts."""
    with dg.instance_for_test() as made:
        yield made


@pytest.mark.parametrize(
    ("name", "day", "is_due"),
    [
        (SEGMENTS, dt.date(2026, 6, 1), True),
        (SEGMENTS, dt.date(2026, 6, 15), True),
        (SEGMENTS, dt.date(2026, 6, 8), False),
        (SEGMENTS, dt.date(2026, 7, 1), True),
        ("irt_drift_monitor", dt.date(2026, 6, 15), False),
        (REPORT, dt.date(2026, 6, 15), True),
        (REPORT, dt.date(2026, 7, 1), False),
        (KPIS, dt.date(2026, 7, 1), True),
    ],
)
def test_days_of_the_week_and_of_the_month(name: str, day: dt.date, is_due: bool) -> None:
    assert (LINK[name].tick(day) is not None) == is_due


def schedule_tick(
    instance: dg.DagsterInstance, name: str, at_time: dt.datetime, *, seen_at: dt.datetime | None = None
) -> Any:
    """The tick of ``at_time``, evaluated at that time or at ``seen_at``."""
    schedule = next(schedule for schedule in SCHEDULES if schedule.job_name == name)
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(chain, "clock", lambda: seen_at or at_time)
        return schedule(dg.build_schedule_context(instance, scheduled_execution_time=at_time))


@pytest.mark.parametrize("day", [dt.date(2026, 6, 1), dt.date(2026, 6, 15)])
@pytest.mark.parametrize("ends", [SUCCESS, FAILURE])
def test_on_the_segments_mondays_the_report_follows_them(
    stored: dg.DagsterInstance, day: dt.date, ends: dg.DagsterRunStatus
) -> None:
    for upstream in LINK[REPORT].after:
        if upstream.name != SEGMENTS:
            add_run(stored, upstream.name, day, SUCCESS)
    for answer in (schedule_tick(stored, REPORT, at(day, 6)), follow(stored, LINK[REPORT], day=day, now=at(day, 6, 1))):
        assert isinstance(answer, dg.SkipReason)
        assert SEGMENTS in str(answer.skip_message)
    assert is_request(schedule_tick(stored, SEGMENTS, at(day, 7)))
    run = add_run(stored, SEGMENTS, day, RUNNING)
    assert not is_request(follow(stored, LINK[REPORT], day=day, now=at(day, 7, 1)))
    assert not is_request(schedule_tick(stored, REPORT, at(day, 7, 30)))
    if ends == FAILURE:
        stored.report_run_failed(run)
    else:
        stored.delete_run(run.run_id)
        add_run(stored, SEGMENTS, day, SUCCESS)
    assert is_request(follow(stored, LINK[REPORT], day=day, now=at(day, 7, 40)))


def test_segments_that_are_switched_off_hold_up_no_report(stored: dg.DagsterInstance) -> None:
    day = dt.date(2026, 6, 15)
    assert not is_request(schedule_tick(stored, REPORT, at(day, 6)))
    assert is_request(schedule_tick(stored, REPORT, at(day, 7, 30)))


def test_on_other_mondays_the_report_comes_at_six_and_is_not_asked_for_again(stored: dg.DagsterInstance) -> None:
    assert is_request(schedule_tick(stored, REPORT, at(MONDAY, 6)))
    add_run(stored, REPORT, MONDAY, FAILURE)
    assert not is_request(schedule_tick(stored, REPORT, at(MONDAY, 7, 30)))


def test_every_schedule_runs_in_the_platforms_zone_and_is_on() -> None:
    assert {schedule.job_name for schedule in SCHEDULES} == set(LINK)
    for schedule in SCHEDULES:
        assert schedule.execution_timezone == PLATFORM.timezone
        assert schedule.default_status == dg.DefaultScheduleStatus.RUNNING
        assert schedule.description


def test_no_table_is_computed_by_two_schedules() -> None:
    """Duplicate CronJobs overwrote each other's tables. P, S and verdicts are written daily, and again after the fits."""
    definitions = build_definitions()
    writers: dict[str, set[str]] = {}
    for schedule in SCHEDULES:
        job = definitions.resolve_job_def(schedule.job_name)
        for key in job.asset_layer.executable_asset_keys:
            writers.setdefault(key.to_user_string(), set()).add(schedule.job_name)
    assert len(writers) > 30
    assert {name: jobs for name, jobs in writers.items() if len(jobs) > 1} == {
        "weekly_kpi/P": {KPIS, "fit_bayesian_growth", "refresh_goal_probability"},
        "weekly_kpi/S": {KPIS, "fit_survival_churn"},
        "prediction_verdict": {KPIS, "fit_bayesian_growth", "refresh_goal_probability", "fit_survival_churn"},
    }


@pytest.mark.parametrize(
    ("name", "today", "first", "last"),
    [
        (CALIBRATE, MONDAY, MONDAY - 7 * DAY, MONDAY),
        (CALIBRATE, TUESDAY, MONDAY, MONDAY),
        (KPIS, MONDAY, MONDAY - 7 * DAY, MONDAY),
        (KPIS, MONDAY + 6 * DAY, MONDAY, MONDAY),
        (FEATURES, TUESDAY, TUESDAY - 7 * DAY, MONDAY),
        (REPORT, MONDAY, MONDAY - 7 * DAY, MONDAY - 7 * DAY),
    ],
)
def test_partitions_that_a_link_asks_for(
    instance: dg.DagsterInstance, name: str, today: dt.date, first: dt.date, last: dt.date
) -> None:
    request = request_for(instance, LINK[name], today=today)
    assert isinstance(request, dg.RunRequest)
    assert request.job_name == name
    assert request.tags == {
        DUE_TAG: today.isoformat(),
        ASSET_PARTITION_RANGE_START_TAG: first.isoformat(),
        ASSET_PARTITION_RANGE_END_TAG: last.isoformat(),
    }


def test_eight_weeks_and_a_bit_are_judged_by_default(instance: dg.DagsterInstance) -> None:
    assert weeks_to_judge(MONDAY, MONDAY) == (MONDAY - 63 * DAY, MONDAY - 7 * DAY)


@pytest.mark.parametrize(
    ("name", "value", "weeks"),
    [
        ("METRICS_CHURN_HORIZON_DAYS", "56", 9),
        ("METRICS_CHURN_HORIZON_DAYS", "57", 10),
        ("METRICS_CHURN_HORIZON_DAYS", "365", 54),
        ("BACKTEST_ABILITY_HORIZON_WEEKS", "8", 9),
        ("BACKTEST_ABILITY_HORIZON_WEEKS", "20", 21),
        ("GOAL_HORIZON_WEEKS", "12", 13),
        ("GOAL_HORIZON_WEEKS", "104", 105),
        ("PROPHET_FORECAST_WEEKS", "26", 27),
    ],
)
def test_a_week_is_judged_until_the_longest_horizon_is_over(
    monkeypatch: pytest.MonkeyPatch, name: str, value: str, weeks: int
) -> None:
    monkeypatch.setenv(name, value)
    assert weeks_to_judge(MONDAY, MONDAY) == (MONDAY - 7 * weeks * DAY, MONDAY - 7 * DAY)


def test_no_week_before_the_first_partition_is_judged(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("METRICS_CHURN_HORIZON_DAYS", "365")
    start = monday_of(PLATFORM.start_date)
    assert weeks_to_judge(start + 21 * DAY, start) == (start, start + 14 * DAY)


def test_a_link_waits_for_a_running_upstream_of_its_date_only(instance: dg.DagsterInstance) -> None:
    add_run(instance, CALIBRATE, MONDAY, RUNNING)
    answer = request_for(instance, LINK[FEATURES], today=MONDAY)
    assert isinstance(answer, dg.SkipReason)
    assert CALIBRATE in str(answer.skip_message)
    assert is_request(request_for(instance, LINK[FEATURES], today=TUESDAY))


def test_a_link_does_not_overtake_what_its_upstream_waits_for(instance: dg.DagsterInstance) -> None:
    """A calibration still runs when the KPIs are due: the features have not started, and the KPIs wait for both."""
    add_run(instance, CALIBRATE, TUESDAY, RUNNING)
    assert not is_request(request_for(instance, LINK[FEATURES], today=TUESDAY))
    assert not is_request(request_for(instance, LINK[KPIS], today=TUESDAY))


@pytest.mark.parametrize("status", [dg.DagsterRunStatus.STARTING, RUNNING, SUCCESS])
def test_requested_twice_for_a_date_it_runs_once(instance: dg.DagsterInstance, status: dg.DagsterRunStatus) -> None:
    add_run(instance, KPIS, MONDAY, status)
    assert not is_request(request_for(instance, LINK[KPIS], today=MONDAY))
    assert is_request(request_for(instance, LINK[KPIS], today=TUESDAY))


def test_after_its_own_failure_a_link_may_be_asked_for_again(instance: dg.DagsterInstance) -> None:
    add_run(instance, KPIS, MONDAY, FAILURE)
    assert is_request(request_for(instance, LINK[KPIS], today=MONDAY))


def test_after_a_failed_upstream_it_runs_at_its_time(instance: dg.DagsterInstance) -> None:
    add_run(instance, CALIBRATE, TUESDAY, FAILURE)
    assert not is_request(follow(instance, LINK[FEATURES], day=TUESDAY, now=at(TUESDAY, 3, 10)))
    assert is_request(request_for(instance, LINK[FEATURES], today=TUESDAY))


def test_having_waited_it_runs_when_the_upstream_fails_later(instance: dg.DagsterInstance) -> None:
    run = add_run(instance, CALIBRATE, TUESDAY, RUNNING)
    assert not is_request(request_for(instance, LINK[FEATURES], today=TUESDAY))
    instance.report_run_failed(run)
    assert is_request(follow(instance, LINK[FEATURES], day=TUESDAY, now=at(TUESDAY, 3, 40)))


def test_it_follows_a_success_before_its_time(instance: dg.DagsterInstance) -> None:
    add_run(instance, CALIBRATE, TUESDAY, SUCCESS)
    assert is_request(follow(instance, LINK[FEATURES], day=TUESDAY, now=at(TUESDAY, 3, 5)))


def test_before_its_time_a_link_waits_for_all_its_upstreams(instance: dg.DagsterInstance) -> None:
    upstreams = [upstream.name for upstream in LINK[REPORT].after]
    for name in upstreams[:-1]:
        add_run(instance, name, MONDAY, SUCCESS)
        answer = follow(instance, LINK[REPORT], day=MONDAY, now=at(MONDAY, 5))
        assert isinstance(answer, dg.SkipReason)
        assert upstreams[-1] in str(answer.skip_message)
    add_run(instance, upstreams[-1], MONDAY, SUCCESS)
    assert is_request(follow(instance, LINK[REPORT], day=MONDAY, now=at(MONDAY, 5)))


def test_a_weekly_link_follows_on_mondays_only(instance: dg.DagsterInstance) -> None:
    for day in (MONDAY, TUESDAY, MONDAY + 6 * DAY):
        for upstream in LINK[REPORT].after:
            add_run(instance, upstream.name, day, SUCCESS)
        assert is_request(follow(instance, LINK[REPORT], day=day, now=at(day, 12))) == (day == MONDAY)


def test_a_daily_link_does_not_wait_for_a_weekly_one_on_other_days(instance: dg.DagsterInstance) -> None:
    for link in LINKS:
        if link.cron.endswith("* * *"):
            for upstream in link.after:
                if upstream.cron.endswith("* * *"):
                    add_run(instance, upstream.name, TUESDAY, SUCCESS)
            assert is_request(follow(instance, link, day=TUESDAY, now=at(TUESDAY, 1)))


def test_a_monday_from_calibration_to_report(instance: dg.DagsterInstance) -> None:
    """Every link that is due follows its upstreams as they end, and runs once."""
    done: list[str] = []
    due = [link for link in LINKS if link.tick(MONDAY)]
    pending = [link.name for link in due]
    for _ in due:
        for name in list(pending):
            link = LINK[name]
            answer = (
                follow(instance, link, day=MONDAY, now=at(MONDAY, 2))
                if link.after
                else request_for(instance, link, today=MONDAY)
            )
            if is_request(answer):
                add_run(instance, name, MONDAY, SUCCESS)
                done.append(name)
                pending.remove(name)
    assert pending == []
    for link in due:
        assert all(done.index(upstream.name) < done.index(link.name) for upstream in link.after if upstream in due)
        assert not is_request(request_for(instance, link, today=MONDAY))


# ---- after failures and outages ----


def range_of(answer: Any) -> tuple[dt.date, dt.date]:
    assert is_request(answer), getattr(answer, "skip_message", answer)
    ends = (answer.tags[tag] for tag in (ASSET_PARTITION_RANGE_START_TAG, ASSET_PARTITION_RANGE_END_TAG))
    first, last = map(dt.date.fromisoformat, ends)
    return first, last


WEDNESDAY = MONDAY + 2 * DAY


@pytest.mark.parametrize(
    ("name", "succeeded_on", "today", "first", "last"),
    [
        # Monday failed: on Tuesday the closed week is still due.
        (CALIBRATE, MONDAY - 1 * DAY, TUESDAY, MONDAY - 7 * DAY, MONDAY),
        (KPIS, MONDAY - 1 * DAY, TUESDAY, MONDAY - 7 * DAY, MONDAY),
        # Ten days without the platform.
        (CALIBRATE, WEDNESDAY - 10 * DAY, WEDNESDAY, MONDAY - 14 * DAY, MONDAY),
        (FEATURES, WEDNESDAY - 10 * DAY, WEDNESDAY, WEDNESDAY - 10 * DAY, WEDNESDAY - DAY),
        # Two Mondays were missed.
        ("fit_bayesian_growth", MONDAY - 21 * DAY, MONDAY, MONDAY - 21 * DAY, MONDAY - 7 * DAY),
        (REPORT, MONDAY - 14 * DAY, MONDAY, MONDAY - 14 * DAY, MONDAY - 7 * DAY),
        # Nothing was missed.
        (CALIBRATE, MONDAY, TUESDAY, MONDAY, MONDAY),
        (REPORT, MONDAY - 7 * DAY, MONDAY, MONDAY - 7 * DAY, MONDAY - 7 * DAY),
        # A picture of the last week only.
        (SEGMENTS, dt.date(2026, 5, 1), dt.date(2026, 6, 1), dt.date(2026, 5, 25), dt.date(2026, 5, 25)),
        # A gap of months is a decision, not a run.
        (CALIBRATE, MONDAY - 57 * DAY, TUESDAY, MONDAY, MONDAY),
    ],
)
def test_a_link_computes_what_is_due_since_its_last_success(
    instance: dg.DagsterInstance, name: str, succeeded_on: dt.date, today: dt.date, first: dt.date, last: dt.date
) -> None:
    add_run(instance, name, succeeded_on - DAY, SUCCESS)
    add_run(instance, name, succeeded_on, SUCCESS)
    for day in range(1, (today - succeeded_on).days):
        add_run(instance, name, succeeded_on + day * DAY, FAILURE)
    assert range_of(request_for(instance, LINK[name], today=today)) == (first, last)


def test_a_late_tick_counts_as_today_and_waits_for_the_upstreams(stored: dg.DagsterInstance) -> None:
    """The platform starts again on Wednesday at ten, and the scheduler makes up for the newest tick of every link at once."""
    back = at(WEDNESDAY, 10)
    for name in (CALIBRATE, FEATURES, KPIS):
        add_run(stored, name, WEDNESDAY - 8 * DAY, SUCCESS)
    assert not is_request(schedule_tick(stored, FEATURES, at(WEDNESDAY, 3, 25), seen_at=back))
    assert not is_request(schedule_tick(stored, KPIS, at(WEDNESDAY, 4, 10), seen_at=back))
    answer = schedule_tick(stored, CALIBRATE, at(WEDNESDAY, 3), seen_at=back)
    assert answer.tags[DUE_TAG] == WEDNESDAY.isoformat()
    add_run(stored, CALIBRATE, WEDNESDAY, FAILURE)
    assert is_request(follow(stored, LINK[FEATURES], day=WEDNESDAY, now=back)), "the upstream has ended, well or not"


def test_a_weekly_link_whose_monday_was_missed_follows_on_another_day(stored: dg.DagsterInstance) -> None:
    upstreams = [upstream.name for upstream in LINK[REPORT].after]
    add_run(stored, REPORT, MONDAY - 7 * DAY, SUCCESS)
    back = at(WEDNESDAY, 10)
    assert not is_request(schedule_tick(stored, REPORT, at(MONDAY, 6), seen_at=back)), "its upstreams have not run"
    for name in upstreams:
        add_run(stored, name, WEDNESDAY, SUCCESS)
    answer = follow(stored, LINK[REPORT], day=WEDNESDAY, now=back)
    assert range_of(answer) == (MONDAY - 7 * DAY, MONDAY - 7 * DAY)
    add_run(stored, REPORT, WEDNESDAY, SUCCESS)
    assert not is_request(follow(stored, LINK[REPORT], day=WEDNESDAY + DAY, now=back + DAY))


def test_a_weekly_link_that_failed_on_its_day_is_not_asked_for_every_day(stored: dg.DagsterInstance) -> None:
    add_run(stored, "fit_bayesian_growth", MONDAY - 7 * DAY, SUCCESS)
    add_run(stored, "fit_bayesian_growth", MONDAY, FAILURE)
    add_run(stored, KPIS, TUESDAY, SUCCESS)
    assert not is_request(follow(stored, LINK["fit_bayesian_growth"], day=TUESDAY, now=at(TUESDAY, 12)))


# ---- the sensor ----


def evaluate(instance: dg.DagsterInstance, cursor: str | None) -> tuple[list[tuple[str | None, str]], str]:
    """Job and date of each request, and the next cursor."""
    result: Any = chain_sensor(dg.build_sensor_context(instance, cursor=cursor))
    return [(request.job_name, request.tags[DUE_TAG]) for request in result.run_requests], result.cursor


@pytest.fixture
def started(instance: dg.DagsterInstance) -> str:
    """The cursor of a sensor that has been on for a while; it does not follow what ended before."""
    add_run(instance, CALIBRATE, TUESDAY - DAY, SUCCESS)
    earlier = json.dumps({"until": time.time() + 1, "seen": [run.run_id for run in instance.get_runs()]})
    asked, cursor = evaluate(instance, earlier)
    assert asked == []
    return cursor


def test_the_sensor_does_not_follow_runs_from_before_it_was_on(instance: dg.DagsterInstance) -> None:
    run = add_run(instance, CALIBRATE, TUESDAY, SUCCESS)
    later = json.dumps({"until": time.time() + 2 * LATE_COMMIT_SECONDS, "seen": []})
    assert evaluate(instance, later)[0] == []
    assert run.is_success


def test_a_success_asks_for_the_next_link_once(instance: dg.DagsterInstance, started: str) -> None:
    run = add_run(instance, CALIBRATE, TUESDAY, SUCCESS)
    asked, cursor = evaluate(instance, started)
    assert asked == [(FEATURES, TUESDAY.isoformat())]
    # A later tag updates the run's record.
    instance.add_run_tags(run.run_id, {"note": "looked at"})
    assert evaluate(instance, cursor)[0] == []


def test_every_run_that_has_ended_is_followed_in_one_evaluation(instance: dg.DagsterInstance, started: str) -> None:
    days = [TUESDAY, TUESDAY + DAY, TUESDAY + 2 * DAY]
    for day in days:
        add_run(instance, CALIBRATE, day, SUCCESS)
    assert sorted(evaluate(instance, started)[0]) == [(FEATURES, day.isoformat()) for day in days]


@pytest.mark.parametrize("status", [SUCCESS, FAILURE])
def test_a_run_launched_by_hand_moves_nothing(
    instance: dg.DagsterInstance, started: str, status: dg.DagsterRunStatus
) -> None:
    run = _runs.add_run(instance, CALIBRATE, status=status)
    assert evaluate(instance, started)[0] == []
    (answer,) = following(instance, run, now=at(TUESDAY, 12))
    assert isinstance(answer, dg.SkipReason)


@pytest.mark.parametrize("status", [FAILURE, dg.DagsterRunStatus.CANCELED])
def test_after_a_bad_end_the_sensor_asks_for_what_had_come_due(
    instance: dg.DagsterInstance, started: str, status: dg.DagsterRunStatus
) -> None:
    add_run(instance, CALIBRATE, TUESDAY, status)  # Months ago: every link of that date has come due.
    asked = [name for name, _ in evaluate(instance, started)[0]]
    assert asked == [link.name for link in LINKS if LINK[CALIBRATE] in link.after and link.tick(TUESDAY)]


def test_a_failed_run_that_is_tried_again_moves_nothing(instance: dg.DagsterInstance, started: str) -> None:
    add_run(instance, CALIBRATE, TUESDAY, FAILURE, **{WILL_RETRY_TAG: "true"})
    assert evaluate(instance, started)[0] == []
    assert not is_request(request_for(instance, LINK[FEATURES], today=TUESDAY))


def test_a_link_that_two_upstreams_free_is_asked_for_once(instance: dg.DagsterInstance, started: str) -> None:
    for upstream in LINK[REPORT].after:
        add_run(instance, upstream.name, MONDAY, SUCCESS)
    assert evaluate(instance, started)[0].count((REPORT, MONDAY.isoformat())) == 1


def test_few_sensors_look_often() -> None:
    """Each evaluation costs the idle daemon and the code server processor time (`python -m benchmarks.operation idle`)."""
    sensors = list(build_definitions().sensors or ())
    assert sum(60 / (sensor.minimum_interval_seconds or 30) for sensor in sensors) <= 3.2
    assert chain_sensor in sensors
    assert chain_sensor.default_status == dg.DefaultSensorStatus.RUNNING
