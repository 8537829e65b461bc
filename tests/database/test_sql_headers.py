"""Each SQL file states its grain, inputs and parameters, and the parameters are those that its statements bind."""

import re

import pytest
from sqlalchemy import text

from seedtest_analytics.database.sql_files import read_sql, top_folder

FILES = sorted(p.relative_to(top_folder("sql")).as_posix() for p in top_folder("sql").rglob("*.sql"))


@pytest.mark.parametrize("file", FILES)
def test_the_header_states_grain_inputs_and_parameters(file: str) -> None:
    header = re.match(r"(--.*\n)+", read_sql(file))
    assert header is not None, "the file must begin with a comment"
    assert [word for word in ("Grain:", "Inputs:", "Params:") if word not in header[0]] == []


@pytest.mark.parametrize("file", FILES)
def test_the_comments_name_every_bound_parameter(file: str) -> None:
    comments = " ".join(line for line in read_sql(file).splitlines() if line.lstrip().startswith("--"))
    code = "\n".join(line for line in read_sql(file).splitlines() if not line.lstrip().startswith("--"))
    assert sorted(name for name in text(code).compile().params if not re.search(rf"\b{name}\b", comments)) == []


def aggregated(code: str) -> list[str]:
    """What each sum and each mean adds up, without the conditions of a CASE."""
    found = []
    for start in re.finditer(r"\b(?:sum|avg|stddev_pop|stddev_samp)\(", code, re.IGNORECASE):
        depth, end = 1, start.end()
        while depth:
            depth += {"(": 1, ")": -1}.get(code[end], 0)
            end += 1
        found.append(re.sub(r"\bWHEN\b.*?\bTHEN\b", "", code[start.end() : end - 1], flags=re.DOTALL))
    return found


@pytest.mark.parametrize("file", FILES)
def test_no_sum_of_floats_depends_on_the_order_of_rows(file: str) -> None:
    """A second run would change the last bit, and with it the row. Sums are of numerics or of whole numbers."""
    assert [argument for argument in aggregated(read_sql(file)) if "float8" in argument] == []
