"""The compiled forward filter: one pass over answers in time order.

Belief before an answer of student s to item i of topic k, with all parts Gaussian:

    student     (θ, δ, e) ~ N, level, slope and form, L = θ + e, and u_k | L ~ N(α_k + β_k L, w_k), independent of other
                topics given L
    item        M ~ N, the mean difficulty of the topic, and b_i | M ~ N(α_i + β_i M, w_i)
    answer      η = a_i (L + u_k - b_i) + repetition · log(1 + earlier answers to the item), P(right | η) = logistic(η)

The answer replaces the belief about η by the Gaussian with the mean and variance of the exact posterior (assumed-density
filtering). θ, δ, e, u_k, b_i and M follow by their covariances with η. Parts that are independent of η given θ or M, which
are the other topics and items, need no work. The form e fades within days: it is what sets one week apart from the next.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from seedtest_analytics.stats.compiled import njit

THETA, SLOPE, P11, P12, P22, LAST_DAY, R_SUM, A_SUM, W_SUM, ANSWERED, FORM, P13, P23, P33 = range(14)
"""Columns of a student; ``Pjk`` are the covariances of level, slope and form. The sums compose the changes of (α, β, w) of its
topics; see ``_advance_student``."""
N_STUDENT = 14
ALPHA, BETA, RESIDUAL, R_SEEN, A_SEEN, W_SEEN, PAIR_DAY, COUNT = range(8)
"""Columns of a student's topic. ``*_SEEN`` are the student's sums when the topic was last up to date."""
N_PAIR = 8
ITEM_ALPHA, ITEM_BETA, ITEM_RESIDUAL, ITEM_DAY, ITEM_MOVES = range(5)
"""``ITEM_MOVES`` is 1 where the difficulty may drift, 0 where a calibration holds it."""
N_ITEM = 5
TOPIC_MEAN, TOPIC_VARIANCE = range(2)
(
    LEVEL_MEAN,
    LEVEL_VARIANCE,
    LEVEL_WALK,
    SLOPE_MEAN,
    SLOPE_VARIANCE,
    SLOPE_WALK,
    TOPIC_SPREAD,
    TOPIC_WALK,
    ITEM_MEAN,
    ITEM_SPREAD,
    ITEM_TOPIC_SPREAD,
    PRACTICE,
    REPETITION,
    GROWTH_DAYS,
    ITEM_WALK,
    FORM_VARIANCE,
    FORM_DAYS,
) = range(17)
"""Positions of the hyperparameters."""

_REBASE_BELOW = 1e-3
"""β of a topic that waited is β · R / R_SEEN; below this R all topics of the student are brought up to date."""
_NEVER = -1e300


def _gauss_hermite(n: int) -> tuple[Any, Any]:
    """Nodes from 0 up, of an odd number, and their weights; each node above 0 stands for the one below it too."""
    nodes, weights = np.polynomial.hermite_e.hermegauss(n)
    half = slice(n // 2, None)
    return np.ascontiguousarray(nodes[half]), np.ascontiguousarray(weights[half] / weights.sum())


_NODES, _WEIGHTS = _gauss_hermite(9)
_WIDE_NODES, _WIDE_WEIGHTS = _gauss_hermite(17)
_WIDE_ABOVE = 3.0
"""Above this variance 9 points leave an error of more than 0.001."""


@njit(cache=True, nogil=True)
def answer_update(mean, variance, is_right) -> tuple[Any, Any, Any]:
    """P(right), g = d log Z / d mean and h = -d² log Z / d mean² with Z = E P(answer | η), η ~ N(mean, variance).

    The posterior of η has mean + variance · g and variance - variance² · h (Gauss-Hermite).
    """
    sign = 1.0 if is_right == 1 else -1.0
    if variance < 1e-8:
        p = 1.0 / (1.0 + math.exp(-mean))
        return p, (1.0 - p if is_right == 1 else -p), p * (1.0 - p)
    sd = math.sqrt(variance)
    odds = math.exp(-sign * mean)
    first, second = 0.0, 0.0
    # Nodes are symmetric about 0, and exp(-x) = 1 / exp(x): one exponential serves two of them.
    if variance < _WIDE_ABOVE:
        z = _WEIGHTS[0] / (1.0 + odds)
        for q in range(1, 5):
            x = _NODES[q]
            factor = math.exp(sd * x)
            above = _WEIGHTS[q] * factor / (factor + odds)
            below = _WEIGHTS[q] / (1.0 + odds * factor)
            z += above + below
            first += (above - below) * x
            second += (above + below) * x * x
    else:
        z = _WIDE_WEIGHTS[0] / (1.0 + odds)
        for q in range(1, 9):
            x = _WIDE_NODES[q]
            factor = math.exp(sd * x)
            above = _WIDE_WEIGHTS[q] * factor / (factor + odds)
            below = _WIDE_WEIGHTS[q] / (1.0 + odds * factor)
            z += above + below
            first += (above - below) * x
            second += (above + below) * x * x
    shift = sign * first / z
    return (z if is_right == 1 else 1.0 - z), shift / sd, (1.0 - (second / z - shift * shift)) / variance


@njit(cache=True, nogil=True)
def _bring_up_to_date(pair, student) -> None:
    """Apply to one topic the moves of the level since the topic was last seen."""
    scale = student[R_SUM] / pair[R_SEEN]
    beta = pair[BETA]
    weight = beta / pair[R_SEEN]
    pair[ALPHA] += weight * (student[A_SUM] - pair[A_SEEN])
    pair[RESIDUAL] += weight * weight * (student[W_SUM] - pair[W_SEEN])
    pair[BETA] = beta * scale
    pair[R_SEEN], pair[A_SEEN], pair[W_SEEN] = student[R_SUM], student[A_SUM], student[W_SUM]


@njit(cache=True, nogil=True)
def _advance_student(student, day, h) -> None:
    """Move level and slope to ``day``; note what the move does to (α, β, w) of every topic.

    With r = cov(L_new, L_old) / var(L_new), regression of u on L_new instead of L_old gives
    β → r β, α → α + β (m_old - r m_new), w → w + β² (P_old - r² P_new): three sums that compose.
    """
    days = max(day - student[LAST_DAY], 0.0)
    student[LAST_DAY] = max(day, student[LAST_DAY])
    if days == 0.0:
        return
    growth = min(days, h[GROWTH_DAYS])
    old_mean, old_variance = student[THETA], student[P11]
    new_theta = old_mean + growth * student[SLOPE]
    new_mean = new_theta
    covariance = old_variance + growth * student[P12]
    new_p11 = covariance + growth * (student[P12] + growth * student[P22]) + h[LEVEL_WALK] * days
    new_variance = new_p11
    if h[FORM_VARIANCE] > 0.0:
        kept = math.exp(-days / h[FORM_DAYS])
        old_mean += student[FORM]
        old_variance += 2.0 * student[P13] + student[P33]
        across = student[P13] + growth * student[P23]
        covariance += across + kept * (student[P13] + student[P33])
        student[FORM] *= kept
        student[P13] = kept * across
        student[P23] *= kept
        student[P33] = kept * kept * student[P33] + (1.0 - kept * kept) * h[FORM_VARIANCE]
        new_mean += student[FORM]
        new_variance += 2.0 * student[P13] + student[P33]
    r = covariance / new_variance
    student[A_SUM] += student[R_SUM] * (old_mean - r * new_mean)
    student[W_SUM] += student[R_SUM] * student[R_SUM] * max(old_variance - r * r * new_variance, 0.0)
    student[R_SUM] *= r
    student[THETA] = new_theta
    student[P11] = new_p11
    student[P12] += growth * student[P22]
    student[P22] += h[SLOPE_WALK] * days


@njit(cache=True, nogil=True)
def _rebase(student, pairs, next_pair, first_pair) -> None:
    slot = first_pair
    while slot >= 0:
        _bring_up_to_date(pairs[slot], student)
        pairs[slot, R_SEEN], pairs[slot, A_SEEN], pairs[slot, W_SEEN] = 1.0, 0.0, 0.0
        slot = next_pair[slot]
    student[R_SUM], student[A_SUM], student[W_SUM] = 1.0, 0.0, 0.0


@njit(cache=True, nogil=True)
def _free(slot, pairs, next_pair, first_pair, s) -> None:
    """Take a pair out of the list of its student; the row is that of a new pair again."""
    if first_pair[s] == slot:
        first_pair[s] = next_pair[slot]
    else:
        before = first_pair[s]
        while next_pair[before] != slot:
            before = next_pair[before]
        next_pair[before] = next_pair[slot]
    pairs[slot, ALPHA], pairs[slot, BETA], pairs[slot, PAIR_DAY], pairs[slot, COUNT] = 0.0, 0.0, _NEVER, 0.0


@njit(cache=True, nogil=True)
def _expected(student, pair, item, topic, a, repetition) -> Any:
    """Mean and variance of η, mean and variance of b, for parts that are up to date."""
    level, beta = student[THETA] + student[FORM], pair[BETA]
    level_variance = student[P11] + 2.0 * student[P13] + student[P33]
    b = item[ITEM_ALPHA] + item[ITEM_BETA] * topic[TOPIC_MEAN]
    b_variance = item[ITEM_RESIDUAL] + item[ITEM_BETA] * item[ITEM_BETA] * topic[TOPIC_VARIANCE]
    mean = a * (level + pair[ALPHA] + beta * level - b) + repetition
    variance = a * a * ((1.0 + beta) * (1.0 + beta) * level_variance + pair[RESIDUAL] + b_variance)
    return mean, variance, b, b_variance


@njit(cache=True, nogil=True)
def filter_answers(
    student_code,
    item_code,
    topic_code,
    pair_slot,
    earlier,
    day,
    correct,
    h,
    discrimination,
    students,
    first_pair,
    pairs,
    next_pair,
    items,
    item_topic,
    topics,
    probability,
    logit,
    variance,
    item_precision,
    item_shift,
) -> float:
    """Filter all rows in their order; the state arrays change in place. Returns Σ log P(answer).

    ``pair_slot`` is the row of ``pairs``, or ``~row`` at the last answer after which the row is free for another pair.
    The last five arguments take results of as many of the last answers as they have room for.
    """
    total, product = 0.0, 1.0
    stored_from = len(student_code) - len(probability)
    store_items = len(item_precision) > 0
    for n in range(len(student_code)):
        s, i = student_code[n], item_code[n]
        slot = pair_slot[n]
        is_freed = slot < 0
        if is_freed:
            slot = ~slot
        student, pair = students[s], pairs[slot]
        if item_topic[i] < 0:
            item_topic[i] = topic_code[n]
        item, topic = items[i], topics[item_topic[i]]
        if student[LAST_DAY] == _NEVER:
            student[LAST_DAY] = day[n]
        else:
            _advance_student(student, day[n], h)
            if abs(student[R_SUM]) < _REBASE_BELOW:
                _rebase(student, pairs, next_pair, first_pair[s])
        if pair[PAIR_DAY] == _NEVER:
            pair[RESIDUAL] = h[TOPIC_SPREAD]
            pair[R_SEEN], pair[A_SEEN], pair[W_SEEN] = student[R_SUM], student[A_SUM], student[W_SUM]
            next_pair[slot] = first_pair[s]
            first_pair[s] = slot
        else:
            _bring_up_to_date(pair, student)
            pair[RESIDUAL] += h[TOPIC_WALK] * max(day[n] - pair[PAIR_DAY], 0.0)
        pair[PAIR_DAY] = max(day[n], pair[PAIR_DAY])

        if item[ITEM_DAY] != _NEVER:
            item[ITEM_RESIDUAL] += item[ITEM_MOVES] * h[ITEM_WALK] * max(day[n] - item[ITEM_DAY], 0.0)
        item[ITEM_DAY] = max(day[n], item[ITEM_DAY])
        a = discrimination[i]
        repetition = h[REPETITION] * math.log1p(earlier[n]) if earlier[n] > 0 else 0.0
        mean, v, b, b_variance = _expected(student, pair, item, topic, a, repetition)
        p13, p23, p33, beta = student[P13], student[P23], student[P33], pair[BETA]
        level, level_variance = student[THETA] + student[FORM], student[P11] + 2.0 * p13 + p33
        u = pair[ALPHA] + beta * level
        item_beta, topic_variance = item[ITEM_BETA], topic[TOPIC_VARIANCE]
        p, g, curvature = answer_update(mean, v, correct[n])
        product *= max(p if correct[n] == 1 else 1.0 - p, 1e-12)
        if product < 1e-250:  # one logarithm for many answers
            total += math.log(product)
            product = 1.0
        if n >= stored_from:
            probability[n - stored_from] = p
            logit[n - stored_from] = mean
            variance[n - stored_from] = v

        steep = a * (1.0 + beta)
        theta_cov, slope_cov, form_cov = steep * (student[P11] + p13), steep * (student[P12] + p23), steep * (p13 + p33)
        level_cov = theta_cov + form_cov
        u_cov = a * (beta * (1.0 + beta) * level_variance + pair[RESIDUAL])
        u_variance = pair[RESIDUAL] + beta * beta * level_variance - u_cov * u_cov * curvature
        level_u = beta * level_variance - level_cov * u_cov * curvature
        student[THETA] += theta_cov * g
        student[SLOPE] += slope_cov * g
        student[FORM] += form_cov * g
        student[P11] -= theta_cov * theta_cov * curvature
        student[P12] -= theta_cov * slope_cov * curvature
        student[P22] -= slope_cov * slope_cov * curvature
        student[P13] -= theta_cov * form_cov * curvature
        student[P23] -= slope_cov * form_cov * curvature
        student[P33] -= form_cov * form_cov * curvature
        pair[BETA] = level_u / (level_variance - level_cov * level_cov * curvature)
        pair[RESIDUAL] = max(u_variance - pair[BETA] * level_u, 0.0)
        pair[ALPHA] = u + u_cov * g - pair[BETA] * (level + level_cov * g)
        pair[COUNT] += 1.0
        # Practice moves θ by a known amount; the regressions of topics on θ follow.
        student[ANSWERED] += 1.0
        if h[PRACTICE] != 0.0:
            gain = h[PRACTICE] * math.log((1.0 + student[ANSWERED]) / student[ANSWERED])
            student[THETA] += gain
            pair[ALPHA] -= pair[BETA] * gain
            student[A_SUM] -= student[R_SUM] * gain
            pair[A_SEEN] = student[A_SUM]
        if is_freed:
            _free(slot, pairs, next_pair, first_pair, s)

        if store_items:
            # The answer's message to b: the posterior divided by the prior.
            precision = a * a * curvature / max(1.0 - a * a * b_variance * curvature, 1e-9)
            item_precision[n] = precision
            item_shift[n] = precision * b - a * g * (1.0 + precision * b_variance)
        b_cov, topic_cov = -a * b_variance, -a * item_beta * topic_variance
        b_new, b_variance_new = b + b_cov * g, b_variance - b_cov * b_cov * curvature
        b_topic = item_beta * topic_variance - b_cov * topic_cov * curvature
        topic[TOPIC_MEAN] += topic_cov * g
        topic[TOPIC_VARIANCE] = topic_variance - topic_cov * topic_cov * curvature
        item[ITEM_BETA] = b_topic / topic[TOPIC_VARIANCE] if topic[TOPIC_VARIANCE] > 0.0 else 0.0
        item[ITEM_RESIDUAL] = max(b_variance_new - item[ITEM_BETA] * b_topic, 0.0)
        item[ITEM_ALPHA] = b_new - item[ITEM_BETA] * topic[TOPIC_MEAN]
    return total + math.log(product)


@njit(cache=True, nogil=True)
def predict_answers(
    student_code,
    item_code,
    topic_code,
    pair_slot,
    earlier,
    day,
    h,
    discrimination,
    students,
    pairs,
    items,
    item_topic,
    topics,
) -> Any:
    """(n,) probability, logit and its variance of answers that are not given yet, each as the next one of its student.

    ``pair_slot`` is -1 where the student has no answer in the topic. No state changes.
    """
    size = len(student_code)
    probability, logit, variance = np.empty(size), np.empty(size), np.empty(size)
    for n in range(size):
        student = students[student_code[n]].copy()
        if student[LAST_DAY] != _NEVER:
            _advance_student(student, day[n], h)
        pair = np.zeros(N_PAIR)
        if pair_slot[n] < 0:
            pair[RESIDUAL] = h[TOPIC_SPREAD]
        else:
            pair[:] = pairs[pair_slot[n]]
            _bring_up_to_date(pair, student)
            pair[RESIDUAL] += h[TOPIC_WALK] * max(day[n] - pair[PAIR_DAY], 0.0)
        i = item_code[n]
        topic = topics[item_topic[i] if item_topic[i] >= 0 else topic_code[n]]
        repetition = h[REPETITION] * math.log1p(earlier[n])
        item = items[i].copy()
        if item[ITEM_DAY] != _NEVER:
            item[ITEM_RESIDUAL] += item[ITEM_MOVES] * h[ITEM_WALK] * max(day[n] - item[ITEM_DAY], 0.0)
        mean, v, _, _ = _expected(student, pair, item, topic, discrimination[i], repetition)
        logit[n], variance[n] = mean, v
        probability[n] = answer_update(mean, v, 1)[0]
    return probability, logit, variance


@njit(cache=True, nogil=True)
def levels_at(students, day, h) -> Any:
    """(n_students,) level and its variance at ``day``, that of the day's form included. Silence leaves the mean and widens the
    variance."""
    level, variance = np.empty(len(students)), np.empty(len(students))
    for s in range(len(students)):
        days = 0.0 if students[s, LAST_DAY] == _NEVER else max(day - students[s, LAST_DAY], 0.0)
        growth = min(days, h[GROWTH_DAYS])
        level[s] = students[s, THETA]
        variance[s] = students[s, P11] + h[LEVEL_WALK] * days + growth * growth * students[s, P22] + h[FORM_VARIANCE]
    return level, variance
