"""The output and the end of a step of `seedtest materialize`."""

import io
from collections.abc import Iterator
from types import SimpleNamespace
from typing import Any

import dagster as dg
import pytest
import typer
from rich.console import Console

from seedtest_analytics.cli.materialize import Runner, console_log
from seedtest_analytics.cli.run_problems import Problems
from seedtest_analytics.cli.run_progress import Summary, how_far, run_bar
from seedtest_analytics.cli.steps import Step


@dg.asset
def talkative(context: dg.AssetExecutionContext) -> None:
    context.log.info("an aside")
    context.log.warning("week of 2026-03-02: 3 anchors: take good care")
    context.log.warning("week of 2026-03-16: 12 anchors: take care")


@dg.asset
def broken() -> None:
    raise ValueError("the disk is full")


@dg.multi_asset(
    specs=[dg.AssetSpec("counted", group_name="numbers")], check_specs=[dg.AssetCheckSpec("positive", asset="counted")]
)
def counted() -> Iterator[Any]:
    yield dg.MaterializeResult(asset_key="counted", metadata={"dagster/partition_row_count": 1234})
    text = "two are [not] positive"
    yield dg.AssetCheckResult(asset_key="counted", check_name="positive", passed=False, description=text)


@dg.multi_asset(
    specs=[dg.AssetSpec("without_r", group_name="numbers", skippable=True)],
    check_specs=[dg.AssetCheckSpec("contract", asset="without_r")],
)
def without_r() -> Iterator[Any]:
    text = "not computed: R is not installed"
    yield dg.AssetCheckResult(asset_key="without_r", check_name="contract", passed=True, description=text)


RUN_ID = "7f1f5be0-2a0b-4a6c-9d8e-5d5f3a1c2b4d"
DEFINITIONS = dg.Definitions(
    [talkative, broken, counted, without_r],
    jobs=[
        dg.define_asset_job("talk", [talkative]),
        dg.define_asset_job("fail", [broken]),
        dg.define_asset_job("count", [counted]),
        dg.define_asset_job("leave_out", [without_r]),
    ],
)


def run(step: Step, log_level: str = "CRITICAL") -> Problems:
    console = Console(width=200)
    with dg.DagsterInstance.ephemeral() as instance:
        runner = Runner(DEFINITIONS, instance, console=console, run_config=console_log(log_level))
        runner.run(step)
    runner.problems.show(console)
    return runner.problems


def test_the_console_shows_a_line_a_step_and_a_line_a_kind_of_warning(capfd: pytest.CaptureFixture[str]) -> None:
    run(Step("talk", "a talk"))
    shown = capfd.readouterr()
    assert shown.out.startswith("a talk: ")
    assert "warning: 12 anchors: take care (2 times, weeks 2026-03-02 to 2026-03-16)" in shown.out
    assert "take care" not in shown.err
    assert "an aside" not in shown.err
    assert "STEP_START" not in shown.err


def test_verbose_shows_every_event(capfd: pytest.CaptureFixture[str]) -> None:
    run(Step("talk", "a talk"), "DEBUG")
    shown = capfd.readouterr()
    assert "an aside" in shown.err
    assert "STEP_START" in shown.err


def test_a_failed_step_ends_the_command_with_its_cause(capfd: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(typer.Exit) as end:
        run(Step("fail", "a failure"))
    assert end.value.exit_code == 1
    assert "the disk is full" in capfd.readouterr().out


def test_an_optional_step_that_fails_is_named_and_left(capfd: pytest.CaptureFixture[str]) -> None:
    problems = run(Step("fail", "a failure", is_optional=True))
    shown = capfd.readouterr()
    assert "the other steps continue" in shown.out
    assert shown.out.splitlines()[-1] == "failed: fail: ValueError: the disk is full"
    assert "Traceback" not in shown.err
    assert list(problems.failed) == ["fail"]


def test_an_asset_that_a_run_left_out_is_named_with_the_reason(capfd: pytest.CaptureFixture[str]) -> None:
    run(Step("leave_out", "nothing"))
    assert capfd.readouterr().out.splitlines()[-1] == "skipped: without_r: R is not installed"


def test_the_bar_shows_how_far_a_sync_is() -> None:
    assert how_far(2_000, 3_000, seconds=4) == "2,000 of 3,000 rows, 500/s, 2 s left"
    output = io.StringIO()
    message = "2,000 of 3,000 changed exam results"
    with run_bar(Console(file=output, force_terminal=True, width=120), "attempts", n_steps=1, n_weeks=1) as on_event:
        on_event(SimpleNamespace(dagster_event=None, step_key="attempt_log", user_message=message))
    assert "attempts · 2,000 of 3,000 rows" in output.getvalue()


def test_the_bar_counts_weeks_and_steps() -> None:
    output = io.StringIO()
    console = Console(file=output, force_terminal=True, width=100)
    with run_bar(console, "a fit", n_steps=2, n_weeks=4) as on_event, dg.DagsterInstance.ephemeral() as instance:
        instance.add_event_listener(RUN_ID, on_event)
        DEFINITIONS.resolve_job_def("talk").execute_in_process(instance=instance, run_id=RUN_ID)
    assert "a fit · talkative" in output.getvalue()
    assert "4/8" in output.getvalue()


def test_a_summary_takes_the_place_of_the_lines(capfd: pytest.CaptureFixture[str]) -> None:
    summary, console = Summary(), Console(width=200)
    with dg.DagsterInstance.ephemeral() as instance:
        runner = Runner(DEFINITIONS, instance, console=console, run_config=console_log("WARNING"), summary=summary)
        for job in ("count", "leave_out"):
            runner.run(Step(job, job))
    assert capfd.readouterr().out == ""
    summary.show(console)
    lines = capfd.readouterr().out.splitlines()
    assert lines[0].split() == ["assets", "rows", "checks", "seconds"]
    assert lines[1].split()[:5] == ["counted", "1,234", "0", "of", "1"]
    assert lines[2].split()[:5] == ["without_r", "0", "1", "of", "1"]
    assert lines[3:] == ["left out: without_r: R is not installed", "check counted · positive: two are [not] positive"]


def test_a_job_without_an_asset(capfd: pytest.CaptureFixture[str]) -> None:
    definitions = dg.Definitions([talkative, broken], jobs=[dg.define_asset_job("both", [talkative, broken])])
    with dg.DagsterInstance.ephemeral() as instance:
        runner = Runner(definitions, instance, console=Console(width=200), run_config=console_log("WARNING"))
        runner.run(Step("both", "both", without=("broken",)))
    assert capfd.readouterr().out.startswith("both: ")
