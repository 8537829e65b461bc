"""Good calls of ``stats.irt``."""

from functools import cache

import numpy as np

N = 12
RNG = np.random.default_rng(0)
UNIT = RNG.random(N)
N_ROWS, N_ITEMS = 40, 6
LINKED = 8
"""Items of two calibrations to be linked."""


@cache
def answers():
    """Every row answers every item of a Rasch model."""
    rng = np.random.default_rng(3)
    chance = 1.0 / (1.0 + np.exp(np.linspace(-1, 1, N_ITEMS) - rng.normal(size=(N_ROWS, 1))))
    row, item = np.divmod(np.arange(N_ROWS * N_ITEMS), N_ITEMS)
    return row, item, (rng.random((N_ROWS, N_ITEMS)) < chance).ravel().astype(int)


@cache
def data():
    from seedtest_analytics.stats.irt.data import ResponseData

    row, item, correct = answers()
    return ResponseData.from_long(row, item, correct=correct)


def with_topics():
    return data().with_topics(np.arange(N_ITEMS), np.arange(N_ITEMS) % 2)


@cache
def items():
    from seedtest_analytics.stats.irt.model import ItemParameters

    return ItemParameters.of(np.arange(N_ITEMS), np.ones(N_ITEMS), b=np.linspace(-1, 1, N_ITEMS))


def normal_prior():
    from seedtest_analytics.stats.irt.config import Normal

    return Normal()


def beta_prior():
    from seedtest_analytics.stats.irt.config import Beta

    return Beta()


@cache
def config():
    from seedtest_analytics.stats.irt.config import CalibrationConfig

    return CalibrationConfig(model="Rasch", min_responses=5, min_rows=5)


@cache
def calibration():
    from seedtest_analytics.stats.irt.estimation import calibrate

    return calibrate(data(), config())


@cache
def new_items():
    from seedtest_analytics.stats.irt.model import ItemParameters

    return ItemParameters.of(np.arange(LINKED), np.linspace(0.8, 1.2, LINKED), b=np.linspace(-1, 1, LINKED))


@cache
def old_items():
    from seedtest_analytics.stats.irt.model import ItemParameters

    return ItemParameters.of(np.arange(LINKED), np.linspace(0.8, 1.3, LINKED), b=np.linspace(-0.9, 1.2, LINKED))


@cache
def identity():
    from seedtest_analytics.stats.irt.linking import Link

    return Link.identity()


@cache
def thresholds():
    from seedtest_analytics.stats.irt.drift import DriftThresholds

    return DriftThresholds(min_responses=5)


@cache
def drift():
    from seedtest_analytics.stats.irt.drift import item_drift

    return item_drift(estimates(), estimates(), link=identity(), thresholds=thresholds())


def estimates():
    return calibration().items


CANDIDATES = {
    "item_ids": np.arange(N),
    "a": np.linspace(0.6, 1.5, N),
    "b": np.linspace(-1.8, 1.8, N),
    "n_responses": np.full(N, 200),
    "topics": np.array(["x", "y"] * 6),
    "flag": np.array(["", *[None] * 11], dtype=object),
    "is_proven": np.arange(N) % 2 == 0,
}


@cache
def candidates():
    from seedtest_analytics.stats.irt.anchors import AnchorCandidates

    return AnchorCandidates(**CANDIDATES)


@cache
def history():
    from seedtest_analytics.stats.irt.anchors import ParameterHistory

    return ParameterHistory(np.tile(np.arange(N), 2), b=np.tile(CANDIDATES["b"], 2))


COVARIANCE = np.tile(0.01 * np.eye(3), (LINKED, 1, 1))

PROBES = {
    "irt.multiplicity.adjust": {"p": UNIT},
    "irt.data.ResponseData.from_long": {
        "user": np.repeat(np.arange(4), 3),
        "item": np.tile(np.arange(3), 4),
        "correct": np.arange(N) % 2,
        "weight": np.ones(N),
        "group": np.repeat([0, 1], 6),
        "duplicates": "error",
    },
    "irt.occasions.occasions": {"student": np.arange(N) // 3, "day": 20 * np.arange(N), "days": 28, "min_answers": 2},
    "irt.occasions.explained_by_items": {"item": np.arange(N) // 3, "day": 20.0 * np.arange(N)},
    "irt.model.ItemParameters.of": {
        "item_ids": np.arange(N),
        "a": np.ones(N),
        "b": np.linspace(-1, 1, N),
        "c": np.full(N, 0.1),
    },
    "irt.model.probability": {"theta": np.linspace(-2, 2, 5), "items": items},
    "irt.model.information": {"theta": np.linspace(-2, 2, 5), "items": items},
    "irt.config.Normal": {"mean": 0.0, "sd": 2.0},
    "irt.config.LogNormal": {"mean_log": 0.0, "sd_log": 0.5},
    "irt.config.Beta": {"alpha": 5.0, "beta": 17.0},
    "irt.config.ItemPriors": {"b": normal_prior, "c": beta_prior},
    "irt.config.Quadrature": {"points": 21, "lower": -4.0, "upper": 4.0},
    "irt.config.CalibrationConfig": {
        "model": "2PL",
        "min_responses": 10,
        "min_rows": 30,
        "min_anchors": 5,
        "max_iterations": 500,
        "tolerance": 1e-4,
        "standard_errors": "auto",
        "max_full_parameters": 6000,
        "precision": "mixed",
        "threads": 1,
    },
    "irt.estimation.calibrate": {"data": data, "config": config},
    "irt.verdict.judge": {"calibration": calibration, "note": "a note"},
    "irt.scoring.score": {
        "data": data,
        "items": items,
        "prior_mean": np.zeros(N_ROWS),
        "prior_sd": np.ones(N_ROWS),
        "method": "EAP",
    },
    "irt.fit.item_fit": {"data": data, "calibration": calibration},
    "irt.fit.person_fit": {"data": data, "items": items, "prior_mean": np.zeros(N_ROWS), "prior_sd": np.ones(N_ROWS)},
    "irt.curves.characteristic_curves": {"items": items, "n_shown": 3, "theta": np.linspace(-2, 2, 5)},
    "irt.curves.drift_forest": {"drift": drift, "n_shown": 3},
    "irt.linking.LinkGrid": {"nodes": np.linspace(-2, 2, 5), "weights": np.full(5, 0.2)},
    "irt.linking.LinkGrid.normal": {"points": 21, "lower": -4.0, "upper": 4.0},
    "irt.link_anchors.AnchorRule": {
        "false_alarms": 0.01,
        "min_shift_b": 0.2,
        "min_log_ratio_a": 0.25,
        "max_share": 0.4,
        "max_spread_b": 1.0,
    },
    "irt.linking.link": {
        "new": new_items,
        "old": old_items,
        "method": "stocking-lord",
        "min_anchors": 5,
        "covariance_new": COVARIANCE,
        "covariance_old": 0.01 * np.eye(3 * LINKED),
    },
    "irt.linking.drifted_anchors": {
        "new": new_items,
        "old": old_items,
        "min_anchors": 5,
        "covariance_new": COVARIANCE,
        "covariance_old": 0.01 * np.eye(3 * LINKED),
    },
    "irt.anchors.AnchorCandidates": CANDIDATES,
    "irt.anchors.ParameterHistory": {"item_ids": np.arange(N), "b": UNIT},
    "irt.anchors.AnchorCriteria": {
        "min_responses": 100,
        "difficulty_lower": -2.0,
        "difficulty_upper": 2.0,
        "discrimination_min": 0.5,
        "max_sd_b": 0.5,
        "min_history": 2,
        "max_anchors": 50,
        "min_anchors": 5,
        "n_difficulty_bins": 4,
        "min_per_bin": 1,
        "min_per_topic": 1,
    },
    "irt.anchors.select_anchor_items": {"candidates": candidates, "history": history},
    "irt.drift.DriftThresholds": {
        "delta_a": 0.2,
        "delta_b": 0.25,
        "delta_c": 0.03,
        "alpha": 0.05,
        "min_responses": 200,
    },
    "irt.drift.item_drift": {"baseline": estimates, "recent": estimates, "link": identity, "thresholds": thresholds},
    "irt.pooling.fit_pool": {
        "item": np.repeat(np.arange(4), 3),
        "correct": np.tile([0.0, 1.0, 1.0], 4),
        "topic": np.array([0, 0, 1, 1]),
        "theta": np.linspace(-1.0, 1.0, N),
        "theta_se": np.full(N, 0.3),
        "asymptote": 0.1,
    },
    "irt.selection.selection_gaps": {"data": with_topics, "items": items, "prior_mean": 0.0, "prior_sd": 1.0},
    "irt.dif_groups.compare_groups": {
        "data": data,
        "items": items,
        "labels": np.arange(N_ROWS) % 2,
        "reference": "1",
        "min_responses": 10,
        "max_groups": 3,
    },
}

CHECKED_BY_CALLER = [
    ("irt.data", "row_blocks", "irt.data.ResponseData.from_long"),
    ("irt.kernels", "compress select_items item_components", "irt.data.ResponseData.from_long"),
    (
        "irt.kernels",
        "row_posterior expected_counts",
        "irt.data.ResponseData.from_long irt.model.ItemParameters.of irt.config.CalibrationConfig",
    ),
    (
        "irt.ability_kernels",
        "grid_moments modes local_moments warm_estimates",
        "irt.scoring.score irt.data.ResponseData.from_long irt.model.ItemParameters.of irt.config.Quadrature",
    ),
    ("irt.scoring", "answers_to by_row", "irt.scoring.score irt.fit.person_fit irt.data.ResponseData.from_long"),
    ("irt.fit_kernels", "residual_sums", "irt.data.ResponseData.from_long irt.estimation.calibrate"),
    ("irt.grid_tables", "in_blocks points answer_tables", "irt.model.ItemParameters.of irt.config.Quadrature"),
    ("irt.model", "logistic", "irt.model.ItemParameters.of"),
    (
        "irt.dif",
        "stratum_counts compare_counts ets_classes",
        "irt.dif_groups.compare_groups irt.data.ResponseData.from_long",
    ),
    ("irt.link_anchors", "screen_anchors", "irt.linking.link irt.linking.drifted_anchors irt.link_anchors.AnchorRule"),
    (
        "irt.louis_kernels",
        "project_rows entries_by_item add_pairs add_population",
        "irt.data.ResponseData.from_long irt.config.CalibrationConfig",
    ),
    (
        "irt.objective",
        "item_derivatives curve_derivatives add_prior_information",
        "irt.data.ResponseData.from_long irt.config.CalibrationConfig",
    ),
    (
        "irt.anchored_scale",
        "priors_for moved scale_gradient best_population alternate",
        "irt.data.ResponseData.from_long irt.model.ItemParameters.of irt.config.CalibrationConfig",
    ),
    ("irt.optimiser", "maximise", "irt.data.ResponseData.from_long irt.config.CalibrationConfig"),
    ("irt.priors", "evaluate_priors", "irt.config.Normal irt.config.LogNormal irt.config.Beta"),
    (
        "irt.pooling",
        "rough_pool pooled_priors",
        "irt.pooling.fit_pool irt.data.ResponseData.from_long irt.config.CalibrationConfig",
    ),
    ("irt.pool_fit", "pool_of", "irt.pooling.fit_pool irt.data.ResponseData.from_long"),
    ("irt.drift_in_topic", "drift_in_topic", "irt.selection.selection_gaps irt.drift.item_drift"),
    ("irt.screening", "screen", "irt.data.ResponseData.from_long irt.config.CalibrationConfig"),
    ("irt.standard_errors", "standard_errors", "irt.data.ResponseData.from_long irt.config.CalibrationConfig"),
    ("irt.threads", "run_lanes balanced_rows", "irt.data.ResponseData.from_long irt.config.CalibrationConfig"),
    ("irt.verdict", "assemble", "irt.data.ResponseData.from_long irt.config.CalibrationConfig"),
]
