"""What an asset declares to depend on, against the tables that the SQL of its step reads."""

from __future__ import annotations

import functools
import re

import dagster as dg
import pytest

from seedtest_analytics.assets.framework.code_version import Code
from seedtest_analytics.assets.framework.declare import ALSO_READS
from seedtest_analytics.assets.framework.declare import CODE as OWN_CODE
from seedtest_analytics.build import build_definitions
from seedtest_analytics.tables import metadata, view_metadata
from tests._asset_reads import BESIDE, WEEKLY_KPI, WITHOUT_ASSET, Reads
from tests.tables.test_origins import STEPS, sql

each_step = pytest.mark.parametrize(
    ("module", "name", "step"), STEPS.values(), ids=[name for _, name, _ in STEPS.values()]
)


GRAPH = build_definitions().resolve_asset_graph()


@functools.cache
def reads() -> Reads:
    return Reads(Code(), sql())


@functools.cache
def all_read(module: str, name: str, step: dg.AssetsDefinition) -> frozenset[str]:
    """What the step reads of others: rows that it has written itself before do not count."""
    own_code = [spec.metadata[OWN_CODE] for spec in step.specs if OWN_CODE in spec.metadata]
    found = reads().assets(module, name, *own_code) | reads().completed(module, name)
    own = {key.to_user_string() for key in step.keys} | {spec.metadata["dagster/table_name"] for spec in step.specs}
    return found - own


def declared(step: dg.AssetsDefinition) -> set[str]:
    return {dep.asset_key.to_user_string() for spec in step.specs for dep in spec.deps}


def excused(step: dg.AssetsDefinition) -> dict[str, str]:
    return {name: reason for spec in step.specs for name, reason in spec.metadata.get(ALSO_READS, {}).items()}


def undeclared(found: frozenset[str], known: set[str]) -> set[str]:
    """Rows of weekly_kpi as such, of no certain key, are read from any of its assets."""
    rows = {WEEKLY_KPI} if any(name.startswith(f"{WEEKLY_KPI}/") for name in known) else set()
    return set(found) - known - rows


@each_step
def test_a_step_depends_on_what_it_reads(module: str, name: str, step: dg.AssetsDefinition) -> None:
    """Directly: that another upstream depends on it too is that asset's own affair."""
    found = all_read(module, name, step)
    assert undeclared(found, declared(step) | set(excused(step))) == set()


@each_step
def test_a_step_reads_what_it_depends_on(module: str, name: str, step: dg.AssetsDefinition) -> None:
    found = all_read(module, name, step)
    unread = (declared(step) | set(excused(step))) - found - {key.to_user_string() for key in step.keys}
    if WEEKLY_KPI in found:  # A parameter may name the key.
        unread = {one for one in unread if not one.startswith(f"{WEEKLY_KPI}/")}
    assert unread == set()


@each_step
def test_an_asset_with_code_of_its_own_depends_on_what_that_reads(
    module: str, name: str, step: dg.AssetsDefinition
) -> None:
    for spec in step.specs:
        if OWN_CODE in spec.metadata:
            own = {spec.key.to_user_string(), WEEKLY_KPI}
            known = {dep.asset_key.to_user_string() for dep in spec.deps}
            assert reads().assets(module, spec.metadata[OWN_CODE]) - own <= known, f"{name}: {spec.key}"


@each_step
def test_what_is_excused_has_a_reason_and_names_assets(module: str, name: str, step: dg.AssetsDefinition) -> None:
    known = {key.to_user_string() for key in GRAPH.get_all_asset_keys()}
    assert set(excused(step)) <= known, f"{module}: {name}"
    assert all(re.match(r"[A-Z].{20,}\.$", reason) for reason in excused(step).values())


def test_every_table_has_an_asset_or_is_listed() -> None:
    of_assets = {GRAPH.get(key).metadata["dagster/table_name"] for key in GRAPH.get_all_asset_keys()}
    histories = {"attempt_log", *(name for name in metadata.tables if name.endswith("_history"))}
    tables = {*metadata.tables, *view_metadata.tables}
    assert tables - of_assets - histories == set(BESIDE) | WITHOUT_ASSET


def test_statements_are_found() -> None:
    """A step whose statements are not found would seem to read nothing."""
    silent = {name for module, name, step in STEPS.values() if not all_read(module, name, step)}
    assert silent == {"platform_health"}  # It reads Dagster's storage.


def test_the_keys_of_a_document_name_the_assets() -> None:
    assert reads().assets("seedtest_analytics.assets.churn.panel", "load_scored") >= {
        "weekly_kpi/A_t",
        "weekly_kpi/E_t",
    }
