"""The hyperparameters of a week: those of a recent fit, or fitted again from there."""

from __future__ import annotations

import datetime as dt
import json
from dataclasses import asdict, dataclass, fields
from typing import Any

import pandas as pd

from seedtest_analytics.assets.framework.week_run import WeekRun
from seedtest_analytics.assets.psychometrics.statements import ABILITY
from seedtest_analytics.database.sql_files import statement
from seedtest_analytics.stats.ability.data import Answers, KnownItems
from seedtest_analytics.stats.ability.fitting import HyperparameterFit, fit_hyperparameters, still_serves
from seedtest_analytics.stats.ability.hyperparameters import Hyperparameters

NAMES = frozenset(field.name for field in fields(Hyperparameters))


@dataclass(frozen=True)
class WeekHyperparameters:
    """Hyperparameters as ``ability_hyperparameters`` stores them; ``fit_week`` is the week that they were fitted in."""

    hyperparameters: Hyperparameters
    fit_week: dt.date
    log_likelihood: float
    baseline_log_likelihood: float
    n_answers: int
    n_students: int
    is_usable: bool
    reasons: tuple[str, ...]
    warnings: tuple[str, ...]

    def row(self, week_start: dt.date, *, is_calibrated: bool) -> pd.DataFrame:
        """One row of the table."""
        return pd.DataFrame(
            {
                "week_start": [week_start],
                "fit_week": [self.fit_week],
                "hyperparameters": [json.dumps(asdict(self.hyperparameters))],
                "log_likelihood": [self.log_likelihood],
                "baseline_log_likelihood": [self.baseline_log_likelihood],
                "n_answers": [self.n_answers],
                "n_students": [self.n_students],
                "is_calibrated": [is_calibrated],
                "is_usable": [self.is_usable],
                "reasons": [json.dumps(self.reasons)],
                "warnings": [json.dumps(self.warnings)],
            }
        )


def values_of(stored: dict[str, Any]) -> Hyperparameters:
    """Stored hyperparameters; those that an earlier release did not know have their defaults."""
    return Hyperparameters(**{name: float(value) for name, value in stored.items() if name in NAMES})


def earlier_fit(run: WeekRun, *, is_calibrated: bool) -> WeekHyperparameters | None:
    """The newest usable hyperparameters of an earlier week; None if there are none."""
    parameters = {"week_start": run.week.start, "is_calibrated": is_calibrated}
    row = run.connection.execute(statement(ABILITY, "earlier_fit"), parameters).mappings().one_or_none()
    if row is None:
        return None
    stored = dict(row)
    return WeekHyperparameters(
        values_of(stored.pop("hyperparameters")),
        is_usable=True,
        reasons=tuple(stored.pop("reasons")),
        warnings=tuple(stored.pop("warnings")),
        **stored,
    )


def choose_hyperparameters(
    run: WeekRun, answers: Answers, *, items: KnownItems | None, earlier: WeekHyperparameters | None
) -> WeekHyperparameters:
    """The earlier fit while it is younger than ABILITY_REFIT_DAYS and the answers are not many more; else a new one that
    starts there.

    If the new fit is not usable, the earlier one goes on and says so. No transaction needs to be open.
    """
    week = run.week.start
    if earlier is not None:
        age, refit_days = (week - earlier.fit_week).days, run.settings.ability.refit_days
        if still_serves(earlier.n_answers, age_days=age, n_answers=len(answers), refit_days=refit_days):
            return earlier
    fit = fit_hyperparameters(answers, items=items, start=None if earlier is None else earlier.hyperparameters)
    if fit.verdict.is_usable or earlier is None:
        return _of_fit(fit, week)
    run.warn(f"hyperparameters of {earlier.fit_week} stay, because the new fit is not usable: {_listed(fit)}")
    return earlier


def _of_fit(fit: HyperparameterFit, week: dt.date) -> WeekHyperparameters:
    return WeekHyperparameters(
        fit.hyperparameters,
        fit_week=week,
        log_likelihood=fit.log_likelihood,
        baseline_log_likelihood=fit.baseline_log_likelihood,
        n_answers=fit.n_answers,
        n_students=fit.n_students,
        is_usable=fit.verdict.is_usable,
        reasons=fit.verdict.reasons,
        warnings=fit.verdict.warnings,
    )


def _listed(fit: HyperparameterFit) -> str:
    return "; ".join(fit.verdict.reasons)
