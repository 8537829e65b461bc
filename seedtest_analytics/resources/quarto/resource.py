"""Report rendering as a Dagster resource."""

from __future__ import annotations

from collections.abc import Collection, Iterator
from contextlib import contextmanager
from typing import Any, ClassVar, Literal

import dagster as dg

from seedtest_analytics.resources.quarto.renderer import ReportRenderer
from seedtest_analytics.resources.fixed import FixedResource


class QuartoResource(FixedResource):
    """Renders weekly reports. Looks for nothing and starts nothing before the first use.

    Attributes:
        workers: render processes; None: one per core.
        timeout_seconds: time limit of one report.
        renderer: 'auto': the Quarto CLI if it is on the PATH, else the embedded renderer.
    """

    workers: ClassVar[int | None] = None
    timeout_seconds: ClassVar[float] = 60.0
    renderer: ClassVar[Literal["auto", "quarto", "embedded"]] = "auto"

    @contextmanager
    def open(
        self,
        workers: int | None = None,
        *,
        pages: Collection[str] = ("family",),
        formats: tuple[str, ...] = ("html",),
    ) -> Iterator[ReportRenderer]:
        """A renderer of these pages and formats; ``workers`` overrides the resource's own number."""
        with ReportRenderer(
            None,
            workers or self.workers,
            timeout_s=self.timeout_seconds,
            renderer=self.renderer,
            pages=pages,
            formats=formats,
        ) as made:
            yield made
