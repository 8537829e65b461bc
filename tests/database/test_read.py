"""COPY returns the rows of the query."""

from collections.abc import Iterator

import numpy as np
import pyarrow as pa
import pytest
from sqlalchemy import Connection, Engine, text

from seedtest_analytics.database.read import copy_integer_lines

TYPES = {"a": np.int32, "b": np.int64}


@pytest.fixture
def connection(shared_database: Engine) -> Iterator[Connection]:
    with shared_database.connect() as connection:
        yield connection


def lines(values: str, block: str = "()") -> str:
    return f"SELECT string_agg(concat_ws(',', a, b), chr(10) ORDER BY a) FROM (VALUES {values}) AS v (a, b) GROUP BY {block}"


def test_blocks_of_lines_become_columns(connection: Connection) -> None:
    query = lines("(1, -5000000000), (2, 0), (3, 7), (4, 8), (5, 9)", "a / 2") + " ORDER BY a / 2"
    columns = copy_integer_lines(connection, text(query), types=TYPES)
    assert columns["a"].tolist() == [1, 2, 3, 4, 5]
    assert columns["b"].tolist() == [-5000000000, 0, 7, 8, 9]
    assert (columns["a"].dtype, columns["b"].dtype) == (np.int32, np.int64)


def test_no_rows_are_empty_columns_of_the_types(connection: Connection) -> None:
    columns = copy_integer_lines(connection, text(lines("(1, 2)") + " HAVING false"), types=TYPES)
    assert {name: (len(c), c.dtype) for name, c in columns.items()} == {"a": (0, np.int32), "b": (0, np.int64)}


@pytest.mark.parametrize("values", ["(1, 5000000000), (5000000000, 1)", "(1, 2), (2, NULL)", "(1, 'x')"])
def test_what_is_no_integer_of_its_type_is_refused(connection: Connection, values: str) -> None:
    with pytest.raises(pa.ArrowInvalid):
        copy_integer_lines(connection, text(lines(values)), types=TYPES)
