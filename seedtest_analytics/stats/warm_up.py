"""Compiles the kernels into numba's cache: `python -m seedtest_analytics.stats.warm_up`.

Numba compiles a kernel at its first use and keeps the result beside the module (or in NUMBA_CACHE_DIR). On a fresh machine
that takes longer than the numbers of a small cohort. The demo runs this beside its loading. An image can run it when it
is built. Each engine gets a small simulated log, so that its kernels see the types that the assets give them.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

N_STUDENTS, N_ITEMS, N_WEEKS = 150, 24, 10
SEED = 1


def calibration() -> None:
    """The estimation of items, standard errors, fit, scores and the comparison of groups."""
    from seedtest_analytics.stats.irt.config import CalibrationConfig, ItemPriors, LogNormal, Normal
    from seedtest_analytics.stats.irt.data import ResponseData
    from seedtest_analytics.stats.irt.dif_groups import compare_groups
    from seedtest_analytics.stats.irt.estimation import calibrate
    from seedtest_analytics.stats.irt.fit import item_fit, person_fit
    from seedtest_analytics.stats.irt.scoring import score

    rng = np.random.default_rng(SEED)
    student, item = (code.ravel() for code in np.indices((N_STUDENTS, N_ITEMS)))
    theta, b = rng.normal(size=N_STUDENTS), rng.normal(size=N_ITEMS)
    correct = rng.random(len(student)) < 1 / (1 + np.exp(b[item] - theta[student]))
    data = ResponseData.from_long(student.astype(np.int32), item.astype(np.int64), correct=correct.astype(np.int32))
    found = calibrate(data, CalibrationConfig(priors=ItemPriors(a=LogNormal(0.25, 0.5), b=Normal(0.0, 2.0))))
    item_fit(data, found)
    person_fit(data, found.parameters)
    score(data, found.parameters, prior_mean=np.zeros(data.n_rows), prior_sd=np.ones(data.n_rows))
    compare_groups(data, found.parameters, labels=np.where(np.arange(data.n_rows) % 2, "a", "b"), min_responses=10)


def ability() -> None:
    """The filter, the fit of its hyperparameters, and the smoother."""
    from seedtest_analytics.stats.ability.data import Answers, KnownItems
    from seedtest_analytics.stats.ability.filtering import gather_evidence
    from seedtest_analytics.stats.ability.fitting import fit_hyperparameters
    from seedtest_analytics.stats.ability.smoothing import change_between, smooth
    from seedtest_analytics.stats.ability.topic_success import next_in_topic

    rng = np.random.default_rng(SEED)
    n = 20 * N_STUDENTS
    item = rng.integers(0, N_ITEMS, n)
    answers = Answers.of(
        rng.integers(0, N_STUDENTS, n),
        item,
        topic=item % 3,
        day=np.sort(rng.uniform(0, 7 * N_WEEKS, n)),
        correct=rng.integers(0, 2, n),
    )
    items = KnownItems.of(np.ones(N_ITEMS), np.zeros(N_ITEMS), se_b=np.full(N_ITEMS, 0.1))
    fit = fit_hyperparameters(answers, items=items, max_passes=1)
    evidence = gather_evidence(answers, fit.hyperparameters, items=items)
    end = 7.0 * N_WEEKS
    topics = smooth(evidence, [end]).topics
    next_in_topic(evidence, topics, day=end, since=0.0)
    change_between(evidence, (end - 28, end - 14), recent=(end - 14, end))


def growth() -> None:
    """The quick look at growth, and predictions from it."""
    from seedtest_analytics.stats.growth.data import growth_data
    from seedtest_analytics.stats.growth.laplace import fit_laplace
    from seedtest_analytics.stats.growth.prediction import predict_blocks

    rng = np.random.default_rng(SEED)
    student, week = (code.ravel() for code in np.indices((N_STUDENTS, N_WEEKS)))
    level, slope = rng.normal(0, 1, N_STUDENTS), rng.normal(0.05, 0.1, N_STUDENTS)
    values = level[student] + slope[student] * week + rng.normal(0, 0.3, len(week))
    data = growth_data(student, week.astype(float), score=values, weight=np.ones(len(week)))
    posterior = fit_laplace(data, n_draws=2000, seed=SEED)
    for _ in predict_blocks(posterior, data, goal_week=float(N_WEEKS), goal=1.0):
        pass


def churn() -> None:
    """The churn model with all of its covariates' forms."""
    from seedtest_analytics.stats.survival.churn import ChurnSettings
    from seedtest_analytics.stats.survival.churn_fit import fit_churn
    from seedtest_analytics.stats.survival.panel import LandmarkPanel

    rng = np.random.default_rng(SEED)
    user = np.repeat(np.arange(2 * N_STUDENTS, dtype=np.int32), 2)
    days = rng.exponential(6.0, len(user))
    wait = rng.exponential(2.0 + days)
    panel = LandmarkPanel(
        user=user,
        landmark_day=np.tile(np.array([100, 107], dtype=np.int32), 2 * N_STUDENTS),
        duration_days=np.minimum(np.ceil(wait), 30).astype(np.int32),
        is_return=wait < 30,
        covariates={"days_since_last": days.astype(np.float32)},
        data_end_day=137,
    )
    fit_churn(panel, ChurnSettings(covariates=("days_since_last",), folds=2, forward_landmarks=1))


ENGINES: tuple[Callable[[], None], ...] = (calibration, ability, growth, churn)
"""In the order in which the graph needs them."""


def main() -> None:
    """Compile every engine's kernels."""
    for engine in ENGINES:
        engine()


if __name__ == "__main__":
    main()
