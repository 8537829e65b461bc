"""A Stan sampler for the tests: programs are compiled once a machine and kept in the user's cache."""

from seedtest_analytics.resources.stan.executables import default_cache_dir
from seedtest_analytics.resources.stan.resource import StanRunner


def make_stan_runner() -> StanRunner:
    """With the machine's toolchain; several test processes wait for one build."""
    return StanRunner(default_cache_dir(), timeout_s=900)
