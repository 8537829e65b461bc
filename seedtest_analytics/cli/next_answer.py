"""`seedtest backtest --next-answer`: how well the model of ability and other methods predict each next answer."""

from __future__ import annotations

import datetime as dt
from collections import defaultdict
from collections.abc import Mapping
from typing import TYPE_CHECKING

import numpy as np
import typer
from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.table import Table

if TYPE_CHECKING:
    from sqlalchemy import Engine

    from seedtest_analytics.stats.ability.data import Answers, Floats
    from seedtest_analytics.stats.ability.walk import Block

COLUMNS = ("method", "AUC", "±", "log loss", "Brier", "slope", "±", "ICI")
LEGEND = (
    "AUC: 0.5 is chance. log loss, Brier: less is better. slope: 1 is ideal, below 1 too extreme. ICI: mean distance "
    "between said and seen. ±: standard error over students. Each method was fitted to the answers before each block."
)
SPLIT_LEGEND = (
    "Each half of the students is predicted by methods fitted to the other half, whose answers come first. "
    "The mixture weighs all methods by the other half's answers."
)


def print_next_answer(engine: Engine, console: Console) -> None:
    """Walk forward through the log and split it by student; print a table of each with one row for each method."""
    from seedtest_analytics.assets.psychometrics.ability.history import load_history
    from seedtest_analytics.stats.ability.errors import AbilityDataError

    with engine.begin() as connection:
        history = load_history(connection, dt.datetime.now(dt.UTC))
    if history is None:
        raise typer.BadParameter("the attempt log is empty: run `seedtest load FILE`, then `seedtest materialize`")
    try:
        forward = _forward(history.answers, console)
        new_students = _new_students(history.answers, console)
    except AbilityDataError as error:
        raise typer.BadParameter(str(error)) from None
    console.print(_table("forward in time", history.answers.take(forward.rows), probability=forward.probability))
    console.print(LEGEND, highlight=False)
    console.print(_table("new students", history.answers.take(new_students.rows), probability=new_students.probability))
    console.print(SPLIT_LEGEND, highlight=False)
    console.print("next: docs/ability.md explains the model", highlight=False)


def _forward(answers: Answers, console: Console) -> Block:
    from seedtest_analytics.stats.ability.walk import Block, walk_forward
    from seedtest_analytics.stats.verification.next_answer import PEERS

    rows: list[np.ndarray] = []
    by_method: dict[str, list[Floats]] = defaultdict(list)
    with console.status("predicting the second half of the log") as status:
        for number, block in enumerate(walk_forward(answers, peers=PEERS), start=1):
            rows.append(block.rows)
            for name, values in block.probability.items():
                by_method[name].append(values)
            status.update(f"predicting the second half of the log: block {number}, {sum(map(len, rows)):,} answers")
    return Block(np.concatenate(rows), {name: np.concatenate(parts) for name, parts in by_method.items()})


def _new_students(answers: Answers, console: Console) -> Block:
    """Each half of the students predicted by the other, and a mixture of all methods weighted by the other half."""
    from seedtest_analytics.stats.ability.walk import Block, split_by_student
    from seedtest_analytics.stats.verification.next_answer import PEERS, mixture

    with console.status("predicting each half of the students by the other"):
        folds = list(split_by_student(answers, peers=PEERS))
    rows = np.concatenate([fold.rows for fold in folds])
    found = {name: np.concatenate([fold.probability[name] for fold in folds]) for name in folds[0].probability}
    is_first = np.arange(len(rows)) < len(folds[0].rows)
    outcomes = answers.correct[rows].astype(np.float64)
    mixed = [mixture(found, outcomes, is_training=is_training) for is_training in (~is_first, is_first)]
    return Block(rows, {**found, "mixture of all": np.where(is_first, *mixed)})


def _table(split: str, tested: Answers, *, probability: Mapping[str, Floats]) -> Table:
    from seedtest_analytics.stats.verification.probabilities import score_probabilities

    title = f"the next answer, {split}: {len(tested):,} answers"
    table = Table(title=title, box=SIMPLE_HEAD, pad_edge=False, padding=(0, 1, 0, 0))
    for position, heading in enumerate(COLUMNS):
        table.add_column(heading, justify="right" if position else "left", no_wrap=True)
    correct = tested.correct.astype(float)
    baseline = np.full(len(correct), correct.mean())
    scored = {
        name: score_probabilities(values, correct, baseline=baseline, clusters=tested.student)
        for name, values in probability.items()
    }
    for name, score in sorted(scored.items(), key=lambda item: -item[1].auc):
        numbers = (score.auc, score.auc_se, score.log_score, score.brier, score.calibration_slope)
        table.add_row(name, *(f"{value:.3f}" for value in (*numbers, score.calibration_slope_se, score.ici)))
    return table
