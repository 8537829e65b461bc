"""The page of validity and the program that prints it."""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np
import pytest

from benchmarks._bayesian_p import bayesian_p
from benchmarks._judged import Judged, print_table
from benchmarks.ability import cohort
from benchmarks.advice import ABOUT as ABOUT_ADVICE
from benchmarks.validity import ABOUT
from seedtest_analytics.stats.ability.filtering import gather_evidence
from seedtest_analytics.stats.ability.hyperparameters import Hyperparameters
from seedtest_analytics.stats.ability.smoothing import smooth
from seedtest_analytics.stats.verification.probabilities import auc

PAGE = Path(__file__).parents[1] / "docs" / "validity.md"
DATED = ("next answer", "theta", "P", "growth", "S")


def test_the_page_is_what_the_program_prints() -> None:
    page = PAGE.read_text(encoding="utf-8")
    assert page.startswith(ABOUT)
    assert ABOUT_ADVICE in page
    parts = re.split(r"^## ", page, flags=re.MULTILINE)
    numbers = {
        part.splitlines()[0]: set(
            re.findall(r"^\| (\w[\w ]*) \| (?:do nothing|too few to judge) \|", part, re.MULTILINE)
        )
        for part in parts
    }
    assert numbers["Statics"] == {"next answer"}
    dated = [name for name in numbers if name in ("ASSISTments", "EdNet") or name.startswith("Simulated cohort")]
    assert len(dated) == 4
    assert all(numbers[name] == set(DATED) for name in dated)
    assert page.count("| P | P, Bayesian |") == page.count("| P | P, Normal |") == page.count("| P | cheating |") >= 3


def test_a_row_has_error_and_rank_over_students(capsys: pytest.CaptureFixture[str]) -> None:
    random = np.random.default_rng(1)
    seen = random.normal(size=90)
    said = {"nobody": np.zeros(90), "half": 0.5 * seen + random.normal(0, 0.5, 90)}
    few = Judged({"x": np.zeros(19)}, np.zeros(19), np.arange(19))
    print_table({"growth": Judged(said, seen, np.arange(90) // 3), "P": few}, resamples=50, seed=1)
    _, _, nobody, half, none, *_ = capsys.readouterr().out.splitlines()
    assert nobody.startswith(f"| growth | nobody | 90 | 30 | {(seen**2).mean():.4f} [")
    assert nobody.endswith("| – |")
    assert f"| {np.corrcoef(said['half'], seen)[0, 1]:.3f} [" in half
    assert none == "| P | too few to judge | 19 | 19 | – | – |"


@pytest.mark.long
def test_bayesian_p_knows_who_reaches_the_target_and_whom_it_does_not_know() -> None:
    made = cohort(5, n_students=120, n_items=200, n_topics=4, weeks=12, per_week=12.0)
    silent = (made.answers.student < 5) & (made.answers.day > 7)
    past = made.answers.take((made.answers.day < 70) & ~silent)
    known = gather_evidence(past, Hyperparameters())
    levels = smooth(known, [70.0]).levels
    difficulty = known.difficulties()[0]
    p, sd = bayesian_p(past, levels, difficulty=difficulty, day=70.0, days_ahead=14.0, target=0.0)
    # The look-back has eight weeks of the ten.
    assert np.isnan(p[:5]).all()
    assert np.isfinite(p[5:]).all()
    assert (sd[5:] > 0).all()
    reached = made.level[5:, 83] - made.level[:, 0].mean() >= 0
    assert auc(p[5:], reached)[0] > 0.85
    higher = bayesian_p(past, levels, difficulty=difficulty, day=70.0, days_ahead=14.0, target=1.0)[0]
    assert (higher[5:] < p[5:]).all()
