"""R as a Dagster resource."""

from __future__ import annotations

import logging
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

from seedtest_analytics.resources.fixed import FixedResource

if TYPE_CHECKING:
    from seedtest_analytics.resources.r.session import RSession


class RResource(FixedResource):
    """R in a separate process. Looks for R at the first call.

    Attributes:
        timeout_seconds: time limit of one call.
        threads: threads of BLAS and OpenMP inside R.
        memory_limit_mb: address space of R in MB; 0 leaves the limit to the container.
    """

    timeout_seconds: ClassVar[float] = 600.0
    threads: ClassVar[int] = 1
    memory_limit_mb: ClassVar[int] = 0

    @contextmanager
    def session(self, logger: logging.Logger | None = None) -> Iterator[RSession]:
        """One R for several calls. Loaded packages and global changes of a script stay between them."""
        from seedtest_analytics.resources.r.session import RSession

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
        """Call one function of an R script in a new R (see :meth:`RSession.call`)."""
        with self.session(logger) as session:
            return session.call(script, function, packages=packages, timeout_seconds=timeout_seconds, **arguments)
