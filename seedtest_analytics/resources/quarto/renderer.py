"""Render many weekly reports: the one entrance to this package."""

from __future__ import annotations

import datetime as dt
import hashlib
import os
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from types import TracebackType
from typing import Literal, Self

from seedtest_analytics.resources.quarto.command import find_quarto
from seedtest_analytics.resources.quarto.errors import ReportError, TemplateError
from seedtest_analytics.resources.quarto.pool import WorkerPool
from seedtest_analytics.resources.quarto.template import compile_template, template_files
from seedtest_analytics.resources.quarto.worker import WorkerSetup
from seedtest_analytics.database.sql_files import top_folder
from seedtest_analytics.reporting.document import ReportDocument

RendererName = Literal["quarto", "embedded"]
RendererChoice = Literal["auto", "quarto", "embedded"]


@dataclass(frozen=True)
class RenderedReport:
    """A page and what the table ``report_artifacts`` stores about it."""

    user_id: str
    week_start: dt.date
    content: bytes = field(repr=False)
    renderer: RendererName

    @property
    def sha256(self) -> str:
        """Digest of the page, hexadecimal."""
        return hashlib.sha256(self.content).hexdigest()

    @property
    def size_bytes(self) -> int:
        """Size of the page."""
        return len(self.content)


@dataclass(frozen=True)
class RenderFailure:
    """A report that could not be made. ``message`` holds nothing of the student and may be logged."""

    user_id: str
    week_start: dt.date
    message: str


RenderOutcome = RenderedReport | RenderFailure


def template_folder() -> Path:
    """``quarto/`` of the checkout, or the copy of it in an installed wheel."""
    return top_folder("quarto")


def available_cores() -> int:
    """Cores that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


class ReportRenderer:
    """Renders documents in worker processes. Use as a context manager.

    The same document gives the same bytes with the same template and renderer.
    """

    def __init__(
        self,
        template_dir: Path | None = None,
        workers: int | None = None,
        *,
        timeout_s: float = 60.0,
        renderer: RendererChoice = "auto",
    ) -> None:
        """``template_dir``: default the platform's own; ``workers``: default one a core; ``timeout_s``: of
        a report.

        ``renderer``: 'auto' takes the Quarto CLI where it is on the PATH. Raises :class:`TemplateError` for
        a template that cannot be used and :class:`ReportError` where 'quarto' is asked for and not there.
        """
        if workers is not None and workers < 1:
            raise ReportError(f"workers = {workers} is not allowed: at least 1")
        self._folder = template_dir or template_folder()
        template_files(self._folder)
        quarto = _chosen_quarto(renderer)
        self.renderer: RendererName = "embedded" if quarto is None else "quarto"
        template = compile_template(self._folder) if quarto is None else None
        setup = WorkerSetup(self._folder, quarto, template=template)
        self._pool: WorkerPool[tuple[str, dt.date]] = WorkerPool(
            setup, workers or available_cores(), timeout_s=timeout_s
        )

    def __enter__(self) -> Self:
        """Workers start with the first document."""
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """End the workers."""
        self._pool.close()

    def render_many(self, documents: Iterable[ReportDocument]) -> Iterator[RenderOutcome]:
        """One outcome a document, as they get done, while ``documents`` is read as workers become free."""
        jobs = (((d.user_id, d.week_start), d.to_json()) for d in documents)
        for (user_id, week_start), answer in self._pool.map(jobs):
            if isinstance(answer, bytes):
                yield RenderedReport(user_id, week_start, content=answer, renderer=self.renderer)
            else:
                yield RenderFailure(user_id, week_start, message=answer)

    def render(self, document: ReportDocument) -> RenderedReport:
        """One report; raises :class:`ReportError` with the failure's message."""
        (outcome,) = self.render_many([document])
        if isinstance(outcome, RenderFailure):
            raise ReportError(outcome.message)
        return outcome


def _chosen_quarto(choice: RendererChoice) -> str | None:
    if choice == "embedded":
        return None
    found = find_quarto()
    if choice == "quarto" and found is None:
        raise ReportError(
            "renderer = 'quarto' was asked for, but no quarto is on the "
            "PATH; install Quarto (https://quarto.org) "
            "or use 'embedded', which renders the same template"
        )
    return found


__all__ = [
    "RenderFailure",
    "RenderOutcome",
    "RenderedReport",
    "ReportRenderer",
    "TemplateError",
    "available_cores",
    "template_folder",
]
