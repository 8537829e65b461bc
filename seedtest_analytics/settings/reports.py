"""Weekly reports."""

from __future__ import annotations

import warnings
from typing import Any, Literal

from pydantic import field_validator

from seedtest_analytics.settings.group import SettingsGroup, option, variable


class ReportSettings(SettingsGroup):
    """Weekly report (contract 8)."""

    report_format: Literal["html"] = variable(
        "html", "REPORT_FORMAT", description="html; pdf, which legacy jobs set, gives html and a warning."
    )
    language: Literal["en", "ko"] = variable(
        "en", "REPORT_LANGUAGE", description="Language of a reader for whom no other one is known: en or ko."
    )
    max_users: int | None = option(
        None,
        "MAX_USERS",
        ge=1,
        description="Maximum number of reports a week, for the most active students; if unset, all.",
    )
    parallel: int | None = option(
        None, "PARALLEL", ge=1, description="Reports rendered in parallel; if unset, the number of cores."
    )

    @field_validator("report_format", mode="before")
    @classmethod
    def _html_for_pdf(cls, value: Any) -> Any:
        if value != "pdf":
            return value
        warnings.warn("REPORT_FORMAT=pdf is retired; reports are rendered as html, which prints on A4", stacklevel=1)
        return "html"
