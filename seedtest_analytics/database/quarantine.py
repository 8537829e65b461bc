"""Rows that break a rule of the contract go to `row_quarantine`, so that one bad row never stops the others.

A table is refused as a whole where the rows are not to blame: a column is missing, a key occurs twice, or so many rows
break a rule that the computation is wrong.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import Connection, text

MAX_SHARE = 0.05
"""A larger share of broken rows is a fault of the computation. One row may always be set aside, unless it is the only one."""


@dataclass(frozen=True)
class Violation:
    """A rule of the contract that staged rows break."""

    column: str
    rule: str
    rows: int

    def __str__(self) -> str:
        return f"{self.column}: {self.rule} ({self.rows:,} {'row' if self.rows == 1 else 'rows'})"


class ContractViolation(ValueError):  # noqa: N818 (the name says that rows violate the contract)
    """Staged rows break the table's contract; nothing was written.

    ``asset`` is the key of the asset where several write the table.
    """

    def __init__(self, table: str, violations: Sequence[Violation], *, asset: tuple[str, ...] = ()) -> None:
        self.table, self.asset = table, asset
        self.violations = tuple(violations)
        super().__init__(f"{table}: nothing was written, the last good rows stay; " + joined(violations))


@dataclass(frozen=True)
class RowRule:
    """A rule for a single row. ``is_broken`` is SQL over the columns of the row; NULL counts as kept."""

    column: str
    rule: str
    is_broken: str


@dataclass(frozen=True)
class BrokenRows:
    """The rows of a staged table that break a rule: how many, of how many, and which rules."""

    total: int
    broken: int
    violations: tuple[Violation, ...]

    @property
    def are_few(self) -> bool:
        """Whether the rows are bad rather than the computation."""
        return self.broken < self.total and self.broken <= max(1, MAX_SHARE * self.total)


def joined(violations: Sequence[Violation]) -> str:
    """The violations as one text."""
    return "; ".join(str(violation) for violation in violations)


def keep_good_rows(
    connection: Connection,
    asset: tuple[str, ...],
    *,
    source: str,
    rules: Sequence[RowRule],
    others: Sequence[Violation],
    replaced: str,
    parameters: Mapping[str, Any],
    context: Mapping[str, str] | None = None,
) -> BrokenRows:
    """Move the rows of the staged table ``source`` (quoted) that break ``rules`` to the quarantine, with their reasons.

    Args:
        asset: key of the asset, which begins with the table.
        others: violations that no single row is to blame for.
        replaced: a condition over the quarantine, aliased ``q``, with ``parameters``: the rows of an earlier publication
            of the same part.
        context: values of a row that the staged table lacks.

    Raises :class:`ContractViolation` if there are others, or if the rows are too many.
    """
    found = _broken_rows(connection, source, rules=rules)
    if others or (found.broken and not found.are_few):
        raise ContractViolation(asset[0], [*found.violations, *others], asset=asset if len(asset) > 1 else ())
    names = {"asset": "/".join(asset)}
    forget = f"DELETE FROM row_quarantine AS q WHERE q.asset = :asset AND ({replaced})"  # noqa: S608
    connection.execute(text(forget), {**parameters, **names})
    if found.broken:
        reasons = ", ".join(f"CASE WHEN {rule.is_broken} THEN {_literal(rule)} END" for rule in rules)
        move = (
            f"WITH broken AS (DELETE FROM {source} WHERE {_any(rules)} RETURNING *) "  # noqa: S608
            "INSERT INTO row_quarantine (asset, reason, element) "
            f"SELECT :asset, concat_ws('; ', {reasons}), to_jsonb(broken) || CAST(:context AS jsonb) FROM broken"
        )
        connection.execute(text(move), {**names, "context": json.dumps(dict(context or {}))})
    return found


def _broken_rows(connection: Connection, source: str, *, rules: Sequence[RowRule]) -> BrokenRows:
    conditions = [_any(rules), *(rule.is_broken for rule in rules)]
    counts = ", ".join(f"count(*) FILTER (WHERE {condition})" for condition in conditions)
    total, broken, *of_rules = connection.execute(text(f"SELECT count(*), {counts} FROM {source}")).one()  # noqa: S608
    found = (Violation(rule.column, rule.rule, rows=n) for rule, n in zip(rules, of_rules, strict=True) if n)
    return BrokenRows(total, broken, tuple(found))


def _any(rules: Sequence[RowRule]) -> str:
    return " OR ".join(f"({rule.is_broken})" for rule in rules) or "false"


def _literal(rule: RowRule) -> str:
    words = f"{rule.column}: {rule.rule}".replace("'", "''")
    return f"'{words}'"
