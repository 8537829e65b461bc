"""`seedtest goal-probability` and `seedtest goal-calibration`: P of one student, and how well P is calibrated."""

from __future__ import annotations

import json
from enum import StrEnum
from typing import Annotated, Any

import typer
from rich.console import Console
from rich.table import Table

from seedtest_analytics.cli.dates import parse_day
from seedtest_analytics.cli.home import command
from seedtest_analytics.cli.migrate import migrated_engine

SQL = "growth/calibration.sql"


class GoalEvent(StrEnum):
    """What is at the target in the goal's week."""

    score = "score"
    level = "level"


MEANING = {
    GoalEvent.score: "probability: a score of the goal's week is at the target or above; lower to upper: the student's "
    "own chance, with probability {interval:.0%}; uncertainty: SD of that score",
    GoalEvent.level: "probability: the level, without the noise of a week, is at the target or above; lower to upper: "
    "what more students in the fit could change, with probability {interval:.0%}; uncertainty: SD of the level",
}


def goal_probability_command(
    current_score: Annotated[float, typer.Option(help="Current level of the student, in the unit of the fit.")],
    trend: Annotated[float, typer.Option(help="Gain per week.")],
    *,
    weeks_remaining: Annotated[float, typer.Option(help="Weeks until the goal is due.")],
    target_score: Annotated[float, typer.Option(help="Level to reach.")],
    credible_interval: Annotated[float, typer.Option(help="Probability of the interval, e.g. 0.95.")] = 0.95,
    week: Annotated[
        str | None, typer.Option(metavar="DATE", help="Monday of the fit to use; default: the newest usable one.")
    ] = None,
    event: Annotated[
        GoalEvent, typer.Option(help="'score': a weekly score reaches the target; 'level': the student's line does.")
    ] = GoalEvent.score,
) -> None:
    """Print the probability that a student reaches a target, from the growth fit of the cohort, as JSON."""
    from seedtest_analytics.assets.growth.bayesian.draws import NoGrowthFitError, stored_fit
    from seedtest_analytics.stats.growth.goal import goal_probability

    monday = parse_day(week, "--week")
    try:
        with migrated_engine().connect() as connection:
            fit = stored_fit(connection, monday)
        answer = goal_probability(
            current_score,
            trend,
            weeks_remaining=weeks_remaining,
            target_score=target_score,
            credible_interval=credible_interval,
            posterior=fit.posterior,
            event=event.value,
        )
    except (NoGrowthFitError, ValueError) as error:
        raise typer.BadParameter(str(error)) from None
    console = Console(stderr=True, emoji=False)
    console.print(
        f"growth fit {fit.run_id} of the week of {fit.week_start}, scores in {fit.score_unit}", highlight=False
    )
    typer.echo(json.dumps(answer))
    console.print(MEANING[event].format(interval=credible_interval), highlight=False)
    console.print(f"next: {command('goal-calibration')} shows how reliable P is", highlight=False)


def goal_calibration_command() -> None:
    """Print how P compares with the goals that simulated students reached."""
    import pandas as pd

    from seedtest_analytics.database.sql_files import statement

    with migrated_engine().connect() as connection:
        if not connection.execute(statement(SQL, "has_truth")).scalar_one():
            raise typer.BadParameter(
                "the database contains no simulated cohort; run `seedtest simulate --load` and "
                "`seedtest materialize` first"
            )
        result = connection.execute(statement(SQL, "pairs"))
        pairs = pd.DataFrame(result.all(), columns=list(result.keys()))
    if pairs.empty:
        raise typer.BadParameter("growth_prediction contains no simulated student; run `seedtest materialize` first")
    console = Console(emoji=False)
    for (week, run_id), rows in pairs.groupby(["week_start", "run_id"]):
        _print_scores(console, f"week of {week}, {run_id}", rows=rows)
    console.print("next: docs/growth.md explains the numbers", highlight=False)


def _print_scores(console: Console, title: str, *, rows: Any) -> None:
    from seedtest_analytics.stats.verification.probabilities import score_probabilities

    score = score_probabilities(rows["p"], rows["is_reached"])
    inside = rows["true_level"].between(rows["projected_lower"], rows["projected_upper"])
    table = Table(title=title, title_justify="left")
    for heading in ("students", "mean P", "reached", "Brier", "Brier of the share", "AUC", "slope", "ICI"):
        table.add_column(heading, justify="right")
    values = (
        score.predicted_share,
        score.observed_share,
        score.brier,
        score.brier_baseline,
        score.auc,
        score.calibration_slope,
        score.ici,
    )
    table.add_row(f"{score.n:,}", *(f"{value:.3f}" for value in values))
    console.print(table)
    console.print(f"95 % intervals of the projected level contain {inside.mean():.1%} of the true levels")
    curve = Table("mean P", "reached", "95 % limits", "students")
    groups = zip(
        score.curve.predicted,
        score.curve.observed,
        score.curve.observed_lower,
        score.curve.observed_upper,
        score.curve.n,
        strict=True,
    )
    for predicted, observed, lower, upper, n in groups:
        curve.add_row(f"{predicted:.3f}", f"{observed:.3f}", f"{lower:.3f} – {upper:.3f}", str(n))
    console.print(curve)
