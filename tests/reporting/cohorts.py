"""Invented documents of pages about groups: plausible ones, empty ones, and ones with a hostile text everywhere."""

from __future__ import annotations

import datetime as dt
from typing import Any

from seedtest_analytics.reporting.cohort_document import CohortDocument
from tests.reporting.documents import WEEK

REASON = {"raises_risk": True, "parts": [{"covariate": "days_since_last", "value": 11.0, "typical": 3.0}]}


def item(**parts: Any) -> dict[str, Any]:
    """A question that works, with ``parts`` instead."""
    return {
        "item_id": "7",
        "topic_id": "Angles",
        "answers": 12,
        "correct": 7,
        "n_expected": 12,
        "n_expected_correct": 7,
        "expected": 6.5,
        "variance": 2.8,
        "n_fit": 120,
        "infit": 1.02,
        "infit_se": 0.09,
        "discrimination": 1.1,
        "difficulty": 0.25,
        **parts,
    }


def gains(n: int) -> list[dict[str, Any]]:
    """Growth over nine weeks."""
    return [
        {
            "week_start": WEEK - dt.timedelta(weeks=8 - week),
            "students": n,
            "gain": 0.06 * week,
            "lower": 0.06 * week - 0.1,
            "upper": 0.06 * week + 0.1,
            "level": 0.2 + 0.06 * week,
        }
        for week in range(9)
    ]


def topics() -> list[dict[str, Any]]:
    """Twenty topics, so that some are summed up."""
    return [
        {
            "topic_id": f"Topic {n}",
            "answers_week": n,
            "answers": 40 - n,
            "correct": 20,
            "students": 6,
            "ability": 0.1 * n,
        }
        for n in range(20)
    ]


def curves() -> list[dict[str, Any]]:
    """Three topics over five weeks."""
    return [
        {
            "topic_id": topic,
            "week_start": WEEK - dt.timedelta(weeks=4 - week),
            "answers": 20 + week,
            "correct": 10 + week,
            "expected": 11.5,
        }
        for topic in ("Angles", "Fractions", "Equations")
        for week in range(5)
    ]


def summary(n: int, **more: int) -> dict[str, Any]:
    return {"students": n, "active": n - 2, "answers": 140, "correct": 97, "helped": 3, "stopped": 1, **more}


def student(user_id: str, **parts: Any) -> dict[str, Any]:
    """A student with a report."""
    return {"user_id": user_id, "answers": 20, "usual": 30, "has_report": True, "needs_help": False, **parts}


def class_data() -> dict[str, Any]:
    """A class with every part."""
    step = {"rule": "weak_topic", "tone": "do", "values": {"topic": "Angles", "correct": 3, "answers": 11}}
    return {
        "scope": "class",
        "subject": "c-1",
        "week_start": WEEK,
        "name": "3-B",
        "grade": 9,
        "organisation": "17",
        "generated_at": dt.datetime(2025, 11, 10, tzinfo=dt.UTC),
        "summary": summary(7, without_report=1),
        "growth": gains(6),
        "students": [
            student("anna", name="Anna", needs_help=True, step=step),
            student("ben", step=step),
            student("cleo", step={"rule": "strong_topic", "tone": "keep", "values": {"topic": "Fractions"}}),
            student("dora", step=None),
            student(
                "emil",
                answers=0,
                needs_help=True,
                step={"rule": "no_answers", "tone": "do", "values": {}},
                days_silent=11.2,
                state="active",
                reasons=[REASON],
            ),
            student("finn", answers=0, usual=0, has_report=False, state="stopped", reasons=["odd"]),
            student("gina", step={"rule": "of_the_future", "tone": "do", "values": {}}),
        ],
        "topics": topics(),
        "curves": curves(),
        "items": [
            item(item_id="1", flag="negative_discrimination"),
            item(item_id="2", infit=1.9, drift=0.1, drift_found_from=0.44, drift_power=0.9),
            item(item_id="3", difficulty=None, discrimination=None, n_fit=9, infit=None, expected=None),
            item(item_id="4", answers=40, is_drift_judged=False, drift_found_from=1.2, drift_power=0.16),
            item(item_id="5", has_moved=True, drift=-0.62, drift_origin="who_answers"),
            *[item(item_id=str(n)) for n in range(6, 30)],
        ],
    }


def organisation_data() -> dict[str, Any]:
    """An organisation with a class that is too small, and students without a class."""
    part = {"is_shown": True, **summary(7), "growth": gains(6)}
    return {
        "scope": "organisation",
        "subject": "17",
        "week_start": WEEK,
        "organisation": "17",
        "summary": summary(14),
        "growth": gains(12),
        "topics": topics(),
        "curves": curves(),
        "classes": [
            {"class_id": "c-1", "name": "3-B", "grade": 9, **part},
            {"class_id": "c-2", "name": "3-C", "grade": None, "is_shown": False},
            {"class_id": None, **part},
        ],
    }


def platform_data() -> dict[str, Any]:
    """The operators' page with every part."""
    dif = {
        "covariate": "org_id",
        "reference": "1",
        "n_tests": 240,
        "classes": {"A": 220, "B": 15, "C": 5},
        "items_c": ["11", "12"],
    }
    platform = {
        "counts": {"classes": 6, "small_classes": 1, "without_class": 4},
        "data": {"attempts": 1141, "unanswered": 25, "untimed": 22, "without_topic": 3, "elements": 16703},
        "quarantine": [{"reason": "no_item", "elements": 12, "excluded": 12, "of_week": 2}],
        "rejects": [{"reason": "completed_at_not_instant", "rows": 5, "excluded": 4}],
        "calibration": {
            "week_start": WEEK,
            "is_usable": False,
            "is_of_week": False,
            "model_spec": {
                "model": "2PL",
                "n_persons": 51,
                "n_items": 237,
                "n_answers": 3611,
                "scale_origin": "anchors",
                "n_anchors_tagged": 21,
                "linking_constants": {"A": 1.02, "B": -0.11, "n_anchors_used": 20},
            },
            "metrics": {
                "converged": True,
                "reasons": [
                    "not converged after 500 passes: the next step is 0.02 logits",
                    "not linked to anchors: 3 common items with usable parameters, 5 are needed to link the scales; tag more "
                    "anchors or lower the minimum",
                ],
                "warnings": ["12 items have no standard error"],
                "group_mean": 0.64,
                "group_sd": 1.7,
                "dif": dif,
            },
        },
        "anchors": {"week_start": WEEK, "candidates": 237, "tagged": 21, "chosen": 8, "tagged_unstable": 2},
        "drift": {
            "week_start": WEEK,
            "moved": 3,
            "no_drift": 40,
            "cannot_be_judged": 194,
            "power": {
                "moved": {"found_from": 0.41, "power": 0.93},
                "no_drift": {"found_from": 0.44, "power": 0.9},
                "cannot_be_judged": {"found_from": 1.13, "power": 0.18},
            },
            "questions": [
                {
                    "item_id": "5",
                    "verdict": "moved",
                    "answers": 412,
                    "change": 0.71,
                    "found_from": 0.4,
                    "power": 0.94,
                    "origin": "item",
                    "topic_change": -0.03,
                    "gap_change": 0.004,
                    "gap_change_se": 0.01,
                },
                {"item_id": "6", "verdict": "moved", "change": -0.6, "origin": "odd"},
                {
                    "item_id": "7",
                    "verdict": "cannot_be_judged",
                    "answers": 71,
                    "change": 0.2,
                    "found_from": 1.2,
                    "power": 0.16,
                },
                {"item_id": "8", "verdict": "cannot_be_judged"},
            ],
            "alerts": [
                {"item_id": "5", "metric": "delta_b", "value": 0.71, "severity": "severe"},
                {"item_id": "6", "metric": "delta_x", "value": None, "severity": "odd"},
            ],
        },
        "verdicts": [
            {
                "prediction": prediction,
                "method": "cox",
                "students": 57,
                "verdict": verdict,
                "reason": "past outcomes do not contradict the model",
                "n": 310,
                "n_weeks": 8,
                "brier_model": 0.126,
                "brier_reference": 0.25,
            }
            for prediction, verdict in (("P", "as_is"), ("S", "withheld"), ("theta", "of_the_future"))
        ],
        "backtest": [
            {
                "prediction": prediction,
                "week_start": WEEK,
                "method": "cox",
                "n": 58,
                "is_credible": prediction == "P",
                "reasons": ["its probabilities are too timid: calibration slope 2.63 (1 is right)"],
                **scores,
            }
            for prediction, scores in (
                ("P", {"brier_skill": 0.48, "calibration_slope": 2.63, "auc": 0.95}),
                ("S_model", {"log_skill": 0.33}),
                ("forecast:topic:Angles", {"mae": 0.02, "mae_baseline": 0.04, "coverage": 0.7, "coverage_level": 0.8}),
            )
        ],
        "forecasts": [
            {
                "metric": "I_t",
                "method": "local_level",
                "week_start": WEEK,
                "next": {"ds": "2025-11-10", "yhat": 0.08, "yhat_lower": 0.05, "yhat_upper": 0.11},
            },
            {"metric": "topic:Angles", "method": "none", "next": {"ds": "odd"}},
        ],
        "anomalies": [{"metric": "I_t", "week_start": WEEK, "value": 0.4, "expected": 0.7, "anomaly_score": -2.6}],
        "segments": {
            "week_start": WEEK,
            "method": "kmeans",
            "n_segments": 3,
            "students": 57,
            "profiles": [
                {"label": "many_hints", "students": 28, "share": 0.49, "jaccard": 0.71},
                {"label": "few_sessions", "students": 8, "share": 0.14, "jaccard": 0.5},
                {"label": "long_gaps", "students": 21, "share": None, "jaccard": None},
            ],
        },
        "gaps": [{"number": "E_t", "code": "no_times_28d", "students": 7}, {"number": "P", "code": "", "students": 2}],
        "growth_gaps": [{"reason": "no level 8 weeks ago", "students": 5}],
        "health": {
            "computed_at": dt.datetime(2025, 11, 10, tzinfo=dt.UTC),
            "assets": 44,
            "unwell": [
                {"asset": "weekly_kpi/P", "state": "failed", "checks": ["coverage"]},
                {"asset": "mirt_ability", "state": "odd", "checks": None},
            ],
        },
    }
    return {"scope": "platform", "week_start": WEEK, "summary": summary(58, without_report=2), "platform": platform}


def cohort(data: dict[str, Any], **parts: Any) -> CohortDocument:
    """The document of ``data`` with ``parts`` instead."""
    return CohortDocument.validated({**data, **parts})


FULL = {"class": class_data, "organisation": organisation_data, "platform": platform_data}


def empty(scope: str) -> CohortDocument:
    """A group without any data."""
    platform = {"platform": {}} if scope == "platform" else {}
    return CohortDocument.validated({"scope": scope, "subject": "x", "week_start": WEEK, **platform})


def too_small(scope: str) -> CohortDocument:
    """A group that is too small, although its document has numbers by mistake."""
    return cohort(FULL[scope](), is_shown=False)


def hostile(scope: str, attack: str) -> CohortDocument:
    """``attack`` in every text that comes from outside."""
    kept = {"scope", "week_start", "generated_at", "computed_at", "ds", "rule", "tone", "covariate"}

    def replaced(value: Any, key: str = "") -> Any:
        if isinstance(value, dict):
            return {name: replaced(found, name) for name, found in value.items()}
        if isinstance(value, list):
            return [replaced(found, key) for found in value]
        return attack if isinstance(value, str) and key not in kept else value

    return CohortDocument.validated(replaced(FULL[scope]()) | {"time_zone": attack})
