"""How a table of the contract is declared: types, keys, and the meaning, unit, range and origin of every column.

Migrations, validation, the column schema and lineage in the Dagster UI and the data dictionary use these declarations.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection
from dataclasses import dataclass, fields, replace
from typing import Any, Literal

from sqlalchemy import Column, Date, MetaData, Table, Text, text
from sqlalchemy.dialects.postgresql import DOUBLE_PRECISION, TIMESTAMP
from sqlalchemy.dialects.postgresql import JSONB as JSONB

metadata = MetaData()
"""The tables that the platform creates or writes."""

view_metadata = MetaData()
"""Views, declared only for their documentation."""

Pii = Literal["none", "pseudonymous", "free_text"]

Float = DOUBLE_PRECISION
Instant = TIMESTAMP(timezone=True)
NOW = text("now()")
EMPTY_OBJECT = text("'{}'::jsonb")
EMPTY_ARRAY = text("'[]'::jsonb")


@dataclass(frozen=True)
class ColumnContract:
    """The values that a column may have, and their origin.

    ``minimum`` and ``maximum`` are inclusive. ``derived_from`` lists ``table.column`` names. A column with ``is_volatile``
    (a time of computation) never makes a row count as changed. ``computed_by`` points to the code that computes the value:
    dotted names of functions, and statements as ``sql/file.sql:name``. Several share the work or are alternatives. It is
    empty for the columns of the web application.
    """

    unit: str | None = None
    minimum: float | None = None
    maximum: float | None = None
    allowed: tuple[str, ...] | None = None
    pii: Pii = "none"
    derived_from: tuple[str, ...] = ()
    is_volatile: bool = False
    computed_by: tuple[str, ...] = ()


_CONTRACT_FIELDS = {field.name for field in fields(ColumnContract)}


def column(name: str, type_: Any, *, comment: str, **arguments: Any) -> Column[Any]:
    """Declare a column with its contract. ``arguments`` are fields of :class:`ColumnContract` and arguments of ``Column``.

    ``comment`` reaches PostgreSQL and the UI. Columns are nullable unless they belong to the primary key.
    """
    contract = ColumnContract(**{key: arguments.pop(key) for key in _CONTRACT_FIELDS & arguments.keys()})
    arguments.setdefault("nullable", not arguments.get("primary_key", False))
    full_comment = f"{comment} [{contract.unit}]" if contract.unit else comment
    return Column(name, type_, comment=full_comment, info={"contract": contract}, **arguments)


def object_column(name: str, comment: str, **arguments: Any) -> Column[Any]:
    """A JSON object, never NULL and empty unless it is given."""
    return column(name, JSONB, comment=comment, nullable=False, server_default=EMPTY_OBJECT, **arguments)


def array_column(name: str, comment: str, **arguments: Any) -> Column[Any]:
    """A JSON array, never NULL and empty unless it is given."""
    return column(name, JSONB, comment=comment, nullable=False, server_default=EMPTY_ARRAY, **arguments)


def student_column(origin: str | None = "attempt.user_id", **arguments: Any) -> Column[Any]:
    """``user_id``: the raw id of the student, the key of every output; ``origin`` is its source column."""
    derived_from = (origin,) if origin else ()
    return column(
        "user_id", Text, comment="Raw id of the student.", pii="pseudonymous", derived_from=derived_from, **arguments
    )


def week_column(**arguments: Any) -> Column[Any]:
    """``week_start``: the weekly partition of the row."""
    return column("week_start", Date, comment="Partition: Monday of the week.", **arguments)


def computed_column(name: str = "computed_at", comment: str = "When it was computed.") -> Column[Any]:
    """The time at which the row was written; it differs from run to run."""
    return column(name, Instant, comment=comment, nullable=False, server_default=NOW, is_volatile=True)


def pointers(names: Collection[str], default: str, *parts: tuple[str, ...]) -> dict[str, tuple[str, ...]]:
    """The code that computes each name: ``default``, unless a part names others.

    A part is the names, separated by spaces, and their pointers. Functions are named from the package on, such as
    ``stats.kpi.goal.normal_goal_probability``. Raises ValueError for a name that is unknown or in two parts.
    """
    found = {name: own for words, *own in parts for name in words.split()}
    counts = Counter(name for words, *_ in parts for name in words.split())
    if wrong := [name for name, n in counts.items() if n > 1 or name not in names]:
        raise ValueError(f"names that are unknown or occur twice: {wrong}")
    full = {name: found.get(name, [default]) for name in names}
    return {
        name: tuple(p if p.startswith("sql/") else f"seedtest_analytics.{p}" for p in own) for name, own in full.items()
    }


def computed_by(table: Table, default: str, *parts: tuple[str, ...]) -> None:
    """Point every column of the table to the code that computes it; the arguments are those of :func:`pointers`."""
    for name, found in pointers(table.columns.keys(), default, *parts).items():
        column = table.columns[name]
        column.info["contract"] = replace(contract_of(column), computed_by=found)


def copied_from(source: str, table: Table, *, names: str) -> None:
    """Declare that columns, separated by spaces, are those of ``source`` under the same names."""
    for name in names.split():
        column = table.columns[name]
        column.info["contract"] = replace(contract_of(column), derived_from=(f"{source}.{name}",))


def contract_of(column: Column[Any]) -> ColumnContract:
    """The contract given to :func:`column`."""
    found: ColumnContract = column.info["contract"]
    return found


def table_named(name: str) -> Table:
    """The declared table or view of that name."""
    found = metadata.tables.get(name)
    return found if found is not None else view_metadata.tables[name]
