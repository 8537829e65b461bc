"""The catalogues are complete, nothing that a reader sees bypasses them, and Korean particles fit their words."""

from __future__ import annotations

import datetime as dt
import gettext
import re
import string
from html.parser import HTMLParser

import pytest
from babel import Locale
from babel.messages.pofile import read_po

from scripts.catalogue import messages
from seedtest_analytics.reporting import wording
from seedtest_analytics.reporting.language import (
    CATALOGUES,
    Language,
    known_language,
    language,
    languages,
    say,
    say_n,
    speaking,
)
from seedtest_analytics.reporting.particles import ending, particle
from seedtest_analytics.resources.quarto.execute import render_page, runnable_cells
from seedtest_analytics.resources.quarto.renderer import template_folder
from seedtest_analytics.resources.quarto.template import PAGES, CompiledTemplate, compile_template
from tests.reporting.documents import WEEK, document, empty_document, full_document

TRANSLATED = [code for code in languages() if code != "en"]


def fields(message: str) -> set[str]:
    return {name for _, name, _, _ in string.Formatter().parse(message) if name}


def of(code: str) -> dict[str, tuple[str, ...]]:
    with (CATALOGUES / f"{code}.po").open("rb") as file:
        catalogue = read_po(file, locale=code)
    assert not [m.id for m in catalogue if m.fuzzy and m.id]
    return {
        (m.id if isinstance(m.id, str) else m.id[0]): (m.string,) if isinstance(m.string, str) else tuple(m.string)
        for m in catalogue
        if m.id
    }


@pytest.mark.parametrize("code", TRANSLATED)
def test_a_catalogue_has_every_message_of_the_code_and_no_other(code: str) -> None:
    used = {m.id if isinstance(m.id, str) else m.id[0] for m in messages() if m.id}
    assert set(of(code)) == used, "run python scripts/catalogue.py and translate what is new"


@pytest.mark.parametrize("code", TRANSLATED)
def test_every_message_is_translated_with_its_placeholders(code: str) -> None:
    for message, forms in of(code).items():
        assert all(form.strip() or not message.strip() for form in forms), f"{message!r} has no translation"
        for form in forms:
            assert fields(form) == fields(message), message
            assert form != message or not re.search("[a-z]{3}", re.sub(r"\{\w+\}", "", message)), message


def test_korean_has_no_english_left_and_no_particle_without_a_choice() -> None:
    for message, forms in of("ko").items():
        bare = re.sub(r"\{[^}]*\}|\(odds\)", "", forms[0])
        assert not re.search("[A-Za-z]{2,}", bare), message
        fixed = re.search(r"\}(을|를|이|가|은|는|과|와|으로|이에요|예요)(?=[ .,(]|$)", forms[0])
        assert fixed is None, f"{message}: write the two forms of {fixed[1]} inside the braces"


@pytest.mark.parametrize(
    ("tag", "expected"),
    [("ko", "ko"), ("ko-KR", "ko"), ("KO_kr", "ko"), (" en ", "en"), ("fr", "en"), (None, "en"), ("", "en")],
)
def test_a_language_tag_finds_its_catalogue(tag: str | None, expected: str) -> None:
    assert known_language(tag, "en") == expected


def test_an_unknown_language_is_an_error() -> None:
    with pytest.raises(KeyError, match="no catalogue for the language 'xx'"):
        language("xx")


@pytest.mark.parametrize(
    ("word", "expected"),
    [
        ("분수", "vowel"),
        ("확률", "rieul"),
        ("각", "consonant"),
        ("함수(1)", "rieul"),
        ("도형 3", "consonant"),
        ("2", "vowel"),
        ("7", "rieul"),
        ("10", "consonant"),
        ("62%", "vowel"),
        ("Angles", "vowel"),
        ("Book", "consonant"),
        ("map", "consonant"),
        ("test", "vowel"),
        ("Algebra", "vowel"),
        ("Total", "rieul"),
        ("Fraction", "consonant"),
        ("XML", "rieul"),
        ("API", "vowel"),
        ("😀", "unknown"),
        ("", "unknown"),
        ("مرحبا", "unknown"),
    ],
)
def test_the_last_sound_of_a_word(word: str, expected: str) -> None:
    assert ending(word) == expected


def test_particles_follow_the_sound() -> None:
    assert [particle(w, "을/를") for w in ("각", "분수", "확률", "😀")] == ["을", "를", "을", "을(를)"]
    assert [particle(w, "으로/로") for w in ("각", "분수", "확률")] == ["으로", "로", "로"]
    with speaking("ko"):
        words = "You got {correct} of {answers} questions right in {topic}, so you are ready for harder ones there."
        markup = "<bdi>확률&#40;1&#41;</bdi>"
        assert say(words, topic=markup, correct=9, answers=9).startswith(f"{markup}은 9")
        assert say(words, topic="<bdi>분수</bdi>", correct=9, answers=9).startswith("<bdi>분수</bdi>는 9")
    assert particle("2026년 11월 21일 (토)", "이에요/예요") == "이에요", "the word before the bracket"


def test_numbers_dates_and_plurals_are_the_languages_own() -> None:
    assert (say_n("{n} answer", "{n} answers", 1), say_n("{n} answer", "{n} answers", 1234)) == (
        "1 answer",
        "1,234 answers",
    )
    with speaking("ko"):
        assert wording.answers(1) == "1문항"
        assert wording.day(WEEK, year=True, weekday=True) == "2025년 11월 3일 (월)"
        assert wording.week(dt.date(2025, 12, 29)) == "2025년 12월 29일 (월) – 2026년 1월 4일 (일)"
        assert wording.weekday(WEEK) == "월"
        assert wording.percent(0.001) == "1% 미만"
        assert wording.seconds(125_000) == "2분 05초"


class Words(HTMLParser):
    """The visible text of a page outside names, and the texts of its attributes that are read aloud.

    A sentence that a page quotes in English (`<bdi lang="en">`) is not a name.
    """

    def __init__(self, page: bytes) -> None:
        super().__init__(convert_charrefs=True)
        self.found: list[str] = []
        self._open: list[str] = []
        self.feed(page.decode())

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        if tag not in {"meta", "link", "br", "img", "input", "hr", "rect", "circle", "line", "path", "polygon"}:
            self._open.append("quote" if tag == "bdi" and dict(attrs).get("lang") else tag)
        self.found += [value or "" for key, value in attrs if key in {"data-label", "aria-label", "alt", "title"}]

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        """Has no text."""

    def handle_endtag(self, tag: str) -> None:
        if tag in self._open or (tag == "bdi" and "quote" in self._open):
            while self._open.pop() not in (tag, "quote" if tag == "bdi" else tag):
                pass

    def handle_data(self, data: str) -> None:
        if not {"style", "bdi"} & set(self._open):
            self.found.append(data)


class Marking(gettext.NullTranslations):
    """A language in which every message stands in brackets."""

    def gettext(self, message: str) -> str:
        return f"⟦{message}⟧"

    def ngettext(self, msgid1: str, msgid2: str, n: int) -> str:
        return f"⟦{msgid1 if n == 1 else msgid2}⟧"


@pytest.fixture(scope="module")
def pages() -> dict[str, CompiledTemplate]:
    return {page: compile_template(template_folder(), main) for page, main in PAGES.items()}


@pytest.mark.parametrize("page", PAGES)
@pytest.mark.parametrize("made", ["full", "empty", "odd"])
def test_every_word_that_a_reader_sees_comes_from_the_catalogue(
    pages: dict[str, CompiledTemplate], page: str, made: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Rendered in a language of brackets, a page has no letters outside brackets but names, dates and units."""
    marking = Language("xx", Locale.parse("ko"), translations=Marking())
    monkeypatch.setattr("seedtest_analytics.reporting.language.language", lambda code: marking)
    odd = {"P": 0.3, "P_target": 0.5, "P_target_source": "default", "S": 0.8, "delta_theta": 0.4}
    data = {
        "full": full_document(),
        "empty": empty_document(),
        "odd": document(kpis={**odd, "S_reasons": ["Raises the risk: x"], "A_t_reason": "an old reason"}),
    }[made]
    cells = runnable_cells(pages[page])
    words = Words(render_page(pages[page], cells, document=data.to_json())).found
    text = " ".join(words)
    while "⟦" in text:
        text = re.sub(r"⟦[^⟦⟧]*⟧", " ", text)
    left = re.sub(r"θ\*?|UTC|[년월일화수목금토]", " ", text)
    assert not re.search(r"[^\W\d_]", left), re.findall(r"[^\W\d_][^<>]{0,40}", left)[:5]


@pytest.mark.parametrize("page", PAGES)
@pytest.mark.parametrize("made", ["full", "empty", "withheld"])
def test_a_korean_page_has_no_english_words(pages: dict[str, CompiledTemplate], page: str, made: str) -> None:
    """But names, which stand in `bdi`, a time zone, and the term that Korean books give with the Korean one."""
    reason = "withheld: in past weeks the model ranked students no better than chance"
    growth = {"week_start": WEEK, "percentile": None, "reason": "no level 8 weeks ago"}
    data = {
        "full": full_document(),
        "empty": empty_document(),
        "withheld": document(kpis={"P": None, "P_reason": reason, "P_verdict": "withheld"}, student_growth=growth),
    }[made].model_copy(update={"language": "ko"})
    shown = render_page(pages[page], runnable_cells(pages[page]), document=data.to_json())
    words = " ".join(Words(shown).found)
    assert set(re.findall("[A-Za-z]{2,}", words)) <= {"UTC", "Asia", "Seoul", "odds"}
    assert page != "teacher" or made != "withheld" or "우연보다 낫지 않았습니다" in words


@pytest.mark.parametrize("code", languages())
def test_title_and_language_of_a_page_are_the_readers(pages: dict[str, CompiledTemplate], code: str) -> None:
    data = full_document().model_copy(update={"language": code})
    page = render_page(pages["family"], runnable_cells(pages["family"]), document=data.to_json()).decode()
    with speaking(code):
        title = say("Weekly learning report")
    assert f'lang="{code}"' in page
    assert f"<title>{title}</title>" in page
    assert "x-seedtest" not in page
    assert "seedtest-report-title" not in page


def test_the_family_reads_one_level_of_politeness() -> None:
    """Sentences of the family's page end in 해요체, and none in 합니다체."""
    data = full_document().model_copy(update={"language": "ko"})
    from seedtest_analytics.reporting import advice_words, family, family_goal

    with speaking("ko"):
        parts = [family.standing, family.topics, family.calendar, family.about, family_goal.goal]
        shown = " ".join(str(part(data)) for part in [*parts, advice_words.family_advice])
        shown += str(family.coming_back(empty_document()))
    assert "니다" not in shown
    assert len(re.findall(r"요[.<]", shown)) > 15
