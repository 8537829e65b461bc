"""R's brms as a backend: its draws as a `GrowthPosterior`, judged and used like those of Stan and the Laplace fit."""

from collections.abc import Mapping

import numpy as np

from seedtest_analytics.stats.checks import LARGEST, array_of, number
from seedtest_analytics.stats.growth.counts import CountData
from seedtest_analytics.stats.growth.data import GrowthData
from seedtest_analytics.stats.growth.posterior import Family, GrowthPosterior, SamplerRun, Thresholds, fitted_data
from seedtest_analytics.stats.growth.priors import GrowthPriors
from seedtest_analytics.stats.mixed_model.brms_draws import BrmsDraws

# Our name of each brms parameter, in the order of theta.
BRMS_NAMES = {
    "b_Intercept": "intercept",
    "b_week": "week",
    "sd_student_id__Intercept": "sd_intercept",
    "sd_student_id__week": "sd_week",
    "cor_student_id__Intercept__week": "correlation",
    "sigma": "sigma",
}
# A correlation of exactly +-1 has no finite coordinate; chains near the edge round to it in single precision.
MAX_CORRELATION = 1 - 1e-12


def posterior_of_brms(
    draws: BrmsDraws, data: GrowthData | CountData, *, thresholds: Thresholds | None = None
) -> GrowthPosterior:
    """Population parameters of a brms fit of `score ~ week + (week | student_id)`, with the priors that brms reports.

    Args:
        draws: what brms returned.
        data: the rows that brms was given; predictions need them.
        thresholds: of the verdict.

    Raises:
        ValueError: the fit and the data have different students, or the draws are invalid (see `theta_of`).
    """
    if list(draws.student_ids) != list(data.students):
        raise ValueError(
            f"brms was given {len(draws.student_ids)} students and the data hold {data.n_students}, or others"
        )
    return GrowthPosterior(
        method="brms",
        theta=theta_of(draws.parameters, draws.family, week_mean=data.week_mean),
        weights=None,
        priors=GrowthPriors.from_json(draws.priors),
        seed=draws.seed,
        sampler=SamplerRun(
            draws.divergences, draws.ebfmi, treedepth_max=draws.treedepth_max, treedepth_hits=draws.treedepth_hits
        ),
        toolchain=draws.toolchain,
        thresholds=thresholds or Thresholds(),
        **fitted_data(data),
    )


def theta_of(draws: Mapping[str, np.ndarray], family: Family, *, week_mean: float) -> np.ndarray:
    """Draws in the coordinates of `GrowthPosterior.theta`, shape (chains, draws, P).

    Args:
        draws: each of shape (chains, draws), under brms's names; others are ignored.
        family: only the gaussian one has `sigma`.
        week_mean: mean week over the rows, where theta has its intercept.

    Raises:
        ValueError: a parameter is missing, shapes differ, or a value is not a number, not finite or not positive.
    """
    wanted = [name for name in BRMS_NAMES if family == "gaussian" or name != "sigma"]
    missing = [name for name in wanted if name not in draws]
    if missing:
        raise ValueError(f"draws of {missing} are missing; got {sorted(draws)}")
    number(week_mean, "week_mean")
    columns = [array_of(draws[name], name) for name in wanted]
    if any(column.dtype.kind not in "fiu" for column in columns):
        raise ValueError(f"draws of {', '.join(wanted)} must be numbers")
    shapes = {column.shape for column in columns}
    if len(shapes) > 1 or len(next(iter(shapes))) != 2:
        raise ValueError(f"draws must all have one shape (chains, draws), not {sorted(shapes)}")
    for name, column in zip(wanted, columns, strict=True):
        if not (np.abs(column) <= LARGEST).all() or (name.startswith("s") and (column <= 0).any()):
            raise ValueError(f"draws of {name} contain values that are not finite or not positive")
    intercept, week, sd_intercept, sd_week, correlation, *sigma = columns
    correlation = np.arctanh(np.clip(correlation, -MAX_CORRELATION, MAX_CORRELATION))
    theta = [intercept + week * week_mean, week, np.log(sd_intercept), np.log(sd_week), correlation]
    return np.stack([*theta, *map(np.log, sigma)], axis=-1)
