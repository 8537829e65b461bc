"""Compiles every Stan program into the cache: `python -m seedtest_analytics.resources.stan.warm_up`.

A program takes about a minute and 1.7 GB of memory. An image runs this when it is built, so that no pod has to.
"""

from __future__ import annotations

import logging
import sys

from seedtest_analytics.resources.stan.executables import default_cache_dir
from seedtest_analytics.resources.stan.resource import StanRunner
from seedtest_analytics.stats.growth.stan import COUNTS, MARGINAL

PROGRAMS = (MARGINAL, COUNTS)


def main() -> None:
    """Compile what is not in the cache yet. Raises the errors of `StanRunner.executable`."""
    logging.basicConfig(level=logging.INFO, stream=sys.stdout, format="%(message)s")
    runner = StanRunner(default_cache_dir())
    for program in PROGRAMS:
        runner.executable(program)


if __name__ == "__main__":
    main()
