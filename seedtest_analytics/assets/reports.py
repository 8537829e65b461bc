"""Reports: one report for each student and week, rendered from the `.qmd` and put into the object store."""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace
from typing import Any
from urllib.parse import unquote, urlsplit

import dagster as dg

from seedtest_analytics.assets.framework.checks import Check
from seedtest_analytics.assets.framework.declare import RunOptions, TableSpec, declared
from seedtest_analytics.assets.framework.options import overrides
from seedtest_analytics.assets.framework.preview import markdown_table
from seedtest_analytics.assets.framework.report import Outcome, report
from seedtest_analytics.assets.framework.run_time import is_dry_run, weeks
from seedtest_analytics.assets.framework.shards import Result, Shard, sharded_asset
from seedtest_analytics.assets.framework.untrusted import escaped
from seedtest_analytics.assets.report_index import index_file
from seedtest_analytics.assets.report_store import judge_store, record, row_names
from seedtest_analytics.assets.report_work import WeekResult, render_week, total
from seedtest_analytics.partitions import WEEKLY, Week
from seedtest_analytics.resources.object_store import ObjectStoreResource
from seedtest_analytics.resources.postgres import PostgresResource
from seedtest_analytics.resources.quarto.resource import QuartoResource
from seedtest_analytics.resources.store.base import ObjectStoreError
from seedtest_analytics.settings import ReportSettings, load_settings
from seedtest_analytics.tables.reports import report_artifacts, report_pages

ALL_RENDERED = Check(
    "all_rendered",
    "Every student with KPIs in the week has a report (REPORT_SILENT_STUDENTS may except those without an answer).",
)
ALL_STORED = Check("all_stored", "The store has every report of the week, with the digest of its row.")
NO_ORPHANS = Check("no_orphans", "Every row of report_artifacts has its object in the store, and every object its row.")


@overrides(ReportSettings)
class ReportOptions(RunOptions):
    """Options of a report run."""


def render_shard(
    context: dg.AssetExecutionContext,
    config: ReportOptions,
    *,
    shard: Shard,
    postgres: PostgresResource,
    object_store: ObjectStoreResource,
    quarto: QuartoResource,
) -> Result:
    """Render and store the reports of a shard's students in each week of the run."""
    settings = load_settings().reports.overridden_by(config.model_dump())
    done: Result = {}
    for week in weeks(context, config):
        result = render_week(
            postgres, object_store, quarto=quarto, week=week, settings=settings, shard=shard, dry=is_dry_run(config)
        )
        for message in result.failures:
            context.log.error(message)
        done[week.key] = result.as_json()
        if result.refusal is not None:
            break
    return done


@sharded_asset(
    render_shard,
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
            "attempt",
            "features_topic_daily",
            "mirt_ability",
            "student_topic_theta",
            "mirt_item_params",
            "mirt_fit_meta",
            "interest_goal",
            "ability_state",
            "ability_topic_state",
            "growth_brms_meta",
            "growth_prediction",
            "student_growth",
            "survival_fit_meta",
            "prophet_fit_meta",
            "prophet_anomalies",
            "segment_meta",
            "user_segment",
        ],
        also_reads={
            "cohort_report": "The list of the week links the pages that exist; they are made after the reports."
        },
        partitions_def=WEEKLY,
        pool="report_rendering",
        are_weeks_independent=True,
    ),
)
def weekly_report(
    context: dg.AssetExecutionContext,
    config: ReportOptions,
    *,
    results: Iterable[Result],
    postgres: PostgresResource,
    object_store: ObjectStoreResource,
) -> Iterator[Any]:
    """List and report the reports of each week of the run."""
    outcomes = _weeks(context, config, results=results, postgres=postgres, object_store=object_store)
    yield from report(context, outcomes)


def _weeks(
    context: dg.AssetExecutionContext,
    config: ReportOptions,
    *,
    results: Iterable[Result],
    postgres: PostgresResource,
    object_store: ObjectStoreResource,
) -> Iterator[Outcome]:
    settings = load_settings().reports.overridden_by(config.model_dump())
    dry = is_dry_run(config)
    shards = list(results)
    problems, is_worth_another_try = [], True
    for week in weeks(context, config):
        found = total([WeekResult.from_json(shard[week.key]) for shard in shards if week.key in shard])
        if found.made and settings.max_users is None and not dry:
            found = _with_list(found, week, settings=settings, postgres=postgres, object_store=object_store)
        problems += problem(week, found)
        yield _reports_outcome(week, found, dry=dry)
        yield Outcome(found.pages, {}, partition=week.key, is_dry_run=dry)
        is_worth_another_try &= not found.waiting and found.refusal is None and bool(found.made or found.failed)
        if found.refusal is not None:
            break
    # The finished reports are published. The run still fails, so that somebody learns of the others.
    if problems:
        # Another try would free no disk, create no missing KPI, and find the shards done. What waits on disk is stored by
        # the job upload_waiting_reports.
        raise dg.Failure("; ".join(problems), allow_retries=is_worth_another_try and len(shards) == 1)


def _with_list(
    found: WeekResult,
    week: Week,
    *,
    settings: ReportSettings,
    postgres: PostgresResource,
    object_store: ObjectStoreResource,
) -> WeekResult:
    """The week's result after its list is stored and recorded."""
    with postgres.engine.connect() as connection:
        file = index_file(connection, week, store=object_store.store(), settings=settings)
    if file is None:
        return found
    with object_store.uploads() as uploads:
        try:
            uploads.put(file)
            uploads.finish()
        except ObjectStoreError as error:
            return replace(found, refusal=found.refusal or str(error))
    (delivery,) = uploads.deliveries
    if delivery.refusal is not None:
        return found
    with postgres.transaction(f"report_artifacts:{week.key}") as connection:
        _, pages = record(connection, [delivery], store=object_store.store())
    return found + WeekResult(pages=pages)


def problem(week: Week, found: WeekResult) -> list[str]:
    """What is missing of a week's reports, and why."""
    everybody = found.made + found.failed + found.waiting
    texts = []
    if found.refusal is not None:
        texts.append(f"{found.made:,} reports are stored and recorded, the others are unchanged; {found.refusal}")
    if found.waiting:
        texts.append(
            f"{found.waiting:,} of {everybody:,} reports wait on disk until the store takes them (`seedtest report upload`, "
            f"or the job upload_waiting_reports): {row_names(found.waiting_of, week.start, total=found.waiting)}; "
            f"{found.waiting_because}{_earlier_text(found)}"
        )
    if found.failed:
        names = f" ({row_names(found.missing, week.start)})" if found.missing else ""
        texts.append(f"{found.failed:,} of {everybody:,} reports could not be made{names}; {found.failures[0]}")
    if not everybody and not texts and not found.silent:
        texts.append("no student has KPIs, so there is nothing to report; compute the KPIs first")
    return [f"week of {week.key}: {text}" for text in texts]


def _reports_outcome(week: Week, found: WeekResult, *, dry: bool) -> Outcome:
    summary = markdown_table(
        [
            "rendered",
            "unchanged",
            "waiting",
            "failed",
            "files new or changed",
            "megabytes rendered",
            "languages",
            "renderer",
            "no report: no answers",
        ],
        [
            [
                found.rendered,
                found.unchanged,
                found.waiting,
                found.failed,
                found.reports.inserted + found.reports.updated,
                found.size_bytes / 1e6,
                ", ".join(found.languages),
                ", ".join(found.renderers),
                found.silent,
            ]
        ],
    )
    counts = {"rendered": found.rendered, "unchanged": found.unchanged, "waiting": found.waiting}
    checks = [
        ALL_RENDERED.judged(
            f"{found.rendered + found.waiting:,} reports rendered, {found.unchanged:,} unchanged, {found.failed:,} failed",
            is_passed=found.failed == 0,
            metadata={**counts, "failed": found.failed},
        ),
        ALL_STORED.judged(
            f"{found.made:,} reports stored, {found.waiting:,} wait on disk{_earlier_text(found)}",
            is_passed=not found.waiting and found.refusal is None,
            metadata={"stored": found.made, "waiting": found.waiting, "rows_removed": found.n_untrue},
        ),
    ]
    metadata = {"summary": summary, **counts, **_links(found.urls)}
    return Outcome(found.reports, metadata, checks=checks, partition=week.key, is_dry_run=dry, key=("weekly_report",))


def _earlier_text(found: WeekResult) -> str:
    if found.unverified:
        return f"; earlier rows of the week are not verified: {found.unverified}"
    if found.n_untrue:
        return f"; {found.n_untrue:,} earlier rows had no object any more and were removed"
    return ""


def _links(urls: Sequence[str]) -> dict[str, dg.MetadataValue]:
    """The folder of the reports and a few of them. A key has no character that ends a link (see `ReportKey`)."""
    if not urls:
        return {}
    folder = urls[0].rpartition("/reports/")[0] + "/reports"
    examples = {f"example_{number}": _link(url) for number, url in enumerate(urls, start=1)}
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
