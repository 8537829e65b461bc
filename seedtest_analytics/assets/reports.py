"""Reports: one report for each student and week, rendered from the `.qmd` and put into the object store."""

import json
import tempfile
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import unquote, urlsplit

import dagster as dg
from sqlalchemy import Engine

from seedtest_analytics.assets.framework.checks import Check
from seedtest_analytics.assets.framework.declare import RunOptions, TableSpec, declared
from seedtest_analytics.assets.framework.options import overrides
from seedtest_analytics.assets.framework.preview import markdown_table
from seedtest_analytics.assets.framework.report import Outcome, report
from seedtest_analytics.assets.framework.run_time import is_dry_run, weeks
from seedtest_analytics.assets.framework.untrusted import escaped
from seedtest_analytics.assets.report_store import judge_store, publish_rows, row_names, row_of, untrue_rows
from seedtest_analytics.database.sql_files import statement
from seedtest_analytics.partitions import PLATFORM, WEEKLY, Week
from seedtest_analytics.reporting.document import ReportDocument, ReportDocumentError
from seedtest_analytics.resources.object_store import ObjectStoreResource
from seedtest_analytics.resources.postgres import PostgresResource
from seedtest_analytics.resources.quarto.renderer import RenderedReport, RenderFailure
from seedtest_analytics.resources.quarto.resource import QuartoResource
from seedtest_analytics.resources.store.base import ObjectStore, ObjectStoreError
from seedtest_analytics.resources.store.keys import ReportFile, ReportKey
from seedtest_analytics.resources.store.uploads import Delivery, Uploads
from seedtest_analytics.settings import ReportSettings, load_settings
from seedtest_analytics.tables.reports import report_artifacts

SQL = "reports/documents.sql"
ALL_RENDERED = Check("all_rendered", "Every student with KPIs in the week has a report.")
ALL_STORED = Check("all_stored", "The store has every report of the week, with the digest of its row.")
NO_ORPHANS = Check("no_orphans", "Every row of report_artifacts has its object in the store, and every object its row.")
LANGUAGE = "en"
"""The language that reports are written in."""
_STREAM_ROWS = 200
_SHOWN_FAILURES = 5
_SHOWN_LINKS = 3


@overrides(ReportSettings)
class ReportOptions(RunOptions):
    """Options of a report run."""


@dataclass
class _Rendered:
    """The result of a week's rendering so far: rows of report_artifacts, and messages of failures."""

    rows: list[dict[str, Any]] = field(default_factory=list)
    failures: list[str] = field(default_factory=list)
    missing: list[str] = field(default_factory=list)
    """Students whose report could not be made."""
    waiting: list[Delivery] = field(default_factory=list)
    """Reports that are on disk because the store did not take them."""
    untrue: list[str] = field(default_factory=list)
    """Students whose earlier row has no object any more."""
    unverified: str | None = None
    """Why the store does not say whether earlier rows of the week are true."""
    size_bytes: int = 0
    refusal: str | None = None
    """Why a report can be neither stored nor kept on disk; the rest of the week was not tried."""

    @property
    def is_whole(self) -> bool:
        """Every report of the week was made and stored."""
        return not self.failures and not self.waiting and self.refusal is None


@dg.multi_asset(
    **declared(
        TableSpec(
            report_artifacts,
            grain="student_week",
            key=("weekly_report",),
            description="One self-contained HTML report for each student and week, rendered from "
            "`quarto/weekly_report.qmd` and stored under `reports/{user_id}/{week_start}/report.html`. "
            "`report_artifacts` has a row for each.",
            checks=(ALL_RENDERED, ALL_STORED),
        ),
        group="reports",
        kinds=("python", "html"),
        deps=[
            *(dg.AssetKey(["weekly_kpi", name]) for name in ("I_t", "E_t", "R_t", "A_t", "P", "S")),
            "features_topic_daily",
            "mirt_ability",
            "mirt_item_params",
            "interest_goal",
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
        yield _publish_week(postgres, week, settings=settings, rendered=rendered, dry=dry)
        is_worth_another_try &= not rendered.waiting and rendered.refusal is None
        is_worth_another_try &= bool(rendered.rows or rendered.failures)
        if rendered.refusal is not None:
            break
    # The finished reports are published. The run still fails, so that somebody learns of the others.
    if problems:
        # Another try would render everything again, free no disk and create no missing KPI. What waits on disk is stored
        # by the job upload_waiting_reports.
        raise dg.Failure("; ".join(problems), allow_retries=is_worth_another_try)


def _problem(week: Week, rendered: _Rendered) -> list[str]:
    made, failed, waiting = len(rendered.rows), len(rendered.failures), len(rendered.waiting)
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
    if not total and not found:
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
    with quarto.open(settings.parallel) as renderer, object_store.uploads() as uploads:
        found = documents(postgres.engine, week, max_users=settings.max_users, withhold=rendered.failures.append)
        try:
            for outcome in renderer.render_many(found):
                if isinstance(outcome, RenderFailure):
                    rendered.failures.append(outcome.message)
                    rendered.missing.append(outcome.user_id)
                else:
                    _store(outcome, uploads, settings=settings, dry=dry)
            uploads.finish()
        except ObjectStoreError as error:
            rendered.refusal = str(error)
    deliveries = sorted(uploads.deliveries, key=lambda delivery: delivery.key.user_id)
    rendered.rows = [row_of(delivery, store) for delivery in deliveries if delivery.is_stored]
    rendered.waiting = [delivery for delivery in deliveries if not delivery.is_stored]
    rendered.size_bytes = sum(delivery.size_bytes for delivery in deliveries)
    if not dry and not rendered.is_whole:
        _look_at_earlier_rows(postgres, store, week=week, settings=settings, rendered=rendered)
    return rendered


def _store(report: RenderedReport, uploads: Uploads, *, settings: ReportSettings, dry: bool) -> None:
    key = ReportKey(report.user_id, report.week_start, format=settings.report_format)
    file = ReportFile(key, report.content, renderer=report.renderer, language=LANGUAGE)
    if dry:
        uploads.pretend(file)
    else:
        uploads.put(file)


def _look_at_earlier_rows(
    postgres: PostgresResource, store: ObjectStore, *, week: Week, settings: ReportSettings, rendered: _Rendered
) -> None:
    """Find rows of earlier runs that are not true any more: their bucket or their object is gone."""
    refusal = next((delivery.refusal for delivery in rendered.waiting), None)
    if refusal is not None and refusal.code != "NoSuchBucket":
        rendered.unverified = str(refusal)
        return
    verified = [row["user_id"] for row in rendered.rows]
    try:
        rendered.untrue = untrue_rows(
            postgres.engine, store, week_start=week.start, report_format=settings.report_format, verified=verified
        )
    except ObjectStoreError as error:
        rendered.unverified = str(error)


def documents(
    engine: Engine, week: Week, *, max_users: int | None, withhold: Callable[[str], None], user_id: str | None = None
) -> Iterator[ReportDocument]:
    """The week's documents, or that of one student. One that breaks the contract is passed over; ``withhold`` gets the reason.

    They are streamed to a file without a name first: memory stays constant, and no transaction is open while reports are
    rendered.
    """
    parameters = {
        "week_start": week.start,
        "as_of": week.as_of,
        "timezone": PLATFORM.timezone,
        "max_users": max_users,
        "user_id": user_id,
    }
    streamed = engine.connect().execution_options(stream_results=True, max_row_buffer=_STREAM_ROWS)
    with tempfile.TemporaryFile() as spool, streamed as connection:
        spool.writelines(f"{line}\n".encode() for line in connection.execute(statement(SQL), parameters).scalars())
        connection.rollback()
        spool.seek(0)
        for line in spool:
            try:
                document = ReportDocument.from_json(line)
            except ReportDocumentError as error:
                user_id = json.loads(line)["user_id"]
                withhold(f"one report is withheld: {error}; correct the row of {row_names([user_id], week.start)}")
                continue
            yield document


def _publish_week(
    postgres: PostgresResource, week: Week, *, settings: ReportSettings, rendered: _Rendered, dry: bool
) -> Outcome:
    partition = "t.week_start = :week_start AND t.format = :format"
    parameters: dict[str, Any] = {"week_start": week.start, "format": settings.report_format}
    if settings.max_users is not None or not rendered.is_whole:
        partition += " AND t.user_id = ANY(:untrue)"
        parameters["untrue"] = rendered.untrue
    with postgres.transaction(f"report_artifacts:{week.key}", is_dry_run=dry) as connection:
        published = publish_rows(connection, rendered.rows, partition=partition, **parameters)
    made, failed, waiting = len(rendered.rows), len(rendered.failures), len(rendered.waiting)
    renderers = sorted({row["renderer"] for row in rendered.rows})
    summary = markdown_table(
        ["reports", "failed", "waiting", "new or changed", "megabytes", "renderer"],
        [
            [
                made,
                failed,
                waiting,
                published.inserted + published.updated,
                rendered.size_bytes / 1e6,
                ", ".join(renderers),
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
            _stored_text(rendered),
            is_passed=not waiting and rendered.refusal is None,
            metadata={"stored": made, "waiting": waiting, "rows_removed": len(rendered.untrue)},
        ),
    ]
    metadata = {"summary": summary, **_links([row["url"] for row in rendered.rows])}
    return Outcome(published, metadata, checks=checks, partition=week.key, is_dry_run=dry, key=("weekly_report",))


def _stored_text(rendered: _Rendered) -> str:
    text = f"{len(rendered.rows):,} reports stored, {len(rendered.waiting):,} wait on disk"
    return text + _earlier_text(rendered)


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
