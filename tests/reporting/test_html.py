"""Escaping of untrusted text, and the markup of tables, figures and sections."""

from __future__ import annotations

import html
import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as st

from seedtest_analytics.reporting.html import Html, figure, name, paragraph, section, table, text


@given(st.text(max_size=150))
def test_text_is_inert_and_loses_nothing_visible(raw: str) -> None:
    shown = text(raw)
    assert not set(shown) & set("<>\"'`{}[]$@\\*_|~")
    assert not any(c in shown for c in "\u202a\u202e\u2066\x00\n\r")
    visible = "".join(c for c in raw if not text(c).startswith("&#91;U"))
    assert html.unescape(text(visible)) == unicodedata.normalize("NFC", visible)


def test_names_are_isolated_and_cut() -> None:
    assert name("a\u202eb") == "<bdi>a&#91;U&#43;202E&#93;b</bdi>"
    assert len(html.unescape(text("x" * 5000))) == 200


def test_jamo_of_a_syllable_become_the_syllable() -> None:
    assert text("\u1100\u1161\u11a8") == "\uac01"


def test_joiners_stay_and_directional_marks_do_not() -> None:
    assert text("\u200d") == "\u200d"
    assert text("\u2066") == "&#91;U&#43;2066&#93;"


def test_markup_of_the_parts() -> None:
    assert paragraph("x") == "<p>x</p>"
    assert paragraph("x", "note") == '<p class="note">x</p>'
    assert figure("<svg/>", "c") == "<figure><svg/><figcaption>c</figcaption></figure>"
    assert section("A & B", None) is None
    made = section("A & B", Html("<p>x</p>"))
    assert made is not None
    assert made._repr_html_() == str(made) == "<section><h2>A &#38; B</h2><p>x</p></section>"


def test_a_table_repeats_its_headings_for_narrow_screens() -> None:
    made = table(("Topic", "Right"), [["a", "1"]], caption="c", css_class="topics")
    assert '<th scope="row" role="rowheader">a</th><td role="cell" data-label="Right">1</td>' in made
    with pytest.raises(ValueError, match="zip"):
        table(("Topic", "Right"), [["a"]], caption="c")
