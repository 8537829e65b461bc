"""The output and the end of a step of `seedtest materialize`."""

import dagster as dg
import pytest
import typer
from rich.console import Console

from seedtest_analytics.cli.materialize import Runner, Step, console_log


@dg.asset
def talkative(context: dg.AssetExecutionContext) -> None:
    context.log.info("an aside")
    context.log.warning("take care")


@dg.asset
def broken() -> None:
    raise ValueError("the disk is full")


DEFINITIONS = dg.Definitions(
    [talkative, broken], jobs=[dg.define_asset_job("talk", [talkative]), dg.define_asset_job("fail", [broken])]
)


def run(step: Step, log_level: str = "WARNING") -> None:
    with dg.DagsterInstance.ephemeral() as instance:
        Runner(DEFINITIONS, instance, console=Console(width=200), run_config=console_log(log_level)).run(step)


def test_the_console_shows_a_line_a_step_and_the_warnings(capfd: pytest.CaptureFixture[str]) -> None:
    run(Step("talk", "a talk"))
    shown = capfd.readouterr()
    assert shown.out.startswith("a talk: ")
    assert "take care" in shown.err
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
    run(Step("fail", "a failure", is_optional=True))
    assert "the other steps continue" in capfd.readouterr().out
