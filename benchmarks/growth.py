"""Growth fits: effective samples a second against brms and a naive Stan program, then size.

    python -m benchmarks.growth [--quick] [--no-brms] [--no-naive] [--only compare|scale|database|quick]

The first table compares at 200 and 1,000 students (12 weeks, a fifth missing): the lowest bulk effective sample size
of any population parameter, and that a second of sampling, by the clock and of the processors (compiling is not counted
for anybody). brms runs where R has it. The two slow methods make few iterations, which keeps their rates. The second
table is ours alone: statistics, Stan fit, quick look, and every student's prediction, each row a separate process, so
that its peak memory (Stan's chains included) is its own. The third is a week through PostgreSQL
(``benchmarks.growth_week``). The fourth counts usable fits of the quick look where gains hardly differ.
"""

from __future__ import annotations

import argparse
import logging
import resource
import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Table

from benchmarks._cohorts import PROGRAMS, simulate_cohort
from benchmarks._measure import in_own_process, machine

NAIVE = PROGRAMS / "growth_naive.stan"

SEED = 20
GOAL_WEEK, GOAL = 15.0, 0.7
SCHOOL_YEAR_WEEKS = 40
SHORT_FROM = 1000
QUICK_STUDENTS, QUICK_SEEDS = (40, 100, 250, 600), (401, 402, 403, 404)


def main() -> None:
    """Print the tables."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--quick", action="store_true", help="small sizes only, no brms: a minute or two")
    parser.add_argument("--no-brms", action="store_true")
    parser.add_argument("--no-naive", action="store_true")
    parser.add_argument("--only", choices=("compare", "scale", "database", "quick"), help="one of the tables")
    arguments = parser.parse_args()
    logging.getLogger("seedtest_analytics").setLevel(logging.WARNING)
    if arguments.only != "quick":
        _compile(naive=not arguments.no_naive)
    tables = {"compare": compare, "scale": scale, "database": database, "quick": quick}
    for name, table in tables.items():
        if arguments.only in (None, name):
            Console(width=150).print(table(arguments))


def database(arguments: argparse.Namespace) -> Table:
    """A million students through PostgreSQL."""
    from benchmarks.growth_week import through_the_database

    return through_the_database(50_000 if arguments.quick else 1_000_000, 12)


def quick(_: argparse.Namespace) -> Table:
    """Usable fits of the quick look by size of the cohort, over seeds and SDs of gains from 0 to 0.02 a week."""
    from benchmarks._cohorts import GrowthTruth
    from seedtest_analytics.stats.growth.data import growth_data
    from seedtest_analytics.stats.growth.laplace import fit_laplace

    table = Table("students", "fits", "usable", "largest Pareto k", "lowest share of effective draws", "CPU s a fit")
    for n_students in QUICK_STUDENTS:
        fits = []
        clock = Clock()
        for seed in QUICK_SEEDS:
            for spread in (0.0, 0.01, 0.02):
                truth = GrowthTruth(intercept=0.2, slope=0.03, tau0=0.9, tau1=spread, rho=0.0, sigma=0.6)
                c = simulate_cohort(n_students, 8, missing=0.4, seed=seed, truth=truth)
                fits.append(fit_laplace(growth_data(c.student, c.week, score=c.score), n_draws=2000, seed=seed))
        seconds = clock.read()[1] / len(fits)
        runs = [fit.importance for fit in fits if fit.importance is not None]
        table.add_row(
            f"{n_students:,}",
            str(len(fits)),
            str(sum(fit.verdict.usable for fit in fits)),
            f"{max(run.pareto_k for run in runs):.2f}",
            f"{min(run.effective_draws for run in runs) / 2000:.2f}",
            f"{seconds:.2f}",
        )
    return table


def compare(arguments: argparse.Namespace) -> Table:
    """Ours, the naive program and brms on the same scores."""
    table = Table(
        "students",
        "method",
        "draws",
        "seconds",
        "CPU s",
        "lowest ESS",
        "ESS/s",
        "ESS per CPU s",
        "max R-hat",
        title=machine(),
    )
    methods = [("stan, marginal", ours)]
    methods += [] if arguments.no_naive else [("stan, naive", naive)]
    methods += [] if arguments.no_brms or arguments.quick else [("brms", brms)]
    for n_students in (200,) if arguments.quick else (200, 1000):
        for name, method in methods:
            try:
                run = in_own_process(method, n_students).result
            except Exception as error:  # noqa: BLE001 (one failing method must not end the others)
                table.add_row(f"{n_students:,}", name, "-", f"{type(error).__name__}: {error}"[:60])
                continue
            print(f"{n_students:,} {name}: {run}", file=sys.stderr, flush=True)  # the next may take minutes
            rates = (f"{run.ess / seconds:,.1f}" for seconds in (run.seconds, run.cpu_seconds))
            table.add_row(
                f"{n_students:,}",
                name,
                run.draws,
                f"{run.seconds:.1f}",
                f"{run.cpu_seconds:.1f}",
                f"{run.ess:,.0f}",
                *rates,
                f"{run.rhat:.3f}",
            )
    return table


@dataclass(frozen=True)
class Sampled:
    """What a method took and gave; ``draws`` tells chains, warm-up and draws."""

    draws: str
    seconds: float
    cpu_seconds: float
    ess: float
    rhat: float


class Clock:
    """Seconds, and those of the processors in this process and its ended children: a shared machine stretches the former."""

    def __init__(self) -> None:
        self._started, self._cpu = time.perf_counter(), self._used()

    def read(self) -> tuple[float, float]:
        """Both since the clock was made."""
        return time.perf_counter() - self._started, self._used() - self._cpu

    @staticmethod
    def _used() -> float:
        usages = (resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN))
        return sum(usage.ru_utime + usage.ru_stime for usage in usages)


def scale(arguments: argparse.Namespace) -> Table:
    """Seconds of each step, by the clock and of the processors, and peak memory as the cohort grows."""
    table = Table(
        "students",
        "weeks",
        "scores",
        "designs",
        "statistics s",
        "Stan s",
        "ESS",
        "quick look s",
        "P level s",
        "P score s",
        "peak MB",
        title="ours, 4 chains x (300 + 1,000); seconds: clock / processors",
    )
    sizes = [(10_000, 12, 0.2), (100_000, 12, 0.2)]
    if not arguments.quick:
        sizes += [(1_000_000, 12, 0.2), (100_000, SCHOOL_YEAR_WEEKS, 0.4)]
    for n_students, n_weeks, missing in sizes:
        run = in_own_process(whole_week, n_students, n_weeks, missing)
        table.add_row(f"{n_students:,}", str(n_weeks), *run.result, f"{run.megabytes:,.0f}")
    return table


def ours(n_students: int) -> Sampled:
    """Statistics, mode and Stan on the marginal program."""
    from seedtest_analytics.stats.growth.data import growth_data
    from seedtest_analytics.stats.growth.stan import fit_stan

    cohort = _cohort(n_students)
    fit_stan(growth_data(cohort.student, cohort.week, score=cohort.score), _runner())  # numba's first call
    clock = Clock()
    posterior = fit_stan(growth_data(cohort.student, cohort.week, score=cohort.score), _runner())
    seconds = clock.read()
    report = posterior.diagnostics()
    return Sampled("4 x (300 + 1,000)", *seconds, report["ess_bulk"]["min"], report["rhat"]["max"])


def naive(n_students: int) -> Sampled:
    """Every student sampled by Stan."""
    import numpy as np

    from seedtest_analytics.stats.growth.diagnostics import ess_bulk, rhat
    from seedtest_analytics.stats.growth.priors import GrowthPriors
    from seedtest_analytics.stats.growth.stan import StanProgram, StanSettings, prior_data

    cohort = _cohort(n_students)
    data = {"N": len(cohort.week), "J": n_students, "student": (cohort.student + 1).tolist()}
    data |= {"week": cohort.week, "score": cohort.score} | prior_data(GrowthPriors())
    n = _iterations(n_students)
    clock = Clock()
    settings = StanSettings(chains=4, warmup=n, draws=n, seed=SEED)
    v = _runner().sample(StanProgram(NAIVE), data, settings=settings).variables
    seconds = clock.read()
    tau = np.moveaxis(v["tau"], -1, 0)
    draws = [v["Intercept"], v["slope"], *tau, v["rho"], v["sigma"]]
    return Sampled(f"4 x ({n:,} + {n:,})", *seconds, min(map(ess_bulk, draws)), max(map(rhat, draws)))


def brms(n_students: int) -> Sampled:
    """R's brms; RuntimeError where it is not installed."""
    import pandas as pd

    from seedtest_analytics.resources.r.brms_growth import BrmsOptions, sample_growth_with_brms
    from seedtest_analytics.resources.r.resource import RResource
    from seedtest_analytics.stats.growth.diagnostics import ess_bulk, rhat

    cohort = _cohort(n_students)
    n = _iterations(n_students)
    rows = pd.DataFrame({"student_id": cohort.student, "week": cohort.week, "score": cohort.score})
    with tempfile.TemporaryDirectory() as folder:
        for attempt in ("compiling", "measured"):
            n_rows = len(rows) if attempt == "measured" else 400
            clock = Clock()
            result = sample_growth_with_brms(
                RResource.having(timeout_seconds=1800),
                rows.head(n_rows),
                options=BrmsOptions(Path(folder), n_chains=2, cores=2, n_draws=n, n_warmup=n, seed=SEED),
            )
            seconds = clock.read()
    draws = list(result.parameters.values())
    return Sampled(f"2 x ({n:,} + {n:,})", *seconds, min(map(ess_bulk, draws)), max(map(rhat, draws)))


def _iterations(n_students: int) -> int:
    """Fewer where the slow methods take minutes: their rate is about that of a longer run."""
    return 500 if n_students < SHORT_FROM else 300


def whole_week(n_students: int, n_weeks: int, missing: float) -> list[str]:
    """The steps of one weekly fit."""
    from seedtest_analytics.stats.growth.data import growth_data
    from seedtest_analytics.stats.growth.laplace import fit_laplace
    from seedtest_analytics.stats.growth.prediction import predict_blocks
    from seedtest_analytics.stats.growth.stan import fit_stan

    small = _cohort(400)
    data = growth_data(small.student, small.week, score=small.score)
    for event in ("level", "score"):  # load compiled code, so that it is not measured
        list(predict_blocks(fit_laplace(data), data, goal_week=GOAL_WEEK, goal=GOAL, event=event))
    cohort = _cohort(n_students, n_weeks, missing=missing)
    clock = Clock()

    def lap() -> str:
        nonlocal clock
        seconds, cpu_seconds = clock.read()
        clock = Clock()
        return f"{seconds:.1f} / {cpu_seconds:.1f}"

    data = growth_data(cohort.student, cohort.week, score=cohort.score)
    n_scores = data.n_scores
    del cohort
    row = [f"{n_scores:,}", f"{data.n_designs:,}", lap()]
    posterior = fit_stan(data, _runner())
    row += [lap(), f"{posterior.diagnostics()['ess_bulk']['min']:,.0f}"]
    lap()
    fit_laplace(data, n_draws=1000)
    row.append(lap())
    for event in ("level", "score"):
        list(predict_blocks(posterior, data, goal_week=GOAL_WEEK, goal=GOAL, event=event))  # type: ignore[arg-type]
        row.append(lap())
    return row


def _compile(*, naive: bool) -> None:
    from seedtest_analytics.stats.growth.stan import MARGINAL, StanProgram

    for program in [MARGINAL, *([StanProgram(NAIVE)] if naive else [])]:
        _runner().executable(program)


def _runner() -> Any:
    from seedtest_analytics.resources.stan.executables import default_cache_dir
    from seedtest_analytics.resources.stan.resource import StanRunner

    log = logging.getLogger("benchmarks.growth")
    log.setLevel(logging.ERROR)  # the naive program has much to say
    return StanRunner(default_cache_dir(), log)


def _cohort(n_students: int, n_weeks: int = 12, *, missing: float = 0.2) -> Any:
    return simulate_cohort(n_students, n_weeks, missing=missing, seed=SEED)


if __name__ == "__main__":
    main()
