"""The data file of one report: exists in a private folder while the report is rendered.

The template finds it through an environment variable, with or without the Quarto CLI. (Quarto's
``--execute-params`` would need papermill in the kernel.)
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from seedtest_analytics.reporting.cohort_document import CohortDocument
from seedtest_analytics.reporting.document import ReportDocument
from seedtest_analytics.resources.quarto.errors import ReportError
from seedtest_analytics.scratch import scratch_folder

DATA_VARIABLE = "SEEDTEST_REPORT_DATA"


def load_document() -> ReportDocument:
    """The document that ``SEEDTEST_REPORT_DATA`` names, for the first cell of the template."""
    return ReportDocument.from_json(_data())


def load_cohort() -> CohortDocument:
    """The same for the page of a group of students."""
    return CohortDocument.from_json(_data())


def _data() -> bytes:
    path = os.environ.get(DATA_VARIABLE)
    if not path:
        raise ReportError(f"{DATA_VARIABLE} is not set; it must name the report's data file (see docs/report.md)")
    return Path(path).read_bytes()


@contextmanager
def private_data_file(document: bytes) -> Iterator[Path]:
    """Write the document into a folder that only this user can read; remove both afterwards."""
    with scratch_folder("report") as folder:
        path = folder / "_data.json"
        path.write_bytes(document)
        yield path
