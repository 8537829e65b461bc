"""Attempt logs in, exams out: the way of data into the platform.

:func:`load_attempt_log` reads Parquet and CSV files in batches, COPYs acceptable rows into temporary tables,
and lets set-based SQL (``sql/load/``) build one exam a session in ``exam_results`` and the items in
``question``. Memory does not grow with the file. Bad rows go to ``load_rejects (file_name, row_number,
reason, raw_row, rejected_at)``, unique in the first three, and never stop a load.

The tables ``exam_results``, ``question`` and ``load_rejects`` must exist (``seedtest migrate``).
"""

from seedtest_analytics.ingest.columns import COLUMNS, OPTIONAL, REQUIRED, parse_mapping
from seedtest_analytics.ingest.errors import LoadError
from seedtest_analytics.ingest.load import LoadOptions, LoadSummary, Progress, Written, load_attempt_log
from seedtest_analytics.ingest.rejects import RejectCount

__all__ = [
    "COLUMNS",
    "OPTIONAL",
    "REQUIRED",
    "LoadError",
    "LoadOptions",
    "LoadSummary",
    "Progress",
    "RejectCount",
    "Written",
    "load_attempt_log",
    "parse_mapping",
]
