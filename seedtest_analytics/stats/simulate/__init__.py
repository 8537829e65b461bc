"""Cohorts of students with known truth, for tests, benchmarks and the demo. NumPy only, vectorised in blocks.

θ(student, week, topic) = intercept + slope · week + weekly noise + topic deviation, P(x = 1 | θ) by the 2PL or 3PL.

Students start late or never, stop by a hazard of engagement and ability, and some return. Sessions follow a weekly
rhythm in the configured time zone. Response times are log-normal and fall with practice. Some questions stay
unanswered, some repeat, and some exams are corrected later.
"""

from seedtest_analytics.stats.simulate.attempts import Attempts, Corrections, Sessions
from seedtest_analytics.stats.simulate.cohort import DEFAULT_BLOCK_STUDENTS, CohortBlock, simulate_cohort
from seedtest_analytics.stats.simulate.config import CELL_STUDENTS, CohortConfig, SimulationError
from seedtest_analytics.stats.simulate.hostile import HostileExam, hostile_exams, malformed_log
from seedtest_analytics.stats.simulate.items import ItemBank, draw_items, probability_correct
from seedtest_analytics.stats.simulate.students import ACTIVE, NOT_STARTED, STATES, STOPPED, Goals, Students

__all__ = [
    "ACTIVE",
    "CELL_STUDENTS",
    "DEFAULT_BLOCK_STUDENTS",
    "NOT_STARTED",
    "STATES",
    "STOPPED",
    "Attempts",
    "CohortBlock",
    "CohortConfig",
    "Corrections",
    "Goals",
    "HostileExam",
    "ItemBank",
    "Sessions",
    "SimulationError",
    "Students",
    "draw_items",
    "hostile_exams",
    "malformed_log",
    "probability_correct",
    "simulate_cohort",
]
