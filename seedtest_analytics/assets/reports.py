"""Reports: one report for each student and week, rendered from the `.qmd` and put into the object store."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from typing import Any
from urllib.parse import unquote, urlsplit

import dagster as dg

from seedtest_analytics.assets.framework.checks import Check
from seedtest_analytics.assets.framework.declare import RunOptions, TableSpec, declared
from seedtest_analytics.assets.framework.options import overrides
from seedtest_analytics.assets.framework.preview import markdown_table
from seedtest_analytics.assets.framework.report import Outcome, report
from seedtest_analytics.assets.framework.run_time import is_dry_run, weeks
from seedtest_analytics.assets.framework.untrusted import escaped
from seedtest_analytics.assets.report_documents import documents, note_of
from seedtest_analytics.assets.report_index import recorded_cohorts, relative
from seedtest_analytics.assets.report_store import (
    apart,
    judge_store,
    page_row_of,
    publish_pages,
    publish_rows,
    row_names,
    row_of,
    untrue_rows,
)
from seedtest_analytics.database.publish import Published
from seedtest_analytics.partitions import WEEKLY, Week
from seedtest_analytics.reporting.document import ReportDocument
from seedtest_analytics.reporting.index_page import CohortRow, IndexRow, index_page, index_row
from seedtest_analytics.reporting.recommendations import recommendations
from seedtest_analytics.resources.object_store import ObjectStoreResource
from seedtest_analytics.resources.postgres import PostgresResource
from seedtest_analytics.resources.quarto.renderer import RenderedReport, RenderFailure, template_folder
from seedtest_analytics.resources.quarto.resource import QuartoResource
from seedtest_analytics.resources.store.base import ObjectStore, ObjectStoreError
from seedtest_analytics.resources.store.keys import ReportFile, ReportKey
from seedtest_analytics.resources.store.uploads import Delivery
from seedtest_analytics.settings import ReportSettings, load_settings
from seedtest_analytics.tables.reports import report_artifacts, report_pages

ALL_RENDERED = Check(
    "all_rendered",
    "Every student with KPIs in the week has a report (REPORT_SILENT_STUDENTS may except those without an answer).",
)
ALL_STORED = Check("all_stored", "The store has every report of the week, with the digest of its row.")
NO_ORPHANS = Check("no_orphans", "Every row of report_artifacts has its object in the store, and every object its row.")
_SHOWN_FAILURES = 5
_SHOWN_LINKS = 3


@overrides(ReportSettings)
class ReportOptions(RunOptions):
    """Options of a report run."""


@dataclass
class _Rendered:
    """The result of a week's rendering so far: what is stored and what is not, and messages of failures."""

    stored: list[Delivery] = field(default_factory=list)
    n_silent: int = 0
    """Students without an answer who get no report by the settings."""
    failures: list[str] = field(default_factory=list)
    missing: list[str] = field(default_factory=list)
    """Students whose report could not be made."""
    waiting: list[Delivery] = field(default_factory=list)
    """Reports that are on disk because the store did not take them."""
    untrue: list[tuple[str, str]] = field(default_factory=list)
    """Students and formats whose earlier row has no object any more."""
    unverified: str | None = None
    """Why the store does not say whether earlier rows of the week are true."""
    refusal: str | None = None
    """Why a report can be neither stored nor kept on disk; the rest of the week was not tried."""

    @property
    def is_whole(self) -> bool:
        """Every report of the week was made and stored."""
        return not self.failures and not self.waiting and self.refusal is None

    def skip(self) -> None:
        """Count a student who gets no report by the settings."""
        self.n_silent += 1


@dg.multi_asset(
    **declared(
        TableSpec(
            report_artifacts,
            grain="student_week",
            key=("weekly_report",),
            description="One self-contained report for each student and week in the reader's language, rendered from "
            "`quarto/weekly_report.qmd` and stored under `reports/{user_id}/{week_start}/report.html` (or `.pdf`). "
            "`report_artifacts` has a row for each.",
            checks=(ALL_RENDERED, ALL_STORED),
        ),
        TableSpec(
            report_pages,
            grain="page",
            description="The pages of a week besides the families' reports: the teacher's page of each student, rendered "
            "from `quarto/teacher_report.qmd` and stored under `reports/{user_id}/{week_start}/teacher.html`, and the list "
            "of the week's reports under `index/{week_start}/index.html`.",
        ),
        group="reports",
        kinds=("python", "html"),
        deps=[
            *(dg.AssetKey(["weekly_kpi", name]) for name in ("I_t", "E_t", "R_t", "A_t", "P", "S")),
            "features_topic_daily",
            "mirt_ability",
            "mirt_item_params",
            "interest_goal",
            "ability_state",
            "ability_topic_state",
            "growth_prediction",
            "survival_fit_meta",
            "prophet_fit_meta",
            "prophet_anomalies",
            "user_segment",
        ],
        partitions_def=WEEKLY,
        pool="report_rendering",
    )
)
def weekly_report(
    context: dg.AssetExecutionContext,
    config: ReportOptions,
    *,
    postgres: PostgresResource,
    object_store: ObjectStoreResource,
    quarto: QuartoResource,
) -> Iterator[Any]:
    """Render and store the reports of each week of the run."""
    yield from report(context, _weeks(context, config, postgres=postgres, object_store=object_store, quarto=quarto))


def _weeks(
    context: dg.AssetExecutionContext,
    config: ReportOptions,
    *,
    postgres: PostgresResource,
    object_store: ObjectStoreResource,
    quarto: QuartoResource,
) -> Iterator[Outcome]:
    settings = load_settings().reports.overridden_by(config.model_dump())
    dry = is_dry_run(config)
    problems, is_worth_another_try = [], True
    for week in weeks(context, config):
        rendered = _render_week(postgres, object_store, quarto=quarto, week=week, settings=settings, dry=dry)
        for message in rendered.failures[:_SHOWN_FAILURES]:
            context.log.error(message)
        problems += _problem(week, rendered)
        yield from _publish_week(
            postgres, week, store=object_store.store(), settings=settings, rendered=rendered, dry=dry
        )
        is_worth_another_try &= not rendered.waiting and rendered.refusal is None
        is_worth_another_try &= bool(rendered.stored or rendered.failures)
        if rendered.refusal is not None:
            break
    # The finished reports are published. The run still fails, so that somebody learns of the others.
    if problems:
        # Another try would render everything again, free no disk and create no missing KPI. What waits on disk is stored
        # by the job upload_waiting_reports.
        raise dg.Failure("; ".join(problems), allow_retries=is_worth_another_try)


def _problem(week: Week, rendered: _Rendered) -> list[str]:
    made, failed, waiting = _n_students(rendered.stored), len(rendered.failures), _n_students(rendered.waiting)
    total = made + failed + waiting
    found = []
    if rendered.refusal is not None:
        found.append(f"{made:,} reports are stored and recorded, the others are unchanged; {rendered.refusal}")
    if waiting:
        found.append(
            f"{waiting:,} of {total:,} reports wait on disk until the store takes them (`seedtest report upload`, or the "
            f"job upload_waiting_reports): {row_names([d.key.user_id for d in rendered.waiting], week.start)}; "
            f"{rendered.waiting[0].refusal}{_earlier_text(rendered)}"
        )
    if failed:
        names = f" ({row_names(rendered.missing, week.start)})" if rendered.missing else ""
        found.append(f"{failed:,} of {total:,} reports could not be made{names}; {rendered.failures[0]}")
    if not total and not found and not rendered.n_silent:
        found.append("no student has KPIs, so there is nothing to report; compute the KPIs first")
    return [f"week of {week.key}: {text}" for text in found]


def _render_week(
    postgres: PostgresResource,
    object_store: ObjectStoreResource,
    *,
    quarto: QuartoResource,
    week: Week,
    settings: ReportSettings,
    dry: bool,
) -> _Rendered:
    rendered = _Rendered()
    store = object_store.store()
    pages = ("family", "teacher") if settings.teacher_pages else ("family",)
    notes: dict[str, tuple[dict[str, Any], IndexRow]] = {}
    index: list[IndexRow] = []
    with (
        quarto.open(settings.parallel, pages=pages, formats=settings.formats) as renderer,
        object_store.uploads() as uploads,
    ):
        found = documents(
            postgres.engine, week, settings=settings, withhold=rendered.failures.append, skip=rendered.skip
        )
        put = uploads.pretend if dry else uploads.put
        try:
            for outcome in renderer.render_many(_noted(found, notes, language=settings.language)):
                note, row = notes.pop(outcome.user_id)
                if isinstance(outcome, RenderFailure):
                    rendered.failures.append(outcome.message)
                    rendered.missing.append(outcome.user_id)
                else:
                    files = list(files_of(outcome, note))
                    for file in files:
                        put(file)
                    index.append(replace(row, links=tuple(_relative_link(file.key, store) for file in files)))
            if index and settings.max_users is None:
                cohorts = recorded_cohorts(postgres.engine, week)
                put(_index_file(week, index, language=settings.language, cohorts=cohorts))
            uploads.finish()
        except ObjectStoreError as error:
            rendered.refusal = str(error)
    deliveries = sorted(uploads.deliveries, key=lambda d: (d.key.user_id, d.key.name, d.key.format))
    rendered.stored = [delivery for delivery in deliveries if delivery.is_stored]
    rendered.waiting = [delivery for delivery in deliveries if not delivery.is_stored]
    if not dry and not rendered.is_whole:
        _look_at_earlier_rows(postgres, store, week=week, settings=settings, rendered=rendered)
    return rendered


def _noted(
    found: Iterator[ReportDocument], notes: dict[str, tuple[dict[str, Any], IndexRow]], *, language: str
) -> Iterator[ReportDocument]:
    """The documents; ``notes`` gets what is recorded of each, and its row in the list, which is in ``language``."""
    for document in found:
        note = note_of(document)
        row = index_row(document, recommendations(document), language=language, needs_help=note["needs_help"])
        notes[document.user_id] = note, row
        yield document


def _relative_link(key: ReportKey, store: ObjectStore) -> tuple[str, str]:
    """Kind and address of a file as the list links it: relative, so that it holds in a folder and in a bucket."""
    kind = "pdf" if key.format == "pdf" else "family" if key.name == "report" else key.name
    return kind, relative(store.url(key))


def _index_file(week: Week, rows: list[IndexRow], *, language: str, cohorts: Sequence[CohortRow]) -> ReportFile:
    """The list of the week's reports."""
    style = (template_folder() / "theme.css").read_text(encoding="utf-8")
    content = index_page(week.start, rows, language=language, style=style, cohorts=cohorts).encode()
    return ReportFile(ReportKey("", week.start, name="index"), content, renderer="embedded", language=language)


def files_of(report: RenderedReport, note: dict[str, Any]) -> Iterator[ReportFile]:
    """The files of one student; only the family's report records the advice."""
    language, columns = note["language"], {key: value for key, value in note.items() if key != "language"}
    for page in report.pages:
        is_family = page.page == "family"
        format_: Any = page.format
        key = ReportKey(report.user_id, report.week_start, format=format_, name="report" if is_family else "teacher")
        yield ReportFile(
            key, page.content, renderer=report.renderer, language=language, note=columns if is_family else {}
        )


def _look_at_earlier_rows(
    postgres: PostgresResource, store: ObjectStore, *, week: Week, settings: ReportSettings, rendered: _Rendered
) -> None:
    """Find rows of earlier runs that are not true any more: their bucket or their object is gone."""
    refusal = next((delivery.refusal for delivery in rendered.waiting), None)
    if refusal is not None and refusal.code != "NoSuchBucket":
        rendered.unverified = str(refusal)
        return
    reports, _ = apart(rendered.stored)
    try:
        for format_ in settings.formats:
            verified = [delivery.key.user_id for delivery in reports if delivery.key.format == format_]
            untrue = untrue_rows(
                postgres.engine, store, week_start=week.start, report_format=format_, verified=verified
            )
            rendered.untrue += [(user_id, format_) for user_id in untrue]
    except ObjectStoreError as error:
        rendered.unverified = str(error)


def _n_students(deliveries: Sequence[Delivery]) -> int:
    return len({delivery.key.user_id for delivery in apart(deliveries)[0]})


def _publish_week(
    postgres: PostgresResource,
    week: Week,
    *,
    store: ObjectStore,
    settings: ReportSettings,
    rendered: _Rendered,
    dry: bool,
) -> Iterator[Outcome]:
    reports, teachers = apart(rendered.stored)
    is_all = settings.max_users is None and rendered.is_whole
    partition = "t.week_start = :week_start AND t.format = ANY(:formats)"
    parameters: dict[str, Any] = {"week_start": week.start, "formats": list(settings.formats)}
    if not is_all:
        partition += " AND (t.user_id, t.format) IN (SELECT * FROM unnest(CAST(:users AS text[]), CAST(:of AS text[])))"
        users, formats = zip(*rendered.untrue, strict=True) if rendered.untrue else ((), ())
        parameters |= {"users": list(users), "of": list(formats)}
    of_pages: dict[str, Any] = {
        "partition": "t.week_start = :week_start AND t.page IN ('teacher', 'index')",
        "week_start": week.start,
    }
    with postgres.transaction(f"report_artifacts:{week.key}", is_dry_run=dry) as connection:
        rows = [row_of(delivery, store) for delivery in reports]
        published = publish_rows(connection, rows, partition=partition, **parameters)
        page_rows = [page_row_of(delivery, store) for delivery in teachers]
        pages = publish_pages(connection, page_rows, **(of_pages if is_all else {}))
    yield _reports_outcome(published, week, rows=rows, rendered=rendered, dry=dry)
    yield Outcome(pages, {}, partition=week.key, is_dry_run=dry)


def _reports_outcome(
    published: Published, week: Week, *, rows: list[dict[str, Any]], rendered: _Rendered, dry: bool
) -> Outcome:
    made, waiting, failed = _n_students(rendered.stored), _n_students(rendered.waiting), len(rendered.failures)
    summary = markdown_table(
        [
            "students",
            "failed",
            "waiting",
            "files new or changed",
            "megabytes",
            "languages",
            "renderer",
            "no report: no answers",
        ],
        [
            [
                made,
                failed,
                waiting,
                published.inserted + published.updated,
                sum(delivery.size_bytes for delivery in (*rendered.stored, *rendered.waiting)) / 1e6,
                ", ".join(sorted({str(row["language"]) for row in rows})),
                ", ".join(sorted({row["renderer"] for row in rows})),
                rendered.n_silent,
            ]
        ],
    )
    checks = [
        ALL_RENDERED.judged(
            f"{made + waiting:,} reports, {failed:,} failed",
            is_passed=failed == 0,
            metadata={"reports": made + waiting, "failed": failed},
        ),
        ALL_STORED.judged(
            f"{made:,} reports stored, {waiting:,} wait on disk{_earlier_text(rendered)}",
            is_passed=not waiting and rendered.refusal is None,
            metadata={"stored": made, "waiting": waiting, "rows_removed": len(rendered.untrue)},
        ),
    ]
    metadata = {"summary": summary, **_links([row["url"] for row in rows])}
    return Outcome(published, metadata, checks=checks, partition=week.key, is_dry_run=dry, key=("weekly_report",))


def _earlier_text(rendered: _Rendered) -> str:
    if rendered.unverified:
        return f"; earlier rows of the week are not verified: {rendered.unverified}"
    if rendered.untrue:
        return f"; {len(rendered.untrue):,} earlier rows had no object any more and were removed"
    return ""


def _links(urls: Sequence[str]) -> dict[str, dg.MetadataValue]:
    """The folder of the reports and a few of them. A key has no character that ends a link (see `ReportKey`)."""
    if not urls:
        return {}
    folder = urls[0].rpartition("/reports/")[0] + "/reports"
    examples = {f"example_{number}": _link(url) for number, url in enumerate(urls[:_SHOWN_LINKS], start=1)}
    return {"folder": _link(folder), **examples}


def _link(url: str) -> dg.MetadataValue:
    """A link; a path to copy for a file, because browsers follow no link from a page to a file."""
    parts = urlsplit(url)
    if parts.scheme in ("http", "https"):
        return dg.MetadataValue.url(url)
    return dg.MetadataValue.path(unquote(parts.path))


@dg.asset_check(asset="weekly_report", name=NO_ORPHANS.name, description=NO_ORPHANS.description)
def reports_without_orphans(postgres: PostgresResource, object_store: ObjectStoreResource) -> dg.AssetCheckResult:
    """Compare all rows with a listing of the store, in both directions."""
    is_passed, text = judge_store(postgres.engine, object_store.store())
    return dg.AssetCheckResult(passed=is_passed, severity=dg.AssetCheckSeverity.WARN, description=escaped(text))
