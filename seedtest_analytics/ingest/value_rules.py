"""What the values of a file mean where several readings are possible; recognised from a sample, or given."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

TimeUnit = Literal["ms", "s"]
DateOrder = Literal["mdy", "dmy"]


@dataclass(frozen=True)
class ValueRules:
    """How values are read.

    Attributes:
        time_unit: of the response times.
        date_order: of dates such as 03/04/2026; None: only those with one meaning are dates.
        has_text_items: item ids that are not numbers get numbers (:mod:`seedtest_analytics.ingest.item_numbers`);
            if false, such rows are rejected.
    """

    time_unit: TimeUnit = "ms"
    date_order: DateOrder | None = None
    has_text_items: bool = False


DEFAULT_RULES = ValueRules()
