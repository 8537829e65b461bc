"""Report rendering as a Dagster resource."""

from __future__ import annotations

import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import dagster as dg
from pydantic import Field

from seedtest_analytics.resources.quarto import command, template
from seedtest_analytics.resources.quarto.errors import ReportError
from seedtest_analytics.resources.quarto.renderer import ReportRenderer, template_folder


@dataclass(frozen=True)
class QuartoCheck:
    """What is there to render with. ``problem`` is None where reports can be made."""

    quarto_version: str | None
    pandoc_version: str | None
    problem: str | None

    @property
    def is_ok(self) -> bool:
        """Reports can be made, with the Quarto CLI or without it."""
        return self.problem is None


class QuartoResource(dg.ConfigurableResource):
    """Renders weekly reports. Nothing is looked for or started before the first use."""

    template_dir: str | None = Field(
        default=None, description="Folder with weekly_report.qmd; unset: the platform's own."
    )
    workers: int | None = Field(default=None, ge=1, description="Render processes; unset: one a core.")
    timeout_seconds: float = Field(default=60.0, gt=0, description="Longest time of one report, in seconds.")
    renderer: Literal["auto", "quarto", "embedded"] = Field(
        default="auto",
        description="'auto': the Quarto CLI where it is on the PATH, else the embedded renderer.",
    )

    @property
    def folder(self) -> Path:
        """The template's folder."""
        return Path(self.template_dir) if self.template_dir else template_folder()

    @contextmanager
    def open(self, workers: int | None = None) -> Iterator[ReportRenderer]:
        """A renderer; ``workers`` overrides the resource's own number."""
        with ReportRenderer(
            self.folder, workers or self.workers, timeout_s=self.timeout_seconds, renderer=self.renderer
        ) as made:
            yield made

    def template_digest(self) -> str:
        """Hash over the template's files, for an asset's code version."""
        return template.template_digest(self.folder)

    def check(self) -> QuartoCheck:
        """What is installed; the remedy is in ``problem``. Renders nothing and raises nothing."""
        quarto = pandoc = problem = None
        try:
            template.template_files(self.folder)
            found = command.find_quarto()
            quarto = command.quarto_version(found) if found else None
            pandoc = _pandoc_version()
        except (ReportError, OSError, subprocess.SubprocessError) as error:
            problem = str(error)
        if problem is None and self.renderer == "quarto" and quarto is None:
            problem = (
                "quarto is not on the PATH; install it from https://quarto.org or set renderer: embedded"
            )
        return QuartoCheck(quarto, pandoc, problem=problem)


def _pandoc_version() -> str:
    import pypandoc

    return str(pypandoc.get_pandoc_version())
