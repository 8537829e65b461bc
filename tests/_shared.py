"""The published data sets and the results of independent software that tests compare with.

Their licences do not allow copies in the repository, so tests read them from a folder `shared` beside the checkout.
"""

import os
from pathlib import Path

import pytest

SHARED = Path(__file__).resolve().parents[2] / "shared"


def shared(relative_path: str) -> Path:
    """Path of a reference file. Where it is absent the test is skipped, or fails if the environment requires the data.

    `.ci/run` requires them (SEEDTEST_REQUIRE_REFERENCE_DATA=1). Only tests marked `reference` may call this function.
    """
    if not _current.get("is_marked"):
        raise RuntimeError(f"mark this test with `reference`: it reads {relative_path}")
    path = SHARED / relative_path
    if not path.exists():
        reason = f"reference data not found: {path}"
        if os.environ.get("SEEDTEST_REQUIRE_REFERENCE_DATA") == "1":
            pytest.fail(reason)
        pytest.skip(reason)
    return path


_current: dict[str, bool] = {}


def note_current_test(item: pytest.Item) -> None:
    """Remember whether the test that is about to run may read reference data."""
    _current["is_marked"] = item.get_closest_marker("reference") is not None
