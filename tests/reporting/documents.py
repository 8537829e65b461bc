"""Invented report documents: a plausible one with twelve weeks, an empty one, a hostile one, and one of given parts."""

from __future__ import annotations

import datetime as dt
import random
from typing import Any

from seedtest_analytics.reporting.document import ReportDocument

WEEK = dt.date(2025, 11, 3)
TOPICS = (
    ("Fractions", 0.82),
    ("Linear equations", 0.71),
    ("Angles", 0.34),
    ("Percentages", 0.66),
    ("Probability", 0.97),
)
HOSTILE = (
    "<script>alert(1)</script>",
    "](javascript:alert(1))",
    "{{< include /etc/passwd >}}",
    "`{python} 1/0`",
    "$(rm -rf x)",
    "@fig-x",
    "---",
    "\\input{x} $\\frac{1}{2}$",
    "abc\u202egnp.exe",
    "-" * 36,
    '" onmouseover="alert(1)',
    "<img src=x onerror=alert(1)>",
    "```\n</pre><iframe src='http://evil.example'>",
    "<!--seedtest-report-cell-0-->",
    "nul\x00 and\nnewline",
    "x" * 5000,
)


def topic_rows(seed: int = 20251103, weeks: int = 12) -> list[dict[str, Any]]:
    """Daily rows of five topics; Random(seed)."""
    draw = random.Random(seed)
    rows = []
    for week in range(weeks):
        for weekday in (0, 1, 3, 5):
            date = WEEK - dt.timedelta(weeks=weeks - 1 - week) + dt.timedelta(days=weekday)
            for topic, share in draw.sample(TOPICS, 3):
                attempts = draw.randint(3, 9)
                correct = sum(draw.random() < min(0.99, share - 0.1 + week * 0.015) for _ in range(attempts))
                rows.append(_topic_row(topic, date, attempts, correct, draw))
    return rows


def _topic_row(topic: str, date: dt.date, attempts: int, correct: int, draw: random.Random) -> dict[str, Any]:
    median = draw.randint(14_000, 62_000)
    return {
        "topic_id": topic,
        "date": date,
        "attempts": attempts,
        "correct": correct,
        "avg_time_ms": median + 4_000,
        "rt_median": median,
        "hints": draw.randint(0, 2),
        "theta_estimate": round(draw.gauss(0.2, 0.5), 3),
        "theta_sd": 0.31,
        "improvement": 0.05,
    }


FULL_KPIS: dict[str, Any] = {
    "I_t": 0.12,
    "I_t_mode": "theta",
    "I_t_n_recent": 96,
    "I_t_n_previous": 88,
    "delta_theta": 0.31,
    "delta_theta_se": 0.14,
    "E_t": 0.0,
    "E_t_change": -0.29,
    "E_t_n_recent": 61,
    "E_t_n_previous": 58,
    "R_t": 0.46,
    "R_t_n_wrong": 22,
    "R_t_n_met_again": 13,
    "A_t": 0.57,
    "A_t_n_attempts": 190,
    "sessions": 16,
    "mean_gap": 1.8,
    "A_t_assumed": ["hints"],
    "P": 0.66,
    "sigma": 0.24,
    "P_lower": 0.51,
    "P_upper": 0.79,
    "P_target": 0.5,
    "P_target_source": "interest_goal",
    "P_method": "bayesian",
    "theta": 0.58,
    "theta_n_answers": 412,
    "S": 0.11,
    "S_lower": 0.07,
    "S_upper": 0.16,
    "S_method": "cox",
    "S_reasons": [
        "Lowers the risk: 16 sessions in the last four weeks (typically 9 sessions)",
        "Raises the risk: engagement of 57 of 100 (typically 64)",
    ],
    "S_horizon_days": 14,
    "S_days_silent": 1.3,
    "S_n_sessions": 31,
    "S_state": "active",
}


def full() -> dict[str, Any]:
    """Every key of contract section 8 filled; Random(7)."""
    draw = random.Random(7)
    days = [WEEK - dt.timedelta(weeks=11 - i) + dt.timedelta(days=6) for i in range(12)]
    return {
        "user_id": "student-0412",
        "week_start": WEEK,
        "time_zone": "Asia/Seoul",
        "generated_at": dt.datetime(2025, 11, 10, 4, 0, tzinfo=dt.UTC),
        "kpis": FULL_KPIS,
        "kpi_history": [
            {
                "week_start": WEEK - dt.timedelta(weeks=w),
                "kpis": {k: abs(draw.gauss(0.5, 0.12)) % 1 for k in ("I_t", "R_t", "A_t", "P", "S")},
            }
            for w in range(11, 0, -1)
        ],
        "ability_trend": [
            {"date": day, "theta": -0.35 + 0.08 * i + draw.gauss(0, 0.06), "se": 0.42 - 0.015 * i}
            for i, day in enumerate(days)
        ],
        "goals": [
            {"topic_id": "Fractions", "target_level": 0.8, "priority": 2},
            {"topic_id": "Angles", "target_level": 0.4, "priority": 1},
        ],
        "topic_features": topic_rows(),
        "item_params": [
            {
                "item_id": str(i),
                "discrimination": 1.1,
                "difficulty": draw.gauss(0.1, 1.0),
                "guessing": None,
                "model": "2PL",
            }
            for i in range(140)
        ],
        "recommendations": [],
        "linking_constants": {"A": 1.021, "B": -0.044, "n_anchors_used": 37, "_run_id": "irt-1", "_fitted_at": None},
        "bayesian_growth": {
            "P": 0.66,
            "sigma": 0.31,
            "P_lower": 0.51,
            "P_upper": 0.79,
            "slope_per_week": 0.07,
            "slope_sd": 0.02,
            "projected": 0.63,
            "target": 0.5,
            "score_unit": "logit",
            "horizon_date": WEEK + dt.timedelta(weeks=5),
            "horizon_source": "goal_date",
            "n_weeks": 11,
        },
        "student_growth": {
            "weeks": 8.0,
            "percentile": 71.0,
            "percentile_lower": 44.0,
            "percentile_upper": 90.0,
            "pace": 0.061,
            "pace_se": 0.03,
            "typical_pace": 0.042,
            "needed_pace": 0.083,
            "needed_percentile": 83.0,
            "distance": 0.4,
            "horizon_date": WEEK + dt.timedelta(weeks=5),
            "target_source": "default",
            "n_reference": 240,
        },
        "prophet_forecast": {
            "fit_meta": {"status": "ok"},
            "forecast_data": [
                {
                    "ds": WEEK + dt.timedelta(weeks=w),
                    "yhat": 0.05 + 0.01 * w,
                    "yhat_lower": -0.03,
                    "yhat_upper": 0.14 + 0.01 * w,
                }
                for w in range(1, 5)
            ],
            "anomalies": [{"week": WEEK - dt.timedelta(weeks=3), "score": -0.11, "anomaly_score": -3.2}],
            "fitted_at": None,
        },
        "survival_risk": {
            "churn_risk": 0.11,
            "fit_meta": {
                "hazard_ratios": {
                    "A_t": 2.4,
                    "sessions_28d": 1.08,
                    "mean_gap_days_28d": 0.86,
                    "mean_gap_days_28d_missing": 0.71,
                    "days_since_last_beyond_28": 0.9,
                },
                "concordance": 0.74,
            },
            "columns": [
                {"covariate": "A_t"},
                {"covariate": "sessions_28d", "is_log": True},
                {"covariate": "mean_gap_days_28d", "is_log": True},
                {"covariate": "mean_gap_days_28d", "is_missing_indicator": True},
                {"covariate": "days_since_last", "is_log": True, "bend_at": 28.0},
            ],
        },
        "user_segment": {
            "segment_label": "short_frequent",
            "segment_description": "Many short sessions, close together.",
            "features_snapshot": {"sessions": 15.5, "gap": 1.8, "engagement": 0.57, "avg_rt": 31_000.0},
        },
    }


def full_document() -> ReportDocument:
    """The plausible document."""
    return ReportDocument.validated(full())


def empty_document() -> ReportDocument:
    """A student without any data."""
    return ReportDocument.validated({"user_id": "new-1", "week_start": WEEK})


def hostile_document(attack: str) -> ReportDocument:
    """``attack`` in every field that takes text from outside."""
    data = full()
    data["user_id"] = attack
    data["topic_features"] = [
        {**row, "topic_id": attack} if row["topic_id"] == "Angles" else row for row in data["topic_features"]
    ]
    data["goals"] = [{"topic_id": attack, "target_level": 0.4, "priority": 1}]
    data["recommendations"] = [{"topic_id": attack, "reason": attack}]
    data["user_segment"] = {"segment_label": attack, "segment_description": attack, "features_snapshot": {attack: 1.0}}
    data["survival_risk"] = {
        "churn_risk": 0.5,
        "fit_meta": {"hazard_ratios": {attack: 1.5}},
        "columns": [{"covariate": attack, "is_log": True}],
    }
    data["kpis"] = {
        **data["kpis"],
        "E_t": None,
        "E_t_reason": attack,
        "S_state": attack,
        "S_reasons": [attack, attack],
        "P_method": attack,
        attack: attack,
    }
    data["linking_constants"] = {"A": 1.0, "B": 0.0, "_run_id": attack}
    data["item_params"] = [{**item, "item_id": attack, "model": attack} for item in data["item_params"]]
    data["time_zone"] = attack
    return ReportDocument.validated(data)


def document(**parts: Any) -> ReportDocument:
    """A document that has only ``parts``."""
    return ReportDocument.validated({"user_id": "u", "week_start": WEEK, **parts})


def topic_day(topic: str, day: int, attempts: int, correct: int, **more: Any) -> dict[str, Any]:
    """What the student did in ``topic`` on day ``day`` of the week; 0 is Monday."""
    date = WEEK + dt.timedelta(days=day)
    return {"topic_id": topic, "date": date, "attempts": attempts, "correct": correct, **more}
