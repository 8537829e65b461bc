"""The operators' page: every part under its heading."""

from __future__ import annotations

from collections.abc import Callable

from seedtest_analytics.reporting import platform_data, platform_models, platform_scale
from seedtest_analytics.reporting.cohort_document import CohortDocument
from seedtest_analytics.reporting.html import Html, text
from seedtest_analytics.reporting.language import marked, say
from seedtest_analytics.reporting.platform_document import Platform


def sections(document: CohortDocument) -> Html | None:
    """Every part under its heading; None for another page."""
    found = document.platform
    if found is None:
        return None
    return Html(
        "".join(f"<section><h2>{text(say(heading))}</h2>{view(document, found)}</section>" for heading, view in _PARTS)
    )


def _fairness(document: CohortDocument, found: Platform) -> str:
    """Differences between groups: of questions, and of predictions."""
    return platform_scale.differences_of_questions(found) + platform_models.differences_of_predictions(document, found)


_PARTS: tuple[tuple[str, Callable[[CohortDocument, Platform], str]], ...] = (
    (marked("Pages and students"), platform_data.pages),
    (marked("Data quality"), platform_data.data_quality),
    (marked("Calibration and linking"), platform_scale.calibration),
    (marked("Anchors"), platform_scale.anchors),
    (marked("Drift"), platform_scale.drift),
    (marked("Fairness: differences between groups"), _fairness),
    (marked("What past outcomes say of the models"), platform_models.verdicts),
    (marked("Backtest"), platform_models.backtest),
    (marked("Forecasts and unusual weeks"), platform_models.forecasts),
    (marked("Segments"), platform_models.segments),
    (marked("What could not be computed, and why"), platform_data.gaps),
)
