"""A code location whose data is hostile: its topics, items, groups and reasons try to delete a run and to make links."""

import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import quote

import dagster as dg

from seedtest_analytics.assets.framework.checks import Check
from seedtest_analytics.assets.framework.declare import TableSpec, declared
from seedtest_analytics.assets.framework.preview import markdown_table
from seedtest_analytics.assets.framework.report import Outcome, report
from seedtest_analytics.database.publish import Published
from seedtest_analytics.tables.psychometrics import mirt_ability

FITTED = Check("fitted", "The model converged.")
VICTIM = Path(os.environ["DAGSTER_HOME"]) / "victim"


def hostile(kind: str) -> str:
    """What a teacher could call a topic."""
    delete = f'mutation{{deletePipelineRun(runId:"{VICTIM.read_text(encoding="utf-8")}"){{__typename}}}}'
    return f"![{kind}](/graphql?query={quote(delete)}) [{kind}](/runs) **{kind}** <b>{kind}</b> https://evil.example/{kind}"


@dg.multi_asset(
    name="step",
    **declared(
        TableSpec(mirt_ability, grain="student_week", description="Rows.", checks=(FITTED,)), group="psychometrics"
    ),
)
def step(context: dg.AssetExecutionContext) -> Iterator[Any]:
    """Report what the data says."""
    tables = {kind: markdown_table([kind, "n"], [[hostile(kind), 1]]) for kind in ("topic", "item", "group")}
    heading = markdown_table([hostile("heading"), "n"], [["x", 1]])
    check = FITTED.failed(
        f"it diverged: {hostile('reason')}", {"why": markdown_table(["reason", "n"], [[hostile("cell"), 1]])}
    )
    published = Published(mirt_ability.name, 1, inserted=1, updated=0, deleted=0)
    yield from report(context, [Outcome(published, {**tables, "heading": heading}, checks=(check,))])


@dg.op
def nothing() -> None:
    """Do nothing."""


@dg.job
def victim() -> None:
    """The run that the data tries to delete."""
    nothing()


defs = dg.Definitions([step], jobs=[victim, dg.define_asset_job("fit", [step])])
