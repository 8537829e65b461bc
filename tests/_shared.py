"""Where the tests find the published data and the results of independent software."""

import os
from pathlib import Path

import pytest

SHARED = Path(__file__).resolve().parents[2] / "shared"


def shared(relative_path: str) -> Path:
    """Path of a file in the shared folder beside the checkout; skips where it is missing, fails in CI.

    The public data sets may not be copied into the repository (their licences), so tests read them from there.
    """
    path = SHARED / relative_path
    if not path.exists():
        reason = f"shared data not found: {relative_path} is expected in a folder `shared` beside the checkout"
        if os.environ.get("CI") == "true":
            pytest.fail(reason)
        pytest.skip(reason)
    return path
