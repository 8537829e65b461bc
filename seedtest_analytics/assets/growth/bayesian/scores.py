"""Weekly scores of students for the growth model: the ability of the week, or the share of right answers."""

from __future__ import annotations

import datetime as dt
import hashlib
from dataclasses import dataclass
from functools import cached_property
from typing import Literal

import numpy as np
from numpy.typing import ArrayLike, DTypeLike
from sqlalchemy import Connection

from seedtest_analytics.assets.growth.lookback import first_monday_of, lookback_parameters
from seedtest_analytics.assets.psychometrics.scale.current import Scale, scale_for
from seedtest_analytics.assets.psychometrics.scoring.rows import item_parameters
from seedtest_analytics.database.read import copy_to_arrow, unpacked
from seedtest_analytics.database.sql_files import statement
from seedtest_analytics.partitions import Week
from seedtest_analytics.settings import GrowthSettings
from seedtest_analytics.stats.irt.data import ResponseData
from seedtest_analytics.stats.irt.model import ItemParameters
from seedtest_analytics.stats.irt.scoring import score

SQL = "growth/scores.sql"
# A week whose answers hold less than this share of the prior's information says next to nothing about the ability.
MIN_INFORMATION_SHARE = 0.001
# A student's weeks are scored around the ability of the whole look-back, within this share of the population's SD.
WEEK_SPREAD_SHARE = 0.5

COUNT_TYPES: dict[str, DTypeLike] = {"week": np.int32, "answered": np.int32, "right": np.int32}
ANSWER_TYPES: dict[str, DTypeLike] = {"week": np.int32, "item_id": np.int64, "correct": np.int32}

Source = Literal["theta", "accuracy"]


@dataclass(frozen=True)
class WeeklyScores:
    """One row for each student and calendar week with a score.

    Attributes:
        users: raw ids, by the codes in ``student``.
        student, week, score: shape (N,); weeks are counted from ``first_monday``.
        weight: precision of the scores relative to their mean, shape (N,): a score's variance is σ² / weight.
        answered, right: counts behind the scores, shape (N,).
        first_monday: Monday of the look-back's first week; week 0.
        source, unit: which score it is.
        scale: the calibration whose platform scale the abilities are on; None if the scores need none.
        item_answers: item ids and how often each was answered, for the share expected at an ability.
        set_aside: student-weeks with too little information.
    """

    users: np.ndarray
    student: np.ndarray
    week: np.ndarray
    score: np.ndarray
    weight: np.ndarray
    answered: np.ndarray
    right: np.ndarray
    first_monday: dt.date
    source: Source
    scale: Scale | None
    item_answers: tuple[np.ndarray, np.ndarray]
    set_aside: int = 0

    @property
    def unit(self) -> str:
        """Unit of the score."""
        return "logit" if self.source == "theta" else "share right"

    @cached_property
    def fingerprint(self) -> str:
        """Hash (hexadecimal, 128 bits) of everything that a fit uses."""
        digest = hashlib.blake2b("\0".join(map(str, self.users)).encode(), digest_size=16)
        for values in (self.student, self.week, self.score, self.weight, self.answered, self.right):
            digest.update(np.ascontiguousarray(values).data)
        return digest.hexdigest()


def _lookback(settings: GrowthSettings) -> int:
    if settings.lookback_weeks is None:
        raise ValueError("the look-back is not known yet: evidence_of(run) gives it")
    return settings.lookback_weeks


def load_scores(connection: Connection, week: Week, *, settings: GrowthSettings) -> WeeklyScores:
    """The scores of the look-back. The binomial family always takes the counts behind accuracy."""
    stage_scores(connection, week, settings=settings)
    return read_scores(connection, week, settings=settings)


def stage_scores(connection: Connection, week: Week, *, settings: GrowthSettings) -> None:
    """Fill the temporary table growth_answer and, if the scores are shares, growth_count."""
    parameters = lookback_parameters(week, _lookback(settings))
    connection.execute(statement(SQL, "answers"), parameters)
    if are_shares(settings):
        connection.execute(statement(SQL, "counts"), parameters)


def read_scores(connection: Connection, week: Week, *, settings: GrowthSettings) -> WeeklyScores:
    """The scores of the temporary tables that :func:`stage_scores` fills."""
    scale = scale_for(connection, week)
    items = copy_to_arrow(connection, statement(SQL, "items"))
    item_answers = (items["item_id"].to_numpy(), items["answers"].to_numpy())
    first = first_monday_of(week, _lookback(settings))
    if are_shares(settings):
        rows, users = _read(connection, "counts", types=COUNT_TYPES)
        return accuracy_scores(rows, users, first_monday=first, scale=scale, item_answers=item_answers)
    rows, users = _read(connection, "answers", types=ANSWER_TYPES)
    return ability_scores(rows, users, first_monday=first, scale=scale, item_answers=item_answers)


def _read(
    connection: Connection, what: str, *, types: dict[str, DTypeLike]
) -> tuple[dict[str, np.ndarray], np.ndarray]:
    """Columns of the rows, with ``student`` as a code, and the students."""
    connection.execute(statement(SQL, f"students_of_{what}"))
    students = copy_to_arrow(connection, statement(SQL, "students"), dictionaries=("user_id",))
    users = np.asarray(students["user_id"].combine_chunks().dictionary.to_pylist(), dtype=object)
    rows = unpacked(copy_to_arrow(connection, statement(SQL, "records"))["records"], types=types)
    rows["student"] = np.repeat(
        np.arange(len(users), dtype=np.int32), students["n_records"].to_numpy().astype(np.int64)
    )
    return rows, users


def are_shares(settings: GrowthSettings) -> bool:
    """Whether the scores are shares of right answers, or their counts."""
    return settings.family == "binomial" or settings.score_source == "accuracy"


def accuracy_scores(
    rows: dict[str, np.ndarray],
    users: np.ndarray,
    *,
    first_monday: dt.date,
    scale: Scale | None,
    item_answers: tuple[np.ndarray, np.ndarray],
) -> WeeklyScores:
    """Share right of each student and week, weighted by its answers. ``rows``: student and the columns of COUNT_TYPES."""
    answered, right = rows["answered"], rows["right"]
    return WeeklyScores(
        users=users,
        student=rows["student"],
        week=rows["week"].astype(float),
        score=right / np.maximum(answered, 1),
        weight=_relative(answered.astype(float)),
        answered=answered,
        right=right,
        first_monday=first_monday,
        source="accuracy",
        scale=scale,
        item_answers=item_answers,
    )


def ability_scores(
    rows: dict[str, np.ndarray],
    users: np.ndarray,
    *,
    first_monday: dt.date,
    scale: Scale | None,
    item_answers: tuple[np.ndarray, np.ndarray],
) -> WeeklyScores:
    """The ability that each week's own answers imply, without the pull of the prior.

    ``rows`` has the column student and the columns of ANSWER_TYPES. The score of a week is the centre of its normal
    likelihood, and the weight is the precision. The likelihood is approximated around the student's own ability in the
    look-back: around the population's mean, weeks that an able student answers all right would pull the student down.
    """
    student, week = rows["student"], rows["week"]
    empty = np.zeros(0)
    if scale is None or len(student) == 0:
        return WeeklyScores(
            users,
            empty.astype(int),
            week=empty,
            score=empty,
            weight=empty,
            answered=empty.astype(int),
            right=empty.astype(int),
            first_monday=first_monday,
            source="theta",
            scale=scale,
            item_answers=item_answers,
        )

    items = item_parameters(scale.items)
    everything = ResponseData.from_long(student, rows["item_id"], correct=rows["correct"], duplicates="keep")
    own = score(everything, items, prior_mean=scale.group_mean, prior_sd=scale.group_sd)
    data = ResponseData.from_long((student, week), rows["item_id"], correct=rows["correct"])
    student_of_row, week_of_row = (np.asarray(key) for key in data.row_keys)
    around = own.theta[np.searchsorted(np.asarray(everything.row_ids), student_of_row)]
    found = week_likelihoods(data, items, mean=around, sd=WEEK_SPREAD_SHARE * scale.group_sd)
    known = found.is_known
    answered = found.answered[known].astype(np.int64)
    return WeeklyScores(
        users=users,
        student=student_of_row[known],
        week=week_of_row[known].astype(float),
        score=found.centre[known],
        weight=_relative(found.information[known]),
        answered=answered,
        right=np.zeros_like(answered),
        first_monday=first_monday,
        source="theta",
        scale=scale,
        item_answers=item_answers,
        set_aside=int((~known & (found.answered > 0)).sum()),
    )


@dataclass(frozen=True)
class WeekLikelihoods:
    """Normal likelihoods by student and week, each of shape (N,).

    ``is_known`` is False where the answers say next to nothing; ``centre`` has no meaning there.
    """

    centre: np.ndarray
    information: np.ndarray
    answered: np.ndarray
    is_known: np.ndarray


def week_likelihoods(data: ResponseData, items: ItemParameters, *, mean: ArrayLike, sd: float) -> WeekLikelihoods:
    """The likelihood of each row's answers, approximated where N(``mean``, ``sd``²) has its mass.

    The EAP of few answers is pulled towards the prior's mean, which would flatten every slope. The posterior N(m, s²)
    under the prior N(m0, s0²) is that prior times a normal likelihood of precision I = 1/s² − 1/s0² and centre
    (m/s² − m0/s0²) / I.
    """
    scores = score(data, items, prior_mean=mean, prior_sd=sd)
    prior_precision = 1 / sd**2
    information = 1 / scores.se**2 - prior_precision
    is_known = (scores.n_answers > 0) & (information > MIN_INFORMATION_SHARE * prior_precision)
    shift = scores.theta / scores.se**2 - np.asarray(mean) * prior_precision
    centre = np.divide(shift, information, out=np.zeros(data.n_rows), where=is_known)
    return WeekLikelihoods(centre, information, answered=scores.n_answers, is_known=is_known)


def expected_share(scores: WeeklyScores, ability: np.ndarray) -> np.ndarray:
    """Share right expected at an ability (logit, shape (J,)) over the items answered; NaN without a calibration."""
    if scores.scale is None:
        return np.full(len(ability), np.nan)

    ids, answers = scores.item_answers
    items = item_parameters(scores.scale.items)
    known = np.isin(items.item_ids, ids)
    if not known.any():
        return np.full(len(ability), np.nan)
    n = answers[np.searchsorted(ids, items.item_ids[known])].astype(float)
    a, b, c = items.a[known], items.b[known], items.c[known]
    grid = np.linspace(-12.0, 12.0, 481)
    right = c + (1 - c) / (1 + np.exp(-a * (grid[:, None] - b)))
    return np.asarray(np.interp(ability, grid, right @ (n / n.sum())))


def _relative(precision: np.ndarray) -> np.ndarray:
    return precision / precision.mean() if len(precision) else precision
