"""`seedtest doctor`: what is installed, what is missing, and how to install it."""

from __future__ import annotations

import contextlib
import importlib.metadata
import importlib.util
import os
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass

import typer
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from seedtest_analytics.cli.home import command
from seedtest_analytics.cli.migrate import platform_engine
from seedtest_analytics.database.address import normalised_url, unencrypted_hosts
from seedtest_analytics.database.embedded_postgres import EmbeddedPostgres
from seedtest_analytics.database.engine import dagster_home
from seedtest_analytics.database.sessions import blockers
from seedtest_analytics.settings import SettingsError, load_settings

_TIMEOUT_SECONDS = 60
NEED_SETTINGS = ("PostgreSQL", "TLS", "sessions", "schema", "object store")
"""Parts that fail for the same reason as the settings if a setting is wrong."""


@dataclass(frozen=True)
class Finding:
    """One part: ``state`` is ok, missing (the platform needs it), optional (a fallback replaces it), warning or unknown."""

    part: str
    state: str
    found: str
    remedy: str = ""


def doctor_command() -> None:
    """Show what is installed and what is missing. The exit code is 1 if a required part is missing."""
    findings = examine()
    table = Table(title="seedtest doctor", title_justify="left", expand=False)
    for heading in ("part", "state", "found", "what to do"):
        table.add_column(heading, overflow="fold")
    colours = {"ok": "green", "missing": "red", "optional": "yellow", "unknown": "yellow", "warning": "yellow"}
    for finding in findings:
        state = f"[{colours[finding.state]}]{finding.state}[/]"
        table.add_row(finding.part, state, escape(finding.found), escape(finding.remedy))
    console = Console(emoji=False)
    console.print(table)
    if any(finding.state == "missing" for finding in findings):
        console.print(f"next: correct the missing parts, then {command('doctor')} again", highlight=False)
        raise typer.Exit(1)
    console.print(f"next: {command('demo')}, or {command('load FILE')}", highlight=False)


def examine() -> list[Finding]:
    """Examine every part. A part whose check raises is missing, with the error as the reason."""
    parts: list[tuple[str, Callable[[], Finding]]] = [
        ("settings", _settings),
        ("python", _python),
        ("dagster", _dagster),
        ("PostgreSQL", _postgres),
        ("TLS", _tls),
        ("sessions", _sessions),
        ("schema", _schema),
        ("object store", _object_store),
        ("C++ compiler", _compiler),
        ("Stan", _stan),
        ("R", _r),
        ("R packages", _r_packages),
        ("Quarto", _quarto),
    ]
    with _stopped_afterwards():
        findings = [_guarded(*parts[0])]
        are_settings_valid = findings[0].state == "ok"
        for name, look in parts[1:]:
            if name in NEED_SETTINGS and not are_settings_valid:
                findings.append(Finding(name, "unknown", found="not examined", remedy="correct the settings first"))
            else:
                findings.append(_guarded(name, look))
    return findings


@contextlib.contextmanager
def _stopped_afterwards() -> Iterator[None]:
    """Stop the embedded PostgreSQL at the end if it was not running at the start."""
    server = EmbeddedPostgres(dagster_home() / "postgres")
    was_running = os.environ.get("DATABASE_URL") or server.status().pid is not None
    try:
        yield
    finally:
        if not was_running and server.status().pid is not None:
            server.stop()


def _guarded(name: str, look: Callable[[], Finding]) -> Finding:
    try:
        return look()
    except Exception as error:  # noqa: BLE001 (one broken part must not hide the others)
        return Finding(name, "missing", found=str(error).splitlines()[0][:200] if str(error) else type(error).__name__)


def _settings() -> Finding:
    try:
        settings = load_settings()
    except SettingsError as error:
        return Finding(
            "settings", "missing", found=str(error), remedy="correct these variables; docs/settings.md lists all"
        )
    platform = settings.platform
    return Finding("settings", "ok", found=f"time zone {platform.timezone}, partitions from {platform.start_date}")


def _python() -> Finding:
    return Finding("python", "ok", found=sys.version.split()[0])


def _dagster() -> Finding:
    home = os.environ.get("DAGSTER_HOME")
    version = importlib.metadata.version("dagster")
    return Finding("dagster", "ok", found=f"{version}, DAGSTER_HOME {'set' if home else 'not set: .dagster is used'}")


def _postgres() -> Finding:
    from sqlalchemy import text

    try:
        with platform_engine().connect() as connection:
            version = connection.execute(text("SHOW server_version")).scalar_one()
    except Exception as error:  # noqa: BLE001
        return Finding(
            "PostgreSQL",
            "missing",
            found=str(error),
            remedy="correct DATABASE_URL, or unset it for the embedded server",
        )
    if os.environ.get("DATABASE_URL"):
        return Finding("PostgreSQL", "ok", found=f"{version} (DATABASE_URL)")
    folder = EmbeddedPostgres(dagster_home() / "postgres").status().data_folder
    return Finding("PostgreSQL", "ok", found=f"{version} (embedded, in {folder})")


def _tls() -> Finding:
    url = load_settings().platform.database_url
    if url is None:
        return Finding("TLS", "ok", found="not needed: the embedded PostgreSQL listens on this machine alone")
    hosts = unencrypted_hosts(normalised_url(url.get_secret_value()), os.environ)
    if not hosts:
        return Finding("TLS", "ok", found="DATABASE_URL asks for it, or its server is this machine")
    return Finding(
        "TLS",
        "warning",
        found=f"DATABASE_URL may send passwords and answers unencrypted to {', '.join(hosts)}",
        remedy="add ?sslmode=verify-full&sslrootcert=system (or your provider's certificate) to DATABASE_URL",
    )


def _sessions() -> Finding:
    with platform_engine().connect() as connection:
        found = blockers(connection)
    if not found:
        return Finding("sessions", "ok", found="no session waits for another")
    waits = [f"{b.waiting or 'a session'} waits for {b.tables or 'a lock'}: {b} blocks it" for b in found]
    return Finding(
        "sessions",
        "warning",
        found="; ".join(waits),
        remedy=f"let it finish, or end it: SELECT pg_terminate_backend({found[0].pid})",
    )


def _schema() -> Finding:
    from seedtest_analytics.database.migrations import differing_tables, schema_state

    engine = platform_engine()
    state = schema_state(engine)
    differing = differing_tables(engine) if state.current == state.newest else []
    if differing:
        return Finding(
            "schema",
            "missing",
            found=f"revision {state.current}, but tables differ from the declared ones: {' | '.join(differing)}",
            remedy="another program changed or owns these tables: see docs/moving.md",
        )
    if state.current == state.newest:
        return Finding("schema", "ok", found=f"revision {state.current}, all columns and types as declared")
    return Finding(
        "schema",
        "missing",
        found=f"revision {state.current or 'none'}, newest {state.newest}",
        remedy="seedtest migrate",
    )


def _object_store() -> Finding:
    storage = load_settings().storage
    if storage.s3_bucket:
        return Finding("object store", "ok", found=f"S3 bucket {storage.s3_bucket}, region {storage.aws_region}")
    return Finding("object store", "ok", found="a folder", remedy="set S3_BUCKET for S3")


def _compiler() -> Finding:
    found = shutil.which("g++") or shutil.which("clang++")
    if found is None:
        return Finding("C++ compiler", "missing", found="no g++ or clang++", remedy="apt-get install g++")
    return Finding("C++ compiler", "ok", found=_first_line([found, "--version"]))


def _stan() -> Finding:
    if importlib.util.find_spec("httpstan") is None and "CMDSTAN" not in os.environ:
        return Finding(
            "Stan", "missing", found="neither CMDSTAN nor the toolchain of the httpstan wheel", remedy="uv sync"
        )
    kind = "CmdStan" if "CMDSTAN" in os.environ else "toolchain of the httpstan wheel"
    return Finding("Stan", "ok", found=f"cmdstanpy {importlib.metadata.version('cmdstanpy')}, {kind}")


def _r() -> Finding:
    found = shutil.which("R")
    if found is None:
        return Finding(
            "R",
            "optional",
            found="not on the PATH",
            remedy="scripts/install-system-packages, or apt-get install r-base-core",
        )
    return Finding("R", "ok", found=_first_line([found, "--version"]))


def _r_packages() -> Finding:
    rscript = shutil.which("Rscript")
    if rscript is None:
        return Finding("R packages", "optional", found="no R", remedy="install R first")
    code = (
        "version <- function(p) if (requireNamespace(p, quietly = TRUE)) format(packageVersion(p)) else 'missing';"
        "cat(paste(sapply(c('lme4', 'brms', 'mirt'), function(p) paste(p, version(p))), collapse = '; '))"
    )
    done = subprocess.run([rscript, "-e", code], capture_output=True, text=True, timeout=_TIMEOUT_SECONDS, check=False)
    state = "optional" if "missing" in done.stdout else "ok"
    remedy = (
        "lme4, brms: apt-get install r-cran-lme4 r-cran-brms; mirt: install.packages('mirt') from CRAN"
        if state != "ok"
        else ""
    )
    return Finding("R packages", state, found=done.stdout.strip(), remedy=remedy)


def _quarto() -> Finding:
    found = shutil.which("quarto")
    if found is None:
        return Finding(
            "Quarto", "optional", found="no CLI; the embedded renderer is used", remedy="install Quarto from quarto.org"
        )
    return Finding("Quarto", "ok", found=_first_line([found, "--version"]))


def _first_line(command: list[str]) -> str:
    done = subprocess.run(command, capture_output=True, text=True, timeout=_TIMEOUT_SECONDS, check=False)
    return done.stdout.splitlines()[0] if done.stdout else ""
