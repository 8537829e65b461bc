"""Levels, percentiles and goals of students as rows of `student_growth`."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pandas as pd

from seedtest_analytics.assets.growth.bayesian.goals import StudentGoals
from seedtest_analytics.partitions import Week
from seedtest_analytics.stats.growth.percentiles import GrowthPercentiles
from seedtest_analytics.stats.no_result import NoResult

METHOD = "quantile regression of the level on the level before"
NO_LEVEL = "no level {weeks:g} weeks ago"
NO_ANSWER = "no answer in the last {weeks:g} weeks"
NOT_STORED = "the stored state has no earlier level: compute ability_state again"


@dataclass(frozen=True)
class Levels:
    """Columns of the statement ``levels``, each of shape (J,), and the weeks between the two levels."""

    frame: pd.DataFrame
    weeks: float

    @property
    def has_two(self) -> np.ndarray:
        """Both levels are known."""
        return np.array(self.frame["earlier_level"].notna(), dtype=np.bool_)

    @property
    def is_compared(self) -> np.ndarray:
        """Students with two levels and an answer in between: growth without an answer is not known."""
        compared = np.array(self.frame["has_answered"] == 1, dtype=np.bool_)
        compared[~self.has_two] = False
        return compared

    def column(self, name: str) -> np.ndarray:
        """A column of the students with two levels."""
        return np.array(self.frame.loc[self.has_two, name], dtype=np.float64)


def growth_rows(
    levels: Levels, found: GrowthPercentiles | NoResult, *, goals: StudentGoals, week: Week, days_to_goal: np.ndarray
) -> pd.DataFrame:
    """One row for each student of the week's states. ``found`` belongs to the students with two levels."""
    frame, compared = levels.frame, levels.is_compared
    level = frame["level"].to_numpy(np.float64)
    gain = level - frame["earlier_level"].to_numpy(np.float64)
    distance = goals.level - level
    # A goal that is due today has one day left.
    needed = np.maximum(distance, 0.0) / (np.maximum(days_to_goal, 1.0) / 7)
    rows = pd.DataFrame(
        {
            "user_id": frame["user_id"],
            "week_start": week.start,
            "weeks": levels.weeks,
            "level": level,
            "earlier_level": frame["earlier_level"],
            "pace": gain / levels.weeks,
            "pace_se": frame["gain_se"] / levels.weeks,
            "target": goals.level,
            "target_source": np.where(goals.is_own, "interest_goal", "default"),
            "horizon_date": goals.horizon_date.astype("datetime64[D]").astype(str),
            "horizon_source": goals.horizon_source,
            "distance": distance,
            "needed_pace": needed,
            "reason": _reasons(levels, found),
            "fitted_at": frame["fitted_at"],
            "run_id": frame["run_id"],
        }
    )
    unknown = np.full(len(frame), np.nan)
    for name in ("percentile", "percentile_lower", "percentile_upper", "typical_pace", "needed_percentile"):
        rows[name] = unknown
    rows["n_reference"], rows["method"] = 0, METHOD
    if isinstance(found, NoResult):
        return rows
    inside = compared[levels.has_two]
    for name, values in (("percentile", found.percentile), ("percentile_lower", found.lower)):
        rows.loc[compared, name] = values[inside]
    rows.loc[compared, "percentile_upper"] = found.upper[inside]
    # From here on students grow as those did who started at their level.
    rows["typical_pace"] = (found.curves.typical(level) - level) / levels.weeks
    rows["needed_percentile"] = found.curves.percentile(level, level + needed * levels.weeks)
    rows["n_reference"] = found.curves.n_students
    return rows


def _reasons(levels: Levels, found: GrowthPercentiles | NoResult) -> np.ndarray:
    """Why a student has no percentile; None for those who have one."""
    if not np.isfinite(levels.weeks):
        return np.full(len(levels.frame), NOT_STORED, dtype=object)
    reasons = np.full(len(levels.frame), found.reason if isinstance(found, NoResult) else None, dtype=object)
    reasons[~levels.is_compared] = NO_ANSWER.format(weeks=levels.weeks)
    reasons[~levels.has_two] = NO_LEVEL.format(weeks=levels.weeks)
    return reasons
