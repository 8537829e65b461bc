"""A check makes its outcomes, and every check of a domain is declared by one of its assets."""

import importlib
import pkgutil
from dataclasses import FrozenInstanceError

import numpy as np
import pytest

import seedtest_analytics.assets as package
from seedtest_analytics.assets.framework.checks import Check, CheckOutcome
from seedtest_analytics.build import build_definitions

FULL = Check("full", "Every row is there.", is_blocking=True)


def test_an_outcome_belongs_to_the_check_that_made_it() -> None:
    assert FULL.passed("3 rows") == CheckOutcome(FULL, is_passed=True, description="3 rows", metadata={})
    assert FULL.failed("no rows", {"rows": 0}) == CheckOutcome(FULL, False, "no rows", {"rows": 0})
    assert FULL.judged("2 rows", is_passed=True, metadata={"rows": 2}) == CheckOutcome(
        FULL, True, "2 rows", {"rows": 2}
    )
    assert not FULL.judged("2 rows", is_passed=False).is_passed


def test_an_outcome_cannot_be_turned() -> None:
    with pytest.raises(FrozenInstanceError):
        FULL.failed("no rows").is_passed = True  # type: ignore[misc]


def checks_of_the_domains() -> list[Check]:
    modules = [
        importlib.import_module(found.name)
        for found in pkgutil.walk_packages(package.__path__, f"{package.__name__}.")
        if found.name.endswith(".checks") and ".framework." not in found.name
    ]
    return list({id(value): value for m in modules for value in vars(m).values() if isinstance(value, Check)}.values())


def test_every_check_of_a_domain_is_declared_as_it_is() -> None:
    specs = {
        (spec.name, spec.description, spec.blocking)
        for assets in build_definitions().resolve_asset_graph().assets_defs
        for spec in assets.check_specs
    }
    checks = checks_of_the_domains()
    assert len(checks) > 10
    for check in checks:
        assert (check.name, check.description, check.is_blocking) in specs


def test_the_result_of_a_comparison_of_arrays_is_a_plain_bool() -> None:
    """Dagster refuses NumPy's."""
    outcome = Check("compared", "…").judged("…", is_passed=np.float64(1) > 0)  # type: ignore[arg-type]
    assert outcome.is_passed is True
