"""KPIs: six assets that merge their own keys into `weekly_kpi`, one row for each student and week.

The four that read attempts and abilities alone are one step, which writes each row once; P and S read models, so
each is a separate step. docs/decisions/0022-kpis-in-one-write.md says why.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

import dagster as dg

from seedtest_analytics.assets.framework.declare import RunOptions, TableSpec, declared
from seedtest_analytics.assets.framework.options import overrides
from seedtest_analytics.assets.framework.preview import histogram, table_preview
from seedtest_analytics.assets.framework.report import Outcome, report, selected_assets
from seedtest_analytics.assets.framework.week_run import WeeklyStep, WeekRun
from seedtest_analytics.assets.kpis.checks import COVERAGE, SILENT_P_STAYS
from seedtest_analytics.assets.running_week import COMPLETED, STAGES, Stage, complete_rows, merge_stages
from seedtest_analytics.database.publish import Published
from seedtest_analytics.database.sql_files import statement
from seedtest_analytics.partitions import PAST_WEEKS, WEEKLY, Week
from seedtest_analytics.resources.postgres import PostgresResource
from seedtest_analytics.settings import KpiSettings, Settings, load_settings
from seedtest_analytics.tables.kpis import KPI_KEYS, weekly_kpi

PAST = ("mirt_item_params", "mirt_fit_meta", "mirt_ability", "ability_window")
"""P and theta also read the outcomes of past weeks."""
MERGE_SQL = "kpis/merge.sql"


@overrides(KpiSettings)
class KpiOptions(RunOptions):
    """Options of a KPI run."""


def _by_sql(path: str, parameters: Callable[[Week, Settings], Mapping[str, Any]]) -> Stage:
    def stage(run: WeekRun) -> None:
        own = parameters(run.week, run.settings)
        run.connection.execute(statement(path), {"as_of": run.week.as_of, **own})

    return stage


def stage_published_p(run: WeekRun) -> None:
    """Stage P, as past outcomes let it be published."""
    from seedtest_analytics.assets.kpis.goal import stage_goal_probability
    from seedtest_analytics.assets.verdicts.publish import apply_goal_verdicts

    stage_goal_probability(run)
    apply_goal_verdicts(run)


def stage_published_s(run: WeekRun) -> None:
    """Stage S, as past outcomes let it be published."""
    from seedtest_analytics.assets.churn.scores import stage_churn_risk
    from seedtest_analytics.assets.verdicts.publish import apply_risk_verdicts

    stage_churn_risk(run)
    apply_risk_verdicts(run, horizon_days=run.settings.kpis.churn_horizon_days)


_stage_improvement = _by_sql(
    "kpis/I_t.sql",
    lambda week, settings: {
        "week_start": week.start,
        "days_14": week.days_before(14),
        "days_28": week.days_before(28),
        "use_theta": settings.kpis.use_irt_theta,
        "use_states": settings.ability.method == "dynamic",
    },
)
_stage_efficiency = _by_sql(
    "kpis/E_t.sql", lambda week, _: {"days_28": week.days_before(28), "days_56": week.days_before(56)}
)
_stage_recovery = _by_sql(
    "kpis/R_t.sql", lambda week, _: {"days_28": week.days_before(28), "days_56": week.days_before(56)}
)
_stage_engagement = _by_sql("kpis/A_t.sql", lambda week, _: {"days_28": week.days_before(28)})
STAGES.update(
    I_t=_stage_improvement,
    E_t=_stage_efficiency,
    R_t=_stage_recovery,
    A_t=_stage_engagement,
    P=stage_published_p,
    S=stage_published_s,
)


def _table_spec(name: str, deps: Sequence[Any], *, code: str) -> TableSpec:
    """The asset `weekly_kpi/<name>`; ``code`` is the name of its stage."""
    keys = "\n".join(f"* `{key.name}`: {key.meaning}" for key in KPI_KEYS[name])
    return TableSpec(
        weekly_kpi,
        grain="student_week",
        key=("weekly_kpi", name),
        description=f"{KPI_KEYS[name][0].meaning}\n\nMerges its own keys into `weekly_kpi.kpis` and touches no "
        f"other:\n\n{keys}",
        checks=(COVERAGE, SILENT_P_STAYS) if name == "P" else (COVERAGE,),
        deps=deps,
        code=code,
    )


@dg.multi_asset(
    name="weekly_kpi_of_attempts",
    **declared(
        _table_spec(
            "I_t",
            ["attempt", "ability_window", "ability_state", dg.AssetDep("mirt_fit_meta", partition_mapping=PAST_WEEKS)],
            code="_stage_improvement",
        ),
        _table_spec("E_t", ["attempt"], code="_stage_efficiency"),
        _table_spec("R_t", ["attempt"], code="_stage_recovery"),
        _table_spec("A_t", ["attempt"], code="_stage_engagement"),
        group="kpis",
        partitions_def=WEEKLY,
        also_reads=COMPLETED,
        can_subset=True,
    ),
)
def weekly_kpi_of_attempts(
    context: dg.AssetExecutionContext, config: KpiOptions, *, postgres: PostgresResource
) -> Iterator[Any]:
    """Compute the KPIs that read attempts and abilities alone, and write each row once."""
    yield from _merge_keys(context, config, postgres=postgres)


@dg.multi_asset(
    name="weekly_kpi_P",
    **declared(
        _table_spec(
            "P",
            [
                "attempt",
                "interest_goal",
                *(dg.AssetDep(name, partition_mapping=PAST_WEEKS) for name in PAST),
                "ability_hyperparameters",
                "ability_state",
                "growth_brms_meta",
                "growth_prediction",
            ],
            code="stage_published_p",
        ),
        group="kpis",
        partitions_def=WEEKLY,
        also_reads=COMPLETED,
    ),
)
def weekly_kpi_p(context: dg.AssetExecutionContext, config: KpiOptions, *, postgres: PostgresResource) -> Iterator[Any]:
    """Compute P, which reads the growth fits."""
    yield from _merge_keys(context, config, postgres=postgres)


@dg.multi_asset(
    name="weekly_kpi_S",
    **declared(
        _table_spec(
            "S",
            ["attempt", "survival_fit_meta", *(dg.AssetKey(["weekly_kpi", name]) for name in ("A_t", "E_t", "R_t"))],
            code="stage_published_s",
        ),
        group="kpis",
        partitions_def=WEEKLY,
        also_reads=COMPLETED,
    ),
)
def weekly_kpi_s(context: dg.AssetExecutionContext, config: KpiOptions, *, postgres: PostgresResource) -> Iterator[Any]:
    """Compute S, which reads the churn fits and other KPIs of the row."""
    yield from _merge_keys(context, config, postgres=postgres)


def _merge_keys(context: dg.AssetExecutionContext, config: KpiOptions, *, postgres: PostgresResource) -> Iterator[Any]:
    names = [key.path[-1] for key in selected_assets(context)]
    if not context.selected_asset_keys:
        # Checks alone are selected, and they may not write.
        config = config.model_copy(update={"dry_run": True})
    settings = load_settings().overridden("kpis", config.model_dump())
    step = WeeklyStep(context, config, postgres=postgres, settings=settings, lock="weekly_kpi:{week}")
    yield from report(context, step.each_week(lambda run: compute_week(run, names)))


def compute_week(run: WeekRun, names: Sequence[str]) -> Sequence[Outcome]:
    """Compute the keys of the assets `weekly_kpi/<name>` for one week and merge them, each row once."""
    settings, week = run.settings.kpis, run.week
    since = week.days_before(max(settings.users_since_days, settings.lookback_days))
    run.connection.execute(statement("kpis/population.sql"), {"since": since, "as_of": week.as_of})
    published = merge_stages(run, {name: STAGES[name] for name in names}, is_whole=True)
    complete_rows(run, names)
    return [_outcome(run, name, published=published[name]) for name in names]


def _outcome(run: WeekRun, name: str, *, published: Published) -> Outcome:
    metadata, numbers = _week_metadata(run, name)
    text = f"{numbers:,} of {published.staged:,} students have a number"
    counts = {"students_with_a_number": numbers, "students": published.staged}
    checks = [COVERAGE.judged(text, is_passed=numbers > 0 or published.staged == 0, metadata=counts)]
    if name == "P":
        from seedtest_analytics.assets.kpis.silence import silent_p

        checks.append(silent_p(run))
    return run.outcome(published, metadata, checks=checks, key=("weekly_kpi", name))


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
