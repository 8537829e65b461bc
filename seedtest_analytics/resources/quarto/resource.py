"""Report rendering as a Dagster resource."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Literal

import dagster as dg
from pydantic import Field

from seedtest_analytics.resources.quarto.renderer import ReportRenderer


class QuartoResource(dg.ConfigurableResource[Any]):
    """Renders weekly reports. Looks for nothing and starts nothing before the first use."""

    template_dir: str | None = Field(
        default=None, description="Folder with weekly_report.qmd; unset: the platform's own."
    )
    workers: int | None = Field(default=None, ge=1, description="Render processes; unset: one per core.")
    timeout_seconds: float = Field(default=60.0, gt=0, description="Time limit of one report, in seconds.")
    renderer: Literal["auto", "quarto", "embedded"] = Field(
        default="auto",
        description="'auto': the Quarto CLI if it is on the PATH, else the embedded renderer.",
    )

    @contextmanager
    def open(self, workers: int | None = None) -> Iterator[ReportRenderer]:
        """A renderer; ``workers`` overrides the resource's own number."""
        folder = Path(self.template_dir) if self.template_dir else None
        with ReportRenderer(
            folder, workers or self.workers, timeout_s=self.timeout_seconds, renderer=self.renderer
        ) as made:
            yield made
