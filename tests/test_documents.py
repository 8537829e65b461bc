"""Generated documents are what their generators print; the README names nothing that is not there."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest

from seedtest_analytics.build import build_definitions

ROOT = Path(__file__).resolve().parents[1]


@pytest.mark.parametrize("script", ["data_dictionary", "settings_table"])
def test_a_generated_document_is_up_to_date(script: str) -> None:
    document = {"data_dictionary": "data-dictionary.md", "settings_table": "settings.md"}[script]
    printed = subprocess.run(
        [sys.executable, f"scripts/{script}.py"], cwd=ROOT, capture_output=True, text=True, check=True
    ).stdout
    written = (ROOT / "docs" / document).read_text(encoding="utf-8")
    assert written == printed, f"run: python scripts/{script}.py > docs/{document}"


def test_links_in_the_documents_lead_somewhere() -> None:
    dead = []
    for document in [ROOT / "README.md", *sorted((ROOT / "docs").rglob("*.md"))]:
        for target in re.findall(r"\]\(([^)#\s]+)", document.read_text(encoding="utf-8")):
            if not re.match(r"[a-z]+:", target) and not (document.parent / target).exists():
                dead.append(f"{document.relative_to(ROOT)}: {target}")
    assert dead == []


def runbook_checks() -> set[tuple[str, str]]:
    """(asset, check) of the rows of the tables headed "check | of | …"; names in a cell stand in backquotes."""
    found: set[tuple[str, str]] = set()
    is_table_of_checks = False
    for line in (ROOT / "docs" / "runbook.md").read_text(encoding="utf-8").splitlines():
        cells = [cell.strip() for cell in line.split("|")]
        if len(cells) < 3:
            is_table_of_checks = False
        elif cells[1:3] == ["check", "of"]:
            is_table_of_checks = True
        elif is_table_of_checks:
            checks, assets = (re.findall(r"`([\w/*]+)`", cell) for cell in cells[1:3])
            found |= {(asset, check) for asset in assets for check in checks}
    return found


def test_the_runbook_knows_every_check_and_no_other() -> None:
    """The contract's check is every table's and has one row; KPIs share a row."""
    keys = build_definitions().resolve_asset_graph().asset_check_keys
    declared = {(tuple(key.asset_key.path), key.name) for key in keys if key.name != "contract"}
    told = {("weekly_kpi/*" if path[0] == "weekly_kpi" else "/".join(path), name) for path, name in declared}
    # A row may name two checks and the two assets that have one each.
    assert told <= runbook_checks()
    assert {check for _, check in runbook_checks()} == {name for _, name in told}
    assert {asset for asset, _ in runbook_checks()} == {asset for asset, _ in told}
