"""Simulated sessions for the churn benchmarks."""

from __future__ import annotations

import numpy as np

FIRST_DAY, WEEKS = 18_008, 26


def simulated_sessions(n_users: int, seed: int = 1) -> tuple[np.ndarray, np.ndarray]:
    """User index and day of sessions over 26 weeks; rates differ and fade."""
    rng = np.random.default_rng(seed)
    rate = np.clip(rng.lognormal(-2.3, 0.9, n_users), 0.003, 0.9)
    stop = rng.exponential(120.0, n_users)
    counts = rng.poisson(rate * np.minimum(stop, 7 * WEEKS))
    user = np.repeat(np.arange(n_users), counts)
    return user, FIRST_DAY + rng.random(len(user)) * np.minimum(stop, 7 * WEEKS)[user]
