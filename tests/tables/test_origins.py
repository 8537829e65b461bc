"""The declared origins of columns against those that the SQL reads."""

from __future__ import annotations

import functools
import logging
from collections.abc import Callable, Iterable, Iterator, Set
from types import ModuleType

import dagster as dg
import pytest
import sqlglot
from sqlalchemy import Column

from seedtest_analytics.assets.framework.code_version import Code
from seedtest_analytics.assets.framework.lineage import asset_key_of
from seedtest_analytics.build import ASSET_MODULES
from seedtest_analytics.tables import contract_of, metadata, view_metadata
from tests._sql_lineage import PYTHON, Origins, Relation, Tables, UnknownNameError, together

TABLES = {**metadata.tables, **view_metadata.tables}
STAGED = {
    "attempt_log": ("attempts/sync.sql", "staged_attempt"),
    "attempt_quarantine": ("attempts/sync.sql", "staged_quarantine"),
    "features_topic_daily": ("features/features_topic_daily.sql", "staged_features"),
    "inactivity_notice": ("churn/inactivity.sql", "staged_notice"),
    "mirt_item_params": ("psychometrics/scale.sql", "staged_current"),
    "student_topic_theta": ("psychometrics/scale.sql", "staged_current_topic"),
    "survival_risk": ("churn/risk.sql", "staged_current"),
}
"""Tables whose rows are published from a temporary table that SQL makes as a whole: file and table."""
UNDECIDED = {
    "Python has a part in it": "growth_prediction.target growth_prediction.target_level growth_prediction.target_source "
    "student_growth.target student_growth.target_source survival_risk_history.state weekly_kpi.kpis weekly_kpi.updated_at "
    "drift_alerts.resolved_at weekly_kpi.created_at weekly_kpi.week_start",
    "the statement has it under another name, and Python renames it": "survival_risk_history.risk_score "
    "survival_risk_history.days_silent user_segment.features_snapshot",
    "the statement has it inside a document": "cohort_report.name cohort_report.status cohort_report.students",
    "PostgreSQL fills in the default": "attempt_touched_day.id message_outbox.key message_outbox.created_at",
    "the pointer is a function; attempt_log.topic_ids, which it fills, is decided": "attempt.topic_ids",
}
"""Columns that name SQL in `computed_by` and whose origins do not follow from it, by the reason."""
FROM_PYTHON = frozenset([PYTHON])


def _steps(module: ModuleType) -> Iterator[tuple[str, dg.AssetsDefinition]]:
    for name, value in vars(module).items():
        is_asset = isinstance(value, dg.AssetsDefinition) and not isinstance(value, dg.AssetChecksDefinition)
        if is_asset and value.is_materializable:
            yield name, value


@functools.cache
def sql() -> Tables:
    logging.getLogger("sqlglot").setLevel(logging.ERROR)  # GRANT and the like are kept as text.
    return Tables()


def names() -> list[str]:
    return [f"{name}.{column.name}" for name, table in sorted(TABLES.items()) for column in table.columns]


def column_of(name: str) -> Column[object]:
    table, _, column = name.partition(".")
    return TABLES[table].columns[column]


def declared(name: str) -> frozenset[str]:
    return frozenset(contract_of(column_of(name)).derived_from)


def same(origin: str) -> set[str]:
    """The column and its namesakes in other tables of its asset, such as the history of a current table."""
    table, _, column = origin.partition(".")
    return {f"{one}.{column}" for one in TABLES if asset_key_of(one) == asset_key_of(table)}


@functools.cache
def behind(name: str) -> frozenset[str]:
    """A column and everything that it comes from, directly or not."""
    seen: set[str] = set()
    waiting = [name]
    while waiting:
        one = waiting.pop()
        if one not in seen:
            seen.add(one)
            waiting.extend(declared(one))
    seen |= same(name)
    return frozenset(seen)


def relation_of(name: str) -> tuple[Relation, bool]:
    """What SQL says of the column's table, and whether SQL alone computes the column."""
    table, _, column = name.partition(".")
    if table in STAGED:
        file, staged = STAGED[table]
        return sql().named(staged, file), True
    pointers = contract_of(column_of(name)).computed_by
    found = [sql().statement(pointer) for pointer in pointers if pointer.startswith("sql/")]
    return together(found), len(found) == len(pointers) and all(column in relation for relation in found)


def read(name: str) -> tuple[Origins, bool] | None:
    """Origins of a column by the SQL, and whether they are all; None for a column that no SQL computes."""
    table, _, column = name.partition(".")
    relation, is_whole = relation_of(name)
    if column not in relation:
        return None
    found = relation[column]
    parts = (_outside(table, part - FROM_PYTHON) for part in (found.values, found.others))
    return Origins(*parts), is_whole and PYTHON not in found.all


def _outside(own: str, origins: frozenset[str]) -> frozenset[str]:
    """The same without the table itself. Other tables of its asset are passed through: what their columns come from."""
    found: set[str] = set()
    for origin in origins:
        table = origin.partition(".")[0]
        if table != own:
            found |= _outside(own, declared(origin)) if asset_key_of(table) == asset_key_of(own) else {origin}
    return frozenset(found)


def covered(origin: str, by: frozenset[str], seen: frozenset[str] = frozenset()) -> bool:
    """Whether a column that is read is declared, itself or by everything that it comes from."""
    if by & same(origin):
        return True
    before = declared(origin)
    return bool(before) and origin not in seen and all(covered(one, by, seen | {origin}) for one in before)


def undeclared(name: str) -> set[str]:
    """Columns that the SQL computes the column from and that are not declared."""
    found = read(name)
    return {origin for origin in found[0].values if not covered(origin, declared(name))} if found else set()


def unread(name: str) -> set[str]:
    """Declared origins that the SQL does not read, where SQL alone computes the column."""
    found = read(name)
    return set(declared(name) - _reached(found[0].all)) if found and found[1] else set()


def _reached(origins: Iterable[str]) -> frozenset[str]:
    return frozenset().union(*(behind(origin) for origin in origins))


def by_column(find: Callable[[str], set[str]]) -> dict[str, set[str]]:
    return {name: found for name in names() if (found := find(name))}


def test_what_the_sql_computes_a_column_from_is_declared() -> None:
    """A column counts as declared too if all that it comes from is declared."""
    assert by_column(undeclared) == {}


def test_what_is_declared_is_what_the_sql_reads() -> None:
    assert by_column(unread) == {}


def test_columns_of_sql_that_sql_does_not_decide_are_listed() -> None:
    """A statement that is not understood would make the two tests above see nothing."""
    pointed = [name for name in names() if any(p.startswith("sql/") for p in contract_of(column_of(name)).computed_by)]
    decided = {name for name in pointed if (found := read(name)) and found[1]}
    assert len(decided) > 120
    assert set(pointed) - decided == {name for listed in UNDECIDED.values() for name in listed.split()}


STEPS = {id(step): (module.__name__, name, step) for module in ASSET_MODULES for name, step in _steps(module)}
CODE = Code()


@pytest.mark.parametrize(("module", "name", "step"), STEPS.values(), ids=[name for _, name, _ in STEPS.values()])
def test_what_is_declared_is_read_by_a_statement_of_the_step(module: str, name: str, step: dg.AssetsDefinition) -> None:
    """Of the columns that Python computes: the statements that its code names must read what is declared."""
    nodes = [(node.where, node.name) for node in CODE.dependencies(module, name) if node.kind == "sql"]
    found = _reached(origin for node in nodes if node in sql().trees for origin in sql().reads(*node) - FROM_PYTHON)
    # An asset may show a column of one of its tables in place of that of another: the current parameters for the history.
    assets = {asset_key_of(origin.partition(".")[0]) for origin in found}
    tables = [TABLES[spec.metadata["dagster/table_name"]] for spec in step.specs]
    missing = {
        f"{table.name}.{column.name}": strange
        for table in tables
        for column in table.columns
        if (
            strange := {
                o for o in contract_of(column).derived_from if not _is_read(o, found, assets=assets, own=step.keys)
            }
        )
    }
    assert missing == {}


def _is_read(origin: str, found: frozenset[str], *, assets: set[dg.AssetKey], own: Set[dg.AssetKey]) -> bool:
    table = origin.partition(".")[0]
    tables_of_asset = [name for name in TABLES if asset_key_of(name) == asset_key_of(table)]
    return origin in found or asset_key_of(table) in own or (len(tables_of_asset) > 1 and asset_key_of(table) in assets)


# ---- how the SQL is read ----


@pytest.mark.parametrize(
    ("query", "values", "others"),
    [
        ("SELECT theta AS x FROM mirt_ability", "mirt_ability.theta", ""),
        (
            "SELECT a.x FROM (SELECT theta AS x FROM mirt_ability WHERE se < 1) AS a",
            "mirt_ability.theta",
            "mirt_ability.se",
        ),
        (
            "WITH w AS (SELECT user_id, count(*) FILTER (WHERE correct) AS n FROM attempt GROUP BY user_id) SELECT n AS x FROM w",
            "attempt.correct",
            "attempt.user_id",
        ),
        (
            "SELECT m.theta AS x FROM attempt AS a CROSS JOIN LATERAL"
            " (SELECT theta FROM mirt_ability AS b WHERE b.user_id = a.user_id) AS m",
            "mirt_ability.theta",
            "mirt_ability.user_id attempt.user_id",
        ),
        (
            "SELECT t.topic AS x FROM attempt AS a CROSS JOIN LATERAL unnest(a.topic_ids) AS t (topic)",
            "attempt.topic_ids",
            "",
        ),
        (
            "SELECT row_number() OVER (PARTITION BY user_id ORDER BY completed_at) AS x FROM attempt",
            "",
            "attempt.user_id attempt.completed_at",
        ),
        (
            "SELECT theta AS x FROM mirt_ability UNION ALL SELECT se FROM mirt_ability",
            "mirt_ability.theta mirt_ability.se",
            "",
        ),
        (
            "SELECT m.theta AS x FROM mirt_ability AS m WHERE EXISTS (SELECT FROM attempt AS a WHERE a.item_id = 1)",
            "mirt_ability.theta",
            "attempt.item_id",
        ),
        ("SELECT s.* FROM (SELECT theta AS x FROM mirt_ability) AS s", "mirt_ability.theta", ""),
        ("SELECT (SELECT max(se) FROM mirt_ability) AS x FROM attempt", "mirt_ability.se", ""),
        ("SELECT p.level AS x FROM made_by_python AS p", "python", ""),
    ],
)
def test_a_column_is_followed_to_its_tables(query: str, values: str, others: str) -> None:
    (tree,) = sqlglot.parse(query, read="postgres")
    found = sql().written([tree], "kpis/A_t.sql")["x"]
    assert (found.values, found.others) == (frozenset(values.split()), frozenset(others.split()))


def test_a_column_that_does_not_exist_is_an_error() -> None:
    (tree,) = sqlglot.parse("SELECT m.gone AS x, n FROM mirt_ability AS m", read="postgres")
    with pytest.raises(UnknownNameError, match=r"^n$"):
        sql().written([tree], "kpis/A_t.sql")


def test_a_temporary_table_is_that_of_its_own_file() -> None:
    engagement = sql().named("staged_kpi", "kpis/A_t.sql")["kpis"].values
    assert "attempt.hints_used" in engagement
    assert "ability_window.theta" not in engagement
    assert "ability_window.theta" in sql().named("staged_kpi", "kpis/merge.sql")["kpis"].values
