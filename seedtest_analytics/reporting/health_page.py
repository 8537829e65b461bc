"""The health of all assets as one page without scripts and without requests to other servers."""

from __future__ import annotations

import datetime as dt
from collections.abc import Mapping, Sequence
from typing import Any

from seedtest_analytics.reporting.html import table, text

LONGEST_TEXT = 600
HEADINGS = ("asset", "state", "last success", "fresh until", "rows", "checks", "failed partitions", "repair")
_STYLE = """
body { font: 15px/1.45 system-ui, sans-serif; margin: 2rem auto; max-width: 90rem; padding: 0 1rem; color: #1c2430 }
table { border-collapse: collapse; width: 100% } th, td { text-align: left; vertical-align: top; padding: .35rem .6rem;
border-bottom: 1px solid #d5dbe3 } caption { text-align: left; padding-bottom: .5rem } code { font-size: 13px }
.failed { color: #9b1c1c; font-weight: 600 } .stale, .never { color: #8a5300; font-weight: 600 }
.warning { color: #6b5b00 } .ok { color: #14622f }
@media (prefers-color-scheme: dark) { body { background: #14181d; color: #dfe5ec } .failed { color: #ff8f8f }
.stale, .never { color: #ffb65c } .warning { color: #e6d36a } .ok { color: #7fd69a } }
"""


def health_page(rows: Sequence[Mapping[str, Any]], at: str) -> str:
    """The page of rows with the columns of `platform_health`; the worst come first. ``at`` is when it was looked at."""
    order = ("failed", "stale", "never", "warning", "ok")
    ordered = sorted(rows, key=lambda row: (order.index(row["state"]), row["asset"]))
    counts = ", ".join(f"{n} {state}" for state in order if (n := sum(row["state"] == state for row in rows)))
    body = table(HEADINGS, [_cells(row) for row in ordered], caption=f"As of {text(at)}: {text(counts)}")
    return (
        '<!doctype html>\n<html lang="en"><head><meta charset="utf-8"><meta name="viewport" '
        f'content="width=device-width, initial-scale=1"><title>Platform health</title><style>{_STYLE}</style></head>'
        f"<body><h1>Platform health</h1>{body}</body></html>\n"
    )


def _cells(row: Mapping[str, Any]) -> list[str]:
    repair = f"<code>{text(row['repair'], LONGEST_TEXT)}</code>" if row["repair"] else ""
    return [
        f"{text(row['asset'])}<br><small>{text(row['domain'])}, {text(row['owner'])}</small>",
        f'<span class="{text(row["state"])}">{text(row["state"])}</span>',
        _time(row["last_success_at"]),
        _time(row["fresh_until"]),
        "" if row["row_count"] is None else f"{row['row_count']:,}",
        _checks(row),
        text(", ".join(row["failed_partitions"]), LONGEST_TEXT),
        repair,
    ]


def _time(at: Any) -> str:
    return f"{at:%Y-%m-%d %H:%M}" if isinstance(at, dt.datetime) else text(at or "–")


def _checks(row: Mapping[str, Any]) -> str:
    """Each check with its text: of a model, its verdict."""
    lines = []
    for name, verdict in sorted(row["verdicts"].items()):
        state = "warning" if name in row["failed_checks"] else "ok"
        lines.append(f'<span class="{state}">{text(name)}</span>: {text(verdict, LONGEST_TEXT)}')
    return "<br>".join(lines)
