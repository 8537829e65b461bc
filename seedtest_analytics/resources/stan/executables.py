"""Cache of Stan executables, keyed by the hash of program and toolchain."""

from __future__ import annotations

import fcntl
import hashlib
import json
import logging
import os
import shutil
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from seedtest_analytics.private_files import is_ours
from seedtest_analytics.resources.stan.toolchains import Toolchain

MANIFEST = "manifest.json"


def default_cache_dir() -> Path:
    """SEEDTEST_CACHE_DIR, else `cache` under DAGSTER_HOME, else `~/.cache/seedtest`."""
    chosen = os.environ.get("SEEDTEST_CACHE_DIR")
    if chosen:
        return Path(chosen).expanduser()
    home = os.environ.get("DAGSTER_HOME")
    return Path(home) / "cache" if home else Path.home() / ".cache" / "seedtest"


class ExecutableCache:
    """Builds each program once, even if several processes need it at the same time.

    An entry is a folder `<program>-<hash>` with the executable and a manifest with its checksum. It appears by one
    rename, so a build that dies leaves no entry. An entry with a wrong checksum is built again.
    """

    def __init__(self, folder: Path, logger: logging.Logger | logging.LoggerAdapter[Any] | None = None) -> None:
        self.folder = folder
        self.logger = logger or logging.getLogger(__name__)

    def executable(self, toolchain: Toolchain, program: Path, *, header: Path | None = None) -> Path:
        """Path of the executable of `program`, built if it is not in the cache; raises `StanBuildError`."""
        entry = self.folder / f"{program.stem}-{_key(toolchain, program, header=header)}"
        executable = entry / program.stem
        if _is_sound(executable):
            return executable
        self.folder.mkdir(parents=True, exist_ok=True)
        with _locked(self.folder / f"{entry.name}.lock"):
            if _is_sound(executable):
                return executable
            if entry.exists():
                self.logger.warning("Stan: cached executable %s is damaged; building it again", executable)
                shutil.rmtree(entry)
            self._build(toolchain, program, header=header, entry=entry)
        return executable

    def _build(self, toolchain: Toolchain, program: Path, *, header: Path | None, entry: Path) -> None:
        self.logger.info("Stan: compiling %s with %s (once, about a minute)", program.name, toolchain.name)
        started = time.monotonic()
        prefix = f"build-{entry.name}-"
        for left in self.folder.glob(f"{prefix}*"):  # left by a killed build: this one has the lock
            shutil.rmtree(left, ignore_errors=True)
        with tempfile.TemporaryDirectory(prefix=prefix, dir=self.folder) as scratch:
            workplace = Path(scratch) / "entry"
            workplace.mkdir()
            executable = workplace / program.stem
            toolchain.build(program, header, executable=executable)
            manifest = {"sha256": _checksum(executable), "toolchain": toolchain.name}
            (workplace / MANIFEST).write_text(json.dumps(manifest))
            os.replace(workplace, entry)
        self.logger.info("Stan: compiled %s in %.0f s", program.name, time.monotonic() - started)


def _key(toolchain: Toolchain, program: Path, *, header: Path | None) -> str:
    parts = [toolchain.fingerprint().encode(), program.read_bytes(), header.read_bytes() if header else b""]
    return hashlib.sha256(b"\0".join(parts)).hexdigest()[:20]


def _checksum(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()


def _is_sound(executable: Path) -> bool:
    """Whether the executable is unchanged since its build, which was ours, and may be run."""
    try:
        manifest = json.loads((executable.parent / MANIFEST).read_text())
        return is_ours(executable) and manifest["sha256"] == _checksum(executable) and os.access(executable, os.X_OK)
    except (OSError, ValueError, KeyError, TypeError):
        return False


@contextmanager
def _locked(path: Path) -> Iterator[None]:
    """A lock that the system releases even if this process is killed."""
    with path.open("w") as handle:
        fcntl.flock(handle, fcntl.LOCK_EX)
        yield
