"""Growth weeks run with and without Dagster around them, and fits as rows."""

import datetime as dt
import json
import logging
from typing import Any

import dagster as dg
from sqlalchemy import Engine

from seedtest_analytics.assets.framework.report import Outcome
from seedtest_analytics.assets.growth.assets import bayesian_growth, glmm_growth
from seedtest_analytics.assets.growth.bayesian.fit import Samplers
from seedtest_analytics.assets.growth.bayesian.week import fit_bayesian_week
from seedtest_analytics.assets.growth.mixed_model.week import fit_mixed_model_week
from seedtest_analytics.assets.kpis.assets import weekly_kpi_p
from seedtest_analytics.resources.r.resource import RResource
from seedtest_analytics.resources.stan.resource import StanResource
from seedtest_analytics.settings import GlmmSettings, GrowthSettings, KpiSettings, Settings
from tests._database import execute
from tests._waits import LIMIT_SECONDS
from tests.assets._growth import LAST_WEEK, NOW, postgres_of, week_of
from tests.assets._week_runs import outcomes_of

TABLES = ("growth_brms_meta", "growth_prediction", "growth_glmm_meta", "weekly_kpi")


LAPLACE = GrowthSettings(backend="laplace", n_samples=2000)


STAN = GrowthSettings()


def samplers() -> Samplers:
    stan = StanResource.having(timeout_s=300)
    return Samplers(stan, RResource.having(timeout_seconds=LIMIT_SECONDS), log=logging.getLogger(__name__))


def fit(
    engine: Engine, settings: GrowthSettings = LAPLACE, target: float = 0.5, dry: bool = False, **week: Any
) -> list[Any]:
    """Both outcomes of a week, without Dagster's run around it."""
    all_settings = Settings(growth=settings, kpis=KpiSettings(default_target=target))
    return outcomes_of(
        engine,
        week_of(**week),
        compute=lambda run: fit_bayesian_week(run, samplers()),
        settings=all_settings,
        is_dry_run=dry,
    )


def materialise(engine: Engine, assets: list[Any], **config: Any) -> tuple[dg.ExecuteInProcessResult, str]:
    """A Dagster run over the last week, which does not raise, and everything that it logged."""
    instance = dg.DagsterInstance.ephemeral()
    names = {bayesian_growth: "bayesian_growth", glmm_growth: "glmm_growth", weekly_kpi_p: "weekly_kpi_P"}
    ops = {names[a]: {"config": {"as_of": NOW.isoformat(), **config.get(names[a], {})}} for a in assets}
    result = dg.materialize(
        assets,
        instance=instance,
        partition_key=LAST_WEEK.isoformat(),
        resources={
            "postgres": postgres_of(engine),
            "stan": StanResource(),
            "r": RResource.having(timeout_seconds=LIMIT_SECONDS),
        },
        run_config={"ops": ops},
        raise_on_error=False,
    )
    entries = instance.all_logs(result.run_id)
    messages = [entry.user_message for entry in entries]
    failures = [
        entry.dagster_event.step_failure_data.error.message
        for entry in entries
        if entry.dagster_event is not None and entry.dagster_event.is_step_failure
    ]
    return result, "\n".join([*messages, *failures])


def checks_of(result: dg.ExecuteInProcessResult) -> dict[tuple[str, str], Any]:
    found = result.get_asset_check_evaluations()
    return {(e.asset_key.to_user_string(), e.check_name): e for e in found}


BAD = json.dumps({"reasons": ["R-hat 2 above 1.01"]})


def store_fit(
    engine: Engine, week: dt.date, is_usable: bool = True, p: float = 0.9, horizon_date: dt.date = dt.date(2026, 4, 1)
) -> str:
    run_id = f"brms-{week}"
    execute(
        engine,
        "INSERT INTO growth_brms_meta (run_id, formula, diagnostics, fitted_at, week_start, is_usable, model_spec) "
        "VALUES (:run, 'f', CAST(:faults AS jsonb), :at, :week, :usable, jsonb_build_object('score_unit', 'logit'))",
        {"run": run_id, "week": week, "at": week_of(week).as_of, "usable": is_usable, "faults": BAD},
    )
    if is_usable:
        execute(
            engine,
            "INSERT INTO growth_prediction VALUES ('kim', :week, :run, 0, 1, 0.1, 0.1, 1, 0, 2, 0.4, :p, 0.5, 1, 0.2, "
            "0.2, 'default', :horizon, 'configured', 5, 50)",
            {"run": run_id, "week": week, "p": p, "horizon": horizon_date},
        )
    return run_id


def fit_glmm(engine: Engine, dry: bool = False, **settings: Any) -> list[Any]:
    """The outcomes of a week; an asset that the settings leave out has none."""
    r = RResource.having(timeout_seconds=LIMIT_SECONDS)
    found = outcomes_of(
        engine,
        week_of(),
        compute=lambda run: fit_mixed_model_week(run, r),
        settings=Settings(glmm=GlmmSettings(**settings)),
        is_dry_run=dry,
    )
    return [outcome for outcome in found if isinstance(outcome, Outcome)]
