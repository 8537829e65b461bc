"""Reading and writing a table of answers: binary COPY beside the CSV that it replaced, in the same run."""

from __future__ import annotations

import argparse
import io
import statistics
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Table
from sqlalchemy import Connection, create_engine, text

from benchmarks._measure import database, machine
from seedtest_analytics.database.engine import normalised_url
from seedtest_analytics.database.publish import copy_arrow
from seedtest_analytics.database.read import copy_to_arrow

ANSWERS = """
CREATE TEMP TABLE answer AS
SELECT
    md5((i / 50)::text) AS user_id, i::bigint * 7919 % 5000 AS item_id, i % 3 = 0 AS correct, i % 4 AS answer_no,
    random() AS seconds
FROM generate_series(1, :rows) AS i
"""
QUERY = "SELECT user_id, item_id, correct::integer AS correct, answer_no, seconds FROM answer"
COLUMNS = "user_id text, item_id bigint, correct integer, answer_no integer, seconds float8"
REPEATS = 3


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--quick", action="store_true", help="200,000 rows instead of two million")
    rows = 200_000 if parser.parse_args().quick else 2_000_000
    shown = Table("direction", "rows", "CSV, seconds", "binary, seconds", "binary / CSV", title=machine())
    with (
        tempfile.TemporaryDirectory() as folder,
        database(Path(folder)) as url,
        create_engine(normalised_url(url)).connect() as connection,
    ):
        connection.execute(text(ANSWERS), {"rows": rows})
        connection.execute(text(f"CREATE TEMP TABLE target ({COLUMNS})"))
        table = copy_to_arrow(connection, text(QUERY))
        for name, old, new in (
            ("read", lambda: read_csv(connection), lambda: read_binary(connection)),
            ("write", lambda: write_csv(connection, table), lambda: copy_arrow(connection, "target", rows=table)),
        ):
            seconds = alternating(old, new)
            ratio = seconds[1] / seconds[0]
            shown.add_row(name, f"{rows:,}", f"{seconds[0]:.2f}", f"{seconds[1]:.2f}", f"{ratio:.2f}")
    Console().print(shown)


def alternating(old: Callable[[], Any], new: Callable[[], Any]) -> tuple[float, float]:
    """Median seconds of both, measured in turns so that the machine's other work meets both."""
    times: tuple[list[float], list[float]] = ([], [])
    for _ in range(REPEATS):
        for function, taken in zip((old, new), times, strict=True):
            start = time.perf_counter()
            function()
            taken.append(time.perf_counter() - start)
    return statistics.median(times[0]), statistics.median(times[1])


def read_binary(connection: Connection) -> Any:
    """As the platform reads."""
    return copy_to_arrow(connection, text(QUERY), dictionaries=("user_id",))


def read_csv(connection: Connection) -> Any:
    """As the platform read before decision 0019."""
    import pyarrow as pa
    from pyarrow import csv

    cursor = connection.connection.cursor()
    with tempfile.SpooledTemporaryFile(max_size=1 << 26) as spool:
        with cursor.copy(f"COPY ({QUERY}) TO STDOUT WITH (FORMAT csv, HEADER)") as copy:
            for block in copy:
                spool.write(block)
        cursor.close()
        spool.seek(0)
        types = {"user_id": pa.dictionary(pa.int32(), pa.string())}
        options = csv.ConvertOptions(column_types=types, strings_can_be_null=True, quoted_strings_can_be_null=False)
        return csv.read_csv(io.BufferedReader(spool), convert_options=options)


def write_csv(connection: Connection, table: Any) -> None:
    """As the platform wrote before decision 0019."""
    from pyarrow import csv

    cursor = connection.connection.cursor()
    with cursor.copy("COPY target FROM STDIN WITH (FORMAT csv)") as copy:
        buffer = io.BytesIO()
        csv.write_csv(table, buffer, csv.WriteOptions(include_header=False))
        copy.write(buffer.getbuffer())
    cursor.close()


if __name__ == "__main__":
    main()
