"""Every command's output reaches a terminal or file whose encoding lacks characters."""

import io
import os
import re
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from seedtest_analytics.cli.app import COMMANDS
from seedtest_analytics.cli.terminal import lasting, make_printable

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


def command(*arguments: str, **environment: str) -> list[str]:
    """The words of a shell that run `seedtest` in a new process."""
    given = [f"{name}={value}" for name, value in environment.items()]
    return ["env", *given, sys.executable, "-m", "seedtest_analytics.cli.app", *arguments]


def test_a_full_disk_behind_the_output_is_named() -> None:
    with open("/dev/full", "w") as full:
        done = subprocess.run(command("--help"), stdout=full, stderr=subprocess.PIPE, text=True, check=False)
    assert done.returncode == 1
    assert done.stderr == (
        "error: standard output cannot be written: No space left on device. The command has done its work all the same\n"
    )


def test_a_reader_that_leaves_ends_the_command_as_sigpipe_does(tmp_path: Path) -> None:
    read, write = os.pipe()
    os.close(read)
    done = subprocess.run(
        command(
            "simulate", "--students", "3", "--weeks", "4", "--out", str(tmp_path / "cohort"), DAGSTER_HOME=str(tmp_path)
        ),
        stdout=write,
        stderr=subprocess.PIPE,
        check=False,
    )
    os.close(write)
    assert (done.returncode, done.stderr) == (128 + signal.SIGPIPE, b"")
    assert (tmp_path / "cohort" / "cohort.json").exists()


def test_an_error_keeps_its_message_and_its_code_where_nobody_reads_the_output() -> None:
    with open("/dev/full", "w") as full:
        done = subprocess.run(command("--home", "", "status"), stdout=full, stderr=subprocess.PIPE, check=False)
    assert done.returncode == 1
    assert done.stderr.startswith(b"error: --home is empty")


@pytest.mark.parametrize("columns", ["0", "00"])
def test_a_width_of_no_columns_is_no_width(columns: str) -> None:
    done = subprocess.run(command("lod", COLUMNS=columns), capture_output=True, text=True, check=False)
    assert "No such command" in done.stderr


def test_what_follows_a_full_disk_is_printed(tmp_path: Path) -> None:
    """Dagster sends the output of a step to a file, whose disk may be full, and back."""
    with (tmp_path / "output").open("wb") as output, Path("/dev/full").open("wb") as full:
        descriptor = os.dup(full.fileno())
        stream, outlet = lasting(descriptor, like=sys.stdout)
        print("lost", file=stream)
        os.dup2(output.fileno(), descriptor)
        print("error: No space left on device", file=stream)
        os.close(descriptor)
    assert outlet.failure is not None
    assert (tmp_path / "output").read_text() == "error: No space left on device\n"
