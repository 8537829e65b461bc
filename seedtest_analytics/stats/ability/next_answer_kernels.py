"""The compiled second layer: what an answer's history says about it, and the online regression on top of the ability.

logit P(right) = η + Σ coefficient · feature + Σ loading · effect

η is the ability's expectation. The coefficients are common to all, with a joint Gaussian belief; effects belong to an item, a
student, a sequence and so on, with independent Gaussian beliefs that drift or fade. Everything is learned in the same pass:
predict, then update by the answer.
"""

from __future__ import annotations

import math

import numpy as np
from numba import njit

from seedtest_analytics.stats.irt.kernels import FASTMATH

LAST_CORRECT, BEFORE_LAST, LAST_ITEM, LAST_TOPIC, LAST_TIME, ANSWERED = range(6)
"""Columns of a student's history; -1 where there is nothing yet."""
RIGHT, WRONG, CORRECT, TIME = range(4)
"""Columns of the history of a student's topic or item."""
N_FEATURES = 20
MEAN, VARIANCE, SEEN = range(3)
"""Columns of an effect."""
_NEVER = -1e300
_PROBIT = math.pi / 8.0


@njit(cache=True, nogil=True)
def _sign(correct) -> float:
    return 0.0 if correct < 0.0 else correct - 0.5


@njit(cache=True, nogil=True)
def _pause(now, before) -> float:
    """Log of the days since ``before``, scaled to about -0.7 (seconds) … 1 (years); 0 where there is nothing before."""
    return 0.0 if before == _NEVER else math.log(max(now - before, 1e-4) * 1e4) / 10.0 - 0.7


@njit(cache=True, nogil=True)
def describe(
    student, item, topic, pair, repeat, day, correct, logit, students, pairs, repeats, features, last_item, learn
) -> None:
    """Fill ``features`` (n, N_FEATURES) and ``last_item`` (n,): 2 · previous item + its correctness, -1 for none.

    ``pair`` and ``repeat`` are slots of the histories ``pairs`` and ``repeats``. With ``learn`` the histories go on.
    """
    for n in range(len(student)):
        own, of_topic, of_item = students[student[n]], pairs[pair[n]], repeats[repeat[n]]
        same = 1.0 if own[LAST_TOPIC] == topic[n] else 0.0
        last, last_in_topic, last_to_item = _sign(own[LAST_CORRECT]), _sign(of_topic[CORRECT]), _sign(of_item[CORRECT])
        pause, pause_of_item = _pause(day[n], own[LAST_TIME]), _pause(day[n], of_item[TIME])
        row = features[n]
        row[0] = 1.0
        row[1] = 0.5 * logit[n]
        row[2] = math.log1p(of_topic[RIGHT])
        row[3] = math.log1p(of_topic[WRONG])
        row[4] = math.log1p(of_item[RIGHT])
        row[5] = math.log1p(of_item[WRONG])
        row[6] = last
        row[7] = last_in_topic
        row[8] = last_to_item
        row[9] = _sign(own[BEFORE_LAST])
        row[10] = same
        row[11] = last * same
        row[12] = pause
        row[13] = _pause(day[n], of_topic[TIME])
        row[14] = pause_of_item
        row[15] = pause * last
        row[16] = pause_of_item * last_to_item
        row[17] = 1.0 if of_item[TIME] != _NEVER else 0.0
        row[18] = math.log1p(own[ANSWERED]) / 3.0
        row[19] = 1.0 if of_topic[TIME] == _NEVER else 0.0
        last_item[n] = -1 if own[LAST_CORRECT] < 0 else 2 * int(own[LAST_ITEM]) + int(own[LAST_CORRECT])
        if learn:
            y = float(correct[n])
            for history in (of_topic, of_item):
                history[RIGHT] += y
                history[WRONG] += 1.0 - y
                history[CORRECT] = y
                history[TIME] = day[n]
            own[BEFORE_LAST] = own[LAST_CORRECT]
            own[LAST_CORRECT], own[LAST_ITEM], own[LAST_TOPIC] = y, item[n], topic[n]
            own[LAST_TIME] = day[n]
            own[ANSWERED] += 1.0


@njit(cache=True, nogil=True, fastmath=FASTMATH)
def predict_and_learn(
    logit, variance, day, correct, features, codes, loadings, settings, effects, coefficients, covariance, p, learn
) -> float:
    """P(right) of every row, before its answer; returns Σ log P(answer). With ``learn`` beliefs follow the answers.

    ``codes`` (n, C) are rows of ``effects`` (all effects of all kinds, 3), -1 for none; ``loadings`` (n, C). ``settings``
    (C, 3): first variance, variance a day, and rate of fading a day; an effect that fades gains no variance beyond the first.
    """
    n_kinds, n_features = codes.shape[1], features.shape[1]
    gain = np.empty(n_features)
    total = 0.0
    for n in range(len(logit)):
        mean, v = logit[n], variance[n]
        for c in range(n_kinds):
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
            mean += loadings[n, c] * average
            v += loadings[n, c] * loadings[n, c] * spread
        for f in range(n_features):
            mean += coefficients[f] * features[n, f]
            through = 0.0
            for g in range(n_features):
                through += covariance[f, g] * features[n, g]
            gain[f] = through
        for f in range(n_features):
            v += gain[f] * features[n, f]
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
                across = loadings[n, c] * effect[VARIANCE]
                effect[MEAN] += across * step
                effect[VARIANCE] -= across * across * curvature
        for f in range(n_features):
            coefficients[f] += gain[f] * step
            for g in range(n_features):
                covariance[f, g] -= gain[f] * gain[g] * curvature
    return total
