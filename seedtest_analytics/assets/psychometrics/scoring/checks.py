"""Evidence for the abilities of a week: the scale is stable, and the abilities predict the next answers."""

from __future__ import annotations

import datetime as dt
import math
from typing import Any

from sqlalchemy import Connection

from seedtest_analytics.assets.framework.checks import CheckOutcome
from seedtest_analytics.assets.psychometrics.checks import SCALE_STABLE
from seedtest_analytics.assets.psychometrics.statements import OUTCOMES, SCALE
from seedtest_analytics.database.read import copy_to_arrow
from seedtest_analytics.database.sql_files import statement
from seedtest_analytics.partitions import WEEK, Week
from seedtest_analytics.stats.verification.probabilities import score_probabilities

MAX_MEAN_SHIFT_LOGIT = 0.3
"""A cohort gains at most a tenth of a logit a week. Three times that is a change of the scale."""
MAX_SD_RATIO = 1.25
CHANCE = 3.0
"""A difference within this many standard errors is chance."""


def scale_stability(connection: Connection, week: Week) -> CheckOutcome:
    """Mean and SD of θ against the week before."""
    before = week.start - WEEK
    rows = connection.execute(
        statement(SCALE, "ability_moments"), {"first_week": before, "last_week": week.start}
    ).mappings()
    by_week: dict[dt.date, Any] = {row["week_start"]: row for row in rows}
    if before not in by_week or week.start not in by_week:
        missing = before if before not in by_week else week.start
        return SCALE_STABLE.passed(f"nothing to compare: the week of {missing} has no abilities")
    return judge_stability(by_week[before], by_week[week.start])


def judge_stability(old: Any, new: Any) -> CheckOutcome:
    """Compare two rows (n, mean, sd). The limits widen for few students, where chance is larger."""
    shift = new["mean"] - old["mean"]
    shift_limit = max(MAX_MEAN_SHIFT_LOGIT, CHANCE * math.sqrt(old["sd"] ** 2 / old["n"] + new["sd"] ** 2 / new["n"]))
    is_fine = abs(shift) <= shift_limit
    text = f"mean θ {old['mean']:.3f} → {new['mean']:.3f} (limit ±{shift_limit:.2f})"
    metadata = {"mean_shift_logit": shift, "mean_shift_limit_logit": shift_limit}
    if min(old["sd"], new["sd"]) > 0:
        log_ratio = math.log(new["sd"] / old["sd"])
        # SE of a log SD is 1 / sqrt(2 n) for normal abilities.
        ratio_limit = max(math.log(MAX_SD_RATIO), CHANCE * math.sqrt(1 / (2 * old["n"]) + 1 / (2 * new["n"])))
        is_fine = is_fine and abs(log_ratio) <= ratio_limit
        text += f", SD {old['sd']:.3f} → {new['sd']:.3f} (limit ratio {math.exp(ratio_limit):.2f})"
        metadata |= {"sd_ratio": math.exp(log_ratio), "sd_ratio_limit": math.exp(ratio_limit)}
    return SCALE_STABLE.judged(text, is_passed=is_fine, metadata=metadata)


def next_answer_scores(connection: Connection, week: Week) -> dict[str, Any]:
    """Log loss of the previous week's θ on this week's first answers, beside the item's base rate in the calibration.

    The answers after this week are unknown at its as-of instant, so the week before is scored.
    """
    before = week.start - WEEK
    of_one_week = {"first_week": before, "last_week": before, "known_by": week.start + WEEK, "timezone": week.timezone}
    connection.execute(statement(OUTCOMES, "next_answers"), {**of_one_week, "method": None, "stride": 1})
    rows = copy_to_arrow(connection, statement(OUTCOMES, "rows"), dictionaries=("user_id",))
    connection.execute(statement(OUTCOMES, "drop_outcome"))
    if rows.num_rows == 0:
        return {"next_answers": 0}

    columns = (rows[name].to_numpy().astype(float) for name in ("predicted", "happened", "baseline"))
    predicted, happened, baseline = columns
    users = rows["user_id"].combine_chunks().indices.to_numpy()
    score = score_probabilities(predicted, happened, baseline=baseline, clusters=users)
    return {
        "next_answers": rows.num_rows,
        "next_answer_log_loss": score.log_score,
        "next_answer_log_loss_of_base_rate": score.log_score_baseline,
        "next_answer_log_skill": score.log_skill,
    }
