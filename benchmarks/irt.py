"""Calibration and scoring: our engine against mirt and girth on the same answers, and alone at a million students.

    python -m benchmarks.irt [--quick] [--cases small,medium,million] [--repeats 3] [--girth-python PYTHON]

Each case runs in a separate process, so that peak memory is the case's. Compilation happens before the clock
starts and is printed apart. mirt runs through Rscript where R has it. girth is not a dependency of the platform; it runs
in its own environment: `python -m venv girth && girth/bin/pip install girth`, then `--girth-python
girth/bin/python`. mirt's recorded timings, made on another occasion, are read from the shared reference folder where
that is present.
"""

from __future__ import annotations

import argparse
import json
import multiprocessing
import os
import platform
import resource
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

SHARED_REFERENCE = Path(__file__).resolve().parents[2] / "shared" / "reference" / "irt"
POINTS = 61
R_PROGRAM = """
arguments <- commandArgs(TRUE)
suppressMessages(library(mirt))
d <- data.matrix(read.csv(arguments[1]))
wide <- matrix(NA_integer_, max(d[, 1]), max(d[, 2]))
wide[d[, 1:2]] <- d[, 3]
with_se <- arguments[2] == "TRUE"
seconds <- system.time(fit <- mirt(as.data.frame(wide), 1, "2PL", SE = with_se, verbose = FALSE))[["elapsed"]]
cat(sprintf("%.3f %.6f\\n", seconds, extract.mirt(fit, "logLik")))
"""

GIRTH_PROGRAM = """
import sys, time, numpy as np
from girth import INVALID_RESPONSE, twopl_mml
log = np.load(sys.argv[1])
rows, columns = (np.unique(log[name], return_inverse=True)[1] for name in ("user", "item"))
dense = np.full((columns.max() + 1, rows.max() + 1), INVALID_RESPONSE, dtype=int)
dense[columns, rows] = log["correct"]
started = time.perf_counter()
fit = twopl_mml(dense)
seconds = time.perf_counter() - started
np.savez(sys.argv[1], seconds=seconds, a=fit["Discrimination"], b=fit["Difficulty"])
"""


@dataclass(frozen=True)
class Peers:
    """Where the others are: ``girth_python`` has girth; ``reference`` holds mirt's recorded results."""

    girth_python: str | None
    reference: Path


@dataclass(frozen=True)
class Case:
    """A simulated log: users, items, answers of each user; 2PL, a ~ LN(0, 0.3), b ~ N(0, 1), θ ~ N(0, 1)."""

    name: str
    n_users: int
    n_items: int
    n_answers: int
    seed: int = 20_240_601

    @property
    def label(self) -> str:
        return f"{self.n_users:,} × {self.n_items:,} × {self.n_answers}"


CASES = {
    "tiny": Case("tiny", 2_000, n_items=100, n_answers=20),
    "small": Case("small", 20_000, n_items=500, n_answers=40),
    "medium": Case("medium", 100_000, n_items=1_000, n_answers=30),
    "million": Case("million", 1_000_000, n_items=2_000, n_answers=30),
}
GIRTH_CELLS = 20_000_000
"""Cells of the dense matrix up to which girth is asked; its time follows them."""
WITH_PEERS = {"tiny", "small", "medium"}
RECORDED = {"small": "sim_sparse_20kx500x40_mirt"}
RECORDED_SECONDS = {"medium": 149.0}
"""Seconds of mirt's fit that were recorded for a log of this shape, where no result file was kept."""


def simulate(case: Case) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """user, item, correct, one entry an answer, made block by block."""
    random = np.random.default_rng(case.seed)
    a = np.exp(random.normal(0.0, 0.3, case.n_items)).astype(np.float32)
    b = random.normal(0.0, 1.0, case.n_items).astype(np.float32)
    item = np.empty((case.n_users, case.n_answers), dtype=np.int32)
    correct = np.empty((case.n_users, case.n_answers), dtype=np.int8)
    for first in range(0, case.n_users, 10_000):
        rows = slice(first, min(first + 10_000, case.n_users))
        n = rows.stop - rows.start
        drawn = np.argpartition(random.random((n, case.n_items), dtype=np.float32), case.n_answers, axis=1)
        item[rows] = drawn[:, : case.n_answers]
        theta = random.normal(0.0, 1.0, (n, 1)).astype(np.float32)
        p = 1.0 / (1.0 + np.exp(-a[item[rows]] * (theta - b[item[rows]])))
        correct[rows] = random.random(p.shape, dtype=np.float32) < p
    user = np.repeat(np.arange(case.n_users, dtype=np.int32), case.n_answers)
    return user, item.ravel(), correct.ravel()


def recorded_answers(case: Case, reference: Path) -> tuple[np.ndarray, np.ndarray, np.ndarray] | None:
    """The log that the recorded run of mirt had, where it is present."""
    path = reference / "sim_sparse_20kx500x40.csv.gz"
    if case.name != "small" or not path.exists():
        return None
    import pandas as pd

    frame = pd.read_csv(path)
    return tuple(frame[name].to_numpy() for name in ("user", "item", "correct"))  # type: ignore[return-value]


def timed(work: Callable[[], Any], repeats: int) -> tuple[Any, float, float]:
    """Last result, median wall seconds and median processor seconds."""
    walls, processors, result = [], [], None
    for _ in range(repeats):
        wall, processor = time.perf_counter(), time.process_time()
        result = work()
        walls.append(time.perf_counter() - wall)
        processors.append(time.process_time() - processor)
    return result, statistics.median(walls), statistics.median(processors)


def vector_add_ns() -> float:
    """Nanoseconds that one core needs to add one single precision number to a running one, all in its cache."""
    from numba import njit

    @njit(fastmath=True)
    def add_rows(table, total, n):  # type: ignore[no-untyped-def]
        for k in range(n):
            row = k & 7
            for q in range(64):
                total[q] += table[row, q]

    table, total = np.ones((8, 64), dtype=np.float32), np.zeros(64, dtype=np.float32)
    add_rows(table, total, 10)
    n = 2_000_000
    best = min(timed(lambda: add_rows(table, total, n), 1)[2] for _ in range(5))
    return best / (n * 64) * 1e9


def response_data(answers: tuple[np.ndarray, ...]) -> Any:
    from seedtest_analytics.stats.irt.data import ResponseData

    user, item, correct = answers
    return ResponseData.from_long(user, item, correct=correct)


def run_case(case: Case, repeats: int, reference: Path) -> dict[str, Any]:
    """Timings of one case; runs in a separate process."""
    from seedtest_analytics.stats.irt.config import CalibrationConfig
    from seedtest_analytics.stats.irt.estimation import calibrate
    from seedtest_analytics.stats.irt.scoring import score

    started = time.perf_counter()
    warm = response_data(simulate(CASES["tiny"]))
    for method in ("none", "full"):
        score(warm, calibrate(warm, CalibrationConfig(standard_errors=method)).parameters)
    compiled = time.perf_counter() - started
    _warm_single_precision(warm)
    answers = recorded_answers(case, reference) or simulate(case)
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    data, layout, _ = timed(lambda: response_data(answers), 1)
    fit, fit_wall, fit_cpu = timed(lambda: calibrate(data, CalibrationConfig(standard_errors="none")), repeats)
    full, full_wall, full_cpu = timed(lambda: calibrate(data, CalibrationConfig(standard_errors="full")), repeats)
    _, eap_wall, eap_cpu = timed(lambda: score(data, fit.parameters), repeats)
    n = data.n_answers
    return {
        "layout": layout,
        "fit": fit_wall,
        "fit_cpu": fit_cpu,
        "full": full_wall,
        "full_cpu": full_cpu,
        "eap": eap_wall,
        "eap_cpu": eap_cpu,
        "passes": fit.n_iterations,
        "log_likelihood": fit.log_likelihood,
        "usable": full.verdict.usable,
        "peak_gb": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1e6,
        "before_gb": before / 1e6,
        "compile": compiled,
        "ns_per_point": fit_cpu / (n * POINTS * fit.n_iterations) * 1e9,
    }


def _warm_single_precision(data: Any) -> None:
    """Load the compiled pass over single precision tables, which only large data use."""
    from seedtest_analytics.stats.irt.config import ItemPriors, Quadrature
    from seedtest_analytics.stats.irt.objective import MarginalLikelihood, Parameters

    zeros = np.zeros(data.n_items)
    at = Parameters(
        np.ones(data.n_items), zeros, gamma=np.full(data.n_items, -np.inf), mean=np.zeros(1), log_sd=np.zeros(1)
    )
    MarginalLikelihood(data, Quadrature().nodes, priors=ItemPriors()).evaluate(at, np.float32)


def in_child(function: Callable[..., Any], *arguments: Any) -> Any:
    """Result of a function that runs in a fresh process."""
    with multiprocessing.get_context("spawn").Pool(1) as pool:
        return pool.apply(function, arguments)


def mirt_seconds(case: Case, *, with_se: bool, reference: Path) -> tuple[float, float] | str:
    """Seconds and log-likelihood of mirt on the case's answers, or why it did not run."""
    if shutil.which("Rscript") is None:
        return "not installed (no Rscript)"
    probe = subprocess.run(["Rscript", "-e", "library(mirt)"], capture_output=True, check=False)
    if probe.returncode != 0:
        return "not installed (R has no package mirt)"
    user, item, correct = recorded_answers(case, reference) or simulate(case)
    codes = [np.unique(values, return_inverse=True)[1] + 1 for values in (user, item)]
    with tempfile.TemporaryDirectory() as folder:
        np.savetxt(
            f"{folder}/long.csv",
            np.stack([*codes, correct], axis=1),
            fmt="%d",
            delimiter=",",
            header="user,item,correct",
            comments="",
        )
        Path(f"{folder}/fit.R").write_text(R_PROGRAM)
        done = subprocess.run(
            ["Rscript", f"{folder}/fit.R", f"{folder}/long.csv", str(with_se).upper()],
            capture_output=True,
            text=True,
            check=False,
        )
    if done.returncode != 0:
        return f"failed: {done.stderr.strip()[-100:]}"
    seconds, log_likelihood = done.stdout.split()[-2:]
    return float(seconds), float(log_likelihood)


def girth_seconds(case: Case, peers: Peers) -> tuple[float, float] | str:
    """Seconds of girth's 2PL, which needs the dense matrix, and the log-likelihood at its estimates; or why it did not
    run.
    """
    if peers.girth_python is None:
        return "not installed (name an interpreter that has it: --girth-python)"
    if case.n_users * case.n_items > GIRTH_CELLS:
        return f"not run: its dense matrix would have {case.n_users * case.n_items:,} cells"
    answers = recorded_answers(case, peers.reference) or simulate(case)
    with tempfile.TemporaryDirectory() as folder:
        log = f"{folder}/log.npz"
        user, item, correct = answers
        np.savez(log, user=user, item=item, correct=correct)
        done = subprocess.run(
            [peers.girth_python, "-c", GIRTH_PROGRAM, log], capture_output=True, text=True, check=False
        )
        if done.returncode != 0:
            return f"failed: {done.stderr.strip()[-100:]}"
        with np.load(log) as fit:
            return float(fit["seconds"]), in_child(log_likelihood_at, answers, fit["a"], fit["b"])


def log_likelihood_at(answers: tuple[np.ndarray, ...], a: np.ndarray, b: np.ndarray) -> float:
    """Marginal log-likelihood of given 2PL parameters, by our quadrature."""
    from seedtest_analytics.stats.irt.config import ItemPriors, Quadrature
    from seedtest_analytics.stats.irt.objective import MarginalLikelihood, Parameters

    data = response_data(answers)
    at = Parameters(a, -a * b, gamma=np.full(len(a), -np.inf), mean=np.zeros(1), log_sd=np.zeros(1))
    return float(MarginalLikelihood(data, Quadrature().nodes, priors=ItemPriors()).evaluate(at).log_likelihood)


def describe_machine() -> None:
    import numba

    model = "unknown processor"
    if Path("/proc/cpuinfo").exists():
        lines = Path("/proc/cpuinfo").read_text().splitlines()
        model = next((line.split(":", 1)[1].strip() for line in lines if line.startswith("model name")), model)
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    print(f"machine: {model}, {cores} cores usable, load {os.getloadavg()[0]:.1f}, {platform.platform()}")
    print(f"python {platform.python_version()}, numpy {np.__version__}, numba {numba.__version__}")


def report(case: Case, timing: dict[str, Any], *, add_ns: float) -> None:
    print(f"\n{case.label}  ({case.n_users * case.n_answers:,} answers), {POINTS} points, 2PL")
    print(f"  layout            {timing['layout']:8.2f} s")
    print(
        f"  fit               {timing['fit']:8.2f} s   processor {timing['fit_cpu']:.2f} s, {timing['passes']} passes"
    )
    print(f"  fit with full SEs {timing['full']:8.2f} s   processor {timing['full_cpu']:.2f} s")
    print(f"  EAP of all users  {timing['eap']:8.2f} s   processor {timing['eap_cpu']:.2f} s")
    total = timing["layout"] + timing["fit"] + timing["eap"]
    print(f"  layout + fit + EAP{total:8.2f} s   with SEs {total - timing['fit'] + timing['full']:.2f} s")
    before = timing["before_gb"]
    print(f"  peak memory       {timing['peak_gb']:8.2f} GB, of which {before:.2f} were there before the layout")
    print(f"  log-likelihood    {timing['log_likelihood']:.3f}, usable: {timing['usable']}")
    limit = 2.0 * add_ns
    print(
        f"  {timing['ns_per_point']:.3f} ns of one core per answer × point × pass; its two additions alone, in cache, "
        f"take {limit:.3f} ns: {timing['ns_per_point'] / limit:.1f} times that limit"
    )
    print(f"  compiling or loading compiled code, before all this: {timing['compile']:.1f} s")


def report_peers(case: Case, timing: dict[str, Any], *, peers: Peers) -> None:
    for with_se, ours in ((False, timing["fit"]), (True, timing["full"])):
        name = "mirt with SEs" if with_se else "mirt"
        report_peer(name, mirt_seconds(case, with_se=with_se, reference=peers.reference), ours=ours)
    report_peer("girth (stops at 25 iterations without saying so)", girth_seconds(case, peers), ours=timing["fit"])
    report_recorded(case, timing, reference=peers.reference)


def report_peer(name: str, found: tuple[float, float] | str, *, ours: float) -> None:
    if isinstance(found, str):
        print(f"  {name}: {found}")
    else:
        seconds, log_likelihood = found
        print(f"  {name}: {seconds:.1f} s, log-likelihood {log_likelihood:.3f}: {seconds / ours:.0f} times ours")


def report_recorded(case: Case, timing: dict[str, Any], *, reference: Path) -> None:
    note = "recorded on another occasion, on two shared cores"
    if case.name in RECORDED and reference.exists():
        for suffix, ours in (("", timing["fit"]), ("_SE", timing["full"])):
            kept = json.loads((reference / f"{RECORDED[case.name]}{suffix}.json").read_text())
            name, seconds = f"mirt{' with SEs' if suffix else ''}", kept["fit_wall_s"]
            print(
                f"  {name}, {note}, same answers: {seconds:.1f} s, log-likelihood {kept['logLik']:.3f}: "
                f"{seconds / ours:.0f} times ours"
            )
    elif case.name in RECORDED_SECONDS:
        seconds = RECORDED_SECONDS[case.name]
        print(f"  mirt, {note}, other answers of this shape: {seconds:.0f} s: {seconds / timing['fit']:.0f} times ours")


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--quick", action="store_true", help="the tiny and the small case, once each, no peers")
    parser.add_argument("--cases", default="small,medium,million", help=f"of {', '.join(CASES)}")
    parser.add_argument("--repeats", type=int, default=3, help="repeats of each timing; the median is printed")
    parser.add_argument("--girth-python", help="an interpreter that has girth installed")
    parser.add_argument("--reference", type=Path, default=SHARED_REFERENCE, help="folder of mirt's recorded results")
    options = parser.parse_args()
    peers = Peers(options.girth_python, options.reference)
    names = ["tiny", "small"] if options.quick else options.cases.split(",")
    describe_machine()
    add_ns = in_child(vector_add_ns)
    for name in names:
        case = CASES[name]
        repeats = 1 if options.quick or name == "million" else options.repeats
        timing = in_child(run_case, case, repeats, peers.reference)
        report(case, timing, add_ns=add_ns)
        if name in WITH_PEERS and not options.quick:
            report_peers(case, timing, peers=peers)
        else:
            report_recorded(case, timing, reference=peers.reference)
    return 0


if __name__ == "__main__":
    sys.exit(main())
