"""The Dagster home that all commands share, and the settings kept in it."""

from __future__ import annotations

import difflib
import os
from collections.abc import Iterable, Mapping, MutableMapping
from pathlib import Path

SETTINGS_FILE = "settings.env"


def use_home(home: Path) -> None:
    """Make ``home`` the process's Dagster home; the settings kept in it count where the environment has none."""
    os.environ["DAGSTER_HOME"] = str(home.resolve())
    for name, value in kept_settings(home).items():
        os.environ.setdefault(name, value)


def use_settings(given: Iterable[str], environment: MutableMapping[str, str]) -> None:
    """Put ``NAME=VALUE`` of the command line before what the environment says by that name or another of the same setting.

    Raises SettingsError for a name that no setting has; values are validated where the settings are read.
    """
    from seedtest_analytics.settings import GROUPS, SettingsError

    fields = {name: (group, field) for group in GROUPS.values() for name, field in group.variables().items()}
    for pair in given:
        name, equals, value = pair.partition("=")
        if not equals or name not in fields:
            near = difflib.get_close_matches(name, fields, n=3)
            known = f"Did you mean {' or '.join(near)}?" if near else "docs/operations.md lists the settings."
            raise SettingsError(f"--set {name}: {'no such setting' if equals else 'NAME=VALUE is wanted'}. {known}")
        for other, field in fields.items():
            if field == fields[name]:
                environment.pop(other, None)
        environment[name] = value


def use_instance() -> None:
    """Start what Dagster's own storage needs and point the process at it."""
    from seedtest_analytics.dev_server import prepare_home

    os.environ.update(prepare_home(current_home()))


def current_home() -> Path:
    """The home chosen by :func:`use_home`."""
    return Path(os.environ["DAGSTER_HOME"])


def kept_settings(home: Path) -> dict[str, str]:
    """NAME=VALUE lines of the home's settings file."""
    path = home / SETTINGS_FILE
    if not path.exists():
        return {}
    lines = (line.strip() for line in path.read_text(encoding="utf-8").splitlines())
    pairs = (line.split("=", 1) for line in lines if "=" in line and not line.startswith("#"))
    return {name.strip(): value.strip() for name, value in pairs}


def keep_settings(home: Path, settings: Mapping[str, str]) -> None:
    """Write the settings file; no secret belongs in it."""
    home.mkdir(parents=True, exist_ok=True)
    body = "".join(f"{name}={value}\n" for name, value in sorted(settings.items()))
    (home / SETTINGS_FILE).write_text("# Settings of this home; the environment wins.\n" + body, encoding="utf-8")
