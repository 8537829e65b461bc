"""The example of the page on ability runs."""

import re
from pathlib import Path

import numpy as np

from seedtest_analytics.stats.ability.data import Answers, KnownItems
from seedtest_analytics.stats.ability.filtering import gather_evidence
from seedtest_analytics.stats.ability.fitting import fit_hyperparameters
from seedtest_analytics.stats.ability.goals import goal_path
from seedtest_analytics.stats.ability.hyperparameters import Hyperparameters
from seedtest_analytics.stats.ability.smoothing import change_between, smooth
from tests.stats.ability._simulation import simulate

PAGE = Path(__file__).parents[3] / "docs" / "ability.md"
FUNCTIONS = (Answers, KnownItems, fit_hyperparameters, gather_evidence, smooth, change_between, goal_path)


def test_the_example_of_the_page_runs() -> None:
    (example,) = re.findall(r"^```python\n(.*?)^```", PAGE.read_text(), re.MULTILINE | re.DOTALL)
    cohort = simulate(Hyperparameters(), seed=1, n_students=40, weeks=6)
    n = len(cohort.difficulty)
    names = {name: getattr(cohort.answers, name) for name in ("student", "item", "topic", "day", "correct")}
    names |= {"a": np.ones(n), "b": cohort.difficulty, "se_b": np.zeros(n), "t": 42.0, "week_ends": [35.0, 42.0]}
    names |= {function.__name__: function for function in FUNCTIONS}
    exec(example, names)
    assert np.isfinite(names["goal"].probability).all()
    assert np.isfinite(names["change"].difference).any()
