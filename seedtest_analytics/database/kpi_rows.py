"""Validates the keys of one asset and merges them into `weekly_kpi`."""

from __future__ import annotations

import datetime as dt
import json

from sqlalchemy import Connection, text

from seedtest_analytics.database.publish import ContractViolation, Published, Violation
from seedtest_analytics.database.sql_files import statement
from seedtest_analytics.tables.kpis import KPI_KEYS, REQUIRED_KEYS, KpiKey

_FILE = "kpis/merge.sql"


def merge_kpis(connection: Connection, name: str, *, week_start: dt.date, is_whole: bool = True) -> Published:
    """Merge the temporary table ``staged_kpi`` (user_id, kpis) as the keys that ``weekly_kpi/<name>`` owns.

    Students who left the population (a correction removed their attempts) lose their row of the week, unless
    ``is_whole`` is false because only some students were staged. Raises :class:`ContractViolation` before it writes.
    """
    owned = [key.name for key in KPI_KEYS[name]]
    violations = _violations(connection, name, owned=owned)
    if violations:
        raise ContractViolation("weekly_kpi", violations)
    removed = 0
    if is_whole:
        removed = connection.execute(statement(_FILE, "remove_gone"), {"week_start": week_start}).rowcount
    inserted, updated = connection.execute(
        statement(_FILE, "merge"),
        {
            "week_start": week_start,
            "owned": owned,
            "required": json.dumps(dict.fromkeys(REQUIRED_KEYS)),
            "foreign": [key for key in REQUIRED_KEYS if key not in owned],
        },
    ).one()
    total = connection.execute(text("SELECT count(*) FROM staged_kpi")).scalar_one()
    return Published("weekly_kpi", total, inserted=inserted, updated=updated, deleted=removed)


def _violations(connection: Connection, name: str, *, owned: list[str]) -> list[Violation]:
    unknown = connection.execute(statement(_FILE, "unknown_keys"), {"owned": owned}).scalars().all()
    found = [Violation(key, f"is not a key of weekly_kpi/{name}", rows=1) for key in unknown]
    rules = [rule for key in KPI_KEYS[name] for rule in _rules(key)]
    counts = ", ".join(f"count(*) FILTER (WHERE {condition})" for _, _, condition in rules)
    row = connection.execute(text(f"SELECT {counts} FROM staged_kpi")).one()  # noqa: S608
    return found + [Violation(key, rule, rows=rows) for (key, rule, _), rows in zip(rules, row, strict=True) if rows]


def _rules(key: KpiKey) -> list[tuple[str, str, str]]:
    """Key, rule, and the SQL condition of a violation."""
    json_type = "number" if key.type == "integer" else key.type
    value = f"(kpis ->> '{key.name}')"
    has_type = f"jsonb_typeof(kpis -> '{key.name}') = '{json_type}'"
    rules = {f"must be a {key.type}": f"jsonb_typeof(kpis -> '{key.name}') NOT IN ('{json_type}', 'null')"}
    if key.allowed:
        words = ", ".join(f"'{word}'" for word in key.allowed)
        rules[f"must be one of {words}"] = f"{has_type} AND {value} NOT IN ({words})"
    if key.type == "integer":
        rules["must be a whole number"] = f"{has_type} AND {value} !~ '^-?[0-9]+$'"
    if key.minimum is not None:
        rules[f"must be at least {key.minimum:g}"] = f"{has_type} AND {value}::numeric < {key.minimum}"
    if key.maximum is not None:
        rules[f"must be at most {key.maximum:g}"] = f"{has_type} AND {value}::numeric > {key.maximum}"
    return [(key.name, rule, condition) for rule, condition in rules.items()]
