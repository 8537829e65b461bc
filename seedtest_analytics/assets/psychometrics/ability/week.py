"""Ability over time as of one week: all answers, one pass of the filter, and the smoother."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import pandas as pd

from seedtest_analytics.assets.framework.checks import CheckOutcome
from seedtest_analytics.assets.framework.preview import histogram
from seedtest_analytics.assets.framework.report import Outcome
from seedtest_analytics.assets.framework.week_run import WeekRun, empty_rows, publish_week
from seedtest_analytics.assets.psychometrics.ability.history import History, day_of, load_history
from seedtest_analytics.assets.psychometrics.ability.hyperparameters import (
    WeekHyperparameters,
    choose_hyperparameters,
    earlier_fit,
)
from seedtest_analytics.assets.psychometrics.ability.rows import days_of, level_rows, named_topics, topic_rows
from seedtest_analytics.assets.psychometrics.checks import HYPERPARAMETERS_USABLE, SILENT_STAY
from seedtest_analytics.assets.psychometrics.scale.current import Scale, scale_for
from seedtest_analytics.assets.psychometrics.statements import ABILITY
from seedtest_analytics.assets.psychometrics.windows import WINDOW_DAYS
from seedtest_analytics.database.sql_files import statement
from seedtest_analytics.partitions import WEEK
from seedtest_analytics.stats.ability.evidence import Evidence
from seedtest_analytics.stats.ability.filtering import gather_evidence
from seedtest_analytics.stats.ability.smoothing import change_between, smooth
from seedtest_analytics.stats.ability.topic_success import next_in_topic
from seedtest_analytics.stats.verification.probabilities import score_probabilities
from seedtest_analytics.tables import ability as tables

MOVED_LOGIT = 0.3
"""A level that moves by more than this without an answer is a changed scale."""
MOVED_SHARE = 0.05
RECENT_DAYS = 28
"""Days whose predictions of the next answer are scored, and whose questions stand for a topic."""


@dataclass(frozen=True, eq=False)
class WeekState:
    """Rows of the three tables, and what the pass says about itself."""

    hyperparameters: pd.DataFrame
    levels: pd.DataFrame
    topics: pd.DataFrame
    verdict: CheckOutcome
    scores: Mapping[str, Any]


def compute_state(run: WeekRun) -> Sequence[Outcome]:
    """Compute and publish the states of one week."""
    scale = scale_for(run.connection, run.week)
    state = _state_with(run, scale)
    fits = publish_week(run, tables.ability_hyperparameters, rows=state.hyperparameters)
    levels = publish_week(run, tables.ability_state, rows=state.levels)
    topics = publish_week(run, tables.ability_topic_state, rows=state.topics)
    metadata: dict[str, Any] = {"calibration": scale.run_id if scale else "none", **state.scores}
    if len(state.levels):
        level = state.levels["level"]
        title = f"Level of {len(level):,} students: mean {level.mean():.2f}, SD {level.std(ddof=0):.2f}"
        metadata["level"] = histogram(level.tolist(), title, label="level (logit)")
    return (
        run.outcome(fits, state.scores, checks=[state.verdict]),
        run.outcome(levels, metadata, checks=[_silent(run)]),
        run.outcome(topics, {"topic_abilities": len(state.topics)}),
    )


def _state_with(run: WeekRun, scale: Scale | None) -> WeekState:
    if scale is not None and scale.has_guessing:
        reason = f"not computed: calibration {scale.run_id} has lower asymptotes (3PL), which the model does not know"
        return _nothing(HYPERPARAMETERS_USABLE.passed(reason))
    history = load_history(run.connection, run.week.as_of)
    if history is None:
        return _nothing(HYPERPARAMETERS_USABLE.passed("not computed: there are no answers"))
    return _state(run, history, scale=scale)


def _state(run: WeekRun, history: History, *, scale: Scale | None) -> WeekState:
    items = history.known_items(scale)
    if items is None:
        # A calibration of rare items without a pool does not carry the scale.
        scale = None
    earlier = earlier_fit(run, is_calibrated=scale is not None)
    with run.without_transaction():
        chosen = choose_hyperparameters(run, history.answers, items=items, earlier=earlier)
        if not chosen.is_usable:
            return _unusable(run, chosen, is_calibrated=scale is not None)
        end, lately = day_of(run.week.as_of), days_of(run.week, before=RECENT_DAYS)
        n_recent = int((history.answers.day >= lately).sum())
        evidence = gather_evidence(history.answers, chosen.hyperparameters, items=items, n_predicted=n_recent)
        earlier_end = days_of(run.week, before=run.settings.ability.growth_weeks * 7)
        smoothed = smooth(evidence, [earlier_end, end], topic_weeks=False)
        recent, previous = days_of(run.week, before=WINDOW_DAYS), days_of(run.week, before=2 * WINDOW_DAYS)
        change = change_between(evidence, (previous, recent), recent=(recent, end))
        gain = change_between(evidence, (earlier_end - 1, earlier_end), recent=(end - 1, end))
        scores = _next_answer_scores(evidence)
        days = max(run.settings.kpis.users_since_days, run.settings.calibration.days_to_score)
        present = history.newest >= days_of(run.week, before=days)
        topics = named_topics(smoothed.topics, history=history, present=present)
        next_right = next_in_topic(evidence, topics, day=end, since=lately)
    run_id = scale.run_id if scale else None
    return WeekState(
        chosen.row(run.week.start, is_calibrated=scale is not None),
        level_rows(
            smoothed.levels,
            change,
            gain=gain,
            earlier_at=run.week.days_before(run.settings.ability.growth_weeks * 7),
            history=history,
            week=run.week,
            present=present,
            run_id=run_id,
        ),
        topics=topic_rows(topics, next_right, history=history, week=run.week, run_id=run_id),
        verdict=_verdict(chosen),
        scores={**scores, "hyperparameters_of": chosen.fit_week.isoformat()},
    )


def _verdict(chosen: WeekHyperparameters) -> CheckOutcome:
    gain = chosen.log_likelihood - chosen.baseline_log_likelihood
    text = f"fit of {chosen.fit_week}: {gain:+.3f} nats an answer against the item's share of right answers"
    notes = "; ".join((*chosen.reasons, *chosen.warnings))
    numbers = {"gain_nats": gain, "fitted_answers": chosen.n_answers, "fitted_students": chosen.n_students}
    return HYPERPARAMETERS_USABLE.judged(
        f"{text}; {notes}" if notes else text, is_passed=chosen.is_usable, metadata=numbers
    )


def _next_answer_scores(evidence: Evidence) -> dict[str, Any]:
    """How the predictions made before each recent answer compare with the answers."""
    answers = evidence.answers.take(slice(len(evidence.answers) - len(evidence.probability), None))
    correct = answers.correct.astype(float)
    if not 0 < correct.sum() < len(correct):
        return {"next_answers": len(correct)}
    score = score_probabilities(
        evidence.probability, correct, baseline=np.full(len(correct), correct.mean()), clusters=answers.student
    )
    return {"next_answers": len(correct), "next_answer_auc": score.auc, "next_answer_log_loss": score.log_score}


def _silent(run: WeekRun) -> CheckOutcome:
    parameters = {"week_start": run.week.start, "week_before": run.week.start - WEEK, "moved_limit": MOVED_LOGIT}
    found = run.connection.execute(statement(ABILITY, "silent"), parameters).one()
    if not found.students:
        return SILENT_STAY.passed("nobody to compare: nobody was silent, or the week before has another calibration")
    text = f"{found.moved:,} of {found.students:,} silent students moved by more than {MOVED_LOGIT} logits"
    numbers = {"silent": found.students, "moved": found.moved, "largest_move_logit": found.largest}
    return SILENT_STAY.judged(text, is_passed=found.moved <= MOVED_SHARE * found.students, metadata=numbers)


def _nothing(verdict: CheckOutcome) -> WeekState:
    return WeekState(
        empty_rows(tables.ability_hyperparameters),
        empty_rows(tables.ability_state),
        topics=empty_rows(tables.ability_topic_state),
        verdict=verdict,
        scores={},
    )


def _unusable(run: WeekRun, chosen: WeekHyperparameters, *, is_calibrated: bool) -> WeekState:
    run.warn(f"no ability over time: {'; '.join(chosen.reasons)}")
    row = chosen.row(run.week.start, is_calibrated=is_calibrated)
    return replace(_nothing(_verdict(chosen)), hyperparameters=row)
