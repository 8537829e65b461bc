"""R as a Dagster resource."""

from __future__ import annotations

import logging
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import dagster as dg
from pydantic import Field

from seedtest_analytics.resources.r.errors import RError
from seedtest_analytics.resources.r.installation import install_command
from seedtest_analytics.resources.r.session import RSession


@dataclass(frozen=True)
class RCheck:
    """What is there of R. ``problem`` is None where R and every package asked for are."""

    r_version: str | None
    packages: dict[str, str | None]
    problem: str | None

    @property
    def is_ok(self) -> bool:
        """R starts and nothing is missing."""
        return self.problem is None


class RResource(dg.ConfigurableResource):
    """R in a process of its own. Nothing of R is looked for before the first call."""

    timeout_seconds: float = Field(default=600.0, gt=0, description="Longest time of one call, in seconds.")
    threads: int = Field(default=1, ge=1, description="Threads of BLAS and OpenMP inside R.")
    memory_limit_mb: int = Field(
        default=0, ge=0, description="Address space of R in MB; 0 leaves the limit to the container."
    )

    @contextmanager
    def session(self, logger: logging.Logger | None = None) -> Iterator[RSession]:
        """One R for several calls: packages stay loaded, and so does whatever a script changes globally."""
        with RSession(
            self.timeout_seconds, logger, threads=self.threads, memory_limit_mb=self.memory_limit_mb
        ) as session:
            yield session

    def call(
        self,
        script: str | Path,
        function: str,
        *,
        packages: Iterable[str] = (),
        timeout_seconds: float | None = None,
        logger: logging.Logger | None = None,
        **arguments: Any,
    ) -> Any:
        """Call one function of an R script in a fresh R (see :meth:`RSession.call`)."""
        with self.session(logger) as session:
            return session.call(script, function, packages=packages, timeout_seconds=timeout_seconds, **arguments)

    def check(self, packages: Iterable[str] = ()) -> RCheck:
        """Whether R starts and has these packages; the remedy is in ``problem``. Raises nothing of R's."""
        packages = tuple(packages)
        try:
            with self.session() as session:
                version = session.r_version()
                versions = session.package_versions(packages)
        except RError as error:
            return RCheck(None, dict.fromkeys(packages), problem=str(error))
        missing = tuple(p for p, v in versions.items() if v is None)
        problem = f"missing R packages: {', '.join(missing)}. Install: {install_command(missing)}" if missing else None
        return RCheck(version, versions, problem=problem)
