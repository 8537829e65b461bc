"""Stage `kpis`: six assets that each merge their own keys into `weekly_kpi`, one row a student and week."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import Any

import dagster as dg
from sqlalchemy import Connection

from seedtest_analytics.assets.churn.scores import stage_churn_risk
from seedtest_analytics.assets.framework.declare import RunOptions, TableSpec, table_assets
from seedtest_analytics.assets.framework.events import CheckDeclaration, CheckOutcome, Outcome
from seedtest_analytics.assets.framework.options import overrides
from seedtest_analytics.assets.framework.preview import histogram, table_preview
from seedtest_analytics.assets.framework.run_time import is_dry_run, weeks
from seedtest_analytics.assets.kpis.goal import stage_goal_probability
from seedtest_analytics.database.kpi_rows import merge_kpis
from seedtest_analytics.database.sql_files import statement
from seedtest_analytics.partitions import WEEKLY, Week
from seedtest_analytics.resources.postgres import PostgresResource
from seedtest_analytics.settings import KpiSettings, load_settings
from seedtest_analytics.tables.kpis import KPI_KEYS, weekly_kpi

MERGE_SQL = "kpis/merge.sql"
COVERAGE = CheckDeclaration(
    "coverage", "At least one student of the week has a number; none usually means a missing upstream."
)
Stage = Callable[[Connection, Week, KpiSettings], None]
STAGES: dict[str, Stage] = {}
"""What fills the temporary table staged_kpi for one week, by the name of the KPI."""


@overrides(KpiSettings)
class KpiOptions(RunOptions):
    """Options of a KPI run."""


def _kpi_asset(name: str, deps: list[Any], *, sql: list[str], stage: Stage) -> dg.AssetsDefinition:
    """The asset `weekly_kpi/<name>`; ``stage`` fills the temporary table staged_kpi for one week."""
    STAGES[name] = stage
    keys = "\n".join(f"* `{key.name}`: {key.meaning}" for key in KPI_KEYS[name])

    def body(context: dg.AssetExecutionContext, config: KpiOptions, postgres: PostgresResource) -> Iterator[Outcome]:  # noqa: PLR0917
        settings = load_settings().kpis.overridden_by(config.model_dump())
        for week in weeks(context, config):
            yield _compute_week(name, week, settings=settings, postgres=postgres, stage=stage, dry=is_dry_run(config))

    body.__name__ = f"weekly_kpi_{name}"
    return table_assets(
        TableSpec(
            weekly_kpi,
            grain="student_week",
            key=("weekly_kpi", name),
            description=f"{KPI_KEYS[name][0].meaning}\n\nMerges its own keys into `weekly_kpi.kpis` and touches no "
            f"other:\n\n{keys}",
            checks=(COVERAGE,),
        ),
        group="kpis",
        domain="kpi",
        deps=deps,
        sql=["kpis/population.sql", MERGE_SQL, *sql],
        partitions_def=WEEKLY,
    )(body)


def _compute_week(
    name: str, week: Week, *, settings: KpiSettings, postgres: PostgresResource, stage: Stage, dry: bool
) -> Outcome:
    since = week.days_before(max(settings.users_since_days, settings.lookback_days))
    with postgres.transaction(f"weekly_kpi:{week.key}", is_dry_run=dry) as connection:
        connection.execute(statement("kpis/population.sql"), {"since": since, "as_of": week.as_of})
        stage(connection, week, settings)
        published = merge_kpis(connection, name, week_start=week.start)
        metadata, numbers = _week_metadata(connection, name, week=week)
    passed = numbers > 0 or published.staged == 0
    description = f"{numbers:,} of {published.staged:,} students have a number"
    return Outcome(
        published,
        metadata,
        checks=[CheckOutcome("coverage", passed, description=description)],
        partition=week.key,
        is_dry_run=dry,
        key=("weekly_kpi", name),
    )


def _week_metadata(connection: Connection, name: str, *, week: Week) -> tuple[Mapping[str, Any], int]:
    parameters = {"key": name, "reason_key": f"{name}_reason", "week_start": week.start}
    values = connection.execute(statement(MERGE_SQL, "values"), parameters).scalars().all()
    numbers = connection.execute(statement(MERGE_SQL, "summary"), parameters).one().with_a_number
    metadata: dict[str, Any] = {
        "as_of": week.as_of.isoformat(),
        "summary": table_preview(connection, statement(MERGE_SQL, "summary"), parameters=parameters),
        "reasons": table_preview(connection, statement(MERGE_SQL, "reasons"), parameters=parameters),
    }
    if values:
        metadata["distribution"] = histogram(list(values), f"{name}, week of {week.key}", label=name)
    return metadata, numbers


def _by_sql(path: str, parameters: Callable[[Week, KpiSettings], Mapping[str, Any]]) -> Stage:
    def stage(connection: Connection, week: Week, settings: KpiSettings) -> None:  # noqa: PLR0917
        connection.execute(statement(path), {"as_of": week.as_of, **parameters(week, settings)})

    return stage


weekly_kpi_i_t = _kpi_asset(
    "I_t",
    ["attempt", "ability_window"],
    sql=["kpis/I_t.sql"],
    stage=_by_sql(
        "kpis/I_t.sql",
        lambda week, settings: {
            "week_start": week.start,
            "days_14": week.days_before(14),
            "days_28": week.days_before(28),
            "use_theta": settings.use_irt_theta,
        },
    ),
)
weekly_kpi_e_t = _kpi_asset(
    "E_t",
    ["attempt"],
    sql=["kpis/E_t.sql"],
    stage=_by_sql("kpis/E_t.sql", lambda week, _: {"days_28": week.days_before(28), "days_56": week.days_before(56)}),
)
weekly_kpi_r_t = _kpi_asset(
    "R_t",
    ["attempt"],
    sql=["kpis/R_t.sql"],
    stage=_by_sql("kpis/R_t.sql", lambda week, _: {"days_28": week.days_before(28), "days_56": week.days_before(56)}),
)
weekly_kpi_a_t = _kpi_asset(
    "A_t",
    ["attempt"],
    sql=["kpis/A_t.sql"],
    stage=_by_sql("kpis/A_t.sql", lambda week, _: {"days_28": week.days_before(28)}),
)
weekly_kpi_p = _kpi_asset(
    "P",
    ["mirt_ability", "interest_goal", "growth_prediction"],
    sql=["kpis/P.sql", "growth/goals.sql"],
    stage=stage_goal_probability,
)
weekly_kpi_s = _kpi_asset(
    "S",
    ["attempt", "survival_fit_meta", *(dg.AssetKey(["weekly_kpi", name]) for name in ("A_t", "E_t", "R_t"))],
    sql=["kpis/S.sql", "churn/panel.sql", "churn/risk.sql"],
    stage=stage_churn_risk,
)
