"""`seedtest materialize` in a dry run: its output, its computations, and the tables that stay unchanged."""

import datetime as dt
import io

import dagster as dg
import pytest
import typer
from dagster_shared.error import SerializableErrorInfo
from rich.console import Console
from sqlalchemy import Engine

from seedtest_analytics.assets.attempts.sync import sync_attempts
from seedtest_analytics.build import build_definitions
from seedtest_analytics.cli.materialize import Runner, _range, asset_steps, console_log, first_cause
from seedtest_analytics.cli.steps import Step, chosen, plan
from seedtest_analytics.partitions import DAY, WEEK, monday_of
from seedtest_analytics.resources.postgres import PostgresResource
from seedtest_analytics.tables import metadata
from seedtest_analytics.tables.source import SOURCE_TABLES
from tests._database import execute, rows_of, snapshot
from tests._exams import Exam, question, store
from tests.assets._activity import postgres_of
from tests.cli.conftest import Seedtest

MONDAY = monday_of(dt.datetime.now(dt.UTC).date()) - 2 * WEEK
OUTPUTS = sorted(set(metadata.tables) - set(SOURCE_TABLES))


def store_exams(engine: Engine, n_students: int = 40) -> None:
    noon = dt.datetime.combine(MONDAY, dt.time(12), dt.UTC)
    exams = [
        Exam(
            tuple(question(item, is_correct=(item * (student + 3)) % 5 < 3) for item in range(1, 11)),
            f"u{student}",
            created_at=noon + student % 5 * DAY,
        )
        for student in range(n_students)
    ]
    store(engine, *exams)


def run_dry(engine: Engine, step: Step) -> str:
    """The output of one step in a dry run."""
    output = io.StringIO()
    definitions = build_definitions({"postgres": postgres_of(engine)})
    with dg.DagsterInstance.ephemeral() as instance:
        console = Console(file=output, width=200)
        Runner(definitions, instance, console=console, run_config=console_log("WARNING"), is_dry_run=True).run(step)
    return output.getvalue()


def test_every_asset_of_a_chain_is_computed_from_what_the_tables_hold(
    database: Engine, monkeypatch: pytest.MonkeyPatch
) -> None:
    """In a single run Dagster would skip everything below the first asset, because a dry run does not materialise it."""
    monkeypatch.setenv("DRY_RUN", "true")
    store_exams(database)
    sync_attempts(database, dt.datetime.now(dt.UTC), timezone="UTC")
    execute(
        database, "UPDATE exam_results SET result_json = jsonb_set(result_json, '{questions,0,is_correct}', 'null')"
    )
    before = snapshot(database, *OUTPUTS)
    output = run_dry(database, Step("calibrate_irt", "calibration", first=MONDAY, last=MONDAY))
    assert "attempt would change: 0 new, 40 updated, 0 removed, 360 unchanged" in output
    assert "mirt_fit_meta would change: 1 new" in output
    # A dry run computes abilities from stored calibrations, and there are none.
    assert "mirt_ability would change: 0 new" in output
    assert snapshot(database, *OUTPUTS) == before
    output = run_dry(database, Step("compute_daily_kpis", "KPIs", first=MONDAY, last=MONDAY))
    for name in ("I_t", "E_t", "R_t", "A_t", "P", "S"):
        assert f"weekly_kpi/{name} would change: 40 new" in output
    assert snapshot(database, *OUTPUTS) == before


def test_a_run_on_a_database_without_the_schema_says_what_to_type_and_is_not_tried_again(empty_database: str) -> None:
    definitions = build_definitions({"postgres": PostgresResource.having(url=empty_database)})
    with dg.DagsterInstance.ephemeral() as instance:
        job = definitions.resolve_job_def("sync_attempts")
        result = job.execute_in_process(instance=instance, raise_on_error=False)
    (failure,) = [event for event in result.all_events if event.is_step_failure]
    assert "run `seedtest migrate`" in str(failure.step_failure_data.error_display_string)
    assert not any(event.is_step_up_for_retry for event in result.all_events)


def test_steps_are_in_the_order_of_the_graph_and_hold_every_asset_once() -> None:
    job = build_definitions().resolve_job_def("calibrate_irt")
    steps = [[key.to_user_string() for key in step] for step in asset_steps(job)]
    assert steps.index(["attempt", "attempt_quarantine"]) == 0
    assert steps.index(["mirt_fit_meta", "mirt_item_params"]) < steps.index(
        ["ability_window", "mirt_ability", "student_topic_theta"]
    )
    flat = [name for step in steps for name in step]
    assert sorted(flat) == sorted(key.to_user_string() for key in job.asset_layer.selected_asset_keys)


def test_assets_that_one_step_can_compute_alone_are_one_step() -> None:
    job = build_definitions().resolve_job_def("compute_daily_kpis")
    of_attempts, *others = [[key.path[-1] for key in step] for step in asset_steps(job)]
    assert of_attempts == ["A_t", "E_t", "I_t", "R_t"]
    assert sorted(others) == [["P"], ["S"], ["prediction_verdict"]]
    assert len(job.nodes) == 4


def test_an_empty_log_is_not_filled_and_the_command_says_so(
    database: Engine, seedtest: Seedtest, monkeypatch: pytest.MonkeyPatch
) -> None:
    store_exams(database)
    url = database.url.render_as_string(hide_password=False)
    monkeypatch.setattr("seedtest_analytics.cli.home.use_instance", lambda: None)
    with dg.DagsterInstance.ephemeral() as instance:
        monkeypatch.setattr(dg.DagsterInstance, "get", lambda: instance)
        code, output = seedtest("materialize", DATABASE_URL=url, DRY_RUN="true")
    shown = " ".join(output.split())
    assert code == 0
    assert "DRY_RUN is set: nothing is written." in shown
    assert "computed from the current tables" in shown
    assert "attempt would change: 400 new" in shown
    assert "The attempt log is empty and a dry run does not fill it" in shown
    assert rows_of(database, "SELECT 1 AS one FROM attempt") == []


def test_a_range_without_a_day_is_refused_with_what_there_is(seedtest: Seedtest, database: Engine) -> None:
    store_exams(database, 2)
    url = database.url.render_as_string(hide_password=False)
    code, output = seedtest("materialize", "--from", "2090-01-01", DATABASE_URL=url)
    assert code == 2
    shown = " ".join(output.replace("│", " ").split())
    assert f"attempts range from {MONDAY} to" in shown
    assert "SEEDTEST_START_DATE" in shown


def test_weeks_without_attempts_at_the_start_are_not_computed_and_the_attempts_before_are_counted(
    database: Engine, monkeypatch: pytest.MonkeyPatch
) -> None:
    """One row of 1995 made `materialize` compute every week since SEEDTEST_START_DATE."""
    monkeypatch.setattr("seedtest_analytics.cli.materialize.platform_engine", lambda: database)
    store_exams(database, 2)
    store(database, Exam((question(1, is_correct=True),), "old", created_at=dt.datetime(1995, 3, 4, 12, tzinfo=dt.UTC)))
    sync_attempts(database, dt.datetime.now(dt.UTC), timezone="UTC")
    told: list[str] = []
    today = MONDAY + 2 * WEEK
    assert _range(None, None, today=today, tell=told.append) == (MONDAY, MONDAY + DAY)
    assert told == [
        "attempts before the week of SEEDTEST_START_DATE (2024-01-01): 1, from 1995-03-04 on; their weeks are not computed"
    ]
    asked = dt.date(2024, 1, 10)
    assert _range(asked, None, today=today, tell=told.append) == (asked, MONDAY + DAY)
    assert len(told) == 1


def test_only_the_jobs_that_are_named() -> None:
    monday = dt.date(2026, 3, 2)
    steps = list(plan(monday, monday, today=dt.date(2026, 4, 1), reports=True))
    only = chosen(steps, ["generate_weekly_report", "calibrate_irt"])
    assert [step.job for step in only] == ["calibrate_irt", "generate_weekly_report"]
    with pytest.raises(
        typer.BadParameter,
        match=r"unknown job: calibrate\. The jobs of these days are observe_source_tables, sync_attempts, calibrate_irt, ",
    ):
        chosen(steps, ["calibrate"])


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (("--from", "2026-13-01"), "--from '2026-13-01' is not a date; use YYYY-MM-DD"),
        (("--from", "0001-01-01"), "--from 0001-01-01 is out of range"),
        (("--to", "9999-12-31"), "--to 9999-12-31 is out of range"),
        (("--from", "2026-03-09", "--to", "2026-03-02"), "--from 2026-03-09 is after --to 2026-03-02"),
        (("--from", "2019-03-04", "--to", "2019-03-10"), "--to 2019-03-10 is before SEEDTEST_START_DATE (2024-01-01)"),
    ],
)
def test_an_impossible_range_is_refused_before_any_work(
    seedtest: Seedtest, monkeypatch: pytest.MonkeyPatch, arguments: tuple[str, ...], sentence: str
) -> None:
    monkeypatch.setattr("seedtest_analytics.cli.materialize.materialize", lambda *_, **__: pytest.fail("it works"))
    code, output = seedtest("materialize", *arguments)
    assert code == 2
    assert sentence in shown(output)


def test_a_log_from_before_the_first_partition_is_refused_before_the_sync_with_both_remedies(
    seedtest: Seedtest, database: Engine
) -> None:
    store_exams(database, 2)
    url = database.url.render_as_string(hide_password=False)
    later = MONDAY + WEEK
    code, output = seedtest("materialize", DATABASE_URL=url, SEEDTEST_START_DATE=later.isoformat())
    assert code == 2
    assert f"before SEEDTEST_START_DATE ({later})" in shown(output)
    assert "`seedtest load FILE --shift-to 20" in shown(output)
    assert f"`seedtest --set SEEDTEST_START_DATE={MONDAY} materialize`" in shown(output)
    assert rows_of(database, "SELECT 1 AS one FROM attempt") == []


def test_an_empty_database_is_refused_before_the_sync(seedtest: Seedtest, database: Engine) -> None:
    code, output = seedtest("materialize", DATABASE_URL=database.url.render_as_string(hide_password=False))
    assert code == 2
    assert "there are no attempts; run `seedtest load FILE`" in shown(output)


def test_the_sync_alone_needs_no_attempts(
    seedtest: Seedtest, database: Engine, monkeypatch: pytest.MonkeyPatch
) -> None:
    store_exams(database, 2)
    url = database.url.render_as_string(hide_password=False)
    monkeypatch.setattr("seedtest_analytics.cli.home.use_instance", lambda: None)
    # The command closes its instance at the end.
    monkeypatch.setattr(dg.DagsterInstance, "get", dg.DagsterInstance.ephemeral)
    code, output = seedtest("materialize", "--only", "calibrate_irt", DATABASE_URL=url)
    assert code == 2
    assert "the attempt log is empty" in shown(output)
    assert "`seedtest materialize --only sync_attempts`" in shown(output)
    code, output = seedtest("materialize", "--only", "sync_attempts", DATABASE_URL=url)
    assert code == 0, output
    assert rows_of(database, "SELECT count(*) AS n FROM attempt") == [{"n": 20}]


@pytest.mark.parametrize("odd", ["-infinity", "infinity", "0044-03-15 BC", "12026-03-02"])
def test_a_time_that_python_has_no_date_for_stops_nothing(
    seedtest: Seedtest, database: Engine, monkeypatch: pytest.MonkeyPatch, odd: str
) -> None:
    store_exams(database, 2)
    update = (
        "UPDATE exam_results SET created_at = CAST(:odd AS timestamptz), updated_at = CAST(:odd AS timestamptz) "
        "WHERE id = (SELECT min(id::text)::uuid FROM exam_results)"
    )
    execute(database, update, {"odd": odd})
    monkeypatch.setattr("seedtest_analytics.cli.home.use_instance", lambda: None)
    monkeypatch.setattr(dg.DagsterInstance, "get", dg.DagsterInstance.ephemeral)
    url = database.url.render_as_string(hide_password=False)
    code, output = seedtest("materialize", "--only", "sync_attempts", DATABASE_URL=url)
    assert code == 0, output
    assert rows_of(database, "SELECT count(*) AS n FROM attempt") == [{"n": 10}]


@pytest.mark.parametrize(("failed", "code"), [((), 0), (("fit_growth_glmm",), 1)])
def test_the_exit_code_tells_whether_a_job_failed(
    seedtest: Seedtest, monkeypatch: pytest.MonkeyPatch, failed: tuple[str, ...], code: int
) -> None:
    monkeypatch.setattr("seedtest_analytics.cli.materialize.materialize", lambda *_, **__: failed)
    ended, output = seedtest("materialize", "--only", "fit_growth_glmm")
    assert ended == code
    assert ("next: seedtest up" in output) == (not failed)


def shown(output: str) -> str:
    """The output without the frame of a usage error."""
    return " ".join(output.replace("│", " ").split())


def test_s_is_computed_after_the_churn_fits_unless_its_job_is_named() -> None:
    steps = {step.job: step for step in plan(MONDAY, MONDAY, today=MONDAY + 2 * WEEK, reports=True)}
    order = list(steps)
    assert order.index("compute_daily_kpis") < order.index("fit_survival_churn")
    assert steps["compute_daily_kpis"].without == ("weekly_kpi/S",)
    job = build_definitions().resolve_job_def("compute_daily_kpis")
    computed = [key.to_user_string() for keys in asset_steps(job, without=("weekly_kpi/S",)) for key in keys]
    kpis = ["weekly_kpi/" + name for name in ("A_t", "E_t", "I_t", "P", "R_t")]
    assert sorted(computed) == ["prediction_verdict", *kpis]
    assert chosen(steps.values(), ["compute_daily_kpis"])[0].without == ()


def test_the_running_week_is_included_where_it_is_asked_for() -> None:
    today = MONDAY + 2 * WEEK
    steps = {
        step.job: step for step in plan(MONDAY, today - DAY, today=today, reports=True, includes_running_week=True)
    }
    assert steps["calibrate_irt"].last == steps["fit_survival_churn"].last == today
    assert steps["calibrate_irt"].n_weeks == 3
    assert steps["aggregate_features_daily"].last == today
    assert steps["forecast_prophet"].last == today - WEEK
    assert steps["fit_bayesian_growth"].last == today


FITS = ("fit_growth_glmm", "fit_bayesian_growth", "forecast_prophet", "cluster_segments", "irt_drift_monitor")


@pytest.mark.parametrize(("fits_every_week", "n_weeks"), [(True, 4), (False, 1)])
def test_every_week_of_the_range_has_its_fits_and_the_demo_fits_the_newest(fits_every_week: bool, n_weeks: int) -> None:
    last = MONDAY + 3 * WEEK
    found = plan(MONDAY, last, today=MONDAY + 4 * WEEK, reports=True, fits_every_week=fits_every_week)
    steps = {step.job: step for step in found}
    assert {steps[job].n_weeks for job in FITS} == {n_weeks}
    assert {steps[job].last for job in FITS} == {last}
    assert steps["generate_weekly_report"].n_weeks == 1


@pytest.mark.parametrize(
    ("message", "shown"),
    [
        ("ValueError: no such week", "ValueError: no such week"),
        (
            "psycopg2.OperationalError: server closed the connection unexpectedly\n\tThis probably means ...",
            "Dagster's storage cannot be used (server closed the connection unexpectedly). What the run had published "
            "stays. Check that the server of DAGSTER_POSTGRES_URL runs and has room (`seedtest doctor`), and start the "
            "command again",
        ),
    ],
)
def test_the_cause_of_a_failed_step_is_told_in_words(message: str, shown: str) -> None:
    step = SerializableErrorInfo("DagsterError", [], None, cause=SerializableErrorInfo(message, [], None))
    assert first_cause(step) == shown
