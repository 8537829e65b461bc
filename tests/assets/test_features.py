"""features_topic_daily against plain Python; a range in one statement against day by day."""

import datetime as dt
import math
import random
import string
from collections import defaultdict
from decimal import ROUND_HALF_UP, Decimal
from statistics import mean, median
from typing import Any
from zoneinfo import ZoneInfo

import dagster as dg
import pytest
from hypothesis import Phase, given, settings
from hypothesis import strategies as st
from sqlalchemy import Engine, text

from seedtest_analytics.assets.features import features_topic_daily
from seedtest_analytics.database.publish import Published, publish
from seedtest_analytics.database.sql_files import statement
from seedtest_analytics.partitions import DAY, instant_of, monday_of
from seedtest_analytics.resources.postgres import PostgresResource
from seedtest_analytics.tables.features import features_topic_daily as table
from tests._database import empty_tables, execute, rows_of, snapshot
from tests._exams import Exam, question, store
from tests.assets._cohort import random_cohort, store_abilities, store_attempts
from tests.assets._kpi_reference import Ability, Attempt, clamp
from tests.assets.attempts.test_sync import sync

UTC = dt.UTC
LAST = dt.date(2026, 3, 15)
# 8 March 2026 has 23 hours in New York, 2 November 2025 has 25.
PLACES = [("UTC", LAST), ("Asia/Seoul", LAST), ("America/New_York", LAST), ("America/New_York", dt.date(2025, 11, 8))]


def compute(engine: Engine, first: dt.date, last: dt.date, zone: str = "UTC", include_theta: bool = True) -> Published:
    """What the asset does for a range of days, without Dagster's run around it."""
    place = ZoneInfo(zone)
    window = {
        "history_from": instant_of(first - 28 * DAY, place),
        "from_at": instant_of(first, place),
        "to_at": instant_of(last + DAY, place),
    }
    with engine.begin() as connection:
        connection.execute(
            statement("features/features_topic_daily.sql"), {**window, "timezone": zone, "include_theta": include_theta}
        )
        return publish(
            connection,
            table,
            staged="staged_features",
            partition="t.date BETWEEN :first AND :last",
            parameters={"first": first, "last": last},
        )


def stored(engine: Engine) -> dict[tuple[str, str, dt.date], dict[str, Any]]:
    rows = rows_of(engine, "SELECT * FROM features_topic_daily")
    return {(row["user_id"], row["topic_id"], row["date"]): row for row in rows}


def half_up(value: float, digits: str = "1") -> Decimal:
    return Decimal(repr(value)).quantize(Decimal(digits), ROUND_HALF_UP)


def share(attempts: list[Attempt]) -> float:
    return sum(a.correct is True for a in attempts) / len(attempts)


def improvement(mine: list[tuple[dt.date, Attempt]], day: dt.date) -> float | None:
    """I_t by accuracy in the 14 days up to and with the day against the 14 before."""
    answered = [(at, a) for at, a in mine if a.correct is not None]
    recent = [a for at, a in answered if day - 13 * DAY <= at <= day]
    previous = [a for at, a in answered if day - 27 * DAY <= at <= day - 14 * DAY]
    if not recent or not previous:
        return None
    p = share(recent)
    penalty = 1 - min(0.5, 1.96 * math.sqrt(p * (1 - p) / len(recent)))
    return clamp((p - share(previous)) * min(1, len(recent) / 30) * penalty, -1, 1)


def expected_rows(
    attempts: list[Attempt], first: dt.date, last: dt.date, zone: str
) -> dict[tuple[str, str, dt.date], dict[str, Any]]:
    by_topic: dict[tuple[str, str], list[tuple[dt.date, Attempt]]] = defaultdict(list)
    for a in attempts:
        if a.topic is not None:
            by_topic[(a.user_id, a.topic)].append((a.at.astimezone(ZoneInfo(zone)).date(), a))
    rows = {}
    for (user, topic), mine in by_topic.items():
        for day in {at for at, _ in mine if first <= at <= last}:
            of_day = [a for at, a in mine if at == day]
            answered = [a for a in of_day if a.correct is not None]
            times = [a.seconds * 1000 for a in answered if a.seconds is not None]
            rows[(user, topic, day)] = {
                "attempts": len(answered),
                "correct": sum(a.correct is True for a in answered),
                "avg_time_ms": round(mean(times)) if times else None,
                "rt_median": round(median(times)) if times else None,
                "hints": sum((a.hints or 0) > 0 for a in of_day),
                "last_seen_at": max(a.at for a in of_day),
                "improvement": improvement(mine, day),
            }
    return rows


def agree(found: dict[str, Any], expected: dict[str, Any]) -> None:
    for name, value in expected.items():
        if name == "improvement" and value is not None:
            assert float(found[name]) == pytest.approx(value, abs=0.00051)
        else:
            assert found[name] == value, name


@pytest.mark.parametrize(("zone", "last"), PLACES)
@settings(max_examples=4, deadline=None, derandomize=True, phases=[Phase.explicit, Phase.generate])
@given(seed=st.integers(0, 2**32))
def test_a_range_agrees_with_plain_python(shared_database: Engine, zone: str, last: dt.date, seed: int) -> None:
    first = last - 20 * DAY
    as_of = instant_of(last + DAY, ZoneInfo(zone))
    attempts = random_cohort(random.Random(seed), as_of, zone)
    empty_tables(shared_database)
    store_attempts(shared_database, attempts)
    compute(shared_database, first, last, zone)
    found, expected = stored(shared_database), expected_rows(attempts, first, last, zone)
    assert set(found) == set(expected)
    for key, values in expected.items():
        agree(found[key], values)


@pytest.mark.parametrize(("zone", "last"), PLACES[1:3])
def test_a_range_in_one_statement_equals_day_by_day(database: Engine, zone: str, last: dt.date) -> None:
    first = last - 9 * DAY
    place = ZoneInfo(zone)
    store_attempts(database, random_cohort(random.Random(3), instant_of(last + DAY, place), zone))
    for week in range(6):
        monday = monday_of(last) - 7 * week * DAY
        store_abilities(database, {"kim": Ability(0.1 * week, 0.3)}, monday, instant_of(monday + 7 * DAY, place))
    compute(database, first, last, zone)
    in_one = {key: {k: v for k, v in row.items() if k != "computed_at"} for key, row in stored(database).items()}
    assert in_one
    execute(database, "TRUNCATE features_topic_daily")
    for number in range(10):
        compute(database, first + number * DAY, first + number * DAY, zone)
    one_by_one = {key: {k: v for k, v in row.items() if k != "computed_at"} for key, row in stored(database).items()}
    assert one_by_one == in_one
    before = snapshot(database, "features_topic_daily")
    assert compute(database, first, last, zone).unchanged == len(in_one)
    assert snapshot(database, "features_topic_daily") == before


def attempt(day: dt.date, hour: float = 12, **fields: Any) -> Attempt:
    at = dt.datetime.combine(day, dt.time(), UTC) + dt.timedelta(hours=hour)
    values = {"user_id": "kim", "item_id": 1, "at": at, "session": str(at), "correct": True, **fields}
    return Attempt(**values)


def test_improvement_is_that_of_the_topic(database: Engine) -> None:
    """Right answers in geometry and wrong ones in algebra: only geometry improves (fault 34)."""
    answers = [attempt(LAST - 20 * DAY, topic=t, correct=t == "algebra") for t in ("algebra", "geometry")]
    answers += [attempt(LAST, topic=t, correct=t == "geometry") for t in ("algebra", "geometry")]
    store_attempts(database, answers)
    compute(database, LAST, LAST)
    found = {key[1]: row["improvement"] for key, row in stored(database).items()}
    assert found == {"algebra": Decimal("-0.033"), "geometry": Decimal("0.033")}


def test_days_are_local_days(database: Engine) -> None:
    store_attempts(database, [attempt(LAST - DAY, 14.99), attempt(LAST - DAY, 15), attempt(LAST, 14.99)])
    compute(database, LAST - DAY, LAST, "Asia/Seoul")
    assert {key[2]: row["attempts"] for key, row in stored(database).items()} == {LAST - DAY: 1, LAST: 2}


def topic_ability(engine: Engine, week: dt.date, theta: float, se: float = 0.2, topic: str = "algebra") -> None:
    execute(
        engine,
        "INSERT INTO student_topic_theta_history (user_id, topic_id, week_start, theta, se, model, version, fitted_at, "
        "n_answers, run_id) VALUES ('kim', :topic, :week, :theta, :se, '2PL', 'v', :at, 3, 'r')",
        {"topic": topic, "week": week, "theta": theta, "se": se, "at": instant_of(week + 7 * DAY, ZoneInfo("UTC"))},
    )


def thetas(engine: Engine) -> dict[dt.date, tuple[Any, ...]]:
    return {k[2]: (r["theta_estimate"], r["theta_sd"], r["theta_mean"]) for k, r in stored(engine).items()}


def test_ability_is_that_of_the_last_week_closed_at_the_end_of_the_day(database: Engine) -> None:
    """Sunday reads its own week, which it closes; the six days before read the previous week. Later weeks are not read."""
    monday = monday_of(LAST)
    store_attempts(database, [attempt(monday + number * DAY) for number in range(7)])
    for week, theta in ((monday - 7 * DAY, 0.5), (monday, 1.0), (monday + 7 * DAY, 9.0)):
        store_abilities(database, {"kim": Ability(theta, 0.25)}, week, instant_of(week + 7 * DAY, ZoneInfo("UTC")))
    compute(database, monday, LAST)
    half, one, sd = Decimal("0.500"), Decimal("1.000"), Decimal("0.250")
    assert thetas(database) == {
        **{monday + number * DAY: (half, sd, half) for number in range(6)},
        LAST: (one, sd, one),
    }


def test_the_topics_ability_comes_before_the_overall_one(database: Engine) -> None:
    week = monday_of(LAST)
    store_attempts(database, [attempt(LAST), attempt(LAST, 13, topic="geometry")])
    store_abilities(database, {"kim": Ability(1.0, 0.25)}, week, instant_of(week + 7 * DAY, ZoneInfo("UTC")))
    topic_ability(database, week, 0.0)
    topic_at, overall_at = (instant_of(LAST - days * DAY, ZoneInfo("UTC")) for days in (30, 5))
    execute(database, "UPDATE student_topic_theta_history SET method = 'EAP', answered_at = :at", {"at": topic_at})
    execute(database, "UPDATE mirt_ability SET method = 'dynamic', answered_at = :at", {"at": overall_at})
    compute(database, LAST, LAST)
    evidence = {key[1]: (row["theta_method"], row["theta_answered_at"]) for key, row in stored(database).items()}
    assert evidence == {"algebra": ("EAP", topic_at), "geometry": ("dynamic", overall_at)}
    found = {key[1]: (row["theta_estimate"], row["theta_sd"]) for key, row in stored(database).items()}
    # An ability of exactly 0 is known, not missing (fault 35).
    assert found == {"algebra": (Decimal("0.000"), Decimal("0.200")), "geometry": (Decimal("1.000"), Decimal("0.250"))}


def test_without_include_theta_the_columns_are_null(database: Engine) -> None:
    week = monday_of(LAST)
    store_attempts(database, [attempt(LAST)])
    store_abilities(database, {"kim": Ability(1.0, 0.25)}, week, instant_of(week + 7 * DAY, ZoneInfo("UTC")))
    topic_ability(database, week, 0.5)
    compute(database, LAST, LAST, include_theta=False)
    assert thetas(database) == {LAST: (None, None, None)}


def test_attempts_that_were_corrected_away_take_their_row_with_them(database: Engine) -> None:
    store_attempts(database, [attempt(LAST), attempt(LAST, topic="geometry"), attempt(LAST - DAY)])
    compute(database, LAST - DAY, LAST)
    execute(database, "DELETE FROM attempt_log WHERE topic_id = 'geometry'")
    result = compute(database, LAST - DAY, LAST)
    assert (result.deleted, result.unchanged) == (1, 2)


def test_later_attempts_change_no_earlier_day(database: Engine) -> None:
    store_attempts(database, random_cohort(random.Random(5), instant_of(LAST, ZoneInfo("UTC")), "UTC"))
    compute(database, LAST - 9 * DAY, LAST - DAY)
    before = snapshot(database, "features_topic_daily")
    store_attempts(database, [attempt(LAST, 0), attempt(LAST + DAY)], first_ordinal=100_000)
    compute(database, LAST - 9 * DAY, LAST - DAY)
    assert snapshot(database, "features_topic_daily") == before


@pytest.mark.parametrize("days", [3, 1])
def test_the_asset_reports_rows_of_every_day_and_reconciles(database: Engine, days: int) -> None:
    store_attempts(database, [attempt(LAST), attempt(LAST, topic="geometry"), attempt(LAST - 2 * DAY)])
    resource = PostgresResource.having(url=database.url.render_as_string(hide_password=False))
    with dg.DagsterInstance.ephemeral() as instance:
        result = dg.materialize(
            [features_topic_daily],
            instance=instance,
            resources={"postgres": resource},
            run_config={"ops": {"features_topic_daily": {"config": {"include_theta": True}}}},
            tags={
                "dagster/asset_partition_range_start": str(LAST - (days - 1) * DAY),
                "dagster/asset_partition_range_end": str(LAST),
            },
        )
        records = instance.fetch_materializations(features_topic_daily.key, limit=10).records
    assert result.success
    assert {record.partition_key for record in records} == {str(LAST - n * DAY) for n in range(days)}
    checks = [check for check in result.get_asset_check_evaluations() if check.partition]
    assert {(check.check_name, check.partition) for check in checks} >= {
        (name, str(LAST - n * DAY)) for name in ("contract", "reconciled") for n in range(days)
    }
    assert all(check.passed for check in result.get_asset_check_evaluations())
    assert len(stored(database)) == {3: 3, 1: 2}[days]


def test_an_answer_whose_row_is_in_quarantine_is_not_missing(database: Engine) -> None:
    store_attempts(database, [attempt(LAST), attempt(LAST, topic="geometry")])
    compute(database, LAST, LAST)
    execute(
        database,
        "WITH bad AS (DELETE FROM features_topic_daily WHERE topic_id = 'geometry' RETURNING *) "
        "INSERT INTO row_quarantine (asset, reason, element) SELECT 'features_topic_daily', 'bad', to_jsonb(bad) FROM bad",
    )
    place = ZoneInfo("UTC")
    day = {
        "first_day": LAST,
        "last_day": LAST,
        "from_at": instant_of(LAST, place),
        "to_at": instant_of(LAST + DAY, place),
    }
    with database.connect() as connection:
        assert connection.execute(statement("features/report.sql", "unexplained"), day).scalar_one() == 0
        connection.execute(text("DELETE FROM row_quarantine"))
        assert connection.execute(statement("features/report.sql", "unexplained"), day).scalar_one() == 1


def test_a_long_topic_of_one_student_does_not_stop_the_day_of_all(database: Engine) -> None:
    """8,000 characters that do not compress are more than an index takes; the old code publishes no row of the day."""
    rng = random.Random(1)
    long = "".join(rng.choice(string.ascii_letters + string.digits) for _ in range(8_000))
    store(database, Exam((question(1, topic="algebra"),), user_id="lee"), Exam((question(2, topic=long),)))
    sync(database)
    compute(database, dt.date(2026, 1, 5), dt.date(2026, 1, 5), include_theta=False)
    assert [row["user_id"] for row in rows_of(database, "SELECT user_id FROM features_topic_daily")] == ["lee"]
