"""P(the next answer in a topic is right): the share that happens, the mean of the questions, and topics without any."""

from dataclasses import replace

import numpy as np
import pytest
from scipy.integrate import quad
from scipy.special import expit
from scipy.stats import norm

from seedtest_analytics.stats.ability.errors import AbilityDataError
from seedtest_analytics.stats.ability.filtering import gather_evidence
from seedtest_analytics.stats.ability.hyperparameters import Hyperparameters
from seedtest_analytics.stats.ability.smoothing import smooth
from seedtest_analytics.stats.ability.topic_success import N_QUESTIONS, next_in_topic
from tests.stats.ability._simulation import simulate

TRUTH = Hyperparameters(level_walk=0.002, topic_spread=0.5, slope_variance=0.0, practice=0.0, repetition=0.0)


def test_the_predicted_share_is_the_share_that_is_right() -> None:
    """By the truth, within four standard errors, in each third of the predictions. 600 students, 6 topics, seed 911."""
    cohort = simulate(TRUTH, seed=911, n_students=600, n_items=240, weeks=8)
    evidence = gather_evidence(cohort.answers, TRUTH, items=cohort.known_items)
    end = float(cohort.level.shape[1] - 1)
    topics = smooth(evidence, [end]).topics
    predicted = next_in_topic(evidence, topics, day=end, since=0.0)
    ability = cohort.level[topics.student, -1] + cohort.deviation[topics.student, topics.topic]
    truth = np.empty(len(predicted))
    for code in np.unique(topics.topic):
        rows, items = topics.topic == code, cohort.difficulty[cohort.item_topic == code]
        truth[rows] = (1 / (1 + np.exp(items - ability[rows][:, None]))).mean(axis=1)
    for third in np.array_split(np.argsort(predicted), 3):
        error = predicted[third] - truth[third]
        assert abs(error.mean()) < 4 * error.std() / np.sqrt(len(third) / cohort.deviation.shape[1])
    assert np.corrcoef(predicted, truth)[0, 1] > 0.8


def test_it_is_the_mean_over_questions_of_the_topic() -> None:
    """By numerical integration, with repetition: as many items as questions, each answered as often as the others lately."""
    truth = replace(TRUTH, repetition=0.2)
    cohort = simulate(truth, seed=912, n_students=30, n_items=N_QUESTIONS, n_topics=1, weeks=4)
    evidence = gather_evidence(cohort.answers, truth)
    topics = smooth(evidence, [28.0]).topics.take(np.array([3]))
    items, since = evidence.answers.item, float(evidence.answers.day[-40])
    difficulty, error = evidence.difficulties()
    asked = np.sort(difficulty[items[evidence.answers.day >= since]])
    ranks = asked[((np.arange(N_QUESTIONS) + 0.5) / N_QUESTIONS * len(asked)).astype(int)]
    expected = []
    for b in ranks:
        item = int(np.flatnonzero(difficulty == b)[0])
        times = int(((evidence.answers.student == topics.student[0]) & (items == item)).sum())
        drift = truth.item_walk * (28.0 - evidence.answers.day[items == item].max())
        sd = np.sqrt(topics.ability_se[0] ** 2 + error[item] ** 2 + drift)
        mean = topics.ability[0] - b + truth.repetition * np.log1p(times)
        expected.append(quad(lambda x, m=mean, sd=sd: expit(x) * norm.pdf(x, m, sd), mean - 9 * sd, mean + 9 * sd)[0])
    found = next_in_topic(evidence, topics, day=28.0, since=since)
    assert found[0] == pytest.approx(np.mean(expected), abs=2e-4)


def test_a_topic_without_recent_answers_and_unknown_students() -> None:
    cohort = simulate(TRUTH, seed=913, n_students=30, n_items=30, n_topics=2, weeks=4)
    evidence = gather_evidence(cohort.answers, TRUTH, items=cohort.known_items)
    topics = smooth(evidence, [60.0]).topics
    assert np.isnan(next_in_topic(evidence, topics, day=60.0, since=50.0)).all()
    strange = replace(topics, student=topics.student + 30)
    with pytest.raises(AbilityDataError, match="some students have no answer"):
        next_in_topic(evidence, strange, day=60.0, since=0.0)
