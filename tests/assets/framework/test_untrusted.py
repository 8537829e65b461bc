"""Text from data in the UI's Markdown."""

import re
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from seedtest_analytics.assets.framework.preview import Forest, forest_plot, markdown_table
from seedtest_analytics.assets.framework.untrusted import as_text, escaped, one_line, plain_label

PACKAGE = Path(__file__).parents[3] / "seedtest_analytics"


@pytest.mark.parametrize(
    ("text", "markdown"),
    [
        ("week of 2026-09-14: 3 items (b, c)", "week of 2026-09-14: 3 items (b, c)"),
        ("MIRT_MIN_RESPONSES = 10", "MIRT_MIN_RESPONSES = 10"),
        ("![x](/graphql?query=mutation{a})", r"!\[x\](/graphql?query=mutation{a})"),
        ("[x](/runs) *b* __c__ ~~d~~ `e`", r"\[x\](/runs) \*b\* \_\_c\_\_ \~\~d\~\~ \`e\`"),
        ("<img src=x> &lt; |", "&lt;img src=x&gt; &amp;lt; &#124;"),
        ("# heading", r"\# heading"),
        ("- item", r"\- item"),
        ("12. item", r"12\. item"),
        ("two\r\nlines\u2028and\u202eback\x00\x1b[1m", r"two lines and back \[1m"),
        (r"\| \[", r"\\&#124; \\\["),
    ],
)
def test_text_is_shown_as_it_is(text: str, markdown: str) -> None:
    assert escaped(text) == markdown


@pytest.mark.parametrize(
    "text", ["https://evil.example", "www.evil.example", "ada@evil.example", "see http://e.x/y now"]
)
def test_an_address_becomes_no_link(text: str) -> None:
    assert text not in escaped(text)
    assert escaped(text).replace("\u2060", "") == text


@given(st.text())
def test_a_terminal_gets_the_text_back(text: str) -> None:
    assert as_text(escaped(text)) == one_line(text)


@given(st.text(alphabet="|\\`*_[]<>&!#-~ \n0x.)", max_size=40))
def test_a_cell_keeps_its_table(text: str) -> None:
    header, rule, row = str(markdown_table([text, "n"], [[text, 1]]).value).split("\n")
    assert header.count("|") == row.count("|") == rule.count("|") == 3


def test_a_long_text_is_cut() -> None:
    assert len(escaped("a" * 8_000)) == 2_000
    assert len(str(markdown_table(["topic"], [["a" * 8_000]]).value)) < 300


@pytest.mark.parametrize("name", ["$\\frac{$", "$x$", "price in $", "a\nb", "x" * 500])
def test_a_name_is_no_formula_of_a_plot(name: str) -> None:
    """matplotlib fails on a text between two $ that it cannot read as a formula."""
    forest = Forest([name, name], [0.1, 0.2], lower=[0, 0], upper=[1, 1], is_marked=[True, False])
    assert forest_plot(forest, "Items", label="b", rows_are="item", limits=()).of_week("items", "2026-09-14")
    assert len(plain_label(name)) <= 61


def test_only_tables_and_plots_are_markdown_and_every_check_is_escaped() -> None:
    """A new place that makes Markdown, or the result of a check, must escape too: name it here."""
    found = {
        path.relative_to(PACKAGE).as_posix()
        for path in PACKAGE.rglob("*.py")
        if re.search(
            r"MetadataValue\.md\(|MarkdownMetadata|AssetCheckResult\(|AssetCheckEvaluation\(", path.read_text()
        )
    }
    assert found == {
        "assets/framework/preview.py",
        "assets/framework/report.py",
        "assets/sources.py",
        "assets/reports.py",
        "assets/framework/thumbnail.py",
    }
