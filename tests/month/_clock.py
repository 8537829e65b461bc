"""The simulated clock: Python's by time-machine, and that of Dagster's database by the defaults of its columns."""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterator
from contextlib import contextmanager

import time_machine
from sqlalchemy import Engine, text

_SET_UP = """
CREATE SCHEMA simulated;
CREATE TABLE simulated.clock (at timestamptz NOT NULL);
INSERT INTO simulated.clock VALUES (now());
CREATE FUNCTION simulated.now() RETURNS timestamp LANGUAGE sql STABLE
    AS 'SELECT at AT TIME ZONE ''UTC'' FROM simulated.clock';
DO $$
DECLARE c record;
BEGIN
    FOR c IN
        SELECT table_name, column_name FROM information_schema.columns
        WHERE table_schema = 'public' AND column_default ~* '(now\\(\\)|current_timestamp)'
    LOOP
        EXECUTE format('ALTER TABLE %I ALTER COLUMN %I SET DEFAULT simulated.now()', c.table_name, c.column_name);
    END LOOP;
END $$
"""


class SimulatedClock:
    """A clock that goes on by itself and can be moved forward."""

    def __init__(self, traveller: time_machine.Traveller) -> None:
        self._traveller = traveller
        self._storage: Engine | None = None

    @staticmethod
    def now() -> dt.datetime:
        """The simulated instant."""
        return dt.datetime.now(dt.UTC)

    def also_of(self, storage: Engine) -> None:
        """Give Dagster's database the same clock, as far as it dates rows itself."""
        self._storage = storage
        with storage.begin() as connection:
            connection.execute(text(_SET_UP))
        self.move_to(self.now())

    def move_to(self, instant: dt.datetime) -> None:
        """Move to an instant unless it has passed."""
        if instant > self.now():
            self._traveller.move_to(instant.astimezone(dt.UTC))
        if self._storage is not None:
            with self._storage.begin() as connection:
                connection.execute(text("UPDATE simulated.clock SET at = :at"), {"at": self.now()})


@contextmanager
def simulated_clock(start: dt.datetime) -> Iterator[SimulatedClock]:
    """The clock of this process, from an instant on."""
    with time_machine.travel(start.astimezone(dt.UTC), tick=True) as traveller:
        yield SimulatedClock(traveller)
