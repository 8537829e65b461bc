"""The reports of a week's shard: render what changed, store it, and record it as it is stored.

Rows are recorded every few hundred files. So memory does not grow with the students, and a run that is killed and tried
again renders only what was not recorded yet.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass, field, fields
from functools import reduce
from typing import Any, Self

from seedtest_analytics.assets.framework.shards import Shard
from seedtest_analytics.assets.report_documents import documents, note_of
from seedtest_analytics.assets.report_inputs import Inputs, Unchanged
from seedtest_analytics.assets.report_store import (
    NAMED_ROWS,
    publish_pages,
    publish_rows,
    record,
    row_digest,
    untrue_rows,
)
from seedtest_analytics.database.publish import Published
from seedtest_analytics.partitions import Week
from seedtest_analytics.reporting.document import ReportDocument
from seedtest_analytics.resources.object_store import ObjectStoreResource
from seedtest_analytics.resources.postgres import PostgresResource
from seedtest_analytics.resources.quarto.renderer import RenderedReport, RenderFailure
from seedtest_analytics.resources.quarto.resource import QuartoResource
from seedtest_analytics.resources.store.base import ObjectStore, ObjectStoreError
from seedtest_analytics.resources.store.keys import ReportFile, ReportKey
from seedtest_analytics.resources.store.uploads import Delivery
from seedtest_analytics.settings import ReportSettings, load_settings

SHOWN_FAILURES = 5
SHOWN_LINKS = 3
_RECORDED_AT_ONCE = 500


def nothing(table: str, *, staged: int = 0) -> Published:
    """The publication of rows that are there already."""
    return Published(table, staged, inserted=0, updated=0, deleted=0)


@dataclass(frozen=True)
class WeekResult:
    """What became of a week's reports in one shard. The results of shards add up."""

    reports: Published = field(default_factory=lambda: nothing("report_artifacts"))
    pages: Published = field(default_factory=lambda: nothing("report_pages"))
    rendered: int = 0
    """Students whose report was made and stored."""
    unchanged: int = 0
    """Students whose report was stored already as it would be made."""
    waiting: int = 0
    """Students whose report is on disk because the store did not take it."""
    failed: int = 0
    silent: int = 0
    """Students without an answer who get no report by the settings."""
    size_bytes: int = 0
    languages: tuple[str, ...] = ()
    renderers: tuple[str, ...] = ()
    urls: tuple[str, ...] = ()
    """A few reports."""
    failures: tuple[str, ...] = ()
    """Messages of a few failures."""
    missing: tuple[str, ...] = ()
    """Digests of a few students whose report could not be made."""
    waiting_of: tuple[str, ...] = ()
    """Digests of a few students whose report waits."""
    waiting_because: str | None = None
    n_untrue: int = 0
    """Rows of earlier runs whose object was gone, and that were removed."""
    unverified: str | None = None
    """Why the store does not say whether earlier rows of the week are true."""
    refusal: str | None = None
    """Why a report can be neither stored nor kept on disk; the rest of the week was not tried."""

    @property
    def is_whole(self) -> bool:
        """Every report of the week was made and stored."""
        return not self.failed and not self.waiting and self.refusal is None

    @property
    def made(self) -> int:
        """Students whose report is stored."""
        return self.rendered + self.unchanged

    def __add__(self, other: WeekResult) -> WeekResult:
        mine, theirs = vars(self), vars(other)
        shown = {"failures": SHOWN_FAILURES, "missing": NAMED_ROWS, "waiting_of": NAMED_ROWS, "urls": SHOWN_LINKS}
        added: dict[str, Any] = {}
        for name in (one.name for one in fields(self)):
            first, second = mine[name], theirs[name]
            if name in ("languages", "renderers"):
                added[name] = tuple(sorted({*first, *second}))
            elif name in ("waiting_because", "unverified", "refusal"):
                added[name] = first or second
            else:
                added[name] = (first + second)[: shown[name]] if name in shown else first + second
        return WeekResult(**added)

    def as_json(self) -> dict[str, Any]:
        """The result as it passes from step to step."""
        return asdict(self)

    @classmethod
    def from_json(cls, value: dict[str, Any]) -> Self:
        """The result that :meth:`as_json` gave."""
        plain: dict[str, Any] = {name: tuple(v) if isinstance(v, list | tuple) else v for name, v in value.items()}
        return cls(**plain | {name: Published(**value[name]) for name in ("reports", "pages")})


def total(results: Sequence[WeekResult]) -> WeekResult:
    """The results of all shards of a week as one."""
    return reduce(WeekResult.__add__, results, WeekResult())


def render_week(
    postgres: PostgresResource,
    object_store: ObjectStoreResource,
    *,
    quarto: QuartoResource,
    week: Week,
    settings: ReportSettings,
    shard: Shard,
    dry: bool,
) -> WeekResult:
    """Render, store and record what changed of a week's shard."""
    store, refusal = object_store.store(), None
    recorder = _Recorder(postgres, store, week=week, settings=settings, shard=shard, dry=dry)
    with (
        quarto.open(settings.parallel, pages=settings.pages, formats=settings.formats) as renderer,
        object_store.uploads() as uploads,
    ):
        inputs = Inputs(renderer.renderer, settings, storage=load_settings().storage)
        unchanged = Unchanged(inputs, store, uploads=uploads, dry=dry)
        found = documents(
            postgres.engine, week, settings=settings, withhold=recorder.withhold, skip=recorder.skip, shard=shard
        )
        notes: dict[str, dict[str, Any]] = {}
        put = uploads.pretend if dry else uploads.put
        try:
            for outcome in renderer.render_many(_noted(unchanged.changed(found), notes)):
                note = notes.pop(outcome.user_id)
                if isinstance(outcome, RenderFailure):
                    recorder.fail(outcome)
                else:
                    for file in files_of(outcome, note):
                        put(file)
                recorder.record_some(uploads.taken())
            uploads.finish()
        except ObjectStoreError as error:
            refusal = str(error)
    recorder.record_all(uploads.taken())
    return recorder.result(unchanged.users, n_files=len(settings.formats), refusal=refusal)


def _noted(changed: Iterator[tuple[ReportDocument, str]], notes: dict[str, dict[str, Any]]) -> Iterator[ReportDocument]:
    """The documents; ``notes`` gets what is recorded of each."""
    for document, inputs in changed:
        notes[document.user_id] = {**note_of(document), "inputs": inputs}
        yield document


def files_of(report: RenderedReport, note: dict[str, Any]) -> Iterator[ReportFile]:
    """The files of one student; only the family's report records the advice."""
    language, columns = note["language"], {key: value for key, value in note.items() if key != "language"}
    for page in report.pages:
        is_family = page.page == "family"
        format_: Any = page.format
        key = ReportKey(report.user_id, report.week_start, format=format_, name="report" if is_family else "teacher")
        of_page = columns if is_family else {"inputs": columns["inputs"]}
        yield ReportFile(key, page.content, renderer=report.renderer, language=language, note=of_page)


class _Recorder:
    """Records what is stored, and sums up what happened."""

    def __init__(
        self,
        postgres: PostgresResource,
        store: ObjectStore,
        *,
        week: Week,
        settings: ReportSettings,
        shard: Shard,
        dry: bool,
    ) -> None:
        self._postgres, self._store, self._week, self._settings = postgres, store, week, settings
        self._shard, self._dry = shard, dry
        self._sum = WeekResult()
        self._pending: list[Delivery] = []
        self._rendered: set[str] = set()
        self._waiting: set[str] = set()
        self._no_bucket = False

    def withhold(self, message: str) -> None:
        """Count a report whose data break the contract."""
        self._sum += WeekResult(failed=1, failures=(message,))

    def fail(self, failure: RenderFailure) -> None:
        """Count a report that could not be rendered."""
        self._sum += WeekResult(failed=1, failures=(failure.message,), missing=(row_digest(failure.user_id),))

    def skip(self) -> None:
        """Count a student who gets no report by the settings."""
        self._sum += WeekResult(silent=1)

    def record_some(self, deliveries: Sequence[Delivery]) -> None:
        """Keep deliveries, and record them once there are enough."""
        self._pending += deliveries
        if len(self._pending) >= _RECORDED_AT_ONCE:
            self.record_all(())

    def record_all(self, deliveries: Sequence[Delivery]) -> None:
        """Record these deliveries and those that are kept."""
        pending, self._pending = [*self._pending, *deliveries], []
        pending.sort(key=lambda delivery: (delivery.key.user_id, delivery.key.name, delivery.key.format))
        for delivery in pending:
            self._count(delivery)
        done = [delivery for delivery in pending if delivery.is_stored]
        if done:
            with self._transaction() as connection:
                reports, pages = record(connection, done, store=self._store)
            self._sum += WeekResult(reports=reports, pages=pages)

    def result(self, unchanged: Sequence[str], *, n_files: int, refusal: str | None) -> WeekResult:
        """The sum, after rows that are not true any more are removed."""
        settings, waiting = self._settings, len(self._waiting)
        of_teacher = len(unchanged) if "teacher" in settings.pages else 0
        self._sum += WeekResult(
            reports=nothing("report_artifacts", staged=n_files * len(unchanged)),
            pages=nothing("report_pages", staged=of_teacher),
            rendered=len(self._rendered - self._waiting),
            unchanged=len(unchanged),
            waiting=waiting,
            waiting_of=tuple(map(row_digest, sorted(self._waiting)[:NAMED_ROWS])),
            refusal=refusal,
        )
        seen = [*unchanged, *(self._rendered - self._waiting)]
        if not self._sum.is_whole:
            self._remove_untrue(seen)
        elif settings.max_users is None:
            self._remove_others(seen)
        return self._sum

    def _transaction(self) -> Any:
        return self._postgres.transaction(f"report_artifacts:{self._week.key}", is_dry_run=self._dry)

    def _count(self, delivery: Delivery) -> None:
        is_report, refusal = delivery.key.name == "report", delivery.refusal
        (self._rendered if refusal is None else self._waiting).add(delivery.key.user_id)
        self._no_bucket = self._no_bucket or (refusal is not None and refusal.code == "NoSuchBucket")
        self._sum += WeekResult(
            size_bytes=delivery.size_bytes,
            languages=(delivery.language,) if is_report else (),
            renderers=(delivery.renderer,) if is_report else (),
            urls=(self._store.url(delivery.key),) if is_report and delivery.is_stored else (),
            waiting_because=None if refusal is None else str(refusal),
        )

    def _remove_others(self, seen: Sequence[str]) -> None:
        """Remove rows of the shard's students who have no report this time."""
        shard, settings = self._shard, self._settings
        week = {"week_start": self._week.start, "seen": list(seen), **shard.parameters}
        others = f"t.week_start = :week_start AND t.{{column}} <> ALL(CAST(:seen AS text[])) AND {shard.condition('t.{column}')}"
        of_reports = f"t.format = ANY(:formats) AND {others.format(column='user_id')}"
        of_pages = f"t.page = 'teacher' AND {others.format(column='subject')}"
        teachers = list(seen) if "teacher" in settings.pages else []
        with self._transaction() as connection:
            self._sum += WeekResult(
                reports=publish_rows(connection, [], partition=of_reports, formats=list(settings.formats), **week),
                pages=publish_pages(connection, [], partition=of_pages, **{**week, "seen": teachers}),
            )

    def _remove_untrue(self, seen: Sequence[str]) -> None:
        """Remove rows of earlier runs that are not true any more: their bucket or their object is gone."""
        if self._dry:
            return
        because = self._sum.waiting_because
        if because is not None and not self._no_bucket:
            self._sum += WeekResult(unverified=because)
            return
        untrue: list[tuple[str, str]] = []
        try:
            for format_ in self._settings.formats:
                found = untrue_rows(
                    self._postgres.engine,
                    self._store,
                    week_start=self._week.start,
                    report_format=format_,
                    verified=seen,
                    shard=self._shard,
                )
                untrue += [(user_id, format_) for user_id in found]
        except ObjectStoreError as error:
            self._sum += WeekResult(unverified=str(error))
        if not untrue:
            return
        users, formats = zip(*untrue, strict=True)
        partition = (
            "t.week_start = :week_start AND (t.user_id, t.format) IN "
            "(SELECT * FROM unnest(CAST(:users AS text[]), CAST(:of AS text[])))"
        )
        of = {"week_start": self._week.start, "users": list(users), "of": list(formats)}
        with self._transaction() as connection:
            reports = publish_rows(connection, [], partition=partition, **of)
        self._sum += WeekResult(reports=reports, n_untrue=len(untrue))
