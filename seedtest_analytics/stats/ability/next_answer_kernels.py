"""The compiled second layer: what an answer's history says about it, and the online regression on top of the ability.

logit P(right) = η + Σ coefficient · feature + Σ (1 + weight of the kind) · loading · effect

η is the ability's expectation. Coefficients and the weights of kinds are common to all, with a joint Gaussian belief; effects
belong to an item, a student, a sequence and so on, with independent Gaussian beliefs that drift or fade. They take turns to
explain the same answers, and a weight corrects what they claim together. Everything is learned in the same pass: predict, then
update by the answer.
"""

from __future__ import annotations

import math

import numpy as np

from seedtest_analytics.stats.compiled import njit
from seedtest_analytics.stats.irt.kernels import FASTMATH

RESULTS, ITEMS, TOPICS = 0, 5, 9
"""First columns of a student's last five results, last four items and their topics, the newest first; -1 for none."""
N_RESULTS, N_ITEMS = 5, 4
LAST_TIME, ANSWERED, SURPRISE, SURPRISE_WEIGHT, SLOWNESS = range(13, 18)
"""``SURPRISE`` is the faded sum of answer - P(right) by ability, ``SLOWNESS`` the faded mean of log pause over the item's."""
N_STUDENT = 18
RIGHT, WRONG, CORRECT, TIME = range(4)
"""Columns of the history of a student's topic or item."""
PAUSE_SUM, PAUSE_WEIGHT = range(2)
"""Columns of an item: log seconds until the next answer."""
N_FEATURES = 24
LOGIT, TOPIC_RIGHT, TOPIC_WRONG, LAST, LAST_IN_TOPIC, SAME_TOPIC, LAST_OF_SAME_TOPIC = 1, 2, 3, 6, 7, 10, 11
HAS_REPEAT, FORM, SLOWNESS_OF_STUDENT = 17, 20, 23
"""Features that are loadings of effects too."""
N_CONTEXTS = 15
FIRST_RESULTS, LAST_RESULTS, TOPIC_PAUSE, ITEM_PAUSE, STUDENT_PAUSE, REPEATED_RESULT, TOPIC_COUNTS = range(8, 15)
"""Columns of the contexts; before them are the items and the topics of the last four answers with their results."""
MEAN, VARIANCE, SEEN = range(3)
"""Columns of an effect."""
_NEVER = -1e300
_PROBIT = math.pi / 8.0
_FADE = 0.8
"""Weight that an earlier surprise or pause keeps after one more answer."""
_USUAL_LOG_SECONDS, _USUAL_WEIGHT = 3.5, 2.0
_LONGEST_PAUSE = 1800.0
"""Seconds after which a pause says nothing about the answer before it."""
_DAY = 86400.0
_PAUSES = 64
"""More bins than pauses have."""
_MOST = 10
"""Counts of answers in a topic from 9 on are one context."""
NEW_STUDENT = [-1.0] * (N_RESULTS + 2 * N_ITEMS) + [_NEVER, 0.0, 0.0, 0.0, 0.0]
NEW_PAIR = [0.0, 0.0, -1.0, _NEVER]
NEW_ITEM = [_USUAL_LOG_SECONDS * _USUAL_WEIGHT, _USUAL_WEIGHT]
NEW_EFFECT = [0.0, 0.0, _NEVER]
"""Histories and effects before the first answer."""


@njit(cache=True, nogil=True)
def _sign(correct) -> float:
    return 0.0 if correct < 0.0 else correct - 0.5


@njit(cache=True, nogil=True)
def _pause(now, before) -> float:
    """Log of the days since ``before``, scaled to about -0.7 (seconds) … 1 (years); 0 where there is nothing before."""
    return 0.0 if before == _NEVER else math.log(max(now - before, 1e-4) * 1e4) / 10.0 - 0.7


@njit(cache=True, nogil=True)
def _pause_bin(now, before) -> int:
    """Bin of the pause: each is e times as long as the one before it; 0 where there is nothing before."""
    if before == _NEVER:
        return 0
    return min(2 + int(math.log(max((now - before) * _DAY, 0.5)) + 0.7), _PAUSES - 1)


@njit(cache=True, nogil=True)
def describe(
    student,
    item,
    topic,
    pair,
    repeat,
    day,
    correct,
    logit,
    variance,
    students,
    pairs,
    repeats,
    items,
    features,
    contexts,
    learn,
) -> None:
    """Fill ``features`` (n, N_FEATURES) and ``contexts`` (n, N_CONTEXTS), codes from 0 or -1 for none.

    ``pair`` and ``repeat`` are slots of the histories ``pairs`` and ``repeats``. With ``learn`` the histories go on.
    """
    for n in range(len(student)):
        own, of_topic, of_item = students[student[n]], pairs[pair[n]], repeats[repeat[n]]
        same = 1.0 if own[TOPICS] == topic[n] else 0.0
        last, last_in_topic, last_to_item = _sign(own[RESULTS]), _sign(of_topic[CORRECT]), _sign(of_item[CORRECT])
        pause, pause_of_item = _pause(day[n], own[LAST_TIME]), _pause(day[n], of_item[TIME])
        slow, log_seconds = 0.0, -1.0
        if own[RESULTS] >= 0.0:
            seconds = (day[n] - own[LAST_TIME]) * _DAY
            if 0.0 < seconds < _LONGEST_PAUSE:
                usual = items[int(own[ITEMS])]
                log_seconds = math.log(max(seconds, 1.0))
                slow = log_seconds - usual[PAUSE_SUM] / usual[PAUSE_WEIGHT]
        slowness = own[SLOWNESS] if log_seconds < 0.0 else _FADE * own[SLOWNESS] + (1.0 - _FADE) * slow
        row = features[n]
        row[0] = 1.0
        row[LOGIT] = 0.5 * logit[n]
        row[TOPIC_RIGHT] = math.log1p(of_topic[RIGHT])
        row[TOPIC_WRONG] = math.log1p(of_topic[WRONG])
        row[4] = math.log1p(of_item[RIGHT])
        row[5] = math.log1p(of_item[WRONG])
        row[LAST] = last
        row[LAST_IN_TOPIC] = last_in_topic
        row[8] = last_to_item
        row[9] = _sign(own[RESULTS + 1])
        row[SAME_TOPIC] = same
        row[LAST_OF_SAME_TOPIC] = last * same
        row[12] = pause
        row[13] = _pause(day[n], of_topic[TIME])
        row[14] = pause_of_item
        row[15] = pause * last
        row[16] = pause_of_item * last_to_item
        row[HAS_REPEAT] = 1.0 if of_item[TIME] != _NEVER else 0.0
        row[18] = math.log1p(own[ANSWERED]) / 3.0
        row[19] = 1.0 if of_topic[TIME] == _NEVER else 0.0
        row[FORM] = own[SURPRISE] / (own[SURPRISE_WEIGHT] + 1.0)
        row[21] = slow
        row[22] = slow * last
        row[SLOWNESS_OF_STUDENT] = slowness
        _fill_contexts(contexts[n], own, of_topic, of_item, day[n])
        if learn:
            y = float(correct[n])
            if log_seconds >= 0.0:
                usual = items[int(own[ITEMS])]
                usual[PAUSE_SUM] += log_seconds
                usual[PAUSE_WEIGHT] += 1.0
            own[SLOWNESS] = slowness
            expected = 1.0 / (1.0 + math.exp(-logit[n] / math.sqrt(1.0 + _PROBIT * variance[n])))
            own[SURPRISE] = _FADE * own[SURPRISE] + y - expected
            own[SURPRISE_WEIGHT] = _FADE * own[SURPRISE_WEIGHT] + 1.0
            for history in (of_topic, of_item):
                history[RIGHT] += y
                history[WRONG] += 1.0 - y
                history[CORRECT] = y
                history[TIME] = day[n]
            for k in range(N_RESULTS - 1, 0, -1):
                own[RESULTS + k] = own[RESULTS + k - 1]
            for k in range(N_ITEMS - 1, 0, -1):
                own[ITEMS + k] = own[ITEMS + k - 1]
                own[TOPICS + k] = own[TOPICS + k - 1]
            own[RESULTS], own[ITEMS], own[TOPICS] = y, item[n], topic[n]
            own[LAST_TIME] = day[n]
            own[ANSWERED] += 1.0


@njit(cache=True, nogil=True)
def _fill_contexts(row, own, of_topic, of_item, now) -> None:
    for k in range(N_ITEMS):
        is_known = own[RESULTS + k] >= 0.0
        row[k] = 2 * int(own[ITEMS + k]) + int(own[RESULTS + k]) if is_known else -1
        row[N_ITEMS + k] = 2 * int(own[TOPICS + k]) + int(own[RESULTS + k]) if is_known else -1
    code = 0
    for k in range(N_RESULTS):
        code = 3 * code + int(own[RESULTS + k]) + 1
        if k == 2:
            row[FIRST_RESULTS] = code
    row[LAST_RESULTS] = code
    row[TOPIC_PAUSE] = 3 * _pause_bin(now, of_topic[TIME]) + int(of_topic[CORRECT]) + 1
    row[ITEM_PAUSE] = 3 * _pause_bin(now, of_item[TIME]) + int(of_item[CORRECT]) + 1
    row[STUDENT_PAUSE] = _pause_bin(now, own[LAST_TIME])
    row[REPEATED_RESULT] = int(of_item[CORRECT])
    row[TOPIC_COUNTS] = _MOST * min(int(of_topic[RIGHT]), _MOST - 1) + min(int(of_topic[WRONG]), _MOST - 1)


@njit(cache=True, nogil=True, fastmath=FASTMATH)
def predict_and_learn(
    logit, variance, day, correct, features, codes, loadings, settings, effects, coefficients, covariance, p, learn
) -> float:
    """P(right) of every row, before its answer; returns Σ log P(answer). With ``learn`` beliefs follow the answers.

    ``codes`` (n, C) are rows of ``effects`` (all effects of all kinds, 3), -1 for none. ``loadings`` (C,) are the columns of
    ``features`` that multiply the effects; the first is 1. ``settings`` (C, 3): first variance, variance a day, and rate of
    fading a day; an effect that fades gains no variance beyond the first. ``coefficients`` and ``covariance`` are of the
    features and, behind them, of the weights of the C kinds.
    """
    n_kinds, n_features = codes.shape[1], features.shape[1]
    n_common = n_features + n_kinds
    row, gain = np.empty(n_common), np.empty(n_common)
    total = 0.0
    for n in range(len(logit)):
        mean, v = logit[n], variance[n]
        for f in range(n_features):
            row[f] = features[n, f]
        for c in range(n_kinds):
            row[n_features + c] = 0.0
            if codes[n, c] < 0:
                continue
            effect = effects[codes[n, c]]
            average, spread = effect[MEAN], effect[VARIANCE]
            if effect[SEEN] == _NEVER:
                spread = settings[c, 0]
            else:
                days = max(day[n] - effect[SEEN], 0.0)
                if settings[c, 2] > 0.0:
                    kept = math.exp(-settings[c, 2] * days)
                    average *= kept
                    spread = spread * kept * kept + settings[c, 0] * (1.0 - kept * kept)
                else:
                    spread += settings[c, 1] * days
            if learn:
                effect[MEAN], effect[VARIANCE], effect[SEEN] = average, spread, day[n]
            loading = row[loadings[c]]
            row[n_features + c] = loading * average
            mean += loading * average
            v += loading * loading * spread
        for f in range(n_common):
            mean += coefficients[f] * row[f]
            through = 0.0
            for g in range(n_common):
                through += covariance[f, g] * row[g]
            gain[f] = through
        for f in range(n_common):
            v += gain[f] * row[f]
        narrow = 1.0 / math.sqrt(1.0 + _PROBIT * v)
        p[n] = 1.0 / (1.0 + math.exp(-narrow * mean))
        if not learn:
            continue
        total += math.log(max(p[n] if correct[n] == 1 else 1.0 - p[n], 1e-12))
        # Derivatives of the probability that was predicted, not of the one at the mean: so predictions stay calibrated.
        step = narrow * (correct[n] - p[n])
        curvature = narrow * narrow * p[n] * (1.0 - p[n])
        for c in range(n_kinds):
            if codes[n, c] >= 0:
                effect = effects[codes[n, c]]
                across = row[loadings[c]] * effect[VARIANCE]
                effect[MEAN] += across * step
                effect[VARIANCE] -= across * across * curvature
        for f in range(n_common):
            coefficients[f] += gain[f] * step
            for g in range(n_common):
                covariance[f, g] -= gain[f] * gain[g] * curvature
    return total
