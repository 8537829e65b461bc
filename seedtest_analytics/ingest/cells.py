"""Values of cells and of JSON as texts."""

from __future__ import annotations

import datetime as dt
import math
from decimal import Decimal
from typing import Any


def cell_text(value: Any) -> str | None:
    """A cell as text: dates as ISO 8601, whole numbers without a decimal point, no exponents. NaN is missing."""
    if value is None or value == "":
        return None
    if isinstance(value, float) and math.isnan(value):
        return None
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, float) and value.is_integer():
        return str(int(value))
    if isinstance(value, float) and math.isfinite(value):
        return format(Decimal(repr(value)), "f")
    if isinstance(value, dt.timedelta):
        return str(value.total_seconds())
    if isinstance(value, dt.date | dt.time):
        return value.isoformat()
    return str(value)
