"""COPY returns the rows of the query, and no text is read as anything but itself."""

import datetime as dt
from collections.abc import Iterator

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sqlalchemy import Connection, Engine, text

from seedtest_analytics.database.binary_copy import BinaryCopyError
from seedtest_analytics.database.publish import copy_arrow, copy_frame, create_staging
from seedtest_analytics.database.read import copy_to_arrow, unpacked

ODD_TEXTS = [
    *("NA", "N/A", "NULL", "null", "None", "nan", "NaN", "-nan", "inf", "", " ", "#N/A", "?", "true", "f"),
    *("007", "1e5", "0x1F", "1,5", "-0", "2026-03-02", "1.#IND", r"\N", r"\.", "a\n\\.\nb", "\ufeffid"),
    *(
        "a\nb",
        "a\r\nb",
        "\r",
        "a\tb",
        "a,b",
        'a"b',
        "a'b",
        "\\",
        "a\\nb",
        "\u2028",
        "e\u0301",
        "\U0001f600",
        "x" * 70_000,
    ),
]
TEXT = st.text(st.characters(exclude_characters="\0", exclude_categories=["Cs"]), max_size=12)


@pytest.fixture
def connection(shared_database: Engine) -> Iterator[Connection]:
    with shared_database.connect() as connection:
        yield connection


def rows_of_values(values: str, names: str) -> str:
    return f"SELECT {names} FROM (VALUES {values}) AS v ({names})"


@pytest.mark.parametrize("dictionaries", [(), ("word",)])
def test_a_text_is_read_as_itself_and_null_differs_from_the_empty_text(
    connection: Connection, dictionaries: tuple[str, ...]
) -> None:
    words = [*ODD_TEXTS, None]
    create_staging(connection, "odd", columns={"number": "integer", "word": "text"})
    connection.execute(
        text("INSERT INTO odd VALUES (:number, :word)"), [{"number": n, "word": w} for n, w in enumerate(words)]
    )
    rows = copy_to_arrow(connection, text("SELECT word, number FROM odd ORDER BY number"), dictionaries=dictionaries)
    assert rows["word"].to_pylist() == words
    assert rows["number"].to_pylist() == list(range(len(words)))


@settings(max_examples=60, deadline=None, derandomize=True)
@given(st.lists(st.tuples(st.one_of(st.none(), TEXT), st.one_of(st.none(), TEXT)), max_size=20))
def test_what_is_written_is_read_again(shared_database: Engine, pairs: list[tuple[str | None, str | None]]) -> None:
    columns = {"number": range(len(pairs)), "one": [a for a, _ in pairs], "other": [b for _, b in pairs]}
    with shared_database.connect() as connection:
        create_staging(connection, "pairs", columns={"number": "integer", "one": "text", "other": "text"})
        copy_frame(connection, "pairs", frame=pd.DataFrame(columns, dtype=object))
        read = copy_to_arrow(connection, text("SELECT one, other FROM pairs ORDER BY number"), dictionaries=("other",))
    assert list(zip(*(read[name].to_pylist() for name in ("one", "other")), strict=True)) == pairs


def test_every_type_travels_both_ways_with_its_extremes(connection: Connection) -> None:
    written = pa.table(
        {
            "flag": pa.array([True, False, None]),
            "small": pa.array([-(2**15), 2**15 - 1, None], pa.int16()),
            "middle": pa.array([-(2**31), 2**31 - 1, None], pa.int32()),
            "large": pa.array([-(2**63), 2**63 - 1, None], pa.int64()),
            "single": pa.array([-0.1, float("inf"), None], pa.float32()),
            "double": pa.array([5e-324, 1.7976931348623157e308, None], pa.float64()),
            "day": pa.array([dt.date(1, 1, 1), dt.date(9999, 12, 31), None]),
            "instant": pa.array(
                [dt.datetime(1, 1, 1, tzinfo=dt.UTC), dt.datetime(9999, 12, 31, 23, 59, 59, 999999, dt.UTC), None]
            ).cast(pa.timestamp("us", "UTC")),
            "word": pa.array(["", "NULL", None]),
            "raw": pa.array([b"", b"\xff\xff\0", None], pa.binary()),
        }
    )
    types = ["boolean", "smallint", "integer", "bigint", "real", "float8", "date", "timestamptz", "text", "bytea"]
    create_staging(connection, "every", columns=dict(zip(written.column_names, types, strict=True)))
    copy_arrow(connection, "every", rows=written)
    assert copy_to_arrow(connection, text("SELECT * FROM every")).equals(written)


def test_json_and_uuid_are_written_as_their_text(connection: Connection) -> None:
    create_staging(connection, "named", columns={"id": "uuid", "meta": "jsonb"})
    identity = "00000000-0000-0000-0000-0000000000ff"
    copy_frame(connection, "named", frame=pd.DataFrame({"id": [identity, None], "meta": ['{"a": "null"}', None]}))
    found = connection.execute(text("SELECT id::text, meta ->> 'a' FROM named ORDER BY 1")).all()
    assert [tuple(row) for row in found] == [(identity, "null"), (None, None)]


def test_no_rows_are_empty_columns_of_their_types(connection: Connection) -> None:
    rows = copy_to_arrow(connection, text(rows_of_values("(1, 'x')", "a, b") + " WHERE false"), dictionaries=("b",))
    assert (rows.num_rows, rows.schema.field("a").type) == (0, pa.int32())
    assert rows["b"].combine_chunks().dictionary.to_pylist() == []


def test_rows_in_many_blocks_share_one_dictionary(connection: Connection, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("seedtest_analytics.database.binary_copy._BLOCK_BYTES", 50)
    rows = copy_to_arrow(
        connection,
        text("SELECT 'u' || i % 7 AS u, i FROM generate_series(1, 200) AS i ORDER BY i"),
        dictionaries=("u",),
    )
    users = rows["u"].combine_chunks()
    assert users.dictionary.to_pylist() == [f"u{i % 7}" for i in range(1, 8)]
    assert users.to_pylist() == [f"u{i % 7}" for i in rows["i"].to_pylist()]


@pytest.mark.parametrize(
    ("value", "why"),
    [
        ("1.5::numeric", "cast it to float8"),
        ("'{}'::jsonb", "cast the column 'v' to text"),
        ("interval '1 day'", "cast it"),
        ("'infinity'::date", "infinite time"),
        ("'-infinity'::timestamptz", "infinite time"),
    ],
)
def test_what_arrow_does_not_have_is_refused_with_the_remedy(connection: Connection, value: str, why: str) -> None:
    with pytest.raises(BinaryCopyError, match=why):
        copy_to_arrow(connection, text(f"SELECT {value} AS v"))


@pytest.mark.parametrize("value", [5_000_000_000, "x", 1.5])
def test_a_value_that_the_column_lacks_is_refused_and_the_column_named(connection: Connection, value: object) -> None:
    create_staging(connection, "narrow", columns={"number": "integer"})
    with pytest.raises(BinaryCopyError, match="'number'"):
        copy_frame(connection, "narrow", frame=pd.DataFrame({"number": [value]}))


def test_packed_records_become_columns(connection: Connection) -> None:
    values = rows_of_values("(1, -5000000000), (2, 0), (3, 7), (4, 8), (5, 9)", "a, b")
    packed = text(
        f"SELECT string_agg(int4send(a) || int8send(b), '' ORDER BY a) AS records FROM ({values}) AS v "
        "GROUP BY a / 2 ORDER BY a / 2"
    )
    types = {"a": np.int32, "b": np.int64}
    columns = unpacked(copy_to_arrow(connection, packed)["records"], types=types)
    assert columns["a"].tolist() == [1, 2, 3, 4, 5]
    assert columns["b"].tolist() == [-5000000000, 0, 7, 8, 9]
    assert (columns["a"].dtype, columns["b"].dtype) == (np.int32, np.int64)
    none = unpacked(copy_to_arrow(connection, text("SELECT NULL::bytea AS records"))["records"], types=types)
    assert {name: (len(c), c.dtype) for name, c in none.items()} == {"a": (0, np.int32), "b": (0, np.int64)}


def test_line_breaks_in_more_than_a_megabyte_are_part_of_the_text(connection: Connection) -> None:
    """A reader of CSV cuts its blocks at them: the old code raises an error that quotes the row."""
    query = "SELECT n, 'user-' || n || chr(10) || repeat('b', 60) AS word FROM generate_series(1, 20000) AS n"
    rows = copy_to_arrow(connection, text(query))
    assert rows["word"].to_pylist() == [f"user-{n}\n{'b' * 60}" for n in rows["n"].to_pylist()]
    assert rows.nbytes > 1 << 20
