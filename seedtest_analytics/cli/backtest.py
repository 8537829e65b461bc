"""`seedtest backtest`: the table of how the predictions held."""

from __future__ import annotations

import datetime as dt
from typing import Annotated, Any

import typer
from rich.console import Console
from rich.table import Table


def backtest_command(
    weeks: Annotated[int, typer.Option(min=1, help="Weeks back from today.")] = 53,
) -> None:
    """Print how P, S, the abilities and the forecasts of past weeks met what happened."""
    from seedtest_analytics.assets.backtest_week import SQL
    from seedtest_analytics.partitions import PLATFORM
    from seedtest_analytics.resources.postgres import PostgresResource
    from seedtest_analytics.resources.sql_files import statement

    first = dt.datetime.now(PLATFORM.zone).date() - dt.timedelta(weeks=weeks)
    console = Console()
    with PostgresResource().engine.connect() as connection:
        for title, name in (("By week", "table"), ("By cohort size", "by_size")):
            result = connection.execute(statement(SQL, name), {"first_week": first})
            rows = result.all()
            if not rows:
                console.print(
                    "prediction_backtest has no rows: materialise it, for instance with `seedtest materialize`"
                )
                return
            table = Table(title=title)
            for column in result.keys():  # noqa: SIM118 (a result, not a mapping)
                table.add_column(column)
            for row in rows:
                table.add_row(*(_cell(value) for value in row))
            console.print(table)


def _cell(value: Any) -> str:
    if value is None:
        return "–"
    return f"{value:.3f}" if isinstance(value, float) else str(value)
