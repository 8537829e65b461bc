"""Run the cells of a compiled template for one document and join the page.

Each document gets its own namespace, so no variable of one student is visible to the next. A cell shows its last
expression like a notebook: by ``_repr_html_`` if the value has it, else as escaped text. None shows nothing.
"""

from __future__ import annotations

import ast
import contextlib
import contextvars
import html
import io
import json
import os
import traceback
from dataclasses import dataclass
from types import CodeType
from typing import Any

from seedtest_analytics.reporting.document_base import ReportDocumentError
from seedtest_analytics.reporting.language import SOURCE_LANGUAGE, known_language
from seedtest_analytics.resources.quarto.data_file import DATA_VARIABLE, private_data_file
from seedtest_analytics.resources.quarto.errors import CellError, TemplateError
from seedtest_analytics.resources.quarto.template import Cell, CompiledTemplate


@dataclass(frozen=True)
class RunnableCell:
    """A cell as byte code: its statements, and its last expression if it ends in one."""

    cell: Cell
    statements: CodeType
    expression: CodeType | None


def runnable_cells(template: CompiledTemplate) -> tuple[RunnableCell, ...]:
    """Compile every cell once; raises :class:`TemplateError` for a syntax error."""
    return tuple(_runnable(template.name, cell) for cell in template.cells)


def _runnable(template_name: str, cell: Cell) -> RunnableCell:
    where = f"{template_name}, cell {cell.label!r}"
    try:
        tree = ast.parse(cell.source)
        last = tree.body[-1] if tree.body and isinstance(tree.body[-1], ast.Expr) else None
        body = tree.body[:-1] if last is not None else tree.body
        statements = compile(ast.Module(body, []), f"<{where}>", "exec")
        expression = compile(ast.Expression(last.value), f"<{where}>", "eval") if last is not None else None
    except SyntaxError as error:
        raise TemplateError(f"{where}, line {error.lineno}: {error.msg}") from None
    return RunnableCell(cell, statements, expression=expression)


def render_page(template: CompiledTemplate, cells: tuple[RunnableCell, ...], *, document: bytes) -> bytes:
    """The page of one document (the bytes of its data file); raises :class:`CellError`."""
    with private_data_file(document) as path, _environment(DATA_VARIABLE, str(path)):
        # In a separate context, so that the language that the first cell chooses ends with the page.
        outputs = contextvars.copy_context().run(_run_all, template.name, cells)
    pieces = template.spoken(known_language(json.loads(document).get("language"), SOURCE_LANGUAGE))
    page = [pieces[0]]
    for output, piece in zip(outputs, pieces[1:], strict=True):
        page += [output, piece]
    return "".join(page).encode()


def _run_all(template_name: str, cells: tuple[RunnableCell, ...]) -> list[str]:
    namespace: dict[str, Any] = {"__name__": "__main__", "__builtins__": __builtins__}
    return [_run(template_name, cell, namespace=namespace) for cell in cells]


@contextlib.contextmanager
def _environment(variable: str, value: str) -> Any:
    os.environ[variable] = value
    try:
        yield
    finally:
        os.environ.pop(variable, None)


def _run(template_name: str, runnable: RunnableCell, *, namespace: dict[str, Any]) -> str:
    printed, shown = io.StringIO(), ""
    try:
        with contextlib.redirect_stdout(printed):
            exec(runnable.statements, namespace)  # noqa: S102  # the template is the platform's own code
            if runnable.expression is not None:
                shown = _shown(eval(runnable.expression, namespace))  # noqa: S307
    except Exception as error:  # noqa: BLE001  # any error fails this document only
        raise CellError(_without_values(template_name, runnable.cell.label, error=error)) from None
    if not runnable.cell.is_shown:
        return ""
    return _output(_preformatted(printed.getvalue())) + _output(shown)


def _without_values(template_name: str, label: str, *, error: Exception) -> str:
    """Type and place of an error, without its text, which may quote the student's data."""
    frame = traceback.extract_tb(error.__traceback__)[-1]
    place = f"{os.path.basename(frame.filename)}, line {frame.lineno}"
    known = f": {error}" if isinstance(error, ReportDocumentError) else ""
    return f"{template_name}, cell {label!r} failed with {type(error).__name__} in {place}{known}"


def _shown(value: Any) -> str:
    if value is None:
        return ""
    as_html = getattr(value, "_repr_html_", None)
    return str(as_html()) if callable(as_html) else _preformatted(repr(value))


def _preformatted(shown: str) -> str:
    return f"<pre>{html.escape(shown)}</pre>" if shown else ""


def _output(markup: str) -> str:
    """Wrap an output as Quarto does, so that one style sheet serves both renderers."""
    return f'<div class="cell"><div class="cell-output cell-output-display">{markup}</div></div>' if markup else ""
