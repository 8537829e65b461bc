"""Every shape that a table of the legacy pipeline may have (contract, sections 1 and 3), column by column.

A table that has no such shape belongs to somebody else. A shape lists the columns that distinguish it; a legacy table may
have more.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass

from seedtest_analytics.database.existing_tables import ExistingTable


@dataclass(frozen=True)
class LegacyShape:
    """A shape with its name, such as the date of the migration that made it, its primary key and typed columns."""

    table: str
    name: str
    key: tuple[str, ...]
    columns: Mapping[str, str]

    def fits(self, existing: ExistingTable) -> bool:
        """Whether the table has the shape's key and all its columns with their types; an integer counts as a bigint."""
        return sorted(existing.key) == sorted(self.key) and all(
            name in existing.columns and _family(existing.columns[name].type) == _family(type_)
            for name, type_ in self.columns.items()
        )


_FAMILIES = (
    (r"^(smallint|integer|bigint)$", "integer"),
    (r"^(text|character varying.*)$", "text"),
    (r"^(numeric.*|double precision|real)$", "number"),
)
_SHORT = {"timestamptz": "timestamp with time zone", "float8": "double precision"}


def _family(type_: str) -> str:
    full = _SHORT.get(type_, type_)
    return next((family for pattern, family in _FAMILIES if re.match(pattern, full)), full)


def _shape(table: str, name: str, *, columns: str) -> LegacyShape:
    """``columns`` is a comma-separated list of names and types; an asterisk marks the columns of the key."""
    pairs = [part.split() for part in columns.split(",")]
    key = tuple(column.rstrip("*") for column, _ in pairs if column.endswith("*"))
    return LegacyShape(table, name, key, columns={column.rstrip("*"): type_ for column, type_ in pairs})


SHAPES = (
    _shape(
        "exam_results",
        "20251023_1100",
        columns="id* uuid, session_id text, user_id text, exam_id integer, status text, result_json jsonb, "
        "created_at timestamptz, updated_at timestamptz, org_id integer",
    ),
    _shape(
        "question",
        "newest",
        columns="id* bigint, content text, difficulty numeric, topic_id text, meta jsonb, created_at timestamptz, "
        "updated_at timestamptz",
    ),
    _shape(
        "session",
        "newest",
        columns="id* text, classroom_id text, exam_id text, started_at timestamptz, ended_at timestamptz, status text, "
        "created_at timestamptz, user_id text, org_id integer",
    ),
    _shape("interest_goal", "newest", columns="user_id* text, topic_id* text, target_level numeric, priority smallint"),
    _shape("classroom", "newest", columns="id* text, org_id text, name text, grade smallint"),
    _shape(
        "mirt_item_params",
        "newest",
        columns="item_id* text, model text, params jsonb, version text, fitted_at timestamptz",
    ),
    _shape(
        "mirt_ability",
        "newest",
        columns="user_id* text, theta float8, se float8, model text, version* text, fitted_at timestamptz",
    ),
    _shape("mirt_fit_meta", "newest", columns="run_id* text, model_spec jsonb, metrics jsonb, fitted_at timestamptz"),
    _shape(
        "student_topic_theta",
        "20251030_1200",
        columns="user_id* text, topic_id* text, theta numeric, standard_error numeric, updated_at timestamptz",
    ),
    _shape(
        "student_topic_theta",
        "20251030_1510",
        columns="user_id* text, topic_id* text, theta float8, se float8, model text, version text, fitted_at timestamptz",
    ),
    _shape(
        "features_topic_daily",
        "newest",
        columns="user_id* text, topic_id* text, date* date, attempts integer, correct integer, avg_time_ms integer, "
        "computed_at timestamptz",
    ),
    _shape(
        "growth_glmm_meta", "newest", columns="run_id* text, model_spec jsonb, metrics jsonb, fitted_at timestamptz"
    ),
    _shape(
        "growth_brms_meta",
        "newest",
        columns="run_id* text, formula text, priors jsonb, posterior_summary jsonb, diagnostics jsonb, fitted_at timestamptz",
    ),
    _shape(
        "weekly_kpi",
        "newest",
        columns="user_id* text, week_start* date, kpis jsonb, created_at timestamptz, updated_at timestamptz",
    ),
    _shape(
        "survival_fit_meta",
        "20251102_1400 with numbered rows, or made by the job",
        columns="id* bigint, run_id uuid, family text, event_threshold_days integer, coefficients jsonb, concordance float8, "
        "n integer, survival_curve jsonb, run_at timestamptz",
    ),
    _shape(
        "survival_fit_meta",
        "20251102_1400 of the main chain",
        columns="run_id* text, formula text, coefficients jsonb, hazard_ratios jsonb, fitted_at timestamptz",
    ),
    _shape(
        "survival_risk",
        "20251102_1400 with numbered rows",
        columns="id* bigint, run_id uuid, user_id text, risk_score float8, hazard_ratio float8, rank_percentile float8, "
        "updated_at timestamptz",
    ),
    _shape(
        "survival_risk",
        "20251103_1200",
        columns="user_id* text, risk_score float8, hazard_ratio float8, rank_percentile float8, updated_at timestamptz",
    ),
    _shape(
        "prophet_fit_meta",
        "20251102_1400 with numbered rows",
        columns="id* bigint, run_id uuid, metric text, forecast jsonb",
    ),
    _shape(
        "prophet_fit_meta",
        "20251103_1300",
        columns="run_id* text, metric text, changepoints jsonb, forecast jsonb, fit_meta jsonb, fitted_at timestamptz",
    ),
    _shape(
        "prophet_anomalies",
        "20251102_1400 with numbered rows",
        columns="id* bigint, run_id uuid, week_start date, metric text, value float8, expected float8, anomaly_score float8",
    ),
    _shape(
        "prophet_anomalies",
        "20251103_1300",
        columns="run_id* text, week_start* date, metric* text, value float8, expected float8, anomaly_score float8",
    ),
    _shape(
        "user_segment",
        "made by the job",
        columns="user_id* text, segment_label text, features_snapshot jsonb, assigned_at timestamptz",
    ),
    _shape(
        "segment_meta",
        "made by the job",
        columns="run_id* text, method text, n_clusters integer, centers jsonb, metrics jsonb, fitted_at timestamptz",
    ),
    _shape(
        "report_artifacts",
        "newest",
        columns="id* bigint, user_id text, week_start date, format text, url text, generated_at timestamptz",
    ),
    _shape(
        "drift_windows",
        "20251104_1600 and 20251105_1000",
        columns="id* bigint, start_at timestamptz, end_at timestamptz",
    ),
    _shape(
        "item_calibration",
        "20251104_1600 with text items",
        columns="id* bigint, item_id text, window_id bigint, a_hat float8, b_hat float8, c_hat float8, n integer",
    ),
    _shape(
        "item_calibration",
        "20251105_1000",
        columns="id* bigint, item_id bigint, window_id bigint, a_hat float8, b_hat float8, c_hat float8, n integer",
    ),
    _shape(
        "drift_alerts",
        "20251104_1600 with text items",
        columns="id* bigint, item_id text, window_id bigint, metric text, value float8, threshold float8, severity text",
    ),
    _shape(
        "drift_alerts",
        "20251105_1000",
        columns="id* bigint, item_id bigint, window_id bigint, metric text, value float8, threshold float8, severity text",
    ),
)


def legacy_shape(existing: ExistingTable) -> LegacyShape | None:
    """The legacy shape that a table has; None for a table of somebody else."""
    fitting = [s for s in SHAPES if s.table == existing.name and existing.kind in ("r", "p") and s.fits(existing)]
    return fitting[0] if fitting else None
