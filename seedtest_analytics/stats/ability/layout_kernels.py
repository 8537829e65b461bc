"""The compiled layout of one student's answers for the smoother: weeks with answers (knots), topics and their cells."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from seedtest_analytics.stats.compiled import njit


@njit(cache=True, nogil=True)
def group_by_student(student, n_students) -> Any:
    """(n_students + 1,) bounds and (n,) answers of each student in their order (a stable counting sort)."""
    start = np.zeros(n_students + 1, dtype=np.int64)
    for s in student:
        start[s + 1] += 1
    for s in range(n_students):
        start[s + 1] += start[s]
    place = start[:-1].copy()
    order = np.empty(len(student), dtype=np.int32)
    for n in range(len(student)):
        order[place[student[n]]] = n
        place[student[n]] += 1
    return start, order


@njit(cache=True, nogil=True)
def lay_out(rows, topic, day, origin, knot_days, topic_place):
    """Knots and cells of one student.

    Returns knot_day (W,), topics (K,), cell_start (K + 1,), cell_knot (C,), answer_start (C + 1,) and the positions in
    ``rows``, ordered by topic.
    ``topic_place`` is scratch by topic code, -1 everywhere before and after.
    """
    n = len(rows)
    knot = np.empty(n, dtype=np.int32)
    knot_sum, knot_n = np.empty(n), np.empty(n)
    n_knots, week_before = 0, -(1 << 60)
    topics = np.empty(n, dtype=np.int32)
    n_topics = 0
    place = np.zeros(n + 1, dtype=np.int64)
    local = np.empty(n, dtype=np.int32)
    for r in range(n):
        t = day[rows[r]]
        week = math.floor((t - origin) / knot_days)
        if week != week_before:
            knot_sum[n_knots], knot_n[n_knots] = 0.0, 0.0
            n_knots += 1
            week_before = week
        knot_sum[n_knots - 1] += t - origin
        knot_n[n_knots - 1] += 1.0
        knot[r] = n_knots - 1
        z = topic[rows[r]]
        if topic_place[z] < 0:
            topic_place[z] = n_topics
            topics[n_topics] = z
            n_topics += 1
        local[r] = topic_place[z]
        place[local[r] + 1] += 1
    for k in range(n_topics):
        place[k + 1] += place[k]
        topic_place[topics[k]] = -1
    by_topic = np.empty(n, dtype=np.int64)
    knot_by_topic = np.empty(n, dtype=np.int32)
    following = place[:n_topics].copy()
    for r in range(n):
        by_topic[following[local[r]]] = r
        knot_by_topic[following[local[r]]] = knot[r]
        following[local[r]] += 1
    cell_start = np.zeros(n_topics + 1, dtype=np.int64)
    cell_knot = np.empty(n, dtype=np.int32)
    answer_start = np.empty(n + 1, dtype=np.int64)
    n_cells = 0
    for k in range(n_topics):
        before = -1
        for r in range(place[k], place[k + 1]):
            if knot_by_topic[r] != before:
                before = knot_by_topic[r]
                cell_knot[n_cells] = before
                answer_start[n_cells] = r
                n_cells += 1
        cell_start[k + 1] = n_cells
    answer_start[n_cells] = n
    knot_day = origin + knot_sum[:n_knots] / knot_n[:n_knots]
    return knot_day, topics[:n_topics], cell_start, cell_knot[:n_cells], answer_start[: n_cells + 1], by_topic


@njit(cache=True, nogil=True)
def count_cells(first, last, start, order, topic, day, origin, knot_days, n_topics) -> Any:
    """(last - first,) number of cells (topic and week) and of topics of each student."""
    place = np.full(n_topics, -1, dtype=np.int32)
    cells = np.zeros(last - first, dtype=np.int64)
    topics = np.zeros(last - first, dtype=np.int64)
    for s in range(first, last):
        rows = order[start[s] : start[s + 1]]
        if len(rows) > 0:
            laid = lay_out(rows, topic, day, origin, knot_days, place)
            topics[s - first] = len(laid[1])
            cells[s - first] = len(laid[3])
    return cells, topics
