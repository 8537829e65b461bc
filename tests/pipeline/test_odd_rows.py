"""Odd texts in every text column of every source table: the graph runs, and the numbers of all others stay.

Students and topics of a simulated cohort get odd names, and every source table gets a row for each odd text. The answers
stay, so each number of another student must stay, too, but for the order of additions.
"""

from __future__ import annotations

import datetime as dt
import json
from collections.abc import Iterator
from typing import Any

import dagster as dg
import pytest
from sqlalchemy import BigInteger, Engine, Integer, Text, text

from seedtest_analytics.build import build_definitions
from seedtest_analytics.cli.steps import Step, plan
from seedtest_analytics.ingest.cohort_files import write_cohort
from seedtest_analytics.ingest.cohort_load import load_cohort
from seedtest_analytics.resources.object_store import ObjectStoreResource
from seedtest_analytics.resources.postgres import PostgresResource
from seedtest_analytics.resources.quarto.resource import QuartoResource
from seedtest_analytics.stats.simulate import CohortConfig
from seedtest_analytics.tables import metadata
from seedtest_analytics.tables.source import SOURCE_TABLES
from tests._database import execute, rows_of
from tests.pipeline.test_whole_graph import OUTPUTS

LAST, TODAY = dt.date(2026, 6, 28), dt.date(2026, 6, 29)
FIRST = LAST - dt.timedelta(days=6)
COHORT = CohortConfig(48, 5, seed=3, until=LAST, timezone="UTC", n_topics=3, items_per_topic=8)
WITHOUT = ("fit_growth_glmm", "fit_bayesian_growth", "forecast_prophet", "generate_weekly_report")
"""They need R or Stan; reports follow on their own."""
PLAIN_WORDS = ["NA", "null", "nan", "N/A", "None", "NULL", "inf", "true", "007", "1e5"]
"""Each is a name like any other."""
ODD_TEXTS = [
    *PLAIN_WORDS,
    *(
        "",
        " ",
        "\t",
        "a\nb",
        "a\r\nb",
        "\r",
        r"\N",
        r"\.",
        "a\n\\.\nb",
        '"',
        "'",
        ",",
        ";",
        "{}",
        "[]",
        "%s",
        "$1",
        ":x",
    ),
    *(
        "e\u0301",
        "\u00e9",
        "\u200b",
        "\u202eabc",
        "\ufeffid",
        "\U0001f600",
        "\u2028",
        "\u0130",
        "\u00df",
        "ｎｕｌｌ",
        "\x01",
        "\x7f",
    ),
    *("<img src=x>", "=1+1", "../../x", "x" * 900, "-0", "1.0", "2026-06-28", "00000000-0000-0000-0000-000000000000"),
]
COMPARED = {
    "mirt_ability": ("week_start", ("theta", "se")),
    "ability_window": ("week_start, window_name", ("theta", "se")),
    "student_topic_theta_history": ("week_start, topic_id", ("theta", "se")),
    "features_topic_daily": ("date, topic_id", ("attempts", "correct", "theta_estimate", "rt_median")),
    "survival_risk_history": ("week_start", ("days_silent",)),
    "user_segment": ("week_start", ()),
}
KPIS = ("I_t", "E_t", "R_t", "A_t", "P")


@pytest.fixture(scope="module")
def engine(module_database_url: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Engine]:
    """The cohort in the source tables, and nothing computed."""
    engine = PostgresResource.having(url=module_database_url).engine
    folder = tmp_path_factory.mktemp("cohort")
    write_cohort(COHORT, folder, progress=lambda *_, **__: None)
    load_cohort(engine, folder, progress=lambda *_, **__: None)
    yield engine
    engine.dispose()


@pytest.fixture
def definitions(module_database_url: str, tmp_path: Any, monkeypatch: pytest.MonkeyPatch) -> dg.Definitions:
    for name, value in {
        "AGG_INCLUDE_THETA": "true",
        "METRICS_USE_IRT_THETA": "true",
        "SEEDTEST_START_DATE": "2026-01-05",
        "REPORT_MAX_USERS": "3",
    }.items():
        monkeypatch.setenv(name, value)
    return build_definitions(
        {
            "postgres": PostgresResource.having(url=module_database_url),
            "object_store": ObjectStoreResource.having(folder=tmp_path),
            "quarto": QuartoResource(workers=1, renderer="embedded"),
        }
    )


def run_graph(definitions: dg.Definitions) -> None:
    steps = [Step("sync_attempts", "attempts"), *plan(FIRST, LAST, today=TODAY, reports=False)]
    with dg.DagsterInstance.ephemeral() as instance:
        for step in steps:
            if step.job not in WITHOUT:
                job = definitions.resolve_job_def(step.job)
                assert job.execute_in_process(instance=instance, tags=step.tags).success, step.title


def numbers(engine: Engine, users: list[str], names: dict[str, str]) -> dict[tuple[Any, ...], Any]:
    """Every compared number of the users; users and topics under the names that ``names`` gives them."""
    found: dict[tuple[Any, ...], Any] = {}
    for table, (keys, values) in COMPARED.items():
        listed = ", ".join(("user_id", *keys.split(", "), *values))
        for row in rows_of(engine, f"SELECT {listed} FROM {table} WHERE user_id = ANY(:users)", users=users):
            place = tuple(names.get(str(row[k]), str(row[k])) for k in ("user_id", *keys.split(", ")))
            found |= {(table, *place, value): _number(row[value]) for value in values} or {(table, *place): 1.0}
    for row in rows_of(
        engine, "SELECT user_id, week_start, kpis FROM weekly_kpi WHERE user_id = ANY(:users)", users=users
    ):
        user = names.get(row["user_id"], row["user_id"])
        found |= {("weekly_kpi", user, str(row["week_start"]), k): _number(row["kpis"].get(k)) for k in KPIS}
    return found


def _number(value: Any) -> float | None:
    return None if value is None else float(value)


def rename(engine: Engine, users: dict[str, str], topics: dict[str, str]) -> None:
    """Give students and topics of the source tables other names."""
    for old, new in users.items():
        for table in ("exam_results", "session", "interest_goal"):
            execute(engine, f"UPDATE {table} SET user_id = :new WHERE user_id = :old", {"old": old, "new": new})
    for old, new in topics.items():
        for table in ("question", "interest_goal"):
            execute(engine, f"UPDATE {table} SET topic_id = :new WHERE topic_id = :old", {"old": old, "new": new})
        execute(
            engine,
            "UPDATE exam_results SET result_json = jsonb_set(result_json, '{questions}', (SELECT jsonb_agg(CASE WHEN "
            "q ->> 'topic' = :old THEN q || jsonb_build_object('topic', CAST(:new AS text)) ELSE q END ORDER BY n) "
            "FROM jsonb_array_elements(result_json -> 'questions') WITH ORDINALITY AS x (q, n))) "
            "WHERE jsonb_typeof(result_json -> 'questions') = 'array' AND result_json -> 'questions' <> '[]'",
            {"old": old, "new": new},
        )


def add_odd_rows(engine: Engine) -> None:
    """A row for each odd text in each source table, with the text in all of its text columns.

    Its exams have no answer, so they change no number of anybody else.
    """
    with engine.begin() as connection:
        for name in sorted(set(SOURCE_TABLES) - {"load_rejects"}):  # which the loader writes
            for number, odd in enumerate(ODD_TEXTS):
                if name == "exam_results" and odd in PLAIN_WORDS:  # the renamed students, whose numbers must stay
                    continue
                values: dict[str, Any] = {
                    c.name: odd for c in metadata.tables[name].columns if isinstance(c.type, Text)
                }
                if name == "exam_results":
                    asked = [{"question_id": 10**9 + number, "is_correct": None, "topic": odd, "user_answer": odd}]
                    values |= {"result_json": json.dumps({"questions": asked}), "updated_at": "2026-06-27T12:00:00Z"}
                for column in metadata.tables[name].columns:
                    if column.primary_key and isinstance(column.type, BigInteger):
                        values[column.name] = 10**9 + number
                    elif not column.nullable and column.server_default is None and column.name not in values:
                        values[column.name] = 0 if isinstance(column.type, Integer) else "2026-06-27T12:00:00Z"
                listed = ", ".join(values)
                given = ", ".join(f":{column}" for column in values)
                connection.execute(
                    text(f"INSERT INTO {name} ({listed}) VALUES ({given}) ON CONFLICT DO NOTHING"), values
                )


@pytest.mark.timeout(1800)  # the graph runs twice
def test_odd_texts_stop_nothing_and_change_no_number_of_anybody_else(
    engine: Engine, definitions: dg.Definitions
) -> None:
    run_graph(definitions)
    everybody = [row["user_id"] for row in rows_of(engine, "SELECT DISTINCT user_id FROM mirt_ability ORDER BY 1")]
    renamed = dict(zip(everybody, PLAIN_WORDS, strict=False))
    others = [user for user in everybody if user not in renamed]
    all_topics = [row["topic_id"] for row in rows_of(engine, "SELECT DISTINCT topic_id FROM attempt ORDER BY 1")]
    topics = dict(zip(all_topics, ["N/A", "null"], strict=False))
    before = numbers(engine, others, topics)
    of_renamed = numbers(engine, list(renamed), {**topics, **renamed})
    assert len(others) > 20
    assert len(of_renamed) > 100
    assert sum(value is not None for value in before.values()) > 500

    execute(engine, f"TRUNCATE {', '.join(OUTPUTS)} RESTART IDENTITY")
    rename(engine, renamed, topics)
    add_odd_rows(engine)
    run_graph(definitions)

    # Other names change the order of sums, and a search stops within 1e-6 of its end.
    after = numbers(engine, others, {})
    assert after.keys() == before.keys()
    assert after == pytest.approx(before, abs=1e-5, nan_ok=True)
    found = numbers(engine, list(renamed.values()), {})
    assert {key: value for key, value in found.items() if key in of_renamed} == pytest.approx(of_renamed, abs=1e-5)
    accounted = rows_of(
        engine,
        "SELECT user_id FROM attempt UNION SELECT e.user_id FROM attempt_quarantine AS q "
        "JOIN exam_results AS e ON e.id = q.exam_result_id",
    )
    assert {row["user_id"] for row in accounted} >= set(ODD_TEXTS), "every odd row is an attempt or in quarantine"

    with dg.DagsterInstance.ephemeral() as instance:
        job = definitions.resolve_job_def("generate_weekly_report")
        assert job.execute_in_process(instance=instance, partition_key=(TODAY - dt.timedelta(7)).isoformat()).success
