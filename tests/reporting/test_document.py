"""The data file: round trip, database types, and errors that quote no values."""

from __future__ import annotations

import datetime as dt
import math
from decimal import Decimal
from typing import Any

import pytest

from seedtest_analytics.reporting.document import KPI_RANGES, Effect, ModelColumn, ReportDocument, SurvivalRisk
from seedtest_analytics.reporting.document_base import ReportDocumentError, is_number, number_or_none
from seedtest_analytics.tables.kpis import KPI_KEYS
from tests.reporting.documents import FULL_KPIS, WEEK, document, full_document, topic_day


def test_document_survives_its_data_file() -> None:
    doc = full_document()
    assert ReportDocument.from_json(doc.to_json()) == doc
    assert b'"_run_id":"irt-1"' in doc.to_json()


def test_database_types_are_taken_and_nan_is_missing() -> None:
    row = topic_day("a", 0, 3, 2, theta_estimate=Decimal("0.125"), rt_median=float("nan"))
    doc = document(topic_features=[row], kpis={"I_t": math.nan, "P": 0.5})
    assert doc.topic_features[0].theta_estimate == 0.125
    assert doc.topic_features[0].rt_median is None
    assert doc.kpi("I_t") is None
    assert doc.kpi("P") == 0.5


@pytest.mark.parametrize(
    ("parts", "named"),
    [
        ({"week_start": dt.date(2025, 11, 4)}, "Monday"),
        ({"kpis": {"P": 1.2}}, "P must be null or a number from 0 to 1"),
        ({"kpis": {"S": "secret-value"}}, "S must be"),
        ({"topic_features": [topic_day("secret-value", 0, 2, 3)]}, "more right answers than attempts"),
        ({"unknown_part": "secret-value"}, "unknown_part"),
        ({"user_id": ""}, "user_id"),
    ],
)
def test_wrong_data_is_named_and_not_quoted(parts: dict[str, Any], named: str) -> None:
    with pytest.raises(ReportDocumentError, match=named) as caught:
        document(**parts)
    assert "secret-value" not in str(caught.value)


def test_every_key_that_cards_read_is_one_that_the_assets_write() -> None:
    written = {key.name: key for keys in KPI_KEYS.values() for key in keys}
    assert set(FULL_KPIS) <= set(written)
    for name_, (low, high) in KPI_RANGES.items():
        assert (written[name_].minimum, written[name_].maximum or math.inf) == (low, high)


def test_an_error_names_five_fields_and_counts_the_rest() -> None:
    rows = [topic_day("a", 0, 1, 2) for _ in range(7)]
    with pytest.raises(ReportDocumentError, match=r"topic_features\.4\.correct: .*; and 2 more$"):
        document(topic_features=rows)


@pytest.mark.parametrize(
    ("value", "expected"),
    [(1, 1.0), (0.5, 0.5), (True, None), (math.nan, None), (math.inf, None), ("1", None), (None, None)],
)
def test_numbers_are_finite_and_not_bool(value: Any, expected: float | None) -> None:
    assert number_or_none(value) == expected
    assert is_number(value) == (expected is not None)


def test_kpis_are_read_by_kind() -> None:
    doc = document(
        kpis={"sessions": 2.0, "n": -1, "S_method": "cox", "empty": "", "S_lower": 0.1, "S_upper": 0.3, "P_lower": 0.1}
    )
    assert (doc.kpi_count("sessions"), doc.kpi_count("n"), doc.kpi_count("gone")) == (2, None, None)
    assert (doc.kpi_text("S_method"), doc.kpi_text("empty"), doc.kpi_text("sessions")) == ("cox", None, None)
    assert (doc.kpi_limits("S"), doc.kpi_limits("P")) == ((0.1, 0.3), None)
    assert doc.week_end == WEEK + dt.timedelta(days=6)


def test_effects_are_the_positive_ratios_with_their_columns() -> None:
    risk = SurvivalRisk.model_validate(
        {
            "columns": [{"covariate": "gap", "is_log": True, "bend_at": 28.0}, {"covariate": "A_t"}],
            "fit_meta": {
                "hazard_ratios": {"gap_beyond_28": 2.0, "A_t": 0.0, "odd": 1.5, "R_t": None},
                "hazard_ratio_intervals": {"gap_beyond_28": [1.5, 3.0], "odd": [0.0, 2.0]},
            },
        }
    )
    assert risk.effects == [
        Effect(ModelColumn(covariate="gap", is_log=True, bend_at=28.0), 2.0, limits=(1.5, 3.0)),
        Effect(ModelColumn(covariate="odd"), 1.5),
    ]
    assert risk.effects[0].to_the_power(2) == Effect(risk.columns[0], 4.0, limits=(2.25, 9.0))
    assert SurvivalRisk().effects == []
