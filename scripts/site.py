"""Builds the documentation site into .site/site. A broken link is an error, and so is a page that `nav` lacks."""

from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import data_dictionary
import lineage
import settings_table
import yaml

ROOT = Path(__file__).resolve().parents[1]
BUILD = ROOT / ".site"
SOURCE = BUILD / "source"
PAGES_OF_THE_ROOT = ("README.md", "CHANGELOG.md", "CONTRIBUTING.md", "LICENSE")
GENERATED = {
    "data-dictionary.md": data_dictionary.lines,
    "settings.md": settings_table.lines,
    "lineage.md": lineage.lines,
}


def copy_pages() -> None:
    """The folders of the checkout, so that links between pages work in both places."""
    shutil.rmtree(BUILD, ignore_errors=True)
    shutil.copytree(ROOT / "docs", SOURCE / "docs")
    for name in PAGES_OF_THE_ROOT:
        if (ROOT / name).exists():
            shutil.copy(ROOT / name, SOURCE)
    for name, lines in GENERATED.items():
        (SOURCE / "docs" / name).write_text("\n".join(lines()) + "\n", encoding="utf-8")


def expanded(entry: Any) -> Any:
    """An entry of `nav` with the pages that a pattern matches."""
    if isinstance(entry, dict):
        return {title: expanded(inner) for title, inner in entry.items()}
    if isinstance(entry, list):
        return [page for inner in entry for page in (_matching(inner) if "*" in inner else [expanded(inner)])]
    return entry


def _matching(pattern: str) -> list[str]:
    return sorted(str(page.relative_to(SOURCE)) for page in SOURCE.glob(pattern))


def pages_of(entry: Any) -> set[str]:
    """Every page below an entry of `nav`."""
    if isinstance(entry, str):
        return {entry}
    return set().union(*(pages_of(inner) for inner in (entry.values() if isinstance(entry, dict) else entry)))


def main() -> None:
    """Copy the pages, write the configuration beside them, and run Zensical."""
    copy_pages()
    config = yaml.safe_load((ROOT / "mkdocs.yml").read_text(encoding="utf-8"))
    config["nav"] = expanded(config["nav"])
    if unlike := pages_of(config["nav"]) ^ {str(page.relative_to(SOURCE)) for page in SOURCE.rglob("*.md")}:
        sys.exit(
            f"mkdocs.yml: either in `nav` and not written, or written and not in `nav`: {', '.join(sorted(unlike))}"
        )
    (BUILD / "mkdocs.yml").write_text(yaml.safe_dump(config, sort_keys=False), encoding="utf-8")
    zensical = Path(sys.executable).with_name("zensical")
    sys.exit(
        subprocess.run([zensical, "build", "--strict", "-f", BUILD / "mkdocs.yml"], cwd=BUILD, check=False).returncode
    )


if __name__ == "__main__":
    main()
