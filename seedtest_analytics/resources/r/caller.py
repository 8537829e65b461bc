"""The interface to R that the models use."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, Protocol


class RCaller(Protocol):
    """An :class:`RSession`, or an :class:`RResource`, which starts a session for each call."""

    def call(
        self,
        script: str,
        function: str,
        *,
        packages: Iterable[str] = (),
        timeout_seconds: float | None = None,
        **arguments: Any,
    ) -> Any:
        """Call a function of an R script."""
