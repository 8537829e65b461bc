"""A cohort shows its own parameters again, for every block size; tolerances are four standard errors."""

import datetime as dt
from dataclasses import fields, replace
from zoneinfo import ZoneInfo

import numpy as np
import pytest

from seedtest_analytics.stats.simulate import (
    ACTIVE,
    CELL_STUDENTS,
    NOT_STARTED,
    STOPPED,
    CohortBlock,
    CohortConfig,
    SimulationError,
    draw_items,
    hostile_exams,
    malformed_log,
    probability_correct,
    simulate_cohort,
)
from seedtest_analytics.stats.simulate.config import hour_table

UNTIL = dt.date(2026, 11, 21)
SMALL = CohortConfig(1200, 6, seed=11, until=UNTIL)
LARGE = CohortConfig(8 * CELL_STUDENTS, 16, seed=12, until=UNTIL, timezone="Asia/Seoul")


@pytest.fixture(scope="module")
def large() -> CohortBlock:
    (block,) = simulate_cohort(LARGE)
    return block


def flat(blocks: list[CohortBlock]) -> dict[str, np.ndarray]:
    """All arrays of the blocks, indices made global."""
    joined: dict[str, list[np.ndarray]] = {}
    moves = {"student": 0, "session": 0, "attempt": 0}
    for block in blocks:
        for part in fields(block):
            values = getattr(block, part.name)
            for f in fields(values):
                joined.setdefault(f"{part.name}.{f.name}", []).append(getattr(values, f.name) + moves.get(f.name, 0))
        moves["student"] += len(block.students.number)
        moves["session"] += len(block.sessions.student)
        moves["attempt"] += len(block.attempts.student)
    return {name: np.concatenate(parts) for name, parts in joined.items()}


def test_the_block_size_changes_nothing() -> None:
    expected = flat(list(simulate_cohort(SMALL, CELL_STUDENTS)))
    for block_students in (1, 2 * CELL_STUDENTS, 10**6):
        blocks = list(simulate_cohort(SMALL, block_students))
        assert len(blocks) == {1: 3, 2 * CELL_STUDENTS: 2, 10**6: 1}[block_students]
        for name, values in flat(blocks).items():
            np.testing.assert_array_equal(values, expected[name], err_msg=name)


def test_a_larger_cohort_begins_with_the_smaller_one() -> None:
    small, larger = (flat(list(simulate_cohort(replace(SMALL, n_students=n)))) for n in (700, 1200))
    for name, values in small.items():
        if name.startswith("goals.") or values.shape[1:]:
            continue  # goals are ordered within a cell by rank
        np.testing.assert_array_equal(values, larger[name][: len(values)], err_msg=name)


def test_another_seed_is_another_cohort() -> None:
    first, second = (next(simulate_cohort(replace(SMALL, seed=seed))) for seed in (11, 13))
    assert not np.array_equal(first.attempts.item[:100], second.attempts.item[:100])
    assert not set(draw_items(SMALL).item_id) & set(draw_items(replace(SMALL, seed=13)).item_id)


def test_abilities_have_the_moments_of_the_population(large: CohortBlock) -> None:
    students, n = large.students, len(large.students.number)
    assert abs(students.intercept_logit.mean()) < 4 / np.sqrt(n)
    assert abs(students.intercept_logit.std() - LARGE.ability_sd_logit) < 4 / np.sqrt(2 * n)
    assert abs(students.slope_logit.mean() - 0.03) < 4 * 0.02 / np.sqrt(n)
    assert abs(students.slope_logit.std() - 0.02) < 4 * 0.02 / np.sqrt(2 * n)
    correlation = np.corrcoef(students.intercept_logit, students.slope_logit)[0, 1]
    assert abs(correlation - LARGE.growth_correlation) < 4 / np.sqrt(n)
    line = students.intercept_logit[:, None] + students.slope_logit[:, None] * np.arange(LARGE.n_weeks)
    noise = students.theta_logit - line
    assert abs(noise.std() - LARGE.week_sd_logit) < 4 * LARGE.week_sd_logit / np.sqrt(2 * noise.size)
    deviation = students.topic_deviation_logit
    assert abs(deviation.std() - LARGE.topic_sd_logit) < 4 * LARGE.topic_sd_logit / np.sqrt(2 * deviation.size)


@pytest.mark.parametrize("model", ["2PL", "3PL"])
def test_answers_follow_the_model(model: str) -> None:
    config = replace(LARGE, model=model, n_students=4 * CELL_STUDENTS)
    (block,) = simulate_cohort(config)
    items, a, s = draw_items(config), block.attempts, block.students
    week = block.sessions.week[a.session]
    theta = s.theta_logit[a.student, week] + s.topic_deviation_logit[a.student, items.topic[a.item]]
    p = probability_correct(items, a.item, theta=theta + config.repeat_gain_logit * (a.practice > 0))
    is_answered = a.correct >= 0
    residual = (a.correct == 1)[is_answered] - p[is_answered]
    sd = np.sqrt(p * (1 - p))[is_answered]
    decile = np.digitize(p[is_answered], np.quantile(p, np.arange(0.1, 1, 0.1)))
    for group in range(10):
        z = residual[decile == group].sum() / np.sqrt((sd[decile == group] ** 2).sum())
        assert abs(z) < 4
    assert (items.guessing > 0).all() == (model == "3PL")
    share = (~is_answered).mean()
    assert abs(share - config.share_unanswered) < 4 * np.sqrt(share / len(is_answered))


def test_students_start_stop_and_return(large: CohortBlock) -> None:
    students, n = large.students, len(large.students.number)
    never = (students.state == NOT_STARTED).all(axis=1)
    assert abs(never.mean() - LARGE.share_never_started) < 4 * np.sqrt(LARGE.share_never_started / n)
    np.testing.assert_array_equal(never, students.start_week < 0)
    assert not np.isin(large.sessions.student, np.flatnonzero(never)).any()
    started = np.flatnonzero(~never)
    assert (students.state[started, students.start_week[started]] == ACTIVE).all()
    assert (students.state[large.sessions.student, large.sessions.week] == ACTIVE).all()
    np.testing.assert_array_equal(np.unique(large.sessions.student), started)
    was_active = students.state[:, :-1] == ACTIVE
    stopped = (students.state[:, 1:] == STOPPED) & was_active
    hazard = students.stop_hazard[:, :-1]
    excess = (stopped.astype(float) - hazard)[was_active]
    assert abs(excess.mean()) < 4 * np.sqrt(hazard[was_active].mean() / was_active.sum())
    returned = ((students.state[:, :-1] == STOPPED) & (students.state[:, 1:] == ACTIVE)).any(axis=1)
    assert 0.05 < returned.mean() < 0.5
    assert students.engagement[(students.state == STOPPED).any(axis=1)].mean() < students.engagement.mean() - 0.1


def test_times_of_day_week_and_end(large: CohortBlock) -> None:
    offset_us = 9 * 3600 * 1_000_000
    local = (large.sessions.started_us + offset_us).astype("datetime64[us]")
    monday = np.datetime64(LARGE.first_monday)
    assert LARGE.first_monday.weekday() == 0
    assert LARGE.first_monday + dt.timedelta(weeks=16) == dt.date(2026, 11, 16)
    np.testing.assert_array_equal((local.astype("datetime64[D]") - monday).astype(int) // 7, large.sessions.week)
    hour = local.astype("datetime64[h]").astype(int) % 24
    assert hour.min() == 6
    assert hour.max() == 22
    assert np.isin(hour, [17, 18, 19, 20]).mean() > 0.4
    end = (large.sessions.ended_us + offset_us).astype("datetime64[us]").astype("datetime64[D]")
    np.testing.assert_array_equal(end, local.astype("datetime64[D]"))
    after = large.sessions.started_us[1:] - large.sessions.ended_us[:-1]
    assert after[large.sessions.student[1:] == large.sessions.student[:-1]].min() > 0
    assert large.attempts.completed_us.max() < LARGE.end_us


def test_the_wall_clock_stays_through_daylight_saving() -> None:
    zone = ZoneInfo("America/New_York")
    hours = hour_table(CohortConfig(1, 4, seed=1, until=dt.date(2026, 3, 29), timezone="America/New_York"))
    for week, day, hour in ((0, 0, 0), (0, 6, 9), (1, 6, 20), (3, 6, 23)):
        local = dt.datetime.fromtimestamp(hours[week, day, hour] / 1e6, zone)
        assert (local.isoweekday(), local.hour) == (day + 1, hour)
    assert np.diff(hours.ravel()).min() == 0  # 02:00 on 8 March does not exist and is 03:00
    assert np.diff(hours.ravel()).max() == 3600 * 10**6


def test_response_times_fall_with_practice(large: CohortBlock) -> None:
    a = large.attempts
    timed = a.response_time_ms > 0
    assert abs((~timed).mean() - LARGE.share_time_missing) < 0.002
    log_ms = np.log(a.response_time_ms[timed])
    first, met = a.practice[timed] == 0, a.practice[timed] > 0
    assert log_ms[met].mean() < log_ms[first].mean() - 0.15
    assert 0.45 < log_ms[first].std() < 0.75
    assert a.hints_used.max() == 3
    assert a.hints_used[a.correct == 0].mean() > a.hints_used[a.correct == 1].mean()


def test_repeats_are_of_items_that_were_met() -> None:
    config = replace(SMALL, items_per_topic=1000, n_topics=100, share_repeated=0.3)
    (block,) = simulate_cohort(config)
    a = block.attempts
    position = np.arange(len(a.student)) - np.searchsorted(a.student, a.student)
    later = position > 20
    assert abs((a.practice[later] > 0).mean() - 0.3) < 0.01
    seen: dict[tuple[int, int], int] = {}
    for student, item, practice in zip(a.student[:5000], a.item[:5000], a.practice[:5000], strict=True):
        earlier = seen.get((student, item), 0)
        assert earlier >= practice - 1  # a repeat whose source fell to the session's time limit
        seen[student, item] = earlier + 1


def test_corrections_are_later_and_of_wrong_answers(large: CohortBlock) -> None:
    c, a = large.corrections, large.attempts
    assert (a.correct[c.attempt] == 0).all()
    delay = c.rescored_us - a.completed_us[c.attempt]
    assert delay.min() >= 86_400 * 10**6
    assert c.rescored_us.max() < LARGE.end_us
    assert len(np.unique(a.session[c.attempt])) == len(c.attempt)
    assert 0.005 < len(c.attempt) / len(large.sessions.student) < 0.011


def test_goals(large: CohortBlock) -> None:
    goals, students = large.goals, large.students
    share = len(np.unique(goals.student)) / len(students.number)
    assert abs(share - 0.7) < 4 * np.sqrt(0.21 / len(students.number))
    assert len(np.unique(goals.student * 100 + goals.topic)) == len(goals.student)
    gap = goals.target_logit - students.intercept_logit[goals.student]
    assert abs(np.nanmean(gap) - 0.8) < 4 * 0.5 / np.sqrt(len(gap))
    assert 0.03 < np.isnan(goals.target_logit).mean() < 0.07


def test_hostile_rows_hold_what_they_promise() -> None:
    exams = hostile_exams(SMALL)
    users = {exam.user_id for exam in exams}
    assert {"", None, "-" * 36} < users
    assert len({exam.session_id for exam in exams}) == len(exams)
    text = str([exam.result_json for exam in exams])
    for expected in ("q_stub_3", "'used_hints': 1.5", "'maybe'", "{'0':"):
        assert expected in text
    assert malformed_log(SMALL).count("\n") == 9


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"n_students": 0}, "n_students = 0 is not allowed; use 1 to 10,000,000"),
        ({"n_weeks": 0}, "n_weeks = 0"),
        ({"until": dt.date.max}, "until = 9999-12-31 is not allowed; use 1910-01-01 to 2199-12-31"),
        ({"until": dt.date.min}, "until = 0001-01-01 is not allowed"),
        ({"model": "4PL"}, "model = '4PL' is not allowed; use 2PL or 3PL"),
        ({"stop_hazard": 1.0}, "stop_hazard = 1.0"),
        ({"n_classrooms": 3}, "n_classrooms = 3 needs organisations"),
    ],
)
def test_cohorts_that_cannot_be(changes: dict[str, object], message: str) -> None:
    with pytest.raises(SimulationError, match=message):
        replace(SMALL, **changes)  # type: ignore[arg-type]


def test_the_default_cohort_does_not_change_with_the_options_of_the_demo() -> None:
    neutral = replace(
        SMALL, activity=(1, 1, 1), growth_logit=(0, 0), n_drifting_items=0, n_organisations=2, n_classrooms=4
    )
    before, after = (flat(list(simulate_cohort(config))) for config in (SMALL, neutral))
    for name, values in before.items():
        np.testing.assert_array_equal(after[name], values, err_msg=name)


def test_a_part_week_ends_with_its_last_day() -> None:
    wednesday = dt.date(2026, 11, 18)
    config = replace(SMALL, until=wednesday, includes_part_week=True)
    assert config.first_monday == dt.date(2026, 10, 12)
    sessions = flat(list(simulate_cohort(config)))
    assert sessions["sessions.ended_us"].max() < config.end_us
    assert set(sessions["sessions.week"]) == set(range(6))


def test_kinds_of_students_drift_and_a_slump_show_in_the_answers() -> None:
    config = replace(
        LARGE, activity=(0.5, 1.5), growth_logit=(0, 0.1), n_drifting_items=3, drift_logit=-2, slump_logit=2
    )
    cohort, items = flat(list(simulate_cohort(config))), draw_items(config)
    number = cohort["students.number"]
    per_student = np.bincount(cohort["sessions.student"], minlength=len(number))
    assert per_student[number % 2 == 1].mean() > 2 * per_student[number % 2 == 0].mean()
    slope = cohort["students.slope_logit"]
    assert slope[number % 2 == 1].mean() - slope[number % 2 == 0].mean() == pytest.approx(0.1, abs=0.01)
    item, week = cohort["attempts.item"], cohort["sessions.week"][cohort["attempts.session"]]
    is_right, drifting = cohort["attempts.correct"] == 1, np.flatnonzero(~items.is_anchor)[:3]
    moved, late = np.isin(item, drifting), week >= config.n_weeks - config.drift_weeks
    assert is_right[moved & late].mean() > is_right[moved & ~late & (week < 8)].mean() + 0.15
    slump = (items.topic[item] == 0) & (week == config.n_weeks - 5)
    assert is_right[slump].mean() < is_right[(items.topic[item] == 0) & (week == config.n_weeks - 6)].mean() - 0.2
