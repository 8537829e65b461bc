"""Modules stay short enough to be read at once."""

from __future__ import annotations

from pathlib import Path

PACKAGE = Path(__file__).resolve().parents[1] / "seedtest_analytics"
MOST_LINES = 400


def test_no_module_is_longer_than_can_be_read_at_once() -> None:
    lines = {str(path.relative_to(PACKAGE)): len(path.read_bytes().splitlines()) for path in PACKAGE.rglob("*.py")}
    assert len(lines) > 300
    assert {name: n for name, n in lines.items() if n > MOST_LINES} == {}
