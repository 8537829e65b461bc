"""Peers that predict the next answer, with which a model of ability is compared: item mean, static EAP, Elo, PFA, Best-LR and
DAS3H.

Each takes answers in the order of time and a mask of the training rows, and returns P(right) for every answer. Elo goes on
learning after the training rows, and static EAP reads new answers with old items. The others do not.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable, Mapping
from typing import Any, Protocol

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy.special import expit

from seedtest_analytics.stats.irt.config import CalibrationConfig, ItemPriors, LogNormal, Normal
from seedtest_analytics.stats.irt.data import ResponseData
from seedtest_analytics.stats.irt.errors import IrtDataError
from seedtest_analytics.stats.irt.estimation import calibrate
from seedtest_analytics.stats.irt.model import ItemParameters
from seedtest_analytics.stats.irt.scoring import score
from seedtest_analytics.stats.verification.logistic import clipped_logit, fit_logistic

Floats = NDArray[np.float64]
Mask = NDArray[np.bool_]


class AnswerColumns(Protocol):
    """(n,) codes from 0 of student, item and topic, 0 or 1, and days, in the order of time, such as ``ability.data.Answers``."""

    @property
    def student(self) -> NDArray[np.int32]: ...

    @property
    def item(self) -> NDArray[np.int32]: ...

    @property
    def topic(self) -> NDArray[np.int32]: ...

    @property
    def correct(self) -> NDArray[np.int8]: ...

    @property
    def day(self) -> Floats: ...


def item_mean(answers: AnswerColumns, is_training: Mask) -> Floats:
    """Share of right answers of the item in the training rows, with two answers' worth of the share of all."""
    item, correct = answers.item[is_training], answers.correct[is_training]
    n_items = int(answers.item.max()) + 1
    right, count = np.bincount(item, weights=correct, minlength=n_items), np.bincount(item, minlength=n_items)
    return np.asarray(((right + 2 * correct.mean()) / (count + 2))[answers.item])


def static_eap(answers: AnswerColumns, is_training: Mask) -> Floats:
    """A 2PL calibrated on the training rows, and each week the EAP of the student's answers of the 60 days before.

    An item without parameters has the mean difficulty and discrimination. Without an answer in 60 days the student has those
    of the population.
    """
    items = _calibrated(answers, is_training)
    n_items = int(answers.item.max()) + 1
    a = np.full(n_items, np.exp(np.log(items.a).mean()) if len(items.a) else 1.0)
    b = np.full(n_items, items.b.mean() if len(items.b) else -clipped_logit(answers.correct[is_training].mean()))
    is_known = np.zeros(n_items, dtype=np.bool_)
    a[items.item_ids], b[items.item_ids], is_known[items.item_ids] = items.a, items.b, True
    week = np.floor((answers.day - answers.day[0]) / 7.0).astype(np.int64)
    n_weeks = int(week[-1]) + 1
    windows, own = np.unique(answers.student.astype(np.int64) * n_weeks + week, return_inverse=True)
    start = float(answers.day[0]) + 7.0 * (windows % n_weeks)
    rows, window = _answers_before(answers, windows // n_weeks, until=start, days=_LOOK_BACK_DAYS)
    theta, variance = np.zeros(len(windows)), np.ones(len(windows))
    known = is_known[answers.item[rows]]
    if known.any():
        rows, window = rows[known], window[known]
        data = ResponseData.from_long(window, answers.item[rows], correct=answers.correct[rows], duplicates="keep")
        found = score(data, items)
        theta[data.row_ids], variance[data.row_ids] = found.theta, found.se**2
    a, b = a[answers.item], b[answers.item]
    return np.asarray(expit(a * (theta[own] - b) / np.sqrt(1.0 + np.pi / 8.0 * a**2 * variance[own])))


def elo(answers: AnswerColumns, is_training: Mask) -> Floats:
    """Elo of student and item with steps 1.8 / (1 + 0.05 n) (Pelánek 2016), both updated after every answer."""
    student, item = np.zeros(int(answers.student.max()) + 1), np.zeros(int(answers.item.max()) + 1)
    n_student, n_item = np.zeros_like(student), np.zeros_like(item)
    p = np.empty(len(is_training))
    for n, (s, i, y) in enumerate(zip(answers.student, answers.item, answers.correct, strict=True)):
        p[n] = 1.0 / (1.0 + np.exp(item[i] - student[s]))
        student[s] += 1.8 / (1 + 0.05 * n_student[s]) * (y - p[n])
        item[i] -= 1.8 / (1 + 0.05 * n_item[i]) * (y - p[n])
        n_student[s] += 1
        n_item[i] += 1
    return p


def pfa(answers: AnswerColumns, is_training: Mask) -> Floats:
    """Topics with counts of right and wrong answers of the student in the topic (Pavlik et al. 2009)."""
    columns = _counts(answers, [("student", "topic")], by_topic=True)
    return _regression(answers, is_training, codes=[answers.topic], columns=columns)


def best_lr(answers: AnswerColumns, is_training: Mask) -> Floats:
    """Items, topics and log counts of right and wrong answers overall, by topic and by item (Gervet et al. 2020)."""
    keys = [("student",), ("student", "topic"), ("student", "item")]
    columns = _counts(answers, keys, by_topic=False)
    return _regression(answers, is_training, codes=[answers.item, answers.topic], columns=columns)


def das3h(answers: AnswerColumns, is_training: Mask) -> Floats:
    """Students, items, topics and, by topic, log counts of answers and of right ones in an hour, a day, a week, a month
    and ever (Choffin et al. 2019)."""
    from scipy import sparse

    columns: list[Any] = []
    rows = np.arange(len(is_training))
    for days in _WINDOWS:
        for counted in _windowed(answers, days):
            columns.append(sparse.csr_matrix((np.log1p(counted), (rows, answers.topic))))
    return _regression(answers, is_training, codes=[answers.student, answers.item, answers.topic], columns=columns)


_WINDOWS = (1 / 24, 1.0, 7.0, 30.0, np.inf)


def _windowed(answers: AnswerColumns, days: float) -> tuple[Floats, Floats]:
    """(n,) the student's earlier answers in the topic within the last ``days``, and how many of them were right."""
    pair = answers.student.astype(np.int64) * (int(answers.topic.max()) + 1) + answers.topic
    order = np.argsort(pair, kind="stable")
    pair, day = pair[order], np.asarray(answers.day - answers.day[0])[order]
    span = float(day.max()) + 1.0
    place = np.unique(pair, return_inverse=True)[1] * 2.0 * span + day
    first = np.searchsorted(place, place - min(days, span))
    right = np.r_[0, np.cumsum(answers.correct[order])]
    here = np.arange(len(pair))
    attempts, wins = np.empty(len(pair)), np.empty(len(pair))
    attempts[order], wins[order] = here - first, right[here] - right[first]
    return attempts, wins


def mixture(predictions: Mapping[str, Floats], outcomes: Floats, *, is_training: Mask) -> Floats:
    """(n,) logistic regression of the outcome on the logits of all methods, fitted to the training rows.

    The predictions of the training rows must not have seen their outcomes either.
    """
    logits = np.column_stack([np.ones(len(outcomes)), *(clipped_logit(values) for values in predictions.values())])
    fitted = fit_logistic(logits[is_training], outcomes[is_training], ridge=1e-4)
    return np.asarray(expit(logits @ fitted.coefficients))


Peers = Mapping[str, Callable[[AnswerColumns, Mask], Floats]]
WEEKLY_PEERS: Peers = {"item mean": item_mean, "static EAP": static_eap}
"""Peers that learn from each week. The platform calibrates its items every week too."""
REFITTED_PEERS: Peers = {"Elo": elo, "PFA": pfa, "Best-LR": best_lr, "DAS3H": das3h}
"""Regressions, which are fitted as rarely as the hyperparameters of ability, and Elo, which needs no fit."""
PEERS: Peers = {**WEEKLY_PEERS, **REFITTED_PEERS}


_LOOK_BACK_DAYS = 60.0


def _calibrated(answers: AnswerColumns, is_training: Mask) -> ItemParameters:
    """A 2PL of the training rows, in which the abilities have mean 0 and SD 1. No items where none can be calibrated."""
    training = np.flatnonzero(is_training)
    data = ResponseData.from_long(
        answers.student[training], answers.item[training], correct=answers.correct[training], duplicates="keep"
    )
    priors = ItemPriors(a=LogNormal(), b=Normal())
    try:
        return calibrate(data, CalibrationConfig(priors=priors, standard_errors="none")).parameters
    except IrtDataError:
        return ItemParameters.of(np.zeros(0, dtype=np.int64), a=np.zeros(0), b=np.zeros(0))


def _answers_before(
    answers: AnswerColumns, student: NDArray[np.int64], *, until: Floats, days: float
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Rows of the answers of each student in the ``days`` before ``until``, and the position of the student's window."""
    order = np.argsort(answers.student, kind="stable")
    span = float(answers.day[-1] - answers.day[0]) + days + 1.0
    place = answers.student[order] * span + (answers.day[order] - answers.day[0]) + days
    end = student * span + (until - answers.day[0]) + days
    first, last = np.searchsorted(place, end - days), np.searchsorted(place, end)
    n = last - first
    window = np.repeat(np.arange(len(student)), n)
    rows = np.arange(n.sum()) - np.repeat(np.cumsum(n) - n, n) + np.repeat(first, n)
    return order[rows], window


def _counts(answers: AnswerColumns, keys: list[tuple[str, ...]], *, by_topic: bool) -> list[Any]:
    from scipy import sparse

    names = ("student", "topic", "item")
    frame = pd.DataFrame({name: getattr(answers, name) for name in names})
    frame["right"], frame["wrong"] = answers.correct, 1 - answers.correct
    columns: list[Any] = []
    for key in keys:
        for outcome in ("right", "wrong"):
            before = frame.groupby(list(key))[outcome].cumsum() - frame[outcome]
            values = np.log1p(before.to_numpy(float))
            if by_topic:
                columns.append(sparse.csr_matrix((values, (np.arange(len(frame)), answers.topic))))
            else:
                columns.append(sparse.csr_matrix(values[:, None]))
    return columns


def _regression(
    answers: AnswerColumns, is_training: Mask, *, codes: list[NDArray[np.int32]], columns: list[Any]
) -> Floats:
    from scipy import sparse
    from sklearn.exceptions import ConvergenceWarning
    from sklearn.linear_model import LogisticRegression

    n = len(is_training)
    blocks = [sparse.csr_matrix((np.ones(n), (np.arange(n), code))) for code in codes]
    matrix = sparse.hstack([*blocks, *columns]).tocsr()
    model = LogisticRegression(C=1.0, max_iter=300, solver="lbfgs")
    with warnings.catch_warnings():
        # A peer may stop shortly before its maximum.
        warnings.simplefilter("ignore", ConvergenceWarning)
        model.fit(matrix[is_training], answers.correct[is_training])
    return np.asarray(model.predict_proba(matrix)[:, 1])
