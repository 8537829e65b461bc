"""Configuration of a simulated cohort. Every number of the population is a field."""

from __future__ import annotations

import datetime as dt
from collections.abc import Sequence
from dataclasses import dataclass
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

import numpy as np

from seedtest_analytics.stats.checks import count, number, numbers

CELL_STUDENTS = 512
"""Students drawn from one random stream. A cell is always drawn whole, so block size and n_students do not matter."""

MODELS = ("2PL", "3PL")
SLUMP_WEEKS_AGO = 4
LARGEST_LOGIT = 100.0
WHOLE_FIELDS = (
    ("n_students", 1, 10_000_000),
    ("n_weeks", 1, 520),
    ("seed", 0, 2**63 - 1),
    ("n_topics", 1, 1000),
    ("items_per_topic", 1, 1000),
    ("n_organisations", 0, 1_000_000),
    ("n_classrooms", 0, 1_000_000),
    ("n_drifting_items", 0, 1_000_000),
    ("drift_weeks", 0, 520),
)
REAL_FIELDS = (
    *((f"{name}_sd_logit", 0.0, LARGEST_LOGIT) for name in ("ability", "growth", "week", "topic")),
    *((f"{name}_logit", -LARGEST_LOGIT, LARGEST_LOGIT) for name in ("growth_mean", "repeat_gain", "drift", "slump")),
    ("growth_correlation", -1.0, 1.0),
    ("sessions_per_week", 0.0, 1000.0),
    ("questions_per_session", 0.0, 1000.0),
)
"""Fields with the least and the largest value."""
_FIRST_DAY, _LAST_DAY = dt.date(1910, 1, 1), dt.date(2199, 12, 31)


class SimulationError(ValueError):
    """An impossible cohort. The message has the field, its value and the allowed values."""


@dataclass(frozen=True)
class CohortConfig:
    """A population, its items and its habits.

    Abilities are logits on the true scale of the item bank (D = 1): θ = intercept + slope · week + noise, plus a
    deviation for each topic.

    Attributes:
        n_students, n_weeks, seed: size, and the seed of all randomness.
        until: last day that may have an attempt, in ``timezone``. The last week is the last full ISO week by then.
        timezone: IANA zone of days, weeks and hours.
        n_topics, items_per_topic: the item bank.
        model: ``2PL``, or ``3PL`` with guessing.
        ability_sd_logit: SD of the intercepts (mean 0).
        growth_mean_logit, growth_sd_logit: slopes per week.
        growth_correlation: of intercept and slope.
        week_sd_logit: SD of a week's ability around the student's line.
        topic_sd_logit: SD of a student's deviation in a topic.
        repeat_gain_logit: gain in ability at an item met before.
        sessions_per_week: mean for an active student of mean engagement.
        questions_per_session: mean. A session has 1 to 40 questions and at most 55 minutes.
        share_never_started, share_late: students without any attempt; students who start after the first week.
        stop_hazard, return_hazard: weekly, at mean engagement and ability 0. Half of the stops are final.
        share_repeated: questions that repeat an earlier one of the student, in addition to chance repeats.
        share_unanswered, share_time_missing: questions without an answer; without a recorded time.
        share_corrected: sessions with a later correction of a wrong answer.
        share_with_goal: students with at least one goal.
        includes_part_week: the last week is the one of ``until``, full or not.
        has_hostile_rows: faulty exams and malformed log rows are added.
        activity: sessions of the kinds of students relative to the mean. Student n is of kind n modulo their number.
        growth_logit: gain per week of the kinds, in addition to the growth above.
        n_organisations, n_classrooms: groups of students; 0 for none. Classrooms belong to organisations in turn.
        n_drifting_items, drift_logit, drift_weeks: items that are not anchors and whose difficulty moves by
            ``drift_logit`` in the last weeks.
        slump_logit: loss of ability in the first topic, SLUMP_WEEKS_AGO weeks before the last one.

    Raises:
        SimulationError: for a field out of its range; the message names it.
    """

    n_students: int
    n_weeks: int
    seed: int
    until: dt.date
    timezone: str = "UTC"
    n_topics: int = 8
    items_per_topic: int = 50
    model: str = "2PL"
    ability_sd_logit: float = 1.0
    growth_mean_logit: float = 0.03
    growth_sd_logit: float = 0.02
    growth_correlation: float = -0.2
    week_sd_logit: float = 0.15
    topic_sd_logit: float = 0.35
    repeat_gain_logit: float = 0.3
    sessions_per_week: float = 2.0
    questions_per_session: float = 10.0
    share_never_started: float = 0.04
    share_late: float = 0.25
    stop_hazard: float = 0.04
    return_hazard: float = 0.10
    share_repeated: float = 0.08
    share_unanswered: float = 0.02
    share_time_missing: float = 0.02
    share_corrected: float = 0.01
    share_with_goal: float = 0.7
    includes_part_week: bool = False
    has_hostile_rows: bool = True
    activity: Sequence[float] = (1.0,)
    growth_logit: Sequence[float] = (0.0,)
    n_organisations: int = 0
    n_classrooms: int = 0
    n_drifting_items: int = 0
    drift_logit: float = -1.5
    drift_weeks: int = 5
    slump_logit: float = 0.0

    def __post_init__(self) -> None:
        self._check_kinds()
        for name, lowest, highest in WHOLE_FIELDS:
            value = getattr(self, name)
            if not lowest <= number(value, name, error=SimulationError) <= highest:
                raise SimulationError(f"{name} = {value} is not allowed; use {lowest:,} to {highest:,}")
            count(value, name, high=2**63, error=SimulationError)
        if self.n_classrooms and not self.n_organisations:
            raise SimulationError(
                f"n_classrooms = {self.n_classrooms} needs organisations; use n_organisations = 1 or more, or no classrooms"
            )
        if type(self.until) is not dt.date or not _FIRST_DAY <= self.until <= _LAST_DAY:
            raise SimulationError(f"until = {self.until} is not allowed; use {_FIRST_DAY} to {_LAST_DAY}")
        for name in (n for n in self.__dataclass_fields__ if n.startswith("share_") or n.endswith("_hazard")):
            if not 0 <= number(getattr(self, name), name, error=SimulationError) < 1:
                raise SimulationError(f"{name} = {getattr(self, name)} is not allowed; use at least 0 and less than 1")
        for name, least, largest in REAL_FIELDS:
            number(getattr(self, name), name, low=least, high=largest, error=SimulationError)
        if self.model not in MODELS:
            raise SimulationError(f"model = {self.model!r} is not allowed; use {' or '.join(MODELS)}")
        try:
            ZoneInfo(self.timezone)
        except (ZoneInfoNotFoundError, ValueError):
            raise SimulationError(f"timezone = {self.timezone!r} is not allowed; use one such as Asia/Seoul") from None

    def _check_kinds(self) -> None:
        for name in ("activity", "growth_logit"):  # JSON has lists
            kinds = numbers(getattr(self, name), name, low=-LARGEST_LOGIT, high=LARGEST_LOGIT, error=SimulationError)
            if len(kinds) == 0 or (name == "activity" and (kinds < 0).any()):
                raise SimulationError(f"{name} = {getattr(self, name)} is not allowed; use at least one number from 0")
            object.__setattr__(self, name, tuple(getattr(self, name)))

    @property
    def name(self) -> str:
        """Prefix of the user and session ids of the cohort; another seed is another cohort."""
        return f"sim{self.seed}"

    @property
    def n_items(self) -> int:
        """Number of items in all topics."""
        return self.n_topics * self.items_per_topic

    @property
    def first_item_id(self) -> int:
        """Item ids follow this one. Cohorts with different seeds share no item (up to seed 9,000)."""
        return 1_000_000 * (1 + self.seed % 9_000)

    @property
    def first_monday(self) -> dt.date:
        """Monday of the first week."""
        if self.includes_part_week:
            return self.until - dt.timedelta(days=self.until.weekday() + 7 * (self.n_weeks - 1))
        last_sunday = self.until - dt.timedelta(days=self.until.isoweekday() % 7)
        return last_sunday - dt.timedelta(days=7 * self.n_weeks - 1)

    @property
    def end_us(self) -> int:
        """First instant after ``until``, in µs since 1970."""
        return _instant_us(self.until + dt.timedelta(days=1), 0, zone=ZoneInfo(self.timezone))

    def rng(self, stage: str, cell: int = 0) -> np.random.Generator:
        """The random stream of a stage in a cell. Streams are independent of each other and of the order of use."""
        key = (int.from_bytes(stage.encode()[:4], "big"), cell)
        return np.random.default_rng(np.random.SeedSequence(self.seed, spawn_key=key))


def _instant_us(day: dt.date, hour: int, *, zone: ZoneInfo) -> int:
    """A full local hour as µs since 1970. An hour that the clock skips is the hour after it."""
    local = dt.datetime.combine(day, dt.time(hour), zone)
    return round(local.timestamp()) * 1_000_000


def hour_table(config: CohortConfig) -> np.ndarray:
    """(n_weeks, 7, 24) instants of all local hours of the cohort's weeks, in µs since 1970."""
    zone, monday = ZoneInfo(config.timezone), config.first_monday
    days = [monday + dt.timedelta(days=n) for n in range(7 * config.n_weeks)]
    hours = [_instant_us(day, hour, zone=zone) for day in days for hour in range(24)]
    return np.array(hours, np.int64).reshape(config.n_weeks, 7, 24)
