"""Every command on the pages of input and output runs as it stands there, in the order of the page."""

from __future__ import annotations

import json
import re
import shlex
import zipfile
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import Engine

from tests._database import rows_of
from tests.cli.conftest import Seedtest
from tests.cli.conftest import seedtest as seedtest_fixture
from tests.ingest.test_connect import school as school_fixture
from tests.ingest.test_formats import FILES, XAPI
from tests.ingest.test_roster import FILES as ROSTER
from tests.ingest.test_roster import packed, write

seedtest, school = seedtest_fixture, school_fixture
DOCS = Path(__file__).parents[2] / "docs"
SERVERS = ("up",)
"""Commands that start servers; `tests/cli/test_start.py` runs them."""
EXPECTED = {
    "input": "SELECT count(*) >= 24 AS is_there FROM exam_results",
    "connect": "SELECT count(*) = 1 AS is_there FROM exam_results WHERE user_id = 'kim'",
    "rosters": "SELECT count(*) = 4 AS is_there FROM enrolment",
    "output": "SELECT true AS is_there",
}


def commands_of(page: str) -> list[list[str]]:
    blocks = re.findall(r"^```\n(.*?)^```", (DOCS / f"{page}.md").read_text(encoding="utf-8"), re.MULTILINE | re.DOTALL)
    lines = [line for block in blocks for line in block.splitlines() if line.startswith("seedtest ")]
    return [shlex.split(line, comments=True)[1:] for line in lines]


@pytest.mark.long
@pytest.mark.parametrize("page", EXPECTED)
def test_every_command_of_a_page_runs(
    seedtest: Seedtest, school: Engine, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, page: str
) -> None:
    monkeypatch.chdir(tmp_path)
    make_files(tmp_path)
    found = commands_of(page)
    assert found, "the page has no command"
    for command in found:
        if command[0] not in SERVERS:
            code, output = seedtest(*command, DATABASE_URL=school.url.render_as_string(hide_password=False))
            assert code == 0, f"seedtest {shlex.join(command)}\n{output}"
    assert rows_of(school, EXPECTED[page]) == [{"is_there": True}]


def make_files(folder: Path) -> None:
    """The files that the pages name."""
    rows: list[Any] = [f"학생{n},{n},{'OX'[n % 2]},2026-03-02 09:{n:02}" for n in range(10)]
    (folder / "answers.csv").write_text("\n".join(["학번,문항번호,정오,제출일시", *rows, "x,7,maybe,2026-03-02", ""]))
    with zipfile.ZipFile(folder / "ednet.zip", "w") as archive:
        for name, content in FILES["EdNet KT1"][0].items():
            archive.writestr(name, content)
    (folder / "statements.jsonl").write_text(json.dumps(XAPI) + "\n")
    packed(write(folder / "roster", ROSTER))
