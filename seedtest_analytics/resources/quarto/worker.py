"""A render worker: a process that renders many reports (``python -m seedtest_analytics.resources.quarto.worker FD``).

It is a separate program and not a multiprocessing child, so it neither imports the caller's main module nor depends on
the caller's threads. It speaks pickles over an inherited socket: a :class:`WorkerSetup` is answered by
``("ready", None)`` or ``("failed", message)``, then each ``bytes`` (a data file) by ``("done", page)`` or
``("failed", message)``. It ends when the socket closes.
"""

from __future__ import annotations

import importlib
import sys
from collections.abc import Callable
from dataclasses import dataclass
from multiprocessing.connection import Connection
from pathlib import Path

from seedtest_analytics.resources.quarto.command import render_with_quarto
from seedtest_analytics.resources.quarto.errors import ReportError
from seedtest_analytics.resources.quarto.execute import render_page, runnable_cells
from seedtest_analytics.resources.quarto.template import CompiledTemplate

PRELOADED = ("seedtest_analytics.reporting.views", "seedtest_analytics.reporting.model_views")


@dataclass(frozen=True)
class WorkerSetup:
    """How to render: with the Quarto CLI if ``quarto`` is its path, else from the compiled template."""

    folder: Path
    quarto: str | None
    template: CompiledTemplate | None


def renderer(setup: WorkerSetup) -> Callable[[bytes], bytes]:
    """The function from a data file to a page."""
    if setup.quarto is not None:
        quarto = setup.quarto
        return lambda document: render_with_quarto(quarto, setup.folder, document=document)
    template = setup.template
    assert template is not None
    for module in PRELOADED:
        importlib.import_module(module)
    cells = runnable_cells(template)
    return lambda document: render_page(template, cells, document=document)


def serve(connection: Connection) -> None:
    """Answer until the other side closes."""
    try:
        render = renderer(connection.recv())
    except ReportError as error:
        connection.send(("failed", str(error)))
        return
    connection.send(("ready", None))
    while True:
        try:
            document = connection.recv_bytes()
        except EOFError:
            return
        connection.send(_answer(render, document))


def _answer(render: Callable[[bytes], bytes], document: bytes) -> tuple[str, bytes | str]:
    try:
        return "done", render(document)
    except ReportError as error:
        return "failed", str(error)
    except Exception as error:  # noqa: BLE001  # a bad document must not end the worker; its text may quote data
        return "failed", f"rendering failed with {type(error).__name__}"


if __name__ == "__main__":
    serve(Connection(int(sys.argv[1])))
