"""The compiled smoother: the posterior of each student's levels, slopes and topic deviations, as rows of the tables.

``posterior_kernels`` has the posterior of one student; here it is fed with the answers and read at the weeks' ends, at other
dates and by topic.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from seedtest_analytics.stats.ability.filter_kernels import (
    FORM_DAYS,
    FORM_VARIANCE,
    LEVEL_WALK,
    PRACTICE,
    REPETITION,
    SLOPE_MEAN,
    SLOPE_WALK,
    TOPIC_WALK,
)
from seedtest_analytics.stats.ability.layout_kernels import lay_out
from seedtest_analytics.stats.ability.posterior_kernels import PROBIT, pace, student_posterior
from seedtest_analytics.stats.compiled import ask_for, njit

_EXACT = 1e-12
"""An item of less variance is exact: no answer says anything about it."""
DISCRIMINATION, DIFFICULTY, VARIANCE, LAST_DAY, WALK = range(5)
"""Columns of an item: what all answers say of it on its last day; a day earlier its variance is larger by ``WALK``."""


@njit(cache=True, nogil=True)
def _combine(knot_day, mean, covariance, dates, weights, h, coefficient) -> Any:
    """Mean and variance of Σ weight · θ(date). ``coefficient`` (d,) is scratch.

    Between knots θ is the line between them plus a Brownian bridge; before the first and after the last it stays, plus
    a walk. After the last, growth may go on in silence or not, which widens the variance alone.
    """
    n = len(knot_day)
    coefficient[:] = 0.0
    interval = np.empty(len(dates), dtype=np.int64)
    for j in range(len(dates)):
        t = dates[j]
        i = np.searchsorted(knot_day, t)
        interval[j] = i
        if i == 0:
            coefficient[0] += weights[j]
        elif i == n:
            coefficient[n - 1] += weights[j]
        else:
            share = (t - knot_day[i - 1]) / (knot_day[i] - knot_day[i - 1])
            coefficient[i - 1] += weights[j] * (1.0 - share)
            coefficient[i] += weights[j] * share
    value = 0.0
    for w in range(n):
        value += coefficient[w] * mean[w]
    if len(mean) > n:
        for j in range(len(dates)):
            if interval[j] == n:
                coefficient[len(mean) - 1] += weights[j] * (dates[j] - knot_day[n - 1])
    variance = 0.0
    for i in range(len(mean)):
        if coefficient[i] != 0.0:
            for j in range(len(mean)):
                variance += coefficient[i] * coefficient[j] * covariance[i, j]
    for j in range(len(dates)):
        for k in range(len(dates)):
            i = interval[j]
            if i != interval[k]:
                continue
            early, late = min(dates[j], dates[k]), max(dates[j], dates[k])
            if i == 0:
                shared = knot_day[0] - late
            elif i == n:
                shared = early - knot_day[n - 1]
            else:
                shared = (early - knot_day[i - 1]) * (knot_day[i] - late) / (knot_day[i] - knot_day[i - 1])
            variance += weights[j] * weights[k] * h[LEVEL_WALK] * shared
    return value, variance


@njit(cache=True, nogil=True)
def _answers_of(rows, by_topic, day, correct, item, earlier, item_precision, item_shift, items, logs, h):
    """One student's answers: day and gain by practice up to each in the order of time; in the order of topics right or
    wrong, slope and location. ``logs[k]`` is log(1 + k).

    The item's difficulty is what all answers but this one say, with its error at the time of the answer.
    """
    n = len(rows)
    own_day, gained = np.empty(n), np.empty(n)
    right, slope, location = np.empty(n), np.empty(n), np.empty(n)
    for r in range(n):
        own_day[r] = day[rows[r]]
        gained[r] = h[PRACTICE] * logs[r + 1]
    for k in range(n):
        r = by_topic[k]
        row = rows[r]
        known = items[item[row]]
        a, difficulty = known[DISCRIMINATION], known[DIFFICULTY]
        variance = known[VARIANCE] + known[WALK] * (known[LAST_DAY] - own_day[r])
        if variance <= _EXACT:
            variance = 0.0
        else:
            precision = 1.0 / variance
            # Others' answers cannot say less than nothing; a tenth guards against an item that drew its knowledge elsewhere.
            others = max(precision - item_precision[row], 0.1 * precision)
            difficulty = (difficulty * precision - item_shift[row]) / others
            variance = 1.0 / others
        narrow = 1.0 / math.sqrt(1.0 + PROBIT * a * a * variance)
        effects = a * h[PRACTICE] * logs[r] + h[REPETITION] * math.log1p(earlier[row])
        right[k] = correct[row]
        slope[k] = narrow * a
        location[k] = narrow * (a * difficulty - effects)
    return own_day, gained, right, slope, location


@njit(cache=True, nogil=True)
def _ask_for_next(s, last, start, order, topic, day, correct, item, earlier, item_precision, item_shift) -> None:
    """Load the answers of the student after s in the background."""
    if s + 1 < last:
        for row in order[start[s + 1] : start[s + 2]]:
            ask_for(topic, row)
            ask_for(day, row)
            ask_for(correct, row)
            ask_for(item, row)
            ask_for(earlier, row)
            ask_for(item_precision, row)
            ask_for(item_shift, row)


@njit(cache=True, nogil=True)
def smooth_students(
    first,
    last,
    start,
    order,
    topic,
    day,
    correct,
    item,
    earlier,
    item_precision,
    item_shift,
    items,
    logs,
    h,
    origin,
    knot_days,
    n_topics,
    week_ends,
    row_start,
    levels,
    cell_offset,
    cell_codes,
    cells,
    topic_offset,
    topic_codes,
    topic_rows,
) -> int:
    """Smooth students first..last and write their rows; returns the largest number of iterations.

    ``levels`` (rows, 6): level, its SE, slope, its SE, covariance of level and slope, days since the last answer; the rows of
    student s are its last ``row_start[s + 1] - row_start[s]`` week ends. ``cells`` (rows, 5) and ``topic_rows`` (rows, 5): day,
    deviation, SE, ability level + deviation, SE; codes hold student, topic. No rows of ``cells`` leave them out.
    """
    has_cells = len(cells) > 0
    place = np.full(n_topics, -1, dtype=np.int32)
    one_date, one_weight = np.empty(1), np.ones(1)
    most = 0
    for s in range(first, last):
        rows = order[start[s] : start[s + 1]]
        _ask_for_next(s, last, start, order, topic, day, correct, item, earlier, item_precision, item_shift)
        if len(rows) == 0:
            continue
        knot_day, topics, cell_start, cell_knot, answer_start, by_topic = lay_out(
            rows, topic, day, origin, knot_days, place
        )
        own_day, gained, right, slope, location = _answers_of(
            rows, by_topic, day, correct, item, earlier, item_precision, item_shift, items, logs, h
        )
        mean, covariance, u, u_variance, u_level, iterations = student_posterior(
            knot_day, cell_start, cell_knot, answer_start, right, slope, location, h
        )
        most = max(most, iterations)
        n = len(knot_day)
        scratch = np.empty(len(mean))
        n_rows = row_start[s + 1] - row_start[s]
        for k in range(n_rows):
            row = row_start[s] + k
            one_date[0] = week_ends[len(week_ends) - n_rows + k]
            levels[row, 0], variance = _combine(knot_day, mean, covariance, one_date, one_weight, h, scratch)
            levels[row, 1] = math.sqrt(variance + h[FORM_VARIANCE])
            w = min(max(np.searchsorted(knot_day, one_date[0], side="right") - 1, 0), n - 1)
            silent = max(one_date[0] - knot_day[w], 0.0)
            newest = np.searchsorted(own_day, one_date[0]) - 1
            levels[row, 0] += gained[newest]
            levels[row, 5] = one_date[0] - own_day[newest]
            if len(mean) > n:
                d = n + pace(knot_day[w], knot_day[0])
                levels[row, 2] = mean[d]
                levels[row, 3] = math.sqrt(covariance[d, d] + h[SLOPE_WALK] * silent)
                levels[row, 4] = covariance[w, d]
            else:
                levels[row, 2], levels[row, 3], levels[row, 4] = h[SLOPE_MEAN], 0.0, 0.0
        end = week_ends[len(week_ends) - 1]
        one_date[0] = end
        value, variance = _combine(knot_day, mean, covariance, one_date, one_weight, h, scratch)
        for k in range(len(topics)):
            for c in range(cell_start[k], cell_start[k + 1] if has_cells else cell_start[k]):
                row = cell_offset[s] + c
                w = cell_knot[c]
                gain = gained[by_topic[answer_start[c + 1] - 1]]
                cell_codes[row, 0], cell_codes[row, 1] = s, topics[k]
                cells[row, 0] = knot_day[w]
                cells[row, 1] = u[c]
                cells[row, 2] = math.sqrt(u_variance[c])
                cells[row, 3] = mean[w] + u[c] + gain
                ability_variance = covariance[w, w] + u_variance[c] + 2.0 * u_level[c]
                cells[row, 4] = math.sqrt(ability_variance + h[FORM_VARIANCE])
            # Now: the last deviation of the topic stays and widens; the level is that of the last knot.
            c = cell_start[k + 1] - 1
            w = cell_knot[c]
            widened = u_variance[c] + h[TOPIC_WALK] * max(end - knot_day[w], 0.0)
            # cov(u_c, θ_last) = cov(u_c, θ_w) · cov(θ_w, θ_last) / var(θ_w): exact for a topic of one cell.
            across = u_level[c] * covariance[w, n - 1] / covariance[w, w]
            row = topic_offset[s] + k
            topic_codes[row, 0], topic_codes[row, 1] = s, topics[k]
            topic_rows[row, 0] = knot_day[w]
            topic_rows[row, 1] = u[c]
            topic_rows[row, 2] = math.sqrt(widened)
            topic_rows[row, 3] = value + u[c] + gained[len(rows) - 1]
            topic_rows[row, 4] = math.sqrt(max(widened + variance + 2.0 * across, 0.0) + h[FORM_VARIANCE])
    return most


@njit(cache=True, nogil=True)
def combine_students(
    first,
    last,
    start,
    order,
    topic,
    day,
    correct,
    item,
    earlier,
    item_precision,
    item_shift,
    items,
    logs,
    h,
    origin,
    knot_days,
    n_topics,
    dates,
    weights,
    values,
    variances,
) -> None:
    """Mean and variance of Σ weight · level(date) for students first..last; NaN for students without answers."""
    of_form = 0.0
    for j in range(len(dates)):
        for k in range(len(dates)):
            of_form += weights[j] * weights[k] * math.exp(-abs(dates[j] - dates[k]) / h[FORM_DAYS])
    place = np.full(n_topics, -1, dtype=np.int32)
    for s in range(first, last):
        rows = order[start[s] : start[s + 1]]
        _ask_for_next(s, last, start, order, topic, day, correct, item, earlier, item_precision, item_shift)
        if len(rows) == 0:
            values[s], variances[s] = np.nan, np.nan
            continue
        knot_day, _, cell_start, cell_knot, answer_start, by_topic = lay_out(rows, topic, day, origin, knot_days, place)
        own_day, gained, right, slope, location = _answers_of(
            rows, by_topic, day, correct, item, earlier, item_precision, item_shift, items, logs, h
        )
        mean, covariance, _, _, _, _ = student_posterior(
            knot_day, cell_start, cell_knot, answer_start, right, slope, location, h
        )
        values[s], lasting = _combine(knot_day, mean, covariance, dates, weights, h, np.empty(len(mean)))
        variances[s] = lasting + h[FORM_VARIANCE] * of_form
        for j in range(len(dates)):
            before = np.searchsorted(own_day, dates[j])
            if before > 0:
                values[s] += weights[j] * gained[before - 1]
