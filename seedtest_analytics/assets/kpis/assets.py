"""KPIs: six assets that each merge their own keys into `weekly_kpi`, one row for each student and week."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

import dagster as dg

from seedtest_analytics.assets.framework.declare import RunOptions, TableSpec, declared
from seedtest_analytics.assets.framework.options import overrides
from seedtest_analytics.assets.framework.preview import histogram, table_preview
from seedtest_analytics.assets.framework.report import Outcome, report
from seedtest_analytics.assets.framework.week_run import WeeklyStep, WeekRun
from seedtest_analytics.assets.kpis.checks import COVERAGE
from seedtest_analytics.assets.running_week import STAGES, Stage, complete_rows, merge_stage
from seedtest_analytics.database.sql_files import statement
from seedtest_analytics.partitions import WEEKLY, Week
from seedtest_analytics.resources.postgres import PostgresResource
from seedtest_analytics.settings import KpiSettings, Settings, load_settings
from seedtest_analytics.tables.kpis import KPI_KEYS, weekly_kpi

MERGE_SQL = "kpis/merge.sql"


@overrides(KpiSettings)
class KpiOptions(RunOptions):
    """Options of a KPI run."""


def _kpi_asset(name: str, deps: list[Any], *, stage: Stage) -> dg.AssetsDefinition:
    """The asset `weekly_kpi/<name>`."""
    STAGES[name] = stage
    keys = "\n".join(f"* `{key.name}`: {key.meaning}" for key in KPI_KEYS[name])

    @dg.multi_asset(
        name=f"weekly_kpi_{name}",
        **declared(
            TableSpec(
                weekly_kpi,
                grain="student_week",
                key=("weekly_kpi", name),
                description=f"{KPI_KEYS[name][0].meaning}\n\nMerges its own keys into `weekly_kpi.kpis` and touches no "
                f"other:\n\n{keys}",
                checks=(COVERAGE,),
            ),
            group="kpis",
            deps=deps,
            partitions_def=WEEKLY,
        ),
    )
    def merge_keys(
        context: dg.AssetExecutionContext, config: KpiOptions, *, postgres: PostgresResource
    ) -> Iterator[Any]:
        settings = load_settings().overridden("kpis", config.model_dump())
        step = WeeklyStep(context, config, postgres=postgres, settings=settings, lock="weekly_kpi:{week}")
        yield from report(context, step.each_week(lambda run: compute_week(run, name)))

    return merge_keys


def compute_week(run: WeekRun, name: str) -> Sequence[Outcome]:
    """Compute the keys of `weekly_kpi/<name>` for one week and merge them."""
    settings, week = run.settings.kpis, run.week
    since = week.days_before(max(settings.users_since_days, settings.lookback_days))
    run.connection.execute(statement("kpis/population.sql"), {"since": since, "as_of": week.as_of})
    published = merge_stage(run, name, stage=STAGES[name], is_whole=True)
    complete_rows(run, [name])
    metadata, numbers = _week_metadata(run, name)
    text = f"{numbers:,} of {published.staged:,} students have a number"
    counts = {"students_with_a_number": numbers, "students": published.staged}
    check = COVERAGE.judged(text, is_passed=numbers > 0 or published.staged == 0, metadata=counts)
    return [run.outcome(published, metadata, checks=[check], key=("weekly_kpi", name))]


def _week_metadata(run: WeekRun, name: str) -> tuple[Mapping[str, Any], int]:
    connection = run.connection
    parameters = {"key": name, "reason_key": f"{name}_reason", "week_start": run.week.start}
    values = connection.execute(statement(MERGE_SQL, "values"), parameters).scalars().all()
    numbers = connection.execute(statement(MERGE_SQL, "summary"), parameters).one().with_a_number
    metadata: dict[str, Any] = {
        "as_of": run.week.as_of.isoformat(),
        "summary": table_preview(connection, statement(MERGE_SQL, "summary"), parameters=parameters),
        "reasons": table_preview(connection, statement(MERGE_SQL, "reasons"), parameters=parameters),
    }
    if values:
        metadata["distribution"] = histogram(list(values), name, label=name)
    return metadata, numbers


def _by_sql(path: str, parameters: Callable[[Week, Settings], Mapping[str, Any]]) -> Stage:
    def stage(run: WeekRun) -> None:
        own = parameters(run.week, run.settings)
        run.connection.execute(statement(path), {"as_of": run.week.as_of, **own})

    return stage


def _stage_goal_probability(run: WeekRun) -> None:
    from seedtest_analytics.assets.kpis.goal import stage_goal_probability

    stage_goal_probability(run)


def _stage_churn_risk(run: WeekRun) -> None:
    from seedtest_analytics.assets.churn.scores import stage_churn_risk

    stage_churn_risk(run)


weekly_kpi_i_t = _kpi_asset(
    "I_t",
    ["attempt", "ability_window", "ability_state"],
    stage=_by_sql(
        "kpis/I_t.sql",
        lambda week, settings: {
            "week_start": week.start,
            "days_14": week.days_before(14),
            "days_28": week.days_before(28),
            "use_theta": settings.kpis.use_irt_theta,
            "use_states": settings.ability.method == "dynamic",
        },
    ),
)
weekly_kpi_e_t = _kpi_asset(
    "E_t",
    ["attempt"],
    stage=_by_sql("kpis/E_t.sql", lambda week, _: {"days_28": week.days_before(28), "days_56": week.days_before(56)}),
)
weekly_kpi_r_t = _kpi_asset(
    "R_t",
    ["attempt"],
    stage=_by_sql("kpis/R_t.sql", lambda week, _: {"days_28": week.days_before(28), "days_56": week.days_before(56)}),
)
weekly_kpi_a_t = _kpi_asset(
    "A_t", ["attempt"], stage=_by_sql("kpis/A_t.sql", lambda week, _: {"days_28": week.days_before(28)})
)
weekly_kpi_p = _kpi_asset(
    "P", ["mirt_ability", "ability_state", "interest_goal", "growth_prediction"], stage=_stage_goal_probability
)
weekly_kpi_s = _kpi_asset(
    "S",
    ["attempt", "survival_fit_meta", *(dg.AssetKey(["weekly_kpi", name]) for name in ("A_t", "E_t", "R_t"))],
    stage=_stage_churn_risk,
)
