"""Calibration, scoring and drift of items."""

from __future__ import annotations

import datetime as dt
from typing import Any, Literal

from pydantic import field_validator

from seedtest_analytics.settings.group import MOST_DAYS, MOST_ROWS, MOST_SECONDS, SettingsGroup, option, variable
from seedtest_analytics.settings.platform import FIRST_DAY, LAST_DAY

DIF_COLUMNS = ("org_id", "classroom_id", "grade")
SCORING_DAYS = 30
RESPONSES_TO_LINK = 10
ONLY_HOW_IT_RUNS = ("max_retries", "retry_delay_secs", "timeout_secs", "scoring_days", "update_question_meta")
"""Settings of the calibration that do not change its result."""


class CalibrationSettings(SettingsGroup):
    """Item calibration and scoring (contract 4.1)."""

    lookback_days: int | None = option(
        None,
        "MIRT_LOOKBACK_DAYS",
        "IRT_CALIB_LOOKBACK_DAYS",
        ge=1,
        le=MOST_DAYS,
        description="Days of answers from which items are estimated again; if unset, the whole history. Items outside keep "
        "their last usable parameters.",
    )
    keep_parameters: bool = variable(
        True,
        "MIRT_KEEP_PARAMETERS",
        description="An item that a calibration does not estimate keeps its last usable parameters. False: it has none.",
    )
    scoring_days: int | None = variable(
        None,
        "MIRT_SCORING_DAYS",
        ge=1,
        le=MOST_DAYS,
        description="Days of answers that an ability uses; if unset, MIRT_LOOKBACK_DAYS, or 30 without it.",
    )
    model: Literal["Rasch", "2PL", "3PL"] = option(
        "2PL", "MIRT_MODEL", "IRT_MODEL", description="Item response model: Rasch, 2PL or 3PL."
    )
    topic_id: str | None = option(
        None,
        "MIRT_TOPIC_ID",
        "IRT_TOPIC_ID",
        description="Calibrate this topic only. Only a dry run may do so once calibrations of all answers are stored.",
    )
    subject_id: int | None = option(
        None,
        "MIRT_SUBJECT_ID",
        "IRT_SUBJECT_ID",
        ge=-MOST_ROWS,
        le=MOST_ROWS,
        description="Calibrate this exam_id only (an integer), with the limit of MIRT_TOPIC_ID.",
    )
    max_observations: int = option(
        0,
        "MIRT_MAX_OBS",
        ge=0,
        le=MOST_ROWS,
        description="Maximum number of answers; the newest are used; 0 means no limit.",
    )
    max_retries: int = variable(
        3,
        "MIRT_MAX_RETRIES",
        ge=1,
        le=20,
        description="Tries of a calibration, by any backend, if memory runs out or R is killed.",
    )
    retry_delay_secs: float = variable(
        5.0,
        "MIRT_RETRY_DELAY_SECS",
        ge=0,
        le=3600,
        description="Seconds before the second try; each further wait is twice as long.",
    )
    timeout_secs: float = variable(
        600.0,
        "MIRT_TIMEOUT_SECS",
        gt=0,
        le=MOST_SECONDS,
        description="Time limit of a calibration by mirt. A time-out is not tried again.",
    )
    min_responses: int | None = option(
        None,
        "MIRT_MIN_RESPONSES",
        ge=1,
        le=MOST_ROWS,
        description="Answers that an item needs to be calibrated; if unset, 1 where rare items borrow from their topic "
        "(MIRT_PRIORS=topic), 10 with MIRT_PRIORS=none, else 2, a right and a wrong one.",
    )
    attempts: Literal["first", "all"] = option(
        "first",
        "MIRT_ATTEMPTS",
        description="'first': the first answer of each student to each item; 'all': every answer.",
    )
    occasion_days: int = variable(
        28,
        "MIRT_OCCASION_DAYS",
        ge=0,
        le=MOST_DAYS,
        description="Days of answers that share one ability in a calibration of items that are answered all the time, so that "
        "growth does not blur them; 0: always all answers of a student.",
    )
    backend: Literal["native", "mirt"] = option(
        "native", "MIRT_BACKEND", description="The 'native' engine or R's 'mirt'."
    )
    priors: Literal["topic", "weak", "none"] = variable(
        "topic",
        "MIRT_PRIORS",
        description="'weak': log a ~ N(0.25, 0.5²), b ~ N(0, 2²), so that items with few answers converge; 'topic': the same, "
        "and items with fewer than 10 answers have a prior from their topic (native engine, whole history); 'none': no prior.",
    )
    linking: Literal["fixed", "mean-mean", "mean-sigma", "haebara", "stocking-lord"] = variable(
        "fixed", "MIRT_LINKING", description="How a calibration is linked to the scale of the anchors."
    )
    min_anchors: int = variable(
        5, "MIRT_MIN_ANCHORS", ge=2, le=MOST_ROWS, description="Usable anchors that a link needs."
    )
    update_question_meta: bool = variable(
        False, "IRT_UPDATE_QUESTION_META", description="Write parameters back into question.meta.irt."
    )

    @property
    def days_to_score(self) -> int:
        """Days of answers that an ability uses. It is about the present, also where items are estimated from all history."""
        return self.scoring_days or self.lookback_days or SCORING_DAYS

    @property
    def answers_needed(self) -> int:
        """Answers that an item needs to be calibrated. Without a prior a slope from a few answers has no maximum."""
        by_priors = RESPONSES_TO_LINK if self.priors == "none" else 1 if self.pool_below else 2
        return self.min_responses or by_priors

    @property
    def pool_below(self) -> int:
        """Items with fewer answers borrow from their topic; 0 if none do.

        An item with few answers in a look-back is not rare: it keeps its parameters.
        """
        is_history = self.lookback_days is None and self.max_observations == 0
        return RESPONSES_TO_LINK if self.priors == "topic" and self.backend == "native" and is_history else 0

    @property
    def responses_to_link(self) -> int:
        """Answers that an item needs to carry a scale. Few answers are enough for an estimate, but not for a scale."""
        return max(self.answers_needed, RESPONSES_TO_LINK)

    @property
    def of_the_fit(self) -> dict[str, Any]:
        """The settings that decide what a calibration is, for its identity."""
        return self.model_dump(mode="json", exclude=set(ONLY_HOW_IT_RUNS))


class AbilitySettings(SettingsGroup):
    """Which ability is published, and the model of ability over time."""

    method: Literal["dynamic", "static"] = variable(
        "dynamic",
        "METRICS_ABILITY",
        description="'dynamic': ability over time, from all answers; 'static': EAP of MIRT_SCORING_DAYS.",
    )
    refit_days: int = variable(
        28,
        "ABILITY_REFIT_DAYS",
        ge=7,
        le=MOST_DAYS,
        description="Days for which hyperparameters serve before they are fitted again; in a young log until there are half as "
        "many answers again.",
    )
    growth_weeks: int = variable(
        8,
        "ABILITY_GROWTH_WEEKS",
        ge=2,
        le=52,
        description="Weeks over which growth is compared: growth percentiles and paces of student_growth.",
    )


class DriftSettings(SettingsGroup):
    """Item drift and anchor selection (contract 4.3, 4.13)."""

    lookback_days: int = option(30, "DRIFT_LOOKBACK_DAYS", ge=1, le=MOST_DAYS, description="Days of the recent window.")
    min_sample: int = option(
        200, "DRIFT_MIN_SAMPLE", ge=10, le=MOST_ROWS, description="Answers that an item needs in each window."
    )
    threshold_delta_a: float = variable(
        0.20, "DRIFT_THRESHOLD_DELTA_A", gt=0, le=100, description="Alert above this |Δa|."
    )
    threshold_delta_b: float = variable(
        0.25, "DRIFT_THRESHOLD_DELTA_B", gt=0, le=100, description="Alert above this |Δb|."
    )
    threshold_delta_c: float = variable(0.03, "DRIFT_THRESHOLD_DELTA_C", gt=0, le=1, description="Alert above this Δc.")
    max_share: float = variable(
        0.05,
        "DRIFT_MAX_SHARE",
        gt=0,
        le=1,
        description="The check of drift fails from this share of moved items on. Single moved items are alerts only.",
    )
    baseline_from: dt.date | None = option(
        None, "DRIFT_BASELINE_FROM", ge=FIRST_DAY, le=LAST_DAY, description="First day of the baseline (YYYY-MM-DD)."
    )
    baseline_to: dt.date | None = option(
        None, "DRIFT_BASELINE_TO", ge=FIRST_DAY, le=LAST_DAY, description="First day after the baseline (YYYY-MM-DD)."
    )


class DifSettings(SettingsGroup):
    """Differential item functioning by a covariate of the students."""

    covariate: str | None = variable(
        None,
        "DIF_COVARIATE",
        description="Grouping of the students: org_id, classroom_id, grade (of the session's classroom), or "
        "result_json.KEY.KEY… of the exam result, such as result_json.metadata.language. If unset, nothing is compared.",
    )
    reference: str | None = variable(
        None, "DIF_REFERENCE", description="Value of the reference group; if unset, the largest group."
    )
    min_sample: int = variable(
        100,
        "DIF_MIN_SAMPLE",
        ge=20,
        le=MOST_ROWS,
        description="Students that a group needs, and answers that an item needs in each group.",
    )

    @field_validator("covariate")
    @classmethod
    def _known_covariate(cls, value: str | None) -> str | None:
        is_key = value is not None and value.startswith("result_json.") and all(value.split(".")[1:])
        if value is None or value in DIF_COLUMNS or is_key:
            return value
        raise ValueError(f"{value!r} is not one of {', '.join(DIF_COLUMNS)}, and not result_json.KEY")

    @property
    def source(self) -> tuple[str, list[str]]:
        """The column, or `result_json` with the path of its key."""
        name, *path = (self.covariate or "").split(".")
        return name, path
