"""How a long load shows its rows, rate and time left."""

import io

import pytest
from rich.console import Console

from seedtest_analytics.cli import progress
from seedtest_analytics.cli.progress import progress_bar


class Clock:
    """A clock that the test moves."""

    now = 1000.0

    def monotonic(self) -> float:
        return self.now


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    moved = Clock()
    monkeypatch.setattr(progress.time, "monotonic", moved.monotonic)
    return moved


def test_without_a_terminal_a_line_every_ten_seconds(clock: Clock) -> None:
    output = io.StringIO()
    with progress_bar(Console(file=output, width=100)) as report:
        report("reading", 0)
        for second in range(1, 31):
            clock.now = 1000 + second
            report("reading", second / 40, rows=second * 60_000)
        report("writing", 0)
        report("writing", 1, rows=5)
    assert output.getvalue().splitlines() == [
        "reading: 25%, 600,000 rows, 60,000/s, 30 s left",
        "reading: 50%, 1,200,000 rows, 60,000/s, 20 s left",
        "reading: 75%, 1,800,000 rows, 60,000/s, 10 s left",
    ]


def test_on_a_terminal_a_bar_with_rows_and_rate(clock: Clock) -> None:
    output = io.StringIO()
    with progress_bar(Console(file=output, width=100, force_terminal=True)) as report:
        report("reading", 0)
        clock.now += 2
        report("reading", 0.5, rows=100_000)
    assert "100,000 rows, 50,000/s" in output.getvalue()
