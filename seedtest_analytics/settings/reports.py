"""Weekly reports."""

from __future__ import annotations

from typing import Literal

from seedtest_analytics.settings.group import SettingsGroup, variable


class ReportSettings(SettingsGroup):
    """Weekly report (contract 8)."""

    report_format: Literal["html"] = variable(
        "html", "REPORT_FORMAT", description="Only html can be made so far; pdf needs a later release."
    )
    max_users: int | None = variable(
        None, "MAX_USERS", ge=1, description="At most so many reports a week, most active first; unset: all."
    )
    parallel: int | None = variable(
        None, "PARALLEL", ge=1, description="Reports rendered at once; unset: the number of cores."
    )
