"""How a table of the contract is declared: types, keys, and for every column its meaning, unit, range, origin.

The declarations drive migrations, validation before publishing, the column schema and lineage in the Dagster UI,
and the data dictionary. So a column's meaning is written once.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal

from sqlalchemy import Column, Date, MetaData, Table, Text, text
from sqlalchemy.dialects.postgresql import DOUBLE_PRECISION, JSONB, TIMESTAMP

metadata = MetaData()
"""Every table that the platform creates or writes."""

view_metadata = MetaData()
"""Views, declared for their column documentation only."""

Pii = Literal["none", "pseudonymous", "free_text"]

Float = DOUBLE_PRECISION
Instant = TIMESTAMP(timezone=True)
NOW = text("now()")
EMPTY_OBJECT = text("'{}'::jsonb")
EMPTY_ARRAY = text("'[]'::jsonb")

__all__ = [
    "EMPTY_ARRAY",
    "EMPTY_OBJECT",
    "JSONB",
    "NOW",
    "ColumnContract",
    "Float",
    "Instant",
    "column",
    "contract_of",
    "metadata",
    "student_column",
    "table_named",
    "view_metadata",
    "week_column",
]


@dataclass(frozen=True)
class ColumnContract:
    """What a value of a column must satisfy and where it comes from.

    ``minimum`` and ``maximum`` are inclusive. ``derived_from`` lists ``table.column`` names. ``is_volatile`` marks
    times of computation: they differ from run to run and never make a row count as changed.
    """

    unit: str | None = None
    minimum: float | None = None
    maximum: float | None = None
    allowed: tuple[str, ...] | None = None
    pii: Pii = "none"
    derived_from: tuple[str, ...] = ()
    is_volatile: bool = False


def column(  # noqa: PLR0913
    name: str,
    type_: Any,
    *,
    comment: str,
    unit: str | None = None,
    minimum: float | None = None,
    maximum: float | None = None,
    allowed: tuple[str, ...] | None = None,
    pii: Pii = "none",
    derived_from: tuple[str, ...] = (),
    is_volatile: bool = False,
    **arguments: Any,
) -> Column[Any]:
    """Declare a column with its contract; ``comment`` is required and reaches PostgreSQL and the UI."""
    contract = ColumnContract(
        unit,
        minimum,
        maximum=maximum,
        allowed=allowed,
        pii=pii,
        derived_from=derived_from,
        is_volatile=is_volatile,
    )
    arguments.setdefault("nullable", not arguments.get("primary_key", False))
    full_comment = f"{comment} [{unit}]" if unit else comment
    return Column(name, type_, comment=full_comment, info={"contract": contract}, **arguments)


def student_column(origin: str | None = "attempt.user_id", **arguments: Any) -> Column[Any]:
    """``user_id``: the student, by the raw id that keys every output; ``origin`` is the column it comes from."""
    derived_from = (origin,) if origin else ()
    return column(
        "user_id",
        Text,
        comment="Raw id of the student.",
        pii="pseudonymous",
        derived_from=derived_from,
        **arguments,
    )


def week_column(**arguments: Any) -> Column[Any]:
    """``week_start``: the weekly partition that the row belongs to."""
    return column("week_start", Date, comment="Partition: Monday of the week.", **arguments)


def contract_of(column: Column[Any]) -> ColumnContract:
    """The contract given to :func:`column`."""
    found: ColumnContract = column.info["contract"]
    return found


def table_named(name: str) -> Table:
    """The declared table or view of that name."""
    found = metadata.tables.get(name)
    return found if found is not None else view_metadata.tables[name]
