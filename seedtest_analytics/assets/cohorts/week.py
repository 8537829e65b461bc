"""One week of pages about groups: load the documents, render and store them, publish their rows, renew the list."""

from __future__ import annotations

import logging
import tempfile
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

import dagster as dg

from seedtest_analytics.assets.cohorts.checks import COHORTS_RENDERED, COHORTS_STORED
from seedtest_analytics.assets.cohorts.documents import cohort_documents
from seedtest_analytics.assets.framework.preview import markdown_table
from seedtest_analytics.assets.framework.report import Outcome
from seedtest_analytics.assets.report_index import index_file
from seedtest_analytics.assets.report_readers import load_readers
from seedtest_analytics.assets.report_store import cohort_row_of, page_row_of, publish_cohorts, publish_pages
from seedtest_analytics.partitions import Week
from seedtest_analytics.reporting.cohort_document import CohortDocument
from seedtest_analytics.resources.object_store import ObjectStoreResource
from seedtest_analytics.resources.postgres import PostgresResource
from seedtest_analytics.resources.quarto.renderer import RenderedPage
from seedtest_analytics.resources.quarto.resource import QuartoResource
from seedtest_analytics.resources.quarto.template import COHORT
from seedtest_analytics.resources.store.base import ObjectStoreError
from seedtest_analytics.resources.store.keys import ReportFile, ReportKey
from seedtest_analytics.resources.store.uploads import Delivery
from seedtest_analytics.settings import ReportSettings


@dataclass
class _Pages:
    """The pages of a week so far. ``refusal``: why a page can be neither stored nor kept on disk."""

    documents: int = 0
    failures: list[str] = field(default_factory=list)
    deliveries: list[Delivery] = field(default_factory=list)
    refusal: str | None = None

    @property
    def stored(self) -> list[Delivery]:
        """Pages that the store has."""
        return [delivery for delivery in self.deliveries if delivery.is_stored]

    @property
    def waiting(self) -> list[Delivery]:
        """Pages that are on disk because the store did not take them."""
        return [delivery for delivery in self.deliveries if not delivery.is_stored]

    @property
    def is_whole(self) -> bool:
        """Every page of the week was made and stored."""
        return not self.failures and not self.waiting and self.refusal is None


@dataclass(frozen=True)
class CohortRun:
    """The resources and settings of a run."""

    postgres: PostgresResource
    object_store: ObjectStoreResource
    quarto: QuartoResource
    settings: ReportSettings
    is_dry_run: bool

    def each_of(self, weeks: Sequence[Week], *, log: logging.Logger) -> Iterator[Outcome]:
        """The outcome of each week. The run fails at its end if a page is missing; finished pages are published."""
        problems = []
        for week in weeks:
            pages = self._made(week)
            for message in pages.failures:
                log.error(message)
            problems += self._problem(week, pages)
            yield self._published(week, pages)
            if pages.refusal is not None:
                break
        if problems:
            raise dg.Failure("; ".join(problems), allow_retries=False)

    def _made(self, week: Week) -> _Pages:
        pages = _Pages()
        # The documents wait in a file without a name: memory stays constant, and no transaction is open while they are
        # rendered.
        with tempfile.TemporaryFile() as spool:
            with self.postgres.engine.connect() as connection:
                readers = load_readers(connection, week, settings=self.settings)
                found = cohort_documents(connection, week, readers=readers, minimum=self.settings.min_cohort)
                spool.writelines(document.to_json() + b"\n" for document in found)
            spool.seek(0)
            self._store(pages, self._files(map(CohortDocument.from_json, spool), pages))
        return pages

    def _files(self, documents: Iterable[CohortDocument], pages: _Pages) -> Iterator[ReportFile]:
        """The rendered files; failures are noted."""
        jobs = ((document, document.to_json()) for document in documents)
        formats = self.settings.formats
        with self.quarto.open(self.settings.parallel, pages=(COHORT,), formats=formats) as renderer:
            for document, answer in renderer.render_data(jobs):
                pages.documents += 1
                if isinstance(answer, str):
                    pages.failures.append(f"the page of one {document.scope} could not be made: {answer}")
                    continue
                for page in answer:
                    yield _file(document, page, renderer=renderer.renderer)

    def _store(self, pages: _Pages, files: Iterator[ReportFile]) -> None:
        with self.object_store.uploads() as uploads:
            put = uploads.pretend if self.is_dry_run else uploads.put
            try:
                for file in files:
                    put(file)
                uploads.finish()
            except ObjectStoreError as error:
                pages.refusal = str(error)
        pages.deliveries += sorted(uploads.deliveries, key=lambda d: (d.key.name, d.key.user_id, d.key.format))

    def _problem(self, week: Week, pages: _Pages) -> list[str]:
        found = []
        if pages.refusal is not None:
            found.append(f"not all pages are stored: {pages.refusal}")
        if pages.waiting:
            found.append(
                f"{len(pages.waiting)} pages wait on disk until the store takes them (`seedtest report upload`, or the job "
                f"upload_waiting_reports); {pages.waiting[0].refusal}"
            )
        if pages.failures:
            found.append(f"{len(pages.failures)} of {pages.documents} pages could not be made; {pages.failures[0]}")
        return [f"week of {week.key}: {text}" for text in found]

    def _published(self, week: Week, pages: _Pages) -> Outcome:
        store = self.object_store.store()
        is_all = pages.is_whole
        partition = "t.week_start = :week_start" if is_all else "false"
        rows = [cohort_row_of(delivery, store) for delivery in pages.stored]
        with self.postgres.transaction(f"report_artifacts:{week.key}", is_dry_run=self.is_dry_run) as connection:
            published = publish_cohorts(connection, rows, partition=partition, week_start=week.start)
            index = index_file(connection, week, store=store, settings=self.settings)
        self._renew_index(week, index)
        scopes = [row["scope"] for row in rows if row["format"] == self.settings.formats[0]]
        counts = [[scope, scopes.count(scope)] for scope in ("class", "organisation", "platform")]
        small = sum(row["status"] == "too_small" for row in rows if row["format"] == self.settings.formats[0])
        checks = [
            COHORTS_RENDERED.judged(
                f"{pages.documents - len(pages.failures)} of {pages.documents} pages; {small} too small for numbers",
                is_passed=not pages.failures,
                metadata={"pages": pages.documents, "failed": len(pages.failures), "too_small": small},
            ),
            COHORTS_STORED.judged(
                f"{len(pages.stored)} files stored, {len(pages.waiting)} wait on disk",
                is_passed=not pages.waiting and pages.refusal is None,
                metadata={"stored": len(pages.stored), "waiting": len(pages.waiting)},
            ),
        ]
        metadata = {"summary": markdown_table(["page", "number"], counts)}
        return Outcome(published, metadata, checks=checks, partition=week.key, is_dry_run=self.is_dry_run)

    def _renew_index(self, week: Week, file: ReportFile | None) -> None:
        """Store the list of the week again, with the pages about groups. A failure waits on disk like a page."""
        if file is None or self.is_dry_run:
            return
        index = _Pages()
        self._store(index, iter([file]))
        with self.postgres.transaction(f"report_artifacts:{week.key}") as connection:
            publish_pages(connection, [page_row_of(d, self.object_store.store()) for d in index.stored])


def _file(document: CohortDocument, page: RenderedPage, *, renderer: str) -> ReportFile:
    name: Any = document.scope
    format_: Any = page.format
    key = ReportKey(document.subject, document.week_start, format=format_, name=name)
    students = document.summary.students if document.is_shown and document.summary is not None else None
    note = {"status": "shown" if document.is_shown else "too_small", "students": students, "name": document.name}
    return ReportFile(key, page.content, renderer=renderer, language=document.language, note=note)
