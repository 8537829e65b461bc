"""Validates the keys of assets and merges them into `weekly_kpi`, each row once however many assets are staged."""

from __future__ import annotations

import datetime as dt
import json
from collections.abc import Mapping, Sequence

from sqlalchemy import Connection, TextClause, text

from seedtest_analytics.database.publish import Published, quoted
from seedtest_analytics.database.quarantine import BrokenRows, RowRule, Violation, joined, keep_good_rows
from seedtest_analytics.database.sql_files import statement
from seedtest_analytics.tables.kpis import KPI_KEYS, REQUIRED_KEYS, KpiKey

QUARANTINED = "the computed number breaks its rules and is in quarantine"
_FILE = "kpis/merge.sql"


def keep_staged(connection: Connection, name: str, *, week_start: dt.date) -> BrokenRows:
    """Validate the temporary table ``staged_kpi`` (user_id, kpis) as the keys that ``weekly_kpi/<name>`` owns.

    It is kept for :func:`merge_kpis`, and the next KPI can be staged. A row that breaks the contract goes to
    `row_quarantine`, and its KPI is null with the reason.
    Raises :class:`seedtest_analytics.database.quarantine.ContractViolation` if single rows are not to blame.
    """
    asset, owned = ("weekly_kpi", name), _owned(name)
    week = {"week_start": week_start.isoformat()}
    unknown = connection.execute(statement(_FILE, "unknown_keys"), {"owned": owned}).scalars().all()
    bad = keep_good_rows(
        connection,
        asset,
        source="staged_kpi",
        rules=[rule for key in KPI_KEYS[name] for rule in _rules(key)],
        others=[Violation(key, f"is not a key of weekly_kpi/{name}", rows=1) for key in unknown],
        replaced="q.element ->> 'week_start' = :week_start "
        "AND EXISTS (SELECT FROM staged_kpi AS s WHERE s.user_id = q.element ->> 'user_id')",
        parameters=week,
        context=week,
    )
    if bad.broken:
        code = f"{name}_reason_code"
        said = {name: None, f"{name}_reason": QUARANTINED} | ({code: "quarantined"} if code in owned else {})
        withheld = {**week, "asset": "/".join(asset), "kpis": json.dumps(said)}
        connection.execute(statement(_FILE, "withhold"), withheld)
    connection.execute(text(f"ALTER TABLE staged_kpi RENAME TO {_kept(name)}"))
    return bad


def merge_kpis(
    connection: Connection, kept: Mapping[str, BrokenRows], *, week_start: dt.date, is_whole: bool = True
) -> dict[str, Published]:
    """Merge the kept keys of each of the assets ``weekly_kpi/<name>``; what was published, by name.

    ``kept`` is what :func:`keep_staged` returned, by name.

    The assets may have staged different students. Students who left the population (a correction removed their
    attempts) lose their row of the week, unless ``is_whole`` is false because only some students were staged.
    """
    week = {"week_start": week_start}
    required = {"required": json.dumps(dict.fromkeys(REQUIRED_KEYS))}
    names = list(kept)
    connection.execute(_join(names), {f"owned_{name}": _owned(name) for name in names})
    removed = connection.execute(statement(_FILE, "remove_gone"), week).rowcount if is_whole else 0
    published = {}
    for name in names:
        counts = connection.execute(statement(_FILE, "count"), {**week, "owned": _owned(name)}).one()
        bad = kept[name]
        published[name] = Published(
            "weekly_kpi",
            **counts._mapping,
            deleted=removed,
            quarantined=bad.broken,
            broken_rules=joined(bad.violations),
        )
    connection.execute(statement(_FILE, "update"), {**week, **required})
    connection.execute(statement(_FILE, "insert"), {**week, **required})
    connection.execute(text(f"DROP TABLE staged_row, {', '.join(map(_kept, names))}"))
    return published


def _owned(name: str) -> list[str]:
    return [key.name for key in KPI_KEYS[name]]


def _kept(name: str) -> str:
    return quoted(f"staged_kpi_{name}")


def _join(names: Sequence[str]) -> TextClause:
    """Creates staged_row: for each student the staged keys, and the keys that the assets who staged the student own."""
    tables = {name: _kept(name) for name in names}
    kpis = " || ".join(f"COALESCE({table}.kpis, '{{}}')" for table in tables.values())
    owned = " || ".join(
        f"CASE WHEN {table}.kpis IS NULL THEN '{{}}' ELSE CAST(:owned_{name} AS text[]) END"
        for name, table in tables.items()
    )
    first, *others = tables.values()
    joined = first + "".join(f" FULL JOIN {table} USING (user_id)" for table in others)
    return text(
        f"CREATE TEMP TABLE staged_row ON COMMIT DROP AS SELECT user_id, {kpis} AS kpis, {owned} AS owned FROM {joined}"  # noqa: S608
    )


def _rules(key: KpiKey) -> list[RowRule]:
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
    return [RowRule(key.name, rule, is_broken) for rule, is_broken in rules.items()]
