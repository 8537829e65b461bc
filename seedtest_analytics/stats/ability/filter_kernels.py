"""The compiled forward filter: one pass over answers in time order.

Belief before an answer of student s to item i of topic k, with all parts Gaussian:

    student     (θ, δ, e) ~ N, level, slope and form, and u_k | θ, e ~ N(α_k + β_k θ + γ_k e, w_k), independent of other
                topics given θ and e
    item        M ~ N, the mean difficulty of the topic, and b_i | M ~ N(α_i + β_i M, w_i)
    answer      η = a_i (θ + e + u_k - b_i) + repetition · log(1 + earlier answers to the item), P(right | η) = logistic(η)

The answer replaces the belief about η by the Gaussian with the mean and variance of the exact posterior (assumed-density
filtering). θ, δ, e, u_k, b_i and M follow by their covariances with η. Parts that are independent of η given θ and e or M,
which are the other topics and items, need no work. The form e fades within days: it is what sets one week apart from the
next. Topics know level and form apart. Given their sum alone they would forget the level as fast as the form fades.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from seedtest_analytics.stats.ability.answer_kernels import answer_update
from seedtest_analytics.stats.ability.memory_kernels import AHEAD, ask_for_row
from seedtest_analytics.stats.compiled import ask_for, njit
from seedtest_analytics.stats.irt.kernels import FASTMATH

THETA, SLOPE, P11, P12, P22, LAST_DAY, ANSWERED, FORM, P13, P23, P33 = range(11)
R11, R12, R21, R22, A1, A2, W11, W12, W22 = range(11, 20)
"""Columns of a student; ``Pjk`` are the covariances of level, slope and form. R (2, 2), A (2,) and W (2, 2) compose the changes
of (β, γ), α and w of its topics since they were last brought up to date; see ``_advance_student``."""
N_STUDENT = 20
ALPHA, BETA, GAMMA, RESIDUAL, PAIR_DAY, COUNT = range(6)
"""Columns of a student's topic, without the student's R, A and W: with β = (β, γ), the topic has Rᵀ β, α + β·A and w + βᵀ W β."""
N_PAIR = 6
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

_REBASE_BELOW = 1e-4
"""Below this determinant of R, which a topic is divided by, all topics of the student are brought up to date."""
_NEVER = -1e300


@njit(cache=True, nogil=True, fastmath=FASTMATH)
def _topic_of(pair, student) -> tuple[Any, Any, Any, Any]:
    """α, β, γ and w of a topic now."""
    b, c = pair[BETA], pair[GAMMA]
    return (
        pair[ALPHA] + b * student[A1] + c * student[A2],
        b * student[R11] + c * student[R21],
        b * student[R12] + c * student[R22],
        pair[RESIDUAL] + b * b * student[W11] + 2.0 * b * c * student[W12] + c * c * student[W22],
    )


@njit(cache=True, nogil=True, fastmath=FASTMATH)
def _keep_topic(pair, student, alpha, beta, gamma, residual) -> None:
    """Store what a topic has now: the inverse of ``_topic_of``."""
    scale = 1.0 / (student[R11] * student[R22] - student[R12] * student[R21])
    b = (beta * student[R22] - gamma * student[R21]) * scale
    c = (gamma * student[R11] - beta * student[R12]) * scale
    residual -= b * b * student[W11] + 2.0 * b * c * student[W12] + c * c * student[W22]
    alpha -= b * student[A1] + c * student[A2]
    pair[ALPHA], pair[BETA], pair[GAMMA], pair[RESIDUAL] = alpha, b, c, residual


@njit(cache=True, nogil=True, fastmath=FASTMATH)
def _advance_student(student, day, h) -> None:
    """Move level, slope and form to ``day``; note what the move does to (α, β, γ, w) of every topic.

    With z = (θ, e) and C = cov(z_old, z_new) var(z_new)⁻¹, regression of u on z_new instead of z_old gives
    β → Cᵀ β, α → α + β·(m_old - C m_new), w → w + βᵀ (P_old - C var(z_new) Cᵀ) β: three sums that compose.
    """
    days = max(day - student[LAST_DAY], 0.0)
    student[LAST_DAY] = max(day, student[LAST_DAY])
    if days == 0.0:
        return
    growth = min(days, h[GROWTH_DAYS])
    theta, slope, form = student[THETA], student[SLOPE], student[FORM]
    p11, p12, p22 = student[P11], student[P12], student[P22]
    p13, p23, p33 = student[P13], student[P23], student[P33]
    c11 = p11 + growth * p12
    n11 = c11 + growth * (p12 + growth * p22) + h[LEVEL_WALK] * days
    r11, r12, r21, r22 = c11 / n11, 0.0, 0.0, 1.0
    v11, v12, v22 = p11 - r11 * c11, 0.0, 0.0
    new_theta, new_form = theta + growth * slope, 0.0
    if h[FORM_VARIANCE] > 0.0:
        kept = math.exp(-days / h[FORM_DAYS])
        c21 = p13 + growth * p23
        c12, c22 = kept * p13, kept * p33
        n13, n33 = kept * c21, kept * c22 + (1.0 - kept * kept) * h[FORM_VARIANCE]
        scale = 1.0 / (n11 * n33 - n13 * n13)
        r11, r12 = (c11 * n33 - c12 * n13) * scale, (c12 * n11 - c11 * n13) * scale
        r21, r22 = (c21 * n33 - c22 * n13) * scale, (c22 * n11 - c21 * n13) * scale
        v11 = p11 - r11 * c11 - r12 * c12
        v12 = p13 - r11 * c21 - r12 * c22
        v22 = p33 - r21 * c21 - r22 * c22
        new_form = kept * form
        student[FORM], student[P13], student[P23], student[P33] = new_form, n13, kept * p23, n33
    student[THETA], student[P11], student[P12] = new_theta, n11, p12 + growth * p22
    student[P22] = p22 + h[SLOPE_WALK] * days
    m1 = theta - r11 * new_theta - r12 * new_form
    m2 = form - r21 * new_theta - r22 * new_form
    a, b, c, d = student[R11], student[R12], student[R21], student[R22]
    student[A1] += a * m1 + b * m2
    student[A2] += c * m1 + d * m2
    av1, av2 = a * v11 + b * v12, a * v12 + b * v22
    student[W11] += av1 * a + av2 * b
    student[W12] += av1 * c + av2 * d
    student[W22] += (c * v11 + d * v12) * c + (c * v12 + d * v22) * d
    student[R11], student[R12] = a * r11 + b * r21, a * r12 + b * r22
    student[R21], student[R22] = c * r11 + d * r21, c * r12 + d * r22


@njit(cache=True, nogil=True, fastmath=FASTMATH)
def _rebase(student, pairs, next_pair, first_pair) -> None:
    """Bring all topics of the student up to date where R is nearly singular."""
    if abs(student[R11] * student[R22] - student[R12] * student[R21]) > _REBASE_BELOW:
        return
    slot = first_pair
    while slot >= 0:
        pair = pairs[slot]
        pair[ALPHA], pair[BETA], pair[GAMMA], pair[RESIDUAL] = _topic_of(pair, student)
        slot = next_pair[slot]
    for column in range(R11, N_STUDENT):
        student[column] = 0.0
    student[R11], student[R22] = 1.0, 1.0


@njit(cache=True, nogil=True, fastmath=FASTMATH)
def _free(slot, pairs, next_pair, first_pair, s) -> None:
    """Take a pair out of the list of its student; the row is that of a new pair again."""
    if first_pair[s] == slot:
        first_pair[s] = next_pair[slot]
    else:
        before = first_pair[s]
        while next_pair[before] != slot:
            before = next_pair[before]
        next_pair[before] = next_pair[slot]
    for column in range(N_PAIR):
        pairs[slot, column] = 0.0
    pairs[slot, PAIR_DAY] = _NEVER


@njit(cache=True, nogil=True, fastmath=FASTMATH)
def _expected(student, alpha, beta, gamma, residual, item, topic, a, repetition) -> Any:
    """Mean and variance of η, its covariances with level and form, mean and variance of b."""
    steep, form_steep = a * (1.0 + beta), a * (1.0 + gamma)
    b = item[ITEM_ALPHA] + item[ITEM_BETA] * topic[TOPIC_MEAN]
    b_variance = item[ITEM_RESIDUAL] + item[ITEM_BETA] * item[ITEM_BETA] * topic[TOPIC_VARIANCE]
    mean = steep * student[THETA] + form_steep * student[FORM] + a * (alpha - b) + repetition
    theta_cov = steep * student[P11] + form_steep * student[P13]
    form_cov = steep * student[P13] + form_steep * student[P33]
    variance = steep * theta_cov + form_steep * form_cov + a * a * (residual + b_variance)
    return mean, variance, theta_cov, form_cov, b, b_variance


@njit(cache=True, nogil=True, fastmath=FASTMATH)
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
        if n + AHEAD < len(student_code):
            later, later_slot = student_code[n + AHEAD], pair_slot[n + AHEAD]
            if later_slot < 0:
                later_slot = ~later_slot
            ask_for_row(students[later])
            ask_for(first_pair, later)
            ask_for_row(pairs[later_slot])
            ask_for(next_pair, later_slot)
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
            _rebase(student, pairs, next_pair, first_pair[s])
        if pair[PAIR_DAY] == _NEVER:
            pair[RESIDUAL] = h[TOPIC_SPREAD]
            next_pair[slot] = first_pair[s]
            first_pair[s] = slot
        else:
            pair[RESIDUAL] += h[TOPIC_WALK] * max(day[n] - pair[PAIR_DAY], 0.0)
        pair[PAIR_DAY] = max(day[n], pair[PAIR_DAY])

        if item[ITEM_DAY] != _NEVER:
            item[ITEM_RESIDUAL] += item[ITEM_MOVES] * h[ITEM_WALK] * max(day[n] - item[ITEM_DAY], 0.0)
        item[ITEM_DAY] = max(day[n], item[ITEM_DAY])
        a = discrimination[i]
        repetition = h[REPETITION] * math.log1p(earlier[n]) if earlier[n] > 0 else 0.0
        alpha, beta, gamma, residual = _topic_of(pair, student)
        mean, v, theta_cov, form_cov, b, b_variance = _expected(
            student, alpha, beta, gamma, residual, item, topic, a, repetition
        )
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

        # Given level and form, the answer says of η what is left of its precision by their variance.
        others = v - a * a * (residual + b_variance)
        shrink = a * a * residual * curvature / (1.0 - others * curvature)
        p11, p12, p22 = student[P11], student[P12], student[P22]
        p13, p23, p33 = student[P13], student[P23], student[P33]
        slope_cov = a * ((1.0 + beta) * p12 + (1.0 + gamma) * p23)
        theta, form = student[THETA], student[FORM]
        u = alpha + beta * theta + gamma * form + (beta * theta_cov + gamma * form_cov + a * residual) * g
        theta, form = theta + theta_cov * g, form + form_cov * g
        student[THETA], student[FORM] = theta, form
        student[SLOPE] += slope_cov * g
        theta_drop, form_drop, slope_drop = theta_cov * curvature, form_cov * curvature, slope_cov * curvature
        student[P11] = p11 - theta_cov * theta_drop
        student[P12] = p12 - slope_cov * theta_drop
        student[P22] = p22 - slope_cov * slope_drop
        student[P13] = p13 - form_cov * theta_drop
        student[P23] = p23 - form_cov * slope_drop
        student[P33] = p33 - form_cov * form_drop
        beta, gamma = beta - shrink * (1.0 + beta), gamma - shrink * (1.0 + gamma)
        _keep_topic(pair, student, u - beta * theta - gamma * form, beta, gamma, residual * (1.0 - shrink))
        pair[COUNT] += 1.0
        # Practice moves θ by a known amount; the regressions of all topics on θ follow.
        student[ANSWERED] += 1.0
        if h[PRACTICE] != 0.0:
            gain = h[PRACTICE] * math.log((1.0 + student[ANSWERED]) / student[ANSWERED])
            student[THETA] += gain
            student[A1] -= student[R11] * gain
            student[A2] -= student[R21] * gain
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


@njit(cache=True, nogil=True, fastmath=FASTMATH)
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
            pair[RESIDUAL] += h[TOPIC_WALK] * max(day[n] - pair[PAIR_DAY], 0.0)
        i = item_code[n]
        topic = topics[item_topic[i] if item_topic[i] >= 0 else topic_code[n]]
        repetition = h[REPETITION] * math.log1p(earlier[n])
        item = items[i].copy()
        if item[ITEM_DAY] != _NEVER:
            item[ITEM_RESIDUAL] += item[ITEM_MOVES] * h[ITEM_WALK] * max(day[n] - item[ITEM_DAY], 0.0)
        alpha, beta, gamma, residual = _topic_of(pair, student)
        mean, v, _, _, _, _ = _expected(
            student, alpha, beta, gamma, residual, item, topic, discrimination[i], repetition
        )
        logit[n], variance[n] = mean, v
        probability[n] = answer_update(mean, v, 1)[0]
    return probability, logit, variance


@njit(cache=True, nogil=True, fastmath=FASTMATH)
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
