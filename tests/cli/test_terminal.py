"""Every command's output reaches a terminal or file whose encoding lacks characters."""

import io
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from seedtest_analytics.cli.app import COMMANDS
from seedtest_analytics.cli.terminal import make_printable

PACKAGE = Path(__file__).parents[2] / "seedtest_analytics"


def printed(text: str, encoding: str) -> str:
    buffer = io.BytesIO()
    stream = io.TextIOWrapper(buffer, encoding=encoding)
    make_printable(stream)
    stream.write(text)
    stream.flush()
    return buffer.getvalue().decode(encoding)


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("0.1 – 0.2 · n ≥ 3 …", "0.1 - 0.2 * n >= 3 ..."),
        ("café, naïve", "cafe, naive"),
        ("Größe", "Gro\\xdfe"),
        ("한국어", "\\ud55c\\uad6d\\uc5b4"),
        ("😀\u200d\ud83d", "\\U0001f600\\u200d\\ud83d"),
        ("θ and σ, “so”", 'theta and sigma, "so"'),
        ("━━┓", "\\u2501\\u2501\\u2513"),
    ],
)
def test_what_an_ascii_terminal_lacks_is_replaced(text: str, shown: str) -> None:
    assert printed(text, "ascii") == shown


@pytest.mark.parametrize("encoding", ["latin-1", "cp1252", "cp949", "euc-kr", "utf-8"])
def test_what_the_encoding_has_stays(encoding: str) -> None:
    text = "plain words, 12 %"
    assert printed(text, encoding) == text
    assert printed("– café 한국어 😀", encoding)


def test_every_character_of_the_commands_messages_is_printable_in_ascii() -> None:
    sources = "".join(path.read_text(encoding="utf-8") for path in (PACKAGE / "cli").rglob("*.py"))
    unusual = "".join(sorted(set(re.findall(r"[^\x00-\x7f]", sources))))
    assert unusual
    assert printed(unusual, "ascii").isascii()


@pytest.mark.long
@pytest.mark.parametrize("command", ["", *COMMANDS])
def test_the_help_of_every_command_reaches_an_ascii_terminal(command: str) -> None:
    environment = {**os.environ, "LANG": "C", "LC_ALL": "C", "PYTHONIOENCODING": "ascii", "PYTHONUTF8": "0"}
    arguments = [*filter(None, [command]), "--help"]
    done = subprocess.run(
        [sys.executable, "-m", "seedtest_analytics.cli.app", *arguments],
        env=environment,
        capture_output=True,
        check=False,
    )
    assert (done.returncode, done.stderr) == (0, b"")
    assert done.stdout.isascii()
