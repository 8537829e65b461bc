"""Render many weekly reports. Code outside this package uses this module and ``resource`` only."""

from __future__ import annotations

import datetime as dt
import hashlib
import os
import shutil
from collections.abc import Collection, Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal, Self, TypeVar

from seedtest_analytics.database.sql_files import top_folder
from seedtest_analytics.reporting.document import ReportDocument
from seedtest_analytics.resources.quarto.errors import ReportError
from seedtest_analytics.resources.quarto.pool import WorkerPool
from seedtest_analytics.resources.quarto.template import FILES, compile_template, template_files
from seedtest_analytics.resources.quarto.worker import WorkerSetup

RendererName = Literal["quarto", "embedded"]
RendererChoice = Literal["auto", "quarto", "embedded"]
Key = TypeVar("Key")


@dataclass(frozen=True)
class RenderedPage:
    """A file of a report: the page ('family' or 'teacher') and its format ('html' or 'pdf')."""

    page: str
    format: str
    content: bytes = field(repr=False)

    @property
    def sha256(self) -> str:
        """Digest of the page, hexadecimal."""
        return hashlib.sha256(self.content).hexdigest()

    @property
    def size_bytes(self) -> int:
        """Size of the page."""
        return len(self.content)


@dataclass(frozen=True)
class RenderedReport:
    """The pages of one student and week."""

    user_id: str
    week_start: dt.date
    pages: tuple[RenderedPage, ...]
    renderer: RendererName

    @property
    def content(self) -> bytes:
        """The first page in its first format."""
        return self.pages[0].content


@dataclass(frozen=True)
class RenderFailure:
    """A report that could not be rendered. ``message`` contains no student data and may be logged."""

    user_id: str
    week_start: dt.date
    message: str


RenderOutcome = RenderedReport | RenderFailure


def template_folder() -> Path:
    """``quarto/`` of the checkout, or its copy in an installed wheel."""
    return top_folder("quarto")


def available_cores() -> int:
    """Cores that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


class ReportRenderer:
    """Renders documents in worker processes. Use as a context manager.

    A document gives the same bytes each time, with the same template and renderer.
    """

    def __init__(
        self,
        template_dir: Path | None = None,
        workers: int | None = None,
        *,
        timeout_s: float = 60.0,
        renderer: RendererChoice = "auto",
        pages: Collection[str] = ("family",),
        formats: tuple[str, ...] = ("html",),
    ) -> None:
        """Defaults: the platform's template and one worker per core; ``timeout_s`` is the time limit of one report.

        ``pages`` are of :data:`.template.FILES`; ``formats`` are those of the first one, the family's.
        'auto' uses the Quarto CLI if it is on the PATH. Raises :class:`.errors.TemplateError` for an unusable template and
        :class:`ReportError` if 'quarto' is requested but not installed.
        """
        if workers is not None and workers < 1:
            raise ReportError(f"workers must be at least 1, not {workers}")
        self._folder = template_dir or template_folder()
        template_files(self._folder)
        quarto = _chosen_quarto(renderer)
        self.renderer: RendererName = "embedded" if quarto is None else "quarto"
        wanted = {page: FILES[page] for page in FILES if page in pages}
        templates = {} if quarto else {page: compile_template(self._folder, main) for page, main in wanted.items()}
        setup = WorkerSetup(self._folder, quarto, pages=wanted, formats=formats, templates=templates)
        self._pool: WorkerPool[Any] = WorkerPool(setup, workers or available_cores(), timeout_s=timeout_s)

    def __enter__(self) -> Self:
        """Start nothing: workers start with the first document."""
        return self

    def __exit__(self, *_: object) -> None:
        """End the workers."""
        self._pool.close()

    def render_many(self, documents: Iterable[ReportDocument]) -> Iterator[RenderOutcome]:
        """Yield one outcome per document as it finishes; reads ``documents`` as workers become free."""
        jobs = (((d.user_id, d.week_start), d.to_json()) for d in documents)
        for (user_id, week_start), answer in self.render_data(jobs):
            if isinstance(answer, str):
                yield RenderFailure(user_id, week_start, message=answer)
            else:
                yield RenderedReport(user_id, week_start, pages=answer, renderer=self.renderer)

    def render_data(self, jobs: Iterable[tuple[Key, bytes]]) -> Iterator[tuple[Key, tuple[RenderedPage, ...] | str]]:
        """The pages of each data file, or why they could not be made, under the caller's key."""
        for key, answer in self._pool.map(jobs):
            if isinstance(answer, str):
                yield key, answer
            else:
                yield key, tuple(RenderedPage(page, format_, content=content) for page, format_, content in answer)

    def render(self, document: ReportDocument) -> RenderedReport:
        """One report; raises :class:`ReportError` with the failure's message."""
        (outcome,) = self.render_many([document])
        if isinstance(outcome, RenderFailure):
            raise ReportError(outcome.message)
        return outcome


def _chosen_quarto(choice: RendererChoice) -> str | None:
    if choice == "embedded":
        return None
    found = shutil.which("quarto")
    if choice == "quarto" and found is None:
        raise ReportError(
            "renderer = 'quarto', but quarto is not on the PATH; install it from https://quarto.org, or use 'embedded', "
            "which renders the same template"
        )
    return found
