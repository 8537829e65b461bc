"""The growth posterior of one week, by the backend that GROWTH_BACKEND names."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass
from logging import Logger

import pandas as pd

from seedtest_analytics.assets.growth.bayesian.scores import WeeklyScores
from seedtest_analytics.assets.growth.failures import model_failures
from seedtest_analytics.resources.r.brms_growth import BrmsOptions, brms_cache_folder, sample_growth_with_brms
from seedtest_analytics.resources.r.resource import RResource
from seedtest_analytics.resources.stan.resource import StanResource
from seedtest_analytics.settings import GrowthSettings, SettingsError
from seedtest_analytics.stats.growth.binomial import default_draws, fit_binomial
from seedtest_analytics.stats.growth.brms import posterior_of_brms
from seedtest_analytics.stats.growth.counts import CountData, count_data
from seedtest_analytics.stats.growth.data import GrowthData, growth_data
from seedtest_analytics.stats.growth.laplace import fit_laplace
from seedtest_analytics.stats.growth.posterior import GrowthPosterior
from seedtest_analytics.stats.growth.priors import GrowthPriors
from seedtest_analytics.stats.growth.stan import StanSettings, fit_stan

# If the students' gains hardly differ, the contract's 2 x 1,000 draws can be too few, and Stan's usual steps too long
# near a spread of zero. On such a cohort half of the seeds had divergences; with these settings none of eight had.
MORE_DRAWS, CAREFUL_WARMUP, CAREFUL_ADAPT_DELTA = 4, 1000, 0.99
NEARLY_MIXED_RHAT, FEW_DIVERGENCES = 1.05, 0.01

FORMULA = {
    "gaussian": "score ~ week + (week | student_id)",
    "binomial": "right | trials(attempts) ~ week + (week | student_id)",
}


@dataclass(frozen=True)
class Samplers:
    """The backends outside Python, and the log for their progress."""

    stan: StanResource
    r: RResource
    log: Logger


@dataclass(frozen=True)
class GrowthFit:
    """A posterior and its data, which predictions need. ``is_weighted``: scores count by their precision."""

    posterior: GrowthPosterior
    data: GrowthData | CountData
    is_weighted: bool


def priors_of(settings: GrowthSettings) -> GrowthPriors:
    """The contract's priors, replaced by those that BRMS_PRIORS gives. Raises SettingsError."""
    try:
        return GrowthPriors.from_json(settings.priors)
    except (ValueError, KeyError, TypeError) as error:
        raise SettingsError(f"BRMS_PRIORS = {settings.priors!r} is not allowed: {error}") from None


def fit_growth(
    scores: WeeklyScores, settings: GrowthSettings, *, samplers: Samplers, priors: GrowthPriors | None = None
) -> GrowthFit:
    """Fit by ``settings.backend``; the verdict is in the result. Without ``priors`` they are those of the settings.

    Raises GrowthDataError if the scores do not allow the model, SettingsError, and :class:`dagster.Failure` if a
    backend is missing or fails.
    """
    priors = priors or priors_of(settings)
    with model_failures("R_BRMS_TIMEOUT_SECS"):
        if settings.backend == "brms":
            return _fit_brms(scores, settings, priors=priors, samplers=samplers)
        if settings.family == "binomial":
            return _fit_binomial(scores, settings, priors=priors, samplers=samplers)
        return _fit_gaussian(scores, settings, priors=priors, samplers=samplers)


def _fit_gaussian(
    scores: WeeklyScores, settings: GrowthSettings, *, priors: GrowthPriors, samplers: Samplers
) -> GrowthFit:
    data = growth_data(scores.student, scores.week, score=scores.score, weight=scores.weight)
    if settings.backend == "laplace":
        n_draws = settings.n_samples * settings.n_chains
        return GrowthFit(fit_laplace(data, priors, n_draws=n_draws, seed=settings.seed), data, is_weighted=True)
    return GrowthFit(_sample(data, settings, priors=priors, samplers=samplers), data, is_weighted=True)


def _sample(
    data: GrowthData | CountData, settings: GrowthSettings, *, priors: GrowthPriors, samplers: Samplers
) -> GrowthPosterior:
    """By Stan, a second time where more draws in smaller steps are the remedy."""
    stan = StanSettings(chains=settings.n_chains, draws=settings.n_samples, seed=settings.seed)
    runner = samplers.stan.runner(samplers.log)
    posterior = fit_stan(data, runner, priors=priors, settings=stan)
    if not _needs_care(posterior):
        return posterior
    samplers.log.warning(
        f"{settings.n_chains} chains of {settings.n_samples:,} draws fall short ("
        f"{'; '.join(posterior.verdict.reasons)}); sampling {MORE_DRAWS} times as many in smaller steps"
    )
    careful = dataclasses.replace(
        stan, draws=MORE_DRAWS * stan.draws, warmup=CAREFUL_WARMUP, adapt_delta=CAREFUL_ADAPT_DELTA
    )
    return fit_stan(data, runner, priors=priors, settings=careful)


def _needs_care(posterior: GrowthPosterior) -> bool:
    """Nothing is wrong with the chains but what longer ones in smaller steps remedy."""
    lenient = dataclasses.replace(
        posterior.thresholds,
        min_ess=0.0,
        max_rhat=NEARLY_MIXED_RHAT,
        max_divergences=int(FEW_DIVERGENCES * posterior.theta[..., 0].size),
    )
    judged = dataclasses.replace(posterior, thresholds=lenient)
    return not posterior.verdict.usable and judged.verdict.usable


def _fit_binomial(
    scores: WeeklyScores, settings: GrowthSettings, *, priors: GrowthPriors, samplers: Samplers
) -> GrowthFit:
    data = count_data(scores.student, scores.week, answered=scores.answered, right=scores.right)
    if settings.backend == "stan":
        return GrowthFit(_sample(data, settings, priors=priors, samplers=samplers), data, is_weighted=False)
    samplers.log.info(
        f"the quick look of the binomial family takes {default_draws(data.n_students):,} draws by the size of the cohort; "
        "BRMS_N_SAMPLES and BRMS_N_CHAINS have no effect"
    )
    return GrowthFit(fit_binomial(data, priors, seed=settings.seed), data, is_weighted=False)


def _fit_brms(scores: WeeklyScores, settings: GrowthSettings, *, priors: GrowthPriors, samplers: Samplers) -> GrowthFit:
    rows = {"student_id": scores.student, "week": scores.week}
    data: GrowthData | CountData
    if settings.family == "binomial":
        data = count_data(scores.student, scores.week, answered=scores.answered, right=scores.right)
        rows |= {"right": scores.right, "attempts": scores.answered}
    else:
        samplers.log.info("brms counts every weekly score alike; stan and laplace weigh them by their precision")
        data = growth_data(scores.student, scores.week, score=scores.score)
        rows |= {"score": scores.score}
    options = BrmsOptions(
        brms_cache_folder(),
        settings.family,
        priors=priors,
        n_chains=settings.n_chains,
        n_draws=settings.n_samples,
        n_warmup=settings.n_samples,
        seed=settings.seed,
        timeout_seconds=settings.brms_timeout_seconds,
    )
    with samplers.r.session(samplers.log) as session:
        draws = sample_growth_with_brms(session, pd.DataFrame(rows), options=options)
    return GrowthFit(posterior_of_brms(draws, data), data, is_weighted=False)
