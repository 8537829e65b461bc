"""Load attempt logs (Parquet, CSV) into ``exam_results`` and ``question``.

:func:`load_attempt_log` reads files in batches, so memory does not grow with the file, and COPYs valid rows into temporary
tables. The SQL of ``sql/load/`` then builds one exam per session. Bad rows go to ``load_rejects`` and never stop a load.
The attempt log (the view ``attempt``) is not filled here but by the asset of that name.
"""

from seedtest_analytics.ingest.columns import COLUMNS, OPTIONAL, REQUIRED, parse_mapping
from seedtest_analytics.ingest.errors import LoadError, Progress
from seedtest_analytics.ingest.load import LoadOptions, LoadSummary, Written, load_attempt_log
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
