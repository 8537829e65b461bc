"""Cohorts in blocks. Memory depends on the block size and not on the cohort; the draws depend on neither."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, fields
from typing import TypeVar

import numpy as np

from seedtest_analytics.stats.checks import count
from seedtest_analytics.stats.simulate.attempts import (
    Attempts,
    Corrections,
    Sessions,
    draw_attempts,
    draw_corrections,
    draw_sessions,
)
from seedtest_analytics.stats.simulate.config import CELL_STUDENTS, CohortConfig, SimulationError, hour_table
from seedtest_analytics.stats.simulate.items import ItemBank, draw_items
from seedtest_analytics.stats.simulate.students import Goals, Students, draw_goals, draw_students

DEFAULT_BLOCK_STUDENTS = 8 * CELL_STUDENTS

T = TypeVar("T", Students, Goals, Sessions, Attempts, Corrections)


@dataclass(frozen=True)
class CohortBlock:
    """Consecutive students and everything they did; indices count within the block."""

    students: Students
    goals: Goals
    sessions: Sessions
    attempts: Attempts
    corrections: Corrections


def simulate_cohort(config: CohortConfig, block_students: int = DEFAULT_BLOCK_STUDENTS) -> Iterator[CohortBlock]:
    """Blocks of about ``block_students`` students (whole cells of 512), in order.

    A configuration gives the same students and attempts for any block size, and a larger cohort begins with the smaller.

    Raises:
        SimulationError: ``block_students`` is not a whole number from 1.
    """
    count(block_students, "block_students", low=1, error=SimulationError)
    items, hours = draw_items(config), hour_table(config)
    cells = -(-config.n_students // CELL_STUDENTS)
    step = max(1, block_students // CELL_STUDENTS)
    for first in range(0, cells, step):
        drawn = [_draw_cell(config, cell, items=items, hours=hours) for cell in range(first, min(first + step, cells))]
        yield _joined(drawn)


def _draw_cell(config: CohortConfig, cell: int, *, items: ItemBank, hours: np.ndarray) -> CohortBlock:
    students = draw_students(config, cell)
    goals = draw_goals(config, cell, students=students)
    sessions = draw_sessions(config, cell, students=students, hours=hours)
    sessions, attempts = draw_attempts(config, cell, students=students, items=items, sessions=sessions)
    corrections = draw_corrections(config, cell, sessions=sessions, attempts=attempts)
    kept = min(CELL_STUDENTS, config.n_students - cell * CELL_STUDENTS)
    return _first_students(
        CohortBlock(students, goals, sessions=sessions, attempts=attempts, corrections=corrections), kept
    )


def _first_students(block: CohortBlock, kept: int) -> CohortBlock:
    """The block without the students from ``kept`` on; sessions and attempts are ordered by student."""
    if kept == CELL_STUDENTS:
        return block
    n_sessions = int(np.searchsorted(block.sessions.student, kept))
    n_attempts = int(np.searchsorted(block.attempts.student, kept))
    return CohortBlock(
        _where(block.students, slice(kept)),
        _where(block.goals, block.goals.student < kept),
        sessions=_where(block.sessions, slice(n_sessions)),
        attempts=_where(block.attempts, slice(n_attempts)),
        corrections=_where(block.corrections, block.corrections.attempt < n_attempts),
    )


def _where(part: T, rows: slice | np.ndarray) -> T:
    return type(part)(**{f.name: getattr(part, f.name)[rows] for f in fields(part)})


def _joined(blocks: list[CohortBlock]) -> CohortBlock:
    """The blocks as one, with shifted indices."""
    if len(blocks) == 1:
        return blocks[0]
    offsets = {
        "student": _offsets([len(b.students.number) for b in blocks]),
        "session": _offsets([len(b.sessions.student) for b in blocks]),
        "attempt": _offsets([len(b.attempts.student) for b in blocks]),
    }
    return CohortBlock(
        _concatenated([b.students for b in blocks], offsets),
        _concatenated([b.goals for b in blocks], offsets),
        sessions=_concatenated([b.sessions for b in blocks], offsets),
        attempts=_concatenated([b.attempts for b in blocks], offsets),
        corrections=_concatenated([b.corrections for b in blocks], offsets),
    )


def _offsets(lengths: list[int]) -> list[int]:
    return [0, *np.cumsum(lengths)[:-1].tolist()]


def _concatenated(parts: list[T], offsets: dict[str, list[int]]) -> T:
    joined = {}
    for f in fields(parts[0]):
        moves = offsets.get(f.name, [0] * len(parts))
        joined[f.name] = np.concatenate([getattr(p, f.name) + m for p, m in zip(parts, moves, strict=True)])
    return type(parts[0])(**joined)
