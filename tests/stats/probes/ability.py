"""Good calls of ``stats.ability``."""

from functools import cache

import numpy as np

RNG = np.random.default_rng(0)
N_ANSWERS = 48
STUDENT, ITEM = np.arange(N_ANSWERS) % 4, np.arange(N_ANSWERS) % 6
DAY = np.sort(RNG.uniform(0, 27, N_ANSWERS))
CORRECT = np.arange(N_ANSWERS) % 3 > 0
NEXT = {
    "student": np.array([0, 1, 9]),
    "item": np.array([1, 2, 8]),
    "topic": np.array([0, 1, 0]),
    "day": np.array([28.0, 29.0, 30.0]),
}


@cache
def answers():
    from seedtest_analytics.stats.ability.data import Answers

    return Answers.of(STUDENT, ITEM, topic=ITEM % 2, day=DAY, correct=CORRECT)


@cache
def later_answers():
    from seedtest_analytics.stats.ability.data import Answers

    return Answers.of([0, 1], [1, 2], topic=[1, 0], day=[28.0, 29.0], correct=[0, 1])


@cache
def hyperparameters():
    from seedtest_analytics.stats.ability.hyperparameters import Hyperparameters

    return Hyperparameters(slope_variance=1e-6)


@cache
def filtered():
    from seedtest_analytics.stats.ability.filtering import run_filter

    return run_filter(answers(), hyperparameters())


def state():
    return filtered().state


@cache
def learned():
    from seedtest_analytics.stats.ability.next_answer import learn_next

    return learn_next(filtered())


def next_state():
    return learned().state


@cache
def filtered_later():
    from seedtest_analytics.stats.ability.filtering import continue_filter

    return continue_filter(state(), later_answers())


@cache
def effects():
    from seedtest_analytics.stats.ability.next_answer_effects import Effect

    return {"item": Effect("item")}


@cache
def evidence():
    from seedtest_analytics.stats.ability.filtering import gather_evidence

    return gather_evidence(answers(), hyperparameters())


@cache
def topics():
    from seedtest_analytics.stats.ability.smoothing import smooth

    return smooth(evidence(), [28.0]).topics


@cache
def levels():
    from seedtest_analytics.stats.ability.smoothing import smooth

    return smooth(evidence(), [28.0]).levels


@cache
def long_log():
    from seedtest_analytics.stats.ability.data import Answers

    code = np.arange(1040)
    # A third of the students knows little, so that the model has something to find.
    is_right = (code % 26 > 8) ^ (code % 5 == 0)
    return Answers.of(code % 26, code % 7, topic=code % 2, day=code / 20, correct=is_right)


PROBES = {
    "ability.data.Answers.of": {"student": STUDENT, "item": ITEM, "topic": ITEM % 2, "day": DAY, "correct": CORRECT},
    "ability.data.KnownItems.of": {"a": np.ones(3), "b": np.array([-1.0, 0.0, 1.0]), "se_b": np.full(3, 0.1)},
    "ability.topic_success.next_in_topic": {"evidence": evidence, "topics": topics, "day": 28.0, "since": 0.0},
    "ability.hyperparameters.Hyperparameters": {
        "level_mean": 0.0,
        "level_variance": 1.0,
        "level_walk": 0.005,
        "slope_mean": 0.0,
        "slope_variance": 0.0,
        "slope_walk": 0.0,
        "topic_spread": 0.2,
        "topic_walk": 0.0005,
        "item_mean": 0.0,
        "item_spread": 1.0,
        "item_topic_spread": 0.3,
        "practice": 0.0,
        "repetition": 0.0,
        "growth_days": 14.0,
        "item_walk": 0.0002,
    },
    "ability.filtering.run_filter": {"answers": answers, "hyperparameters": hyperparameters},
    "ability.filtering.continue_filter": {"state": state, "answers": later_answers},
    "ability.filtering.FilterState.levels": {"self": state, "day": 30.0},
    "ability.filtering.expect": {"state": state, **NEXT},
    "ability.fitting.fit_hyperparameters": {"answers": answers, "max_answers": 40, "max_passes": 2, "threads": 1},
    "ability.filtering.gather_evidence": {"answers": answers, "hyperparameters": hyperparameters, "n_predicted": 3},
    "ability.smoothing.smooth": {
        "evidence": evidence,
        "week_ends": np.array([7.0, 14.0, 28.0]),
        "students": np.array([0, 2]),
        "threads": 1,
    },
    "ability.smoothing.change_between": {
        "evidence": evidence,
        "earlier": np.array([0.0, 14.0]),
        "recent": np.array([14.0, 28.0]),
        "threads": 1,
    },
    "ability.goals.goal_path": {
        "levels": levels,
        "hyperparameters": hyperparameters,
        "days_ahead": np.full(4, 30.0),
        "pace": "own",
        "target": np.full(4, 1.0),
    },
    "ability.walk.walk_forward": {
        "answers": long_log,
        "week_starts": lambda: long_log().day[[0, 600]] + [0, 0.001],
        "refitted": {},
        "weekly": {},
        "refit_days": 28,
    },
    "ability.walk.split_by_student": {"answers": long_log, "peers": {}, "n_folds": 2},
    "ability.next_answer_effects.Effect": {
        "owner": "item",
        "loading": "one",
        "variance": 0.05,
        "walk": 0.001,
        "fade": 0.1,
    },
    "ability.next_answer.fit_next": {"answers": answers, "hyperparameters": hyperparameters},
    "ability.next_answer.learn_next": {"filtered": filtered, "effects": effects},
    "ability.next_answer.continue_next": {"state": next_state, "filtered": filtered_later},
    "ability.next_answer.predict_next": {"ability": state, "state": next_state, **NEXT},
    "ability.next_answer.fit_effects": {"filtered": filtered, "effects": effects, "max_answers": 20, "rounds": 1},
}

DATA = "ability.data.Answers.of ability.data.KnownItems.of ability.hyperparameters.Hyperparameters"
SMOOTHER = f"{DATA} ability.smoothing.smooth ability.smoothing.change_between"

CHECKED_BY_CALLER = [
    ("ability.answer_kernels", "answer_update", DATA),
    ("ability.filter_kernels", "filter_answers levels_at predict_answers", DATA),
    ("ability.memory_kernels", "ask_for_row", DATA),
    ("ability.slot_kernels", "earlier_counts fill_table find_slots", DATA),
    ("ability.fitting", "still_serves", "ability.fitting.fit_hyperparameters ability.walk.walk_forward"),
    ("ability.filtering", "find_slots", "ability.data.Answers.of ability.filtering.expect"),
    ("ability.filter_state", "empty_state grown needed with_room", DATA),
    ("ability.evidence", "by_student items_of", DATA),
    ("ability.origin", "with_origin", DATA),
    ("ability.smoothing", "levels_before", SMOOTHER),
    ("ability.success_kernels", "mean_success", "ability.topic_success.next_in_topic"),
    ("ability.next_answer_kernels", "describe predict_and_learn", f"{DATA} ability.next_answer_effects.Effect"),
    ("ability.smoother_kernels", "combine_students smooth_students", SMOOTHER),
    ("ability.posterior_kernels", "pace student_posterior", SMOOTHER),
    ("ability.layout_kernels", "count_cells count_topics group_by_student lay_out link_answers reuse_slots", SMOOTHER),
    ("ability.matrix_kernels", "invert multiply", SMOOTHER),
]
