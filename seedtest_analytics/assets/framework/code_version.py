"""Code versions: a hash over the code that an asset depends on, so that Dagster shows which assets a change touches.

The version follows names, not files. It starts from the asset's own function and follows every name that the code
uses, through functions, classes, constants and imports, into the domain folders, the statistics and the reports.
A statement of a SQL file counts where its name is used; an R script, a Stan program or a report template counts where
its file name is used. Comments, docstrings, descriptions, annotations, imports and layout do not count.

The assets of one function have one version, unless an asset declares the code that computes it alone
(:class:`~seedtest_analytics.assets.framework.declare.TableSpec`).

What does not count either: the framework, the database layer and the settings. They decide how rows are written and
which values are asked for, not how a value is computed.
"""

from __future__ import annotations

import ast
import hashlib
import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

from seedtest_analytics.database.sql_files import SqlFileError, statements, top_folder
from seedtest_analytics.reporting.language import CATALOGUES
from seedtest_analytics.resources.quarto.template import MAIN_FILE, template_files

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
    f"{PACKAGE}.resources.store",
)
ROOT = Path(__file__).resolve().parents[3]
_C_COMMENT = (r'"(?:\\.|[^"\\])*"', r"//[^\n]*|/\*.*?\*/")
_QUOTES_AND_COMMENTS = {
    ".sql": (r"'[^']*'", r"--[^\n]*|/\*.*?\*/"),
    ".R": (r""""(?:\\.|[^"\\])*"|'(?:\\.|[^'\\])*'""", r"#[^\n]*"),
    ".stan": _C_COMMENT,
    ".cpp": _C_COMMENT,
    ".hpp": _C_COMMENT,
}
PROGRAM_SUFFIXES = tuple(suffix for suffix in _QUOTES_AND_COMMENTS if suffix != ".sql")
_CELL = re.compile(r"^```\{python\}\n(.*?)^```", re.MULTILINE | re.DOTALL)
_NOT_BEHAVIOUR = frozenset(("annotation", "returns", "ctx", "kind", "type_comment"))
"""Fields of a syntax tree that do not change what the code does."""


@dataclass(frozen=True)
class Node:
    """Something a version can depend on: a top-level name of a module, a statement of a SQL file, or a program file.

    ``name`` is empty for a module as such, which counts only by the names that are used of it.
    """

    kind: str
    where: str
    name: str


@dataclass(frozen=True)
class _Content:
    """What a node says, as a digest, and what it uses. Annotations count only for an asset's own function."""

    digest: str
    uses: frozenset[Node] = frozenset()
    annotations: frozenset[Node] = frozenset()


class Code:
    """The package's sources below ``root``. Each file is parsed once and each definition is read once."""

    def __init__(self, root: Path = ROOT) -> None:
        self.root = root
        self._paths: dict[str, Path | None] = {}
        self._modules: dict[str, _Module] = {}
        self._contents: dict[Node, _Content] = {}

    def hash_of(self, module: str, *names: str) -> str:
        """Hash over everything that the names of ``module`` depend on."""
        lines = (
            f"{node.kind}\0{node.where}\0{node.name}\0{self._content(node).digest}"
            for node in self.dependencies(module, *names)
        )
        return hashlib.sha256("\n".join(sorted(lines)).encode()).hexdigest()

    def dependencies(self, module: str, *names: str) -> frozenset[Node]:
        """Everything that the names of ``module`` depend on, they included."""
        roots = [Node("code", module, name) for name in names]
        seen: set[Node] = set()
        # Dagster passes the resources that the function is annotated with; nothing else constructs them.
        waiting = [node for root in roots for node in (root, *self._content(root).annotations)]
        while waiting:
            node = waiting.pop()
            if node not in seen:
                seen.add(node)
                waiting.extend(self._content(node).uses)
        return frozenset(node for node in seen if self._content(node).digest)

    def module(self, name: str) -> _Module:
        """A module of the package; empty if its code does not count."""
        if name not in self._modules:
            path = self.path_of(name) if _counts(name) else None
            self._modules[name] = _Module(self, name, body=ast.parse(path.read_bytes()).body if path else [])
        return self._modules[name]

    def path_of(self, module: str) -> Path | None:
        """The file of a module of the package."""
        if module not in self._paths:
            base = self.root.joinpath(*module.split("."))
            files = (base.with_suffix(".py"), base / "__init__.py")
            self._paths[module] = next((path for path in files if path.is_file()), None)
        return self._paths[module]

    def imports(self, node: ast.ImportFrom) -> dict[str, frozenset[Node]]:
        """Names that an import binds, and what each is."""
        module = node.module or ""
        if not module.startswith(PACKAGE):
            return {}
        return {alias.asname or alias.name: frozenset([self.member(module, alias.name)]) for alias in node.names}

    def member(self, module: str, name: str) -> Node:
        """What ``module.name`` is: a module or a name in one."""
        submodule = f"{module}.{name}"
        return Node("code", submodule, "") if self.path_of(submodule) else Node("code", module, name)

    def _content(self, node: Node) -> _Content:
        if node not in self._contents:
            self._contents[node] = self._read(node)
        return self._contents[node]

    def _read(self, node: Node) -> _Content:
        if node.kind == "sql":
            return _Content(_digest(_without_comments(statements(node.where)[node.name].text, ".sql")))
        if node.kind == "program":
            path = self.root / node.where / node.name
            return _Content(_digest(_without_comments(path.read_text(encoding="utf-8"), path.suffix)))
        if node.kind == "template":
            return self._read_template()
        module = self.module(node.where)
        if node.name in module.own:
            return _Reader(self, module).read(module.own[node.name])
        if node.name in module.imported:
            return _Content("", module.imported[node.name])
        if node.name and _counts(node.where):
            raise LookupError(f"{node.where} does not define {node.name}, on which a code version depends")
        return _Content("")

    def _read_template(self) -> _Content:
        files = [*template_files(top_folder("quarto")), *sorted(CATALOGUES.glob("*.po"))]
        texts = [path.read_text(encoding="utf-8") for path in files]
        cells = ast.parse("\n".join(cell for text in texts for cell in _CELL.findall(text))).body
        imports = _Module(self, "", body=(cell for cell in cells if isinstance(cell, ast.ImportFrom)))
        return _Content(_digest("\0".join(texts)), _Reader(self, imports).read(cells).uses)


def source_files() -> list[Path]:
    """Every file that a hash can depend on: the package's code and programs, the SQL, the templates and catalogues."""
    package = [path for suffix in (".py", ".po", *PROGRAM_SUFFIXES) for path in (ROOT / PACKAGE).rglob(f"*{suffix}")]
    return sorted([*package, *top_folder("sql").rglob("*.sql"), *template_files(top_folder("quarto"))])


class _Module:
    """The top-level names of a module: the statements that define each, and where the imported ones come from."""

    def __init__(self, code: Code, name: str, *, body: Iterable[ast.stmt]) -> None:
        self.name = name
        self.own: dict[str, list[ast.stmt]] = {}
        self.imported: dict[str, frozenset[Node]] = {}
        for statement in _flat(body):
            if isinstance(statement, ast.ImportFrom):
                self.imported.update(code.imports(statement))
            for defined in _defined(statement):
                self.own.setdefault(defined, []).append(statement)

    def text_constant(self, name: str) -> str | None:
        """The value of a module-level name if it is a string."""
        for statement in self.own.get(name, []):
            value = statement.value if isinstance(statement, ast.Assign) else None
            if isinstance(value, ast.Constant) and isinstance(value.value, str):
                return value.value
        return None


def _flat(body: Iterable[ast.stmt]) -> Iterator[ast.stmt]:
    for statement in body:
        if isinstance(statement, ast.If | ast.Try):
            yield from _flat(child for child in ast.iter_child_nodes(statement) if isinstance(child, ast.stmt))
        else:
            yield statement


def _defined(statement: ast.stmt) -> Iterator[str]:
    if isinstance(statement, ast.FunctionDef | ast.ClassDef):
        yield statement.name
    elif isinstance(statement, ast.Assign | ast.AnnAssign):
        for target in statement.targets if isinstance(statement, ast.Assign) else [statement.target]:
            yield from (node.id for node in ast.walk(target) if isinstance(node, ast.Name))


class _Reader(ast.NodeVisitor):
    """Reads definitions: what they do, as text, and what they use.

    The text is the syntax tree without empty fields, because Python releases differ in these.
    """

    def __init__(self, code: Code, module: _Module) -> None:
        self._code, self._module = code, module
        self._bound = dict(module.imported)
        self._parts: list[str] = []
        self._uses: set[Node] = set()

    def read(self, definitions: Iterable[ast.stmt]) -> _Content:
        """The content of a name that has these definitions."""
        annotations: set[Node] = set()
        for definition in definitions:
            self.visit(definition)
            if isinstance(definition, ast.FunctionDef):
                for argument in (*definition.args.args, *definition.args.kwonlyargs):
                    annotations |= self._targets(argument.annotation)
        return _Content(_digest("".join(self._parts)), frozenset(self._uses), frozenset(annotations))

    def generic_visit(self, node: ast.AST) -> None:
        self._parts.append(f"{type(node).__name__}(")
        for field in node._fields:
            value = getattr(node, field, None)
            if value is None or value == [] or field in _NOT_BEHAVIOUR:
                continue
            self._parts.append(f" {field}=")
            for item in value if isinstance(value, list) else (value,):
                if isinstance(item, ast.AST):
                    self.visit(item)
                else:
                    self._parts.append(f"{item!a},")
        self._parts.append(")")

    def visit_Import(self, node: ast.Import) -> None:
        pass

    def visit_ImportFrom(self, node: ast.ImportFrom) -> None:
        self._bound.update(self._code.imports(node))

    def visit_Pass(self, node: ast.Pass) -> None:
        pass

    def visit_Expr(self, node: ast.Expr) -> None:
        is_docstring = isinstance(node.value, ast.Constant) and isinstance(node.value.value, str)
        if not is_docstring:
            self.generic_visit(node)

    def visit_Name(self, node: ast.Name) -> None:
        self._uses |= self._targets(node)
        self._parts.append(f"Name({node.id})")

    def visit_Attribute(self, node: ast.Attribute) -> None:
        self._uses |= self._targets(node)
        self.generic_visit(node)

    def visit_Constant(self, node: ast.Constant) -> None:
        if isinstance(node.value, str):
            self._uses |= self._files(node.value)
        self._parts.append(f"Constant({node.value!a})")

    def visit_JoinedStr(self, node: ast.JoinedStr) -> None:
        # Python 3.12.1 puts empty texts into format strings.
        values = [value for value in node.values if getattr(value, "value", None) != ""]
        self.generic_visit(ast.JoinedStr(values))

    def visit_Call(self, node: ast.Call) -> None:
        called = _called(node)
        if called == "multi_asset":
            # The declaration of an asset does not change what it computes.
            return
        if called == "sharded_asset":
            node = ast.Call(node.func, node.args, [])
        if called in ("Check", "Field"):
            kept = [keyword for keyword in node.keywords if keyword.arg != "description"]
            node = ast.Call(node.func, node.args[:1], kept)
        if called == "statement":
            path = self._text(node.args[0])
            if path is not None:
                name = self._text(node.args[1]) if len(node.args) > 1 else "main"
                self._uses |= _sql_nodes(path, name)
                node = ast.Call(node.func, node.args[1:], node.keywords)
        self.generic_visit(node)

    def _targets(self, node: ast.expr | None) -> frozenset[Node]:
        if isinstance(node, ast.Name):
            if node.id in self._bound:
                return self._bound[node.id]
            return frozenset([Node("code", self._module.name, node.id)] if node.id in self._module.own else ())
        if isinstance(node, ast.Attribute):
            found: set[Node] = set()
            for module in (one.where for one in self._targets(node.value) if not one.name):
                member = self._code.member(module, node.attr)
                found |= self._code.module(member.where).imported.get(member.name, {member})
            return frozenset(found)
        return frozenset()

    def _text(self, node: ast.expr) -> str | None:
        if isinstance(node, ast.Constant):
            return node.value if isinstance(node.value, str) else None
        return next((self._code.module(one.where).text_constant(one.name) for one in self._targets(node)), None)

    def _files(self, text: str) -> set[Node]:
        """What a string names: a SQL file, program files below the module's folder, the template, or a module."""
        if text.endswith(".sql"):
            return _sql_nodes(text, None)
        if text == MAIN_FILE:
            return {Node("template", "quarto", text)}
        if text.endswith(PROGRAM_SUFFIXES):
            path = self._code.path_of(self._module.name)
            found = path.parent.rglob(text) if path else ()
            return {
                Node("program", match.parent.relative_to(self._code.root).as_posix(), match.name) for match in found
            }
        if text.startswith(f"{PACKAGE}."):
            return {Node("code", text, name) for name in self._code.module(text).own}
        return set()


def _called(node: ast.Call) -> str:
    return getattr(node.func, "id", getattr(node.func, "attr", ""))


def _sql_nodes(path: str, name: str | None) -> set[Node]:
    try:
        names = statements(path)
    except SqlFileError:
        return set()
    return {Node("sql", path, one) for one in ([name] if name in names else names)}


def _counts(module: str) -> bool:
    return _is_below(module, COMPUTING) and not _is_below(module, NOT_COMPUTING)


def _is_below(module: str, packages: tuple[str, ...]) -> bool:
    return any(module == package or module.startswith(f"{package}.") for package in packages)


def _digest(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()


def _without_comments(text: str, suffix: str) -> str:
    """The text without comments, on one line. What looks like a comment inside quotes stays."""
    quoted, comment = _QUOTES_AND_COMMENTS[suffix]
    return " ".join(re.sub(f"({quoted})|{comment}", r"\1 ", text, flags=re.DOTALL).split())
