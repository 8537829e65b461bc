"""Databases of the legacy pipeline in each shape of the contract, and what must not change in them."""

from __future__ import annotations

from pathlib import Path

from sqlalchemy import Engine, text

FOLDER = Path(__file__).parent
SHAPES = ("numbered", "newest", "lazy")
"""Files of ``legacy/``: beside the tables of ``legacy_schema.sql``, which have one shape."""

ROWS = """
INSERT INTO mirt_item_params (item_id, params, version) VALUES ('1', '{"a": 1, "b": 0, "c": "NA"}', 'v1'), ('q_3', '{}', 'v1');
INSERT INTO mirt_ability (user_id, theta, se, version) VALUES ('gone', 0.3, 0.4, 'v1');
INSERT INTO mirt_fit_meta (run_id) VALUES ('irt-fit-1');
INSERT INTO weekly_kpi
SELECT 'gone', day::date, '{"I_t": 0.2, "A_t": null, "improvement_index": 0.1}', now(), now()
FROM generate_series(TIMESTAMP '2026-04-20', '2026-06-22', '7 days') AS day;
INSERT INTO features_topic_daily (user_id, topic_id, date, attempts)
SELECT 'gone', 'algebra', day::date, 3 FROM generate_series(TIMESTAMP '2026-04-20', '2026-06-28', '1 day') AS day;
INSERT INTO report_artifacts (user_id, week_start, url, generated_at)
SELECT 'gone', week_start, 'https://bucket/' || week_start, now() FROM weekly_kpi;
INSERT INTO question (id, content) VALUES (1, 'one');
INSERT INTO interest_goal (user_id, topic_id, target_level) VALUES ('gone', 'algebra', 2.5);
"""
"""Rows of a student whom the platform does not score, in the weeks and days that it computes."""


def build(engine: Engine, shape: str) -> None:
    """Make the legacy database."""
    common = (FOLDER / "legacy_schema.sql").read_text(encoding="utf-8")
    start = common.index("CREATE TABLE student_topic_theta")
    common = common[:start] + common[common.index(");", start) + 2 :]
    with engine.begin() as connection:
        for part in (common, (FOLDER / "legacy" / f"{shape}.sql").read_text(encoding="utf-8"), ROWS):
            connection.exec_driver_sql(part.replace("%", "%%"))


def digests(engine: Engine) -> dict[str, list[str]]:
    """md5 of every row of every table, sorted."""
    with engine.connect() as connection:
        names = connection.execute(
            text(
                "SELECT format('%I.%I', schemaname, tablename) FROM pg_tables "
                "WHERE schemaname NOT IN ('pg_catalog', 'information_schema', 'simulation') "
                "AND tablename NOT LIKE 'seedtest%' ORDER BY 1"
            )
        ).scalars()
        return {
            name: sorted(connection.execute(text(f"SELECT md5(t::text) FROM {name} AS t")).scalars())
            for name in list(names)
        }
