"""`seedtest backtest`: one table per prediction, scored against outcomes, each 80 columns wide at most."""

from __future__ import annotations

import datetime as dt
from collections.abc import Sequence
from itertools import groupby
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.table import Table

from seedtest_analytics.cli.migrate import migrated_engine

if TYPE_CHECKING:
    from sqlalchemy import RowMapping

# Headings and columns of `prediction_backtest` (by week) and of its sums (by cohort size).
PROBABILITY = {
    "week": "week_start",
    "n": "n",
    "said": "predicted_share",
    "seen": "observed_share",
    "Brier": "brier",
    "base": "brier_baseline",
    "skill": "brier_skill",
    "slope": "calibration_slope",
    "ICI": "ici",
    "AUC": "auc",
    "ok": "is_credible",
}
QUANTITY = {
    "week": "week_start",
    "n": "n",
    "error": "mae",
    "naive error": "mae_baseline",
    "inside": "coverage",
    "should be": "coverage_level",
    "ok": "is_credible",
}
PROBABILITY_BY_SIZE = {
    "students": "cohort",
    "weeks": "weeks",
    "n": "predictions",
    "Brier": "brier",
    "skill": "brier_skill",
    "log skill": "log_skill",
    "AUC": "auc",
    "weeks not ok": "weeks_not_credible",
}
QUANTITY_BY_SIZE = {
    "students": "cohort",
    "weeks": "weeks",
    "n": "predictions",
    "skill": "mae_skill",
    "inside": "coverage",
    "weeks not ok": "weeks_not_credible",
}
_DIGITS = {"ici": 2, "auc": 2}
"""Digits; other columns have three. Fewer digits keep a table within 80 columns."""
LEGEND = (
    "said, seen: mean prediction and share of events. base: Brier score of the baseline. skill: above 0 beats the baseline. "
    "slope: 1 is ideal, below 1 too extreme. ok: no if chance does not explain the difference."
)


def backtest_command(
    weeks: Annotated[
        int, typer.Option(min=1, help="Weeks to look back from today; with --next-answer from the newest answer.")
    ] = 53,
    *,
    next_answer: Annotated[
        bool,
        typer.Option("--next-answer", help="Predict every answer of these weeks, week by week, beside other methods."),
    ] = False,
) -> None:
    """Print how predictions of past weeks (P, S, abilities, forecasts) compare with outcomes."""
    if next_answer:
        from seedtest_analytics.cli.next_answer import print_next_answer

        print_next_answer(migrated_engine(), Console(emoji=False), weeks=weeks)
        return
    from seedtest_analytics.assets.backtest.judges import SQL
    from seedtest_analytics.database.sql_files import statement
    from seedtest_analytics.partitions import PLATFORM

    first = dt.datetime.now(PLATFORM.zone).date() - dt.timedelta(weeks=weeks)
    console = Console(emoji=False)
    with migrated_engine().connect() as connection:
        by_week, by_size = (
            connection.execute(statement(SQL, name), {"first_week": first}).mappings().all()
            for name in ("table", "by_size")
        )
    if not by_week:
        console.print("prediction_backtest has no rows: run `seedtest materialize`", soft_wrap=True)
        return
    _print(console, "by week", rows=by_week, probability=PROBABILITY, quantity=QUANTITY)
    _print(console, "by cohort size", rows=by_size, probability=PROBABILITY_BY_SIZE, quantity=QUANTITY_BY_SIZE)
    console.print(LEGEND, highlight=False)
    console.print("next: docs/backtest.md explains how to read it", highlight=False)


def _print(
    console: Console, title: str, *, rows: Sequence[RowMapping], probability: dict[str, str], quantity: dict[str, str]
) -> None:
    for prediction, group in groupby(rows, key=lambda row: row["prediction"]):
        columns = quantity if str(prediction).startswith("forecast") else probability
        table = Table(title=f"{prediction}, {title}", box=SIMPLE_HEAD, pad_edge=False, padding=(0, 1, 0, 0))
        for heading in columns:
            table.add_column(heading, justify="right", no_wrap=True)
        for row in group:
            table.add_row(*(_cell(row[column], _DIGITS.get(column, 3)) for column in columns.values()))
        console.print(table)


def _cell(value: Any, digits: int) -> str:
    if value is None:
        return "–"
    if isinstance(value, bool):
        return "yes" if value else "no"
    return f"{value:.{digits}f}" if isinstance(value, float) else str(value)
