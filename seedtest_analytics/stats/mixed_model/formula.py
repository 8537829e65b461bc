"""The part of R's formula language that a mixed model may use.

A formula comes from an environment variable, and R would evaluate any code in it. So the text that reaches R is built
from the parsed terms and never copied from the input.

    formula  := name "~" terms
    terms    := ["+" | "-"] term (("+" | "-") term)*
    term     := product | "(" terms ("|" | "||") group ")"      random terms do not nest
    product  := atom ((":" | "*") atom)*
    atom     := name | "0" | "1" | "I(" name "^" digits ")"
    group    := name ((":" | "/") name)*
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass
from typing import NoReturn

_TOKEN = re.compile(r"\s*(?:(?P<name>[A-Za-z][A-Za-z0-9_.]*)|(?P<number>\d+)|(?P<sign>\|\||[~+\-*:/()^|]))")
LONGEST_FORMULA = 500


class FormulaError(ValueError):
    """A formula outside the language, or with a missing column."""


@dataclass(frozen=True)
class RandomTerm:
    """One random term: the columns with a random slope, and the columns whose levels are the groups."""

    text: str
    slope_columns: tuple[str, ...]
    has_intercept: bool
    group_columns: tuple[str, ...]

    @property
    def n_effects(self) -> int:
        """Number of random effects per group level."""
        return len(self.slope_columns) + self.has_intercept


@dataclass(frozen=True)
class MixedModelFormula:
    """A parsed formula. ``text`` is what R receives."""

    text: str
    response: str
    fixed_columns: tuple[str, ...]
    random_terms: tuple[RandomTerm, ...]

    @property
    def columns(self) -> tuple[str, ...]:
        """Every column of the formula once, the response first."""
        return tuple(dict.fromkeys([self.response, *self.predictor_columns, *self.group_columns]))

    @property
    def group_columns(self) -> tuple[str, ...]:
        """Columns whose levels are groups."""
        return tuple(dict.fromkeys(c for term in self.random_terms for c in term.group_columns))

    @property
    def predictor_columns(self) -> tuple[str, ...]:
        """Columns with a fixed effect or a random slope."""
        slopes = [c for term in self.random_terms for c in term.slope_columns]
        return tuple(dict.fromkeys([*self.fixed_columns, *slopes]))


def parse_formula(text: str, columns: Iterable[str]) -> MixedModelFormula:
    """Parse a formula over these columns. Raises :class:`FormulaError` with the position and what is allowed there, or
    with the missing and the available columns.
    """
    formula = _Reader(text).formula()
    available = tuple(columns)
    missing = [c for c in formula.columns if c not in available]
    if missing:
        raise FormulaError(
            f"the formula {formula.text!r} needs missing columns: {', '.join(missing)}; "
            f"available: {', '.join(available)}"
        )
    if not formula.random_terms:
        raise FormulaError(f"the formula {formula.text!r} has no random term, such as (week | student)")
    return formula


class _Reader:
    def __init__(self, text: str) -> None:
        if len(text) > LONGEST_FORMULA:
            raise FormulaError(f"the formula has {len(text)} characters; the limit is {LONGEST_FORMULA}")
        self._text = text
        self._tokens = list(self._tokenise(text))
        self._at = 0
        self._columns: dict[str, None] = {}

    def _tokenise(self, text: str) -> Iterable[tuple[str, int]]:
        position = 0
        while rest := text[position:].strip():
            position = text.index(rest, position)
            match = _TOKEN.match(text, position)
            if match is None:
                self._refuse("a name, a number or one of ~ + - * : / ( ) ^ | ||", position)
            yield match[match.lastgroup or 0], match.start(match.lastgroup or 0)
            position = match.end()

    def _refuse(self, wanted: str, position: int | None = None) -> NoReturn:
        if position is None:
            position = self._tokens[self._at][1] if self._at < len(self._tokens) else len(self._text)
        raise FormulaError(
            f"formula {self._text!r}, character {position + 1}: expected {wanted}, found "
            f"{self._text[position : position + 12]!r}. Allowed are terms such as "
            "score ~ week + I(week^2) + (week | student) + (1 | topic)"
        )

    def _peek(self) -> str:
        return self._tokens[self._at][0] if self._at < len(self._tokens) else ""

    def _take(self, *wanted: str) -> str:
        if self._peek() not in wanted:
            self._refuse(" or ".join(wanted))
        self._at += 1
        return self._tokens[self._at - 1][0]

    def _name(self) -> str:
        name = self._peek()
        if not name[:1].isalpha():
            self._refuse("a column")
        self._at += 1
        return name

    def formula(self) -> MixedModelFormula:
        response = self._name()
        self._take("~")
        fixed, random = self._terms(allow_random=True)
        if self._at < len(self._tokens):
            self._refuse("the end")
        text = f"{response} ~ {fixed}" if fixed else f"{response} ~ 1"
        text += "".join(f" + {term.text}" for term in random)
        return MixedModelFormula(text, response, fixed_columns=tuple(self._columns), random_terms=tuple(random))

    def _terms(self, *, allow_random: bool) -> tuple[str, list[RandomTerm]]:
        fixed, random = "", []
        sign = self._take("+", "-") if self._peek() in ("+", "-") else "+"
        while True:
            if self._peek() == "(" and allow_random and sign == "+":
                random.append(self._random())
            elif fixed or sign == "-":
                fixed += f" {sign} {self._product()}" if fixed else f"-{self._product()}"
            else:
                fixed = self._product()
            if self._peek() not in ("+", "-"):
                return fixed, random
            sign = self._take("+", "-")

    def _product(self) -> str:
        text = self._atom()
        while self._peek() in (":", "*"):
            text += self._take(":", "*") + self._atom()
        return text

    def _atom(self) -> str:
        if self._peek() in ("0", "1"):
            return self._take("0", "1")
        name = self._name()
        if name == "I" and self._peek() == "(":
            return self._power()
        self._columns[name] = None
        return name

    def _power(self) -> str:
        self._take("(")
        name = self._name()
        self._take("^")
        exponent = self._peek()
        if not exponent.isdigit():
            self._refuse("a whole number")
        self._at += 1
        self._take(")")
        self._columns[name] = None
        return f"I({name}^{exponent})"

    def _random(self) -> RandomTerm:
        self._take("(")
        outside, self._columns = self._columns, {}
        effects, _ = self._terms(allow_random=False)
        slopes, self._columns = tuple(self._columns), outside
        bar = self._take("|", "||")
        groups = [self._name()]
        text = groups[0]
        while self._peek() in (":", "/"):
            text += self._take(":", "/")
            groups.append(self._name())
            text += groups[-1]
        self._take(")")
        has_intercept = not re.search(r"(^|[+ ])0|-\s*1", effects)
        return RandomTerm(f"({effects} {bar} {text})", slopes, has_intercept=has_intercept, group_columns=tuple(groups))
