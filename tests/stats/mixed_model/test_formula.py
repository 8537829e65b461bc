"""The formula language: what is parsed, what reaches R, what is rejected."""

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from seedtest_analytics.stats.mixed_model.formula import FormulaError, parse_formula

COLUMNS = ("score", "week", "student", "topic", "school", "age")


def test_contract_formula():
    formula = parse_formula("score ~ week + (week|student) + (1|topic)", COLUMNS)
    assert formula.text == "score ~ week + (week | student) + (1 | topic)"
    assert formula.response == "score"
    assert formula.fixed_columns == ("week",)
    assert formula.group_columns == ("student", "topic")
    assert [term.n_effects for term in formula.random_terms] == [2, 1]
    assert formula.columns == ("score", "week", "student", "topic")


@pytest.mark.parametrize(
    ("written", "read"),
    [
        ("score~(1|student)", "score ~ 1 + (1 | student)"),
        ("score ~ 0 + week + (0+week|student)", "score ~ 0 + week + (0 + week | student)"),
        ("score ~ week - 1 + (week||student)", "score ~ week - 1 + (week || student)"),
        ("score ~ -1 + week + (1|student)", "score ~ -1 + week + (1 | student)"),
        ("score ~ week*age + I(week^2) + (1|school/student)", "score ~ week*age + I(week^2) + (1 | school/student)"),
        (
            "score ~ (1|student) + week:age + (1|student:topic)",
            "score ~ week:age + (1 | student) + (1 | student:topic)",
        ),
    ],
)
def test_terms_are_written_anew(written, read):
    formula = parse_formula(written, COLUMNS)
    assert formula.text == read
    assert parse_formula(read, COLUMNS) == formula


@pytest.mark.parametrize(
    ("text", "effects"), [("0 + week", 1), ("week - 1", 1), ("1 + week", 2), ("week", 2), ("1", 1)]
)
def test_random_intercept_is_counted(text, effects):
    assert parse_formula(f"score ~ ({text} | student)", COLUMNS).random_terms[0].n_effects == effects


@pytest.mark.parametrize(
    "attack",
    [
        "score ~ week + (1|student); system('id')",
        "score ~ system('id') + (1|student)",
        "score ~ week + (1|student) + eval(x)",
        "system(id) ~ week + (1|student)",
        "score ~ I(system(id)^2) + (1|student)",
        "score ~ week + (1|student)\nquit()",
        "score ~ `week` + (1|student)",
        "score ~ week + (1|base::get)",
        "score ~ week + {week} + (1|student)",
        'score ~ "week" + (1|student)',
        "score ~ week + offset(week) + (1|student)",
        "score ~ week + (1 | (1 | student))",
        "score ~ .Machine + (1|student)",
        "score ~ week %in% age + (1|student)",
        "score ~ week = 1 + (1|student)",
        "score ~ week + (1|student)" + " + week" * 200,
    ],
)
def test_code_is_refused(attack):
    with pytest.raises(FormulaError):
        parse_formula(attack, COLUMNS)


def test_refusal_shows_the_place():
    with pytest.raises(FormulaError, match=re.escape("character 14: expected")):
        parse_formula("score ~ week ; x", COLUMNS)


def test_missing_columns_are_named_with_those_there_are():
    with pytest.raises(FormulaError, match="needs missing columns: grade, pupil; available: score, week"):
        parse_formula("score ~ grade + (1 | pupil)", COLUMNS)


def test_formula_without_random_term_is_refused():
    with pytest.raises(FormulaError, match="no random term"):
        parse_formula("score ~ week", COLUMNS)


@given(st.text(alphabet="score ~week+(1|student)*:/^I-0;'\"`{}[]$@,=<>!&\n\\", max_size=40))
def test_what_is_read_has_only_known_names(text):
    try:
        formula = parse_formula(text, COLUMNS)
    except FormulaError:
        return
    assert set(re.findall(r"[A-Za-z]+", formula.text)) <= {*COLUMNS, "I"}
    assert re.fullmatch(r"[A-Za-z0-9_.~+\-*:/()^| ]+", formula.text)
