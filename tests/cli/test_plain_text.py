"""Names of files and columns on the terminal."""

import io

import pytest
from rich.console import Console

from seedtest_analytics.cli.plain_text import plain


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("[red]log[/red].csv", "[red]log[/red].csv"),
        ("log:x:.csv", "log:x:.csv"),
        ("[link=https://example.org]a[/link]", "[link=https://example.org]a[/link]"),
        ("\x1b[31mred", "\\x1b[31mred"),
        ("\x1b]0;title\x07", "\\x1b]0;title\\x07"),
        ("정답 여부", "정답 여부"),
        ("\u202egnp.csv", "\\u202egnp.csv"),
    ],
)
def test_a_text_is_shown_as_it_is(text: str, shown: str) -> None:
    out = io.StringIO()
    Console(file=out, emoji=False, width=200, force_terminal=True).print(plain(text), highlight=False)
    assert out.getvalue() == f"{shown}\n"
