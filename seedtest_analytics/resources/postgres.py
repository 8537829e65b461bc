"""The platform's database as a Dagster resource: one engine per step, closed when the step ends."""

from __future__ import annotations

from contextlib import AbstractContextManager
from typing import ClassVar

import dagster as dg
from pydantic import PrivateAttr
from sqlalchemy import Connection, Engine

from seedtest_analytics.database.engine import connected_engine, database_url, locked_transaction, normalised_url
from seedtest_analytics.resources.fixed import FixedResource


class PostgresResource(FixedResource):
    """The platform's database: ``url``, or by default the one of DATABASE_URL."""

    url: ClassVar[str | None] = None
    _engine: Engine | None = PrivateAttr(default=None)

    @property
    def engine(self) -> Engine:
        """The engine, created and tested on first use; raises :class:`~seedtest_analytics.database.engine.DatabaseError`."""
        if self._engine is None:
            url = normalised_url(self.url) if self.url else database_url()
            self._engine = connected_engine(url)
        return self._engine

    def teardown_after_execution(self, context: dg.InitResourceContext) -> None:
        """Close the pool, so that a finished step keeps no connection."""
        if self._engine is not None:
            self._engine.dispose()
            self._engine = None

    def transaction(self, lock: str, *, is_dry_run: bool = False) -> AbstractContextManager[Connection]:
        """:func:`seedtest_analytics.database.engine.locked_transaction` on this engine."""
        return locked_transaction(self.engine, lock, is_dry_run=is_dry_run)
