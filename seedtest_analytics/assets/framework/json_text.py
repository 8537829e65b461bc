"""Values as JSON for jsonb columns. The one place that decides what happens to a number that is not finite."""

from __future__ import annotations

import json
import math
from typing import Any


def json_text(value: Any) -> str:
    """JSON text of nested dictionaries, lists, arrays and numbers; a number that is not finite becomes null."""
    return json.dumps(plain(value), ensure_ascii=False, allow_nan=False)


def finite_or_none(value: Any) -> float | None:
    """The number as a float, or None (NULL, null) where it is missing, NaN or infinite.

    Takes a number or an array of one element.
    """
    if value is None:
        return None
    number = float(value.item() if hasattr(value, "item") else value)
    return number if math.isfinite(number) else None


def plain(value: Any) -> Any:
    """``value`` with arrays as lists, keys as text and every number that is not finite as None."""
    if hasattr(value, "tolist"):
        value = value.tolist()
    if isinstance(value, float):
        return finite_or_none(value)
    if isinstance(value, dict):
        return {str(key): plain(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [plain(item) for item in value]
    return value
