"""brms's draws as a growth posterior, so that one set of diagnostics, verdicts and predictions serves all backends."""

from seedtest_analytics.stats.growth.counts import CountData
from seedtest_analytics.stats.growth.data import GrowthData
from seedtest_analytics.stats.growth.posterior import GrowthPosterior, SamplerRun, Thresholds
from seedtest_analytics.stats.growth.priors import GrowthPriors
from seedtest_analytics.stats.mixed_model.brms_draws import BrmsDraws


def posterior_of_brms(
    draws: BrmsDraws, data: GrowthData | CountData, *, thresholds: Thresholds | None = None
) -> GrowthPosterior:
    """Population parameters of a brms fit.

    Args:
        draws: of `score ~ week + (week | student_id)`; the priors are those brms says it used.
        data: the same rows, which predictions need.
        thresholds: of the verdict.

    Raises:
        ValueError: the fit is of other students than the data.
    """
    if list(draws.student_ids) != list(data.students):
        raise ValueError(
            f"brms was given {len(draws.student_ids)} students and the data hold {data.n_students}, or others"
        )
    sampler = SamplerRun(
        draws.divergences, draws.ebfmi, treedepth_max=draws.treedepth_max, treedepth_hits=draws.treedepth_hits
    )
    return GrowthPosterior.from_draws(
        draws.parameters,
        method="brms",
        family=draws.family,
        priors=GrowthPriors.from_json(draws.priors),
        seed=draws.seed,
        week_mean=data.week_mean,
        last_week=float(data.weeks[-1]),
        n_students=data.n_students,
        n_scores=data.n_scores,
        sampler=sampler,
        toolchain=draws.toolchain,
        warnings=data.warnings,
        thresholds=thresholds,
    )
