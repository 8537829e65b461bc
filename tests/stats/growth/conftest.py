"""Fixtures of the growth tests."""

import pytest

from tests._stan import make_stan_runner


@pytest.fixture(scope="session")
def stan_runner():
    """Samples with the machine's Stan."""
    return make_stan_runner()
