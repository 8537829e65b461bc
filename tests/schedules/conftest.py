"""Fixtures of the tests that need the platform's schema."""

from tests._database import database, shared_database

__all__ = ["database", "shared_database"]
