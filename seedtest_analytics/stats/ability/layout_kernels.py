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
def link_answers(start, order, topic, item, n_topics, n_items) -> Any:
    """(n,) each: the row of the student's answer before in the topic (-1 for none), earlier answers to the item, and whether
    the answer is the last in the topic."""
    n, n_students = len(order), len(start) - 1
    before, earlier = np.empty(n, dtype=np.int32), np.empty(n, dtype=np.int32)
    is_last = np.empty(n, dtype=np.bool_)
    newest = np.full(n_topics, -1, dtype=np.int32)
    seen = np.zeros(n_items, dtype=np.int32)
    for s in range(n_students):
        for r in range(start[s], start[s + 1]):
            row = order[r]
            k, i = topic[row], item[row]
            before[row] = newest[k]
            if newest[k] >= 0:
                is_last[newest[k]] = False
            is_last[row] = True
            newest[k] = row
            earlier[row] = seen[i]
            seen[i] += 1
        for r in range(start[s], start[s + 1]):
            newest[topic[order[r]]] = -1
            seen[item[order[r]]] = 0
    return before, earlier, is_last


@njit(cache=True, nogil=True)
def reuse_slots(before, is_last) -> int:
    """Turn the links of ``link_answers`` into the row of each answer's (student, topic), in place; returns the number of rows.

    A row is free for another pair after the last answer of its own, which has the slot ``~row``.
    """
    free = np.empty(1024, dtype=np.int32)
    n_free, n_rows = 0, 0
    for n in range(len(before)):
        if before[n] >= 0:
            row = before[before[n]]
        elif n_free > 0:
            n_free -= 1
            row = free[n_free]
        else:
            row = n_rows
            n_rows += 1
        if is_last[n]:
            if n_free == len(free):
                more = np.empty(2 * n_free, dtype=np.int32)
                for k in range(n_free):
                    more[k] = free[k]
                free = more
            free[n_free] = row
            n_free += 1
            row = ~row
        before[n] = row
    return n_rows


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


@njit(cache=True, nogil=True)
def count_topics(start, order, topic, n_topics) -> Any:
    """(n_students,) number of topics of each student."""
    newest = np.full(n_topics, -1, dtype=np.int64)
    found = np.zeros(len(start) - 1, dtype=np.int64)
    for s in range(len(found)):
        for r in range(start[s], start[s + 1]):
            if newest[topic[order[r]]] != s:
                newest[topic[order[r]]] = s
                found[s] += 1
    return found
