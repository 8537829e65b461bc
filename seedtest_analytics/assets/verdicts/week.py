"""The decisions of one week as rows of prediction_verdict."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import pandas as pd

from seedtest_analytics.assets.framework.json_text import finite_or_none
from seedtest_analytics.assets.framework.preview import markdown_table
from seedtest_analytics.assets.framework.report import Outcome
from seedtest_analytics.assets.framework.week_run import WeekRun, publish_week
from seedtest_analytics.assets.verdicts.checks import MODELS_SPEAK
from seedtest_analytics.assets.verdicts.evidence import ABILITIES, GOALS, RISKS, SQL, decide_for
from seedtest_analytics.database.sql_files import statement
from seedtest_analytics.stats.verification.recalibration import Decision
from seedtest_analytics.stats.verification.verdict_words import BASE_RATE, WITHHELD
from seedtest_analytics.tables.backtest import prediction_verdict

PAST = {past.prediction: past for past in (GOALS, RISKS, ABILITIES)}
SHOWN = ("prediction", "method", "students", "verdict", "slope", "n", "n_weeks", "reason")


def record_week(run: WeekRun) -> Sequence[Outcome]:
    """Publish what was decided about each prediction of the week, by the method of its numbers."""
    rows = []
    for found in run.connection.execute(statement(SQL, "methods"), {"week_start": run.week.start}).all():
        decision = decide_for(
            run.connection,
            run.week,
            past=PAST[found.prediction],
            method=found.method,
            horizon_days=found.horizon_days,
            settings=run.settings,
        )
        key = {"prediction": found.prediction, "method": found.method, "students": found.students}
        rows.append({"week_start": run.week.start, **key, **_numbers(decision)})
    columns = [column.name for column in prediction_verdict.columns if column.name != "computed_at"]
    published = publish_week(run, prediction_verdict, rows=pd.DataFrame(rows, columns=columns))
    silenced = [row for row in rows if row["verdict"] in (BASE_RATE, WITHHELD)]
    text = "; ".join(f"{row['prediction']} ({row['method']}): {row['reason']}" for row in silenced)
    said = ", ".join(f"{row['prediction']} ({row['method']}) {row['verdict']}" for row in rows)
    check = MODELS_SPEAK.judged(text or said or "nothing to decide", is_passed=not silenced)
    table = markdown_table(list(SHOWN), [[row[name] for name in SHOWN] for row in rows])
    return [run.outcome(published, {"decisions": table}, checks=[check])]


def _numbers(decision: Decision) -> dict[str, Any]:
    base = dict(zip(("base_rate", "base_lower", "base_upper"), decision.base, strict=True))
    briers = dict(zip(("brier_model", "brier_recalibrated", "brier_reference"), decision.briers, strict=True))
    return {
        "verdict": decision.verdict,
        "reason": decision.reason,
        "intercept": decision.intercept,
        "intercept_se": float(np.sqrt(decision.covariance[0])),
        "slope": decision.slope,
        "slope_se": float(np.sqrt(decision.covariance[2])),
        "week_sd": float(np.sqrt(decision.week_variance[0])),
        **{name: finite_or_none(value) for name, value in (base | briers).items()},
        "n": decision.n,
        "n_events": decision.n_events,
        "n_weeks": decision.n_weeks,
    }
