"""The output and the end of a step of `seedtest materialize`."""

import dagster as dg
import pytest
import typer
from rich.console import Console

from seedtest_analytics.cli.materialize import Runner, Step, console_log
from seedtest_analytics.cli.run_problems import Problems


@dg.asset
def talkative(context: dg.AssetExecutionContext) -> None:
    context.log.info("an aside")
    context.log.warning("week of 2026-03-02: 3 anchors: take good care")
    context.log.warning("week of 2026-03-16: 12 anchors: take care")


@dg.asset
def broken() -> None:
    raise ValueError("the disk is full")


@dg.asset(check_specs=[dg.AssetCheckSpec("contract", asset="absent")], output_required=False)
def absent():
    yield dg.AssetCheckResult(check_name="contract", passed=True, description="not computed: R is not installed")


DEFINITIONS = dg.Definitions(
    [talkative, broken, absent],
    jobs=[
        dg.define_asset_job("leave", [absent]),
        dg.define_asset_job("talk", [talkative]),
        dg.define_asset_job("fail", [broken]),
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
    run(Step("leave", "nothing"))
    assert capfd.readouterr().out.splitlines()[-1] == "skipped: absent: R is not installed"
