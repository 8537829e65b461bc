"""Reports: one report for each student and week, rendered from the `.qmd` and put into the object store."""

import datetime as dt
import hashlib
import json
import tempfile
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from typing import Any
from urllib.parse import unquote, urlsplit

import dagster as dg
from sqlalchemy import Connection, Table

from seedtest_analytics.assets.framework.checks import Check
from seedtest_analytics.assets.framework.declare import RunOptions, TableSpec, declared
from seedtest_analytics.assets.framework.options import overrides
from seedtest_analytics.assets.framework.preview import markdown_table
from seedtest_analytics.assets.framework.report import Outcome, report
from seedtest_analytics.assets.framework.run_time import is_dry_run, weeks
from seedtest_analytics.assets.report_readers import load_readers
from seedtest_analytics.database.publish import Published, publish, staged_from_frame
from seedtest_analytics.database.sql_files import statement
from seedtest_analytics.partitions import PLATFORM, WEEKLY, Week
from seedtest_analytics.reporting.document import ReportDocument, ReportDocumentError
from seedtest_analytics.reporting.family import is_silent
from seedtest_analytics.reporting.index_page import IndexRow, index_page, index_row
from seedtest_analytics.reporting.recommendations import HELP_RULES, recommendations
from seedtest_analytics.resources.object_store import ObjectStore, ObjectStoreError, ObjectStoreResource, ReportKey
from seedtest_analytics.resources.postgres import PostgresResource
from seedtest_analytics.resources.quarto.renderer import RenderedPage, RenderedReport, RenderFailure, template_folder
from seedtest_analytics.resources.quarto.resource import QuartoResource
from seedtest_analytics.settings import ReportSettings, load_settings
from seedtest_analytics.tables.reports import report_artifacts, report_pages

SQL = "reports/documents.sql"
ALL_RENDERED = Check(
    "all_rendered",
    "Every student with KPIs in the week has a report (REPORT_SILENT_STUDENTS may except those without an answer).",
)
_STREAM_ROWS = 200
_SHOWN_FAILURES = 5
_SHOWN_LINKS = 3


@overrides(ReportSettings)
class ReportOptions(RunOptions):
    """Options of a report run."""


@dataclass
class _Rendered:
    """The result of a week's rendering so far: rows of the tables, and messages of failures."""

    rows: list[dict[str, Any]] = field(default_factory=list)
    pages: list[dict[str, Any]] = field(default_factory=list)
    index: list[IndexRow] = field(default_factory=list)
    n_silent: int = 0
    """Students without an answer who get no report by the settings."""
    failures: list[str] = field(default_factory=list)
    size_bytes: int = 0
    refusal: str | None = None
    """Why the object store refused a report; the rest of the week was not tried."""


@dg.multi_asset(
    **declared(
        TableSpec(
            report_artifacts,
            grain="student_week",
            key=("weekly_report",),
            description="One self-contained report for each student and week in the reader's language, rendered from "
            "`quarto/weekly_report.qmd` and stored under `reports/{user_id}/{week_start}/report.html` (or `.pdf`). "
            "`report_artifacts` has a row for each.",
            checks=(ALL_RENDERED,),
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
        yield from _publish_week(postgres, week, settings=settings, rendered=rendered, dry=dry)
        is_worth_another_try &= rendered.refusal is None and bool(rendered.rows or rendered.failures)
        if rendered.refusal is not None:
            break
    # The finished reports are published. The run still fails, so that somebody learns of the others.
    if problems:
        # The client of the store has retried already. Retrying will not free the disk or create a missing KPI.
        raise dg.Failure("; ".join(problems), allow_retries=is_worth_another_try)


def _problem(week: Week, rendered: _Rendered) -> list[str]:
    made, failed = _n_students(rendered), len(rendered.failures)
    found = []
    if rendered.refusal is not None:
        found.append(f"{made:,} reports are stored and recorded, the others are unchanged; {rendered.refusal}")
    if failed:
        found.append(f"{failed:,} of {made + failed:,} reports could not be made; {rendered.failures[0]}")
    if not made and not found and not rendered.n_silent:
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
    notes: dict[str, dict[str, Any]] = {}
    with quarto.open(settings.parallel, pages=pages, formats=settings.formats) as renderer:
        documents = _noted(
            _documents(postgres, week, settings=settings, rendered=rendered), notes, language=settings.language
        )
        for outcome in renderer.render_many(documents):
            note = notes.pop(outcome.user_id, {})
            if isinstance(outcome, RenderFailure):
                rendered.failures.append(outcome.message)
                continue
            try:
                _store(outcome, note, store=None if dry else store, urls=store, rendered=rendered)
            except ObjectStoreError as error:
                rendered.refusal = str(error)
                break
    if rendered.index and rendered.refusal is None and settings.max_users is None:
        _store_index(week, rendered, store=store, language=settings.language, dry=dry)
    return rendered


def _store_index(week: Week, rendered: _Rendered, *, store: ObjectStore, language: str, dry: bool) -> None:
    """Store the list of the week's reports. Its links are relative, so that they hold in a folder and in a bucket."""
    style = (template_folder() / "theme.css").read_text(encoding="utf-8")
    content = index_page(week.start, rendered.index, language=language, style=style).encode()
    key = ReportKey("", week.start, name="index")
    try:
        if not dry:
            store.put(key, content)
    except ObjectStoreError as error:
        rendered.refusal = str(error)
        return
    page = RenderedPage("index", "html", content=content)
    rendered.pages.append(_page_row("", week.start, page=page, url=store.url(key), language=language))


def _store(
    outcome: RenderedReport, note: dict[str, Any], *, store: ObjectStore | None, urls: ObjectStore, rendered: _Rendered
) -> None:
    """Store a student's pages and note their rows; ``store`` None stores nothing."""
    links = list[tuple[str, str]]()
    for page in outcome.pages:
        is_family = page.page == "family"
        format_: Any = page.format
        key = ReportKey(outcome.user_id, outcome.week_start, format=format_, name="report" if is_family else "teacher")
        if store is not None:
            store.put(key, page.content)
        if is_family:
            rendered.rows.append(_row(outcome, page, url=urls.url(key), note=note))
        else:
            row = _page_row(
                outcome.user_id, outcome.week_start, page=page, url=urls.url(key), language=note.get("language", "")
            )
            rendered.pages.append(row)
        rendered.size_bytes += page.size_bytes
        links.append(("pdf" if page.format == "pdf" else page.page, f"../../{key.path}"))
    if "index" in note:
        rendered.index.append(replace(note["index"], links=tuple(links)))


def _noted(
    documents: Iterator[ReportDocument], notes: dict[str, dict[str, Any]], *, language: str
) -> Iterator[ReportDocument]:
    """The documents; ``notes`` gets what each student's rows have from the data alone. ``language`` is the index's."""
    for document in documents:
        made = recommendations(document)
        is_in_need = any(one.rule in HELP_RULES for one in made)
        notes[document.user_id] = {
            "language": document.language,
            "advice": json.dumps([one.as_json() for one in made]),
            "needs_help": is_in_need,
            "index": index_row(document, made, language=language, needs_help=is_in_need),
        }
        yield document


def _documents(
    postgres: PostgresResource, week: Week, *, settings: ReportSettings, rendered: _Rendered
) -> Iterator[ReportDocument]:
    """The week's documents in their readers' languages. One that breaks the contract is passed over, as a failure.

    They are streamed to a file without a name first: memory stays constant, and no transaction is open while reports are
    rendered.
    """
    parameters = {
        "week_start": week.start,
        "as_of": week.as_of,
        "timezone": PLATFORM.timezone,
        "max_users": settings.max_users,
    }
    streamed = postgres.engine.connect().execution_options(stream_results=True, max_row_buffer=_STREAM_ROWS)
    with tempfile.TemporaryFile() as spool, streamed as connection:
        readers = load_readers(connection, week, settings=settings)
        spool.writelines(f"{line}\n".encode() for line in connection.execute(statement(SQL), parameters).scalars())
        connection.rollback()
        spool.seek(0)
        for line in spool:
            try:
                document = readers.of(ReportDocument.from_json(line))
            except ReportDocumentError as error:
                user_id = json.loads(line)["user_id"]
                row = _row_name(user_id, week)
                rendered.failures.append(f"one report is withheld: {error}; correct the row of {row}")
                continue
            if settings.silent_students == "none" and is_silent(document):
                rendered.n_silent += 1
                continue
            yield document


def _row_name(user_id: str, week: Week) -> str:
    """A student's row of weekly_kpi as a condition that finds it, without the id."""
    digest = hashlib.md5(user_id.encode(), usedforsecurity=False).hexdigest()
    return f"weekly_kpi where week_start = '{week.start}' and md5(user_id) = '{digest}'"


def _row(report: RenderedReport, page: RenderedPage, *, url: str, note: dict[str, Any]) -> dict[str, Any]:
    return {
        "user_id": report.user_id,
        "week_start": report.week_start,
        "format": page.format,
        "url": url,
        "sha256": page.sha256,
        "size_bytes": page.size_bytes,
        "renderer": report.renderer,
        "language": note.get("language"),
        "advice": note.get("advice"),
        "needs_help": note.get("needs_help"),
    }


def _page_row(subject: str, week_start: dt.date, *, page: RenderedPage, url: str, language: str) -> dict[str, Any]:
    return {
        "page": page.page,
        "subject": subject,
        "week_start": week_start,
        "language": language,
        "url": url,
        "sha256": page.sha256,
        "size_bytes": page.size_bytes,
    }


_ROW_COLUMNS = [column.name for column in report_artifacts.columns if column.name not in ("id", "generated_at")]
_PAGE_COLUMNS = [column.name for column in report_pages.columns if column.name != "generated_at"]


def _n_students(rendered: _Rendered) -> int:
    return len({row.get("user_id", number) for number, row in enumerate(rendered.rows)})


def _publish_week(
    postgres: PostgresResource, week: Week, *, settings: ReportSettings, rendered: _Rendered, dry: bool
) -> Iterator[Outcome]:
    is_whole = settings.max_users is None and not rendered.failures and rendered.refusal is None
    partition = "t.week_start = :week_start AND t.format = ANY(:formats)" if is_whole else "false"
    parameters = {"week_start": week.start, "formats": list(settings.formats)} if is_whole else {}
    page_partition = "t.week_start = :week_start AND t.page IN ('teacher', 'index')" if is_whole else "false"
    page_parameters = {"week_start": week.start} if is_whole else {}
    with postgres.transaction(f"report_artifacts:{week.key}", is_dry_run=dry) as connection:
        published = _publish(
            connection, report_artifacts, rows=rendered.rows, columns=_ROW_COLUMNS, partition=partition, **parameters
        )
        pages = _publish(
            connection,
            report_pages,
            rows=rendered.pages,
            columns=_PAGE_COLUMNS,
            partition=page_partition,
            **page_parameters,
        )
    yield _reports_outcome(published, week, rendered=rendered, dry=dry)
    yield Outcome(pages, {}, partition=week.key, is_dry_run=dry)


def _publish(
    connection: Connection, table: Table, *, rows: list[dict[str, Any]], columns: list[str], partition: str, **of: Any
) -> Published:
    import pandas as pd

    staged = f"staged_{table.name}"
    staged_from_frame(connection, staged, table=table, frame=pd.DataFrame(rows, columns=columns))
    return publish(connection, table, staged=staged, partition=partition, parameters=of)


def _reports_outcome(published: Published, week: Week, *, rendered: _Rendered, dry: bool) -> Outcome:
    made, failed = _n_students(rendered), len(rendered.failures)
    renderers = sorted({row["renderer"] for row in rendered.rows})
    languages = sorted({str(row["language"]) for row in rendered.rows})
    summary = markdown_table(
        ["students", "failed", "files new or changed", "megabytes", "languages", "renderer", "no report: no answers"],
        [
            [
                made,
                failed,
                published.inserted + published.updated,
                rendered.size_bytes / 1e6,
                ", ".join(languages),
                ", ".join(renderers),
                rendered.n_silent,
            ]
        ],
    )
    check = ALL_RENDERED.judged(
        f"{made:,} reports, {failed:,} failed", is_passed=failed == 0, metadata={"reports": made, "failed": failed}
    )
    metadata = {"summary": summary, **_links([row["url"] for row in rendered.rows])}
    return Outcome(published, metadata, checks=[check], partition=week.key, is_dry_run=dry, key=("weekly_report",))


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
