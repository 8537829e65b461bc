"""A Stan sampler for the tests: programs are compiled once a machine and kept in the user's cache."""

from seedtest_analytics.resources.stan import StanRunner
from seedtest_analytics.resources.stan_toolchain.executables import default_cache_dir


def make_stan_runner() -> StanRunner:
    """With the machine's toolchain; several test processes wait for one build."""
    return StanRunner(default_cache_dir(), timeout_s=900)
