"""The address of a PostgreSQL: from the forms that operators use, without ever showing a part of its password.

Variables of libpq (PGSSLMODE, PGSERVICE, …) belong to the server of DATABASE_URL, and libpq applies them to it. The embedded
server's address is complete, so :func:`forget_libpq_variables` keeps them away from it.
"""

from __future__ import annotations

import os
from collections.abc import Mapping, MutableMapping
from urllib.parse import unquote

from psycopg.pq import Conninfo
from sqlalchemy import URL, make_url
from sqlalchemy.exc import ArgumentError

from seedtest_analytics.settings.platform import is_this_machine

EXAMPLE = "postgresql://user:password@host:5432/database"
IN_PLACE_OF = {
    **dict.fromkeys(("schema", "currentSchema", "search_path"), "write options=-csearch_path%3DNAME in place of it"),
    "ssl": "write sslmode=require in place of it",
}
"""Options that other drivers have in their URLs, and what libpq has."""
ENCRYPTING_MODES = ("require", "verify-ca", "verify-full")


class DatabaseError(RuntimeError):
    """The database cannot be reached or used; the message names the place, the cause and the remedy.

    ``may_pass`` says whether another try may succeed without anyone's help.
    """

    def __init__(self, message: str, *, may_pass: bool = True) -> None:
        super().__init__(message)
        self.may_pass = may_pass


def normalised_url(url: str, variable: str = "DATABASE_URL") -> URL:
    """A URL for psycopg 3, from any form that operators use (``postgres://``, ``+psycopg2``, libpq URI, several hosts)."""
    _refuse_raw_characters(url, variable)
    try:
        parsed = make_url(_hosts_as_parameters(url))
    except (ArgumentError, ValueError):  # ValueError: the port is not a number but part of a password, for example
        raise DatabaseError(f"{variable} is not a valid database URL; use {EXAMPLE}") from None
    if parsed.get_backend_name() not in ("postgresql", "postgres"):
        raise DatabaseError(
            f"{variable} names {parsed.get_backend_name()!r}; the platform needs PostgreSQL (postgresql://…)"
        )
    _refuse_options(parsed, variable)
    return parsed.set(drivername="postgresql+psycopg")


def _refuse_options(url: URL, variable: str) -> None:
    """Refuse the options that libpq does not know, and encodings in which a text of the platform may have no form."""
    known = {option.keyword.decode() for option in Conninfo.get_defaults()}
    for name in sorted(url.query.keys() - known):
        remedy = IN_PLACE_OF.get(name, "take it out of the URL")
        raise DatabaseError(
            f"{variable} has the option {name!r}, which the PostgreSQL client does not know: {remedy}", may_pass=False
        )
    encoding = str(url.query.get("client_encoding", "utf8"))
    if encoding.lower() not in ("utf8", "utf-8", "unicode"):
        raise DatabaseError(
            f"{variable} has client_encoding={encoding}, and the platform speaks UTF-8 with every server: take it out of "
            "the URL",
            may_pass=False,
        )


def _refuse_raw_characters(url: str, variable: str) -> None:
    """Refuse a URL in which a password would be read as another part, and shown as such.

    A raw ``@``, ``/``, ``?`` or ``#`` ends the password too early. Its tail contains the ``@`` before the host.
    """
    authority, _, _ = url.partition("://")[2].partition("/")
    authority = authority.partition("?")[0]
    if url.count("@") > 1 or ("@" in url and "@" not in authority) or "#" in url:
        raise DatabaseError(
            f"{variable} has an @, /, ?, # or : that is not at its place. Write these characters of the user, the password "
            f"and the parameters in percent encoding (@ as %40, / as %2F, ? as %3F, # as %23, : as %3A): {EXAMPLE}"
        )


def _hosts_as_parameters(url: str) -> str:
    """The URL in SQLAlchemy's form for several hosts or the folder of a socket: ``…@/database?host=one:5432&host=two:5432``."""
    scheme, separator, rest = url.partition("://")
    authority, slash, path = rest.partition("/")
    credentials, at, hosts = authority.rpartition("@")
    if "," not in hosts and not unquote(hosts).startswith(("/", "@")):
        return url
    if not separator or not all(hosts.split(",")):
        raise ValueError(hosts)
    parameters = "&".join(f"host={host}" for host in hosts.split(","))
    joint = "&" if "?" in path else "?"
    return f"{scheme}://{credentials}{at}{slash or '/'}{path}{joint}{parameters}"


def place_of(url: URL) -> str:
    """Hosts and ports of a URL, for messages."""
    hosts = url.query.get("host", ())
    named = [hosts] if isinstance(hosts, str) else list(hosts)
    if named:
        return ", ".join(
            host if ":" in host or host.startswith("/") else f"{host}:{url.port or 5432}" for host in named
        )
    return f"{url.host or 'the local socket'}:{url.port or 5432}"


def unencrypted_hosts(url: URL, environment: Mapping[str, str]) -> list[str]:
    """Hosts beyond this machine to which a connection may be made without TLS."""
    mode = url.query.get("sslmode") or environment.get("PGSSLMODE") or "prefer"
    if mode in ENCRYPTING_MODES:
        return []
    hosts = url.query.get("host", ())
    named = [hosts] if isinstance(hosts, str) else list(hosts)
    named = named or [url.host or environment.get("PGHOST", "")]
    return [host for host in named if not is_this_machine(_without_port(host))]


def _without_port(host: str) -> str:
    return host.rpartition(":")[0] if host.count(":") == 1 else host


def libpq_variables(environment: Mapping[str, str]) -> list[str]:
    """Variables of the environment that libpq reads: all begin with PG and have no underscore."""
    return sorted(name for name in environment if name.startswith("PG") and "_" not in name and name.isupper())


def forget_libpq_variables(environment: MutableMapping[str, str] | None = None) -> None:
    """Take the variables that libpq reads out of the process's environment."""
    found = os.environ if environment is None else environment
    for name in libpq_variables(found):
        del found[name]
