"""The parts of the page that show a fitted model, and where the numbers come from."""

from __future__ import annotations

import html
import re

import pytest

from seedtest_analytics.reporting import model_views, teacher_views
from seedtest_analytics.reporting.document import ReportDocument
from seedtest_analytics.reporting.language import speaking
from tests.reporting.documents import document, empty_document, full, full_document


def cell(part: object) -> str:
    return html.unescape(str(part))


def test_model_parts_are_absent_without_their_data() -> None:
    doc = empty_document()
    assert [view(doc) for view in (model_views.growth, model_views.risk, teacher_views.for_teachers)] == [None] * 3


def test_reasons_that_are_no_words_are_left_out() -> None:
    data = full()
    data["kpis"] = {**data["kpis"], "S_reasons": [None, 3, "", "Raises the risk: x"]}
    assert str(model_views.risk(ReportDocument.validated(data))).count("<li>") == 1
    with speaking("ko"):  # a sentence of a row from before there were codes is English
        assert "<li>" not in str(model_views.risk(ReportDocument.validated(data)))
    data["kpis"] = {**data["kpis"], "S_reasons": "Raises"}
    assert "<li>" not in str(model_views.risk(ReportDocument.validated(data)))


@pytest.mark.parametrize(
    ("unit", "shown"),
    [("logit", "Ability expected then: 0.86"), ("share right", "Share of right answers expected then: 86%")],
)
def test_growth_speaks_in_the_unit_of_the_fit(unit: str, shown: str) -> None:
    data = full()
    data["bayesian_growth"] = {**data["bayesian_growth"], "score_unit": unit, "projected": 0.86}
    page = cell(model_views.growth(ReportDocument.validated(data)))
    assert shown in page
    assert "by 8 Dec 2025" in page


def test_a_page_has_one_goal_probability() -> None:
    """P at the top is by another method, so the growth model shows its pace alone: a projection implies another P."""
    data = full()
    data["kpis"] = {**data["kpis"], "P_method": "normal"}
    page = cell(model_views.growth(ReportDocument.validated(data)))
    assert "Goal probability" not in page
    assert "Ability expected" not in page
    assert "Pace of the growth model: " in page


def test_a_withheld_probability_leaves_the_pace() -> None:
    data = full()
    data["bayesian_growth"] = {**data["bayesian_growth"], "P": None, "projected": None, "sigma": None}
    page = cell(model_views.growth(ReportDocument.validated(data)))
    assert "Goal probability" not in page
    assert "Pace of the growth model: " in page


def test_the_share_of_all_is_no_projection_of_the_students_pace() -> None:
    data = full()
    page = cell(model_views.growth(ReportDocument.validated(data)))
    assert "If practice continues at this student's own pace, the goal is reached by " in page
    data["kpis"] = {**data["kpis"], "P_verdict": "base_rate"}
    page = cell(model_views.growth(ReportDocument.validated(data)))
    assert "If practice continues" not in page
    assert "The goal is reached with a probability of " in page


def test_a_projection_has_the_interval_of_its_spread() -> None:
    """0.86 ± 1.96 · 0.5."""
    fit = {"P": 0.4, "sigma": 0.5, "projected": 0.86, "horizon_date": "2025-12-08"}
    page = cell(model_views.growth(document(bayesian_growth=fit, kpis={"P_method": "bayesian"})))
    assert "95% interval: −0.12 to 1.84." in page


def test_growth_without_a_projection_gives_its_spread() -> None:
    fit = {"P": 0.4, "sigma": 0.5, "slope_per_week": -0.1, "horizon_source": "configured"}
    page = cell(model_views.growth(document(bayesian_growth=fit, kpis={"P_method": "bayesian"})))
    assert "The projected score is known to about ± 0.98. Pace of the growth model: −0.10 a week." in page
    assert "no date is set" not in page


def test_the_provenance_names_scale_time_and_zone() -> None:
    page = cell(model_views.provenance(full_document()))
    assert "the time zone Asia/Seoul" in page
    assert "by θ* = 1.021 θ − 0.044. It has 37 anchor questions." in page
    assert "Data of 10 Nov 2025, 04:00 UTC." in page
    assert cell(model_views.provenance(empty_document())).count("<li>") == 1


def test_a_growth_percentile_comes_with_its_interval_and_with_what_the_goal_needs() -> None:
    page = html.unescape(str(model_views.growth_compared(full_document())))
    assert "Growth percentile 71: of 100 students who were at the same level 8 weeks earlier, 71 are now at" in page
    assert "95% interval: 44 to 90." in page
    cells = dict(re.findall(r'<th scope="row"[^>]*>(.*?)</th><td[^>]*>(.*?)</td>', page))
    assert cells == {
        "Own pace over 8 weeks": "+0.061 ± 0.059",
        "Typical of students at this level": "+0.042",
        "Needed for the goal by 8 Dec 2025": "+0.083",
        "Growth percentile that keeps the needed pace": "83",
    }
    assert "The goal is the default one" in page


def test_without_a_percentile_the_reason_and_the_paces_stay() -> None:
    found = {"reason": "no level 8 weeks ago", "needed_pace": 0.0, "distance": -0.1, "target_source": "interest_goal"}
    page = html.unescape(str(model_views.growth_compared(document(student_growth=found))))
    assert "There is no growth percentile: no level 8 weeks ago." in page
    assert "none: the level is at the goal or above" in page
    assert "None" not in page
    assert model_views.growth_compared(document()) is None
