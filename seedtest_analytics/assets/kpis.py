"""Stage `kpis`: six assets that each merge their own keys into `weekly_kpi`, one row a student and week."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping
from typing import TYPE_CHECKING, Any

import dagster as dg
from sqlalchemy import Connection

from seedtest_analytics.assets.declare import RunOptions, TableSpec, table_assets
from seedtest_analytics.assets.events import CheckDeclaration, CheckOutcome, Outcome
from seedtest_analytics.assets.preview import histogram, table_preview
from seedtest_analytics.assets.time import is_dry_run, weeks
from seedtest_analytics.partitions import WEEKLY, Week
from seedtest_analytics.resources.kpi_rows import merge_kpis
from seedtest_analytics.resources.postgres import PostgresResource
from seedtest_analytics.resources.publish import copy_frame, create_staging
from seedtest_analytics.resources.sql_files import statement
from seedtest_analytics.settings import KpiSettings, load_settings
from seedtest_analytics.tables.kpis import KPI_KEYS, weekly_kpi

if TYPE_CHECKING:
    import pandas as pd

MERGE_SQL = "kpis/merge.sql"
COVERAGE = CheckDeclaration(
    "coverage", "At least one student of the week has a number; none usually means a missing upstream."
)
Stage = Callable[[Connection, Week, KpiSettings], None]
STAGES: dict[str, Stage] = {}
"""What fills the temporary table staged_kpi for one week, by the name of the KPI."""


class KpiOptions(RunOptions):
    """Options of a KPI run; each overrides its environment variable."""

    use_irt_theta: bool | None = None
    default_target: float | None = None
    churn_horizon_days: int | None = None


def _kpi_asset(name: str, deps: list[Any], sql: list[str], stage: Stage) -> dg.AssetsDefinition:
    """The asset `weekly_kpi/<name>`; ``stage`` fills the temporary table staged_kpi for one week."""
    STAGES[name] = stage
    keys = "\n".join(f"* `{key.name}`: {key.meaning}" for key in KPI_KEYS[name])

    def body(
        context: dg.AssetExecutionContext, config: KpiOptions, postgres: PostgresResource
    ) -> Iterator[Outcome]:
        settings = load_settings().kpis.overridden_by(config.model_dump())
        for week in weeks(context, config):
            yield _compute_week(name, week, settings, postgres, stage, is_dry_run(config))

    body.__name__ = f"weekly_kpi_{name}"
    return table_assets(
        TableSpec(
            weekly_kpi,
            grain="student_week",
            key=("weekly_kpi", name),
            description=f"{KPI_KEYS[name][0].meaning}\n\nMerges its own keys into `weekly_kpi.kpis` and touches no other:\n\n{keys}",
            checks=(COVERAGE,),
        ),
        group="kpis",
        domain="kpi",
        deps=deps,
        sql=["kpis/population.sql", MERGE_SQL, *sql],
        partitions_def=WEEKLY,
    )(body)


def _compute_week(
    name: str, week: Week, settings: KpiSettings, postgres: PostgresResource, stage: Stage, dry: bool
) -> Outcome:
    since = week.days_before(max(settings.users_since_days, settings.lookback_days))
    with postgres.transaction(f"weekly_kpi:{week.key}", is_dry_run=dry) as connection:
        connection.execute(statement("kpis/population.sql"), {"since": since, "as_of": week.as_of})
        stage(connection, week, settings)
        published = merge_kpis(connection, name, week.start)
        metadata, numbers = _week_metadata(connection, name, week)
    passed = numbers > 0 or published.staged == 0
    description = f"{numbers:,} of {published.staged:,} students have a number"
    return Outcome(
        published,
        metadata,
        [CheckOutcome("coverage", passed, description)],
        week.key,
        dry,
        key=("weekly_kpi", name),
    )


def _week_metadata(connection: Connection, name: str, week: Week) -> tuple[Mapping[str, Any], int]:
    parameters = {"key": name, "reason_key": f"{name}_reason", "week_start": week.start}
    values = connection.execute(statement(MERGE_SQL, "values"), parameters).scalars().all()
    metadata: dict[str, Any] = {
        "as_of": week.as_of.isoformat(),
        "summary": table_preview(connection, statement(MERGE_SQL, "summary"), parameters),
        "reasons": table_preview(connection, statement(MERGE_SQL, "reasons"), parameters),
    }
    if values:
        metadata["distribution"] = histogram(list(values), f"{name}, week of {week.key}", name)
    return metadata, len(values)


def _by_sql(path: str, parameters: Callable[[Week, KpiSettings], Mapping[str, Any]]) -> Stage:
    def stage(connection: Connection, week: Week, settings: KpiSettings) -> None:
        connection.execute(statement(path), {"as_of": week.as_of, **parameters(week, settings)})

    return stage


def _stage_goal_probability(connection: Connection, week: Week, settings: KpiSettings) -> None:
    """P by the Normal approximation from the newest ability at as_of."""
    import pandas as pd

    parameters = {"week_start": week.start, "as_of": week.as_of, "default_target": settings.default_target}
    result = connection.execute(statement("kpis/P.sql", "load"), parameters)
    frame = goal_rows(pd.DataFrame(result.all(), columns=list(result.keys())))
    create_staging(connection, "staged_kpi", {"user_id": "text", "kpis": "jsonb"})
    copy_frame(connection, "staged_kpi", frame)


def goal_rows(loaded: pd.DataFrame) -> pd.DataFrame:
    """Columns user_id and kpis (JSON text) from the rows that ``kpis/P.sql`` loads."""
    import pandas as pd

    from seedtest_analytics.stats.kpi.goal import normal_goal_probability

    mean, sd, target = (loaded[c].astype("float64").to_numpy() for c in ("theta", "se", "target"))
    probability = normal_goal_probability(mean, sd, target)
    rows = zip(
        loaded["user_id"],
        mean,
        sd,
        loaded["n_answers"],
        target,
        loaded["target_source"],
        probability,
        strict=True,
    )
    return pd.DataFrame({"user_id": loaded["user_id"], "kpis": [_goal_keys(*row[1:]) for row in rows]})


def _goal_keys(mean: float, sd: float, n_answers: Any, target: float, source: str, probability: float) -> str:
    common = {"P_target": target, "P_target_source": source}
    if probability != probability:  # NaN: there is no ability yet
        return json.dumps({"P": None, "P_reason": "no ability is known yet", **common})
    known = {"P": float(probability), "sigma": float(sd), "P_method": "normal", **common}
    return json.dumps(
        {**known, "theta": float(mean), "ability_estimate": float(mean), "theta_n_answers": int(n_answers)}
    )


weekly_kpi_i_t = _kpi_asset(
    "I_t",
    ["attempt", "ability_window"],
    ["kpis/I_t.sql"],
    _by_sql(
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
    ["kpis/E_t.sql"],
    _by_sql(
        "kpis/E_t.sql", lambda week, _: {"days_28": week.days_before(28), "days_56": week.days_before(56)}
    ),
)
weekly_kpi_r_t = _kpi_asset(
    "R_t",
    ["attempt"],
    ["kpis/R_t.sql"],
    _by_sql(
        "kpis/R_t.sql", lambda week, _: {"days_28": week.days_before(28), "days_56": week.days_before(56)}
    ),
)
weekly_kpi_a_t = _kpi_asset(
    "A_t",
    ["attempt"],
    ["kpis/A_t.sql"],
    _by_sql("kpis/A_t.sql", lambda week, _: {"days_28": week.days_before(28)}),
)
weekly_kpi_p = _kpi_asset("P", ["mirt_ability", "interest_goal"], ["kpis/P.sql"], _stage_goal_probability)
weekly_kpi_s = _kpi_asset(
    "S",
    ["attempt"],
    ["kpis/S.sql"],
    _by_sql(
        "kpis/S.sql",
        lambda week, settings: {
            "days_56": week.days_before(56),
            "since": week.days_before(max(settings.users_since_days, settings.lookback_days)),
            "horizon_days": settings.churn_horizon_days,
        },
    ),
)
