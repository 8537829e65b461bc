"""Hashes of code are kept beside the compiled modules while no source changes."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from seedtest_analytics.assets.framework.code_version import Code
from seedtest_analytics.assets.framework.versions import KeptHashes

MODULE, NAME = "seedtest_analytics.assets.churn.assets", "survival_fit"


@pytest.fixture
def computed(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The modules whose code was read."""
    found: list[str] = []
    original = Code.hash_of

    def hash_of(self: Code, module: str, *names: str) -> str:
        found.append(module)
        return original(self, module, *names)

    monkeypatch.setattr(Code, "hash_of", hash_of)
    return found


@pytest.fixture(autouse=True)
def writes_compiled_modules(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "dont_write_bytecode", False)


def kept(folder: Path) -> str:
    hashes = KeptHashes(folder)
    value = hashes.hash_of(MODULE, NAME)
    hashes.keep()
    return value


def test_a_hash_is_computed_once(tmp_path: Path, computed: list[str]) -> None:
    folder = tmp_path / "__pycache__"
    assert kept(folder) == kept(folder)
    assert computed == [MODULE]


def test_where_python_writes_no_compiled_modules_nothing_is_kept(
    tmp_path: Path, computed: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sys, "dont_write_bytecode", True)
    assert kept(tmp_path) == kept(tmp_path)
    assert computed == [MODULE] * 2


def test_processes_keep_the_hashes_by_the_rules_of_python(tmp_path: Path) -> None:
    environment = {name: value for name, value in os.environ.items() if name != "PYTHONDONTWRITEBYTECODE"}
    subprocess.run(
        [sys.executable, "-c", "import seedtest_analytics.definitions"],
        env=environment | {"PYTHONPYCACHEPREFIX": str(tmp_path)},
        check=True,
    )
    (file,) = tmp_path.rglob("code_hashes.json")
    assert MODULE in file.read_text()


@pytest.mark.parametrize("content", ["", "{", "[]", '{"sources": "of another release", "hashes": {}}', "null"])
def test_a_file_of_another_kind_or_release_is_replaced(tmp_path: Path, computed: list[str], content: str) -> None:
    (tmp_path / "code_hashes.json").write_text(content)
    assert kept(tmp_path) == kept(tmp_path)
    assert computed == [MODULE]


def test_a_file_that_others_may_have_written_is_not_read(tmp_path: Path, computed: list[str]) -> None:
    value = kept(tmp_path)
    file = tmp_path / "code_hashes.json"
    file.write_text(file.read_text().replace(value, "0" * 64))
    file.chmod(0o666)
    assert kept(tmp_path) == value
    assert computed == [MODULE] * 2


def test_other_users_read_the_hashes_of_an_image(tmp_path: Path) -> None:
    """Root fills an image, and another user runs it."""
    kept(tmp_path)
    (file,) = tmp_path.iterdir()
    assert file.stat().st_mode & 0o044 == 0o044


def test_a_folder_that_cannot_be_written_keeps_nothing(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    assert kept(tmp_path / "file") == kept(tmp_path)
