"""Reports: one report for each student and week, rendered from the `.qmd` and put into the object store."""

import hashlib
import json
import tempfile
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import unquote, urlsplit

import dagster as dg

from seedtest_analytics.assets.framework.checks import Check
from seedtest_analytics.assets.framework.declare import RunOptions, TableSpec, declared
from seedtest_analytics.assets.framework.options import overrides
from seedtest_analytics.assets.framework.preview import markdown_table
from seedtest_analytics.assets.framework.report import Outcome, report
from seedtest_analytics.assets.framework.run_time import is_dry_run, weeks
from seedtest_analytics.database.publish import Published, publish, staged_from_frame
from seedtest_analytics.database.sql_files import statement
from seedtest_analytics.partitions import PLATFORM, WEEKLY, Week
from seedtest_analytics.reporting.document import ReportDocument, ReportDocumentError
from seedtest_analytics.resources.object_store import ObjectStoreError, ObjectStoreResource, ReportKey
from seedtest_analytics.resources.postgres import PostgresResource
from seedtest_analytics.resources.quarto.renderer import RenderedReport, RenderFailure
from seedtest_analytics.resources.quarto.resource import QuartoResource
from seedtest_analytics.settings import ReportSettings, load_settings
from seedtest_analytics.tables.reports import report_artifacts

SQL = "reports/documents.sql"
ALL_RENDERED = Check("all_rendered", "Every student with KPIs in the week has a report.")
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
    size_bytes: int = 0
    refusal: str | None = None
    """Why the object store refused a report; the rest of the week was not tried."""


@dg.multi_asset(
    **declared(
        TableSpec(
            report_artifacts,
            grain="student_week",
            key=("weekly_report",),
            description="One self-contained HTML report for each student and week, rendered from "
            "`quarto/weekly_report.qmd` and stored under `reports/{user_id}/{week_start}/report.html`. "
            "`report_artifacts` has a row for each.",
            checks=(ALL_RENDERED,),
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
        is_worth_another_try &= rendered.refusal is None and bool(rendered.rows or rendered.failures)
        if rendered.refusal is not None:
            break
    # The finished reports are published. The run still fails, so that somebody learns of the others.
    if problems:
        # The client of the store has retried already. Retrying will not free the disk or create a missing KPI.
        raise dg.Failure("; ".join(problems), allow_retries=is_worth_another_try)


def _problem(week: Week, rendered: _Rendered) -> list[str]:
    made, failed = len(rendered.rows), len(rendered.failures)
    found = []
    if rendered.refusal is not None:
        found.append(f"{made:,} reports are stored and recorded, the others are unchanged; {rendered.refusal}")
    if failed:
        found.append(f"{failed:,} of {made + failed:,} reports could not be made; {rendered.failures[0]}")
    if not made and not found:
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
    with quarto.open(settings.parallel) as renderer:
        documents = _documents(postgres, week, settings=settings, withhold=rendered.failures.append)
        for outcome in renderer.render_many(documents):
            if isinstance(outcome, RenderFailure):
                rendered.failures.append(outcome.message)
                continue
            key = ReportKey(outcome.user_id, week.start, format=settings.report_format)
            try:
                if not dry:
                    store.put(key, outcome.content)
            except ObjectStoreError as error:
                rendered.refusal = str(error)
                break
            rendered.rows.append(_row(outcome, store.url(key), format_=settings.report_format))
            rendered.size_bytes += outcome.size_bytes
    return rendered


def _documents(
    postgres: PostgresResource, week: Week, *, settings: ReportSettings, withhold: Callable[[str], None]
) -> Iterator[ReportDocument]:
    """The week's documents. One that breaks the contract is passed over; ``withhold`` gets the reason.

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
        spool.writelines(f"{line}\n".encode() for line in connection.execute(statement(SQL), parameters).scalars())
        connection.rollback()
        spool.seek(0)
        for line in spool:
            try:
                document = ReportDocument.from_json(line)
            except ReportDocumentError as error:
                user_id = json.loads(line)["user_id"]
                withhold(f"one report is withheld: {error}; correct the row of {_row_name(user_id, week)}")
                continue
            yield document


def _row_name(user_id: str, week: Week) -> str:
    """A student's row of weekly_kpi as a condition that finds it, without the id."""
    digest = hashlib.md5(user_id.encode(), usedforsecurity=False).hexdigest()
    return f"weekly_kpi where week_start = '{week.start}' and md5(user_id) = '{digest}'"


def _row(report: RenderedReport, url: str, *, format_: str) -> dict[str, Any]:
    return {
        "user_id": report.user_id,
        "week_start": report.week_start,
        "format": format_,
        "url": url,
        "sha256": report.sha256,
        "size_bytes": report.size_bytes,
        "renderer": report.renderer,
    }


def _publish_week(
    postgres: PostgresResource, week: Week, *, settings: ReportSettings, rendered: _Rendered, dry: bool
) -> Outcome:
    import pandas as pd

    columns = ["user_id", "week_start", "format", "url", "sha256", "size_bytes", "renderer"]
    is_whole = settings.max_users is None and not rendered.failures and rendered.refusal is None
    partition = "t.week_start = :week_start AND t.format = :format" if is_whole else "false"
    parameters = {"week_start": week.start, "format": settings.report_format} if is_whole else {}
    with postgres.transaction(f"report_artifacts:{week.key}", is_dry_run=dry) as connection:
        staged_from_frame(
            connection, "staged_report", table=report_artifacts, frame=pd.DataFrame(rendered.rows, columns=columns)
        )
        published: Published = publish(
            connection, report_artifacts, staged="staged_report", partition=partition, parameters=parameters
        )
    made, failed = len(rendered.rows), len(rendered.failures)
    renderers = sorted({row["renderer"] for row in rendered.rows})
    summary = markdown_table(
        ["reports", "failed", "new or changed", "megabytes", "renderer"],
        [[made, failed, published.inserted + published.updated, rendered.size_bytes / 1e6, ", ".join(renderers)]],
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
