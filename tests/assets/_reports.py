"""Reports without their rendering, and the definitions of assets as another number of shards makes them."""

import importlib.util
from collections.abc import Iterator
from types import ModuleType
from typing import Any

import pytest

from seedtest_analytics.resources.quarto.renderer import RenderedPage, RenderedReport, ReportRenderer


def lines_instead_of_pages(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Render a line instead of each page; return for whom, in their order."""
    made: list[str] = []

    def render_many(self: ReportRenderer, documents: Any) -> Iterator[RenderedReport]:
        setup = self._pool._setup
        for document in documents:
            made.append(document.user_id)
            content = f"<p>{document.user_id}</p>".encode()
            kinds = [("family", one) for one in setup.formats] + [("teacher", "html")] * ("teacher" in setup.pages)
            pages = tuple(RenderedPage(page, format_, content=content) for page, format_ in kinds)
            yield RenderedReport(document.user_id, document.week_start, pages=pages, renderer="embedded")

    monkeypatch.setattr(ReportRenderer, "render_many", render_many)
    return made


def in_shards(module: ModuleType, shards: int, monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    """A copy of a module of assets as SEEDTEST_SHARDS makes it."""
    monkeypatch.setenv("SEEDTEST_SHARDS", str(shards))
    return copy_of(module)


def copy_of(module: ModuleType) -> ModuleType:
    """The module as the present environment makes it."""
    assert module.__file__ is not None
    spec = importlib.util.spec_from_file_location(module.__name__, module.__file__)
    assert spec is not None
    assert spec.loader is not None
    copy = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(copy)
    return copy
