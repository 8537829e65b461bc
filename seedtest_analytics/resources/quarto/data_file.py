"""The data file of one report: written for one rendering in a private folder, read by the template, removed.

Its path reaches the template through the environment, with the Quarto CLI and without it. (Quarto's
``--execute-params`` would need papermill in the kernel.)
"""

from __future__ import annotations

import os
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from seedtest_analytics.resources.quarto.errors import ReportError
from seedtest_analytics.reporting.document import ReportDocument

DATA_VARIABLE = "SEEDTEST_REPORT_DATA"


def load_document() -> ReportDocument:
    """Read the document that ``SEEDTEST_REPORT_DATA`` points to; for the template's first cell."""
    path = os.environ.get(DATA_VARIABLE)
    if not path:
        raise ReportError(f"{DATA_VARIABLE} is not set: it names the report's data file (see docs/report.md)")
    return ReportDocument.from_json(Path(path).read_bytes())


@contextmanager
def private_data_file(document: bytes) -> Iterator[Path]:
    """The document in a folder that only this user can read; folder and file are gone afterwards."""
    with tempfile.TemporaryDirectory(prefix="seedtest-report-") as folder:
        path = Path(folder) / "_data.json"
        path.write_bytes(document)
        yield path
