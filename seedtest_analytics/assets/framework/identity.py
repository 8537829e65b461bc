"""Identities of fits: the same week, settings and data give the same id, so a second run replaces its own rows."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Mapping
from typing import Any

from seedtest_analytics.partitions import Week

_DIGEST_CHARACTERS = 10


def fit_id(prefix: str, week: Week, *, settings: Mapping[str, Any], data: Iterable[str | Any]) -> str:
    """``prefix-2026-W46-0123456789``: a name for the fit of a week.

    Args:
        prefix: the model's name, as readers of the tables know it.
        week: the week that the fit belongs to.
        settings: settings that decide what the fit is. Leave out those that only decide how it runs.
        data: fingerprints as text, or arrays (NumPy or anything with ``tobytes``), in a fixed order.
    """
    digest = hashlib.sha256(json.dumps(dict(settings), sort_keys=True).encode())
    for part in data:
        digest.update(b"\0")
        digest.update(part.encode() if isinstance(part, str) else part.tobytes())
    return f"{prefix}-{week.iso_label}-{digest.hexdigest()[:_DIGEST_CHARACTERS]}"
