"""Only what changed is rendered again, and shards give the tables and objects of one step."""

import datetime as dt
import json
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import dagster as dg
import numpy as np
import pytest
from sqlalchemy import Engine

from seedtest_analytics.assets import report_inputs, report_work, reports
from seedtest_analytics.assets.framework.code_version import Code
from seedtest_analytics.assets.framework.shards import Shard
from seedtest_analytics.assets.messages import assets as messages
from seedtest_analytics.resources.object_store import ObjectStoreResource
from seedtest_analytics.resources.quarto.renderer import RenderedPage, RenderedReport
from seedtest_analytics.resources.quarto.resource import QuartoResource
from seedtest_analytics.resources.shard_results import SHARD_RESULTS, ShardResults
from seedtest_analytics.resources.store.folder import FolderStore
from seedtest_analytics.resources.store.keys import ReportFile
from seedtest_analytics.resources.store.uploads import Uploads
from seedtest_analytics.schedules.jobs import range_tags
from tests._database import execute, rows_of
from tests._waits import LIMIT_SECONDS
from tests.assets._activity import postgres_of, store_sessions
from tests.assets._reports import in_shards, lines_instead_of_pages
from tests.assets.test_reports import WEEK, store_answers_of_the_week, store_kpis

USERS = [f"u{number:02}" for number in range(12)]
MONDAY = dt.date.fromisoformat(WEEK)


@pytest.fixture
def renders(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    return lines_instead_of_pages(monkeypatch)


def made(
    engine: Engine,
    folder: Path,
    assets: Any = reports.weekly_report,
    *,
    quarto: QuartoResource | None = None,
    week: str | None = WEEK,
    tags: dict[str, str] | None = None,
    **config: Any,
) -> dg.ExecuteInProcessResult:
    with dg.DagsterInstance.ephemeral() as instance:
        return dg.materialize(
            [assets],
            partition_key=week,
            tags=tags,
            instance=instance,
            resources={
                "postgres": postgres_of(engine),
                "object_store": ObjectStoreResource.having(folder=folder),
                "quarto": quarto or QuartoResource.having(workers=1, renderer="embedded"),
                SHARD_RESULTS: ShardResults(),
            },
            run_config={"ops": {assets.node_def.name: {"config": config}}},
            raise_on_error=False,
        )


def counts(result: dg.ExecuteInProcessResult) -> tuple[int, ...]:
    """Rendered, unchanged and waiting reports, as the materialisation says."""
    events = [e.materialization for e in result.get_asset_materialization_events()]
    (event,) = [event for event in events if event.asset_key == dg.AssetKey("weekly_report")]
    return tuple(int(str(event.metadata[name].value)) for name in ("rendered", "unchanged", "waiting"))


def state(engine: Engine, folder: Path) -> tuple[Any, ...]:
    """Rows without counters, times and the folder, and every object."""
    url = "replace(url, :folder, '') AS url"
    of = {"folder": folder.as_uri()}
    columns = f"user_id, format, {url}, sha256, size_bytes, renderer, language, advice, needs_help, inputs"
    pages = f"page, subject, {url}, sha256, size_bytes, language, inputs"
    objects = {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*.*") if path.is_file()}
    return (
        rows_of(engine, f"SELECT {columns} FROM report_artifacts ORDER BY user_id, format", **of),
        rows_of(engine, f"SELECT {pages} FROM report_pages ORDER BY page, subject", **of),
        objects,
    )


def set_kpi(engine: Engine, user: str, kpis: dict[str, Any]) -> None:
    statement = "UPDATE weekly_kpi SET kpis = CAST(:kpis AS jsonb) WHERE user_id = :user"
    execute(engine, statement, {"user": user, "kpis": json.dumps(kpis)})


def test_only_what_changed_is_rendered_and_stored_again(
    database: Engine, tmp_path: Path, renders: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    store_kpis(database, USERS)
    stored: list[str] = []
    put = FolderStore.put

    def counted(self: FolderStore, key: Any, *content: bytes, **more: Any) -> bool:
        stored.append(key.user_id)
        return put(self, key, *content, **more)

    monkeypatch.setattr(FolderStore, "put", counted)

    def again(**config: Any) -> tuple[tuple[int, ...], list[str], set[str]]:
        renders.clear()
        stored.clear()
        return counts(made(database, tmp_path, **config)), sorted(renders), set(stored) - {""}

    everybody = ((12, 0, 0), USERS, set(USERS))
    assert again() == everybody
    before = state(database, tmp_path)
    assert again() == ((0, 12, 0), [], set())
    assert state(database, tmp_path) == before

    set_kpi(database, "u03", {"A_t": 0.6})
    (tmp_path / "reports" / "u05" / WEEK / "report.html").unlink()
    (tmp_path / "reports" / "u07" / WEEK / "teacher.html").write_bytes(b"of somebody else")
    execute(database, "UPDATE report_pages SET inputs = NULL WHERE subject = 'u09'")
    changed = ["u03", "u05", "u07", "u09"]
    assert again() == ((4, 8, 0), changed, set(changed))
    assert again() == ((0, 12, 0), [], set())

    execute(database, "DELETE FROM weekly_kpi WHERE user_id = 'u00'")
    assert again() == ((0, 11, 0), [], set())
    assert {row["user_id"] for row in state(database, tmp_path)[0]} == set(USERS[1:])
    assert "u00" not in state(database, tmp_path)[2][f"index/{WEEK}/index.html"].decode()


@pytest.mark.parametrize(("name", "value"), [("REPORT_FORMAT", "both"), ("REPORT_KEY_SECRET", "x" * 32)])
def test_another_setting_of_the_files_renders_them_again(
    database: Engine, tmp_path: Path, renders: list[str], monkeypatch: pytest.MonkeyPatch, name: str, value: str
) -> None:
    store_kpis(database, USERS[:2])
    monkeypatch.setattr(ObjectStoreResource, "store", lambda _: FolderStore(tmp_path, key_secret=secret()))
    made(database, tmp_path)
    monkeypatch.setenv(name, value)
    assert counts(made(database, tmp_path)) == (2, 0, 0)
    assert counts(made(database, tmp_path)) == (0, 2, 0)


def secret() -> bytes | None:
    from seedtest_analytics.settings import load_settings

    found = load_settings().storage.key_secret
    return found.get_secret_value().encode() if found else None


def test_another_version_of_the_code_renders_again(
    database: Engine, tmp_path: Path, renders: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    store_kpis(database, USERS[:2])
    made(database, tmp_path)
    monkeypatch.setattr(report_inputs.Inputs, "digest", lambda *_: "of another release")
    assert counts(made(database, tmp_path)) == (2, 0, 0)


def stored_at_once(uploads: Uploads, file: ReportFile) -> None:
    """Store a report before the next one, so that the rows at a kill do not depend on how fast a thread is."""
    uploads._slots.acquire()
    uploads._deliver(file)


def test_a_killed_run_goes_on_where_it_was(
    database: Engine, tmp_path: Path, renders: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    store_kpis(database, USERS)
    monkeypatch.setattr(report_work, "_RECORDED_AT_ONCE", 1)
    monkeypatch.setattr(Uploads, "put", stored_at_once)
    note_of = report_work.note_of

    def killed(document: Any) -> Any:
        if document.user_id == "u06":
            raise KeyboardInterrupt
        return note_of(document)

    with monkeypatch.context() as patch:
        patch.setattr(report_work, "note_of", killed)
        assert not made(database, tmp_path).success
    recorded = {row["user_id"] for row in rows_of(database, "SELECT user_id FROM report_artifacts")}
    assert recorded == set(USERS[:6])
    renders.clear()
    assert made(database, tmp_path).success
    assert set(renders) == set(USERS) - recorded
    assert len(rows_of(database, "SELECT FROM report_artifacts")) == len(USERS)


@pytest.fixture
def answers(database: Engine) -> Engine:
    """Students with answers and a few names, so that advice and lists have something to say."""
    store_kpis(database, USERS)
    for user in USERS[::2]:
        store_answers_of_the_week(database, user)
    execute(database, "INSERT INTO student_name VALUES ('u01', 'Anna Kim'), ('u04', '김벤')")
    return database


def test_shards_give_the_tables_and_the_objects_of_one_step(
    answers: Engine, tmp_path: Path, renders: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("REPORT_FORMAT", "both")
    monkeypatch.setattr(QuartoResource, "workers", 1)
    one = made(answers, tmp_path / "one")
    assert one.success
    expected = state(answers, tmp_path / "one")
    assert len(expected[0]) == 2 * len(USERS)
    execute(answers, "TRUNCATE report_artifacts, report_pages")

    sharded = in_shards(reports, 3, monkeypatch).weekly_report
    renders.clear()
    result = made(answers, tmp_path / "three", sharded)
    assert result.success
    steps = [event.step_key for event in result.all_events if event.is_step_success]
    assert steps == [*(f"weekly_report.shard_{number}" for number in (1, 2, 3)), "weekly_report.publish"]
    assert sorted(renders) == USERS
    assert state(answers, tmp_path / "three") == expected
    assert counts(result) == counts(one)
    evaluations = [{e.check_name: e.passed for e in found.get_asset_check_evaluations()} for found in (one, result)]
    assert evaluations[0] == evaluations[1]

    # Every shard leaves the rows of the others alone.
    execute(answers, "DELETE FROM weekly_kpi WHERE user_id IN ('u02', 'u03')")
    assert counts(made(answers, tmp_path / "three", sharded)) == (0, len(USERS) - 2, 0)
    assert len(state(answers, tmp_path / "three")[0]) == 2 * (len(USERS) - 2)


def test_options_of_a_run_reach_every_shard_and_the_limit_counts_all_students(
    answers: Engine, tmp_path: Path, renders: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    sharded = in_shards(reports, 3, monkeypatch).weekly_report
    result = made(answers, tmp_path, sharded, max_users=5)
    assert result.success
    assert renders == sorted(renders, key=lambda user: [user in shard for shard in of_shards(answers)].index(True))
    assert len(set(renders)) == 5
    assert made(answers, tmp_path / "dry", sharded, dry_run=True).success
    assert not (tmp_path / "dry").exists()


def of_shards(engine: Engine, shards: int = 3) -> list[set[str]]:
    found = []
    for number in range(shards):
        shard = Shard(number, shards)
        rows = rows_of(engine, f"SELECT user_id FROM weekly_kpi WHERE {shard.condition('user_id')}", **shard.parameters)
        found.append({row["user_id"] for row in rows})
    return found


def test_each_student_is_in_one_shard(answers: Engine) -> None:
    found = of_shards(answers)
    assert sorted(user for shard in found for user in shard) == USERS
    assert all(found)


def test_messages_of_shards_are_those_of_one_step(answers: Engine, monkeypatch: pytest.MonkeyPatch) -> None:
    asked = [user for user in USERS[:8] for _ in range(12)]
    store_sessions(answers, asked, np.full(len(asked), (dt.date(2026, 3, 3) - dt.date(1970, 1, 1)).days + 0.5))
    tables = ("SELECT user_id, recipient, code, text, evidence FROM weekly_message ORDER BY 1, 2",)

    def written(assets: Any) -> list[Any]:
        execute(answers, "TRUNCATE weekly_message, message_outbox")
        with dg.DagsterInstance.ephemeral() as instance:
            result = dg.materialize(
                [assets],
                partition_key=WEEK,
                instance=instance,
                resources={"postgres": postgres_of(answers), SHARD_RESULTS: ShardResults()},
                run_config={"ops": {"weekly_messages": {"config": {"as_of": "2026-03-09T04:00:00+00:00"}}}},
            )
        outbox = rows_of(answers, "SELECT user_id, recipient, text FROM message_outbox ORDER BY 1, 2")
        checks = sorted((e.check_name, e.description) for e in result.get_asset_check_evaluations())
        return [rows_of(answers, tables[0]), outbox, checks]

    one = written(messages.weekly_messages)
    assert len(one[0]) == len(one[1]) > 8
    assert written(in_shards(messages, 4, monkeypatch).weekly_messages) == one


def test_the_digest_follows_what_makes_a_page_and_nothing_else() -> None:
    code = Code()
    nodes = {node for maker in report_inputs.MAKERS for node in code.dependencies(*maker)}
    modules = {node.where.removeprefix("seedtest_analytics.") for node in nodes}
    assert any(node.kind == "template" for node in nodes)
    makers = {"reporting.charts", "reporting.recommendations", "reporting.language", "resources.quarto.typst_writer"}
    assert makers <= modules
    assert not {"assets.reports", "assets.report_work", "resources.store.uploads"} & modules


class _Together(QuartoResource):
    """Renders a student only while another run renders one too."""

    @contextmanager
    def open(self, *_: Any, **__: Any) -> Iterator[Any]:
        yield self

    renderer = "embedded"

    def render_many(self, found: Any) -> Iterator[RenderedReport]:
        for document in found:
            TOGETHER.wait(LIMIT_SECONDS)
            page = RenderedPage("family", "html", content=f"<p>{document.week_start}</p>".encode())
            yield RenderedReport(document.user_id, document.week_start, pages=(page,), renderer="embedded")


TOGETHER = threading.Barrier(2)


def test_weeks_of_a_back_fill_do_not_wait_for_each_other(
    database: Engine, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("REPORT_TEACHER_PAGES", "false")
    weeks = [WEEK, "2026-03-09"]
    store_kpis(database, ["anna"])
    execute(
        database,
        "INSERT INTO weekly_kpi (user_id, week_start, kpis) SELECT user_id, week_start + 7, kpis FROM weekly_kpi",
    )
    with ThreadPoolExecutor() as pool:
        runs = [pool.submit(made, database, tmp_path, quarto=_Together(), week=week) for week in weeks]
        assert all(run.result().success for run in runs)
    rows = rows_of(database, "SELECT week_start::text FROM report_artifacts ORDER BY week_start")
    assert [row["week_start"] for row in rows] == weeks


def test_a_back_fill_is_one_run_unless_the_setting_splits_it(
    database: Engine, tmp_path: Path, renders: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    assert reports.weekly_report.backfill_policy == dg.BackfillPolicy.single_run()
    monkeypatch.setenv("SEEDTEST_BACKFILL_WEEKS", "2")
    assets = in_shards(reports, 2, monkeypatch).weekly_report
    assert assets.backfill_policy == dg.BackfillPolicy.multi_run(2)
    # Messages are computed in one run with abilities, whose weeks follow each other.
    assert in_shards(messages, 2, monkeypatch).weekly_messages.backfill_policy == dg.BackfillPolicy.single_run()
    # The schedule still computes its few weeks in one run.
    store_kpis(database, ["anna"])
    execute(
        database,
        "INSERT INTO weekly_kpi (user_id, week_start, kpis) SELECT user_id, week_start + 7 * n, kpis "
        "FROM weekly_kpi, generate_series(1, 2) AS n",
    )
    assert made(database, tmp_path, assets, week=None, tags=range_tags(WEEK, "2026-03-16")).success
    assert renders == ["anna"] * 3
