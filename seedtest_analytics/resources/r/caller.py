"""What the models need of R."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, Protocol


class RCaller(Protocol):
    """An :class:`RSession`, or an :class:`RResource` that starts one for the call."""

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
