"""Database URLs: every form works, every error names the place and the cause, and no password leaks."""

from typing import Any

import psycopg
import pytest
from sqlalchemy import text

from seedtest_analytics.database.engine import DatabaseError, database_url, normalised_url
from seedtest_analytics.resources.postgres import PostgresResource


@pytest.mark.parametrize(
    "url",
    [
        "postgresql://u:p@h:5432/d",
        "postgres://u:p@h:5432/d",
        "postgresql+psycopg2://u:p@h:5432/d",
        "postgresql+psycopg://u:p@h:5432/d",
    ],
)
def test_every_form_of_a_url_means_psycopg_3(url: str) -> None:
    assert normalised_url(url).render_as_string(hide_password=False) == "postgresql+psycopg://u:p@h:5432/d"


@pytest.mark.parametrize("url", ["hunter2", "postgresql://u@h:hunter2/d", "mysql://u:hunter2@h/d", "sqlite:///hunter2"])
def test_another_url_is_refused_without_showing_it(url: str) -> None:
    with pytest.raises(DatabaseError) as error:
        normalised_url(url)
    assert "hunter2" not in str(error.value)
    assert "postgresql://" in str(error.value)
    assert error.value.__cause__ is None


def refusal(url: str) -> str:
    with pytest.raises(DatabaseError) as error:
        _ = PostgresResource.having(url=url).engine
    assert "hunter2" not in str(error.value)
    return str(error.value)


def test_an_unreachable_server_is_named() -> None:
    message = refusal("postgresql://seedtest:hunter2@127.0.0.1:1/seedtest")
    assert all(part in message for part in ("127.0.0.1:1", "'seedtest'", "refused", "DATABASE_URL"))


def test_a_database_that_does_not_exist_is_named(empty_database: str) -> None:
    url = normalised_url(empty_database).set(database="nowhere")
    message = refusal(url.render_as_string(hide_password=False))
    assert "nowhere" in message
    assert "does not exist" in message


def test_a_role_that_does_not_exist_is_named(empty_database: str) -> None:
    url = normalised_url(empty_database).set(username="stranger", password="hunter2")
    assert "stranger" in refusal(url.render_as_string(hide_password=False))


def test_outside_local_a_missing_url_does_not_start_an_embedded_server(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("DATABASE_URL", raising=False)
    monkeypatch.setenv("APP_ENV", "production")
    with pytest.raises(DatabaseError, match="APP_ENV=production needs DATABASE_URL"):
        database_url()


def test_sessions_compute_in_utc_whatever_the_server_says(empty_database: Any) -> None:
    with psycopg.connect(empty_database.replace("+psycopg", ""), autocommit=True) as connection:
        connection.execute("ALTER DATABASE " + connection.info.dbname + " SET TimeZone = 'Asia/Seoul'")
    with PostgresResource.having(url=empty_database).engine.connect() as session:
        assert session.execute(text("SHOW TimeZone")).scalar_one() == "UTC"


def test_no_url_is_configuration_that_the_ui_would_show(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DATABASE_URL", "postgresql://seedtest:hunter2@db/seedtest")
    assert "hunter2" not in repr(PostgresResource()) + str(PostgresResource().model_dump())
