"""Simulated growth cohorts with known truth, and naive Stan programs, for benchmarks and tests."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np

PROGRAMS = Path(__file__).parent / "programs"


@dataclass(frozen=True)
class GrowthTruth:
    """The population a cohort is drawn from; defaults are accuracies that rise by about 0.01 a week.

    Attributes:
        intercept: population mean at week 0.
        slope: population mean gain a week.
        tau0, tau1: students' SDs of intercept and slope.
        rho: correlation of the two.
        sigma: SD of a weekly score about the student's line.
    """

    intercept: float = 0.44
    slope: float = 0.012
    tau0: float = 0.09
    tau1: float = 0.009
    rho: float = -0.2
    sigma: float = 0.08

    def effects(self, n_students: int, rng: np.random.Generator) -> np.ndarray:
        """Students' deviations of intercept and slope, shape (n_students, 2)."""
        z = rng.standard_normal((n_students, 2))
        second = self.rho * z[:, 0] + np.sqrt(1 - self.rho**2) * z[:, 1]
        return np.column_stack([self.tau0 * z[:, 0], self.tau1 * second])


@dataclass(frozen=True)
class SimulatedCohort:
    """Long arrays of weekly scores, and every student's true line.

    Attributes:
        student, week, score: one row a student and week with a score; student is the row of `lines`.
        lines: true intercept and slope per student, shape (J, 2).
    """

    student: np.ndarray
    week: np.ndarray
    score: np.ndarray
    lines: np.ndarray


@dataclass(frozen=True)
class SimulatedCounts:
    """As `SimulatedCohort`, with `right` of `answered` in place of a score; lines are in logits."""

    student: np.ndarray
    week: np.ndarray
    answered: np.ndarray
    right: np.ndarray
    lines: np.ndarray


def simulate_cohort(
    n_students: int, n_weeks: int = 12, *, missing: float = 0.2, seed: int = 0, truth: GrowthTruth | None = None
) -> SimulatedCohort:
    """Students with a score in each of weeks 1..n_weeks, each missing with probability `missing`."""
    truth = truth or GrowthTruth()
    rng = np.random.default_rng(seed)
    lines = np.array([truth.intercept, truth.slope]) + truth.effects(n_students, rng)
    student, week = _observed_weeks(n_students, n_weeks, missing=missing, rng=rng)
    score = lines[student, 0] + lines[student, 1] * week + truth.sigma * rng.standard_normal(len(student))
    return SimulatedCohort(student, week, score=score, lines=lines)


def simulate_counts(
    n_students: int,
    n_weeks: int = 12,
    *,
    missing: float = 0.2,
    mean_answered: float = 8.0,
    seed: int = 0,
    truth: GrowthTruth | None = None,
) -> SimulatedCounts:
    """Right of answered with logit-linear growth; at least one answer in each observed week."""
    truth = truth or GrowthTruth(intercept=-0.2, slope=0.06, tau0=0.8, tau1=0.08)
    rng = np.random.default_rng(seed)
    lines = np.array([truth.intercept, truth.slope]) + truth.effects(n_students, rng)
    student, week = _observed_weeks(n_students, n_weeks, missing=missing, rng=rng)
    answered = 1 + rng.poisson(max(mean_answered - 1, 0), len(student))
    logit = lines[student, 0] + lines[student, 1] * week
    right = rng.binomial(answered, 1 / (1 + np.exp(-logit)))
    return SimulatedCounts(student, week, answered=answered, right=right, lines=lines)


def _observed_weeks(
    n_students: int, n_weeks: int, *, missing: float, rng: np.random.Generator
) -> tuple[np.ndarray, np.ndarray]:
    """Student and week of every observed cell, sorted by both; nobody is without a score."""
    seen = rng.random((n_students, n_weeks), dtype=np.float32) >= missing
    seen[~seen.any(axis=1), 0] = True
    student, week = np.nonzero(seen)
    return student, week + 1.0
