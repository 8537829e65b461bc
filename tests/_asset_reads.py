"""The assets whose tables a step reads, by the SQL statements that its code names.

:class:`~seedtest_analytics.assets.framework.code_version.Code` follows the code of a step to files of `sql/`. Where the
code chooses a statement of a file by a variable, those count whose names (or beginnings of names) the code has as texts.
"""

from __future__ import annotations

import ast
from collections.abc import Iterable, Iterator

from sqlglot import exp

from seedtest_analytics.assets.framework.code_version import Code, Node
from seedtest_analytics.assets.framework.lineage import asset_key_of
from seedtest_analytics.assets.running_week import STAGES
from seedtest_analytics.tables.kpis import KPI_KEYS
from tests._sql_lineage import Tables

WEEKLY_KPI = "weekly_kpi"
BESIDE = {
    "attempt_sync": "attempt",
    "attempt_touched_day": "attempt",
    "message_outbox": "weekly_message",
    "mirt_item_bank": "mirt_item_params",
    "segment_profile": "segment_meta",
}
"""Tables and views that an asset keeps beside its own table."""
WITHOUT_ASSET = frozenset(
    [
        "classroom",
        "enrolment",
        "session",
        "student_name",
        "topic_name",
        "message_consent",
        "load_rejects",
        "item_number",
        "connect_cursor",
        "row_quarantine",
    ]
)
"""Tables that the customer, a command or every publication fills."""
COMPLETING = ("seedtest_analytics.assets.running_week", "complete_rows")
"""It runs the stages of `STAGES`, which no name leads to."""
STAGES_OF = "seedtest_analytics.assets.kpis.assets"
_ASSET_OF_KEY = {key.name: asset for asset, keys in KPI_KEYS.items() for key in keys}


class Reads:
    """What the code of a step reads. ``code`` and ``sql`` are read once for all steps."""

    def __init__(self, code: Code, sql: Tables) -> None:
        self.code, self.sql = code, sql

    def assets(self, module: str, *names: str) -> frozenset[str]:
        """Keys of the assets; `weekly_kpi` alone where a statement reads rows and no key of a certain asset."""
        return frozenset(asset for tree in self._trees(module, *names) for asset in _assets_of(tree, self.sql))

    def completed(self, module: str, *names: str) -> frozenset[str]:
        """What the stages read that a step runs to complete rows of the running week."""
        if Node("code", *COMPLETING) not in self.code.dependencies(module, *names):
            return frozenset()
        return self.assets(STAGES_OF, *(stage.__name__ for stage in STAGES.values() if stage.__name__ != "stage"))

    def _trees(self, module: str, *names: str) -> Iterator[exp.Expression]:
        nodes = self.code.dependencies(module, *names)
        texts, beginnings = self._texts(nodes)
        for node in nodes:
            is_named = node.name == "main" or node.name in texts or node.name.startswith(tuple(beginnings))
            if node.kind == "sql" and is_named:
                yield from self.sql.trees.get((node.where, node.name), ())

    def _texts(self, nodes: Iterable[Node]) -> tuple[set[str], set[str]]:
        """The texts of the code, and the beginnings of those that it composes."""
        texts: set[str] = set()
        beginnings: set[str] = set()
        code = (node for node in nodes if node.kind == "code")
        for part in (part for node in code for part in self.code.module(node.where).own.get(node.name, ())):
            for one in ast.walk(part):
                if isinstance(one, ast.Constant) and isinstance(one.value, str):
                    texts.add(one.value)
                elif isinstance(one, ast.JoinedStr) and isinstance(one.values[0], ast.Constant):
                    beginnings.add(str(one.values[0].value))
        return texts, {text for text in beginnings if text.endswith("_")}


def _assets_of(tree: exp.Expression, sql: Tables) -> Iterator[str]:
    named = {query.alias for query in tree.find_all(exp.CTE)}
    is_writing = isinstance(tree, exp.Insert | exp.Update | exp.Delete | exp.Create)
    target = tree.this.find(exp.Table) if is_writing and tree.this is not None else None
    for table in tree.find_all(exp.Table):
        if table is not target and table.name not in named and table.name in sql.declared:
            if table.name == WEEKLY_KPI:
                keys = {key.this for key in tree.find_all(exp.JSONPathKey)} & set(_ASSET_OF_KEY)
                yield from {f"{WEEKLY_KPI}/{_ASSET_OF_KEY[key]}" for key in keys} or {WEEKLY_KPI}
            elif table.name not in WITHOUT_ASSET:
                yield BESIDE.get(table.name) or asset_key_of(table.name).to_user_string()
