"""I_t from the abilities of two windows: who practised more in one of them has not improved."""

from __future__ import annotations

import datetime as dt

import numpy as np
import pytest
from sqlalchemy import Engine

from tests.assets._cohort import store_attempts, store_windows
from tests.assets._kpi_reference import Ability, Attempt
from tests.assets.kpis.test_assets import WEEK, compute, stored

END, MIDDLE = dt.datetime(2026, 3, 9, tzinfo=dt.UTC), dt.datetime(2026, 2, 23, tzinfo=dt.UTC)
NODES, WEIGHTS = np.polynomial.hermite_e.hermegauss(61)


def eap(n_right: int, n: int) -> Ability:
    """Ability under N(0, 1) from answers to items of the Rasch model with difficulty 0."""
    mass = WEIGHTS * np.exp(n_right * NODES - n * np.log1p(np.exp(NODES)))
    mass /= mass.sum()
    mean = float(mass @ NODES)
    return Ability(mean, float(mass @ (NODES - mean) ** 2) ** 0.5, n=n)


@pytest.mark.parametrize("level", [1.2, -1.2])
@pytest.mark.parametrize(("n_recent", "n_previous"), [(40, 8), (8, 40)])
def test_practice_is_not_improvement(database: Engine, level: float, n_recent: int, n_previous: int) -> None:
    """200 students whose ability stays. The difference of the EAPs is 0.3 on average; the mean of 200 is known to 0.04."""
    rng = np.random.default_rng(15)
    users = [f"u{number}" for number in range(200)]
    share = 1 / (1 + np.exp(-level))
    recent, previous = ({u: eap(rng.binomial(n, share), n) for u in users} for n in (n_recent, n_previous))
    apart = np.mean([recent[u].theta - previous[u].theta for u in users])
    assert abs(apart) > 0.2
    answered = [
        Attempt(user, number, at=END - dt.timedelta(days=day), session=f"{user}{day}", correct=True)
        for user in users
        for number, day in enumerate((1, 2, 3, 4, 5, 20))
    ]
    store_attempts(database, answered)
    store_windows(database, recent, WEEK, "recent", (MIDDLE, END))
    store_windows(database, previous, WEEK, "previous", (MIDDLE, MIDDLE))
    compute(database, names=("I_t",), use_irt_theta=True)
    kpis = stored(database)
    found = [kpis[user] for user in users]
    assert np.mean([keys["delta_theta"] for keys in found]) == pytest.approx(0.0, abs=0.12)
    held = [abs(keys["delta_theta"]) < 1.96 * keys["delta_theta_se"] for keys in found]
    assert np.mean(held) > 0.93
