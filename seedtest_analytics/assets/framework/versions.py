"""The code version of each asset: a hash over its code and its columns.

The hashes of code are kept beside Python's compiled modules until a source file changes. Otherwise every process of every
step would spend a third of its start on reading the whole package's syntax. The image has them, so a pod finds them too.
"""

from __future__ import annotations

import contextlib
import gc
import hashlib
import importlib.util
import json
import os
import sys
from collections.abc import Iterable, Iterator
from functools import cached_property
from pathlib import Path
from types import ModuleType

import dagster as dg

from seedtest_analytics.assets.framework.code_version import ROOT, Code, source_files
from seedtest_analytics.assets.framework.declare import CODE
from seedtest_analytics.private_files import is_ours

CACHE = Path(importlib.util.cache_from_source(__file__)).parent
"""Folder of the compiled modules, by the rules of Python (PYTHONPYCACHEPREFIX)."""
_FILE = "code_hashes.json"
_VERSION_CHARACTERS = 16


def versioned(modules: Iterable[ModuleType]) -> list[dg.AssetsDefinition]:
    """The asset definitions of the modules, each with its code version."""
    hashes = KeptHashes(CACHE)
    found: dict[int, dg.AssetsDefinition] = {}
    for module in modules:
        for name, value in vars(module).items():
            is_asset = isinstance(value, dg.AssetsDefinition) and not isinstance(value, dg.AssetChecksDefinition)
            if is_asset and id(value) not in found:
                found[id(value)] = _with_version(value, hashes, module=module.__name__, name=name)
    hashes.keep()
    return list(found.values())


def _with_version(assets: dg.AssetsDefinition, hashes: KeptHashes, *, module: str, name: str) -> dg.AssetsDefinition:
    def versioned_spec(spec: dg.AssetSpec) -> dg.AssetSpec:
        if not assets.is_materializable:
            return spec
        columns = ",".join(f"{c.name}:{c.type}" for c in spec.metadata["dagster/column_schema"].columns)
        own = [spec.metadata[CODE]] if CODE in spec.metadata else []
        text = f"{hashes.hash_of(module, name, *own)}\0{columns}"
        version = hashlib.sha256(text.encode()).hexdigest()[:_VERSION_CHARACTERS]
        return spec.replace_attributes(code_version=version)

    return assets.map_asset_specs(versioned_spec)


class KeptHashes:
    """What :class:`Code` computes for the sources below the package's root, kept in ``folder``."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._kept = self._read()
        self._is_changed = False

    def hash_of(self, module: str, *names: str) -> str:
        """Hash over everything that the names of ``module`` depend on."""
        key = " ".join((module, *names))
        if key not in self._kept:
            with _without_garbage_collection():
                self._kept[key] = self._code.hash_of(module, *names)
            self._is_changed = True
        return self._kept[key]

    def keep(self) -> None:
        """Write what is new, for everybody to read. Where Python writes no compiled modules, or cannot, nothing is kept."""
        if self._is_changed and not sys.dont_write_bytecode:
            partial = self._folder / f"{_FILE}.{os.getpid()}"
            with contextlib.suppress(OSError):
                self._folder.mkdir(parents=True, exist_ok=True)
                partial.write_text(json.dumps({"sources": self._sources, "hashes": self._kept}))
                partial.replace(self._folder / _FILE)

    def _read(self) -> dict[str, str]:
        path = self._folder / _FILE
        with contextlib.suppress(OSError, ValueError, LookupError, TypeError):
            if is_ours(path) and (found := json.loads(path.read_bytes()))["sources"] == self._sources:
                return dict(found["hashes"])
        return {}

    @cached_property
    def _code(self) -> Code:
        return Code()

    @cached_property
    def _sources(self) -> str:
        """Digest of every file that a hash can depend on."""
        digest = hashlib.sha256()
        for path in source_files():
            digest.update(f"{os.path.relpath(path, ROOT)}\0".encode())
            digest.update(hashlib.sha256(path.read_bytes()).digest())
        return digest.hexdigest()


@contextlib.contextmanager
def _without_garbage_collection() -> Iterator[None]:
    """Syntax trees are many objects without cycles: the collector would double the time and free nothing."""
    was_enabled = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if was_enabled:
            gc.enable()
