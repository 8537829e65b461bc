"""The platform computes the numbers of the example in docs/metrics.md."""

import datetime as dt
from collections.abc import Iterator
from pathlib import Path

import pytest
from sqlalchemy import Engine

from tests.assets._cohort import store_abilities, store_attempts
from tests.assets._kpi_reference import Ability, Attempt
from tests.assets.kpis.test_assets import compute, stored

PAGE = Path(__file__).resolve().parents[2] / "docs" / "metrics.md"
WEEK = dt.date(2026, 3, 2)


def rows_of_table(first_heading: str) -> Iterator[list[str]]:
    """Rows, as cells, of the example's table whose first heading is ``first_heading``."""
    lines = iter(PAGE.read_text(encoding="utf-8").split("## An example")[1].splitlines())
    for line in lines:
        if line.startswith(f"| {first_heading} |"):
            next(lines)
            break
    for line in lines:
        if not line.startswith("|"):
            return
        yield [cell.strip() for cell in line.strip("|").split("|")]


def attempts() -> list[Attempt]:
    right = {"yes": True, "no": False, "–": None}
    return [
        Attempt(
            "mina",
            int(item),
            dt.datetime.fromisoformat(at).replace(tzinfo=dt.UTC),
            session,
            right[is_right],
            None if seconds == "–" else float(seconds),
            None if hints == "–" else int(hints),
        )
        for at, session, item, is_right, seconds, hints in rows_of_table("at")
    ]


def test_the_example_is_what_the_platform_computes(database: Engine) -> None:
    store_attempts(database, attempts())
    store_abilities(database, {"mina": Ability(0.3, 0.4)}, WEEK, dt.datetime(2026, 3, 9, tzinfo=dt.UTC))
    compute(database)
    found = stored(database)["mina"]
    shown = {key.strip("`"): float(value) for key, value, _ in rows_of_table("key")}
    assert list(shown) == ["I_t", "E_t", "R_t", "A_t", "P", "S"]
    assert {key: found[key] for key in shown} == pytest.approx(shown, abs=5.0001e-4)
    assert (found["I_t_n_recent"], found["I_t_n_previous"]) == (5, 4)
