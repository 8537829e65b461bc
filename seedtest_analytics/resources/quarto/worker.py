"""A render worker: a process that renders many reports (``python -m seedtest_analytics.resources.quarto.worker FD``).

It is a separate program and not a multiprocessing child, so it neither imports the caller's main module nor depends on
the caller's threads. It speaks pickles over an inherited socket: a :class:`WorkerSetup` is answered by
``("ready", None)`` or ``("failed", message)``, then each ``bytes`` (a data file) by ``("done", pages)`` or
``("failed", message)``. It ends when the socket closes.
"""

from __future__ import annotations

import importlib
import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from multiprocessing.connection import Connection
from pathlib import Path

from seedtest_analytics.resources.quarto.command import render_with_quarto
from seedtest_analytics.resources.quarto.errors import ReportError
from seedtest_analytics.resources.quarto.execute import render_page, runnable_cells
from seedtest_analytics.resources.quarto.template import CompiledTemplate

PRELOADED = tuple(
    f"seedtest_analytics.reporting.{name}" for name in ("family", "family_goal", "teacher_views", "model_views")
)
Page = tuple[str, str, bytes]
"""Page, format ('html' or 'pdf') and content."""


@dataclass(frozen=True)
class WorkerSetup:
    """How to render: with the Quarto CLI if ``quarto`` is its path, else from the compiled templates.

    ``pages`` maps each page to its file, ``templates`` each page to its compiled template. ``formats`` are made of the
    first page; the others are HTML.
    """

    folder: Path
    quarto: str | None
    pages: Mapping[str, str]
    formats: tuple[str, ...]
    templates: Mapping[str, CompiledTemplate]


def renderer(setup: WorkerSetup) -> Callable[[bytes], list[Page]]:
    """The function from a data file to its pages."""
    makers = {page: _html_maker(setup, page) for page in setup.pages}
    if "pdf" in setup.formats:
        importlib.import_module(f"{__package__}.pdf")

    def render(document: bytes) -> list[Page]:
        made = list[Page]()
        for number, (page, make) in enumerate(makers.items()):
            content = make(document)
            formats = setup.formats if number == 0 else ("html",)
            made += [(page, format_, content if format_ == "html" else _pdf(content)) for format_ in formats]
        return made

    return render


def _html_maker(setup: WorkerSetup, page: str) -> Callable[[bytes], bytes]:
    if setup.quarto is not None:
        quarto = setup.quarto
        return lambda document: render_with_quarto(quarto, setup.folder, main=setup.pages[page], document=document)
    template = setup.templates[page]
    for module in PRELOADED:
        importlib.import_module(module)
    cells = runnable_cells(template)
    return lambda document: render_page(template, cells, document=document)


def _pdf(page: bytes) -> bytes:
    from seedtest_analytics.resources.quarto.pdf import pdf_of

    return pdf_of(page)


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


def _answer(render: Callable[[bytes], list[Page]], document: bytes) -> tuple[str, list[Page] | str]:
    try:
        return "done", render(document)
    except ReportError as error:
        return "failed", str(error)
    except Exception as error:  # noqa: BLE001  # a bad document must not end the worker; its text may quote data
        return "failed", f"rendering failed with {type(error).__name__}"


if __name__ == "__main__":
    serve(Connection(int(sys.argv[1])))
