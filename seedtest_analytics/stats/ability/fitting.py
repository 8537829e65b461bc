"""Hyperparameters by predictive likelihood, with a verdict.

maximise  Σ_n log P(answer n | answers before n) + log prior,  then  variance = exp(log-variance + SD² / 2)

The second step goes from the likeliest variance to the expected one. SD is the posterior's, from the scores of students: few
students leave a variance uncertain, and intervals that take the likeliest one as known are too narrow.

The prior is weak and proper: log-variances N(log of the default, 1.5²), effects N(0, 0.3²). It decides where the answers
say nothing, so that thin data give ordinary values.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from seedtest_analytics.stats.ability.data import Answers, Floats, KnownItems
from seedtest_analytics.stats.ability.errors import AbilityDataError
from seedtest_analytics.stats.ability.filtering import PredictiveLikelihood
from seedtest_analytics.stats.ability.hyperparameters import Hyperparameters
from seedtest_analytics.stats.checks import count
from seedtest_analytics.stats.irt.threads import run_lanes

MIN_ANSWERS = 500
MIN_STUDENTS = 20
GROWTH = 1.5
ENOUGH_ANSWERS = 50_000
"""A fit to fewer answers gives way as soon as there are half as many again: in a log's first weeks it is rough."""
_PRIOR_SD_LOG = 1.5
_PRIOR_SD_EFFECT = 0.3
_SLOPE_VARIANCE = 4e-6
"""Centre of the prior: (0.002 a day)², 0.7 logits a year."""
_FORM_VARIANCE = 0.01
"""Centre of the prior: form of 0.1 logits."""
_FORM_VARIANCE_START = 0.02
_LEVEL_WALK = 0.001
"""Centre of the prior: 0.6 logits a year by chance. Form takes what passes, so the walk is what lasts."""
_SLOPE_VARIANCE_START = 1e-4
"""The search for slopes and form comes from above: the likelihood is flat in the logarithm of a small variance, and a search
that starts there stays there."""
_SLOPE_MEAN_SD = 0.004
"""SD of the prior of the mean slope: 1.5 logits a year. A narrower one leaves the levels of a growing cohort behind."""
_SLOPE_LASTS_DAYS = 365.0
"""A slope gains its own variance once more in this time: growth of last year says half as much as growth of now."""
_STEP = 1e-4
"""Of the forward difference; its error moves the maximum by less than a thousandth of a prior SD."""
_EDGE_LOG = 6.0
"""Log-variances this far from the centre of the prior are at the edge of the search."""
_LARGEST_VARIANCE = 4.0
"""So are variances of (2 logits)²: answers that follow a pattern would give abilities that nobody has."""

_VARIANCES = (
    "level_variance",
    "level_walk",
    "form_variance",
    "topic_spread",
    "topic_walk",
    "item_spread",
    "item_topic_spread",
    "item_walk",
)
_EFFECTS = ("practice", "repetition")


@dataclass(frozen=True)
class AbilityVerdict:
    """Whether the hyperparameters may be used; ``reasons`` forbid it, ``warnings`` do not."""

    is_usable: bool
    reasons: tuple[str, ...] = ()
    warnings: tuple[str, ...] = ()


@dataclass(frozen=True, eq=False)
class HyperparameterFit:
    """The fit's result. Log-likelihoods are means per answer, in nats; the baseline is the running share of right answers
    of the item, pulled towards the share of all."""

    hyperparameters: Hyperparameters
    log_likelihood: float
    baseline_log_likelihood: float
    n_answers: int
    n_students: int
    n_passes: int
    verdict: AbilityVerdict


def still_serves(fitted_answers: int, *, age_days: float, n_answers: int, refit_days: int) -> bool:
    """Whether a fit to ``fitted_answers`` serves a log that has ``n_answers`` now: younger than ``refit_days``, and the answers
    are not many more."""
    return age_days < refit_days and GROWTH * fitted_answers > min(n_answers, GROWTH * ENOUGH_ANSWERS)


def fit_hyperparameters(
    answers: Answers,
    *,
    items: KnownItems | None = None,
    with_slope: bool = True,
    start: Hyperparameters | None = None,
    max_answers: int = 150_000,
    max_passes: int = 600,
    threads: int | None = None,
) -> HyperparameterFit:
    """Estimate the hyperparameters from answers in the order of time.

    Args:
        items: parameters of a calibration; then the population's mean level is free too.
        with_slope: whether each student has a separate pace of growth.
        start: values of the last fit; the search starts there. Its ``growth_days`` stay.
        max_answers: larger logs are thinned to whole students, evenly by code.
        max_passes: passes of the filter before the search gives up.
        threads: None for all cores that the process may use. Results do not depend on it.

    Raises:
        AbilityDataError: without answers, or for ``max_answers``, ``max_passes`` or ``threads`` that are not whole numbers
            from 1.
    """
    count(max_answers, "max_answers", low=1, error=AbilityDataError)
    count(max_passes, "max_passes", low=1, error=AbilityDataError)
    if threads is not None:
        count(threads, "threads", low=1, error=AbilityDataError)
    from scipy.optimize import minimize

    if len(answers) == 0:
        raise AbilityDataError("there are no answers to fit hyperparameters to")
    used = _thinned(answers, max_answers)
    likelihood = PredictiveLikelihood(used, items)
    space = _Space.of(start or Hyperparameters(), items=items, with_slope=with_slope, with_topics=_has_topics(used))
    n, passes = len(used), 0

    def loss(x: Floats) -> float:
        return -(likelihood(space.at(x)) + space.log_prior(x)) / n

    def loss_and_gradient(x: Floats) -> tuple[float, Floats]:
        nonlocal passes
        points = _steps_from(x)
        passes += len(points)
        here, *ahead = run_lanes(lambda k: loss(points[k]), len(points), threads=threads)
        return here, (np.array(ahead) - here) / _STEP

    x0 = space.start
    found = minimize(
        loss_and_gradient,
        x0,
        jac=True,
        method="L-BFGS-B",
        bounds=space.bounds,
        options={"maxiter": max(1, max_passes // (len(x0) + 1)), "ftol": 1e-8, "gtol": 2e-5},
    )
    information = _information(likelihood, space, x=found.x, threads=threads)
    best = space.expected(found.x, information)
    passes += 1 + len(x0)
    fit = HyperparameterFit(
        best,
        log_likelihood=likelihood(best) / n,
        baseline_log_likelihood=_item_share_log_likelihood(used),
        n_answers=n,
        n_students=len(np.unique(used.student)),
        n_passes=passes,
        verdict=AbilityVerdict(is_usable=False),
    )
    return replace(fit, verdict=_judge(fit, has_converged=bool(found.status == 0), at_edge=space.at_edge(found.x)))


def _information(likelihood: PredictiveLikelihood, space: _Space, *, x: Floats, threads: int | None) -> Floats:
    """(m, m) what the answers say about the vector at ``x``: the students' scores, squared about their mean and summed."""
    points = _steps_from(x)
    here, *ahead = run_lanes(lambda k: likelihood.by_student(space.at(points[k])), len(points), threads=threads)
    scores = (np.array(ahead) - here) / _STEP
    scores -= scores.mean(axis=1, keepdims=True)
    return np.asarray(scores @ scores.T)


def _steps_from(x: Floats) -> Floats:
    """(m + 1, m) the vector, and the vector with a step in each direction."""
    return np.asarray(x + np.vstack([np.zeros(len(x)), _STEP * np.eye(len(x))]))


@dataclass(frozen=True, eq=False)
class _Space:
    """The free hyperparameters as a vector: log-variances, then effects and means in units of their prior SD."""

    base: Hyperparameters
    variances: tuple[str, ...]
    effects: tuple[str, ...]
    effect_sd: Floats
    centre: Floats
    start: Floats

    @classmethod
    def of(
        cls, start: Hyperparameters, *, items: KnownItems | None, with_slope: bool, with_topics: bool = True
    ) -> _Space:
        usual = replace(
            Hyperparameters(), slope_variance=_SLOPE_VARIANCE, form_variance=_FORM_VARIANCE, level_walk=_LEVEL_WALK
        )
        variances: tuple[str, ...] = _VARIANCES
        effects: tuple[str, ...] = _EFFECTS
        sd = [_PRIOR_SD_EFFECT] * len(_EFFECTS)
        if with_slope:
            variances, effects, sd = (*variances, "slope_variance"), (*effects, "slope_mean"), [*sd, _SLOPE_MEAN_SD]
        else:
            start = replace(start, slope_mean=0.0, slope_variance=0.0, slope_walk=0.0)
        if not with_topics:
            start = replace(start, topic_spread=0.0, topic_walk=0.0)
            variances = tuple(name for name in variances if name not in ("topic_spread", "topic_walk"))
        has_known = items is not None and bool((~np.isnan(items.b)).any())
        means = ("level_mean", "item_mean") if has_known else ("item_mean",)
        effects, sd = (*effects, *means), [*sd, *([2.0] * len(means))]
        centre = np.log([getattr(usual, name) for name in variances])
        least = {"slope_variance": _SLOPE_VARIANCE_START, "form_variance": _FORM_VARIANCE_START}
        values = [max(getattr(start, name), least.get(name, 1e-12)) for name in variances]
        logs = np.clip(np.log(values), centre - _EDGE_LOG + 1.0, _upper(centre) - 1.0)
        scaled = np.array([getattr(start, name) for name in effects]) / sd
        return cls(start, variances, effects=effects, effect_sd=np.array(sd), centre=centre, start=np.r_[logs, scaled])

    @property
    def bounds(self) -> list[tuple[float, float]]:
        logs = list(zip(self.centre - _EDGE_LOG, _upper(self.centre), strict=True))
        return logs + [(-10.0, 10.0)] * len(self.effects)

    def at(self, x: Floats) -> Hyperparameters:
        n = len(self.variances)
        values = dict(zip(self.variances, np.exp(x[:n]).tolist(), strict=True))
        values |= dict(zip(self.effects, (x[n:] * self.effect_sd).tolist(), strict=True))
        if "slope_variance" in values:
            values["slope_walk"] = values["slope_variance"] / _SLOPE_LASTS_DAYS
        return replace(self.base, **values)

    def log_prior(self, x: Floats) -> float:
        n = len(self.variances)
        return float(-0.5 * (((x[:n] - self.centre) / _PRIOR_SD_LOG) ** 2).sum() - 0.5 * (x[n:] ** 2).sum())

    def expected(self, x: Floats, information: Floats) -> Hyperparameters:
        """The mean of each variance, as if its logarithm were Gaussian, and how uncertain the mean slope is."""
        n = len(self.variances)
        prior = np.r_[np.full(n, _PRIOR_SD_LOG**-2), np.ones(len(x) - n)]
        spread = np.diag(np.linalg.inv(information + np.diag(prior)))
        best = self.at(np.concatenate([np.minimum(x[:n] + 0.5 * spread[:n], _upper(self.centre)), x[n:]]))
        of_slope = dict(zip(self.effects, spread[n:] * self.effect_sd**2, strict=True)).get("slope_mean", 0.0)
        return replace(best, slope_mean_variance=float(of_slope))

    def at_edge(self, x: Floats) -> tuple[str, ...]:
        """Names of variances at the upper edge; the lower one means that there is nothing to see."""
        is_high = x[: len(self.variances)] > _upper(self.centre) - 0.05
        return tuple(name for name, high in zip(self.variances, is_high, strict=True) if high)


def _upper(centre: Floats) -> Floats:
    return np.minimum(centre + _EDGE_LOG, np.log(_LARGEST_VARIANCE))


def _thinned(answers: Answers, max_answers: int) -> Answers:
    """Whole students, evenly by code among those with answers, with at most about ``max_answers`` answers: the same ones every
    week."""
    if len(answers) <= max_answers:
        return answers
    keep_every = int(np.ceil(len(answers) / max_answers))
    place = np.cumsum(np.bincount(answers.student) > 0) - 1
    chosen = answers.take(place[answers.student] % keep_every == 0)
    # One student may have more than all others together.
    return chosen.take(np.arange(min(len(chosen), 2 * max_answers)))


def _has_topics(answers: Answers) -> bool:
    """Whether any student has two topics. Else a deviation in a topic and the level are one, and the level is all of it."""
    topics = answers.student.astype(np.int64) * (int(answers.topic.max()) + 1) + answers.topic
    return len(np.unique(topics)) > len(np.unique(answers.student))


def _item_share_log_likelihood(answers: Answers) -> float:
    """Mean log-likelihood of the item's share of right answers so far, with two answers' worth of the share of all."""
    share = float(answers.correct.mean())
    right = _before(answers.item, answers.correct.astype(np.float64))
    count = _before(answers.item, np.ones(len(answers)))
    p = np.clip((right + 2.0 * share) / (count + 2.0), 1e-6, 1 - 1e-6)
    return float(np.where(answers.correct == 1, np.log(p), np.log1p(-p)).mean())


def _before(codes: NDArray[np.int32], values: Floats) -> Floats:
    """(n,) sum of the earlier values with the same code."""
    order = np.argsort(codes, kind="stable")
    total = np.cumsum(values[order]) - values[order]
    is_first = np.r_[True, codes[order][1:] != codes[order][:-1]]
    out = np.empty(len(values))
    out[order] = total - np.maximum.accumulate(np.where(is_first, total, 0.0))
    return out


def _judge(fit: HyperparameterFit, *, has_converged: bool, at_edge: tuple[str, ...]) -> AbilityVerdict:
    reasons, warnings = [], []
    if fit.n_answers < MIN_ANSWERS:
        reasons.append(f"{fit.n_answers} answers are fewer than {MIN_ANSWERS}")
    if fit.n_students < MIN_STUDENTS:
        reasons.append(f"{fit.n_students} students are fewer than {MIN_STUDENTS}")
    if fit.log_likelihood <= fit.baseline_log_likelihood:
        reasons.append(
            f"the model predicts the next answer no better than the item's share of right answers "
            f"(mean log-likelihood {fit.log_likelihood:.4f} against {fit.baseline_log_likelihood:.4f})"
        )
    if not has_converged:
        warnings.append(f"the search stopped after {fit.n_passes} passes before it converged")
    if at_edge:
        warnings.append(f"at the upper edge of the search: {', '.join(at_edge)}")
    return AbilityVerdict(not reasons, tuple(reasons), warnings=tuple(warnings))
