"""Generated documents are what their generators print; the README names nothing that is not there."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]


def test_the_data_dictionary_is_up_to_date() -> None:
    printed = subprocess.run(
        [sys.executable, "scripts/data_dictionary.py"], cwd=ROOT, capture_output=True, text=True, check=True
    ).stdout
    written = (ROOT / "docs" / "data-dictionary.md").read_text(encoding="utf-8")
    assert written == printed, "run: python scripts/data_dictionary.py > docs/data-dictionary.md"


def test_links_in_the_documents_lead_somewhere() -> None:
    dead = []
    for document in [ROOT / "README.md", *sorted((ROOT / "docs").rglob("*.md"))]:
        for target in re.findall(r"\]\(([^)#\s]+)", document.read_text(encoding="utf-8")):
            if not re.match(r"[a-z]+:", target) and not (document.parent / target).exists():
                dead.append(f"{document.relative_to(ROOT)}: {target}")
    assert dead == []
