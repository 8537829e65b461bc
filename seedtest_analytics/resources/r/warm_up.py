"""Compiles the brms models into the cache: `python -m seedtest_analytics.resources.r.warm_up`.

A model takes about 40 s. An image with R runs this when it is built, so that no pod has to.
"""

from __future__ import annotations

from typing import get_args

import pandas as pd

from seedtest_analytics.resources.r.brms_growth import BrmsOptions, brms_cache_folder, sample_growth_with_brms
from seedtest_analytics.resources.r.resource import RResource
from seedtest_analytics.stats.mixed_model.data import Family

ROWS = pd.DataFrame(
    [(f"student {s}", week, (s + week) / 10, s % 2 + week, 8) for s in range(4) for week in range(4)],
    columns=["student_id", "week", "score", "right", "attempts"],
)
"""The smallest log that the models take. Its draws are thrown away."""


def main() -> None:
    """Compile what is not in the cache yet. Raises the errors of :mod:`.errors`."""
    for family in get_args(Family):
        options = BrmsOptions(brms_cache_folder(), family=family, n_chains=1, n_draws=2, n_warmup=2)
        sample_growth_with_brms(RResource(), ROWS, options=options)


if __name__ == "__main__":
    main()
