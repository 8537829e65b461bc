"""Addresses of PostgreSQL: every form that operators use, and no part of a password in a message."""

import pytest
from sqlalchemy import make_url, text

from seedtest_analytics.database.address import (
    DatabaseError,
    forget_libpq_variables,
    libpq_variables,
    normalised_url,
    place_of,
    unencrypted_hosts,
)
from seedtest_analytics.database.engine import connected_engine


@pytest.mark.parametrize(
    "url",
    [
        "postgresql://u:p@hunter2@host/d",
        "postgresql://u:p@hunter2@host:5432/d?sslmode=require",
        "postgresql://u:1/hunter2@host/d",
        "postgresql://u:12?hunter2@host/d",
        "postgresql://u:p#hunter2@host/d",
        "postgresql://u:p@hunter2/d@host/e",
        "postgres://u@example.com:hunter2@host/d",
        "postgresql://u:hunter2@host,other@third/d",
        "postgresql://u:p:hunter2/x@host:5432/d",
        "postgresql://host:5432/hunter2@d",
    ],
)
def test_no_part_of_a_raw_password_is_shown(url: str) -> None:
    with pytest.raises(DatabaseError) as refusal:
        connected_engine(normalised_url(url))
    assert "hunter2" not in str(refusal.value)
    assert "%40" in str(refusal.value)


@pytest.mark.parametrize(
    ("url", "host", "password"),
    [
        ("postgresql://u:p%40ss@h/d", "h", "p@ss"),
        ("postgresql://u:p%2Fss%3F%23@h/d", "h", "p/ss?#"),
        ("postgresql://u%40example.com:p@h/d", "h", "p"),
        ("postgresql://u@[::1]:5433/d", "::1", None),
        ("postgresql:///d?host=/run/postgresql", None, None),
    ],
)
def test_an_encoded_password_arrives(url: str, host: str | None, password: str | None) -> None:
    found = normalised_url(url)
    assert (found.host, found.password) == (host, password)


def test_the_variable_is_named() -> None:
    with pytest.raises(DatabaseError, match="DAGSTER_POSTGRES_URL has an @"):
        normalised_url("postgresql://u:p@q@h/d", "DAGSTER_POSTGRES_URL")


@pytest.mark.parametrize(
    ("url", "hosts"),
    [
        ("postgresql://u:p@one,two/d", ("one", "two")),
        ("postgresql://u:p@one:5432,two:5433/d", ("one:5432", "two:5433")),
        ("postgresql://u:p@one:5432,two:5433/d?target_session_attrs=read-write", ("one:5432", "two:5433")),
        ("postgresql://one,two,three/d", ("one", "two", "three")),
        ("postgresql+psycopg2://u@10.0.0.1:1,10.0.0.2:2/", ("10.0.0.1:1", "10.0.0.2:2")),
        ("postgresql://u:p@one,two", ("one", "two")),
    ],
)
def test_several_hosts_are_kept(url: str, hosts: tuple[str, ...]) -> None:
    assert normalised_url(url).query["host"] == hosts


@pytest.mark.parametrize(
    ("url", "host", "place"),
    [
        ("postgresql://u:p@%2Fvar%2Frun%2Fpostgresql/d", "/var/run/postgresql", "/var/run/postgresql"),
        ("postgresql://%2fvar%2frun:5433/d?sslmode=disable", "/var/run:5433", "/var/run:5433"),
        ("postgresql://u@%40abstract/d", "@abstract", "@abstract:5432"),
    ],
)
def test_the_folder_of_a_socket_may_be_the_host(url: str, host: str, place: str) -> None:
    found = normalised_url(url)
    assert found.query["host"] == host
    assert place_of(found) == place
    assert unencrypted_hosts(found, {}) == []
    # Dagster's storage gets the address as a text.
    assert make_url(found.render_as_string(hide_password=False)) == found


@pytest.mark.parametrize(
    ("option", "remedy"),
    [
        ("schema=public", "option 'schema', .*: write options=-csearch_path%3DNAME in place of it"),
        ("ssl=true", "option 'ssl', .*: write sslmode=require in place of it"),
        ("pool_size=5", "option 'pool_size', .*: take it out of the URL"),
        ("sslmode=require&autocommit=true", "option 'autocommit', .*: take it out of the URL"),
        ("client_encoding=SQL_ASCII", "client_encoding=SQL_ASCII, .*: take it out of the URL"),
        ("client_encoding=euc_kr", "client_encoding=euc_kr, .*: take it out of the URL"),
    ],
)
def test_an_option_that_the_client_cannot_use_is_named_with_the_remedy(option: str, remedy: str) -> None:
    with pytest.raises(DatabaseError, match=f"^DAGSTER_POSTGRES_URL has .*{remedy}"):
        normalised_url(f"postgresql://u:p@h/d?{option}", "DAGSTER_POSTGRES_URL")


def test_every_option_of_the_client_is_accepted() -> None:
    options = (
        "application_name=school&connect_timeout=3&sslrootcert=system&client_encoding=UTF8&target_session_attrs=any"
    )
    assert len(normalised_url(f"postgresql://u:p@h/d?{options}").query) == 5


def test_texts_are_texts_whatever_encoding_the_environment_names(
    empty_database: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PGCLIENTENCODING", "SQL_ASCII")
    with connected_engine(normalised_url(empty_database)).connect() as connection:
        assert connection.execute(text("SELECT '학생'")).scalar_one() == "학생"


@pytest.mark.parametrize("url", ["postgresql://u:p@one,/d", "postgresql://u:p@,two/d", "postgresql://u:p@one,,two/d"])
def test_a_list_with_an_empty_host_is_refused(url: str) -> None:
    with pytest.raises(DatabaseError, match="not a valid database URL"):
        normalised_url(url)


def test_the_second_host_is_tried_and_both_are_named(empty_database: str) -> None:
    here = normalised_url(empty_database)
    assert here.host is not None
    url = empty_database.replace(f"{here.host}:{here.port}", f"127.0.0.1:1,{here.host}:{here.port}")
    with connected_engine(normalised_url(url)).connect() as connection:
        assert connection.execute(text("SELECT 1")).scalar_one() == 1
    dead = empty_database.replace(f"{here.host}:{here.port}", "127.0.0.1:1,127.0.0.1:2")
    with pytest.raises(DatabaseError, match=r"127\.0\.0\.1:1, 127\.0\.0\.1:2"):
        connected_engine(normalised_url(dead))


@pytest.mark.parametrize(
    ("options", "setting", "value"),
    [
        ("-csearch_path%3Dschool", "search_path", "school"),
        ("-c%20work_mem%3D7MB", "work_mem", "7MB"),
        ("-c%20work_mem%3D7MB%20-c%20search_path%3Dschool,public", "search_path", "school,public"),
        ("--search_path%3Dschool", "search_path", "school"),
        ("-cgeqo%3Doff", "geqo", "off"),
    ],
)
def test_options_of_the_url_apply(empty_database: str, options: str, setting: str, value: str) -> None:
    engine = connected_engine(normalised_url(f"{empty_database}?options={options}"))
    with engine.connect() as connection:
        assert connection.execute(text(f"SHOW {setting}")).scalar_one() == value
        assert connection.execute(text("SHOW TimeZone")).scalar_one() == "UTC"


def test_pgoptions_applies_to_the_server_of_a_url(empty_database: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PGOPTIONS", "-c work_mem=7MB")
    with connected_engine(normalised_url(empty_database)).connect() as connection:
        assert connection.execute(text("SHOW work_mem")).scalar_one() == "7MB"


@pytest.mark.parametrize(
    ("url", "environment", "hosts"),
    [
        ("postgresql://u@db.example/d", {}, ["db.example"]),
        ("postgresql://u@db.example/d?sslmode=prefer", {}, ["db.example"]),
        ("postgresql://u@db.example/d", {"PGSSLMODE": "verify-full"}, []),
        ("postgresql://u@db.example/d?sslmode=disable", {"PGSSLMODE": "verify-full"}, ["db.example"]),
        ("postgresql://u@db.example/d?sslmode=require", {}, []),
        ("postgresql://u@127.0.0.1,db.example:5433/d", {}, ["db.example:5433"]),
        ("postgresql://u@127.8.9.1/d", {}, []),
        ("postgresql://u@[::1]/d", {}, []),
        ("postgresql:///d?host=/run/postgresql", {}, []),
        ("postgresql:///d", {"PGHOST": "db.example"}, ["db.example"]),
        ("postgresql://u@localhost.example/d", {}, ["localhost.example"]),
    ],
)
def test_hosts_that_may_be_reached_without_tls(url: str, environment: dict[str, str], hosts: list[str]) -> None:
    assert unencrypted_hosts(normalised_url(url), environment) == hosts


def test_variables_of_libpq_are_forgotten_and_no_others() -> None:
    ours = {"PGSSLMODE": "require", "PGHOSTADDR": "192.0.2.1", "PGSERVICE": "elsewhere", "PGOPTIONS": "-c x=y"}
    others = {"PATH": "/bin", "PG_CONFIG": "pg_config", "DATABASE_URL": "x", "PGBOUNCER_CONFIG": "y"}
    environment = ours | others
    assert libpq_variables(environment) == sorted(ours)
    forget_libpq_variables(environment)
    assert environment == others


def test_a_place_has_no_password() -> None:
    assert place_of(normalised_url("postgresql://u:hunter2@one:1,two/d")) == "one:1, two:5432"
    assert place_of(normalised_url("postgresql://u:hunter2@one/d")) == "one:5432"
    assert place_of(normalised_url("postgresql:///d")) == "the local socket:5432"
