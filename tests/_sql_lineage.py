"""Where columns come from by the SQL itself: each statement of `sql/` is parsed and its columns are followed to tables.

An expression is followed through common table expressions, subqueries, lateral joins and the temporary tables that earlier
statements of the same file, or else of another file, have made. What a temporary table gets from Python has no origin.
"""

from __future__ import annotations

import functools
import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass

import sqlglot
from sqlglot import exp

from seedtest_analytics.database.sql_files import statements, top_folder
from seedtest_analytics.tables import metadata, view_metadata

PYTHON = "python"
"""The origin of a column that Python fills."""
_SKIPPED_FOLDERS = ("migrations", "load")
"""They write the source tables and the schema."""
HANDED_OVER = {"staged_row": "staged_kpi"}
"""Temporary tables that Python joins from others of the same columns."""
_SYSTEM_COLUMNS = frozenset(("xmin", "ctid"))
_QUERIES = (exp.Select, exp.SetOperation, exp.Subquery, exp.Values)


@dataclass(frozen=True)
class Origins:
    """What a value is computed from, and what else decides it: filters, joins, groups, windows and orders."""

    values: frozenset[str] = frozenset()
    others: frozenset[str] = frozenset()

    def __or__(self, more: Origins) -> Origins:
        return Origins(self.values | more.values, self.others | more.others)

    @property
    def all(self) -> frozenset[str]:
        """Both."""
        return self.values | self.others

    def deciding(self) -> Origins:
        """The same for a value that this one decides on."""
        return Origins(others=self.all)


NOTHING = Origins()


class Relation(dict[str, Origins]):
    """Columns of a table or a query. ``rest`` is the origin of every column that has no name yet: a function's result."""

    def __init__(self, columns: Mapping[str, Origins] | None = None, rest: Origins | None = None) -> None:
        super().__init__(columns or {})
        self.rest = rest

    def has(self, name: str) -> bool:
        return name in self or name in _SYSTEM_COLUMNS

    def column(self, name: str) -> Origins:
        if name in self:
            return self[name]
        return NOTHING if name in _SYSTEM_COLUMNS or self.rest is None else self.rest

    def everything(self) -> Origins:
        return union(self.values()) | (self.rest or NOTHING)

    def with_all(self, more: Origins) -> Relation:
        return Relation({name: origin | more for name, origin in self.items()}, self.rest and self.rest | more)


def together(relations: Iterable[Relation], rest: Origins | None = None) -> Relation:
    """Columns of several relations; a column has the origins that it has in each."""
    found = Relation(rest=rest)
    for relation in relations:
        for column, origin in relation.items():
            found[column] = found.get(column, NOTHING) | origin
    return found


def union(parts: Iterable[Origins]) -> Origins:
    """Everything that the parts come from."""
    return functools.reduce(Origins.__or__, parts, NOTHING)


class UnknownNameError(LookupError):
    """A statement reads a column that no relation in its scope has."""


@dataclass(frozen=True)
class Scope:
    """The relations that an expression sees by their aliases, and those of the queries around it."""

    relations: dict[str, Relation]
    around: Scope | None = None

    def column(self, name: str, table: str) -> Origins:
        if table:
            if table in self.relations:
                return self.relations[table].column(name)
        else:
            found = [relation for relation in self.relations.values() if relation.has(name)]
            found = found or [relation for relation in self.relations.values() if relation.rest is not None]
            if found:
                return found[0].column(name)
            if name in self.relations:  # A whole row, such as the value of a function.
                return self.relations[name].everything()
        if self.around is None:
            raise UnknownNameError(f"{table}.{name}" if table else name)
        return self.around.column(name, table)


class Query:
    """Follows the columns of one query. ``tables`` finds a table or a temporary table by its name."""

    def __init__(self, tables: Tables, file: str) -> None:
        self.tables, self.file = tables, file

    def relation(self, node: exp.Expression, named: Mapping[str, Relation], around: Scope | None = None) -> Relation:
        """Columns of a query, in their order; ``named`` are the common table expressions that it sees."""
        if isinstance(node, exp.Subquery):
            return self._renamed(self.relation(node.this, self._with(node, named, around), around), node)
        if isinstance(node, exp.Values):
            rows = [union(self.origins(cell, Scope({}, around), named) for cell in cells) for cells in _cells(node)]
            return self._renamed(Relation(dict.fromkeys(_alias_columns(node), union(rows))), node)
        named = self._with(node, named, around)
        if isinstance(node, exp.SetOperation):
            left, right = self.relation(node.this, named, around), self.relation(node.expression, named, around)
            return Relation({name: left[name] | other for name, other in zip(left, right.values(), strict=False)})
        return self._select(node, named, around)

    def _with(self, node: exp.Expression, named: Mapping[str, Relation], around: Scope | None) -> dict[str, Relation]:
        found = dict(named)
        clause = node.args.get("with_")
        for one in clause.expressions if clause else ():
            found[one.alias] = self._renamed(self.relation(one.this, found, around), one)
        return found

    def _select(self, node: exp.Expression, named: Mapping[str, Relation], around: Scope | None) -> Relation:
        scope = self.scope(node, named, around)
        filters = [node.args.get(part) for part in ("where", "having", "group", "order", "qualify", "distinct")]
        conditions = [join.args.get("on") for join in node.args.get("joins") or ()]
        deciding = union(
            self.origins(part, scope, named, is_lenient=True).deciding() for part in (*filters, *conditions) if part
        )
        windows = {
            window.name: self.origins(window, scope, named).deciding() for window in node.args.get("windows") or ()
        }
        columns: dict[str, Origins] = {}
        for number, item in enumerate(node.expressions):
            for name, origin in self._item(item, scope, named):
                used = (windows[w.alias] for w in item.find_all(exp.Window) if w.alias in windows)
                unnamed = not name or (name in columns and not item.is_star)
                columns[f"column {number}" if unnamed else name] = union((origin, *used)) | deciding
        return Relation(columns)

    def _item(self, item: exp.Expression, scope: Scope, named: Mapping[str, Relation]) -> Iterator[tuple[str, Origins]]:
        if item.is_star:
            tables = [item.table] if isinstance(item, exp.Column) else list(scope.relations)
            for table in tables:
                yield from scope.relations[table].items()
        else:
            yield item.alias_or_name, self.origins(item, scope, named)

    def scope(self, node: exp.Expression, named: Mapping[str, Relation], around: Scope | None) -> Scope:
        """The relations of FROM and JOIN. A lateral one sees those before it."""
        scope = Scope({}, around)
        sources = [node.args.get("from_"), *(node.args.get("joins") or ()), *(node.args.get("laterals") or ())]
        for source in (part.this if isinstance(part, exp.From | exp.Join) else part for part in sources if part):
            for one in (source, *(join.this for join in source.args.get("joins") or ())):
                relation = self._source(one, scope, named)
                scope.relations[one.alias_or_name or f"source {len(scope.relations)}"] = relation
        return scope

    def _source(self, node: exp.Expression, scope: Scope, named: Mapping[str, Relation]) -> Relation:
        if isinstance(node, exp.Lateral) and isinstance(node.this, exp.Subquery):
            return self._renamed(self.relation(node.this, named, scope), node)
        if isinstance(node, exp.Table) and isinstance(node.this, exp.Identifier):
            found = named.get(node.name) or self.tables.named(node.name, self.file)
            return self._renamed(found, node)
        if isinstance(node, exp.Subquery | exp.Values):
            return self.relation(node, named, scope)
        return Relation(rest=self.origins(node, scope, named))

    def _renamed(self, relation: Relation, node: exp.Expression) -> Relation:
        names = _alias_columns(node)
        return Relation(
            dict(zip(names, relation.values(), strict=False)) if names and relation else relation, relation.rest
        )

    def origins(
        self, node: exp.Expression, scope: Scope, named: Mapping[str, Relation], *, is_lenient: bool = False
    ) -> Origins:
        """What an expression is computed from. A lenient one may name an output column, as GROUP BY does."""
        if isinstance(node, exp.Column):
            try:
                return scope.column(node.name, node.table)
            except UnknownNameError:
                if is_lenient:
                    return NOTHING
                raise
        if isinstance(node, exp.Exists):
            return self.relation(node.this, named, scope).everything().deciding() | self._filters(
                node.this, named, scope
            )
        if isinstance(node, _QUERIES):
            return self.relation(node, named, scope).everything()
        if isinstance(node, exp.Window):
            frame = [*(node.args.get("partition_by") or ()), node.args.get("order")]
            decided = union(self.origins(part, scope, named).deciding() for part in frame if part)
            return self.origins(node.this, scope, named) | decided
        children = (child for child in node.iter_expressions() if not isinstance(child, exp.TableAlias))
        return union(self.origins(child, scope, named, is_lenient=is_lenient) for child in children)

    def _filters(self, node: exp.Expression, named: Mapping[str, Relation], around: Scope) -> Origins:
        """EXISTS has no columns: only its conditions count."""
        select = node.unnest() if isinstance(node, exp.Subquery) else node
        where = select.args.get("where")
        return self.origins(where, self.scope(select, named, around), named).deciding() if where else NOTHING


def _alias_columns(node: exp.Expression) -> list[str]:
    alias = node.args.get("alias")
    return [column.name for column in alias.columns] if isinstance(alias, exp.TableAlias) else []


def _cells(node: exp.Values) -> list[list[exp.Expression]]:
    return [list(row.expressions) if isinstance(row, exp.Tuple) else [row] for row in node.expressions]


class Tables:
    """Every statement of `sql/`: what each temporary table has, and what each statement writes or returns."""

    def __init__(self) -> None:
        declared = {**metadata.tables, **view_metadata.tables}
        self.declared = {
            name: Relation({c.name: Origins(frozenset([f"{name}.{c.name}"])) for c in table.columns})
            for name, table in declared.items()
        }
        self.trees = dict(_trees())
        self._made: dict[str, dict[str, Relation]] = {}
        writes: dict[tuple[str, str], list[exp.Expression]] = {}
        for (file, _), tree in self.trees.items():
            for node in tree:
                if target := _written(node):
                    writes.setdefault((target, file), []).append(node)
        # An UPDATE reads tables that it changes, so they are followed until nothing is added.
        before: dict[str, dict[str, Relation]] | None = None
        while before != self._made:
            before = {target: dict(by_file) for target, by_file in self._made.items()}
            for (target, file), nodes in writes.items():
                found = self.written(nodes, file)
                if not any(isinstance(node, exp.Create) for node in nodes):
                    found.rest = Origins(frozenset([PYTHON]))
                self._made.setdefault(target, {})[file] = found

    def named(self, name: str, file: str) -> Relation:
        """A declared table, a temporary one as this file makes it, or as the others do."""
        if name in self.declared:
            return self.declared[name]
        by_file = self._made.get(HANDED_OVER.get(name, name), {})
        whole = {one: relation for one, relation in by_file.items() if relation.rest is None}
        found = [by_file[file]] if file in whole else list(by_file.values())
        if name in HANDED_OVER:
            whole = {}  # The join adds columns.
        if not found:
            return Relation(rest=Origins(frozenset([PYTHON])))
        return together(found, rest=None if whole else Origins(frozenset([PYTHON])))

    def written(self, nodes: Iterable[exp.Expression], file: str) -> Relation:
        """Columns that the nodes write or return, together."""
        return together([self._columns(node, file) for node in nodes])

    def _columns(self, node: exp.Expression, file: str) -> Relation:
        query = Query(self, file)
        if isinstance(node, exp.Create):
            if _written(node) is None:
                return Relation()
            return query.relation(node.expression, {})
        if isinstance(node, exp.Insert):
            names = [column.name for column in node.this.expressions]
            origins = query.relation(node.expression, query._with(node, {}, None)).values()
            return Relation(dict(zip(names, origins, strict=False)))
        if isinstance(node, exp.Update):
            return self._updated(node, query)
        return query.relation(node, {}) if isinstance(node, _QUERIES) else Relation()

    def _updated(self, node: exp.Update, query: Query) -> Relation:
        named = query._with(node, {}, None)
        scope = query.scope(node, named, None)
        scope.relations[node.this.alias_or_name] = self.named(node.this.name, query.file)
        where = node.args.get("where")
        deciding = query.origins(where, scope, named).deciding() if where else NOTHING
        return Relation(
            {one.this.name: query.origins(one.expression, scope, named) | deciding for one in node.expressions}
        )

    def reads(self, file: str, name: str) -> frozenset[str]:
        """Columns of declared tables that a statement reads, itself or in the temporary tables that it uses."""
        return frozenset().union(*(o.all for o in self.written(self.trees[file, name], file).values()))

    def statement(self, pointer: str) -> Relation:
        """What the statement of a pointer such as ``sql/kpis/merge.sql:insert`` writes or returns."""
        file, _, name = pointer.removeprefix("sql/").partition(":")
        return self.written(self.trees[file, name or "main"], file)


def _written(node: exp.Expression) -> str | None:
    """The table or view that a statement fills."""
    if isinstance(node, exp.Create) and node.expression is not None and node.kind in ("TABLE", "VIEW"):
        return str(node.find(exp.Table).name)
    if isinstance(node, exp.Insert | exp.Update):
        return str(node.find(exp.Table).name)
    return None


def _trees() -> Iterator[tuple[tuple[str, str], list[exp.Expression]]]:
    folder = top_folder("sql")
    for path in sorted(folder.glob("*/*.sql")):
        file = path.relative_to(folder).as_posix()
        if not file.startswith(_SKIPPED_FOLDERS):
            for name, clause in statements(file).items():
                # sqlglot reads a temporary table's body only without this part.
                text = re.sub(r"\bON COMMIT DROP\b", "", clause.text)
                yield (file, name), [tree for tree in sqlglot.parse(text, read="postgres") if tree is not None]
