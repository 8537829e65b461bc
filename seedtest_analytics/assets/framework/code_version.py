"""Code versions: a hash over the code that an asset depends on, so that Dagster shows which assets a change touches.

The version follows names, not files. It starts from the asset's own function and follows every name that the code
uses, through functions, classes, constants and imports, into the domain folders, the statistics and the reports.
A statement of a SQL file counts where its name is used; an R script, a Stan program or a report template counts where
its file name is used. Comments, docstrings, descriptions, annotations and layout do not count.

What does not count either: the framework, the database layer and the settings. They decide how rows are written and
which values are asked for, not how a value is computed.
"""

from __future__ import annotations

import ast
import functools
import hashlib
import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType

import dagster as dg

from seedtest_analytics.database.sql_files import SqlFileError, read_sql, statements, top_folder

PACKAGE = "seedtest_analytics"
COMPUTING = (
    f"{PACKAGE}.assets",
    f"{PACKAGE}.stats",
    f"{PACKAGE}.reporting",
    f"{PACKAGE}.resources",
    f"{PACKAGE}.database.kpi_rows",
)
NOT_COMPUTING = (
    f"{PACKAGE}.assets.framework",
    f"{PACKAGE}.resources.postgres",
    f"{PACKAGE}.resources.object_store",
)
PROGRAM_SUFFIXES = (".R", ".stan", ".cpp", ".qmd")
_ROOT = Path(__file__).resolve().parents[3]
_SQL_COMMENT = re.compile(r"--[^\n]*|/\*.*?\*/", re.DOTALL)
_PROGRAM_COMMENT = {".R": re.compile(r"#[^\n]*"), ".stan": re.compile(r"//[^\n]*|/\*.*?\*/", re.DOTALL)}
_VERSION_CHARACTERS = 16


@dataclass(frozen=True)
class Node:
    """Something a version can depend on: a top-level name of a module, a statement of a SQL file, or a program file."""

    kind: str
    where: str
    name: str


def versioned(modules: Iterable[ModuleType]) -> list[dg.AssetsDefinition]:
    """The asset definitions of the modules, each with its code version."""
    found: dict[int, dg.AssetsDefinition] = {}
    for module in modules:
        for name, value in vars(module).items():
            is_asset = isinstance(value, dg.AssetsDefinition) and not isinstance(value, dg.AssetChecksDefinition)
            if is_asset and id(value) not in found:
                found[id(value)] = _with_version(value, code_hash(module.__name__, name))
    return list(found.values())


def _with_version(assets: dg.AssetsDefinition, code: str) -> dg.AssetsDefinition:
    def versioned_spec(spec: dg.AssetSpec) -> dg.AssetSpec:
        if not assets.is_materializable:
            return spec
        columns = ",".join(f"{c.name}:{c.type}" for c in spec.metadata["dagster/column_schema"].columns)
        version = hashlib.sha256(f"{code}\0{columns}".encode()).hexdigest()[:_VERSION_CHARACTERS]
        return spec.replace_attributes(code_version=version)

    return assets.map_asset_specs(versioned_spec)


def code_hash(module: str, name: str) -> str:
    """Hash over everything that ``name`` of ``module`` depends on."""
    digest = hashlib.sha256()
    for node in sorted(dependencies(module, name), key=lambda node: (node.kind, node.where, node.name)):
        digest.update(f"{node.kind}\0{node.where}\0{node.name}\0{_content(node)}\0".encode())
    return digest.hexdigest()


def dependencies(module: str, name: str) -> frozenset[Node]:
    """Everything that ``name`` of ``module`` depends on, itself included."""
    root = Node("code", module, name)
    seen: set[Node] = set()
    waiting = [root]
    while waiting:
        node = waiting.pop()
        if node in seen:
            continue
        seen.add(node)
        if node.kind == "code":
            symbol = _module(node.where).symbols.get(node.name)
            waiting.extend(symbol.uses if symbol else ())
            if node == root and symbol:
                # Dagster passes the resources that the function is annotated with; nothing else constructs them.
                waiting.extend(symbol.annotations)
    return frozenset(node for node in seen if node.kind != "code" or node.name in _module(node.where).symbols)


def _content(node: Node) -> str:
    if node.kind == "code":
        return _module(node.where).symbols[node.name].text
    if node.kind == "sql":
        found = statements(node.where)
        texts = [str(found[node.name])] if node.name in found else [read_sql(node.where)]
        return _squeezed(_SQL_COMMENT.sub(" ", "\n".join(texts)))
    folder = top_folder(node.where) if node.where == "quarto" else _ROOT / node.where
    path = folder / node.name
    comment = _PROGRAM_COMMENT.get(path.suffix)
    text = path.read_text(encoding="utf-8")
    return _squeezed(comment.sub(" ", text) if comment else text)


def _squeezed(text: str) -> str:
    return " ".join(text.split())


@dataclass(frozen=True)
class _Symbol:
    """A top-level name: its normalised code, what that uses, and what its annotations name."""

    text: str
    uses: frozenset[Node]
    annotations: frozenset[Node]


@dataclass(frozen=True)
class _Module:
    symbols: dict[str, _Symbol]


def _counts(module: str) -> bool:
    return _is_below(module, COMPUTING) and not _is_below(module, NOT_COMPUTING)


def _is_below(module: str, packages: tuple[str, ...]) -> bool:
    return any(module == package or module.startswith(f"{package}.") for package in packages)


@functools.cache
def _path(module: str) -> Path | None:
    root = _ROOT.joinpath(*module.split("."))
    for path in (root.with_suffix(".py"), root / "__init__.py"):
        if path.is_file():
            return path
    return None


@functools.cache
def _module(module: str) -> _Module:
    path = _path(module)
    if path is None or not _counts(module):
        return _Module({})
    tree = _Normaliser().visit(ast.parse(path.read_text(encoding="utf-8")))
    bindings = _imports(tree.body, module)
    constants = {name: value for name, value in _string_constants(tree.body)}
    own: dict[str, list[ast.stmt]] = {}
    for statement in tree.body:
        for name in _defined(statement):
            own.setdefault(name, []).append(statement)
    symbols = {}
    for name, definitions in own.items():
        reader = _Reader(module, own=frozenset(own), bindings=bindings, constants=constants)
        for definition in definitions:
            reader.visit(definition)
        text = "\n".join(ast.dump(definition) for definition in definitions)
        symbols[name] = _Symbol(text, frozenset(reader.uses), frozenset(reader.annotated))
    # An imported name that another module takes from here leads on to where it is defined.
    for name, nodes in bindings.items():
        symbols.setdefault(name, _Symbol("", frozenset(nodes), frozenset()))
    return _Module(symbols)


class _Normaliser(ast.NodeTransformer):
    """Takes docstrings and descriptions out of a tree."""

    def visit_Expr(self, node: ast.Expr) -> ast.AST | None:
        if isinstance(node.value, ast.Constant) and isinstance(node.value.value, str):
            return ast.Pass()
        return self.generic_visit(node)

    def visit_Call(self, node: ast.Call) -> ast.AST:
        self.generic_visit(node)
        node.keywords = [keyword for keyword in node.keywords if keyword.arg != "description"]
        return node


def _defined(statement: ast.stmt) -> Iterator[str]:
    if isinstance(statement, ast.FunctionDef | ast.ClassDef):
        yield statement.name
    elif isinstance(statement, ast.Assign):
        for target in statement.targets:
            yield from (node.id for node in ast.walk(target) if isinstance(node, ast.Name))
    elif isinstance(statement, ast.AnnAssign) and isinstance(statement.target, ast.Name):
        yield statement.target.id


def _string_constants(body: list[ast.stmt]) -> Iterator[tuple[str, str]]:
    for statement in body:
        value = statement.value if isinstance(statement, ast.Assign) else None
        if isinstance(value, ast.Constant) and isinstance(value.value, str):
            yield from ((name, value.value) for name in _defined(statement))


def _imports(nodes: Iterable[ast.AST], module: str) -> dict[str, set[Node]]:
    """Names bound by the imports in ``nodes``, and what each stands for."""
    bound: dict[str, set[Node]] = {}
    for node in nodes:
        for inner in ast.walk(node):
            if isinstance(inner, ast.ImportFrom) and inner.module and inner.module.startswith(PACKAGE):
                for alias in inner.names:
                    name = alias.asname or alias.name
                    submodule = f"{inner.module}.{alias.name}"
                    target = (
                        Node("module", submodule, "") if _path(submodule) else Node("code", inner.module, alias.name)
                    )
                    bound.setdefault(name, set()).add(target)
    return bound


class _Reader(ast.NodeVisitor):
    """Collects what a definition uses."""

    def __init__(
        self, module: str, *, own: frozenset[str], bindings: dict[str, set[Node]], constants: dict[str, str]
    ) -> None:
        self.module, self.own, self.bindings, self.constants = module, own, dict(bindings), constants
        self.uses: set[Node] = set()
        self.annotated: set[Node] = set()

    def visit_FunctionDef(self, node: ast.FunctionDef) -> None:
        for name, nodes in _imports(node.body, self.module).items():
            self.bindings[name] = nodes
        for default in (*node.args.defaults, *node.args.kw_defaults):
            if default is not None:
                self.visit(default)
        for argument in (*node.args.args, *node.args.kwonlyargs):
            if isinstance(argument.annotation, ast.Name):
                self.annotated |= self._targets(argument.annotation.id)
        for decorator in node.decorator_list:
            # What Dagster is told about an asset does not change what it computes.
            if "multi_asset" not in ast.dump(decorator):
                self.visit(decorator)
        for statement in node.body:
            self.visit(statement)

    def visit_AnnAssign(self, node: ast.AnnAssign) -> None:
        if node.value is not None:
            self.visit(node.value)

    def visit_Name(self, node: ast.Name) -> None:
        self.uses |= self._targets(node.id)

    def visit_Attribute(self, node: ast.Attribute) -> None:
        if isinstance(node.value, ast.Name):
            for target in self.bindings.get(node.value.id, set()):
                if target.kind == "module":
                    self.uses.add(self._member(target.where, node.attr))
        self.visit(node.value)

    def visit_Call(self, node: ast.Call) -> None:
        called = node.func.id if isinstance(node.func, ast.Name) else ""
        if called == "statement" and node.args:
            path = self._text(node.args[0])
            name = self._text(node.args[1]) if len(node.args) > 1 else "main"
            if path is not None:
                self.uses |= _sql_nodes(path, name)
                for argument in node.args[1:]:
                    self.visit(argument)
                return
        self.generic_visit(node)

    def visit_Constant(self, node: ast.Constant) -> None:
        value = node.value
        if not isinstance(value, str) or "\n" in value:
            return
        if value.endswith(".sql"):
            self.uses |= _sql_nodes(value, None)
        elif value.endswith(PROGRAM_SUFFIXES):
            self.uses |= _programs(self.module, value)

    def _text(self, node: ast.expr) -> str | None:
        if isinstance(node, ast.Constant) and isinstance(node.value, str):
            return node.value
        if isinstance(node, ast.Name):
            if node.id in self.constants:
                return self.constants[node.id]
            for target in self.bindings.get(node.id, set()):
                constant = _constant(target)
                if constant is not None:
                    return constant
        return None

    def _targets(self, name: str) -> set[Node]:
        if name in self.bindings:
            return {t for t in self.bindings[name] if t.kind == "code"}
        return {Node("code", self.module, name)} if name in self.own else set()

    def _member(self, module: str, name: str) -> Node:
        submodule = f"{module}.{name}"
        return Node("module", submodule, "") if _path(submodule) else Node("code", module, name)


@functools.cache
def _constant(target: Node) -> str | None:
    path = _path(target.where)
    if target.kind != "code" or path is None:
        return None
    return dict(_string_constants(ast.parse(path.read_text(encoding="utf-8")).body)).get(target.name)


@functools.cache
def _sql_nodes(path: str, name: str | None) -> set[Node]:
    try:
        names = statements(path)
    except SqlFileError:
        return set()
    return {Node("sql", path, one) for one in ([name] if name in names else names)}


def _programs(module: str, name: str) -> set[Node]:
    """Program files of that name beside the module or below its folder; a report template counts with its partials."""
    if name.endswith(".qmd"):
        return {Node("program", "quarto", path.name) for path in top_folder("quarto").glob("*.qmd")}
    path = _path(module)
    found = path.parent.rglob(name) if path else ()
    return {Node("program", str(match.parent.relative_to(_ROOT)), match.name) for match in found}
