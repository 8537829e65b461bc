"""Shorthands of the growth tests."""

from typing import Any

import numpy as np
from arviz_stats.base import array_stats

from seedtest_analytics.stats.growth.prediction import StudentPredictions, predict_blocks


def predict_students(*arguments: Any, **options: Any) -> StudentPredictions:
    """Predictions of a cohort that fits in one block."""
    (block,) = predict_blocks(*arguments, **options)
    return block


def mcse_mean(draws: np.ndarray) -> float:
    """Monte Carlo standard error of the mean of (chains, draws)."""
    return float(array_stats.mcse(draws, chain_axis=0, draw_axis=1, method="mean"))
