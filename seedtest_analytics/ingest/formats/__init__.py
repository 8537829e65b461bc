"""Formats known in full: each turns its rows into the loader's columns, so that nothing needs to be mapped.

A format is recognised by the names of its columns or keys. ``about`` says what the platform makes of it.
"""

from __future__ import annotations

from seedtest_analytics.ingest.formats.assistments import ASSISTMENTS
from seedtest_analytics.ingest.formats.datashop import DATASHOP
from seedtest_analytics.ingest.formats.ednet import EDNET
from seedtest_analytics.ingest.formats.events import EVENTS
from seedtest_analytics.ingest.formats.format import Format, Source
from seedtest_analytics.ingest.formats.other_tables import OTHER_TABLES

FORMATS: tuple[Format, ...] = (*EDNET, *ASSISTMENTS, *DATASHOP, *OTHER_TABLES, *EVENTS)

__all__ = ["FORMATS", "Format", "Source", "format_of"]


def format_of(names: set[str], kind: str) -> Format | None:
    """The format whose columns or keys these are; ``kind`` is 'table' or 'json'."""
    return next((f for f in FORMATS if f.kind == kind and f.fits(names)), None)
