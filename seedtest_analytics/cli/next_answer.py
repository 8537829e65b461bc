"""`seedtest backtest --next-answer`: how well the model of ability and other methods predict each next answer."""

from __future__ import annotations

import datetime as dt
from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np
import typer
from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.table import Table

if TYPE_CHECKING:
    from sqlalchemy import Engine

    from seedtest_analytics.assets.psychometrics.ability.history import History
    from seedtest_analytics.stats.ability.data import Answers, KnownItems
    from seedtest_analytics.stats.ability.walk import Block
    from seedtest_analytics.stats.verification.resampling import Interval

HEADINGS = ("method", "AUC", "log loss", "Brier", "slope", "ICI")
LEGEND = (
    "AUC: 0.5 is chance. log loss, Brier: less is better. slope: 1 is ideal, below 1 too extreme. ICI: mean distance between "
    "said and seen. Below each: 95 % limits over students. ability knows what the platform knew when the week began and each "
    "answer since; item mean and static EAP learn from every week, regressions when hyperparameters are fitted."
)
LEFT_OUT = (
    "{weeks} not predicted: without answers, after fewer than 500, or without usable hyperparameters "
    "(check hyperparameters_usable)."
)
SPLIT_LEGEND = (
    "Each half of the students is predicted by methods fitted to the other half, whose answers come first. "
    "The mixture weighs all methods by the other half's answers."
)


def print_next_answer(engine: Engine, console: Console, *, weeks: int) -> None:
    """Walk forward through the last weeks of the log and split it by student; print a table of each, a row for each method."""
    from seedtest_analytics.assets.psychometrics.ability.history import load_history
    from seedtest_analytics.stats.ability.errors import AbilityDataError

    with engine.begin() as connection:
        history = load_history(connection, dt.datetime.now(dt.UTC))
    if history is None:
        raise typer.BadParameter("the attempt log is empty: run `seedtest load FILE`, then `seedtest materialize`")
    answers = history.answers
    try:
        mondays = _last_mondays(answers, weeks)
        blocks = _week_by_week(engine, history, mondays=mondays, console=console)
        new_students = _new_students(answers, console)
    except AbilityDataError as error:
        raise typer.BadParameter(str(error)) from None
    console.print(_table(f"week by week, {_counted(len(blocks), 'week')}", answers, predicted=_joined(blocks)))
    console.print(LEGEND, highlight=False)
    if len(blocks) < len(mondays):
        console.print(LEFT_OUT.format(weeks=_counted(len(mondays) - len(blocks), "week")), highlight=False)
    console.print(_table("new students", answers, predicted=new_students))
    console.print(SPLIT_LEGEND, highlight=False)
    console.print("next: docs/backtest.md explains how to read it", highlight=False)


def _last_mondays(answers: Answers, weeks: int) -> list[dt.date]:
    """Mondays of the last weeks up to the newest answer, not before the first one."""
    from seedtest_analytics.partitions import PLATFORM, WEEK, monday_of

    days = answers.day[[0, -1]].tolist()
    first, last = (monday_of(dt.datetime.fromtimestamp(day * 86400.0, PLATFORM.zone).date()) for day in days)
    n_weeks = min(weeks, (last - first) // WEEK + 1)
    return [last - k * WEEK for k in reversed(range(n_weeks))]


def _week_by_week(engine: Engine, history: History, *, mondays: Sequence[dt.date], console: Console) -> list[Block]:
    """The predicted answers of each week that begins on one of the Mondays."""
    from seedtest_analytics.assets.psychometrics.ability.history import day_of
    from seedtest_analytics.partitions import PLATFORM, instant_of
    from seedtest_analytics.settings import load_settings
    from seedtest_analytics.stats.ability.walk import walk_forward
    from seedtest_analytics.stats.verification.next_answer import REFITTED_PEERS, WEEKLY_PEERS

    blocks: list[Block] = []
    n_answers = 0
    with console.status("predicting week by week") as status:
        for block in walk_forward(
            history.answers,
            np.array([day_of(instant_of(monday, PLATFORM.zone)) for monday in mondays]),
            refitted=REFITTED_PEERS,
            weekly=WEEKLY_PEERS,
            items=lambda week: _known_before(mondays[week], engine, history=history),
            refit_days=load_settings().ability.refit_days,
        ):
            blocks.append(block)
            n_answers += len(block.rows)
            status.update(f"predicting week by week: {_counted(len(blocks), 'week')}, {n_answers:,} answers")
    return blocks


def _known_before(monday: dt.date, engine: Engine, *, history: History) -> KnownItems | None:
    """The items of the calibration that the platform had when the week began; None without one that the model can use."""
    from seedtest_analytics.assets.psychometrics.scale.current import scale_for
    from seedtest_analytics.partitions import PLATFORM, WEEK, week_at

    with engine.connect() as connection:
        scale = scale_for(connection, week_at(monday - WEEK, dt.datetime.now(dt.UTC), platform=PLATFORM))
    return None if scale is None or scale.has_guessing else history.known_items(scale)


def _joined(blocks: Sequence[Block]) -> Block:
    from seedtest_analytics.stats.ability.walk import Block

    found = {name: np.concatenate([block.probability[name] for block in blocks]) for name in blocks[0].probability}
    return Block(np.concatenate([block.rows for block in blocks]), found)


def _new_students(answers: Answers, console: Console) -> Block:
    """Each half of the students predicted by the other, and a mixture of all methods weighted by the other half."""
    from seedtest_analytics.stats.ability.walk import Block, split_by_student
    from seedtest_analytics.stats.verification.next_answer import PEERS, mixture

    with console.status("predicting each half of the students by the other"):
        folds = list(split_by_student(answers, peers=PEERS))
    joined = _joined(folds)
    rows, found = joined.rows, joined.probability
    is_first = np.arange(len(rows)) < len(folds[0].rows)
    outcomes = answers.correct[rows].astype(np.float64)
    mixed = [mixture(found, outcomes, is_training=is_training) for is_training in (~is_first, is_first)]
    return Block(rows, {**found, "mixture of all": np.where(is_first, *mixed)})


def _table(split: str, answers: Answers, *, predicted: Block) -> Table:
    """One row for each method, the best first; below each measure its limits."""
    from seedtest_analytics.stats.verification.resampling import MEASURES, prediction_intervals

    tested = answers.take(predicted.rows)
    students = _counted(len(np.unique(tested.student)), "student")
    title = f"the next answer, {split}: {_counted(len(tested), 'answer')} of {students}"
    # Without padding and edges the table has 79 columns.
    table = Table(title=title, box=SIMPLE_HEAD, show_edge=False, padding=0)
    for position, heading in enumerate(HEADINGS):
        table.add_column(heading, justify="right" if position else "left", no_wrap=True)
    scored = {
        name: prediction_intervals(values, tested.correct, clusters=tested.student)
        for name, values in predicted.probability.items()
    }
    for name, score in sorted(scored.items(), key=lambda item: -item[1]["auc"].value):
        table.add_row(name, *(_cell(score[measure]) for measure in MEASURES))
    return table


def _cell(interval: Interval) -> str:
    return f"{interval.value:.3f}\n{interval.lower:.3f}–{interval.upper:.3f}"


def _counted(n: int, what: str) -> str:
    return f"{n:,} {what}" if n == 1 else f"{n:,} {what}s"
