"""Hashes of code are kept in the home while no source changes."""

from __future__ import annotations

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


def kept(home: Path | None) -> str:
    hashes = KeptHashes(home)
    value = hashes.hash_of(MODULE, NAME)
    hashes.keep()
    return value


def test_a_hash_is_computed_once(tmp_path: Path, computed: list[str]) -> None:
    home = tmp_path / "home"
    assert kept(home) == kept(home)
    assert computed == [MODULE]


def test_without_a_home_nothing_is_kept(computed: list[str]) -> None:
    assert kept(None) == kept(None)
    assert computed == [MODULE] * 2


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


def test_a_home_that_cannot_be_written_keeps_nothing(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    assert kept(tmp_path / "file") == kept(None)
