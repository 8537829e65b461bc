"""A line in place of each page, without a worker."""

import os
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from seedtest_analytics.resources.quarto.renderer import RenderedPage, RenderedReport
from seedtest_analytics.resources.quarto.resource import QuartoResource

HELD = "u03"
"""The shard with this student waits after the student's page while a file asks for it."""


class Lines:
    """Renders a line for each student, and says which process did."""

    renderer = "embedded"

    def render_many(self, documents: Any) -> Iterator[RenderedReport]:
        folder = Path(os.environ["TEST_FOLDER"])
        for document in documents:
            pages = tuple(
                RenderedPage(page, "html", f"<p>{page} {document.user_id}</p>".encode())
                for page in ("family", "teacher")
            )
            with (folder / "rendered").open("a") as file:
                file.write(f"{os.getpid()} {document.user_id}\n")
            yield RenderedReport(document.user_id, document.week_start, pages=pages, renderer="embedded")
            while document.user_id == HELD and (folder / "hold").exists():
                (folder / "held").touch()
                time.sleep(0.05)


class LinesInPlaceOfPages(QuartoResource):
    """Starts no worker."""

    @contextmanager
    def open(self, *_: Any, **__: Any) -> Iterator[Any]:
        yield Lines()
