"""The index of a week: who needs help first, every link, and no name that is markup."""

from __future__ import annotations

import html

from seedtest_analytics.reporting.advice_words import what_to_do
from seedtest_analytics.reporting.index_page import CohortRow, IndexRow, index_page
from seedtest_analytics.reporting.language import speaking
from tests.reporting.documents import WEEK


def test_those_who_need_help_come_first_with_their_links() -> None:
    rows = [
        IndexRow("Anna", "a", needs_help=False, links=(("family", "../../reports/anna/2025-11-03/report.html"),)),
        IndexRow("Zoe", "z", needs_help=True, links=(("family", "f"), ("pdf", "p"), ("teacher", "t"))),
    ]
    page = html.unescape(index_page(WEEK, rows, language="en", style="p{}"))
    assert page.index("Zoe") < page.index("Anna")
    assert "2 students · 1 needs help" in page
    assert '<a href="p">PDF</a> · <a href="t">teacher</a>' in page
    korean = html.unescape(index_page(WEEK, rows, language="ko", style=""))
    assert '<html lang="ko">' in korean
    assert "학생 2명 · 도움이 필요한 학생 1명" in korean
    assert "0 need" not in index_page(WEEK, [rows[0]], language="en", style="")


def test_a_hostile_name_is_text() -> None:
    with speaking("en"):
        row = IndexRow("<script>x</script>", what_to_do("weak_topic", "<i>t"), needs_help=True)
    page = index_page(WEEK, [row], language="en", style="")
    assert "<script" not in page
    assert "<i>" not in page


def test_the_pages_of_groups_come_first_and_their_names_are_text() -> None:
    cohorts = [
        CohortRow("class", "<b>3-B</b>", None, links=(("html", "c"),)),
        CohortRow("platform", "", 58, links=(("html", "p"), ("pdf", "q"))),
    ]
    page = index_page(WEEK, [IndexRow("Anna", "a", needs_help=False)], language="en", style="", cohorts=cohorts)
    shown = html.unescape(page)
    assert shown.index("Operators") < shown.index("Class ") < shown.index("Anna")
    assert '<a href="p">HTML</a> · <a href="q">PDF</a>' in shown
    assert "too few for numbers" in shown
    assert "<b>" not in page
