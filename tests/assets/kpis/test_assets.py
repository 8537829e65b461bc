"""The six KPI assets, as Dagster runs them, against plain Python on random cohorts with attempts on every edge."""

import datetime as dt
import json
import random
from typing import Any

import dagster as dg
import pytest
from hypothesis import Phase, given, settings
from hypothesis import strategies as st
from sqlalchemy import Connection, Engine, event

from seedtest_analytics.assets.kpis import assets as kpis
from seedtest_analytics.assets.kpis import goal
from seedtest_analytics.partitions import week_at
from seedtest_analytics.resources.postgres import PostgresResource
from seedtest_analytics.settings import PlatformSettings, load_settings
from tests._database import empty_tables, execute, rows_of, snapshot
from tests.assets import _kpi_reference as reference
from tests.assets._cohort import random_abilities, random_cohort, store_abilities, store_attempts, store_windows
from tests.assets._kpi_reference import Ability, Attempt, days_before
from tests.assets._week_runs import week_run

STEPS = {
    kpis.weekly_kpi_of_attempts: ("I_t", "E_t", "R_t", "A_t"),
    kpis.weekly_kpi_p: ("P",),
    kpis.weekly_kpi_s: ("S",),
}
ASSETS = tuple(name for names in STEPS.values() for name in names)
UTC = dt.UTC
LATER = dt.datetime(2026, 5, 1, 15, tzinfo=UTC)
WEEK = dt.date(2026, 3, 2)
# Weeks whose windows hold the change to and from summer time in New York (2026-03-08, 2025-11-02).
PLACES = [
    ("UTC", dt.date(2026, 3, 2)),
    ("Asia/Seoul", dt.date(2026, 3, 2)),
    ("America/New_York", dt.date(2026, 3, 2)),
    ("America/New_York", dt.date(2025, 11, 17)),
]


def steps_of(names: tuple[str, ...]) -> dict[dg.AssetsDefinition, list[str]]:
    """The steps of which the names select something, and what."""
    selected = {step: [name for name in own if name in names] for step, own in STEPS.items()}
    return {step: own for step, own in selected.items() if own}


def compute(
    engine: Engine,
    week: dt.date = WEEK,
    now: dt.datetime = LATER,
    names: tuple[str, ...] = ASSETS,
    platform: PlatformSettings | None = None,
    **chosen: Any,
) -> None:
    """What the steps do for a week, without Dagster's run around it, in one transaction each."""
    settings = load_settings().overridden("kpis", chosen)
    seen = week_at(week, now, platform=platform or PlatformSettings())
    for selected in steps_of(names).values():
        with week_run(engine, seen, settings=settings) as run:
            kpis.compute_week(run, selected)


def materialise(
    engine: Engine, names: tuple[str, ...] = ASSETS, tags: dict[str, str] | None = None, **config: Any
) -> dg.ExecuteInProcessResult:
    """The same as a Dagster run, which does not raise."""
    selection = dg.AssetSelection.assets(*(["weekly_kpi", name] for name in names))
    ops = [step.op.name for step in steps_of(names)]
    return materialise_selection(engine, selection, ops, partition_key=None if tags else WEEK, tags=tags, **config)


def materialise_selection(
    engine: Engine,
    selection: dg.AssetSelection,
    ops: list[str],
    partition_key: dt.date | None = WEEK,
    tags: dict[str, str] | None = None,
    **config: Any,
) -> dg.ExecuteInProcessResult:
    """A run of anything that can be selected of the assets, which has these ops."""
    return dg.materialize(
        list(STEPS),
        selection=selection,
        partition_key=partition_key and partition_key.isoformat(),
        resources={"postgres": PostgresResource.having(url=engine.url.render_as_string(hide_password=False))},
        run_config={"ops": {op: {"config": {"as_of": LATER.isoformat(), **config}} for op in ops}},
        tags=tags,
        raise_on_error=False,
    )


def stored(engine: Engine, week: dt.date = WEEK) -> dict[str, dict[str, Any]]:
    rows = rows_of(engine, "SELECT user_id, kpis FROM weekly_kpi WHERE week_start = :week", week=week)
    return {row["user_id"]: row["kpis"] for row in rows}


def agrees(found: dict[str, Any], expected: dict[str, Any]) -> None:
    for key, value in expected.items():
        assert key in found, f"{key} is missing"
        if isinstance(value, float):
            assert found[key] == pytest.approx(value, abs=1e-9), key
        else:
            assert found[key] == value, key


def expected_kpis(
    attempts: list[Attempt],
    as_of: dt.datetime,
    zone: str,
    abilities: dict[str, Ability],
    recent: dict[str, Ability],
    previous: dict[str, Ability],
    use_theta: bool,
    target: float,
) -> dict[str, dict[str, Any]]:
    since = days_before(as_of, 90, zone)
    population = {a.user_id for a in attempts if since <= a.at < as_of}
    result = {}
    for user in population:
        mine = [a for a in attempts if a.user_id == user]
        result[user] = {
            **reference.improvement(mine, as_of, zone, recent.get(user), previous.get(user), use_theta),
            **reference.efficiency(mine, as_of, zone),
            **reference.recovery(mine, as_of, zone),
            **reference.engagement(mine, as_of, zone),
            **reference.goal_probability(abilities.get(user), target),
            **reference.churn_risk(mine, as_of, zone),
        }
    return result


@pytest.mark.parametrize(("zone", "week"), PLACES)
@settings(max_examples=6, deadline=None, derandomize=True, phases=[Phase.explicit, Phase.generate])
@given(seed=st.integers(0, 2**32), use_theta=st.booleans())
def test_all_six_agree_with_plain_python(
    shared_database: Engine, zone: str, week: dt.date, seed: int, use_theta: bool
) -> None:
    rng = random.Random(seed)
    platform = PlatformSettings().overridden_by({"timezone": zone})
    as_of = week_at(week, LATER, platform=platform).as_of
    attempts = random_cohort(rng, as_of, zone)
    abilities, recent, previous = (random_abilities(rng, attempts) for _ in range(3))
    empty_tables(shared_database)
    store_attempts(shared_database, attempts)
    store_abilities(shared_database, abilities, week, as_of)
    middle, first = days_before(as_of, 14, zone), days_before(as_of, 28, zone)
    store_windows(shared_database, recent, week, "recent", (middle, as_of))
    store_windows(shared_database, previous, week, "previous", (first, middle))
    compute(shared_database, week, platform=platform, use_irt_theta=use_theta, default_target=0.25)
    found = stored(shared_database, week)
    expected = expected_kpis(attempts, as_of, zone, abilities, recent, previous, use_theta, 0.25)
    assert set(found) == set(expected)
    for user, keys in expected.items():
        agrees(found[user], keys)
        for name in ("I_t", "E_t", "R_t", "A_t", "P"):
            has_reason = f"{name}_reason" in found[user]
            assert (found[user][name] is None) == has_reason, name
            assert has_reason == (f"{name}_reason_code" in found[user]), name


@pytest.fixture
def cohort(database: Engine) -> list[Attempt]:
    """A fixed cohort in UTC around the end of the week of 2 March 2026."""
    as_of = dt.datetime(2026, 3, 9, tzinfo=UTC)
    attempts = [a for a in random_cohort(random.Random(11), as_of, "UTC") if a.at < as_of]
    store_attempts(database, attempts)
    return attempts


def attempt(day: float, **fields: Any) -> Attempt:
    """An attempt of kim, ``day`` days before the end of the week of 2 March 2026."""
    at = dt.datetime(2026, 3, 9, tzinfo=UTC) - dt.timedelta(days=day)
    values = {"user_id": "kim", "item_id": 1, "at": at, "session": f"s{day}", "correct": True, **fields}
    return Attempt(**values)


# ---- windows and reasons by hand ----


def test_windows_are_half_open_and_adjoin(database: Engine) -> None:
    store_attempts(
        database, [attempt(28), attempt(14 + 1e-6 / 86_400), attempt(14), attempt(0), attempt(1e-6 / 86_400)]
    )
    compute(database, names=("I_t",))
    kim = stored(database)["kim"]
    assert (kim["I_t_n_previous"], kim["I_t_n_recent"]) == (2, 2)


@pytest.mark.parametrize(
    ("days", "reason", "code"),
    [
        ([60], "no answer in the last 28 days", "no_answers_28d"),
        ([20], "no answer in the last 14 days", "no_answers_14d"),
        ([3], "no answer in the 14 days before the last 14", "no_answers_previous_14d"),
    ],
)
def test_no_improvement_without_two_windows(database: Engine, days: list[float], reason: str, code: str) -> None:
    store_attempts(database, [attempt(day) for day in days])
    compute(database, names=("I_t",))
    kim = stored(database)["kim"]
    assert (kim["I_t"], kim["I_t_reason"], kim["I_t_reason_code"]) == (None, reason, code)
    assert "I_t_mode" not in kim


def test_theta_mode_needs_five_recent_answers(database: Engine) -> None:
    end, middle = dt.datetime(2026, 3, 9, tzinfo=UTC), dt.datetime(2026, 2, 23, tzinfo=UTC)
    four = [attempt(day, item_id=day) for day in (1, 2, 3, 4, 20)]
    five = [attempt(day, item_id=day, user_id="lee") for day in (1, 2, 3, 4, 5, 20)]
    store_attempts(database, four + five)
    ability = {"kim": Ability(1.0, 0.2), "lee": Ability(1.0, 0.2)}
    store_windows(database, ability, WEEK, "recent", (middle, end))
    store_windows(database, {user: Ability(0.5, 0.2) for user in ability}, WEEK, "previous", (middle, middle))
    compute(database, names=("I_t",), use_irt_theta=True)
    found = stored(database)
    assert (found["kim"]["I_t_mode"], found["lee"]["I_t_mode"]) == ("accuracy", "theta")
    assert found["lee"]["I_t"] == pytest.approx(0.5 * (5 / 30) * (1 - 1.96 * 0.2))


def test_slowing_down_is_visible_beside_an_efficiency_of_zero(database: Engine) -> None:
    store_attempts(database, [attempt(40, seconds=10), attempt(2, seconds=15)])
    compute(database, names=("E_t",))
    assert stored(database)["kim"] == {
        **dict.fromkeys(("I_t", "R_t", "A_t", "P", "S")),
        "E_t": 0,
        "E_t_change": -0.5,
        "E_t_n_recent": 1,
        "E_t_n_previous": 1,
    }


def test_a_time_that_was_not_recorded_is_no_time(database: Engine) -> None:
    store_attempts(database, [attempt(40, seconds=10), attempt(2, seconds=None), attempt(3, seconds=5)])
    compute(database, names=("E_t",))
    assert stored(database)["kim"]["E_t"] == pytest.approx(0.5)


def test_recovery_counts_items_and_looks_at_the_first_meeting(database: Engine) -> None:
    wrong = [attempt(40, item_id=i, correct=False) for i in (1, 2, 3)]
    again = [attempt(9, item_id=1, correct=False), attempt(8, item_id=1), attempt(7, item_id=2), attempt(6, item_id=9)]
    store_attempts(database, [*wrong, *again])
    compute(database, names=("R_t",))
    kim = stored(database)["kim"]
    assert (kim["R_t"], kim["R_t_n_wrong"], kim["R_t_n_met_again"]) == (0.5, 3, 2)


def test_where_items_do_not_return_recovery_is_by_topic(database: Engine) -> None:
    """Three items of algebra and one of geometry were wrong: (3 · 1/2 + 1 · 1) / 4."""
    wrong = [attempt(40, item_id=i, correct=False) for i in (1, 2, 3)]
    wrong.append(attempt(40, item_id=4, correct=False, topic="geometry"))
    new = [attempt(9, item_id=11), attempt(8, item_id=12, correct=False), attempt(7, item_id=13, topic="geometry")]
    store_attempts(database, [*wrong, *new])
    compute(database, names=("R_t",))
    kim = stored(database)["kim"]
    assert (kim["R_t"], kim["R_t_n_met_again"]) == (None, 0)
    assert kim["R_t_topic"] == pytest.approx((3 * 0.5 + 1) / 4)
    assert kim["R_t_topic_n"] == 3


def test_engagement_names_what_it_assumed(database: Engine) -> None:
    store_attempts(database, [attempt(2)])
    compute(database, names=("A_t",))
    kim = stored(database)["kim"]
    assert kim["A_t_assumed"] == ["gap", "hints", "dwell"]
    assert kim["A_t"] == pytest.approx(0.35 / 28 + 0.65 * 0.5)


def test_the_long_silent_have_a_risk(database: Engine) -> None:
    store_attempts(database, [attempt(80)])
    compute(database, names=("S",))
    kim = stored(database)["kim"]
    assert (kim["S"], kim["S_state"], kim["S_n_sessions"]) == (pytest.approx(1.0), "stopped", 0)


@pytest.mark.parametrize(
    ("goals", "target", "source"),
    [
        ([], 0.4, "default"),
        ([("a", 1.0, 0, -1)], 1.0, "interest_goal"),
        ([("a", 1.0, 0, -1), ("b", 2.0, 0, -1)], 1.5, "interest_goal"),
        ([("a", 1.0, 30, -1), ("b", 2.0, 10, -1)], 1.25, "interest_goal"),
        ([("a", None, 5, -1)], 0.4, "default"),
        ([("a", 1.0, 0, 1)], 0.4, "default"),
    ],
    ids=["none", "one", "equal", "weighted", "without_level", "set_later"],
)
def test_the_target_is_the_students_goal(database: Engine, goals: list[Any], target: float, source: str) -> None:
    store_attempts(database, [attempt(2)])
    end = dt.datetime(2026, 3, 9, tzinfo=UTC)
    store_abilities(database, {"kim": Ability(0.8, 0.5)}, WEEK, end)
    for topic, level, priority, days in goals:
        execute(
            database,
            "INSERT INTO interest_goal VALUES ('kim', :topic, :level, :priority, :at)",
            {"topic": topic, "level": level, "priority": priority, "at": end + dt.timedelta(days=days)},
        )
    compute(database, names=("P",), default_target=0.4)
    kim = stored(database)["kim"]
    assert (kim["P_target"], kim["P_target_source"]) == (pytest.approx(target), source)
    assert kim["P"] == pytest.approx(reference.goal_probability(Ability(0.8, 0.5), target)["P"])
    assert (kim["sigma"], kim["theta"], kim["ability_estimate"]) == (0.5, 0.8, 0.8)


def test_without_an_ability_there_is_no_probability(database: Engine) -> None:
    store_attempts(database, [attempt(2)])
    compute(database, names=("P",))
    kim = stored(database)["kim"]
    assert (kim["P"], kim["P_reason"]) == (None, "no ability is known yet")
    assert kim["P_reason_code"] == "no_ability"
    assert "sigma" not in kim


# ---- merging ----


def test_six_keys_are_always_there_whoever_writes_first(database: Engine, cohort: list[Attempt]) -> None:
    for name in ASSETS:
        execute(database, "TRUNCATE weekly_kpi")
        compute(database, names=(name,))
        assert all({"I_t", "E_t", "R_t", "A_t", "P", "S"} <= set(keys) for keys in stored(database).values())


def test_a_row_of_a_legacy_writer_gets_the_six_keys_and_keeps_its_own(database: Engine) -> None:
    store_attempts(database, [attempt(2)])
    execute(
        database,
        "INSERT INTO weekly_kpi (user_id, week_start, kpis) VALUES ('kim', :week, :kpis)",
        {"week": WEEK, "kpis": '{"improvement_index": 0.3}'},
    )
    compute(database, names=("A_t",))
    kim = stored(database)["kim"]
    assert kim["improvement_index"] == 0.3
    assert {"I_t", "E_t", "R_t", "A_t", "P", "S"} <= set(kim)


def test_each_asset_touches_its_own_keys_only(database: Engine, cohort: list[Attempt]) -> None:
    compute(database)
    foreign = {"growth_slope": 0.12, "segment": "x", "sigma": 9.5, "P": 0.75, "P_method": "bayesian", "note": None}
    execute(database, "UPDATE weekly_kpi SET kpis = kpis || CAST(:foreign AS jsonb)", {"foreign": json.dumps(foreign)})
    compute(database, names=("I_t", "E_t", "R_t", "A_t", "S"))
    for keys in stored(database).values():
        assert {name: keys[name] for name in foreign} == foreign
    compute(database, names=("P",))
    assert all("sigma" not in keys and keys["growth_slope"] == 0.12 for keys in stored(database).values())


def test_a_reason_that_no_longer_holds_goes_away(database: Engine) -> None:
    store_attempts(database, [attempt(3)])
    compute(database, names=("I_t",))
    assert "I_t_reason" in stored(database)["kim"]
    execute(database, "TRUNCATE attempt_log")
    store_attempts(database, [attempt(20), attempt(3)])
    compute(database, names=("I_t",))
    kim = stored(database)["kim"]
    assert "I_t_reason" not in kim
    assert kim["I_t"] == 0


def test_sessions_is_an_integer_literal_that_a_legacy_reader_can_cast(database: Engine, cohort: list[Attempt]) -> None:
    compute(database, names=("A_t",))
    rows = rows_of(database, "SELECT (kpis ->> 'sessions')::int AS n, kpis ->> 'sessions' AS literal FROM weekly_kpi")
    assert rows
    assert all(row["literal"] == str(row["n"]) for row in rows)


def test_a_student_without_attempts_after_a_correction_has_no_row(database: Engine, cohort: list[Attempt]) -> None:
    compute(database)
    gone = sorted(stored(database))[0]
    before = stored(database)
    execute(database, "DELETE FROM attempt_log WHERE user_id = :user", {"user": gone})
    compute(database)
    del before[gone]
    assert stored(database) == before


def test_the_second_run_changes_no_row(database: Engine, cohort: list[Attempt]) -> None:
    compute(database)
    before = snapshot(database, "weekly_kpi")
    compute(database)
    assert snapshot(database, "weekly_kpi") == before


@pytest.mark.parametrize("method", ["hashagg", "sort", "indexscan"])
def test_another_query_plan_changes_no_number(database: Engine, method: str) -> None:
    """The plan, which follows the table's statistics, decides in which order rows are summed."""
    rng, end = random.Random(17), dt.datetime(2026, 3, 9, tzinfo=UTC)
    attempts = [
        Attempt(
            f"u{user}",
            item,
            end - dt.timedelta(days=rng.uniform(0, 28)),
            f"{user}/{rng.randrange(20)}",
            True,
            rng.uniform(0, 99),
            0,
            "t",
        )
        for user in range(100)
        for item in range(60)
    ]
    store_attempts(database, attempts)
    compute(database)
    before = stored(database)

    def without(connection: Connection) -> None:
        connection.exec_driver_sql(f"SET LOCAL enable_{method} = off")

    event.listen(database, "begin", without)
    try:
        compute(database)
    finally:
        event.remove(database, "begin", without)
    assert stored(database) == before


def test_a_dry_run_writes_nothing(database: Engine, cohort: list[Attempt]) -> None:
    result = materialise(database, dry_run=True)
    assert result.success
    assert stored(database) == {}
    assert result.get_asset_materialization_events() == []
    descriptions = [check.description or "" for check in result.get_asset_check_evaluations()]
    assert descriptions
    assert all(description.startswith("dry run, nothing written") for description in descriptions)


def test_a_range_of_weeks_equals_week_by_week(database: Engine, cohort: list[Attempt]) -> None:
    weeks = [WEEK - dt.timedelta(days=7 * n) for n in range(3)]
    for week in weeks:
        compute(database, week)
    one_by_one = {week: stored(database, week) for week in weeks}
    execute(database, "TRUNCATE weekly_kpi")
    first, last = weeks[-1].isoformat(), weeks[0].isoformat()
    tags = {"dagster/asset_partition_range_start": first, "dagster/asset_partition_range_end": last}
    assert materialise(database, tags=tags).success
    assert {week: stored(database, week) for week in weeks} == one_by_one


# ---- as of ----


def test_nothing_at_or_after_as_of_leaks_into_a_closed_week(database: Engine, cohort: list[Attempt]) -> None:
    end = dt.datetime(2026, 3, 9, tzinfo=UTC)
    store_abilities(database, {"kim": Ability(0.8, 0.5)}, WEEK, end)
    compute(database)
    before = snapshot(database, "weekly_kpi")
    later = [
        Attempt(user, 1, end + dt.timedelta(hours=hours), f"{user}/later", False, 1.0, 9)
        for user in [*stored(database), "newcomer"]
        for hours in (0, 1, 500)
    ]
    store_attempts(database, later, first_ordinal=100_000)
    next_week = WEEK + dt.timedelta(days=7)
    store_abilities(database, {"kim": Ability(-3.0, 0.1)}, next_week, end + dt.timedelta(days=7))
    execute(database, "INSERT INTO interest_goal VALUES ('kim', 'a', 2.5, 1, :at)", {"at": end})
    compute(database)
    assert snapshot(database, "weekly_kpi") == before


def test_the_running_week_is_seen_from_the_start_of_today(database: Engine) -> None:
    wednesday = dt.datetime(2026, 3, 4, 15, tzinfo=UTC)
    midnight = dt.datetime(2026, 3, 4, tzinfo=UTC)
    at = [midnight - dt.timedelta(hours=1), midnight, midnight + dt.timedelta(hours=3)]
    store_attempts(database, [Attempt("kim", 1, instant, str(instant), True) for instant in at])
    compute(database, now=wednesday, names=("A_t",))
    assert stored(database)["kim"]["A_t_n_attempts"] == 1
    compute(database, now=LATER, names=("A_t",))
    assert stored(database)["kim"]["A_t_n_attempts"] == 3


def test_as_of_an_earlier_day_later_abilities_are_not_read(database: Engine) -> None:
    """A back-fill as of Wednesday, after Friday's scoring has filled the same week's rows."""
    wednesday, friday = dt.datetime(2026, 3, 4, tzinfo=UTC), dt.datetime(2026, 3, 6, tzinfo=UTC)
    store_attempts(database, [attempt(day, item_id=day) for day in (8, 9, 10, 11, 12, 20, 21)])
    store_abilities(
        database, {"kim": Ability(0.1, 0.4)}, WEEK - dt.timedelta(days=7), dt.datetime(2026, 3, 2, tzinfo=UTC)
    )
    store_abilities(database, {"kim": Ability(2.0, 0.4)}, WEEK, friday)
    for name in ("recent", "previous"):
        store_windows(database, {"kim": Ability(1.0, 0.2)}, WEEK, name, (wednesday, friday))
    compute(database, now=wednesday, names=("I_t", "P"), use_irt_theta=True)
    kim = stored(database)["kim"]
    assert kim["theta"] == 0.1
    assert kim["I_t_mode"] == "accuracy"
    compute(database, now=friday, names=("I_t", "P"), use_irt_theta=True)
    kim = stored(database)["kim"]
    assert kim["theta"] == 2.0
    assert kim["I_t_mode"] == "theta"


@pytest.mark.parametrize("first_stored", [0, 1])
def test_on_a_monday_the_running_weeks_ability_counts(database: Engine, first_stored: int) -> None:
    """Then it is as of the same instant as the closed week's: the start of today, which is the end of that week."""
    monday = dt.datetime(2026, 3, 2, tzinfo=UTC)
    store_attempts(database, [attempt(day, item_id=day) for day in (8, 9, 10, 11, 12)])
    weeks = [(WEEK - dt.timedelta(days=7), 0.1), (WEEK, 0.2)]
    for week, theta in (weeks[first_stored], weeks[1 - first_stored]):
        store_abilities(database, {"kim": Ability(theta, 0.4)}, week, monday)
    compute(database, now=monday + dt.timedelta(hours=9), names=("P",))
    assert stored(database)["kim"]["theta"] == 0.2


# ---- what Dagster shows ----


def test_a_run_reports_counts_checks_and_the_as_of_instant(database: Engine, cohort: list[Attempt]) -> None:
    result = materialise(database, names=("S",))
    (event,) = result.get_asset_materialization_events()
    shown = event.materialization.metadata
    n_students = len(stored(database))
    assert shown["dagster/partition_row_count"].value == n_students
    assert shown["rows_inserted"].value == n_students
    assert shown["as_of"].value == "2026-03-09T00:00:00+00:00"
    assert {"summary", "distribution", "reasons", "dagster/column_lineage"} <= set(shown)
    checks = {check.check_name: check for check in result.get_asset_check_evaluations()}
    assert set(checks) == {"contract", "coverage"}
    assert all(check.passed for check in checks.values())
    assert all(check.partition == WEEK.isoformat() for check in checks.values())


def test_a_number_out_of_range_fails_the_check_and_nothing_is_written(
    database: Engine, cohort: list[Attempt], monkeypatch: pytest.MonkeyPatch
) -> None:
    compute(database)
    before = snapshot(database, "weekly_kpi")
    monkeypatch.setattr(goal, "_goal_keys", lambda *_, **__: {"P": 1.5, "surprise": 1})
    result = materialise(database, names=("P",))
    assert not result.success
    (check,) = result.get_asset_check_evaluations()
    assert (check.check_name, check.passed) == ("contract", False)
    assert set(check.metadata) == {"P", "surprise"}
    assert snapshot(database, "weekly_kpi") == before


def test_one_number_out_of_range_is_withheld_and_the_others_are_published(
    database: Engine, cohort: list[Attempt], monkeypatch: pytest.MonkeyPatch
) -> None:
    compute(database)
    before = stored(database)
    bad = min(before)
    keys_of = goal._goal_keys

    def keys(row: dict[str, Any], probability: float) -> dict[str, Any]:
        return {**keys_of(row, probability), **({"P": 1.5} if row["user_id"] == bad else {})}

    monkeypatch.setattr(goal, "_goal_keys", keys)
    compute(database, names=("P",))
    after = stored(database)
    assert {user: row for user, row in after.items() if user != bad} == {
        user: row for user, row in before.items() if user != bad
    }
    assert (after[bad]["P"], after[bad]["P_reason_code"]) == (None, "quarantined")
    assert after[bad]["A_t"] == before[bad]["A_t"]
    (row,) = rows_of(database, "SELECT asset, reason, element FROM row_quarantine")
    assert (row["asset"], row["reason"]) == ("weekly_kpi/P", "P: must be at most 1")
    assert (row["element"]["user_id"], row["element"]["kpis"]["P"]) == (bad, 1.5)
    monkeypatch.undo()
    compute(database, names=("P",))
    assert stored(database) == before
    assert rows_of(database, "SELECT * FROM row_quarantine") == []


# ---- the running week ----


def test_the_first_kpi_of_the_running_week_writes_complete_rows_and_a_closed_week_gets_one_key(
    database: Engine,
) -> None:
    """A reader of the newest row never sees it half filled, also between two of the six assets."""
    rng = random.Random(3)
    wednesday = dt.datetime(2026, 3, 4, 12, tzinfo=UTC)
    store_attempts(database, random_cohort(rng, dt.datetime(2026, 3, 4, tzinfo=UTC), "UTC"))
    compute(database, now=wednesday, names=("A_t",))
    first = stored(database)
    assert first
    for kpis_of_student in first.values():
        lacking = [key for key in ASSETS if kpis_of_student[key] is None and f"{key}_reason" not in kpis_of_student]
        assert lacking == []
    compute(database, now=wednesday)
    assert stored(database) == first
    compute(database, WEEK - dt.timedelta(days=7), now=wednesday, names=("A_t",))
    closed = stored(database, WEEK - dt.timedelta(days=7))
    assert closed
    assert all("S_method" not in row for row in closed.values())
