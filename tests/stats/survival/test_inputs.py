"""What the survival functions refuse, and what a weight of 0 means."""

import numpy as np
import pytest

from seedtest_analytics.stats.survival.concordance import concordance_index
from seedtest_analytics.stats.survival.cox import check_survival_data, fit_cox
from seedtest_analytics.stats.survival.errors import NoEventsError, SurvivalDataError
from seedtest_analytics.stats.survival.kaplan_meier import kaplan_meier

RNG = np.random.default_rng(0)
X = RNG.normal(size=(200, 2))
DAYS = np.ceil(RNG.exponential(10 / np.exp(X[:, 0] / 2)))
DIED = RNG.random(200) < 0.7


@pytest.mark.parametrize(
    "events",
    [DIED + 1, np.where(DIED, 1.0, np.nan), DIED * -1, DIED.astype(int) * 2, np.where(DIED, "yes", "no"), DIED[:-1]],
    ids=["1 and 2", "missing", "negative", "0 and 2", "text", "short"],
)
def test_events_are_0_and_1(events):
    for refused in (
        lambda: check_survival_data(X, DAYS, events=events),
        lambda: kaplan_meier(DAYS, events),
        lambda: concordance_index(DAYS, events, scores=X[:, 0]),
    ):
        with pytest.raises(SurvivalDataError, match="event"):
            refused()


def test_missing_scores_are_refused():
    with pytest.raises(SurvivalDataError, match=r"1 rows have a missing or infinite score \(first rows: \[3\]\)"):
        concordance_index(DAYS, DIED, scores=np.where(np.arange(200) == 3, np.nan, X[:, 0]))


def test_a_row_of_weight_0_is_no_row():
    weights, clusters = np.ones(200), np.arange(200) // 2
    weights[:50] = 0
    without = fit_cox(check_survival_data(X[50:], DAYS[50:], events=DIED[50:], clusters=clusters[50:]))
    with_zero = fit_cox(check_survival_data(X, DAYS, events=DIED, weights=weights, clusters=clusters))
    np.testing.assert_allclose(with_zero.coefficients, without.coefficients)
    np.testing.assert_allclose(with_zero.standard_errors, without.standard_errors)
    assert with_zero.n == 150
    with pytest.raises(NoEventsError, match="none of the 0 rows"):
        check_survival_data(X, DAYS, events=DIED, weights=np.zeros(200))
