"""P and the projected level in a simulated year, at weeks 8, 16, 30 and 52, beside the cohort's truth.

    python -m benchmarks.growth_year [--quick] [--stan]

Cohorts are those of `seedtest simulate` with the true item parameters. P looks four weeks ahead, as the platform does for
goals without a day. Rows:

    contract        8 weeks of look-back, the contract's priors, and scores approximated around the population's mean
    history         the look-back by the history, and scores approximated around each student's own ability
    earlier fits    the same, with priors of gains from the newest fit of earlier weeks that shares no answer
    true spread     the same, with the cohort's true parameters in place of a fit: what no fit can better
    … practising    only students with a score in the last 14 days, for the row above them
    … free goals    goals that are independent of the student in place of the cohort's, for the same row

Simulated levels go on growing while students are silent. P does not expect that.

Brier scores and slopes have their standard errors, coverage its 95 % interval, all over students.
"""

from __future__ import annotations

import argparse
import datetime as dt
import logging
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
from rich.console import Console
from rich.table import Table

from benchmarks._measure import machine

if TYPE_CHECKING:
    from seedtest_analytics.assets.growth.bayesian.scores import WeeklyScores
    from seedtest_analytics.assets.psychometrics.scale.current import Scale
    from seedtest_analytics.stats.growth.data import GrowthData
    from seedtest_analytics.stats.growth.posterior import GrowthPosterior

WEEKS = (8, 16, 30, 52)
COHORTS = {1000: (611, 612, 613, 614), 100: tuple(range(621, 633))}
"""Students, and seeds that served no choice."""
METHODS = ("contract", "history", "earlier fits", "true spread")
HORIZON_WEEKS = 4
N_DRAWS = 2000
FIRST_MONDAY = dt.date(2026, 1, 5)
MARGIN = 1.96


@dataclass(frozen=True, eq=False)
class Year:
    """First answers of a cohort and its truth; lines are over all topics, week 0 is the middle of the first week."""

    answers: dict[str, np.ndarray]
    items: pd.DataFrame
    lines: np.ndarray
    goals: np.ndarray
    free_goals: np.ndarray
    truth: dict[str, float]

    @property
    def users(self) -> np.ndarray:
        return np.arange(len(self.lines))

    def scale(self, last: int) -> Scale:
        """The true parameters, with the population of all answers up to the week."""
        from seedtest_analytics.assets.psychometrics.scale.current import Scale

        seen = self.answers["week"] <= last
        student, week = self.answers["student"][seen], self.answers["week"][seen]
        level = self.lines[student, 0] + self.lines[student, 1] * week
        return Scale("truth", self.items, "2PL", float(level.mean()), float(level.std()))


@dataclass(frozen=True, eq=False)
class Judged:
    """Per student: P, whether the level reached the goal, and whether the 95 % interval held it."""

    probability: np.ndarray
    is_reached: np.ndarray
    is_inside: np.ndarray


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true", help="two seeds of each size")
    parser.add_argument("--stan", action="store_true", help="Stan beside the quick look at week 52 of the first cohort")
    Console(width=150).print(year(parser.parse_args()))


def year(arguments: argparse.Namespace) -> Table:
    """Scores by size of the cohort, week and method."""
    if getattr(arguments, "stan", False):
        return against_stan()
    table = Table(
        "students", "week", "method", "goals", "P", "Brier", "slope", "covered, %", "95 % limits", title=machine()
    )
    for n_students, seeds in COHORTS.items():
        years = [simulated_year(n_students, seed) for seed in seeds[: 2 if arguments.quick else None]]
        for week in WEEKS:
            for method in METHODS:
                fits = [fitted(made, week, method) for made in years]
                kinds = ("own", "practising", "free") if method in ("earlier fits", "true spread") else ("own",)
                for goals in kinds:
                    judged = [judge(made, week, *fit, goals=goals) for made, fit in zip(years, fits, strict=True)]
                    table.add_row(f"{n_students:,}", str(week), method, goals, *_scores(judged))
    return table


def against_stan() -> Table:
    """The last week of the first cohort by both backends."""
    from seedtest_analytics.resources.stan.executables import default_cache_dir
    from seedtest_analytics.resources.stan.resource import StanRunner
    from seedtest_analytics.stats.growth.stan import StanSettings, fit_stan

    n_students, seeds = next(iter(COHORTS.items()))
    made = simulated_year(n_students, seeds[0])
    data, quick, first = fitted(made, WEEKS[-1], "earlier fits")
    runner = StanRunner(default_cache_dir(), logging.getLogger(__name__))
    stan = fit_stan(data, runner, priors=quick.priors, settings=StanSettings(seed=seeds[0]))
    stan.require_usable()
    table = Table("backend", "P", "Brier", "slope", "covered, %", "95 % limits", "SD of gains", title=machine())
    results = {}
    for name, posterior in (("laplace", quick), ("stan", stan)):
        results[name] = judge(made, WEEKS[-1], data, posterior, first, goals="own")
        spread = posterior.summary()["sd_week"]
        table.add_row(name, *_scores([results[name]]), f"{spread['mean']:.4f} ± {spread['sd']:.4f}")
    difference = np.abs(results["stan"].probability - results["laplace"].probability)
    table.caption = f"largest difference of a student's P: {difference.max():.4f}"
    return table


def simulated_year(n_students: int, seed: int) -> Year:
    """A cohort of `seedtest simulate` over 60 weeks."""
    from seedtest_analytics.stats.simulate import CohortConfig
    from seedtest_analytics.stats.simulate.cohort import simulate_cohort
    from seedtest_analytics.stats.simulate.items import draw_items

    config = CohortConfig(n_students, WEEKS[-1] + 8, seed=seed, until=dt.date(2027, 3, 7), has_hostile_rows=False)
    bank = draw_items(config)
    (block,) = simulate_cohort(config, block_students=2 * n_students + 1024)
    attempts, students = block.attempts, block.students
    first = (attempts.correct >= 0) & (attempts.practice == 0)
    week = block.sessions.week[attempts.session]
    columns = {"student": attempts.student, "week": week, "item_id": attempts.item, "correct": attempts.correct}
    level = students.intercept_logit + students.topic_deviation_logit.mean(axis=1)
    number = np.arange(len(bank.item_id))
    items = {"item_id": number, "a": bank.discrimination, "b": bank.difficulty_logit, "c": bank.guessing}
    random = np.random.default_rng(seed)
    return Year(
        {name: np.asarray(values[first], dtype=np.int64) for name, values in columns.items()},
        pd.DataFrame(items),
        lines=np.column_stack([level, students.slope_logit]),
        goals=_goals(block.goals, n_students),
        free_goals=random.normal(0.8, 1.2, n_students),
        truth={
            "level": 0.0,
            "gain": config.growth_mean_logit,
            "sd_level": float(np.hypot(config.ability_sd_logit, config.topic_sd_logit / np.sqrt(config.n_topics))),
            "sd_gain": config.growth_sd_logit,
            "covariance": config.growth_correlation * config.ability_sd_logit * config.growth_sd_logit,
        },
    )


def _goals(goals: Any, n_students: int) -> np.ndarray:
    """Mean of each student's targets by priority, or 0, as `sql/growth/goals.sql` has it."""
    known = np.isfinite(goals.target_logit)
    rows = pd.DataFrame({name: getattr(goals, name)[known] for name in ("student", "target_logit", "priority")})
    target = np.zeros(n_students)
    for student, own in rows.groupby("student"):
        weights = own["priority"] if own["priority"].sum() > 0 else None
        target[int(str(student))] = np.average(own["target_logit"], weights=weights)
    return target


def fitted(made: Year, week: int, method: str) -> tuple[GrowthData, GrowthPosterior, int]:
    """Data, posterior and first week of the look-back; ``week`` counts from 1."""
    from seedtest_analytics.stats.growth import evidence
    from seedtest_analytics.stats.growth.data import growth_data
    from seedtest_analytics.stats.growth.laplace import fit_laplace
    from seedtest_analytics.stats.growth.priors import GrowthPriors

    is_contract = method == "contract"
    lookback = min(evidence.LEAST_LOOKBACK_WEEKS if is_contract else evidence.lookback_weeks(week), week)
    scores = weekly_scores(made, week, lookback, around_population=is_contract)
    data = growth_data(scores.student, scores.week, score=scores.score, weight=scores.weight)
    first = week - lookback
    if method == "true spread":
        return data, true_parameters(made, data, first), first
    priors = GrowthPriors()
    if method == "earlier fits" and first >= evidence.LEAST_LOOKBACK_WEEKS:
        earlier = fitted(made, first, method)[1]
        priors = evidence.narrowed(priors, earlier.hyper_draws(400), distance_weeks=lookback)
    return data, accepted(fit_laplace(data, priors, n_draws=N_DRAWS, seed=week)), first


def accepted(posterior: GrowthPosterior) -> GrowthPosterior:
    """With any verdict: a cohort that the quick look refuses is sampled by Stan on the platform."""
    from seedtest_analytics.stats.growth.posterior import Thresholds

    return replace(posterior, thresholds=Thresholds(max_pareto_k=np.inf, min_effective_share=0.0, min_ess=0.0))


def true_parameters(made: Year, data: GrowthData, first: int) -> GrowthPosterior:
    """The cohort's parameters, moved to the look-back's first week, with the weekly SD of a fit."""
    from seedtest_analytics.stats.growth.laplace import fit_laplace

    found = fit_laplace(data, n_draws=N_DRAWS, seed=1)
    truth = made.truth
    variance = truth["sd_level"] ** 2 + 2 * first * truth["covariance"] + (first * truth["sd_gain"]) ** 2
    covariance = truth["covariance"] + first * truth["sd_gain"] ** 2
    sd = np.sqrt(variance)
    theta = found.theta.copy()
    theta[..., 0] = truth["level"] + truth["gain"] * (first + data.week_mean)
    theta[..., 1] = truth["gain"]
    theta[..., 2], theta[..., 3] = np.log(sd), np.log(truth["sd_gain"])
    theta[..., 4] = np.arctanh(covariance / (sd * truth["sd_gain"]))
    return accepted(replace(found, theta=theta))


def weekly_scores(made: Year, week: int, lookback: int, *, around_population: bool) -> WeeklyScores:
    """Scores of the look-back, by the platform's own function or as they were before it knew the student."""
    from seedtest_analytics.assets.growth.bayesian.scores import ability_scores, week_likelihoods
    from seedtest_analytics.assets.psychometrics.scoring.rows import item_parameters
    from seedtest_analytics.stats.irt.data import ResponseData

    seen = (made.answers["week"] < week) & (made.answers["week"] >= week - lookback)
    rows = {name: values[seen] for name, values in made.answers.items()}
    rows["week"] = rows["week"] - (week - lookback)
    scale = made.scale(week - 1)
    scores = ability_scores(
        rows, made.users, first_monday=FIRST_MONDAY, scale=scale, item_answers=(np.zeros(0), np.zeros(0))
    )
    if not around_population:
        return scores
    data = ResponseData.from_long((rows["student"], rows["week"]), rows["item_id"], correct=rows["correct"])
    found = week_likelihoods(data, item_parameters(scale.items), mean=scale.group_mean, sd=scale.group_sd)
    # Weeks with less than a fiftieth of the population's information were set aside.
    known = found.information > 0.02 / scale.group_sd**2
    student, weeks = (np.asarray(key)[known] for key in data.row_keys)
    information = found.information[known]
    return replace(
        scores,
        student=student,
        week=weeks.astype(float),
        score=found.centre[known],
        weight=information / information.mean(),
    )


def judge(made: Year, week: int, data: GrowthData, posterior: GrowthPosterior, first: int, *, goals: str) -> Judged:
    """P and interval of every student of the fit beside the truth, HORIZON_WEEKS after the week."""
    from seedtest_analytics.stats.growth.prediction import GROWTH_WEEKS, HALF_WEEK, predict_blocks

    student = np.asarray(data.students)
    goal = (made.free_goals if goals == "free" else made.goals)[student]
    # A line has its week's value in mid-week.
    day = week + HORIZON_WEEKS - 0.5
    level = made.lines[student, 0] + made.lines[student, 1] * day
    as_of = week - first - HALF_WEEK
    (found,) = predict_blocks(posterior, data, goal_week=day - first, goal=goal, as_of_week=as_of, n_hyper_draws=1000)
    is_inside = (found.projected_lower <= level) & (level <= found.projected_upper)
    kept = (data.last_week + GROWTH_WEEKS >= as_of) | (goals != "practising")
    return Judged(found.P[kept], (level >= goal)[kept], is_inside=is_inside[kept])


def _scores(judged: list[Judged]) -> list[str]:
    from seedtest_analytics.stats.verification.probabilities import score_probabilities

    p, reached, inside = (
        np.concatenate([getattr(one, name) for one in judged]) for name in ("probability", "is_reached", "is_inside")
    )
    score = score_probabilities(p, reached.astype(int))
    brier_se = ((p - reached) ** 2).std() / np.sqrt(len(p))
    low, high = _wilson(float(inside.mean()), len(inside))
    return [
        f"{len(p):,}",
        f"{score.brier:.4f} ± {brier_se:.4f}",
        f"{score.calibration_slope:.2f} ± {score.calibration_slope_se:.2f}",
        f"{inside.mean():.1%}",
        f"{low:.1%} – {high:.1%}",
    ]


def _wilson(share: float, n: int) -> tuple[float, float]:
    """95 % limits of a share."""
    centre = (share + MARGIN**2 / (2 * n)) / (1 + MARGIN**2 / n)
    half = MARGIN / (1 + MARGIN**2 / n) * np.sqrt(share * (1 - share) / n + MARGIN**2 / (4 * n * n))
    return float(centre - half), float(centre + half)


if __name__ == "__main__":
    main()
