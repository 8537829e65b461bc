"""The Dagster home of all commands, and the settings kept in it."""

from __future__ import annotations

import difflib
import errno
import os
import shlex
import sys
from collections.abc import Iterable, Mapping, MutableMapping
from pathlib import Path

from seedtest_analytics.private_files import is_our_folder, is_ours, make_private

SETTINGS_FILE = "settings.env"
SETTINGS_PAGE = "docs/settings.md"
_OF_THE_FOLDER = (errno.ENOTDIR, errno.EACCES, errno.EPERM, errno.EROFS, errno.ENOSPC, errno.EDQUOT, errno.ENAMETOOLONG)
_named: list[Path] = []
"""The home that the command line names."""


class HomeError(RuntimeError):
    """The home cannot be used; the message names it, the cause and the remedy."""


def refuse_odd_home(home: str) -> None:
    """Refuse a home that an unset variable of a script gives, and a name that PostgreSQL refuses. Raises HomeError."""
    if not home.strip():
        raise HomeError("--home is empty: name a folder, or leave --home out for .dagster in the working folder")
    if "\n" in home or "\r" in home:
        raise HomeError(
            f"the home {home!r} has a line break in its name: choose another folder with --home or DAGSTER_HOME"
        )


def explained_by_home(error: Exception) -> HomeError | None:
    """The error that says why the home cannot be used; None if the cause is another one."""
    home = Path(os.environ.get("DAGSTER_HOME", ""))
    found: BaseException | None = error
    while found is not None:
        if isinstance(found, OSError) and found.filename is not None:
            place = Path(os.fsdecode(found.filename))
            is_of_the_home = home.is_absolute() and (place.is_relative_to(home) or home.is_relative_to(place))
            is_missing = found.errno == errno.ENOENT and not home.exists()
            if is_of_the_home and (is_missing or found.errno in _OF_THE_FOLDER):
                return HomeError(
                    f"the home {home} cannot be used: {found.strerror} ({place}). Choose another folder with --home or "
                    "DAGSTER_HOME"
                )
        found = found.__cause__ or found.__context__
    return None


def use_home(home: Path, *, is_chosen: bool = True) -> None:
    """Make ``home`` the Dagster home of the process. Its kept settings apply where the environment has none.

    A home that nobody has chosen is below the working folder, which may be a stranger's. Raises DevServerError if it is:
    the stranger's database would get the data, and the programs of the stranger's cache would run.
    """
    if not is_chosen and home.exists() and not is_our_folder(home):
        from seedtest_analytics.instance_home import DevServerError

        raise DevServerError(
            f"another OS user may have written {home.resolve()}, which is the home only because it is in this folder: name "
            "your own home with --home or DAGSTER_HOME"
        )
    os.environ["DAGSTER_HOME"] = str(home.resolve())
    for name, value in kept_settings(home).items():
        os.environ.setdefault(name, value)


def name_home(home: Path | None) -> None:
    """Note the home that the command line names, so that proposed commands name it too."""
    _named[:] = [] if home is None else [home]


def command(words: str) -> str:
    """A command to propose, for the same home: ``seedtest down``, or ``seedtest --home FOLDER down``."""
    chosen = f"--home {shlex.quote(str(_named[0]))} " if _named else ""
    return f"seedtest {chosen}{words}"


def use_settings(given: Iterable[str], environment: MutableMapping[str, str]) -> None:
    """Let ``NAME=VALUE`` of the command line override ``environment``, under every name of the setting.

    Raises SettingsError for an unknown name. Values are validated when the settings are read.
    """
    given = list(given)
    if not given:
        return
    from seedtest_analytics.settings import GROUPS, SettingsError

    fields = {name: (group, field) for group in GROUPS.values() for name, field in group.variables().items()}
    for pair in given:
        name, equals, value = pair.partition("=")
        if not equals or name not in fields:
            near = difflib.get_close_matches(name, fields, n=3)
            known = f"Did you mean {' or '.join(near)}?" if near else f"{SETTINGS_PAGE} lists the settings."
            raise SettingsError(f"--set {name}: {'unknown setting' if equals else 'use NAME=VALUE'}. {known}")
        for other, field in fields.items():
            if field == fields[name]:
                environment.pop(other, None)
        environment[name] = value


def use_instance() -> None:
    """Start the database of Dagster's storage and point the process at it."""
    from seedtest_analytics.instance_home import prepare_home

    os.environ.update(prepare_home(current_home()))


def current_home() -> Path:
    """The home that :func:`use_home` chose."""
    return Path(os.environ["DAGSTER_HOME"])


def kept_settings(home: Path) -> dict[str, str]:
    """The settings in the home's settings file, if only this user or root can have written it.

    The working folder may be a stranger's, so no other variable (PATH, LD_PRELOAD, …) is taken from the file.
    """
    path = home / SETTINGS_FILE
    if not path.exists():
        return {}
    if not is_ours(path):
        _warn(f"{path} is ignored: another OS user may have written it. Own it yourself (chown), without a link")
        return {}
    from seedtest_analytics.settings import GROUPS

    known = {name for group in GROUPS.values() for name in group.variables()}
    lines = (line.strip() for line in path.read_text(encoding="utf-8").splitlines())
    pairs = (line.split("=", 1) for line in lines if "=" in line and not line.startswith("#"))
    found = {name.strip(): value.strip() for name, value in pairs}
    unknown = sorted(found.keys() - known)
    if unknown:
        _warn(f"{path} has names that are not settings; they are ignored: {', '.join(unknown)}")
    return {name: value for name, value in found.items() if name in known}


def _warn(text: str) -> None:
    print(f"warning: {text}", file=sys.stderr)  # noqa: T201


def keep_settings(home: Path, settings: Mapping[str, str]) -> None:
    """Write the settings file; never pass a secret."""
    make_private(home)
    body = "".join(f"{name}={value}\n" for name, value in sorted(settings.items()))
    (home / SETTINGS_FILE).write_text("# Settings of this home; the environment wins.\n" + body, encoding="utf-8")
