"""Fixtures of the tests that need the platform's schema or an instance."""

from collections.abc import Iterator

import dagster as dg
import pytest

from tests._database import database, shared_database

__all__ = ["database", "shared_database"]


@pytest.fixture
def instance() -> Iterator[dg.DagsterInstance]:
    with dg.DagsterInstance.ephemeral() as made:
        yield made
