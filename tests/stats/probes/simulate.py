"""Good calls of ``stats.simulate``."""

import datetime as dt
from functools import cache

import numpy as np

FIELDS = {
    "n_students": 3,
    "n_weeks": 2,
    "seed": 1,
    "timezone": "UTC",
    "n_topics": 2,
    "items_per_topic": 5,
    "model": "2PL",
    "ability_sd_logit": 1.0,
    "growth_mean_logit": 0.03,
    "growth_sd_logit": 0.02,
    "growth_correlation": -0.2,
    "week_sd_logit": 0.15,
    "topic_sd_logit": 0.35,
    "repeat_gain_logit": 0.3,
    "sessions_per_week": 2.0,
    "questions_per_session": 10.0,
    "share_never_started": 0.04,
    "share_late": 0.25,
    "stop_hazard": 0.04,
    "return_hazard": 0.1,
    "share_repeated": 0.08,
    "share_unanswered": 0.02,
    "share_time_missing": 0.02,
    "share_corrected": 0.01,
    "share_with_goal": 0.7,
    "activity": np.array([0.5, 1.5]),
    "growth_logit": np.array([0.0, 0.1]),
    "n_organisations": 1,
    "n_classrooms": 2,
    "n_drifting_items": 1,
    "drift_logit": -1.5,
    "drift_weeks": 1,
    "slump_logit": 0.5,
}


def day():
    return dt.date(2026, 3, 1)


@cache
def config():
    from seedtest_analytics.stats.simulate import CohortConfig

    return CohortConfig(3, 2, seed=1, until=day(), n_topics=2, items_per_topic=5)


@cache
def items():
    from seedtest_analytics.stats.simulate import draw_items

    return draw_items(config())


PROBES = {
    "simulate.config.CohortConfig": {**FIELDS, "until": day},
    "simulate.cohort.simulate_cohort": {"config": config, "block_students": 512},
    "simulate.items.draw_items": {"config": config},
    "simulate.items.probability_correct": {
        "items": items,
        "item": np.array([0, 3, 9]),
        "theta": np.array([-1.0, 0.0, 1.0]),
    },
    "simulate.hostile.hostile_exams": {"config": config},
    "simulate.hostile.malformed_log": {"config": config},
}

CHECKED_BY_CALLER = [
    ("simulate.attempts", "draw_sessions draw_attempts draw_corrections", "simulate.config.CohortConfig"),
    ("simulate.config", "hour_table", "simulate.config.CohortConfig"),
    ("simulate.students", "draw_students of_kind draw_goals", "simulate.config.CohortConfig"),
]
