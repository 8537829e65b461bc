"""The pages about groups: every word from the catalogue, no number of a small group, and texts from outside stay texts."""

from __future__ import annotations

import gettext
import html
import re

import pytest
from babel import Locale

from seedtest_analytics.reporting import class_page, cohort_views, item_verdicts, organisation_page, platform_page
from seedtest_analytics.reporting.cohort_document import CohortDocument, Item
from seedtest_analytics.reporting.document_base import ReportDocumentError
from seedtest_analytics.reporting.language import Language, languages, speaking
from seedtest_analytics.reporting.recommendations import HELP_RULES
from seedtest_analytics.resources.quarto.execute import render_page, runnable_cells
from seedtest_analytics.resources.quarto.renderer import template_folder
from seedtest_analytics.resources.quarto.template import FILES, CompiledTemplate, compile_template
from tests.reporting.cohorts import FULL, class_data, cohort, empty, hostile, item, organisation_data, too_small
from tests.reporting.documents import HOSTILE
from tests.reporting.test_language import Marking, Words

SCOPES = tuple(FULL)
TYPED = re.findall("[A-Za-z]+", "DIF_COVARIATE platform_health seedtest health REPORT_MIN_COHORT")


@pytest.fixture(scope="module")
def template() -> CompiledTemplate:
    return compile_template(template_folder(), FILES["cohort"])


def rendered(template: CompiledTemplate, document: CohortDocument) -> bytes:
    return render_page(template, runnable_cells(template), document=document.to_json())


def shown(page: bytes) -> str:
    """The visible text, with names."""
    body = re.sub(
        r"<style>.*?</style>|<svg.*?</svg>|<[^>]+>", " ", page.decode().partition("<main>")[2], flags=re.DOTALL
    )
    return re.sub(r"\s+", " ", html.unescape(body))


def tags(page: bytes) -> list[str]:
    return re.findall(r"<([a-z][a-z0-9]*)", page.decode())


@pytest.mark.parametrize("scope", SCOPES)
@pytest.mark.parametrize("made", ["full", "empty", "small"])
def test_every_word_comes_from_the_catalogue(
    template: CompiledTemplate, scope: str, made: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    marking = Language("xx", Locale.parse("ko"), translations=Marking())
    monkeypatch.setattr("seedtest_analytics.reporting.language.language", lambda code: marking)
    document = {"full": cohort(FULL[scope]()), "empty": empty(scope), "small": too_small(scope)}[made]
    text = " ".join(Words(rendered(template, document)).found)
    while "⟦" in text:
        text = re.sub(r"⟦[^⟦⟧]*⟧", " ", text)
    left = re.sub(r"θ\*?|UTC|[년월일화수목금토]", " ", text)
    assert not re.search(r"[^\W\d_]", left), re.findall(r"[^\W\d_][^<>]{0,40}", left)[:5]


@pytest.mark.parametrize("scope", SCOPES)
@pytest.mark.parametrize("made", ["full", "empty", "small"])
def test_a_korean_page_has_no_english_words(template: CompiledTemplate, scope: str, made: str) -> None:
    """But names, which stand in `bdi`, a time zone, and what an operator types: settings, commands, assets."""
    document = {"full": cohort(FULL[scope]()), "empty": empty(scope), "small": too_small(scope)}[made]
    page = rendered(template, document.model_copy(update={"language": "ko"}))
    words = re.findall("[A-Za-z]{2,}", " ".join(Words(page).found))
    assert set(words) <= {"UTC", *TYPED}
    assert len(re.findall("[가-힣]", " ".join(Words(page).found))) > 40


@pytest.mark.parametrize("code", languages())
@pytest.mark.parametrize("scope", ["class", "organisation"])
def test_a_group_that_is_too_small_has_no_number(template: CompiledTemplate, scope: str, code: str) -> None:
    """But the week, the minimum, and the key of the organisation."""
    document = too_small(scope).model_copy(update={"language": code, "grade": None, "generated_at": None, "name": "B"})
    page = rendered(template, document)
    text = shown(page)
    assert set(re.findall(r"\d+", text)) - {"5", "17", "2025", "11", "3", "9"} == set()
    assert "5" in re.findall(r"\d+", text)
    assert b"<svg" not in page
    assert b"<table" not in page
    assert "Anna" not in text


@pytest.mark.parametrize("scope", SCOPES)
def test_a_group_without_data_says_what_is_missing(template: CompiledTemplate, scope: str) -> None:
    text = shown(rendered(template, empty(scope)))
    assert "None" not in text
    assert not re.search(r"\bnan\b", text)
    said = {
        "class": (
            "have no reports in this week",
            "No student of this class is known",
            "No answers in the last four weeks",
        ),
        "organisation": ("has no classes", "Growth takes 5 students", "A learning curve takes two weeks"),
        "platform": (
            "No class is known",
            "No calibration",
            "not been compared",
            "no segments",
            "not been looked at yet",
        ),
    }
    for sentence in said[scope]:
        assert sentence in text


@pytest.mark.parametrize("attack", HOSTILE)
@pytest.mark.parametrize("scope", SCOPES)
def test_a_hostile_text_stays_a_text(template: CompiledTemplate, scope: str, attack: str) -> None:
    page = rendered(template, hostile(scope, attack))
    assert tags(page) == tags(rendered(template, hostile(scope, "harmless")))
    assert b"{{<" not in page
    assert not {"script", "iframe", "img", "a"} & set(tags(page))
    assert not attack.isprintable() or attack[:190] in html.unescape(page.decode())


def test_those_who_need_help_come_first_and_each_student_is_in_one_group() -> None:
    page = html.unescape(str(class_page.next_steps(cohort(class_data()))))
    rows = re.findall(r'<tr role="row"><th scope="row".*?</tr>', page)
    cells = [[re.sub("<[^>]+>", "", cell) for cell in re.findall(r"<t[hd].*?>(.*?)</t[hd]>", row)] for row in rows]
    assert cells[:2] == [
        ["Work on Angles first.", "2", "Anna", "ben"],
        ["Start with one short session of about ten questions.", "1", "emil", "–"],
    ]
    assert ["Nothing stands out.", "1", "–", "dora"] in cells
    assert ["of_the_future", "1", "–", "gina"] in cells
    assert sum(int(row[1]) for row in cells) == 6
    assert "1 student has no report in this week: finn" in re.sub("<[^>]+>", "", page)


def test_help_is_what_the_students_report_says_and_nothing_else() -> None:
    """The page reads the column and has no rule of its own: a student of a help rule without it is not counted."""
    students = [
        {"user_id": rule, "has_report": True, "needs_help": False, "step": {"rule": rule, "tone": "do"}}
        for rule in sorted(HELP_RULES)
    ]
    page = str(class_page.next_steps(cohort(class_data(), students=students)))
    assert page.count('<td role="cell" data-label="Need help">–</td>') == len(HELP_RULES)


def test_who_stopped_just_now_comes_first_with_plain_reasons() -> None:
    page = html.unescape(str(class_page.stopped(cohort(class_data()))))
    assert "2 students did not practise in this week; 1 of them still did in the three weeks before." in page
    assert page.index("emil") < page.index("finn")
    assert "last active 11 days ago (typically 3 days)" in page
    assert "Raises the risk" not in page


def test_growth_says_what_its_interval_allows() -> None:
    for lower, upper, sentence in (
        (0.1, 0.5, "has grown."),
        (-0.5, -0.1, "fallen back"),
        (-0.1, 0.5, "cannot be told"),
    ):
        growth = class_data()["growth"]
        growth[-1] |= {"gain": (lower + upper) / 2, "lower": lower, "upper": upper}
        assert sentence in str(cohort_views.growth(cohort(class_data(), growth=growth)))


def test_a_small_class_of_an_organisation_has_its_name_alone() -> None:
    page = html.unescape(str(organisation_page.classes(cohort(organisation_data()))))
    (row,) = [row for row in re.findall(r"<tr.*?</tr>", page) if "3-C" in row]
    assert re.findall(r'<td role="cell"[^>]*>(.*?)</td>', row) == ["fewer than 5", *["–"] * 6]
    assert "Students without a class" in page


@pytest.mark.parametrize(
    ("parts", "expected"),
    [
        ({}, "works"),
        ({"n_fit": 49}, "unknown"),
        ({"is_drift_judged": False}, "works_now"),
        ({"is_drift_judged": False, "n_fit": 49}, "unknown"),
        ({"difficulty": None}, "unknown"),
        ({"flag": "negative_discrimination", "has_moved": True}, "wrong_key"),
        ({"flag": "discrimination_at_limit"}, "at_limit"),
        ({"flag": "one_category", "difficulty": None}, "all_alike"),
        ({"flag": "low_discrimination"}, "says_little"),
        ({"flag": "extreme_difficulty"}, "extreme"),
        ({"flag": "a flag of the future"}, "works"),
        ({"differs_by_group": True, "infit": 2.0}, "differs"),
        ({"has_moved": True}, "moved"),
        ({"has_moved": True, "drift_origin": "item"}, "moved"),
        ({"has_moved": True, "drift_origin": "topic"}, "moved_with_topic"),
        ({"has_moved": True, "drift_origin": "who_answers"}, "others_answer"),
        ({"drift_origin": "who_answers"}, "works"),
        ({"infit": 1.31}, "erratic"),
        ({"infit": 1.29}, "works"),
        ({"infit": 0.69}, "too_regular"),
        ({"infit": 1.31, "infit_se": 0.12}, "works"),
        ({"infit": 1.40, "infit_se": 0.12}, "erratic"),
        ({"infit": 1.40, "infit_se": None}, "works"),
        ({"n_expected_correct": 1}, "harder_here"),
        ({"n_expected_correct": 12}, "easier_here"),
        ({"n_expected_correct": 1, "n_expected": 9}, "works"),
        ({"variance": 0.0, "n_expected_correct": 1}, "works"),
        ({"variance": None, "expected": None}, "works"),
    ],
)
def test_each_finding_about_a_question(parts: dict[str, object], expected: str) -> None:
    found = Item.model_validate(item(**parts))
    assert item_verdicts.verdict(found) == expected


@pytest.mark.parametrize(
    ("parts", "expected"),
    [
        ({}, "–"),
        ({"has_moved": True, "drift": -0.62}, "−62 points"),
        ({"drift": 0.1, "drift_found_from": 0.44, "drift_power": 0.9}, "none; 44 points or more would show"),
        (
            {"is_drift_judged": False, "drift": 0.4, "drift_found_from": 1.2, "drift_power": 0.16},
            "cannot be judged: only 120 points or more would show, and a severe change in 16% of cases",
        ),
    ],
)
def test_no_drift_differs_from_what_cannot_be_judged(parts: dict[str, object], expected: str) -> None:
    page = html.unescape(str(class_page.items(cohort(class_data(), items=[item(**parts)]))))
    assert re.findall(r'<td role="cell"[^>]*>(.*?)</td>', page)[-2] == expected


def test_operators_see_what_each_comparison_could_find_and_what_moved() -> None:
    page = html.unescape(str(platform_page.sections(cohort(FULL["platform"]()))))
    rows = [re.findall(r"<t[dh][^>]*>(.*?)</t[dh]>", row) for row in re.findall(r"<tr.*?</tr>", page)]
    plain = [[re.sub("<[^>]*>", "", cell) for cell in row] for row in rows]
    assert ["did not move", "40", "0.44", "90%"] in plain
    assert ["cannot be judged", "194", "1.13", "18%"] in plain
    assert ["5", "+0.71", "0.40", "−0.03", "0 (−2 to +2)", "the question itself"] in plain
    assert ["6", "−0.60", "–", "–", "–", "not compared with its topic"] in plain
    assert ["7", "71", "+0.20", "1.20", "16%"] in plain
    assert ["8", "–", "–", "–", "–"] in plain
    assert "The log does not say who chose a question" in page


def test_questions_with_a_finding_come_first_and_the_rest_is_counted() -> None:
    page = html.unescape(str(class_page.items(cohort(class_data()))))
    assert "The class met 29 questions in four weeks: 25 work as they should, 3 need a look, and 1 cannot" in page
    assert page.index("Check the key") < page.index("Answers fit the model worse") < page.index("It works as it should")
    assert "9 questions more, 0 of them with a finding." in page


@pytest.mark.parametrize("value", [None, "x", [], {}, True])
def test_odd_json_of_a_fit_counts_as_missing(value: object) -> None:
    fit = {"week_start": "2025-11-03", "is_usable": True, "model_spec": value, "metrics": value}
    odd = {"week_start": "2025-11-03", "is_usable": True, "model_spec": {"n_items": value}, "metrics": {"dif": value}}
    for calibration in (fit, odd):
        document = cohort(
            {"scope": "platform", "week_start": "2025-11-03"},
            platform={"calibration": calibration, "forecasts": [{"metric": "I_t", "next": value}]},
        )
        assert "None" not in str(platform_page.sections(document))


def test_a_document_that_breaks_the_contract_names_fields_and_no_values() -> None:
    with pytest.raises(ReportDocumentError, match=r"summary\.answers") as error:
        cohort(class_data(), summary={"students": 1, "active": 1, "answers": "secret", "correct": 0, "helped": 0})
    assert "secret" not in str(error.value)


def test_teachers_and_operators_read_one_level_of_politeness() -> None:
    """Sentences end in 합니다체; only the steps are those of the family's page."""
    with speaking("ko"):
        document = cohort(class_data())
        parts = [class_page.stopped, class_page.items, cohort_views.growth, cohort_views.topics, cohort_views.curves]
        said = " ".join(str(part(document)) for part in [*parts, cohort_views.about, cohort_views.header])
        said += str(organisation_page.classes(cohort(organisation_data())))
        said += str(platform_page.sections(cohort(FULL["platform"]())))
    assert not re.findall(r"[가-힣]+[해어아예세이]요[.<]", said)
    assert len(re.findall(r"니다[.<]", said)) > 15


def test_the_bracket_language_is_a_language() -> None:
    """Guards the guard: the marking language does mark."""
    assert isinstance(Marking(), gettext.NullTranslations)
    assert Marking().gettext("x") == "⟦x⟧"
