"""Fixtures of the tests that send messages."""

from tests._database import database, shared_database

__all__ = ["database", "shared_database"]
