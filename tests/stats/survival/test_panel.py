"""The compiled panel against a plain-Python one, and nothing from the future in it."""

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from benchmarks._landmarks import activity_log, landmark_panel
from seedtest_analytics.stats.survival.panel import ACTIVE, NEVER_STARTED, STOPPED, activity_states
from tests.stats.survival.simulated import FIRST_DAY, mondays, simulated_log

sessions = st.lists(st.tuples(st.integers(0, 5), st.integers(0, 90), st.sampled_from([0.0, 0.25, 0.999])), max_size=60)


def plain_rows(sessions, landmarks, end, max_silence):
    """The definition, one row at a time."""
    rows = []
    for user in range(6):
        times = sorted(day + fraction for who, day, fraction in sessions if who == user)
        for landmark in sorted(set(landmarks)):
            past = [t for t in times if t < landmark]
            if landmark >= end or not past or landmark - past[-1] > max_silence:
                continue
            window = [t for t in past if t >= landmark - 28]
            future = [t for t in times if landmark <= t < end]
            gap = (window[-1] - window[0]) / (len(window) - 1) if len(window) > 1 else math.nan
            rows.append(
                (
                    user,
                    landmark,
                    math.floor(future[0]) - landmark + 1 if future else end - landmark,
                    bool(future),
                    landmark - past[-1],
                    len(window),
                    gap,
                    sum(t >= landmark - 7 for t in past),
                    landmark - past[0],
                    (landmark - past[0]) / len(past),
                )
            )
    return rows


@given(sessions, st.lists(st.integers(0, 100), min_size=1, max_size=12), st.integers(5, 95), st.sampled_from([9, 1e9]))
@settings(max_examples=200, deadline=None)
def test_equals_the_plain_definition(sessions, landmarks, end, max_silence):
    log = activity_log([s[0] for s in sessions], [s[1] + s[2] for s in sessions], n_users=6)
    panel = landmark_panel(log, landmarks, data_end_day=end, max_silence_days=max_silence)
    expected = plain_rows(sessions, landmarks, end, max_silence)
    assert len(panel) == len(expected)
    found = [panel.user, panel.landmark_day, panel.duration_days, panel.is_return, *panel.covariates.values()]
    for column, values in zip(found, zip(*expected, strict=True), strict=False):
        np.testing.assert_allclose(column.astype(float), np.array(values, dtype=float), rtol=1e-6)


def test_a_return_on_the_landmark_day_is_day_one_and_silence_is_beyond_the_horizon():
    log = activity_log([0, 0, 1, 1], [0.5, 7.0, 0.5, 21.0], n_users=2)
    panel = landmark_panel(log, [7], data_end_day=30)
    assert panel.duration_days.tolist() == [1, 15]
    judged, silent = panel.outcome_at(14)
    assert judged.all()
    assert silent.tolist() == [False, True]


def test_outcomes_within_a_horizon_of_the_end_are_not_judged():
    log = activity_log([0], [0.5], n_users=1)
    panel = landmark_panel(log, [7, 14, 21], data_end_day=30)
    assert panel.outcome_at(14)[0].tolist() == [True, True, False]


def test_nothing_after_the_end_of_the_data_enters():
    log, _ = simulated_log(300, seed=3)
    end = FIRST_DAY + 70
    before = landmark_panel(log, mondays(), data_end_day=end)
    rng = np.random.default_rng(4)
    user = np.repeat(np.arange(300), np.diff(log.offsets))
    late = log.start_days >= end
    shuffled = user.copy()
    shuffled[late] = rng.permutation(user[late])
    moved = np.where(late, end + rng.random(len(late)) * 60, log.start_days)
    after = landmark_panel(activity_log(shuffled, moved, n_users=300), mondays(), data_end_day=end)
    np.testing.assert_array_equal(before.duration_days, after.duration_days)
    for name, values in before.covariates.items():
        np.testing.assert_array_equal(values, after.covariates[name])


def test_stopping_follow_up_censors():
    log = activity_log([0, 0], [0.5, 20.0], n_users=1)
    panel = landmark_panel(log, [7], data_end_day=60)
    assert (panel.duration_days[0], panel.is_return[0]) == (14, True)
    stopped = panel.stopped_at(13)
    assert (stopped.duration_days[0], stopped.is_return[0]) == (13, False)
    assert panel.stopped_at(14).is_return[0]


def test_bad_sessions_are_named():
    with pytest.raises(ValueError, match=r"2 sessions .*\[1, 2\]"):
        activity_log([0, 9, 1], [1.0, 2.0, np.nan], n_users=3)


def test_states():
    assert activity_states([0.0, 13.9, 14.0, np.nan], 14).tolist() == [ACTIVE, ACTIVE, STOPPED, NEVER_STARTED]
