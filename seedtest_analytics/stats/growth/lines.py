"""Students' lines given the population, for a handful of students or draws, in plain NumPy.

`prediction` is the pass over everyone; this is for plots, single students, and to check the other.
"""

import numpy as np

from seedtest_analytics.stats.growth.data import GrowthData
from seedtest_analytics.stats.growth.prediction import population_draws


def relative_covariance(population: np.ndarray, design: np.ndarray) -> np.ndarray:
    """Posterior covariance of a student's line given the population, in units of sigma², shape (K, 2, 2).

    Args:
        population: draws as `population_draws` returns them, shape (K, 6).
        design: the student's X'WX, shape (2, 2).
    """
    factor = np.zeros((len(population), 2, 2))
    factor[:, 0, 0], factor[:, 1, 0], factor[:, 1, 1] = population[:, 2:5].T
    transposed = factor.transpose(0, 2, 1)
    return factor @ np.linalg.inv(np.eye(2) + transposed @ design @ factor) @ transposed


def conditional_lines(theta: np.ndarray, data: GrowthData, *, student: int) -> tuple[np.ndarray, np.ndarray]:
    """Mean (K, 2) and covariance (K, 2, 2) of one student's intercept and slope, given each draw.

    Args:
        theta: draws, shape (K, 6).
        student: row of `data.students`.
    """
    population = population_draws(theta, data)
    A00, A01, A11, c0, c1 = data.statistics[student, :5]
    design = np.array([[A00, A01], [A01, A11]])
    covariance = relative_covariance(population, design)
    deviation = population[:, :2] - np.array(data.reference)
    residual = np.array([c0, c1]) - deviation @ design
    mean = population[:, :2] + np.einsum("kij,kj->ki", covariance, residual)
    return mean, covariance * population[:, 5, None, None] ** 2
